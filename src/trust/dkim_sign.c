/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_sign.c: one signature.  RFC 6376 3.5 to 3.7 and 5.
 *
 * The signed fields are found in one walk, listed (h=) and hashed in canonical form, once for all
 * keys; then each key's field is written with an empty b=, hashed behind them, and b= is filled.
 * Start reading at dkim_section_new() and dkim_sign_section().
 */
#include "trust/dkim_sign.h"

#include "formats/header.h"
#include "trust/dkim_canon.h"
#include "trust/dkim_key.h"

#include <openssl/rsa.h>
#include <stdlib.h>

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

/* The fields that are signed, in the order of h=, and the hash of them, which is the same for all
 * signatures of a message. */
struct dkim_section {
    str names[SIGNED_FIELDS_MAX];
    size_t count;
    struct dkim_canon canon;
    /* Those that occur, in the order of the message, and which of the names each has. */
    struct header_field found[SIGNED_FIELDS_MAX];
    size_t found_name[SIGNED_FIELDS_MAX];
    size_t found_count;
};

/* The index of NAME in LIST, or COUNT. */
static size_t
index_of(const str *list, size_t count, str name)
{
    size_t i = 0;

    while (i < count && !(list[i].len == name.len && str_eq_nocase(list[i], name)))
        i++;
    return i;
}

/* One walk, however long the header is. */
static enum err
find_fields(struct dkim_section *section, const str *fields, size_t count, str header)
{
    struct header_field field;

    while (header_next(&header, &field)) {
        size_t i = index_of(fields, count, field.name);
        if (i == count)
            continue;
        if (section->found_count == SIGNED_FIELDS_MAX)
            return ERR_LIMIT;
        section->found_name[section->found_count] = i;
        section->found[section->found_count++] = field;
    }
    return OK;
}

static bool
add_name(struct dkim_section *section, str name)
{
    if (section->count == SIGNED_FIELDS_MAX)
        return false;
    section->names[section->count++] = name;
    return true;
}

/* From the bottom up (RFC 6376 5.4.2); once more for a field that nobody shall add. */
static enum err
choose_fields(struct dkim_section *section, const struct dkim_options *options, const str *fields,
              size_t count)
{
    const str *over = options->oversigned ? options->oversigned : usual_oversigned;
    size_t over_count =
        options->oversigned ? options->oversigned_count : COUNT_OF(usual_oversigned);

    for (size_t i = 0; i < count; i++) {
        if (index_of(fields, count, fields[i]) < i)
            continue;
        for (size_t k = section->found_count; k-- > 0;) {
            if (section->found_name[k] != i)
                continue;
            if (!add_name(section, fields[i]))
                return ERR_LIMIT;
            dkim_canon_field(&section->canon, &section->found[k]);
        }
        if (index_of(over, over_count, fields[i]) < over_count && !add_name(section, fields[i]))
            return ERR_LIMIT;
    }
    return OK;
}

enum err
dkim_section_new(const struct dkim_options *options, str header, struct dkim_section **result)
{
    const str *fields = options->fields ? options->fields : usual_fields;
    size_t count = options->fields ? options->field_count : COUNT_OF(usual_fields);
    size_t from = index_of(fields, count, S("From"));
    struct dkim_section *section = malloc(sizeof(*section));
    bool has_from = false;
    enum err e;

    if (!section)
        return ERR_LIMIT;
    section->count = section->found_count = 0;
    dkim_canon_init(&section->canon, options->header);
    e = find_fields(section, fields, count, header);
    for (size_t i = 0; i < section->found_count; i++)
        has_from = has_from || section->found_name[i] == from;
    if (!e && !has_from)
        e = ERR_SYNTAX;
    if (!e)
        e = choose_fields(section, options, fields, count);
    if (e) {
        dkim_section_free(section);
        return e;
    }
    *result = section;
    return OK;
}

void
dkim_section_free(struct dkim_section *section)
{
    if (!section)
        return;
    dkim_canon_done(&section->canon);
    free(section);
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
           const struct dkim_section *section, const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field)
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
    for (size_t i = 0; i < section->count; i++) {
        add_folding(field, &column, section->names[i]);
        add_folding(field, &column, i + 1 < section->count ? S(":") : S(";"));
    }
    buf_add(field, S("\r\n\tbh="));
    column = 11;
    add_base64_folding(field, &column, (str){ (const char *)body_hash, DKIM_HASH_SIZE });
    buf_add(field, S(";\r\n\tb="));
}

enum err
dkim_key_sign(const struct dkim_key *key, const uint8_t hash[DKIM_HASH_SIZE],
              unsigned char signature[DKIM_KEY_SIGNATURE_MAX], size_t *size)
{
    EVP_MD_CTX *signing;
    EVP_PKEY_CTX *rsa;
    int good;

    *size = DKIM_KEY_SIGNATURE_MAX;
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
dkim_sign_section(const struct dkim_key *key, const struct dkim_options *options,
                  const struct dkim_section *section, const uint8_t body_hash[DKIM_HASH_SIZE],
                  struct buf *field)
{
    struct dkim_canon canon;
    unsigned char signature[DKIM_KEY_SIGNATURE_MAX];
    uint8_t hash[DKIM_HASH_SIZE];
    size_t start = field->len, size, column = 10;
    enum err e;

    write_tags(key, options, section, body_hash, field);
    if (!buf_ok(field))
        return ERR_LIMIT;
    dkim_canon_copy(&canon, &section->canon);
    dkim_canon_last(&canon, str_skip(buf_str(field), start));
    dkim_canon_end(&canon, hash);
    dkim_canon_done(&canon);
    e = dkim_key_sign(key, hash, signature, &size);
    if (e)
        return e;
    add_base64_folding(field, &column, (str){ (const char *)signature, size });
    buf_add(field, S("\r\n"));
    return buf_ok(field) ? OK : ERR_LIMIT;
}

enum err
dkim_sign(const struct dkim_key *key, const struct dkim_options *options, str header,
          const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field)
{
    struct dkim_section *section;
    enum err e = dkim_section_new(options, header, &section);

    if (e)
        return e;
    e = dkim_sign_section(key, options, section, body_hash, field);
    dkim_section_free(section);
    return e;
}
