/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_advice.h: what an operator may want to do about mail that waits, as a table.  Pure but for
 * two helpers that write times. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"
#include "delivery/rules/classify.h"
#include "delivery/queue/queue.h"

enum advice_case {
    ADVICE_NONE,
    ADVICE_RULE, /* A standing rule keeps it. */
    ADVICE_HELD,
    ADVICE_THROTTLED, /* By what we learnt, or by configuration. */
    ADVICE_CLASS,     /* The class of the last answer says it. */
};

/* What commands may name; empty: nothing. */
struct advice {
    str place; /* "provider:google" */
    str which; /* A query for all of them; empty: the message ID. */
    str id;
    uint32_t rule;
    str address;
    uint16_t code;
    str enhanced;
};

/* ADVICE_TEXT and COMMANDS in ARENA; what could not be typed into a shell as it stands is left out.
 * False past the arena's ceiling. */
bool advice_give(enum advice_case which, enum reply_class class, const struct advice *advice,
                 struct arena *arena, str *advice_text, str commands[QUEUE_COMMANDS_MAX],
                 size_t *count);

/* queue_why.c.  "3 min 20 s"; "2026-11-27T10:41:02Z (in 3 min)". */
void queue_put_duration(struct buf *buf, duration time);
void queue_put_when(struct buf *buf, instant when, instant now);
