/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* token.c: keys on disk, HMAC, and texts that travel in addresses.
 *
 * From each key of the file one is derived for each purpose (HMAC of the purpose's name), when the
 * file is read; the key itself signs nothing.  Start reading at token_open(); the file is written
 * by save().
 */
#include "trust/token.h"

#include "base/must.h"
#include "formats/base32.h"
#include "runtime/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_SIZE = crypto_auth_hmacsha256_KEYBYTES,
    KEY_HEX = 2 * KEY_SIZE,
    FULL_MAC_SIZE = crypto_auth_hmacsha256_BYTES,
    SHORT_MAC_MIN = 5,
    FILE_MAX = 64 * 1024,
    NAME_BYTES = 4,
};

static const char first_line[] = "outpost-secrets 1";

struct secret {
    instant created; /* Wall clock, whole seconds. */
    uint8_t key[KEY_SIZE];
    uint8_t derived[TOKEN_PURPOSES][KEY_SIZE];
};

struct secret_list {
    struct secret items[SECRETS_MAX]; /* The newest last. */
    size_t count;
};

struct secrets {
    char *path;
    pthread_mutex_t changes; /* One change at a time; never taken by readers. */
    pthread_rwlock_t lock;   /* For the list. */
    struct secret_list list;
};

static void
hmac(const uint8_t key[KEY_SIZE], str bytes, uint8_t mac[FULL_MAC_SIZE])
{
    crypto_auth_hmacsha256(mac, (const uint8_t *)bytes.ptr, bytes.len, key);
}

static void
derive(struct secret *secret)
{
    static const char *const names[] = {
        [TOKEN_RETURN] = "outpost token: return path",
        [TOKEN_FORWARD] = "outpost token: forwarded sender",
        [TOKEN_UNSUBSCRIBE] = "outpost token: unsubscribe",
    };

    static_assert(COUNT_OF(names) == TOKEN_PURPOSES, "each purpose has a name");
    for (size_t i = 0; i < TOKEN_PURPOSES; i++)
        hmac(secret->key, str_from(names[i]), secret->derived[i]);
}

static void
add_new(struct secret_list *list, instant now)
{
    struct secret *secret = &list->items[list->count++];

    secret->created = now - now % SECONDS(1);
    random_bytes(secret->key, sizeof(secret->key));
    derive(secret);
}

/* --- On disk. */

static enum err
system_failed(struct why *why, const char *path)
{
    int number = errno;

    return err_why(why, err_from_errno(number), "%s: %s", path, strerror(number));
}

static bool
parse_key(str hex, uint8_t key[KEY_SIZE])
{
    if (hex.len != KEY_HEX)
        return false;
    for (size_t i = 0; i < KEY_SIZE; i++) {
        int high = ascii_hex(hex.ptr[2 * i]), low = ascii_hex(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool
parse_line(str line, struct secret *secret)
{
    str created, hex;
    uint64_t seconds;

    if (!str_split(line, ' ', &created, &hex) || !str_to_u64(created, &seconds) ||
        seconds > (uint64_t)(NEVER / SECONDS(1)) || !parse_key(hex, secret->key))
        return false;
    secret->created = SECONDS((instant)seconds);
    derive(secret);
    return true;
}

static enum err
parse(const char *path, str text, struct secret_list *list, struct why *why)
{
    str line, rest;

    if (!str_split(text, '\n', &line, &rest) || !str_eq(line, str_from(first_line)))
        return err_why(why, ERR_CORRUPT, "%s is not a list of secrets that this version knows",
                       path);
    while (str_split(rest, '\n', &line, &rest)) {
        if (list->count == SECRETS_MAX || !parse_line(line, &list->items[list->count]))
            return err_why(why, ERR_CORRUPT, "%s: line %zu cannot be read", path, list->count + 2);
        list->count++;
    }
    if (!list->count || !str_ends(text, S("\n")))
        return err_why(why, ERR_CORRUPT, "%s is cut short", path);
    return OK;
}

/* ERR_NOT_FOUND: there is none yet. */
static enum err
read_file(const char *path, struct buf *text, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    ssize_t got = -1;
    char *room;

    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : system_failed(why, path);
    if (!fstat(fd, &status) && (status.st_mode & 077)) {
        close(fd);
        return err_why(why, ERR_REFUSED, "%s can be read by others: chmod 600 it, and rotate it",
                       path);
    }
    room = buf_reserve(text, FILE_MAX);
    must(room);
    got = read(fd, room, FILE_MAX);
    buf_claim(text, got > 0 ? (size_t)got : 0);
    close(fd);
    return got < 0 ? system_failed(why, path) : OK;
}

static enum err
load(const char *path, struct secret_list *list, struct why *why)
{
    struct buf text;
    enum err e;

    buf_init(&text, FILE_MAX);
    e = read_file(path, &text, why);
    if (!e)
        e = parse(path, buf_str(&text), list, why);
    if (text.data)
        sodium_memzero(text.data, text.capacity);
    buf_done(&text);
    return e;
}

static void
write_list(const struct secret_list *list, struct buf *text)
{
    buf_addf(text, "%s\n", first_line);
    for (size_t i = 0; i < list->count; i++) {
        buf_addf(text, "%lld ", (long long)(list->items[i].created / SECONDS(1)));
        for (size_t k = 0; k < KEY_SIZE; k++)
            buf_addf(text, "%02x", list->items[i].key[k]);
        buf_add_byte(text, '\n');
    }
}

static enum err
write_new_file(const char *path, str text, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    enum err e = good ? OK : system_failed(why, path);

    if (fd >= 0 && close(fd) && !e)
        e = system_failed(why, path);
    return e;
}

/* A rename is durable when its folder is. */
static enum err
sync_folder(const char *path, struct why *why)
{
    char folder[PATH_MAX];
    ssize_t slash = str_find_last(str_from(path), '/');
    bool good;
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", slash < 0 ? 1 : MAX((int)slash, 1),
             slash < 0 ? "." : path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        (void)system_failed(why, folder);
    if (fd >= 0)
        close(fd);
    return good ? OK : ERR_IO;
}

static enum err
save(const char *path, const struct secret_list *list, struct why *why)
{
    char temporary[PATH_MAX];
    struct buf text;
    enum err e;

    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= PATH_MAX)
        return err_why(why, ERR_LIMIT, "the path is too long");
    buf_init(&text, FILE_MAX);
    write_list(list, &text);
    must(buf_ok(&text));
    e = write_new_file(temporary, buf_str(&text), why);
    sodium_memzero(text.data, text.capacity);
    buf_done(&text);
    if (!e && rename(temporary, path))
        e = system_failed(why, path);
    return e ? e : sync_folder(path, why);
}

enum err
secrets_open(const char *path, instant now, struct secrets **result, struct why *why)
{
    struct secret_list list = { 0 };
    struct secrets *secrets;
    enum err e;

    must(sodium_init() >= 0);
    e = load(path, &list, why);
    if (e == ERR_NOT_FOUND) {
        add_new(&list, now);
        e = save(path, &list, why);
    }
    if (e)
        return e;
    secrets = calloc(1, sizeof(*secrets));
    must(secrets);
    secrets->path = str_dup(str_from(path));
    secrets->list = list;
    pthread_mutex_init(&secrets->changes, NULL);
    pthread_rwlock_init(&secrets->lock, NULL);
    sodium_memzero(&list, sizeof(list));
    *result = secrets;
    return OK;
}

void
secrets_close(struct secrets *secrets)
{
    if (!secrets)
        return;
    pthread_mutex_destroy(&secrets->changes);
    pthread_rwlock_destroy(&secrets->lock);
    free(secrets->path);
    sodium_memzero(secrets, sizeof(*secrets));
    free(secrets);
}

/* Without the keys whose successor is older than KEEP; with 0 that is the one to be made. */
static void
forget_old(struct secret_list *list, instant now, duration keep, size_t *forgotten)
{
    size_t gone = 0;

    while (keep == 0 ? gone < list->count
                     : gone + 1 < list->count && list->items[gone + 1].created + keep < now)
        gone++;
    memmove(list->items, list->items + gone, (list->count - gone) * sizeof(list->items[0]));
    list->count -= gone;
    *forgotten = gone;
}

/* Leaves room in LIST for the key to be made. */
static enum err
make_room(struct secret_list *list, instant now, duration keep, size_t *gone, struct why *why)
{
    forget_old(list, now, keep, gone);
    if (list->count == SECRETS_MAX)
        return err_why(why, ERR_LIMIT, "%d keys are still kept; keep them for a shorter time",
                       SECRETS_MAX);
    return OK;
}

static enum err
rotate(struct secrets *secrets, instant now, duration keep, size_t *forgotten, struct why *why)
{
    struct secret_list list = secrets->list; /* Only changes write it, and this is the change. */
    size_t gone;
    enum err e = make_room(&list, now, keep, &gone, why);

    if (e)
        return e;
    add_new(&list, now);
    e = save(secrets->path, &list, why);
    if (e)
        return e;
    pthread_rwlock_wrlock(&secrets->lock);
    secrets->list = list;
    pthread_rwlock_unlock(&secrets->lock);
    sodium_memzero(&list, sizeof(list));
    *forgotten = gone;
    return OK;
}

enum err
secrets_rotate(struct secrets *secrets, instant now, duration keep, size_t *forgotten,
               struct why *why)
{
    enum err e;

    pthread_mutex_lock(&secrets->changes);
    e = rotate(secrets, now, keep, forgotten, why);
    pthread_mutex_unlock(&secrets->changes);
    return e;
}

enum err
secrets_foresee_rotation(struct secrets *secrets, instant now, duration keep, size_t *forgotten,
                         struct why *why)
{
    struct secret_list list;
    enum err e;

    pthread_rwlock_rdlock(&secrets->lock);
    list = secrets->list;
    pthread_rwlock_unlock(&secrets->lock);
    e = make_room(&list, now, keep, forgotten, why);
    sodium_memzero(&list, sizeof(list));
    return e;
}

void
secrets_each(struct secrets *secrets, void (*fn)(void *arg, instant created, str name), void *arg)
{
    pthread_rwlock_rdlock(&secrets->lock);
    for (size_t i = 0; i < secrets->list.count; i++) {
        uint8_t mac[FULL_MAC_SIZE];
        char name[2 * NAME_BYTES + 1];

        hmac(secrets->list.items[i].key, S("outpost token: name of the key"), mac);
        snprintf(name, sizeof(name), "%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3]);
        fn(arg, secrets->list.items[i].created, str_from(name));
    }
    pthread_rwlock_unlock(&secrets->lock);
}

/* --- Tokens. */

void
token_mac(struct secrets *secrets, enum token_purpose purpose, str payload,
          uint8_t mac[TOKEN_MAC_SIZE])
{
    uint8_t full[FULL_MAC_SIZE];

    pthread_rwlock_rdlock(&secrets->lock);
    hmac(secrets->list.items[secrets->list.count - 1].derived[purpose], payload, full);
    pthread_rwlock_unlock(&secrets->lock);
    memcpy(mac, full, TOKEN_MAC_SIZE);
}

/* All keys are tried whatever the first ones say, and bytes are compared in constant time. */
bool
token_check(struct secrets *secrets, enum token_purpose purpose, str payload, str mac)
{
    uint8_t full[FULL_MAC_SIZE];
    unsigned good = 0;

    if (mac.len < SHORT_MAC_MIN || mac.len > TOKEN_MAC_SIZE)
        return false;
    pthread_rwlock_rdlock(&secrets->lock);
    for (size_t i = 0; i < secrets->list.count; i++) {
        hmac(secrets->list.items[i].derived[purpose], payload, full);
        good |= sodium_memcmp(full, mac.ptr, mac.len) == 0;
    }
    pthread_rwlock_unlock(&secrets->lock);
    return good;
}

enum err
token_seal(struct secrets *secrets, enum token_purpose purpose, str payload, struct buf *text)
{
    uint8_t bytes[TOKEN_PAYLOAD_MAX + TOKEN_MAC_SIZE];

    if (payload.len > TOKEN_PAYLOAD_MAX)
        return ERR_LIMIT;
    memcpy(bytes, payload.ptr, payload.len);
    token_mac(secrets, purpose, payload, bytes + payload.len);
    base32_encode((str){ (const char *)bytes, payload.len + TOKEN_MAC_SIZE }, text);
    return buf_ok(text) ? OK : ERR_LIMIT;
}

enum err
token_open(struct secrets *secrets, enum token_purpose purpose, str text, uint8_t *payload,
           size_t max, size_t *len)
{
    uint8_t bytes[TOKEN_PAYLOAD_MAX + TOKEN_MAC_SIZE];
    str read = { (const char *)bytes, 0 };
    enum err e;

    e = base32_decode(text, bytes, sizeof(bytes), &read.len);
    if (e)
        return e;
    if (read.len < TOKEN_MAC_SIZE)
        return ERR_SYNTAX;
    read.len -= TOKEN_MAC_SIZE;
    if (read.len > max)
        return ERR_LIMIT;
    if (!token_check(secrets, purpose, read, (str){ read.ptr + read.len, TOKEN_MAC_SIZE }))
        return ERR_REFUSED;
    memcpy(payload, bytes, read.len);
    *len = read.len;
    return OK;
}

uint16_t
token_day(instant now)
{
    return (uint16_t)(now / DAYS(1));
}
