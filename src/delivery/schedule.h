/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule.h: who is due when, and whose turn it is: tables, without I/O, locks or a clock.
 *
 * A row is a recipient who waits.  It is scheduled until its time comes, then ready, and running
 * while a delivery has it.  Rows of one route (a domain, a smarthost, this machine) form a target;
 * targets with the same set of hosts share a site, which bounds connections and backs off as one.
 *
 *            schedule_tick             schedule_take             schedule_row_done
 *   SCHEDULED ----------> READY (in a turn) --------> RUNNING ------------------> (freed)
 *       ^                   ^                          |
 *       +-------------------+--- schedule_row_defer ---+--> HELD, if an operator wants it
 *
 * schedule_seize() makes any of the others RUNNING, for an operator's verb.
 *
 * Turns are fair between the senders of a target, the targets of a site, and the sites.  All times
 * are handed in; the owner (queue.c) holds its lock around every call.
 */
#pragma once

#include "base/base.h"
#include "base/heap.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/list.h"
#include "base/map.h"
#include "base/msgid.h"
#include "base/rand.h"
#include "base/str.h"
#include "delivery/pace.h"
#include "mail/lane.h"

enum {
    SCHEDULE_TURNS = 16,
    SCHEDULE_IDLE_TARGETS = 2048
};

struct schedule_limits {
    duration retry_min; /* Doubled after each attempt up to */
    duration retry_max;
    duration expire;        /* After acceptance. */
    duration bounce_expire; /* The same for reports. */
    duration warn;          /* Delay report; 0: none. */
    unsigned site_slots;    /* Connections to one site. */
    unsigned slots;         /* Connections in all. */
};

enum schedule_state {
    ROW_SCHEDULED, /* In the heap until due. */
    ROW_READY,     /* In a turn of its target; in the heap for its warning or expiry. */
    ROW_RUNNING,   /* A delivery, or a settlement, has it. */
    ROW_HELD,
    ROW_DONE,
};

struct schedule_target;
struct schedule_message;

struct schedule_row {
    struct heap_item timer;
    struct link link; /* In a turn, or in a batch. */
    struct schedule_message *message;
    struct schedule_target *target;
    instant due;
    uint16_t index; /* Of the recipient in the envelope. */
    uint16_t attempts;
    uint32_t rule : 20; /* The owner's: the standing rule that keeps or moved it; 0: none. */
    uint32_t state : 3;
    bool held : 1; /* Also while running: to be held afterwards. */
    bool delay_reported : 1;
    bool forwarded : 1;   /* The owner's: see mail/progress.h. */
    bool expires_now : 1; /* Wanted by an operator: bounce at the next tick. */
    bool kept : 1;        /* HELD or SCHEDULED by its rule, and not for another reason. */
    bool exempt : 1;      /* The owner's: no standing rule concerns it any more. */
};

struct schedule_message {
    msgid id;
    struct schedule_message *next; /* In its bucket. */
    instant received_at;
    instant not_before; /* 0: at once. */
    instant expires;    /* 0: as the limits say. */
    uint64_t sender;    /* Hash of the account or the sender's domain. */
    void *results;      /* The owner's: outcomes that wait to be written. */
    uint32_t waiting;   /* Rows that are not done. */
    uint32_t users;     /* Deliveries and settlements that hold on to it. */
    uint32_t row_count;
    uint8_t lane; /* enum lane */
    int8_t priority;
    bool is_report;
    bool settling;   /* The owner's. */
    bool untold;     /* The owner's: a note must be written before it may be forgotten. */
    bool only_warns; /* At EXPIRES. */
    struct schedule_row rows[];
};

/* Connections that can be shared. */
struct schedule_site {
    char *key;
    char *source;           /* The name of the source of ours; "": the usual one. */
    struct pace pace;       /* What is said of it. */
    struct link targets;    /* With ready rows. */
    struct link runnable;   /* In schedule.runnable. */
    struct link idle;       /* Of the owner: connections that wait for work. */
    struct heap_item timer; /* In schedule.pauses while backing off. */
    unsigned target_count;
    unsigned running;     /* Slots in use. */
    unsigned limit;       /* Adaptive, 1 to site_slots. */
    unsigned failures;    /* Pauses in a row. */
    bool works;           /* A success came after the last failure. */
    unsigned successes;   /* Since the limit was last changed. */
    instant paused_until; /* 0: not backing off. */
    ipaddr clear_addr;    /* TLS of the host there is broken: */
    instant clear_until;  /* where it is only wished for, do without until then. */
    char reason[160];     /* Why it backs off. */
};

struct schedule_target {
    char *key;
    struct schedule_site *site;
    struct link link; /* In site.targets. */
    struct link idle; /* In schedule.idle_targets. */
    uint32_t rows;
    uint32_t ready;
    uint32_t users;        /* Deliveries that hold on to it. */
    uint16_t turns_filled; /* A bit for each turn that has rows. */
    uint8_t turn;          /* Whose turn it was last. */
    struct link turns[SCHEDULE_TURNS];
};

struct schedule {
    struct schedule_limits limits;
    struct schedule_message **buckets;
    size_t bucket_count;
    size_t message_count;
    size_t row_count;
    size_t ready_count;
    unsigned running; /* Slots in use. */
    struct heap rows;
    struct heap pauses;
    struct link runnable; /* Sites with ready rows and a free slot. */
    struct link overdue;  /* Rows to be reported late or expired; the owner takes them. */
    struct link idle_targets;
    unsigned idle_target_count;
    struct map targets;
    struct map sites;
    struct rand rand;
};

/* Rows of one message that go to one target together. */
struct schedule_batch {
    struct schedule_message *message; /* With a user more: schedule_message_release(). */
    struct schedule_target *target;   /* With a user more: schedule_target_release(). */
    struct link rows;
    unsigned count;
    instant taken_at;
};

/* What is known of a message when it comes. */
struct schedule_facts {
    msgid id;
    instant received_at;
    instant not_before; /* FUTURERELEASE; 0: at once. */
    instant expires;    /* Its own end (DELIVERBY); 0: as the limits say. */
    bool only_warns;    /* EXPIRES is only when the sender is to be told that it is late. */
    uint64_t sender;    /* Hash of the account or the sender's domain. */
    enum lane lane;     /* Zero is LANE_CODE: always say it. */
    int8_t priority;    /* MT-PRIORITY, -9 to 9. */
    bool is_report;
};

/* What is known of a row when it comes. */
struct schedule_start {
    instant due;
    uint16_t attempts;
    bool held;
    bool delay_reported;
    bool forwarded;
};

void schedule_init(struct schedule *schedule, const struct schedule_limits *limits, uint64_t seed);
void schedule_done(struct schedule *schedule);

/* A new message with ROW_COUNT rows, each of which is then placed by schedule_add_row() or counted
 * out by schedule_skip_row().  NULL if the id is there already.  The message has one user. */
struct schedule_message *schedule_add(struct schedule *schedule, const struct schedule_facts *facts,
                                      uint32_t row_count);
void schedule_add_row(struct schedule *schedule, struct schedule_message *message, uint32_t index,
                      str target, const struct schedule_start *start, instant now);
void schedule_skip_row(struct schedule *schedule, struct schedule_message *message, uint32_t index);
struct schedule_message *schedule_find(const struct schedule *schedule, msgid id);
/* Walks all messages: *at = NULL begins. */
struct schedule_message *schedule_next_message(const struct schedule *schedule,
                                               struct schedule_message *at);
/* The last user of a message whose rows are all done frees it; true then. */
bool schedule_message_release(struct schedule *schedule, struct schedule_message *message);
void schedule_target_release(struct schedule *schedule, struct schedule_target *target);

/* Brings what is due at NOW to readiness, ends pauses, and fills OVERDUE: some thousand rows at
 * most, so that nobody waits for long; schedule_due() is past when there is more. */
void schedule_tick(struct schedule *schedule, instant now);
/* When the next tick is needed; NEVER when nothing waits for time. */
instant schedule_due(const struct schedule *schedule);
instant schedule_expiry(const struct schedule *schedule, const struct schedule_message *message);

/* A site whose turn it is, with one of its slots taken; NULL when there is none. */
struct schedule_site *schedule_take_site(struct schedule *schedule, instant now);
/* Whether ready rows of SITE could go out through a slot that the caller has. */
bool schedule_site_has_work(const struct schedule_site *site);
/* The next rows of one message, at most MAX.  False when SITE has none, or is pausing. */
bool schedule_take(struct schedule *schedule, struct schedule_site *site, unsigned max, instant now,
                   struct schedule_batch *batch);
void schedule_site_release(struct schedule *schedule, struct schedule_site *site);
/* Another slot of SITE, for a batch whose target moved there; false when it has none now, or may
 * not send now. */
bool schedule_site_join(struct schedule *schedule, struct schedule_site *site, instant now);
/* Others wait for a slot and none is left: a delivery that has had its share should give way. */
bool schedule_is_crowded(const struct schedule *schedule);

/* TARGET belongs to the site named KEY, reached from SOURCE ("": the usual one): its ready rows go
 * there. */
struct schedule_site *schedule_bind(struct schedule *schedule, struct schedule_target *target,
                                    str key, str source);

/* Groups of sites with limits of their own. */
enum schedule_scope {
    SCOPE_SITE,
    SCOPE_PROVIDER,     /* All sites of a provider, from one source of ours. */
    SCOPE_PROVIDER_ALL, /* The same from all sources together. */
    SCOPE_SOURCE,       /* All that goes out from a source. */
    SCOPE_COUNT
};
/* What is said of SITE itself.  Cheap when it is what was said before. */
void schedule_site_pace(struct schedule *schedule, struct schedule_site *site,
                        const struct pace *pace);
/* SITE belongs to the group NAME of SCOPE (not SCOPE_SITE), which has PACE; an empty NAME: to none.
 * Cheap when nothing changes. */
void schedule_site_group(struct schedule *schedule, struct schedule_site *site,
                         enum schedule_scope scope, str name, const struct pace *pace);

/* What a site teaches.  A message went through. */
void schedule_site_succeeded(struct schedule *schedule, struct schedule_site *site, instant now);
/* No connection, or no service: refused, silent, cut.  Beside working connections it lowers the
 * limit; alone, or again and again, the site pauses with growing length.  Returns when it may be
 * tried again: NOW or before means at once, and the rows can go back (schedule_row_return()). */
instant schedule_site_failed(struct schedule *schedule, struct schedule_site *site, str reason,
                             instant now);
/* It says that there are too many connections: one less of those in use, at the group of SCOPE.
 * The only one: it pauses.  Returns as schedule_site_failed(). */
instant schedule_site_slow(struct schedule *schedule, struct schedule_site *site,
                           enum schedule_scope scope, str reason, instant now);
/* It says that too many messages came.  What went through is the rate from now on, with careful
 * growth.  TAKEN_AT: when the batch was taken (batch.taken_at), so that what was under way already
 * when a refusal came teaches nothing twice.  Returns as schedule_site_failed(). */
instant schedule_site_rate_limited(struct schedule *schedule, struct schedule_site *site,
                                   enum schedule_scope scope, instant taken_at, str reason,
                                   instant now);
/* Nothing more until UNTIL. */
void schedule_site_pause(struct schedule *schedule, struct schedule_site *site,
                         enum schedule_scope scope, instant until, str reason);
/* Ends the pauses of SITE by an operator's wish. */
void schedule_site_wake(struct schedule *schedule, struct schedule_site *site);
/* Until when SITE may not send, though it is well: 0 when it may. */
instant schedule_site_throttled_until(const struct schedule *schedule,
                                      const struct schedule_site *site, instant now);

/* Ends of RUNNING rows.  The row is out of any batch before. */
void schedule_row_done(struct schedule *schedule, struct schedule_row *row);
void schedule_row_defer(struct schedule *schedule, struct schedule_row *row, instant due,
                        instant now);
/* Not tried after all: ready again, in front. */
void schedule_row_return(struct schedule *schedule, struct schedule_row *row, instant now);
/* The same, by another way. */
void schedule_row_move(struct schedule *schedule, struct schedule_row *row, str target,
                       instant now);
/* The time of the next attempt after ATTEMPTS failed ones, with jitter. */
instant schedule_retry_at(struct schedule *schedule, unsigned attempts, instant now);

/* A RUNNING row that a standing rule puts off until UNTIL; NEVER: it is HELD. */
void schedule_row_keep(struct schedule *schedule, struct schedule_row *row, uint32_t rule,
                       instant until, instant now);
/* The rule is over: what it kept is due now. */
void schedule_row_unkeep(struct schedule *schedule, struct schedule_row *row, instant now);

/* Walks all messages in slices, so that the lock is not held for long: begins with a zeroed walk;
 * false when all have been seen.  A message that is there all the time is seen at least once. */
struct schedule_walk {
    size_t bucket;
    size_t bucket_count;
};
bool schedule_walk(struct schedule *schedule, struct schedule_walk *walk, unsigned max,
                   void (*each)(void *arg, struct schedule_message *message), void *arg);

/* Operators.  Due now.  False when the row is running, held or done. */
bool schedule_retry(struct schedule *schedule, struct schedule_row *row, instant now);
/* Takes a row that is neither running nor done out of the tables, as RUNNING, so that the caller
 * can end or defer it. */
bool schedule_seize(struct schedule *schedule, struct schedule_row *row);
