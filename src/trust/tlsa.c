/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsa.c: reads RDATA of TLSA, and makes that of our own keys.  RFC 6698 2.1. */
#include "trust/tlsa.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* Usage, selector, matching type. */
enum {
    TLSA_FRONT = 3
};

static bool
data_fits(unsigned matching, size_t len)
{
    switch (matching) {
    case 0: /* The certificate, or its key, as a whole. */
        return len > 0;
    case 1: /* SHA-256 */
        return len == 32;
    case 2: /* SHA-512 */
        return len == 64;
    default:
        return false;
    }
}

void
tlsa_usable(const struct dns_record *records, size_t count, struct tlsa_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < count && set->count < TLSA_RECORDS_MAX; i++) {
        str rdata = records[i].data;
        struct tls_tlsa record;
        if (rdata.len <= TLSA_FRONT)
            continue;
        record = (struct tls_tlsa){
            .usage = (uint8_t)rdata.ptr[0],
            .selector = (uint8_t)rdata.ptr[1],
            .matching = (uint8_t)rdata.ptr[2],
            .data = str_skip(rdata, TLSA_FRONT),
        };
        /* RFC 7672 3.1.3: the usages that need the roots of browsers mean nothing to mail. */
        if ((record.usage != 2 && record.usage != 3) || record.selector > 1 ||
            !data_fits(record.matching, record.data.len))
            continue;
        set->items[set->count++] = record;
    }
}

/* The SubjectPublicKeyInfo in the file, as DER for OPENSSL_free(); its length, or 0. */
static int
read_key(BIO *file, unsigned char **der)
{
    X509 *certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;
    int size;

    if (certificate)
        key = X509_get_pubkey(certificate);
    else if (BIO_reset(file) == 0)
        key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
    size = key ? i2d_PUBKEY(key, der) : 0;
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error();
    return MAX(size, 0);
}

enum err
tlsa_key_digest(const char *path, uint8_t digest[TLSA_DIGEST_SIZE], struct why *why)
{
    BIO *file = BIO_new_file(path, "r");
    unsigned char *der = NULL;
    unsigned length = 0;
    enum err e = OK;
    int size;

    if (!file) {
        ERR_clear_error();
        return err_why(why, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    }
    size = read_key(file, &der);
    if (!size || !EVP_Digest(der, (size_t)size, digest, &length, EVP_sha256(), NULL))
        e = err_why(why, ERR_SYNTAX, "%s holds no certificate and no key", path);
    OPENSSL_free(der);
    BIO_free(file);
    return e;
}
