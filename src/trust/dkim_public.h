/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_public.h: the public keys of others: asked for, read, and what they say of a signature.
 *
 * RFC 6376 3.6.1 and 6.1.2; RFC 8463 (Ed25519); RFC 8301 (what is too weak).
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/dns.h"
#include "trust/dkim_sign.h"

enum {
    DKIM_WHY_MAX = 128,
    DKIM_KEY_RECORDS_MAX = 4,   /* TXT records of one name that are looked at. */
    DKIM_KEY_RECORD_MAX = 4096, /* Bytes of one. */
    DKIM_RSA_BITS_MIN = 1024,   /* RFC 8301 3.2. */
    DKIM_RSA_BITS_MAX = 4096,   /* More must not be demanded of verifiers; it costs time. */
    DKIM_SIGNATURE_BYTES_MAX = 1024,
};

/* RFC 8601 2.7.1; DKIM_PENDING is none of them: not known yet. */
enum dkim_result {
    DKIM_PENDING,
    DKIM_PASS,
    DKIM_FAIL,
    DKIM_NEUTRAL, /* It cannot be understood. */
    DKIM_TEMPERROR,
    DKIM_PERMERROR,
};
const char *dkim_result_name(enum dkim_result result);

enum dkim_algorithm {
    DKIM_RSA_SHA256,
    DKIM_ED25519_SHA256,
    DKIM_RSA_SHA1, /* Known, not believed. */
};

/* How a verifier asks for "SELECTOR._domainkey.DOMAIN": tests need no DNS. */
struct dkim_lookup {
    WAITS enum err (*txt)(void *arg, struct arena *arena, str name, struct dns_answer *answer);
    void *arg;
};
/* The usual one: ARG is an instant, the deadline of all questions together. */
WAITS enum err dkim_lookup_dns(void *deadline, struct arena *arena, str name,
                               struct dns_answer *answer);

struct dkim_public {
    enum dkim_algorithm algorithm; /* DKIM_RSA_SHA256 or DKIM_ED25519_SHA256. */
    str bytes;
    bool is_strict;  /* t=s: i= must be in d= itself. */
    bool is_testing; /* t=y */
};

/* Asks for the key of DOMAIN (A-labels, lower case) and SELECTOR.  *RESULT stays DKIM_PENDING when
 * KEY is there; otherwise it is a verdict with WHY.  Errors are ERR_CANCELLED and ERR_LIMIT. */
WAITS enum err dkim_public_ask(const struct dkim_lookup *lookup, struct arena *arena, str domain,
                               str selector, enum dkim_algorithm algorithm, struct dkim_public *key,
                               enum dkim_result *result, char why[DKIM_WHY_MAX]);
/* One record. */
enum dkim_result dkim_public_parse(str record, enum dkim_algorithm algorithm, struct arena *arena,
                                   struct dkim_public *key, char why[DKIM_WHY_MAX]);
/* Whether SIGNATURE is KEY's over HASH; BITS is the key's size.  Blocks the thread for about
 * 0.2 ms, more for keys with large exponents: offload() it. */
enum dkim_result dkim_public_verify(const struct dkim_public *key,
                                    const uint8_t hash[DKIM_HASH_SIZE], str signature,
                                    unsigned *bits, char why[DKIM_WHY_MAX]);
/* Base64 with blanks in it.  ERR_SYNTAX, ERR_LIMIT. */
enum err dkim_base64(str text, size_t max, struct arena *arena, str *bytes);
