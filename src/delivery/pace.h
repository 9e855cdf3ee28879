/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pace.h: how much a receiver, or a source of ours, is to be given. */
#pragma once

#include "base/base.h"
#include "base/instant.h"

enum {
    PACE_RATES = 4
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
