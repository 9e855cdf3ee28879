/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* attempt.h: what the files of one attempt share: deliver.c (its story), connect.c (hosts, sources,
 * the connection), send.c (a transaction and what its answers mean), attempt_events.c (results, and
 * the records of them). */
#pragma once

#include "delivery/queue/queue_inside.h"
#include "delivery/secure/secure.h"
#include "delivery/rules/standing.h"
#include "delivery/secure/sts_cache.h"
#include "protocols/smtp/client.h"

enum {
    ATTEMPT_HOSTS_MAX = 5 /* That one attempt speaks to about the same recipient. */
};

/* One batch on its way. */
struct attempt {
    struct runner *runner;
    struct envelope envelope;
    struct route route;
    struct schedule_row **rows;
    size_t count;
    struct result *results; /* Room for one for each row. */
    size_t result_count;
    instant began; /* Wall clock. */
    struct smtp_failure failure;
    struct sts_known *sts;   /* What is known of the domain's policy; NULL: nobody asked. */
    struct secure_plan plan; /* For the host that was tried last, */
    struct secure_outcome
        outcome; /* and what came of it; of a connection, the runner keeps its own. */
    struct standing_verdict *tls_rule; /* An operator's, about TLS with the domain; NULL: none. */
    bool is_disowned;  /* By the domain's policy none of its hosts is to have its mail. */
    bool mx_secure;    /* The MX records came with DNSSEC. */
    const char *unmet; /* "5.7.30": some host cannot give what the message requires; NULL: none. */
    bool may_be_met;   /* Another host could perhaps, another time. */
    struct body *body;
    str tried[ATTEMPT_HOSTS_MAX]; /* Hosts that put recipients off in this attempt. */
    size_t tried_count;
    const struct recipient_progress *noted; /* Next hops that an operator wants; may be NULL. */
};

/* attempt_events.c.  A copy of TEXT that lives as long as the attempt. */
str attempt_text(struct arena *arena, const char *text);
struct result *attempt_add_result(struct attempt *a, struct schedule_row *row, enum outcome outcome,
                                  unsigned code, const char *enhanced, const char *text);
/* The same for every row, in place of what there was. */
void attempt_all_results(struct attempt *a, enum outcome outcome, unsigned code,
                         const char *enhanced, const char *text, instant not_before);
enum outcome attempt_outcome_of(unsigned code);
void attempt_record(const struct attempt *a);
/* Who answers, by the host that was tried last and the domain; NULL: nobody that the rules know. */
const struct shaping_provider *attempt_provider(const struct attempt *a);
/* What an answer of theirs means. */
void attempt_judge(const struct attempt *a, unsigned code, str enhanced, str text,
                   struct shaping_verdict *verdict);

/* connect.c.  The hosts of the way, and its site entered.  False: there is none, or the site is not
 * for now; the results, if any, say why. */
WAITS bool attempt_find_hosts(struct attempt *a, struct route_hosts *hosts);
/* How HOST is to be connected to.  ERR_IO: a password cannot be read. */
WAITS enum err attempt_fill_options(struct attempt *a, const struct route_host *host, bool is_last,
                                    struct smtp_client_options *options);
/* No connection could be had, as a->failure says: the site pauses, the rows wait or go elsewhere.
 */
WAITS void attempt_not_connected(struct attempt *a, enum err e);
/* What chooses the way of ROW. */
void attempt_facts(const struct attempt *a, const struct schedule_row *row,
                   struct route_facts *facts);
/* A connection for the batch, the kept one or a new one.  False: there is none, and the
 * results say why. */
WAITS bool attempt_connect(struct attempt *a);
/* In place of the connection, one to a host that has not yet put recipients off. */
WAITS bool attempt_next_host(struct attempt *a);
/* "mx.example.org [192.0.2.1]", or "". */
const char *attempt_remote_name(struct attempt *a);

/* secure.c.  What a connection to HOST must prove, into PLAN, and into OPTIONS, which hold what the
 * configuration or a relay's URL says.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err attempt_secure(struct attempt *a, const struct route_host *host,
                              struct smtp_client_options *options, struct secure_plan *plan);
/* What came of PLAN: the connection of the runner, or a->failure where there is none.  BROKEN: how
 * TLS failed before the connection was made without it; else NULL. */
void secure_conclude(struct attempt *a, const struct secure_plan *plan,
                     const struct route_host *host, const struct smtp_failure *broken,
                     struct secure_outcome *outcome);
/* Whether the kept connection proved what is demanded for this attempt; its outcome is told anew.
 */
bool secure_goes_on(struct attempt *a);
enum secure_result secure_result_of(const struct smtp_failure *failure);

/* require.c.  What the message itself asks of TLS (RFC 8689), as the last word in PLAN. */
void require_plan(const struct attempt *a, struct secure_plan *plan);
/* Whether the kept connection will do for the message. */
bool require_reuses(const struct attempt *a);
/* After the connection is made: the host passes on what the message requires, else
 * ERR_UNSUPPORTED. */
enum err require_check(struct attempt *a);
/* A host was not to be had, as a->failure and E say.  True: it will never give what the message
 * requires. */
bool require_note(struct attempt *a, enum err e);
/* All rows go back, since no host gives what the message requires.  False: that is not so. */
bool require_returns(struct attempt *a);
/* Where the next hop is not an SMTP server: whether it may have the message; else all rows have
 * their result. */
bool require_allows_way(struct attempt *a);

/* tls_note.c.  Counts what the plan and the outcome say, for the report to the domain; FAILURE is
 * of the connection that decided. */
void attempt_note_tls(struct attempt *a, const struct smtp_failure *failure);

/* connect.c.  Whose hosts these are: sets the runner's provider. */
void attempt_know_provider(struct attempt *a, const struct route_hosts *hosts);

/* secure_sts.c.  The policy of the domain, into a->sts, and into the name of the site of HOSTS.
 * ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err attempt_find_policy(struct attempt *a, struct route_hosts *hosts);
/* The same for a site that is entered already. */
WAITS enum err attempt_policy_again(struct attempt *a);
/* What it demands of the host of PLAN. */
void secure_by_sts(const struct sts_known *known, struct secure_plan *plan);
/* The last host failed by it: perhaps there is a newer one. */
void attempt_doubt_policy(struct attempt *a);
/* When its policy names none of the domain's hosts, the rows are put off, and nothing is held
 * against hosts and site, which others share.  False: that is not so. */
bool attempt_is_disowned(struct attempt *a);

/* standing_rules.c.  Rows that a standing rule keeps, returns or moves leave the attempt. */
WAITS void attempt_obey_rules(struct attempt *a);
/* The rule that it would obey for mail to ADDRESS, without doing so. */
bool attempt_match_rule(const struct attempt *a, str address, struct standing_verdict *verdict);
/* The TLS rule for hosts that are named SITE, into a->tls_rule.  False: no memory. */
bool attempt_find_tls_rule(struct attempt *a, str site);
/* From the note of the message. */
void attempt_read_routes(struct attempt *a, str note);
/* Which way ROW goes now: as a rule or an operator says, or by route_choose().  ERR_LIMIT. */
enum err attempt_way(struct attempt *a, struct schedule_row *row, struct route *route);

/* suppress.c.  Rows whose recipients are suppressed leave the attempt, and have failed. */
WAITS void attempt_leave_suppressed(struct attempt *a);
/* Whom the results show to be alive is not taken for dead any more. */
WAITS void attempt_unlearn(struct attempt *a);

/* send.c.  Sends to all rows.  A kept connection may have been closed by the peer before our first
 * word came: that is no failure, and is told by *FRESH_WANTED. */
WAITS enum err attempt_send(struct attempt *a, bool *fresh_wanted);

/* learn.c.  Sends once more, through the next host, to those whom another host may take, and puts
 * the new results in the place of the old ones.  False: there are none, or no other host. */
WAITS bool attempt_send_again(struct attempt *a, enum err *e);
/* What the results, of attempts that ended with E, mean for the recipients, the site, the sender.
 */
WAITS void attempt_learn(struct attempt *a, enum err e);
/* Rows that were only throttled go back to their site, without an attempt counted. */
void attempt_return_throttled(struct attempt *a);

/* handling.c.  Whether the next hop of the connection may have the message, for the time that was
 * asked for (RFC 2852); else every row has its result. */
bool attempt_keeps_time(struct attempt *a);
/* What is left of that time, for the next hop. */
struct smtp_deliver_by attempt_by(const struct attempt *a, instant now);
/* The RELAYED_* bits of a delivery. */
uint8_t attempt_relayed(const struct attempt *a);

/* program.c: the whole attempt, where a program is the next hop.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err program_deliver(struct attempt *a);
/* http.c: the whole attempt, where a web service is the next hop.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err http_deliver(struct attempt *a);
