/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsa.h: what the TLSA records of a mail host ask of its certificate.  RFC 6698 2, RFC 7672 3.1.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "runtime/dns.h"
#include "runtime/tls.h"

enum {
    TLSA_RECORDS_MAX = 32
};

struct tlsa_set {
    struct tls_tlsa items[TLSA_RECORDS_MAX];
    size_t count;
};

/* Of COUNT answers for _25._tcp.HOST, those that serve for SMTP: DANE-TA(2) and DANE-EE(3), a
 * selector and a digest that are known, data of the right length.  None of them: the host promises
 * TLS, and nothing of its certificate (RFC 7672 2.2).  Views into RECORDS. */
void tlsa_usable(const struct dns_record *records, size_t count, struct tlsa_set *set);

/* The data of "3 1 1": SHA-256 of the public key in the PEM file at PATH, a certificate or a key.
 * Blocks.  ERR_NOT_FOUND, ERR_SYNTAX. */
enum {
    TLSA_DIGEST_SIZE = 32
};
enum err tlsa_key_digest(const char *path, uint8_t digest[TLSA_DIGEST_SIZE], struct why *why);
