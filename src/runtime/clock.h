/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* clock.h: the only place that asks what time it is. */
#pragma once

#include "base/base.h"
#include "base/instant.h"

/* Wall clock: since 1970 UTC.  For headers, events, schedules. */
instant clock_now(void);
/* Steady clock: never jumps.  For deadlines. */
instant clock_steady(void);
static inline instant
deadline_in(duration time)
{
    return clock_steady() + time;
}

/* COUNT bytes that nobody can guess (in a simulated world: from its seed). */
void random_bytes(void *bytes, size_t count);
