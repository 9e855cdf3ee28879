/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports.h: what became of TLS with each domain, counted for its daily report (RFC 8460).
 *
 *     tls_reports_note() ──> tallies in memory ──> tls_reports.db ──> tls_reports_send.h
 *                               every 30 s, at a stop, before a report
 *
 * A session is counted for the domain of its recipients, under the policy that was found for it
 * and, when it failed, the kind of failure.  A day is one of UTC.  What is in the database survives
 * everything; a crash loses what was counted in the last 30 seconds, and nothing else.
 *
 * Everything that others choose has a ceiling.  What is above one is still counted: a further kind
 * of failure without its hosts and addresses, a further policy without its text, a further domain
 * as one of the others, of which no report is made.
 *
 * Threads: any.  Start reading at tls_reports_note() and tls_reports_flush().
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/msgid.h"
#include "base/str.h"
#include "trust/tlsrpt.h"

struct tls_reports;

/* clang-format off */
enum {
    TLS_REPORTS_DOMAINS_MAX = 100000,  /* Of one day. */
    TLS_REPORTS_POLICIES_MAX = 16,     /* Of a domain in a day. */
    TLS_REPORTS_FAILURES_MAX = 100,    /* Kinds of failure of a domain in a day. */
    TLS_REPORTS_POLICY_TEXT_MAX = 4096,/* Of the text of a policy; the rest is cut off. */
    TLS_REPORTS_TEXT_MAX = 256,        /* Of a name or a reason; the rest is cut off. */
    TLS_REPORTS_UNSAVED_MAX = 20000,   /* Domains with a policy, between two writes. */
    TLS_REPORTS_UNSAVED_BYTES_MAX = 16 << 20,
};
/* clang-format on */
#define TLS_REPORTS_FLUSH_EVERY SECONDS(30)
#define TLS_REPORTS_KEEP        DAYS(30) /* What was sent, and when. */

/* One session, as it ended.  Empty strs and the address "any" are unknown. */
struct tls_session {
    str domain; /* Of the recipients, A-labels. */
    enum tlsrpt_policy_type type;
    str policy_domain;
    str lines; /* As in struct tlsrpt_policy. */
    str mx;
    enum tlsrpt_result result;
    ipaddr local;
    ipaddr peer;
    str host;
    str helo;
    str reason;
};

/* Makes PATH when it is not there. */
WAITS enum err tls_reports_open(const char *path, struct tls_reports **reports, struct why *why);
/* Writes what is counted.  NULL is fine. */
WAITS void tls_reports_close(struct tls_reports *reports);
/* PERIOD is the day; reports of one are due up to DELAY after its end.  Not counting at all is
 * where everything begins. */
void tls_reports_configure(struct tls_reports *reports, bool counts, duration period,
                           duration delay, str submitter);
/* A microsecond; never waits.  Copies what it needs.  NULL is fine. */
void tls_reports_note(struct tls_reports *reports, const struct tls_session *session);
/* Writes now and then, until cancelled. */
WAITS void tls_reports_run(void *reports);
WAITS enum err tls_reports_flush(struct tls_reports *reports);

/* --- For the sender and for `outpost tls-report`. */

enum tls_domain_state {
    TLS_DOMAIN_COUNTED,  /* Nobody has asked yet whether it wants a report. */
    TLS_DOMAIN_REPORTED, /* It does: there are rows of reports. */
};
struct tls_domain {
    int64_t id;
    str name;
    instant begin; /* Wall clock. */
    instant end;
    enum tls_domain_state state;
    unsigned tries; /* That the DNS did not answer. */
    str report_id;
};

enum tls_report_state {
    TLS_REPORT_WAITING,
    TLS_REPORT_SENDING, /* Begun; a crash leaves it so. */
    TLS_REPORT_SENT,
    TLS_REPORT_DROPPED,
};
const char *tls_report_state_name(enum tls_report_state state);
struct tls_report_row {
    int64_t id;
    struct tls_domain domain;
    str uri;
    enum tls_report_state state;
    unsigned tries;
    instant made;
    instant next; /* Of WAITING. */
    instant changed;
    msgid message; /* By which it goes, or went; all zero: none yet. */
    str text;      /* What was answered. */
    uint64_t succeeded;
    uint64_t failed;
};

/* Domains whose report is due at NOW, at most MAX, in ARENA. */
WAITS enum err tls_reports_due_domains(struct tls_reports *reports, instant now, size_t max,
                                       struct arena *arena, struct tls_domain **domains,
                                       size_t *count);
/* What is to become of one of them: reports to URIS; with none it is forgotten; or NEXT: later. */
struct tls_decision {
    int64_t domain;
    str uris[TLSRPT_RUA_MAX];
    size_t uri_count;
    str report_id;
    instant next; /* 0: it is decided. */
};
WAITS enum err tls_reports_decide(struct tls_reports *reports, instant now,
                                  const struct tls_decision *decisions, size_t count);

/* Reports that are due at NOW, and with LEFT those that a crash left half sent. */
WAITS enum err tls_reports_due(struct tls_reports *reports, instant now, bool left, size_t max,
                               struct arena *arena, struct tls_report_row **rows, size_t *count);
/* ROW as its state, tries, next, message and text say from now on. */
WAITS enum err tls_reports_mark(struct tls_reports *reports, instant now,
                                const struct tls_report_row *row);
/* When something is due next (wall clock); 0: nothing is there. */
WAITS enum err tls_reports_next(struct tls_reports *reports, instant *next);
/* The policies of DOMAIN with their counts and failures. */
WAITS enum err tls_reports_read(struct tls_reports *reports, int64_t domain, struct arena *arena,
                                struct tlsrpt_policy **policies, size_t *count);
/* Days that are over: what is of them and NAME (empty: of all) is due at once.  FROM and TO bound
 * the beginning of the day. */
WAITS enum err tls_reports_hurry(struct tls_reports *reports, instant now, instant from, instant to,
                                 str name, uint64_t *count);
/* Forgets what is older than TLS_REPORTS_KEEP. */
WAITS enum err tls_reports_expire(struct tls_reports *reports, instant now);

/* Domains of the days that begin in FROM to TO, by name; NAME empty: all.  The others are a domain
 * without a name. */
WAITS enum err tls_reports_domains(struct tls_reports *reports, instant from, instant to, str name,
                                   size_t max, struct arena *arena, struct tls_domain **domains,
                                   size_t *count);
/* Reports, the newest first. */
WAITS enum err tls_reports_list(struct tls_reports *reports, str name, size_t max,
                                struct arena *arena, struct tls_report_row **rows, size_t *count);
/* The beginning and the end of the day that WHEN is in. */
void tls_reports_day(struct tls_reports *reports, instant when, instant *begin, instant *end);
