/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane.h: how much a message is in a hurry, in one word.
 *
 * The lane is decided once, when the message is accepted, and stands in its envelope; the schedule
 * serves LANE_CODE before all others and shares between these by weight.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* Stored in envelopes: a new one is added at the end. */
enum lane {
    LANE_CODE,     /* One-time codes, password resets: somebody waits in front of a screen. */
    LANE_PERSONAL, /* From a person to a few. */
    LANE_NOTICE,   /* From a program to one: receipts, alerts, reports of delivery. */
    LANE_BULK,     /* The same to many: newsletters, mailing lists. */
};
enum {
    LANE_COUNT = 4
};

/* "code", "personal", "notice", "bulk". */
const char *lane_name(enum lane lane);
bool lane_parse(str text, enum lane *lane);
