/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_verify.h: whether the signatures of a message hold.  RFC 6376 6, RFC 8463, RFC 8301.
 *
 * The signatures say which hashes of the body they need, the caller streams the body through those,
 * then the keys are asked for and the arithmetic is done:
 *
 *     struct dkim_hashes hashes = {};
 *     dkim_fields_read(header, arena, &fields);
 *     dkim_verify_begin(&fields, &hashes, now, arena, &verify);
 *     while (…)
 *         dkim_hashes_add(&hashes, bytes);
 *     dkim_hashes_end(&hashes);
 *     dkim_verify_end(&verify, &hashes, &lookup, arena);
 *     dkim_hashes_done(&hashes);
 *
 * Only the first DKIM_SIGNATURES_MAX signatures are looked at.  Nothing here blocks a loop but
 * dkim_hashes_add(), of which dkim_hashes.h says what it costs.  Other verifiers (ARC) use the same
 * fields, hashes and checks.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "trust/dkim_hashes.h"
#include "trust/dkim_public.h"
#include "trust/dkim_signature.h"

enum {
    DKIM_SIGNATURES_MAX = 16
};

/* One signature with its verdict. */
struct dkim_check {
    struct dkim_signature signature; /* As far as it could be read: d= and s= may be empty. */
    enum dkim_result result;
    char why[DKIM_WHY_MAX]; /* In words; of a pass: the kind of the key. */
    unsigned key_bits;      /* 0: no key was looked at. */
    bool is_testing;        /* The key says that its domain only tests DKIM (t=y). */
    bool covers_all;        /* No l=: all of the body is signed. */
    struct dkim_public key;
    size_t hash_index;
};

struct dkim_verify {
    struct dkim_fields *fields;
    struct dkim_check *checks;
    size_t count;   /* Of checks. */
    size_t skipped; /* Signatures beyond the ceiling. */
};

/* NOW is on the wall clock.  FIELDS and ARENA outlive VERIFY.  ERR_LIMIT from the arena. */
enum err dkim_verify_begin(struct dkim_fields *fields, struct dkim_hashes *hashes, instant now,
                           struct arena *arena, struct dkim_verify *verify);
/* Every check has its result afterwards.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err dkim_verify_end(struct dkim_verify *verify, const struct dkim_hashes *hashes,
                               const struct dkim_lookup *lookup, struct arena *arena);

/* For one check: reads FIELD and asks for a hash of the body; asks for the key; does the
 * arithmetic, which blocks the thread. */
void dkim_check_begin(const struct header_field *field, enum dkim_kind kind, instant now,
                      struct dkim_hashes *hashes, struct arena *arena, struct dkim_check *check);
WAITS enum err dkim_check_ask(struct dkim_check *check, const struct dkim_hashes *hashes,
                              const struct dkim_lookup *lookup, struct arena *arena);
void dkim_check_compute(struct dkim_check *check, struct dkim_fields *fields);
