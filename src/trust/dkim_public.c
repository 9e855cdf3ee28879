/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_public.c: from the name of a key to its verdict.  Start reading at dkim_public_ask(). */
#include "trust/dkim_public.h"

#include "base/must.h"
#include "formats/base64.h"
#include "trust/dkim_tags.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>

enum {
    ED25519_KEY_SIZE = 32,
    ED25519_SIGNATURE_SIZE = 64
};

const char *
dkim_result_name(enum dkim_result result)
{
    static const char *const names[] = {
        [DKIM_PENDING] = "none",    [DKIM_PASS] = "pass",           [DKIM_FAIL] = "fail",
        [DKIM_NEUTRAL] = "neutral", [DKIM_TEMPERROR] = "temperror", [DKIM_PERMERROR] = "permerror",
    };

    return names[result];
}

WAITS enum err
dkim_lookup_dns(void *deadline, struct arena *arena, str name, struct dns_answer *answer)
{
    return dns_lookup(arena, name, DNS_TXT, *(const instant *)deadline, answer);
}

enum err
dkim_base64(str text, size_t max, struct arena *arena, str *bytes)
{
    char *room;
    size_t len = 0;

    if (text.len > 2 * max + 64)
        return ERR_LIMIT;
    room = arena_alloc(arena, text.len + 1);
    if (!room)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\r' && text.ptr[i] != '\n')
            room[len++] = text.ptr[i];
    return base64_decode((str){ room, len }, arena, bytes);
}

static enum dkim_result
say(char why[DKIM_WHY_MAX], enum dkim_result result, const char *text)
{
    snprintf(why, DKIM_WHY_MAX, "%s", text);
    return result;
}

/* RFC 6376 3.6.1: h=, k=, s=, t=; unknown flags mean nothing. */
static enum dkim_result
judge_tags(const struct dkim_tags *tags, enum dkim_algorithm algorithm, char why[DKIM_WHY_MAX])
{
    const struct dkim_tag *version = dkim_tag_find(tags, S("v"));
    const struct dkim_tag *hashes = dkim_tag_find(tags, S("h"));
    const struct dkim_tag *services = dkim_tag_find(tags, S("s"));
    const struct dkim_tag *type = dkim_tag_find(tags, S("k"));

    if (version && (version != tags->items || !str_eq(version->value, S("DKIM1"))))
        return say(why, DKIM_PERMERROR, "the key record is of another version");
    if (hashes && !dkim_list_has(hashes->value, S("sha256")))
        return say(why, DKIM_PERMERROR, "the key is not for SHA-256");
    if (services && !dkim_list_has(services->value, S("*")) &&
        !dkim_list_has(services->value, S("email")))
        return say(why, DKIM_PERMERROR, "the key is not for mail");
    if (!str_eq(type ? type->value : S("rsa"),
                algorithm == DKIM_ED25519_SHA256 ? S("ed25519") : S("rsa")))
        return say(why, DKIM_PERMERROR, "the key is of another kind than the signature");
    if (!dkim_tag_find(tags, S("p")))
        return say(why, DKIM_PERMERROR, "the key record holds no key");
    if (!dkim_tag_value(tags, S("p")).len)
        return say(why, DKIM_PERMERROR, "the key was revoked");
    return DKIM_PENDING;
}

enum dkim_result
dkim_public_parse(str record, enum dkim_algorithm algorithm, struct arena *arena,
                  struct dkim_public *key, char why[DKIM_WHY_MAX])
{
    struct dkim_tags tags;
    enum dkim_result result;
    str flags;

    if (record.len > DKIM_KEY_RECORD_MAX)
        return say(why, DKIM_PERMERROR, "the key record is too long");
    if (!dkim_tags_parse(record, &tags))
        return say(why, DKIM_PERMERROR, "the key record cannot be read");
    result = judge_tags(&tags, algorithm, why);
    if (result)
        return result;
    flags = dkim_tag_value(&tags, S("t"));
    *key = (struct dkim_public){ .algorithm = algorithm,
                                 .is_strict = dkim_list_has(flags, S("s")),
                                 .is_testing = dkim_list_has(flags, S("y")) };
    if (dkim_base64(dkim_tag_value(&tags, S("p")), DKIM_KEY_RECORD_MAX, arena, &key->bytes))
        return say(why, DKIM_PERMERROR, "the key cannot be read");
    return DKIM_PENDING;
}

/* RFC 6376 6.1.2: of several records that are usable, the first one; of none, what is wrong with
 * the first. */
static enum dkim_result
choose(const struct dns_answer *answer, enum dkim_algorithm algorithm, struct arena *arena,
       struct dkim_public *key, char why[DKIM_WHY_MAX])
{
    enum dkim_result first = DKIM_PENDING;

    for (size_t i = 0; i < answer->count && i < DKIM_KEY_RECORDS_MAX; i++) {
        char reason[DKIM_WHY_MAX];
        enum dkim_result result =
            dkim_public_parse(answer->records[i].data, algorithm, arena, key, reason);
        if (!result)
            return DKIM_PENDING;
        if (!first)
            first = say(why, result, reason);
    }
    return first ? first : say(why, DKIM_PERMERROR, "there is no such key in the DNS");
}

WAITS enum err
dkim_public_ask(const struct dkim_lookup *lookup, struct arena *arena, str domain, str selector,
                enum dkim_algorithm algorithm, struct dkim_public *key, enum dkim_result *result,
                char why[DKIM_WHY_MAX])
{
    struct dns_answer answer = {};
    enum err e;
    str name;

    if (!arena_printf(arena, &name, "%.*s._domainkey.%.*s", STR_ARG(selector), STR_ARG(domain)))
        return ERR_LIMIT;
    e = lookup->txt(lookup->arg, arena, name, &answer);
    if (e == ERR_SYNTAX) {
        *result = say(why, DKIM_PERMERROR, "no key can have this name");
        return OK;
    }
    if (e)
        return e;
    switch (answer.status) {
    case DNS_FOUND:
        *result = choose(&answer, algorithm, arena, key, why);
        break;
    case DNS_NO_DATA:
    case DNS_NO_NAME:
        *result = say(why, DKIM_PERMERROR, "there is no such key in the DNS");
        break;
    case DNS_TEMPORARY:
        *result = say(why, DKIM_TEMPERROR, "the DNS does not answer for the key");
        break;
    case DNS_BOGUS:
        *result = say(why, DKIM_TEMPERROR, "the DNS answer with the key fails its DNSSEC check");
        break;
    }
    return OK;
}

/* RFC 6376 3.6.1 means SubjectPublicKeyInfo, and its text says RSAPublicKey: both are found. */
static EVP_PKEY *
load_rsa(str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)bytes.len);

    if (pkey)
        return pkey;
    at = (const unsigned char *)bytes.ptr;
    return d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)bytes.len);
}

static bool
rsa_agrees(EVP_PKEY *pkey, const uint8_t hash[DKIM_HASH_SIZE], str signature)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
    bool good = context && EVP_PKEY_verify_init(context) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
                EVP_PKEY_verify(context, (const unsigned char *)signature.ptr, signature.len, hash,
                                DKIM_HASH_SIZE) == 1;

    EVP_PKEY_CTX_free(context);
    return good;
}

static enum dkim_result
verify_rsa(const struct dkim_public *key, const uint8_t hash[DKIM_HASH_SIZE], str signature,
           unsigned *bits, char why[DKIM_WHY_MAX])
{
    EVP_PKEY *pkey = load_rsa(key->bytes);
    enum dkim_result result = DKIM_PENDING;

    if (!pkey || EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA) {
        EVP_PKEY_free(pkey);
        return say(why, DKIM_PERMERROR, "the key cannot be read");
    }
    *bits = (unsigned)EVP_PKEY_bits(pkey);
    if (*bits < DKIM_RSA_BITS_MIN || *bits > DKIM_RSA_BITS_MAX) {
        snprintf(why, DKIM_WHY_MAX, "an RSA key of %u bits is too %s", *bits,
                 *bits < DKIM_RSA_BITS_MIN ? "weak" : "large");
        result = DKIM_FAIL;
    } else if (!rsa_agrees(pkey, hash, signature)) {
        result = say(why, DKIM_FAIL, "the signature is not of this header section and key");
    } else {
        snprintf(why, DKIM_WHY_MAX, "%u-bit RSA key", *bits);
        result = DKIM_PASS;
    }
    EVP_PKEY_free(pkey);
    return result;
}

static enum dkim_result
verify_ed25519(const struct dkim_public *key, const uint8_t hash[DKIM_HASH_SIZE], str signature,
               unsigned *bits, char why[DKIM_WHY_MAX])
{
    EVP_MD_CTX *context = NULL;
    EVP_PKEY *pkey = NULL;
    bool good;

    if (key->bytes.len == ED25519_KEY_SIZE)
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                           (const unsigned char *)key->bytes.ptr, key->bytes.len);
    if (!pkey)
        return say(why, DKIM_PERMERROR, "the key cannot be read");
    *bits = 256;
    context = EVP_MD_CTX_new();
    good = context && signature.len == ED25519_SIGNATURE_SIZE &&
           EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
           EVP_DigestVerify(context, (const unsigned char *)signature.ptr, signature.len, hash,
                            DKIM_HASH_SIZE) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    if (!good)
        return say(why, DKIM_FAIL, "the signature is not of this header section and key");
    return say(why, DKIM_PASS, "Ed25519 key");
}

enum dkim_result
dkim_public_verify(const struct dkim_public *key, const uint8_t hash[DKIM_HASH_SIZE], str signature,
                   unsigned *bits, char why[DKIM_WHY_MAX])
{
    enum dkim_result result;

    *bits = 0;
    must(key->algorithm != DKIM_RSA_SHA1);
    result = key->algorithm == DKIM_RSA_SHA256 ? verify_rsa(key, hash, signature, bits, why)
                                               : verify_ed25519(key, hash, signature, bits, why);
    ERR_clear_error();
    return result;
}
