/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane.h: how much a message is in a hurry, in one word.
 *
 * The lane is decided once, when the message is accepted, and stands in its envelope; the schedule
 * serves LANE_CODE before all others and shares between these by weight.  Nobody configures it:
 * lane_of() reads it from the header section, pure and cheap.  What goes to many can never become
 * LANE_CODE, whatever its subject says.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct header_facts;

/* Stored in envelopes: a new one is added at the end. */
enum lane {
    LANE_CODE,     /* One-time codes, password resets: somebody waits in front of a screen. */
    LANE_PERSONAL, /* From a person to a few. */
    LANE_NOTICE,   /* From a program to one: receipts, alerts, reports of delivery. */
    LANE_BULK,     /* The same to many: newsletters, mailing lists. */
};
enum {
    LANE_COUNT = 4,
    LANE_WHY_MAX = 120,
};

/* "code", "personal", "notice", "bulk". */
const char *lane_name(enum lane lane);
bool lane_parse(str text, enum lane *lane);

struct lane_facts {
    const struct header_facts *header;
    size_t recipients;
    uint32_t recent;   /* Messages of this account in the last day; 0: not known. */
    int priority;      /* MT-PRIORITY. */
    bool from_program; /* It came through the sendmail command. */
    bool null_sender;  /* Nobody wants to hear what becomes of it. */
};

/* WHY: a part of a sentence without the sender's words in it, "the subject says 'login code'". */
enum lane lane_of(const struct lane_facts *facts, char why[LANE_WHY_MAX]);
