/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_sign.c: one signature.  RFC 6376 3.5 to 3.7 and 5.
 *
 * The list of signed fields is made first (h=), then the field is written with an empty b=, the signed
 * fields and it are hashed in canonical form, and b= is filled.  Start reading at dkim_sign().
 */
#include "trust/dkim_sign.h"

#include "formats/header.h"
#include "trust/dkim_canon.h"
#include "trust/dkim_key.h"

#include <openssl/rsa.h>

enum { SIGNED_FIELDS_MAX = 100, SIGNATURE_MAX = 1024, FOLD_AT = 72 };

/* RFC 6376 5.4.1, and what makes a mail look different. */
static const str usual_fields[] = {
    { "From", 4 },        { "Sender", 6 },      { "Reply-To", 8 },    { "Subject", 7 },
    { "Date", 4 },        { "Message-ID", 10 }, { "To", 2 },          { "Cc", 2 },
    { "MIME-Version", 12 }, { "Content-Type", 12 }, { "Content-Transfer-Encoding", 25 },
    { "In-Reply-To", 11 }, { "References", 10 }, { "List-Id", 7 },
    { "List-Unsubscribe", 16 }, { "List-Unsubscribe-Post", 21 },
};
static const str usual_oversigned[] = {
    { "From", 4 }, { "To", 2 }, { "Cc", 2 }, { "Subject", 7 }, { "Reply-To", 8 }, { "Date", 4 },
    { "Content-Type", 12 },
};

/* Which instance of a name is signed next: from the bottom up.  RFC 6376 5.4.2. */
static bool
find_from_bottom(str header, str name, size_t skip, struct header_field *found)
{
    struct header_field field;
    str rest = header;
    size_t count = 0;

    while (header_next(&rest, &field))
        count += header_is(&field, name);
    if (count <= skip)
        return false;
    rest = header;
    for (size_t at = 0; header_next(&rest, &field);)
        if (header_is(&field, name) && at++ == count - skip - 1) {
            *found = field;
            return true;
        }
    return false;
}

/* The names for h=, each as often as it is signed. */
struct names {
    str items[SIGNED_FIELDS_MAX];
    size_t count;
};

static size_t
occurrences(str header, str name)
{
    struct header_field field;
    size_t count = 0;

    while (header_next(&header, &field))
        count += header_is(&field, name);
    return count;
}

static bool
add_names(struct names *names, str name, size_t times)
{
    for (; times; times--) {
        if (names->count == COUNT_OF(names->items))
            return false;
        names->items[names->count++] = name;
    }
    return true;
}

static bool
holds_name(const str *list, size_t count, str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(list[i], name))
            return true;
    return false;
}

static enum err
choose_names(const struct dkim_options *options, str header, struct names *names)
{
    const str *fields = options->fields ? options->fields : usual_fields;
    size_t count = options->fields ? options->field_count : COUNT_OF(usual_fields);
    const str *over = options->oversigned ? options->oversigned : usual_oversigned;
    size_t over_count =
        options->oversigned ? options->oversigned_count : COUNT_OF(usual_oversigned);

    if (!occurrences(header, S("From")) || !holds_name(fields, count, S("From")))
        return ERR_SYNTAX;
    for (size_t i = 0; i < count; i++) {
        size_t times = occurrences(header, fields[i]) + holds_name(over, over_count, fields[i]);
        if (!add_names(names, fields[i], times))
            return ERR_LIMIT;
    }
    return OK;
}

/* Adds WORD; a new line is begun where it would be too long. */
static void
add_folding(struct buf *field, size_t *column, str word)
{
    if (*column + word.len > FOLD_AT) {
        buf_add(field, S("\r\n\t"));
        *column = 8;
    }
    buf_add(field, word);
    *column += word.len;
}

static void
add_base64_folding(struct buf *field, size_t *column, str bytes)
{
    struct buf text;

    buf_init(&text, 2 * SIGNATURE_MAX);
    dkim_add_base64(&text, bytes);
    for (str rest = buf_str(&text); rest.len;) {
        size_t room = *column + 4 < FOLD_AT ? FOLD_AT - *column : FOLD_AT - 8;
        str piece = str_head(rest, room);
        add_folding(field, column, piece);
        rest = str_skip(rest, piece.len);
    }
    buf_done(&text);
}

static void
write_tags(const struct dkim_key *key, const struct dkim_options *options,
           const struct names *names, const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field)
{
    static const char *const forms[] = { [DKIM_SIMPLE] = "simple", [DKIM_RELAXED] = "relaxed" };
    size_t column = 8;

    buf_addf(field, "DKIM-Signature: v=1; a=%s-sha256; c=%s/%s;\r\n\td=%.*s; s=%.*s;\r\n\t",
             dkim_key_algorithm(key), forms[options->header], forms[options->body],
             STR_ARG(options->domain), STR_ARG(options->selector));
    if (options->signed_at)
        buf_addf(field, "t=%lld; ", (long long)(options->signed_at / SECONDS(1)));
    if (options->expires_at)
        buf_addf(field, "x=%lld; ", (long long)(options->expires_at / SECONDS(1)));
    if (options->signed_at || options->expires_at)
        buf_add(field, S("\r\n\t"));
    add_folding(field, &column, S("h="));
    for (size_t i = 0; i < names->count; i++) {
        add_folding(field, &column, names->items[i]);
        add_folding(field, &column, i + 1 < names->count ? S(":") : S(";"));
    }
    buf_add(field, S("\r\n\tbh="));
    column = 11;
    add_base64_folding(field, &column, (str){ (const char *)body_hash, DKIM_HASH_SIZE });
    buf_add(field, S(";\r\n\tb="));
}

static void
feed_signed_fields(struct dkim_canon *canon, str header, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        struct header_field field;
        size_t before = 0;
        for (size_t j = 0; j < i; j++)
            before += str_eq_nocase(names->items[j], names->items[i]);
        if (find_from_bottom(header, names->items[i], before, &field))
            dkim_canon_field(canon, &field);
    }
}

static enum err
make_signature(const struct dkim_key *key, const uint8_t hash[DKIM_HASH_SIZE],
               unsigned char signature[SIGNATURE_MAX], size_t *size)
{
    EVP_MD_CTX *signing;
    EVP_PKEY_CTX *rsa;
    int good;

    *size = SIGNATURE_MAX;
    if (!key->is_rsa) { /* RFC 8463 3: Ed25519 signs the SHA-256 hash. */
        signing = EVP_MD_CTX_new();
        good = signing && EVP_DigestSignInit(signing, NULL, NULL, NULL, key->pkey) == 1 &&
               EVP_DigestSign(signing, signature, size, hash, DKIM_HASH_SIZE) == 1;
        EVP_MD_CTX_free(signing);
        return good ? OK : ERR_IO;
    }
    rsa = EVP_PKEY_CTX_new(key->pkey, NULL);
    good = rsa && EVP_PKEY_sign_init(rsa) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(rsa, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(rsa, EVP_sha256()) == 1 &&
           EVP_PKEY_sign(rsa, signature, size, hash, DKIM_HASH_SIZE) == 1;
    EVP_PKEY_CTX_free(rsa);
    return good ? OK : ERR_IO;
}

enum err
dkim_sign(const struct dkim_key *key, const struct dkim_options *options, str header,
          const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field)
{
    struct dkim_canon canon;
    struct names names = { .count = 0 };
    unsigned char signature[SIGNATURE_MAX];
    uint8_t hash[DKIM_HASH_SIZE];
    size_t start = field->len, size, column = 10;
    enum err e;

    e = choose_names(options, header, &names);
    if (e)
        return e;
    write_tags(key, options, &names, body_hash, field);
    if (!buf_ok(field))
        return ERR_LIMIT;
    dkim_canon_init(&canon, options->header);
    feed_signed_fields(&canon, header, &names);
    dkim_canon_last(&canon, str_skip(buf_str(field), start));
    dkim_canon_end(&canon, hash);
    dkim_canon_done(&canon);
    e = make_signature(key, hash, signature, &size);
    if (e)
        return e;
    add_base64_folding(field, &column, (str){ (const char *)signature, size });
    buf_add(field, S("\r\n"));
    return buf_ok(field) ? OK : ERR_LIMIT;
}
