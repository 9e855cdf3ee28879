/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_key.c: private keys of signatures, and the record that publishes their other half. */
#include "trust/dkim_key.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RSA_BITS = 2048, RSA_BITS_MIN = 1024 };

static enum err
openssl_failed(struct why *why, const char *what)
{
    char text[160];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return err_why(why, ERR_IO, "%s: %s", what, text);
}

static struct dkim_key *
key_of(EVP_PKEY *pkey)
{
    struct dkim_key *key = calloc(1, sizeof(*key));

    must(key);
    key->pkey = pkey;
    key->is_rsa = EVP_PKEY_base_id(pkey) == EVP_PKEY_RSA;
    return key;
}

enum err
dkim_key_new(str algorithm, struct dkim_key **key, struct why *why)
{
    EVP_PKEY *pkey;

    if (str_eq(algorithm, S("rsa")))
        pkey = EVP_RSA_gen(RSA_BITS);
    else if (str_eq(algorithm, S("ed25519")))
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        return err_why(why, ERR_UNSUPPORTED, "the algorithm \"%.*s\" is neither rsa nor ed25519",
                       STR_ARG(algorithm));
    if (!pkey)
        return openssl_failed(why, "cannot make a key");
    *key = key_of(pkey);
    return OK;
}

/* Keys that others can read have been read by others. */
static enum err
check_rights(int fd, const char *path, struct why *why)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    if (status.st_mode & 077)
        return err_why(why, ERR_REFUSED, "%s can be read by others: chmod 600 it, and rotate the key",
                       path);
    return OK;
}

enum err
dkim_key_load(const char *path, struct dkim_key **key, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    EVP_PKEY *pkey = NULL;
    FILE *file;
    enum err e;

    if (fd < 0)
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    e = check_rights(fd, path, why);
    file = e ? NULL : fdopen(fd, "r");
    if (!file) {
        close(fd);
        return e ? e : ERR_IO;
    }
    pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!pkey)
        return openssl_failed(why, path);
    if (EVP_PKEY_base_id(pkey) != EVP_PKEY_ED25519 &&
        (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA || EVP_PKEY_bits(pkey) < RSA_BITS_MIN)) {
        EVP_PKEY_free(pkey);
        return err_why(why, ERR_UNSUPPORTED, "%s is neither an RSA key of %d bits or more nor Ed25519",
                       path, RSA_BITS_MIN);
    }
    *key = key_of(pkey);
    return OK;
}

enum err
dkim_key_save(const struct dkim_key *key, const char *path, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool good;

    if (!file)
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    good = PEM_write_PKCS8PrivateKey(file, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    good = fflush(file) == 0 && fsync(fd) == 0 && good;
    good = fclose(file) == 0 && good;
    if (good)
        return OK;
    unlink(path);
    return err_why(why, ERR_IO, "%s could not be written", path);
}

void
dkim_key_free(struct dkim_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

const char *
dkim_key_algorithm(const struct dkim_key *key)
{
    return key->is_rsa ? "rsa" : "ed25519";
}

/* RFC 6376 3.6.1: RSA keys as SubjectPublicKeyInfo; RFC 8463 4: Ed25519 keys as their 32 bytes. */
enum err
dkim_key_record(const struct dkim_key *key, struct buf *record)
{
    unsigned char raw[32], *der = NULL;
    size_t size = sizeof(raw);
    int der_size;

    buf_addf(record, "v=DKIM1; k=%s; p=", dkim_key_algorithm(key));
    if (!key->is_rsa) {
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &size) != 1)
            return ERR_IO;
        dkim_add_base64(record, (str){ (char *)raw, size });
        return OK;
    }
    der_size = i2d_PUBKEY(key->pkey, &der);
    if (der_size < 0)
        return ERR_IO;
    dkim_add_base64(record, (str){ (char *)der, (size_t)der_size });
    OPENSSL_free(der);
    return buf_ok(record) ? OK : ERR_LIMIT;
}

void
dkim_add_base64(struct buf *buf, str bytes)
{
    size_t size = (bytes.len + 2) / 3 * 4;
    char *room = buf_reserve(buf, size);

    if (!room)
        return;
    EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)bytes.ptr, (int)bytes.len);
    buf_claim(buf, size);
}
