/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* rand.h: a small fast generator with a seed, for jitter and simulation.  Never for secrets:
 * those come from libsodium. */
#pragma once

#include "base/base.h"

struct rand {
    uint64_t state;
};

void rand_init(struct rand *rand, uint64_t seed);
uint64_t rand_u64(struct rand *rand);
uint64_t rand_below(struct rand *rand, uint64_t limit); /* 0 to limit - 1; limit 0 gives 0. */
