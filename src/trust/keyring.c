/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* keyring.c: the list of keys, in memory and on disk.
 *
 * A ring is never changed once others can see it: each change copies the list, writes it beside the
 * old one, renames it into place, and only then shows it.  Whoever signs holds a reference, so that
 * its keys outlive a rotation.  Start reading at change().
 */
#include "trust/keyring.h"

#include "base/buf.h"
#include "base/must.h"
#include "trust/dkim_key.h"
#include "trust/dkim_record.h"
#include "trust/dkim_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEYRING_FILE_MAX = 256 << 20,
    DNS_NAME_MAX = 253,
};

static const char first_line[] = "outpost-keyring 1";

/* One key of one ring; the private half is shared by the rings that have it. */
struct held_key {
    atomic_uint users;
    struct dkim_key *key; /* NULL: revoked, or never loaded. */
};

struct entry {
    char *domain;
    char *selector;
    char *algorithm;
    char *record;
    enum key_state state;
    instant created;
    instant changed;
    struct held_key *held;
};

struct ring {
    atomic_uint users;
    struct entry *entries; /* By domain, then selector. */
    size_t count;
};

struct keyring {
    char *dir;
    pthread_mutex_t changes; /* One change at a time; never taken by readers. */
    pthread_mutex_t lock;    /* For the pointer. */
    struct ring *ring;
};

const char *
key_state_name(enum key_state state)
{
    static const char *const names[] = {
        [KEY_NEW] = "new",
        [KEY_ACTIVE] = "active",
        [KEY_RETIRED] = "retired",
        [KEY_REVOKED] = "revoked",
    };

    return names[state];
}

bool
key_state_parse(str text, enum key_state *state)
{
    for (enum key_state at = KEY_NEW; at <= KEY_REVOKED; at++)
        if (str_eq(text, str_from(key_state_name(at)))) {
            *state = at;
            return true;
        }
    return false;
}

/* --- Rings. */

static struct held_key *
held_new(struct dkim_key *key)
{
    struct held_key *held = calloc(1, sizeof(*held));

    must(held);
    held->key = key;
    atomic_init(&held->users, 1);
    return held;
}

static void
held_unref(struct held_key *held)
{
    if (!held || atomic_fetch_sub(&held->users, 1) > 1)
        return;
    dkim_key_free(held->key);
    free(held);
}

static void
entry_done(struct entry *entry)
{
    free(entry->domain);
    free(entry->selector);
    free(entry->algorithm);
    free(entry->record);
    held_unref(entry->held);
}

static void
ring_unref(struct ring *ring)
{
    if (!ring || atomic_fetch_sub(&ring->users, 1) > 1)
        return;
    for (size_t i = 0; i < ring->count; i++)
        entry_done(&ring->entries[i]);
    free(ring->entries);
    free(ring);
}

static struct ring *
ring_new(size_t room)
{
    struct ring *ring = calloc(1, sizeof(*ring));

    must(ring);
    ring->entries = calloc(MAX(room, 1U), sizeof(*ring->entries));
    must(ring->entries);
    atomic_init(&ring->users, 1);
    return ring;
}

static struct ring *
ring_of(struct keyring *keyring)
{
    struct ring *ring;

    pthread_mutex_lock(&keyring->lock);
    ring = keyring->ring;
    atomic_fetch_add(&ring->users, 1);
    pthread_mutex_unlock(&keyring->lock);
    return ring;
}

/* With room for one more. */
static struct ring *
ring_copy(const struct ring *old)
{
    struct ring *ring = ring_new(old->count + 1);

    for (size_t i = 0; i < old->count; i++) {
        const struct entry *from = &old->entries[i];
        struct entry *to = &ring->entries[ring->count++];
        *to = *from;
        to->domain = str_dup(str_from(from->domain));
        to->selector = str_dup(str_from(from->selector));
        to->algorithm = str_dup(str_from(from->algorithm));
        to->record = str_dup(str_from(from->record));
        if (to->held)
            atomic_fetch_add(&to->held->users, 1);
    }
    return ring;
}

static int
entry_order(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = strcmp(left->domain, right->domain);

    return order ? order : strcmp(left->selector, right->selector);
}

static void
ring_sort(struct ring *ring)
{
    if (ring->count > 1)
        qsort(ring->entries, ring->count, sizeof(*ring->entries), entry_order);
}

/* The first entry of DOMAIN, or where it would stand. */
static size_t
ring_lower_bound(const struct ring *ring, str domain)
{
    size_t low = 0, high = ring->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (str_cmp(str_from(ring->entries[middle].domain), domain) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *
ring_find(const struct ring *ring, str domain, str selector)
{
    for (size_t i = ring_lower_bound(ring, domain);
         i < ring->count && str_eq(str_from(ring->entries[i].domain), domain); i++)
        if (str_eq(str_from(ring->entries[i].selector), selector))
            return &ring->entries[i];
    return NULL;
}

/* --- On disk. */

static enum err
key_path(const struct keyring *keyring, const struct entry *entry, char path[PATH_MAX])
{
    int len =
        snprintf(path, PATH_MAX, "%s/%s@%s.pem", keyring->dir, entry->selector, entry->domain);

    return len < PATH_MAX ? OK : ERR_LIMIT;
}

static enum err
system_failed(struct why *why, const char *path)
{
    int number = errno;

    return err_why(why, err_from_errno(number), "%s: %s", path, strerror(number));
}

static enum err
sync_dir(const struct keyring *keyring, struct why *why)
{
    int fd = open(keyring->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    enum err e = good ? OK : system_failed(why, keyring->dir);

    if (fd >= 0)
        close(fd);
    return e;
}

static void
write_entry(struct buf *text, const struct entry *entry)
{
    buf_addf(text, "%s %s %s %s %lld %lld %s\n", entry->domain, entry->selector, entry->algorithm,
             key_state_name(entry->state), (long long)(entry->created / SECONDS(1)),
             (long long)(entry->changed / SECONDS(1)), entry->record);
}

/* Writes all of TEXT into a new file at PATH. */
static enum err
write_new_file(const char *path, str text, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0;

    while (good && text.len) {
        ssize_t put = write(fd, text.ptr, text.len);
        good = put > 0 || (put < 0 && errno == EINTR);
        text = str_skip(text, put > 0 ? (size_t)put : 0);
    }
    good = good && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    return good ? OK : system_failed(why, path);
}

static enum err
save(const struct keyring *keyring, const struct ring *ring, struct why *why)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    struct buf text;
    enum err e;

    if (snprintf(path, sizeof(path), "%s/keyring", keyring->dir) >= PATH_MAX ||
        snprintf(temporary, sizeof(temporary), "%s/keyring.new", keyring->dir) >= PATH_MAX)
        return err_why(why, ERR_LIMIT, "the path is too long");
    buf_init(&text, KEYRING_FILE_MAX);
    buf_addf(&text, "%s\n", first_line);
    for (size_t i = 0; i < ring->count; i++)
        write_entry(&text, &ring->entries[i]);
    e = buf_ok(&text) ? write_new_file(temporary, buf_str(&text), why)
                      : err_why(why, ERR_LIMIT, "the list of keys is too long");
    buf_done(&text);
    if (e)
        return e;
    if (rename(temporary, path))
        return system_failed(why, path);
    return sync_dir(keyring, why);
}

/* Reads one line; false when it is not one of ours. */
static bool
read_entry(str line, struct entry *entry)
{
    str domain, selector, algorithm, state, created, changed, record;
    uint64_t created_at, changed_at;

    if (!str_split(line, ' ', &domain, &line) || !str_split(line, ' ', &selector, &line) ||
        !str_split(line, ' ', &algorithm, &line) || !str_split(line, ' ', &state, &line) ||
        !str_split(line, ' ', &created, &line) || !str_split(line, ' ', &changed, &record))
        return false;
    if (!domain.len || !selector.len || !key_state_parse(state, &entry->state) ||
        !str_to_u64(created, &created_at) || !str_to_u64(changed, &changed_at) ||
        created_at > (uint64_t)(NEVER / SECONDS(1)) || changed_at > (uint64_t)(NEVER / SECONDS(1)))
        return false;
    entry->domain = str_dup(domain);
    entry->selector = str_dup(selector);
    entry->algorithm = str_dup(algorithm);
    entry->record = str_dup(record);
    entry->created = SECONDS((instant)created_at);
    entry->changed = SECONDS((instant)changed_at);
    return true;
}

/* The private half, unless OLD, which is shown at present, has it. */
static enum err
load_key(const struct keyring *keyring, const struct ring *old, struct entry *entry,
         struct why *why)
{
    const struct entry *before =
        old ? ring_find(old, str_from(entry->domain), str_from(entry->selector)) : NULL;
    char path[PATH_MAX];
    struct dkim_key *key;
    enum err e;

    if (entry->state == KEY_REVOKED)
        return OK;
    if (before && before->held && strcmp(before->record, entry->record) == 0) {
        entry->held = before->held;
        atomic_fetch_add(&entry->held->users, 1);
        return OK;
    }
    e = key_path(keyring, entry, path);
    if (!e)
        e = dkim_key_load(path, &key, why);
    if (e == ERR_NOT_FOUND && entry->state == KEY_RETIRED)
        return OK; /* It was revoked in between: see keyring.h. */
    if (!e)
        entry->held = held_new(key);
    return e;
}

static enum err
parse(const struct keyring *keyring, const struct ring *old, str text, struct ring **result,
      struct why *why)
{
    struct ring *ring;
    size_t lines = 0;
    str line, rest = text;
    enum err e = OK;

    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    if (!str_split(rest, '\n', &line, &rest) || !str_eq(line, str_from(first_line)) ||
        lines > KEYRING_KEYS_MAX + 1)
        return err_why(why, ERR_CORRUPT, "%s/keyring is not a list of keys that this version knows",
                       keyring->dir);
    ring = ring_new(lines);
    while (!e && str_split(rest, '\n', &line, &rest)) {
        struct entry *entry = &ring->entries[ring->count];
        if (!read_entry(line, entry)) {
            e = err_why(why, ERR_CORRUPT, "%s/keyring: line %zu cannot be read", keyring->dir,
                        ring->count + 2);
            break;
        }
        ring->count++;
        e = load_key(keyring, old, entry, why);
    }
    if (e) {
        ring_unref(ring);
        return e;
    }
    ring_sort(ring);
    *result = ring;
    return OK;
}

/* The whole file; empty when there is none. */
static enum err
read_file(const char *path, struct buf *text, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 1;

    if (fd < 0)
        return errno == ENOENT ? OK : system_failed(why, path);
    while (got > 0 && buf_ok(text)) {
        char *room = buf_reserve(text, 64 * 1024);
        got = room ? read(fd, room, 64 * 1024) : 0;
        buf_claim(text, got > 0 ? (size_t)got : 0);
    }
    close(fd);
    if (!buf_ok(text))
        return err_why(why, ERR_LIMIT, "%s is too long", path);
    return got < 0 ? system_failed(why, path) : OK;
}

static enum err
load(const struct keyring *keyring, const struct ring *old, struct ring **ring, struct why *why)
{
    char path[PATH_MAX];
    struct buf text;
    enum err e;

    if (snprintf(path, sizeof(path), "%s/keyring", keyring->dir) >= PATH_MAX)
        return err_why(why, ERR_LIMIT, "the path is too long");
    buf_init(&text, KEYRING_FILE_MAX);
    e = read_file(path, &text, why);
    if (!e && text.len == 0)
        *ring = ring_new(0);
    else if (!e)
        e = parse(keyring, old, buf_str(&text), ring, why);
    buf_done(&text);
    return e;
}

static void
show(struct keyring *keyring, struct ring *ring)
{
    struct ring *old;

    pthread_mutex_lock(&keyring->lock);
    old = keyring->ring;
    keyring->ring = ring;
    pthread_mutex_unlock(&keyring->lock);
    ring_unref(old);
}

enum err
keyring_open(const char *dir, struct keyring **result, struct why *why)
{
    struct keyring *keyring;
    struct ring *ring;
    enum err e;

    if (mkdir(dir, 0700) && errno != EEXIST)
        return system_failed(why, dir);
    keyring = calloc(1, sizeof(*keyring));
    must(keyring);
    keyring->dir = str_dup(str_from(dir));
    pthread_mutex_init(&keyring->changes, NULL);
    pthread_mutex_init(&keyring->lock, NULL);
    e = load(keyring, NULL, &ring, why);
    if (e) {
        keyring_close(keyring);
        return e;
    }
    keyring->ring = ring;
    *result = keyring;
    return OK;
}

void
keyring_close(struct keyring *keyring)
{
    if (!keyring)
        return;
    ring_unref(keyring->ring);
    pthread_mutex_destroy(&keyring->changes);
    pthread_mutex_destroy(&keyring->lock);
    free(keyring->dir);
    free(keyring);
}

/* --- Changes. */

/* Letters, digits and hyphens between dots: RFC 6376 3.1, and a part of a file's name here. */
static bool
is_name(str name, size_t max)
{
    char before = '.';

    if (!name.len || name.len > max)
        return false;
    for (size_t i = 0; i < name.len; before = name.ptr[i++]) {
        char c = name.ptr[i];
        if (c == '.' ? before == '.' : !(ascii_is_alnum(c) || c == '-' || c == '_'))
            return false;
        if (c != ascii_lower(c))
            return false;
    }
    return before != '.';
}

/* What a change does to the copy. */
struct change {
    struct keyring *keyring;
    str domain;
    str selector;
    str algorithm;
    enum key_state state;
    instant now;
    struct why *why;
    char dead_file[PATH_MAX]; /* To be removed once the list no longer needs it. */
};

static enum err
change(struct change *c, enum err (*edit)(struct change *c, struct ring *ring))
{
    struct keyring *keyring = c->keyring;
    struct ring *ring;
    enum err e;

    pthread_mutex_lock(&keyring->changes);
    ring = ring_copy(keyring->ring);
    e = edit(c, ring);
    if (!e) {
        ring_sort(ring);
        e = save(keyring, ring, c->why);
    }
    if (e)
        ring_unref(ring);
    else
        show(keyring, ring);
    if (!e && c->dead_file[0] && unlink(c->dead_file) && errno != ENOENT)
        e = system_failed(c->why, c->dead_file);
    pthread_mutex_unlock(&keyring->changes);
    return e;
}

static enum err
not_found(const struct change *c)
{
    return err_why(c->why, ERR_NOT_FOUND, "%.*s has no key named %.*s", STR_ARG(c->domain),
                   STR_ARG(c->selector));
}

/* A key's file that stands there without an entry is left from a change that a crash cut short. */
static enum err
store_key(const struct change *c, struct entry *entry, struct dkim_key *key)
{
    char path[PATH_MAX];
    struct buf record;
    enum err e = key_path(c->keyring, entry, path);

    if (e)
        return err_why(c->why, e, "the name is too long");
    if (unlink(path) && errno != ENOENT)
        return system_failed(c->why, path);
    e = dkim_key_save(key, path, c->why);
    if (e)
        return e;
    buf_init(&record, KEYRING_RECORD_MAX);
    e = dkim_key_record(key, &record);
    if (!e)
        entry->record = str_dup(buf_str(&record));
    buf_done(&record);
    return e ? err_why(c->why, e, "the record of the key cannot be made") : OK;
}

static enum err
edit_add(struct change *c, struct ring *ring)
{
    struct entry *entry = &ring->entries[ring->count];
    struct dkim_key *key;
    enum err e;

    if (ring_find(ring, c->domain, c->selector))
        return err_why(c->why, ERR_EXISTS, "%.*s has a key named %.*s already", STR_ARG(c->domain),
                       STR_ARG(c->selector));
    if (ring->count >= KEYRING_KEYS_MAX)
        return err_why(c->why, ERR_LIMIT, "there are %d keys already", KEYRING_KEYS_MAX);
    e = dkim_key_new(c->algorithm, &key, c->why);
    if (e)
        return e;
    ring->count++;
    *entry = (struct entry){
        .domain = str_dup(c->domain),
        .selector = str_dup(c->selector),
        .algorithm = str_dup(str_from(dkim_key_algorithm(key))),
        .state = KEY_NEW,
        .created = c->now,
        .changed = c->now,
        .held = held_new(key),
    };
    return store_key(c, entry, key);
}

enum err
keyring_add(struct keyring *keyring, str domain, str selector, str algorithm, instant now,
            struct why *why)
{
    struct change c = { .keyring = keyring,
                        .domain = domain,
                        .selector = selector,
                        .algorithm = algorithm,
                        .now = now,
                        .why = why };

    if (!is_name(domain, DNS_NAME_MAX))
        return err_why(why, ERR_SYNTAX, "\"%.*s\" is not a domain in lower case A-labels",
                       STR_ARG(domain));
    if (!is_name(selector, KEYRING_SELECTOR_MAX))
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" is not a selector: at most %d lower-case letters, digits, hyphens "
                       "and dots",
                       STR_ARG(selector), KEYRING_SELECTOR_MAX);
    if (selector.len + strlen("._domainkey.") + domain.len > DNS_NAME_MAX)
        return err_why(why, ERR_SYNTAX, "the name of the record would be longer than %d bytes",
                       DNS_NAME_MAX);
    return change(&c, edit_add);
}

static enum err
gone(const struct change *c, const char *what)
{
    return err_why(c->why, ERR_REFUSED, "the %s of %.*s at %.*s is gone: make a new key", what,
                   STR_ARG(c->selector), STR_ARG(c->domain));
}

static enum err
edit_state(struct change *c, struct ring *ring)
{
    struct entry *entry = ring_find(ring, c->domain, c->selector);
    str key;

    if (!entry)
        return not_found(c);
    if (!entry->held && c->state < KEY_RETIRED)
        return gone(c, "private half");
    /* Older versions forgot the record of a revoked key. */
    if (entry->state == KEY_REVOKED && c->state == KEY_RETIRED &&
        !(dkim_record_key(str_from(entry->record), &key) && key.len))
        return gone(c, "record");
    if (entry->state != c->state)
        entry->changed = c->now;
    entry->state = c->state;
    if (c->state != KEY_REVOKED)
        return OK;
    held_unref(take(entry->held));
    return key_path(c->keyring, entry, c->dead_file);
}

enum err
keyring_set_state(struct keyring *keyring, str domain, str selector, enum key_state state,
                  instant now, struct why *why)
{
    struct change c = { .keyring = keyring,
                        .domain = domain,
                        .selector = selector,
                        .state = state,
                        .now = now,
                        .why = why };

    return change(&c, edit_state);
}

static enum err
edit_activate(struct change *c, struct ring *ring)
{
    const struct entry *chosen = ring_find(ring, c->domain, c->selector);
    enum err e;

    c->state = KEY_ACTIVE;
    e = edit_state(c, ring);
    for (size_t i = 0; !e && i < ring->count; i++) {
        struct entry *entry = &ring->entries[i];
        if (entry == chosen || entry->state != KEY_ACTIVE ||
            !str_eq(str_from(entry->domain), c->domain) ||
            strcmp(entry->algorithm, chosen->algorithm) != 0)
            continue;
        entry->state = KEY_RETIRED;
        entry->changed = c->now;
    }
    return e;
}

enum err
keyring_activate(struct keyring *keyring, str domain, str selector, instant now, struct why *why)
{
    struct change c = {
        .keyring = keyring, .domain = domain, .selector = selector, .now = now, .why = why
    };

    return change(&c, edit_activate);
}

static enum err
edit_remove(struct change *c, struct ring *ring)
{
    struct entry *entry = ring_find(ring, c->domain, c->selector);
    enum err e;

    if (!entry)
        return not_found(c);
    if (entry->state == KEY_ACTIVE)
        return err_why(c->why, ERR_REFUSED, "%.*s at %.*s is active: retire it first",
                       STR_ARG(c->selector), STR_ARG(c->domain));
    e = key_path(c->keyring, entry, c->dead_file);
    if (e)
        return e;
    entry_done(entry);
    *entry = ring->entries[--ring->count];
    return OK;
}

enum err
keyring_remove(struct keyring *keyring, str domain, str selector, struct why *why)
{
    struct change c = { .keyring = keyring, .domain = domain, .selector = selector, .why = why };

    return change(&c, edit_remove);
}

/* --- Readers. */

void
keyring_each(struct keyring *keyring, bool (*fn)(void *arg, const struct key_info *key), void *arg)
{
    struct ring *ring = ring_of(keyring);

    for (size_t i = 0; i < ring->count; i++) {
        const struct entry *entry = &ring->entries[i];
        char empty[64];
        struct key_info info = {
            .domain = str_from(entry->domain),
            .selector = str_from(entry->selector),
            .algorithm = str_from(entry->algorithm),
            .state = entry->state,
            .created = entry->created,
            .changed = entry->changed,
            .record = str_from(entry->record),
            .whole = str_from(entry->record),
            .can_sign = entry->held != NULL,
        };
        /* RFC 6376 3.6.1: an empty p= says that the key is not to be believed any more. */
        if (entry->state == KEY_REVOKED) {
            snprintf(empty, sizeof(empty), "v=DKIM1; k=%s; p=", entry->algorithm);
            info.record = str_from(empty);
        }
        if (!fn(arg, &info))
            break;
    }
    ring_unref(ring);
}

/* The keys of exactly DOMAIN. */
static void
add_signers(const struct ring *ring, str domain, struct signers *signers)
{
    for (size_t i = ring_lower_bound(ring, domain);
         i < ring->count && str_eq(str_from(ring->entries[i].domain), domain); i++) {
        const struct entry *entry = &ring->entries[i];
        if (entry->state != KEY_ACTIVE || signers->count == SIGNERS_MAX)
            continue;
        signers->items[signers->count++] = (struct signer){
            .domain = str_from(entry->domain),
            .selector = str_from(entry->selector),
            .key = entry->held->key,
        };
    }
}

void
keyring_signers(struct keyring *keyring, str domain, struct signers *signers)
{
    struct ring *ring = ring_of(keyring);
    str label;

    *signers = (struct signers){ .ring = ring };
    while (domain.len && !signers->count) {
        add_signers(ring, domain, signers);
        if (!str_split(domain, '.', &label, &domain))
            break;
    }
}

void
signers_done(struct signers *signers)
{
    ring_unref(signers->ring);
    *signers = (struct signers){ 0 };
}
