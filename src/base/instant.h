/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* instant.h: points in time and lengths of time, in nanoseconds.
 *
 * Two clocks exist (runtime/clock.h): the wall clock counts from 1970 UTC and is for
 * records and headers; the steady clock never jumps and is for deadlines.  An instant of
 * one is never compared with one of the other.
 */
#pragma once

#include "base/base.h"

typedef int64_t instant;
typedef int64_t duration;

#define NANOSECONDS(n) ((duration)(n))
#define MICROSECONDS(n) ((duration)(n)*1000)
#define MILLISECONDS(n) ((duration)(n)*1000000)
#define SECONDS(n) ((duration)(n)*1000000000)
#define MINUTES(n) SECONDS((duration)(n)*60)
#define HOURS(n) MINUTES((duration)(n)*60)
#define DAYS(n) HOURS((duration)(n)*24)

/* A deadline that never comes. */
#define NEVER INT64_MAX
