/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_cert.h: a self-signed certificate and its key for unit tests, made anew each time. */
#pragma once

#include "check.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

struct test_cert {
    char cert_file[64];
    char key_file[64];
};

static inline void
test_cert_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* For NAME and 127.0.0.1, good until END, "YYYYMMDDHHMMSSZ"; NULL: for a day. */
static inline void
test_cert_until(struct test_cert *files, const char *name, const char *end)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    char names[128];
    FILE *file;
    int fd;

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 24 * 3600);
    CHECK(!end || ASN1_TIME_set_string(X509_getm_notAfter(cert), end) == 1);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    snprintf(names, sizeof(names), "DNS:%s,IP:127.0.0.1", name);
    test_cert_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    test_cert_extension(cert, NID_subject_alt_name, names);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);

    snprintf(files->cert_file, sizeof(files->cert_file), "/tmp/outpost-test-cert-XXXXXX");
    snprintf(files->key_file, sizeof(files->key_file), "/tmp/outpost-test-key-XXXXXX");
    fd = mkstemp(files->cert_file);
    file = fdopen(fd, "w");
    CHECK(file && PEM_write_X509(file, cert) == 1);
    fclose(file);
    fd = mkstemp(files->key_file);
    file = fdopen(fd, "w");
    CHECK(file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static inline void
test_cert_new(struct test_cert *files, const char *name)
{
    test_cert_until(files, name, NULL);
}

static inline void
test_cert_done(struct test_cert *files)
{
    unlink(files->cert_file);
    unlink(files->key_file);
}
