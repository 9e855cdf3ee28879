/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* signing.c: what DKIM adds to a message, beside the bare signature that OpenSSL makes.
 *
 *   build/bench/bench-signing [COUNT [SIZE [ROUNDS]]]
 *
 * Each round signs COUNT messages of SIZE bytes and makes COUNT bare RSA-2048 signatures, in turns,
 * so that the ratio of the two is of the same moment.  Start at main().
 */
#include "base/must.h"
#include "config/config.h"
#include "store/temp_dir.h"
#include "trust/keyring.h"
#include "trust/signing.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    ROUNDS_MAX = 100
};

static const char header[] =
    "Received: from client.example ([192.0.2.7])\r\n\tby mail.here.example with ESMTPSA id "
    "01KB2V4J7Q3N8H5T6W9X0Y1Z2A\r\n\tfor <bob@far.example>; Fri, 27 Nov 2026 01:20:00 +0000\r\n"
    "From: Ann <ann@here.example>\r\nTo: Bob <bob@far.example>\r\nSubject: How are you?\r\n"
    "Date: Fri, 27 Nov 2026 01:20:00 +0000\r\nMessage-ID: <1234567890@here.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";

static double
cpu_microseconds(void)
{
    struct rusage usage;

    must(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double
sign_messages(struct keyring *keyring, const struct config *config, str body, uint64_t count)
{
    double began = cpu_microseconds();

    for (uint64_t i = 0; i < count; i++) {
        struct signing *signing;
        struct buf fields;
        buf_init(&fields, SIGNING_FIELDS_MAX);
        must(signing_begin(keyring, config, S("here.example"), str_from(header), &signing) == OK &&
             signing);
        signing_add(signing, body);
        must(signing_end(signing, SECONDS(1764206400LL), &fields) == OK);
        signing_free(signing);
        buf_done(&fields);
    }
    return (cpu_microseconds() - began) / (double)count;
}

static double
sign_bare(EVP_PKEY *key, uint64_t count)
{
    double began = cpu_microseconds();
    unsigned char hash[32] = { 1 }, signature[512];
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);

    must(context && EVP_PKEY_sign_init(context) == 1);
    must(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1);
    must(EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = sizeof(signature);
        must(EVP_PKEY_sign(context, signature, &size, hash, sizeof(hash)) == 1);
    }
    EVP_PKEY_CTX_free(context);
    return (cpu_microseconds() - began) / (double)count;
}

static uint64_t
argument(int argc, char **argv, int at, uint64_t standard)
{
    uint64_t value;

    return argc > at && str_to_u64(str_from(argv[at]), &value) && value ? value : standard;
}

static int
compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

int
main(int argc, char **argv)
{
    uint64_t count = argument(argc, argv, 1, 1000), size = argument(argc, argv, 2, 4096);
    size_t rounds = MIN(argument(argc, argv, 3, 9), (uint64_t)ROUNDS_MAX);
    double ours[ROUNDS_MAX], bare[ROUNDS_MAX], ratios[ROUNDS_MAX];
    EVP_PKEY *key = EVP_RSA_gen(2048);
    struct config *config = config_default();
    struct keyring *keyring;
    struct temp_dir dir;
    char *body = malloc(size + 1);

    must(body && key);
    for (size_t i = 0; i < size; i++)
        body[i] = i % 78 == 76   ? '\r'
                  : i % 78 == 77 ? '\n'
                  : i % 6 == 5   ? ' '
                                 : (char)('a' + i % 26);
    temp_dir_make(&dir);
    must(keyring_open(dir.path, &keyring, NULL) == OK);
    must(keyring_add(keyring, S("here.example"), S("rsa"), S("rsa"), 0, NULL) == OK);
    must(keyring_set_state(keyring, S("here.example"), S("rsa"), KEY_ACTIVE, 0, NULL) == OK);
    for (size_t i = 0; i < rounds; i++) {
        bare[i] = sign_bare(key, count);
        ours[i] = sign_messages(keyring, config, (str){ body, size }, count);
        ratios[i] = ours[i] / bare[i];
    }
    qsort(ours, rounds, sizeof(*ours), compare);
    qsort(bare, rounds, sizeof(*bare), compare);
    qsort(ratios, rounds, sizeof(*ratios), compare);
    printf("%llu bytes: %.1f us of CPU (%.1f to %.1f); bare RSA-2048 %.1f us (%.1f to %.1f); "
           "ratio %.3f (%.3f to %.3f)\n",
           (unsigned long long)size, ours[rounds / 2], ours[0], ours[rounds - 1], bare[rounds / 2],
           bare[0], bare[rounds - 1], ratios[rounds / 2], ratios[0], ratios[rounds - 1]);
    keyring_close(keyring);
    config_unref(config);
    temp_dir_remove(&dir);
    EVP_PKEY_free(key);
    free(body);
    return 0;
}
