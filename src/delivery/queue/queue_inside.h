/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_inside.h: what the files of the queue share: queue.c (the lock, the loops), deliver.c and
 * local.c (attempts; deliver.c's own parts share attempt.h), settle.c (what an attempt changes),
 * bounce.c (reports), queue_verbs.c (operators). */
#pragma once

#include "accounts/account.h"
#include "config/config.h"
#include "delivery/families.h"
#include "delivery/queue/queue.h"
#include "delivery/route.h"
#include "delivery/schedule/schedule.h"
#include "delivery/secure/secure.h"
#include "delivery/rules/shaping.h"
#include "mail/envelope.h"
#include "mail/progress.h"
#include "runtime/fiber.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "store/mailbox.h"
#include "store/spool.h"

#include <pthread.h>

struct sasl;
struct secrets;
struct standing;
struct sts_cache;
struct suppression;
struct smtp_client;
struct tls_context;

/* clang-format off */
enum {
    ATTEMPT_ARENA_MAX = 64 * 1024 * 1024, /* The envelope of the largest message, its answers, its routes. */
    QUEUE_LOOPS_MAX = 256,
    OWN_ENDPOINTS_MAX = 256,
    RECENT_REPORTS = 64,
};
/* clang-format on */

struct queue_loop {
    struct queue *queue;
    unsigned index;
    struct bell bell;
    struct group dispatcher;
    struct group runners;
    struct latch stopped;
};

struct queue {
    pthread_mutex_t lock; /* For all up to the blank line; never held across a wait. */
    struct schedule schedule;
    const struct config *config;
    const struct shaping *shaping;
    struct link idle; /* Runners that wait for work, the longest waiting first. */
    instant look_at;  /* When loop 0 will look at the schedule again. */
    bool stopping;
    uint64_t seed;
    struct families families;
    instant six_asked_at;
    bool has_six; /* This machine reaches IPv6 addresses. */
    instant sts_look_at; /* When loop 0 looks for old policies. */
    uint64_t recent_reports[RECENT_REPORTS]; /* Hashes: bounce_intake.c. */
    size_t recent_report_count;

    struct spool *spool;
    struct accounts *accounts;
    struct mailstore *mailstore;
    struct events *events;
    struct keyring *keyring;
    struct tls_reports *tls_reports; /* NULL: nothing is counted. */
    struct secrets *secrets; /* NULL: no return paths of our own. */
    struct tls_context *tls_context;
    int programs; /* 0: nobody runs programs. */
    struct sasl *sasl;
    struct standing *standing;
    struct sts_cache *sts;
    struct suppression *suppression;
    struct endpoint *own_endpoints;
    size_t own_endpoint_count;
    instant stop_deadline;
    unsigned loop_count;
    struct queue_loop loops[QUEUE_LOOPS_MAX];
};

/* A fiber that delivers to one site, through at most one connection at a time. */
struct runner {
    struct queue *queue;
    struct queue_loop *loop;
    struct schedule_site *site; /* With one of its slots. */
    struct schedule_batch batch;
    bool has_batch;
    bool must_quit;       /* Its slot is wanted elsewhere. */
    struct link idle;     /* In site.idle. */
    struct link idle_all; /* In queue.idle. */
    struct bell bell;
    const struct config *config;
    const struct shaping *shaping;
    const struct shaping_provider
        *provider;       /* Of SHAPING, whose the site's hosts are; NULL: nobody's. */
    bool knows_provider; /* They were asked for. */
    struct smtp_client *client;
    struct schedule_site *client_site;
    str client_host; /* In client_host_text. */
    char client_host_text[320];
    struct secure_outcome client_secure; /* What the connection proved. */
    struct arena arena;
};

enum outcome {
    OUTCOME_DELIVERED, /* The next hop took it, or the mailbox. */
    OUTCOME_EXPANDED,
    OUTCOME_DEFERRED,
    OUTCOME_FAILED,
    OUTCOME_EXPIRED,
    OUTCOME_LATE, /* Not over, but the sender is to be told that it is late. */
    OUTCOME_DELETED,
    OUTCOME_UNCHANGED, /* Only to be noted: held, or released. */
};

/* Why a sender may want to hear of a delivery from us: bits. */
enum {
    RELAYED_WITHOUT_DSN = 1, /* The next hop does not report by itself. */
    RELAYED_WITHOUT_BY = 2,  /* It does not know of the time that was asked for (RFC 2852 4.1.4). */
    RELAYED_TRACED = 4,      /* Every hop was to report. */
};

/* What an attempt came to, for one row that is RUNNING and in no batch. */
struct result {
    struct schedule_row *row;
    enum outcome outcome;
    uint16_t code;
    const char *enhanced;
    const char *text;
    const char *remote; /* "mx.example.org [192.0.2.1]", or "" */
    uint8_t relayed;    /* RELAYED_* */
    bool is_attempt;    /* Counts as one. */
    bool forwarded;     /* The message for an alias's addresses elsewhere is in the spool. */
    instant not_before; /* DEFERRED: the site pauses until then. */
    /* What learn.c makes of the answer. */
    uint8_t stage; /* enum smtp_stage: to what it was. */
    enum reply_class class;
    const struct shaping_rule *rule; /* Only during the attempt. */
    duration retry_after;            /* Instead of delivery.retry_min; 0: not said. */
    bool retry_exactly;              /* After that time, whatever the attempts before. */
    bool throttled;                  /* No attempt: the row waits at its site. */
    bool suspends;                   /* The sender, at this provider. */
    const char *route; /* UNCHANGED: an operator wants this next hop; NULL: nothing new. */
};

/* suppress.c.  What the answer behind RESULT, with its TEXT, says of the recipient. */
WAITS void suppress_learn(struct queue *queue, const struct config *config,
                          const struct envelope *envelope, const struct result *result,
                          const char *enhanced, const char *text);

/* settle.c.  RESULTS are all of one message, whose ENVELOPE may be given if it is at hand.  Copies
 * what it needs; the note, the report and the rows' new states come about in a fiber of their own,
 * which is only waited for when none can be started any more. */
WAITS void settle(struct queue_loop *loop, struct schedule_message *message,
                  const struct envelope *envelope, const struct result *results, size_t count);
/* Results of messages that nobody can settle any more, at the end. */
void settle_discard(struct queue *queue, struct schedule_message *message);

/* bounce.c.  One row of a report. */
struct bounce_row {
    uint32_t index;
    enum outcome outcome;
    uint8_t relayed; /* RELAYED_* */
};
/* Puts a report about ROWS into the spool and the queue; OK when it is durable, or none is due. */
WAITS enum err bounce_send(struct queue *queue, const struct envelope *envelope,
                           const struct progress *progress, const struct bounce_row *rows,
                           size_t count, const struct config *config);
/* Whether the sender is to hear of OUTCOME for RECIPIENT. */
bool bounce_is_wanted(const struct envelope *envelope, const struct recipient *recipient,
                      enum outcome outcome, unsigned relayed);

/* handling.c.  "It is held until …, as the sender asked.", or "" when nothing like that holds it.
 */
str handling_why(struct arena *arena, const struct envelope *envelope, instant now);
/* When a message is given up; of a report about TLS after a day (RFC 8460 5.7). */
#define HANDLING_REPORT_TIME DAYS(1)
instant handling_expiry(const struct envelope *envelope, const struct config *config);

/* runner.c: a fiber; takes the runner, which holds a slot of its site and its first batch. */
WAITS void deliver_run(void *runner);
/* Under the lock: rows that are left go back to the front, the batch is given up. */
void runner_end_batch(struct runner *runner);
/* deliver.c: the batch of RUNNER; its rows are elsewhere afterwards. */
WAITS void deliver_attempt(struct runner *runner);
/* connect.c */
WAITS void runner_drop_client(struct runner *runner);
/* local.c: fills RESULTS, one for each recipient of the batch. */
WAITS void local_deliver(struct runner *runner, const struct envelope *envelope, struct body *body,
                         struct schedule_row *const *rows, size_t count, struct result *results);

/* standing_rules.c.  On loop 0: what rules that have ended kept is due again.  When to look next,
 * on the wall clock. */
instant standing_tick(struct queue_loop *loop, instant now);

/* secure_sts.c.  On loop 0: asks anew for policies that are old.  When to look next. */
instant secure_sts_tick(struct queue_loop *loop, instant now);

/* queue.c */
/* For route_facts.is_out, without the lock: whether the site behind the way named KEY pauses.  ARG is
 * the queue. */
bool queue_way_is_out(void *arg, const char *key);
const struct config *queue_config(struct queue *queue);   /* A reference. */
const struct shaping *queue_shaping(struct queue *queue); /* A reference. */
void queue_ring(struct queue *queue); /* There may be work: on the caller's loop. */
/* Hands ready rows of SITE to runners that wait for them.  Under the lock. */
void queue_feed_idle(struct queue *queue, struct schedule_site *site);
void queue_wake_after(struct queue *queue); /* Rows were deferred: times have changed. */
/* Under the lock: something may be due earlier than loop 0 wants to look. */
void queue_look_in_time(struct queue *queue);
