/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* devca.c: makes keys and certificates with OpenSSL.  Start reading at devca_sign(). */
#include "cli/devca.h"

#include "base/ipaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum {
    CA_DAYS = 3650,
    LEAF_DAYS = 397,
    NAMES_SIZE_MAX = 4096,
    PATH_SIZE_MAX = 4096
};

static enum err
openssl_failed(struct why *why, const char *what)
{
    char text[160];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return err_why(why, ERR_TLS, "%s: %s", what, text);
}

static EVP_PKEY *
make_key(enum devca_key key)
{
    return key == DEVCA_KEY_RSA2048 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
}

static bool
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

static bool
set_serial(X509 *certificate)
{
    uint8_t bytes[16];
    BIGNUM *number;
    bool ok;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* Positive, and always of 16 bytes. */
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return ok;
}

/* What every certificate has: version, serial, times (from an hour ago: clocks differ), name, key.
 */
static X509 *
begin_certificate(EVP_PKEY *key, const char *name, int days)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;

    if (certificate && X509_set_version(certificate, 2) && set_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
        X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, NULL) &&
        X509_set_pubkey(certificate, key) &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                   -1, 0))
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* A file beside PATH, to be renamed to it when all is in it. */
static FILE *
open_new(const char *path, mode_t mode, char temporary[PATH_SIZE_MAX])
{
    int fd;
    FILE *file;

    if (snprintf(temporary, PATH_SIZE_MAX, "%s.new", path) >= PATH_SIZE_MAX)
        return NULL;
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file && fd >= 0)
        close(fd);
    return file;
}

static enum err
close_new(FILE *file, bool ok, const char *temporary, const char *path, struct why *why)
{
    ok = fflush(file) == 0 && fsync(fileno(file)) == 0 && ok;
    ok = fclose(file) == 0 && ok && rename(temporary, path) == 0;
    if (ok)
        return OK;
    unlink(temporary);
    return err_why(why, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

static enum err
write_key(const char *path, EVP_PKEY *key, struct why *why)
{
    char temporary[PATH_SIZE_MAX];
    FILE *file = open_new(path, 0600, temporary);

    if (!file)
        return err_why(why, err_from_errno(errno), "cannot make %s: %s", path, strerror(errno));
    return close_new(file, PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1,
                     temporary, path, why);
}

static enum err
write_certificates(const char *path, X509 *first, X509 *second, struct why *why)
{
    char temporary[PATH_SIZE_MAX];
    FILE *file = open_new(path, 0644, temporary);
    bool ok;

    if (!file)
        return err_why(why, err_from_errno(errno), "cannot make %s: %s", path, strerror(errno));
    ok = PEM_write_X509(file, first) == 1 && (!second || PEM_write_X509(file, second) == 1);
    return close_new(file, ok, temporary, path, why);
}

static X509 *
read_certificate(const char *path)
{
    FILE *file = fopen(path, "re");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

    if (file)
        fclose(file);
    return certificate;
}

static EVP_PKEY *
read_key(const char *path)
{
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;

    if (file)
        fclose(file);
    return key;
}

enum err
devca_make(const struct devca_paths *paths, struct why *why)
{
    EVP_PKEY *key = make_key(DEVCA_KEY_P256);
    X509 *ca = key ? begin_certificate(key, "Outpost development CA", CA_DAYS) : NULL;
    enum err e = OK;

    if (!ca || !X509_set_issuer_name(ca, X509_get_subject_name(ca)) ||
        !add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(ca, ca, NID_subject_key_identifier, "hash") ||
        !X509_sign(ca, key, EVP_sha256()))
        e = openssl_failed(why, "cannot make the development CA");
    if (!e)
        e = write_key(paths->ca_key, key, why);
    if (!e)
        e = write_certificates(paths->ca, ca, NULL, why);
    X509_free(ca);
    EVP_PKEY_free(key);
    return e;
}

/* "DNS:mail.example.org,IP:127.0.0.1"; false when they are too many. */
static bool
alternative_names(const char *const *names, size_t count, char text[NAMES_SIZE_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        ipaddr addr;
        int length = snprintf(text + used, NAMES_SIZE_MAX - used, "%s%s:%s", i ? "," : "",
                              ipaddr_parse(str_from(names[i]), &addr) ? "IP" : "DNS", names[i]);

        if (length < 0 || (size_t)length >= NAMES_SIZE_MAX - used)
            return false;
        used += (size_t)length;
    }
    return count > 0;
}

static X509 *
make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *name, const char *names)
{
    /* A common name has at most 64 characters; what counts is in the alternative names. */
    X509 *leaf = begin_certificate(key, strlen(name) > 64 ? "Outpost" : name, LEAF_DAYS);

    if (leaf && X509_set_issuer_name(leaf, X509_get_subject_name(ca)) &&
        add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
        add_extension(leaf, ca, NID_ext_key_usage, "serverAuth") &&
        add_extension(leaf, ca, NID_subject_key_identifier, "hash") &&
        add_extension(leaf, ca, NID_authority_key_identifier, "keyid") &&
        add_extension(leaf, ca, NID_subject_alt_name, names) &&
        X509_sign(leaf, ca_key, EVP_sha256()))
        return leaf;
    X509_free(leaf);
    return NULL;
}

enum err
devca_sign(const struct devca_paths *paths, enum devca_key kind, const char *const *names,
           size_t name_count, struct why *why)
{
    char text[NAMES_SIZE_MAX];
    X509 *ca = read_certificate(paths->ca);
    EVP_PKEY *ca_key = read_key(paths->ca_key);
    EVP_PKEY *key = make_key(kind);
    X509 *leaf = NULL;
    enum err e = OK;

    if (!ca || !ca_key)
        e = err_why(why, ERR_IO, "cannot read the development CA in %s and %s", paths->ca,
                    paths->ca_key);
    else if (!alternative_names(names, name_count, text))
        e = err_why(why, ERR_LIMIT, "the certificate would have too many names");
    else if (key)
        leaf = make_leaf(key, ca, ca_key, names[0], text);
    if (!e && !leaf)
        e = openssl_failed(why, "cannot make the server's certificate");
    if (!e)
        e = write_key(paths->key, key, why);
    if (!e)
        e = write_certificates(paths->certificate, leaf, ca, why);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return e;
}

unsigned
devca_days_left(const char *path)
{
    X509 *certificate = read_certificate(path);
    int days = 0, seconds = 0;

    if (!certificate || !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)))
        days = 0;
    X509_free(certificate);
    return days > 0 ? (unsigned)days : 0;
}

void
devca_fingerprint(const char *path, char text[DEVCA_FINGERPRINT_SIZE])
{
    X509 *certificate = read_certificate(path);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    text[0] = '\0';
    if (certificate && X509_digest(certificate, EVP_sha256(), digest, &size) && size == 32) {
        for (unsigned i = 0; i < size; i++)
            snprintf(text + (size_t)i * 3, DEVCA_FINGERPRINT_SIZE - (size_t)i * 3, "%02X%s",
                     digest[i], i + 1 < size ? ":" : "");
    }
    X509_free(certificate);
}
