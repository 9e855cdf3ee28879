/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* rand.c: splitmix64. */
#include "base/rand.h"

void
rand_init(struct rand *rand, uint64_t seed)
{
    rand->state = seed;
}

uint64_t
rand_u64(struct rand *rand)
{
    uint64_t z = (rand->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t
rand_below(struct rand *rand, uint64_t limit)
{
    return limit ? rand_u64(rand) % limit : 0;
}
