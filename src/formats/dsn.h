/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dsn.h: what a sender may ask for about the fate of his message (RFC 3461), and the message that
 * tells him (RFC 3462 to 3464, RFC 6533).
 *
 * A report has three parts: plain words for a human, with what happened to each recipient and what
 * can be done; the same for programs; and the original's header, or all of it.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

/* NOTIFY=, by bits. */
enum {
    NOTIFY_DEFAULT = 0, /* Nothing was said: failure and delay. */
    NOTIFY_NEVER = 1,   /* Always alone. */
    NOTIFY_SUCCESS = 2,
    NOTIFY_FAILURE = 4,
    NOTIFY_DELAY = 8,
};

/* RET=: what a report about a failure carries. */
enum dsn_return {
    RETURN_DEFAULT,
    RETURN_FULL,
    RETURN_HEADERS,
};

/* RFC 3464 2.3.3. */
enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,
    DSN_DELIVERED, /* To its mailbox. */
    DSN_RELAYED,   /* To a system that sends no reports of success. */
    DSN_EXPANDED,  /* To the members of an alias. */
};

struct dsn_recipient {
    str original; /* "rfc822;ann@example.org", decoded ORCPT, or empty. */
    str address;  /* "ann@example.org" */
    enum dsn_action action;
    str status;               /* "5.1.1"; empty: made from the action. */
    str remote;               /* Who said it: "mx.example.org [192.0.2.1]", or empty: we did. */
    unsigned code;            /* The reply, or 0. */
    str text;                 /* The reply's text, or our own reason; may be empty. */
    instant last_attempt;     /* 0: none. */
    instant will_retry_until; /* For DSN_DELAYED; else 0. */
};

struct dsn {
    str reporting_mta; /* Our host name. */
    str from;          /* "postmaster@mx.example.org": the From: field; the envelope's is null. */
    str to;            /* The original's return path. */
    str message_id;    /* Left of the "@"; unguessable, since the boundary is made of it. */
    str envid;         /* Decoded, or empty. */
    instant arrived_at;
    instant deliver_by; /* The end of the time of BY= (RFC 2852 6); 0: none. */
    instant now;
    int zone_minutes;
    bool utf8; /* The original came with SMTPUTF8: so may the report. */
    const struct dsn_recipient *recipients;
    size_t recipient_count;
    str header;     /* The original's header section. */
    str body;       /* What follows it, if `with_body`. */
    bool with_body; /* The whole original is returned. */
};

/* Appends the report, header and all, in CRLF lines.  ERR_LIMIT when the buf's maximum is too
 * small. */
enum err dsn_format(const struct dsn *dsn, struct buf *buf);
/* "failed", as RFC 3464 spells it. */
const char *dsn_action_name(enum dsn_action action);
