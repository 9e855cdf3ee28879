/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arc_seal.c: adds a set to a chain.  RFC 8617 5.1.
 *
 * What was found is written first, then the message is signed, then both are sealed with all sets
 * before them, or alone where those are broken (5.1.2).  The fields stand in the message in the
 * opposite order, so that the newest is on top.  Start reading at arc_seal().
 */
#include "trust/arc.h"

#include "trust/dkim_canon.h"
#include "trust/dkim_key.h"

#include <string.h>

enum {
    FOLD_AT = 70,
    RESULTS_MAX = 8, /* Signatures that are told of. */
    TAG_B_MAX = 8,   /* RFC 6008: as much of b= as tells two signatures apart. */
};

/* What a reader sees, and the signatures of those who wrote it.  Never what hops add. */
static const str signed_fields[] = {
    { "From", 4 },
    { "Sender", 6 },
    { "Reply-To", 8 },
    { "Subject", 7 },
    { "Date", 4 },
    { "Message-ID", 10 },
    { "To", 2 },
    { "Cc", 2 },
    { "MIME-Version", 12 },
    { "Content-Type", 12 },
    { "Content-Transfer-Encoding", 25 },
    { "In-Reply-To", 11 },
    { "References", 10 },
    { "List-Id", 7 },
    { "List-Unsubscribe", 16 },
    { "List-Unsubscribe-Post", 21 },
    { "DKIM-Signature", 14 },
};

struct set_text {
    struct buf results;
    struct buf message;
    struct buf seal;
};

bool
arc_may_seal(const struct arc_chain *chain)
{
    return chain->status != ARC_PENDING && chain->status != ARC_TEMPERROR && !chain->is_closed &&
           chain->count < ARC_SETS_MAX;
}

/* --- What was found. */

/* Whether TEXT needs no quotes as a value of RFC 8601: an address without surprises. */
static bool
is_plain(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 ||
            (c < 0x80 && !ascii_is_alnum((char)c) && !strchr("@.-_+=~!#$%&'*/?^`{|}", c)))
            return false;
    }
    return text.len > 0;
}

static void
add_dkim(const struct dkim_check *check, struct buf *buf)
{
    const struct dkim_signature *signature = &check->signature;
    static const char *const names[] = { [DKIM_RSA_SHA256] = "rsa-sha256",
                                         [DKIM_ED25519_SHA256] = "ed25519-sha256",
                                         [DKIM_RSA_SHA1] = "rsa-sha1" };

    buf_addf(buf, ";\r\n\tdkim=%s (%s)", dkim_result_name(check->result), check->why);
    if (!signature->domain.len)
        return;
    buf_addf(buf, "\r\n\theader.d=%.*s header.s=%.*s", STR_ARG(signature->domain),
             STR_ARG(signature->selector));
    if (signature->bytes.len) {
        str b = str_head(signature->text, TAG_B_MAX);
        buf_addf(buf, " header.a=%s", names[signature->algorithm]);
        if (str_is_printable(b) && str_find(b, ' ') < 0)
            buf_addf(buf, "\r\n\theader.b=\"%.*s\"", STR_ARG(b));
    }
}

static void
write_results(const struct arc_chain *chain, const struct dkim_verify *verify,
              const struct arc_seal_options *options, struct buf *buf)
{
    char client[IPADDR_TEXT_MAX];

    buf_addf(buf, "ARC-Authentication-Results: i=%u; %.*s;\r\n\tarc=%s", chain->count + 1,
             STR_ARG(options->authserv), arc_status_name(chain->status));
    if (chain->status == ARC_FAIL)
        buf_addf(buf, " (%s)", chain->why);
    if (options->has_client) {
        ipaddr_format(options->client, client);
        buf_addf(buf, "\r\n\tsmtp.remote-ip=%s%s%s", strchr(client, ':') ? "\"" : "", client,
                 strchr(client, ':') ? "\"" : "");
    }
    if (is_plain(options->mail_from))
        buf_addf(buf, "\r\n\tsmtp.mailfrom=%.*s", STR_ARG(options->mail_from));
    for (size_t i = 0; i < verify->count && i < RESULTS_MAX; i++)
        add_dkim(&verify->checks[i], buf);
    if (!verify->count)
        buf_add(buf, S(";\r\n\tdkim=none"));
    buf_add(buf, S("\r\n"));
}

/* --- Signatures. */

static void
add_folding(struct buf *buf, size_t *column, str word)
{
    if (*column + word.len > FOLD_AT) {
        buf_add(buf, S("\r\n\t"));
        *column = 8;
    }
    buf_add(buf, word);
    *column += word.len;
}

static void
add_base64(struct buf *buf, str bytes)
{
    size_t column = 11;
    struct buf text;

    buf_init(&text, 2 * DKIM_SIGNATURE_BYTES_MAX);
    dkim_add_base64(&text, bytes);
    for (str rest = buf_str(&text); rest.len;) {
        str piece = str_head(rest, column + 4 < FOLD_AT ? FOLD_AT - column : FOLD_AT - 8);
        add_folding(buf, &column, piece);
        rest = str_skip(rest, piece.len);
    }
    buf_done(&text);
}

static enum err
add_signature(const struct dkim_key *key, const uint8_t hash[DKIM_HASH_SIZE], struct buf *buf)
{
    unsigned char signature[DKIM_KEY_SIGNATURE_MAX];
    size_t size = 0;
    enum err e = dkim_key_sign(key, hash, signature, &size);

    if (e)
        return e;
    add_base64(buf, (str){ (const char *)signature, size });
    buf_add(buf, S("\r\n"));
    return buf_ok(buf) ? OK : ERR_LIMIT;
}

static size_t
occurrences(const struct dkim_fields *fields, str name)
{
    size_t count = 0;

    for (size_t i = 0; i < fields->count; i++)
        count += header_is(&fields->items[i].field, name);
    return count;
}

/* NAMES, for h=: as often as they occur. */
static enum err
choose_names(const struct dkim_fields *fields, struct buf *names)
{
    size_t total = 0;

    if (!occurrences(fields, S("From")))
        return ERR_SYNTAX;
    for (size_t i = 0; i < COUNT_OF(signed_fields); i++)
        for (size_t count = occurrences(fields, signed_fields[i]); count > 0; count--) {
            if (++total > DKIM_NAMES_MAX)
                return ERR_LIMIT;
            if (names->len)
                buf_add_byte(names, ':');
            buf_add(names, signed_fields[i]);
        }
    return buf_ok(names) ? OK : ERR_LIMIT;
}

static enum err
write_message_signature(const struct arc_chain *chain, const struct arc_seal_options *options,
                        const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *buf)
{
    uint8_t hash[DKIM_HASH_SIZE];
    struct buf names;
    size_t column = 10;
    enum err e;
    str word;

    buf_init(&names, ARC_FIELDS_MAX);
    e = choose_names(chain->fields, &names);
    buf_addf(buf,
             "ARC-Message-Signature: i=%u; a=rsa-sha256; c=relaxed/relaxed;\r\n\t"
             "d=%.*s; s=%.*s; t=%lld;\r\n\th=",
             chain->count + 1, STR_ARG(options->domain), STR_ARG(options->selector),
             (long long)(options->now / SECONDS(1)));
    for (str rest = buf_str(&names); dkim_list_next(&rest, &word);) {
        add_folding(buf, &column, word);
        add_folding(buf, &column, rest.len ? S(":") : S(";"));
    }
    buf_add(buf, S("\r\n\tbh="));
    add_base64(buf, (str){ (const char *)body_hash, DKIM_HASH_SIZE });
    buf_add(buf, S(";\r\n\tb="));
    if (!e && !buf_ok(buf))
        e = ERR_LIMIT;
    if (!e) {
        dkim_fields_hash(chain->fields, DKIM_RELAXED, buf_str(&names), NULL, buf_str(buf), hash);
        e = add_signature(options->key, hash, buf);
    }
    buf_done(&names);
    return e;
}

static void
cover(struct dkim_canon *canon, str text)
{
    struct header_field field;

    if (header_next(&text, &field))
        dkim_canon_field(canon, &field);
}

/* RFC 8617 5.1.1 and 5.1.2. */
static enum err
write_seal(const struct arc_chain *chain, const struct arc_seal_options *options,
           struct set_text *text)
{
    uint8_t hash[DKIM_HASH_SIZE];
    struct dkim_canon canon;

    buf_addf(&text->seal,
             "ARC-Seal: i=%u; cv=%s; a=rsa-sha256;\r\n\td=%.*s; s=%.*s; t=%lld;\r\n\tb=",
             chain->count + 1, arc_status_name(chain->status), STR_ARG(options->domain),
             STR_ARG(options->selector), (long long)(options->now / SECONDS(1)));
    if (!buf_ok(&text->seal))
        return ERR_LIMIT;
    dkim_canon_init(&canon, DKIM_RELAXED);
    for (unsigned i = 0; chain->status == ARC_PASS && i < chain->count; i++) {
        dkim_canon_field(&canon, chain->sets[i].results);
        dkim_canon_field(&canon, chain->sets[i].message);
        dkim_canon_field(&canon, chain->sets[i].seal);
    }
    cover(&canon, buf_str(&text->results));
    cover(&canon, buf_str(&text->message));
    dkim_canon_last(&canon, buf_str(&text->seal));
    dkim_canon_end(&canon, hash);
    dkim_canon_done(&canon);
    return add_signature(options->key, hash, &text->seal);
}

enum err
arc_seal(const struct arc_chain *chain, const struct dkim_verify *verify,
         const struct arc_seal_options *options, const uint8_t body_hash[DKIM_HASH_SIZE],
         struct buf *out)
{
    struct set_text text;
    size_t before = out->len;
    enum err e;

    buf_init(&text.results, ARC_FIELDS_MAX);
    buf_init(&text.message, ARC_FIELDS_MAX);
    buf_init(&text.seal, ARC_FIELDS_MAX);
    write_results(chain, verify, options, &text.results);
    e = buf_ok(&text.results) ? OK : ERR_LIMIT;
    if (!e)
        e = write_message_signature(chain, options, body_hash, &text.message);
    if (!e)
        e = write_seal(chain, options, &text);
    buf_add(out, buf_str(&text.seal));
    buf_add(out, buf_str(&text.message));
    buf_add(out, buf_str(&text.results));
    if (e || !buf_ok(out))
        out->len = before;
    buf_done(&text.results);
    buf_done(&text.message);
    buf_done(&text.seal);
    return e ? e : buf_ok(out) ? OK : ERR_LIMIT;
}
