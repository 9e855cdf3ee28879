/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_hashes.h: all hashes of one body that its signatures ask for, in one pass.
 *
 * Ask by dkim_hashes_want() first, then give the body, then read.  A hash costs 1.5 (simple) to 3
 * ms (relaxed) for each MiB on a busy machine: whoever streams a large body on a loop gives it in
 * pieces between waits, or offloads dkim_hashes_add().
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "trust/dkim_sign.h"

enum {
    DKIM_HASHES_MAX = 6 /* Forms and lengths of one body. */
};

struct dkim_hashes {
    struct dkim_hash {
        enum dkim_form form;
        bool has_limit;
        uint64_t limit;
        bool is_short; /* The body has fewer bytes than its limit. */
        struct dkim_body body;
        uint8_t value[DKIM_HASH_SIZE];
    } items[DKIM_HASHES_MAX];
    size_t count;
};

/* A zeroed struct is ready, and safe to be done. */
void dkim_hashes_done(struct dkim_hashes *hashes);
/* INDEX is where the hash will be; the same question shares one.  ERR_LIMIT. */
enum err dkim_hashes_want(struct dkim_hashes *hashes, enum dkim_form form, bool has_limit,
                          uint64_t limit, size_t *index);
void dkim_hashes_add(struct dkim_hashes *hashes, str bytes);
void dkim_hashes_end(struct dkim_hashes *hashes);
