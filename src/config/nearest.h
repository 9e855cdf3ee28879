/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nearest.h: did you mean?  Which of several words somebody wanted to type. */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* How many letters must be put in, taken out, changed or swapped with a neighbour to get from A to
 * B; at most 32 bytes of each are looked at. */
unsigned word_distance(str a, str b);

/* Feed candidates one by one; `best` is NULL while none is near enough to be worth a question. */
struct nearest {
    str word;
    const char *best;
    unsigned distance;
};

void nearest_init(struct nearest *nearest, str word);
void nearest_offer(struct nearest *nearest, const char *candidate);
