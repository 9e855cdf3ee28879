/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* events.h: the event record: one row for each step of a message's life, append-only.
 *
 * `outpost trace`, reports and metrics read these rows; there is no second log.
 * events_record() only copies the event into a bounded queue; events_run() writes the
 * queue every 200 ms or 4000 events, whichever comes first.  A crash loses what was not
 * yet written: an event is a report, not the promise (that is the spool).
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/msgid.h"
#include "base/str.h"

struct events;

/* Numbers are stored: append only. */
enum event_kind {
    EVENT_NONE = 0,
    EVENT_RECEIVED = 1, /* A message's bytes have come in. */
    EVENT_REJECTED = 2, /* Refused in the conversation: MAIL, RCPT or DATA. */
    EVENT_ACCEPTED = 3, /* 250 was promised. */
    EVENT_HELD = 4,
    EVENT_RELEASED = 5,
    EVENT_SCHEDULED = 6,
    EVENT_POLICY = 7, /* A gate did something: signed, rewrote, found a virus. */
    EVENT_QUEUED = 8,
    EVENT_DNS = 9,
    EVENT_ATTEMPT = 10,
    EVENT_TLS = 11,
    EVENT_DELIVERED = 12,
    EVENT_DEFERRED = 13,
    EVENT_BOUNCED = 14,
    EVENT_EXPIRED = 15,
    EVENT_DSN_SENT = 16,
    EVENT_CANCELLED = 17,
    EVENT_REDIRECTED = 18, /* An alias or forwarding gave the recipient other addresses. */
    EVENT_COMPLAINT = 19,
    EVENT_OPENED_BY_ADMIN = 20,
    EVENT_LOGIN = 21,
    EVENT_LOGIN_FAILED = 22,
    EVENT_RESTRICTED = 23, /* An account has reached a sending limit. */
    EVENT_SESSION = 24,    /* A conversation has ended. */
    EVENT_ADMIN = 25,      /* An administrator changed something. */
    EVENT_STARTED = 26,
    EVENT_STOPPED = 27,
    EVENT_DUPLICATE = 28, /* A delivery was seen to be a repetition. */
    EVENT_BOUNCED_LATER = 29, /* A report says that it failed after the next hop had taken it. */
    EVENT_DELAYED = 30,       /* A report says that it is still on its way there. */
    EVENT_REPLIED = 31,       /* A program answered to it. */
    EVENT_SUPPRESSED = 32,    /* A recipient is on the suppression list, or came onto it. */
    EVENT_KIND_COUNT
};

const char *event_kind_name(enum event_kind kind); /* "dsn_sent"; "" for none. */
bool event_kind_parse(str name, enum event_kind *kind);

/* Empty strs and zeros are absent.  Addresses as they stood in the envelope. */
struct event {
    int64_t sequence; /* Given by events_record(): microseconds since 1970, made unique. */
    instant time;     /* Wall clock. */
    enum event_kind kind;
    msgid message; /* All zero: none. */
    str node;
    str sender;
    str recipient;
    int64_t recipient_index;
    int64_t attempt;
    str connection; /* Id of the conversation. */
    str service;    /* Listener: "submission", "smtp", "pop3". */
    str stage;      /* Where: "rcpt", "data", "connect", "starttls". */
    str account;
    str client_ip;
    str helo;
    str from_domain;
    str to_domain;
    str site;
    str route;
    str egress_ip;
    str mx;
    str mx_ip;
    int64_t code; /* SMTP reply code. */
    str enhanced; /* "5.1.1" */
    str text;     /* In our words, or normalised. */
    str text_raw; /* As the peer said it. */
    str cluster;
    str class; /* "invalid_recipient", ... */
    str tls_version;
    str tls_cipher;
    str tls_verify; /* "none", "pkix", "dane", "sts", "opportunistic" */
    str tls_why;
    int64_t bytes;
    duration took;
    instant next_try; /* Wall clock. */
    str reason;       /* Given by an administrator. */
    str actor;
    str more; /* A JSON object of further fields, or "". */
};

enum {
    EVENT_TEXT_MAX = 2048,             /* Of one text; the rest is cut. */
    EVENT_MORE_MAX = 8192,             /* Of `more`; a longer one is left out. */
    EVENTS_QUEUE_BYTES_MAX = 16 << 20, /* Above it events are dropped and counted. */
    EVENTS_BATCH = 4000,
    EVENTS_LIMIT_DEFAULT = 1000,
};

WAITS enum err events_open(const char *path, struct events **events, struct why *why);
WAITS void events_close(struct events *events); /* Writes the rest. */

/* From any thread; never waits.  Sets time when it is 0. */
void events_record(struct events *events, const struct event *event);
/* Waits while much is queued, a second at most: whoever is about to record many comes by here
 * first, so that work slows down rather than events are dropped. */
WAITS void events_keep_up(struct events *events);
/* Writes the queue until cancelled; start it in a group: group_start(g, events_run, events,
 * "events"). */
WAITS void events_run(void *events);
/* Until all that was recorded before is written. */
WAITS enum err events_flush(struct events *events);
/* How often each kind has happened since midnight UTC; after a start of a very busy server, at
 * least. */
enum {
    EVENTS_COUNTED_AT_START = 200000
};
void events_today(struct events *events, uint64_t counts[EVENT_KIND_COUNT]);
uint64_t events_dropped(const struct events *events);

struct events_query {
    msgid message; /* Zero: any. */
    str address;   /* Sender or recipient, any case; "": any. */
    str account;
    enum event_kind kind;   /* EVENT_NONE: any. */
    instant since;          /* 0: from the beginning.  Inclusive. */
    instant until;          /* 0: to the end.  Exclusive. */
    int64_t after_sequence; /* Only later ones: for following. */
    bool oldest_first;      /* Otherwise the newest first. */
    size_t limit;           /* 0: EVENTS_LIMIT_DEFAULT */
};

/* Calls FN for each event, outside any database lock; the views last for the call.  FN returns
 * false to stop. Looks only at what is written: events_flush() before it to see all. */
WAITS enum err events_find(struct events *events, const struct events_query *query,
                           bool (*fn)(void *arg, const struct event *event), void *arg);
/* Deletes what is older than KEEP (30 days: EVENTS_KEEP_DEFAULT), in bounded steps. */
#define EVENTS_KEEP_DEFAULT DAYS(30)
WAITS enum err events_expire(struct events *events, instant now, duration keep, uint64_t *deleted);

/* One JSON object, absent fields left out, times in RFC 3339. */
void event_to_json(const struct event *event, struct buf *json);
