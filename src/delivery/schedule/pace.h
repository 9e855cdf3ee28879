/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pace.h: how much a receiver, or a source of ours, is to be given; and the count that keeps to it.
 *
 * A window counts in cells, and a cell stays in the count until all of it is older than the period.
 * So never more than the limit goes out in any stretch of time of that length, and a full use of it
 * reaches 31 of 32 parts of the limit.
 */
#pragma once

#include "base/base.h"
#include "base/instant.h"

enum {
    PACE_RATES = 4,
    WINDOW_CELLS = 32
};

/* At most COUNT messages in any PERIOD. */
struct rate {
    uint32_t count;
    duration period;
};

/* 0 everywhere: nothing said, no limit. */
struct pace {
    unsigned connections; /* At once. */
    unsigned messages_per_connection;
    unsigned recipients_per_transaction;
    struct rate rates[PACE_RATES];
    unsigned rate_count;
};

/* The least of both, field by field; of more rates than have room the strictest stay. */
void pace_merge(struct pace *pace, const struct pace *other);
bool pace_eq(const struct pace *a, const struct pace *b);
bool pace_is_empty(const struct pace *pace);
/* The lesser of two limits of which 0 means none. */
unsigned pace_least(unsigned a, unsigned b);

/* What went out in the last PERIOD. */
struct window {
    duration period;
    int64_t newest; /* The number of the newest cell, counted from the epoch. */
    uint32_t total;
    uint32_t cells[WINDOW_CELLS];
};

void window_init(struct window *window, duration period);
uint32_t window_count(struct window *window, instant now);
void window_add(struct window *window, instant now, uint32_t count);
/* Takes back what was added lately. */
void window_take_back(struct window *window, uint32_t count);
/* The first instant from NOW on at which one more stays within LIMIT. */
instant window_opens(struct window *window, uint32_t limit, instant now);
