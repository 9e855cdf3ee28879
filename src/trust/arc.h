/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arc.h: the chain of those who passed a message on: validated, and made longer.  RFC 8617.
 *
 * Each of them adds a set of three fields: what he found (ARC-Authentication-Results), a signature
 * of the message as he sends it (ARC-Message-Signature), and a seal over all sets so far
 * (ARC-Seal).
 *
 *     none ──> i=1 cv=none ──> i=2 cv=pass ──> …             each hop validates, then seals
 *                    └───────> i=n cv=fail                    a hop that finds the chain broken
 * says so; nobody adds to it after that
 *
 * A validator is used like that of dkim_verify.h, beside it and on the same fields and hashes.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "trust/dkim_verify.h"

enum {
    ARC_SETS_MAX = 50,          /* RFC 8617 4.2.1. */
    ARC_FIELDS_MAX = 32 * 1024, /* Bytes of one set that we add. */
};

enum arc_status {
    ARC_PENDING, /* Between arc_begin() and arc_end(). */
    ARC_NONE,
    ARC_PASS,
    ARC_FAIL,
    ARC_TEMPERROR, /* The DNS did not answer: nobody can say, and nothing is added. */
};
const char *arc_status_name(enum arc_status status);

struct arc_set {
    const struct header_field *results;
    const struct header_field *message;
    const struct header_field *seal;
    struct dkim_signature signature; /* Of the seal. */
    struct dkim_public key;
    enum dkim_result result;
};

struct arc_chain {
    enum arc_status status;
    char why[DKIM_WHY_MAX]; /* In words; empty with ARC_NONE. */
    unsigned count;         /* The number of the newest set, even of a broken chain. */
    bool is_closed;         /* The newest seal says cv=fail already. */
    struct dkim_fields *fields;
    struct arc_set *sets;     /* Of 1 to COUNT, from index 0; only when the structure is sound. */
    struct dkim_check newest; /* Its ARC-Message-Signature. */
};

/* FIELDS and ARENA outlive CHAIN.  ERR_LIMIT from the arena. */
enum err arc_begin(struct dkim_fields *fields, struct dkim_hashes *hashes, instant now,
                   struct arena *arena, struct arc_chain *chain);
/* Asks for at most one key for each set, and for that of the newest message signature.
 * ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err arc_end(struct arc_chain *chain, const struct dkim_hashes *hashes,
                       const struct dkim_lookup *lookup, struct arena *arena);

struct dkim_key;

/* What is sealed, by whom. */
struct arc_seal_options {
    const struct dkim_key *key; /* RSA */
    str domain;
    str selector;
    str authserv;  /* Our name, in ARC-Authentication-Results. */
    str mail_from; /* The reverse path with which the message came; may be empty. */
    ipaddr client; /* Who brought it. */
    bool has_client;
    instant now; /* Wall clock. */
};

/* Whether a set may be added to CHAIN, which has its status: not after cv=fail, not beyond
 * ARC_SETS_MAX, not while nobody knows. */
bool arc_may_seal(const struct arc_chain *chain);
/* Appends a set to OUT, whole lines: ARC-Seal, ARC-Message-Signature, ARC-Authentication-Results.
 * VERIFY has its results; BODY_HASH is of the relaxed form without a limit.  Blocks the thread for
 * two RSA signatures, about 1 ms: offload() it.  ERR_LIMIT, ERR_SYNTAX without From, ERR_IO. */
enum err arc_seal(const struct arc_chain *chain, const struct dkim_verify *verify,
                  const struct arc_seal_options *options, const uint8_t body_hash[DKIM_HASH_SIZE],
                  struct buf *out);
