/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* progress.h: what happened to each recipient since the message was accepted.
 *
 * The spool keeps one progress for each message as its note; it is written after every attempt and
 * replaced as a whole.  A message whose recipients are all done is forgotten.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum recipient_state {
    RECIPIENT_WAITING,   /* For its first or next attempt. */
    RECIPIENT_DELIVERED, /* The next hop, or the mailbox, took it. */
    RECIPIENT_FAILED,    /* For good; reported unless the sender wanted none. */
    RECIPIENT_EXPIRED,   /* The time was over. */
    RECIPIENT_EXPANDED,  /* An alias: its targets stand in a message of their own. */
    RECIPIENT_DELETED,   /* By an operator, without a report. */
};

struct recipient_progress {
    enum recipient_state state;
    bool held;             /* By an operator: no attempts until released. */
    bool delay_reported;
    bool forwarded;        /* An alias: the message for its addresses elsewhere is in the spool. */
    bool reported;         /* The report of the final state is in the spool. */
    uint32_t attempts;
    instant next_attempt;  /* Wall clock; for RECIPIENT_WAITING. */
    instant last_attempt;  /* 0: none yet. */
    uint16_t code;         /* The last reply, or 0. */
    str enhanced;          /* "4.2.2" */
    str text;              /* The last reply's text, or our own reason. */
    str remote;            /* Who said it: "mx.example.org [192.0.2.1]", or empty. */
    str route;             /* The next hop that an operator wants, a URL; empty: the usual one. */
};

enum { PROGRESS_TEXT_MAX = 512, PROGRESS_ROUTE_MAX = 500 };

struct progress {
    struct recipient_progress *recipients;
    size_t recipient_count;
};

/* All COUNT recipients waiting, due NOW.  ERR_LIMIT. */
enum err progress_init(struct progress *progress, struct arena *arena, size_t count, instant now);
void progress_encode(const struct progress *progress, struct buf *buf);
/* Strings point into BYTES.  An empty note is a message that was never tried: use progress_init(). */
enum err progress_decode(str bytes, struct arena *arena, struct progress *progress);
bool progress_is_done(const struct progress *progress); /* Nobody is waiting. */
const char *recipient_state_name(enum recipient_state state);
