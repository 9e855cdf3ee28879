/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_update.c: requests, and what becomes of them.
 *
 * A request is: header, the zone, "delete all TXT of the name", "add this TXT", and the TSIG
 * record, whose MAC is over all before it and its own variables (RFC 8945 4.3.3).  The MAC of the
 * answer is over the MAC of the request as well, so that an old answer proves nothing.  Only the
 * last record of an answer is of interest, but all before it are walked to find it.  Start reading
 * at dns_update_encode() and dns_update_check().
 */
#include "runtime/dns_update.h"

#include "formats/base64.h"
#include "runtime/clock.h"
#include "runtime/dns_ask.h"
#include "runtime/dns_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_SIZE = 12,
    FLAGS_UPDATE = 0x2800, /* Opcode 5. */
    TYPE_SOA = 6,
    TYPE_TXT = 16,
    TYPE_TSIG = 250,
    CLASS_IN = 1,
    CLASS_ANY = 255,
    STRING_MAX = 255, /* Of a TXT record. */
    SECRET_FILE_MAX = 1024,
    VARIABLES_MAX = 1024,
    EXCHANGE_MEMORY_MAX = 256 * 1024,
    TSIG_BADTIME = 18,
};

static const char algorithm[] = "hmac-sha256";

/* --- The key. */

enum err
tsig_key_load(const char *path, str name, struct tsig_key *key, struct why *why)
{
    char text[SECRET_FILE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct arena arena;
    struct stat stat;
    ssize_t size;
    str line, rest, secret = { 0 };
    enum err e;

    *key = (struct tsig_key){ .secret_size = 0 };
    if (!dns_name_normalize(name, key->name))
        e = err_why(why, ERR_SYNTAX, "the name of the key is not a name");
    else
        e = fd < 0 || fstat(fd, &stat)
                ? err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno))
                : OK;
    if (!e && (stat.st_mode & 077))
        e = err_why(why, ERR_REFUSED, "%s can be read by others: chmod 600", path);
    size = e ? 0 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    if (e)
        return e;
    if (size < 0)
        return err_why(why, ERR_IO, "%s: %s", path, strerror(errno));
    arena_init(&arena, SECRET_FILE_MAX);
    (void)str_split((str){ text, (size_t)size }, '\n', &line, &rest);
    e = base64_decode(str_trim(line), &arena, &secret);
    if (!e && secret.len && secret.len <= TSIG_SECRET_MAX) {
        memcpy(key->secret, secret.ptr, secret.len);
        key->secret_size = secret.len;
    } else {
        e = err_why(why, ERR_SYNTAX, "the first line of %s is no key of at most %d bytes in base64",
                    path, TSIG_SECRET_MAX);
    }
    if (secret.len)
        OPENSSL_cleanse((void *)(uintptr_t)secret.ptr, secret.len);
    OPENSSL_cleanse(text, sizeof(text));
    arena_done(&arena);
    return e;
}

void
tsig_key_done(struct tsig_key *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}

/* --- MACs. */

static void
add_u48(struct buf *buf, uint64_t value)
{
    dns_add_u16(buf, (unsigned)(value >> 32) & 0xffff);
    dns_add_u32(buf, (uint32_t)value);
}

/* RFC 8945 4.3.3. */
static void
add_variables(struct buf *buf, const struct tsig_key *key, uint64_t time, unsigned fudge,
              unsigned error, str other)
{
    dns_add_name(buf, str_from(key->name));
    dns_add_u16(buf, CLASS_ANY);
    dns_add_u32(buf, 0);
    dns_add_name(buf, str_from(algorithm));
    add_u48(buf, time);
    dns_add_u16(buf, fudge);
    dns_add_u16(buf, error);
    dns_add_u16(buf, (unsigned)other.len);
    buf_add(buf, other);
}

static enum err
make_mac(const struct tsig_key *key, str bytes, uint8_t mac[TSIG_MAC_SIZE])
{
    unsigned size = TSIG_MAC_SIZE;

    return HMAC(EVP_sha256(), key->secret, (int)key->secret_size, (const unsigned char *)bytes.ptr,
                bytes.len, mac, &size)
               ? OK
               : ERR_IO;
}

/* --- The request. */

/* All TXT records of the name go. */
static void
add_deletion(struct buf *message, str name)
{
    dns_add_name(message, name);
    dns_add_u16(message, TYPE_TXT);
    dns_add_u16(message, CLASS_ANY);
    dns_add_u32(message, 0);
    dns_add_u16(message, 0);
}

static void
add_text(struct buf *message, str name, uint32_t ttl, str text)
{
    size_t strings = (text.len + STRING_MAX - 1) / STRING_MAX;

    dns_add_name(message, name);
    dns_add_u16(message, TYPE_TXT);
    dns_add_u16(message, CLASS_IN);
    dns_add_u32(message, ttl);
    dns_add_u16(message, (unsigned)(text.len + strings));
    while (text.len) {
        str piece = str_head(text, STRING_MAX);
        buf_add_byte(message, (char)piece.len);
        buf_add(message, piece);
        text = str_skip(text, piece.len);
    }
}

static void
add_tsig(struct buf *message, const struct tsig_key *key, const struct tsig_sent *sent)
{
    size_t data_at;

    dns_add_name(message, str_from(key->name));
    dns_add_u16(message, TYPE_TSIG);
    dns_add_u16(message, CLASS_ANY);
    dns_add_u32(message, 0);
    data_at = message->len;
    dns_add_u16(message, 0);
    dns_add_name(message, str_from(algorithm));
    add_u48(message, sent->time);
    dns_add_u16(message, TSIG_FUDGE);
    dns_add_u16(message, TSIG_MAC_SIZE);
    buf_add(message, (str){ (const char *)sent->mac, TSIG_MAC_SIZE });
    dns_add_u16(message, sent->id);
    dns_add_u16(message, 0);
    dns_add_u16(message, 0);
    if (!buf_ok(message))
        return;
    message->data[data_at] = (char)((message->len - data_at - 2) >> 8);
    message->data[data_at + 1] = (char)(message->len - data_at - 2);
    message->data[11] = 1; /* ARCOUNT, which the MAC does not know of. */
}

enum err
dns_update_encode(const struct dns_update *update, const struct tsig_key *key, uint16_t id,
                  instant now, struct buf *message, struct tsig_sent *sent)
{
    char zone[256], name[256];
    struct buf signed_bytes;
    enum err e;

    if (!dns_name_normalize(update->zone, zone) || !dns_name_normalize(update->name, name))
        return ERR_SYNTAX;
    if (update->text.len > DNS_UPDATE_TEXT_MAX)
        return ERR_LIMIT;
    *sent = (struct tsig_sent){ .id = id, .time = (uint64_t)(now / SECONDS(1)) };
    buf_clear(message);
    dns_add_u16(message, id);
    dns_add_u16(message, FLAGS_UPDATE);
    dns_add_u16(message, 1);
    dns_add_u16(message, 0);
    dns_add_u16(message, update->text.len ? 2 : 1);
    dns_add_u16(message, 0);
    dns_add_name(message, str_from(zone));
    dns_add_u16(message, TYPE_SOA);
    dns_add_u16(message, CLASS_IN);
    add_deletion(message, str_from(name));
    if (update->text.len)
        add_text(message, str_from(name), update->ttl, update->text);
    buf_init(&signed_bytes, message->len + VARIABLES_MAX);
    buf_add(&signed_bytes, buf_str(message));
    add_variables(&signed_bytes, key, sent->time, TSIG_FUDGE, 0, S(""));
    e = buf_ok(&signed_bytes) ? make_mac(key, buf_str(&signed_bytes), sent->mac) : ERR_LIMIT;
    buf_done(&signed_bytes);
    if (e)
        return e;
    add_tsig(message, key, sent);
    return buf_ok(message) ? OK : ERR_LIMIT;
}

/* --- The answer. */

struct reader {
    str bytes;
    size_t at;
    bool failed;
};

static uint64_t
read_number(struct reader *reader, size_t size)
{
    uint64_t value = 0;

    if (reader->bytes.len - reader->at < size) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (uint8_t)reader->bytes.ptr[reader->at++];
    return value;
}

static str
read_bytes(struct reader *reader, size_t size)
{
    str bytes = { 0 };

    if (reader->failed || reader->bytes.len - reader->at < size) {
        reader->failed = true;
        return bytes;
    }
    bytes = (str){ reader->bytes.ptr + reader->at, size };
    reader->at += size;
    return bytes;
}

/* Past a name, compressed or not. */
static void
skip_name(struct reader *reader)
{
    for (;;) {
        uint64_t length = read_number(reader, 1);
        if (reader->failed || length == 0)
            return;
        if ((length & 0xc0) == 0xc0) {
            (void)read_number(reader, 1);
            return;
        }
        if (length & 0xc0)
            reader->failed = true;
        (void)read_bytes(reader, (size_t)length);
    }
}

/* Whether the bytes that come next are NAME, uncompressed (RFC 8945 4.2), in any case. */
static bool
is_name(struct reader *reader, str name)
{
    struct buf wanted;
    bool same;

    buf_init(&wanted, VARIABLES_MAX);
    dns_add_name(&wanted, name);
    same = str_eq_nocase(read_bytes(reader, wanted.len), buf_str(&wanted));
    buf_done(&wanted);
    return same;
}

/* The TSIG record of an answer, which is its last one. */
struct tsig_found {
    size_t at; /* Where it begins. */
    uint64_t time;
    unsigned fudge, original_id, error;
    str mac, other;
};

/* ERR_NOT_FOUND: there is none by this key. */
static enum err
find_tsig(struct reader *reader, const struct tsig_key *key, struct tsig_found *found)
{
    size_t questions, records;

    reader->at = 4;
    questions = read_number(reader, 2);
    records = read_number(reader, 2) + read_number(reader, 2);
    records += read_number(reader, 2);
    for (size_t i = 0; i < questions && !reader->failed; i++) {
        skip_name(reader);
        (void)read_number(reader, 4);
    }
    for (size_t i = 0; i + 1 < records && !reader->failed; i++) {
        skip_name(reader);
        (void)read_number(reader, 8);
        (void)read_bytes(reader, read_number(reader, 2));
    }
    if (reader->failed)
        return ERR_SYNTAX;
    found->at = reader->at;
    if (!records || !is_name(reader, str_from(key->name)) || read_number(reader, 2) != TYPE_TSIG ||
        read_number(reader, 2) != CLASS_ANY)
        return ERR_NOT_FOUND;
    if (read_number(reader, 4) || read_number(reader, 2) != reader->bytes.len - reader->at)
        return ERR_SYNTAX;
    if (!is_name(reader, str_from(algorithm)))
        return ERR_NOT_FOUND;
    found->time = read_number(reader, 6);
    found->fudge = (unsigned)read_number(reader, 2);
    found->mac = read_bytes(reader, read_number(reader, 2));
    found->original_id = (unsigned)read_number(reader, 2);
    found->error = (unsigned)read_number(reader, 2);
    found->other = read_bytes(reader, read_number(reader, 2));
    return reader->failed || reader->at != reader->bytes.len ? ERR_SYNTAX : OK;
}

/* RFC 8945 5.3: over the request's MAC, the answer as it was before it was signed, the variables.
 */
static enum err
check_mac(str packet, const struct tsig_found *found, const struct tsig_sent *sent,
          const struct tsig_key *key)
{
    uint8_t mac[TSIG_MAC_SIZE];
    unsigned additional = (unsigned)(uint8_t)packet.ptr[10] << 8 | (uint8_t)packet.ptr[11];
    struct buf bytes;
    enum err e;

    if (found->mac.len != TSIG_MAC_SIZE)
        return ERR_CORRUPT;
    buf_init(&bytes, packet.len + VARIABLES_MAX);
    dns_add_u16(&bytes, TSIG_MAC_SIZE);
    buf_add(&bytes, (str){ (const char *)sent->mac, TSIG_MAC_SIZE });
    dns_add_u16(&bytes, found->original_id);
    buf_add(&bytes, str_head(str_skip(packet, 2), 8));
    dns_add_u16(&bytes, additional - 1);
    buf_add(&bytes, str_skip(str_head(packet, found->at), HEADER_SIZE));
    add_variables(&bytes, key, found->time, found->fudge, found->error, found->other);
    e = buf_ok(&bytes) ? make_mac(key, buf_str(&bytes), mac) : ERR_LIMIT;
    buf_done(&bytes);
    if (e)
        return e;
    return CRYPTO_memcmp(mac, found->mac.ptr, TSIG_MAC_SIZE) ? ERR_CORRUPT : OK;
}

static const char *
rcode_text(unsigned rcode)
{
    static const char *const texts[] = {
        [1] = "it cannot read the request (FORMERR)",
        [2] = "it failed (SERVFAIL)",
        [3] = "there is no such name (NXDOMAIN)",
        [4] = "it takes no updates (NOTIMP)",
        [5] = "this key may not do that (REFUSED)",
        [9] = "it does not serve that zone, or not to this key (NOTAUTH)",
        [10] = "the name is not in that zone (NOTZONE)",
    };

    return rcode < COUNT_OF(texts) && texts[rcode] ? texts[rcode] : "it refuses";
}

/* RFC 8945 5.2: an answer to a request that did not prove itself is not signed. */
static const char *
tsig_error_text(unsigned error)
{
    switch (error) {
    case 16:
        return "the server says that the secret is another (BADSIG)";
    case 17:
        return "the server does not know the name of the key (BADKEY)";
    case TSIG_BADTIME:
        return "the server's clock and ours differ too much (BADTIME)";
    default:
        return "the answer is not signed with our key";
    }
}

enum err
dns_update_check(str packet, const struct tsig_sent *sent, const struct tsig_key *key, instant now,
                 struct why *why)
{
    struct reader reader = { .bytes = packet };
    struct tsig_found found = { 0 };
    uint64_t seconds = (uint64_t)(now / SECONDS(1));
    unsigned rcode;
    enum err e;

    if (packet.len < HEADER_SIZE || read_number(&reader, 2) != sent->id ||
        (read_number(&reader, 2) & 0xf800) != (0x8000 | FLAGS_UPDATE))
        return err_why(why, ERR_SYNTAX, "that is no answer to the update");
    rcode = (uint8_t)packet.ptr[3] & 15;
    e = find_tsig(&reader, key, &found);
    if (e == ERR_SYNTAX)
        return err_why(why, e, "the answer is malformed");
    if (e && rcode)
        return err_why(why, ERR_REFUSED, "%s", rcode_text(rcode));
    if (e)
        return err_why(why, ERR_CORRUPT, "%s", tsig_error_text(0));
    e = check_mac(packet, &found, sent, key);
    if (e == ERR_CORRUPT && rcode && !found.mac.len)
        return err_why(why, ERR_REFUSED, "%s", tsig_error_text(found.error));
    if (e)
        return err_why(why, e, "%s", tsig_error_text(0));
    if (found.error)
        return err_why(why, ERR_REFUSED, "%s", tsig_error_text(found.error));
    if (found.time + found.fudge < seconds || seconds + found.fudge < found.time)
        return err_why(why, ERR_CORRUPT, "%s", tsig_error_text(TSIG_BADTIME));
    return rcode ? err_why(why, ERR_REFUSED, "%s", rcode_text(rcode)) : OK;
}

/* --- Both. */

WAITS static enum err
send_update(struct arena *arena, const struct dns_update *update, const struct tsig_key *key,
            const struct endpoint *server, instant deadline, struct why *why)
{
    struct tsig_sent sent;
    struct buf message;
    uint16_t id;
    str answer;
    enum err e;

    random_bytes(&id, sizeof(id));
    buf_init(&message, DNS_MESSAGE_MAX);
    e = dns_update_encode(update, key, id, clock_now(), &message, &sent);
    if (e)
        e = err_why(why, e, "the update cannot be written (%s)", err_name(e));
    else
        e = dns_exchange(arena, server, buf_str(&message), deadline, &answer, why);
    buf_done(&message);
    return e ? e : dns_update_check(answer, &sent, key, clock_now(), why);
}

enum err
dns_update_send(const struct dns_update *update, const struct tsig_key *key,
                const struct endpoint *server, instant deadline, struct why *why)
{
    struct arena arena;
    enum err e;

    arena_init(&arena, EXCHANGE_MEMORY_MAX);
    e = send_update(&arena, update, key, server, deadline, why);
    arena_done(&arena);
    return e;
}
