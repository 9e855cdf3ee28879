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
 * Turns are fair between the senders of a target, the targets of a site, and the sites, lane by
 * lane.  Groups (a site, its provider, a source of ours) bound connections and rates; a
 * site without room waits at the group that has none, and is woken by it.
 *
 * The tables are schedule_messages.c, schedule.c (rows, time, operators), schedule_turns.c (whose
 * turn it is), schedule_site.c (groups, slots, waiting), schedule_learn.c (what answers teach) and
 * schedule_why.c (in words).  All times are handed in; the owner (queue.c) holds its lock around
 * every call.
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
#include "delivery/schedule/pace.h"
#include "mail/lane.h"

enum {
    SCHEDULE_TURNS = 16,
    SCHEDULE_IDLE_TARGETS = 2048
};

/* Lanes with MT-PRIORITY taken into account: 4 and more is a step up, 8 two, and the same down, but
 * nothing becomes a code that is none.  Codes go first, the others share by weight. */
enum schedule_rank {
    RANK_CODE,
    RANK_URGENT,
    RANK_PERSONAL,
    RANK_NOTICE,
    RANK_BULK,
    RANK_LATER,
    RANK_COUNT
};

/* Groups of sites with limits of their own. */
enum schedule_scope {
    SCOPE_SITE,
    SCOPE_PROVIDER,     /* All sites of a provider, from one source of ours. */
    SCOPE_SOURCE,       /* All that goes out from a source. */
    SCOPE_COUNT
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
    bool rerouted : 1;    /* The owner's: its note names the next hop. */
};

struct schedule_message {
    msgid id;
    instant received_at;
    instant not_before; /* 0: at once. */
    instant expires;    /* 0: as the limits say. */
    void *results;      /* The owner's: outcomes that wait to be written. */
    uint32_t sender;    /* Hash of the account or the sender's domain. */
    uint32_t waiting;   /* Rows that are not done. */
    uint32_t users;     /* Deliveries and settlements that hold on to it. */
    uint32_t row_count;
    uint8_t lane; /* enum lane */
    uint8_t rank; /* enum schedule_rank */
    int8_t priority;
    bool is_report;
    bool settling;   /* The owner's. */
    bool untold;     /* The owner's: a note must be written before it may be forgotten. */
    bool only_warns; /* At EXPIRES. */
    struct schedule_row rows[];
};

/* Lists by rank, served in turn. */
struct turnstile {
    struct link lists[RANK_COUNT];
    uint32_t passes[RANK_COUNT]; /* The least is next. */
    uint32_t now;                /* The last that was served. */
};

struct schedule_rate; /* What is learnt: schedule_learn.c. */

/* What shares a limit. */
struct schedule_group {
    char *key; /* In schedule.groups; NULL: a site's own. */
    char *name;
    const struct pace *pace;    /* What is said of it; NULL: nothing. */
    struct window *windows;     /* For each rate of PACE. */
    struct schedule_rate *rate; /* NULL: nothing is known yet. */
    struct link waiting;        /* Sites that found no slot. */
    struct link waiting_time;   /* Sites that found it closed. */
    struct link pending;        /* In schedule.wakes. */
    struct heap_item timer;     /* In schedule.timers, when it may have room again. */
    unsigned wakes;             /* Sites to be woken. */
    unsigned woken;             /* Sites that were, for turns. */
    unsigned members;           /* Sites. */
    unsigned running;           /* Slots in use. */
    unsigned limit;             /* Adaptive. */
    unsigned threshold;         /* Growth is fast up to here. */
    unsigned successes;         /* Since the limit was last changed. */
    unsigned strikes;           /* Failures beside working connections. */
    unsigned failures;          /* Pauses in a row. */
    unsigned session_messages;  /* After so many it ends a connection; 0: unknown. */
    uint8_t scope;
    bool works;           /* A success came after the last failure. */
    bool is_unresolved;   /* A lookup must say first which site it is. */
    instant paused_until; /* 0: not pausing. */
    instant lowered_at;
    instant hold_until; /* The limit does not grow before. */
    duration hold;
    instant session_at; /* When SESSION_MESSAGES was learnt. */
    char *reason;       /* Why it pauses or was lowered; may be NULL. */
};

/* Connections that can be shared. */
struct schedule_site {
    char *key;
    char *source; /* The name of the source of ours; "": the usual one. */
    struct schedule_group own;
    struct schedule_group *groups[SCOPE_COUNT]; /* The first is OWN; NULL: none. */
    struct turnstile queues;                    /* With ready rows. */
    struct link runnable;                       /* In schedule.runnable. */
    struct link idle;                           /* Of the owner: schedule_site_park(). */
    struct link wait;                           /* In waits_for->waiting. */
    struct schedule_group *waits_for;
    unsigned target_count;
    uint8_t runnable_rank;
    bool waits_for_time;
    bool waits_with_code; /* A code waits too: another one changes nothing. */
    bool woken;
    ipaddr clear_addr;   /* TLS of the host there is broken: */
    instant clear_until; /* where it is only wished for, do without until then. */
    ipaddr out_addr;     /* The host there does not answer, but another one does: */
    instant out_until;   /* it comes last until then. */
};

struct schedule_queue; /* The ready rows of a target in one rank. */

struct schedule_target {
    char *key;
    struct schedule_site *site;
    struct schedule_queue *queues;
    struct link idle; /* In schedule.idle_targets. */
    uint32_t rows;
    uint32_t ready;
    uint32_t users; /* Deliveries that hold on to it. */
};

struct schedule {
    struct schedule_limits limits;
    uint64_t *slots; /* Of messages: schedule_messages.c. */
    size_t slot_count;
    size_t slots_used; /* With graves. */
    uint64_t slots_generation;
    size_t message_count;
    size_t row_count;
    size_t ready_count;
    unsigned running; /* Slots in use. */
    struct heap rows;
    struct heap timers;        /* Of groups. */
    struct turnstile runnable; /* Sites with ready rows and a free slot, by their best rank. */
    struct link overdue;       /* Rows to be reported late or expired; the owner takes them. */
    struct link wakes;         /* Groups that have room again. */
    bool waking;
    struct link idle_targets;
    unsigned idle_target_count;
    struct map targets;
    struct map sites;
    struct map groups;
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
/* From now on. */
void schedule_set_limits(struct schedule *schedule, const struct schedule_limits *limits);

/* Room for so many messages at once, instead of growing step by step. */
void schedule_reserve(struct schedule *schedule, size_t message_count);
/* A new message with ROW_COUNT rows, each of which is then placed by schedule_add_row() or counted
 * out by schedule_skip_row().  NULL if the id is there already.  The message has one user. */
struct schedule_message *schedule_add(struct schedule *schedule, const struct schedule_facts *facts,
                                      uint32_t row_count);
void schedule_add_row(struct schedule *schedule, struct schedule_message *message, uint32_t index,
                      str target, const struct schedule_start *start, instant now);
void schedule_skip_row(struct schedule *schedule, struct schedule_message *message, uint32_t index);
/* ID with a row for TARGET is added soon, after others: what that will touch is asked for from
 * memory, so that the wait is shared.  Changes nothing. */
void schedule_foresee(const struct schedule *schedule, msgid id, str target);
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
/* Whether ROW, of those that are overdue, is over; else it is only late. */
bool schedule_row_is_over(const struct schedule *schedule, const struct schedule_row *row,
                          instant now);

/* The next work of all: at most MAX rows of one message, taken, and the site that they are for.
 * FOR_IDLE: a connection that waits there (site.idle) is to have it; otherwise a slot of the site
 * was taken for a new one.  False when there is nothing that may go now. */
struct schedule_work {
    struct schedule_site *site;
    struct schedule_batch batch;
    bool for_idle;
};
bool schedule_next(struct schedule *schedule, unsigned max, instant now,
                   struct schedule_work *work);
bool schedule_has_work(const struct schedule *schedule);
/* The next rows of one message, at most MAX, for who has a slot of SITE.  False when SITE has none,
 * or may not send now. */
bool schedule_take(struct schedule *schedule, struct schedule_site *site, unsigned max, instant now,
                   struct schedule_batch *batch);
void schedule_site_release(struct schedule *schedule, struct schedule_site *site);
/* Another slot of SITE, for a batch whose target moved there; false when it has none now, or may
 * not send now. */
bool schedule_site_join(struct schedule *schedule, struct schedule_site *site, instant now);
/* A connection of SITE waits for work: ITEM is in site.idle until it is taken out again. */
void schedule_site_park(struct schedule *schedule, struct schedule_site *site, struct link *item);
void schedule_site_unpark(struct schedule *schedule, struct schedule_site *site, struct link *item);
/* Others wait for a slot that SITE has, and none is left: a delivery that has had its share should
 * give way. */
bool schedule_is_crowded(const struct schedule *schedule, const struct schedule_site *site);
/* More slots of SITE are in use than it has by now: who has one without a connection should give it
 * up, or it would knock again at once where it was just told that there are too many. */
bool schedule_site_is_over(const struct schedule *schedule, const struct schedule_site *site);
/* Sites wait to be begun with, and a good part of the slots is in use: nobody should keep one for
 * long who only waits. */
bool schedule_is_busy(const struct schedule *schedule);

/* TARGET belongs to the site named KEY, reached from SOURCE ("": the usual one): its ready rows go
 * there. */
struct schedule_site *schedule_bind(struct schedule *schedule, struct schedule_target *target,
                                    str key, str source);

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
/* It ended a connection that worked, after MESSAGES messages: so many it is given from now on. */
void schedule_site_ends_after(struct schedule *schedule, struct schedule_site *site,
                              unsigned messages, instant now);
/* The messages that one connection of SITE is given, at most MAX. */
unsigned schedule_site_session(const struct schedule_site *site, unsigned max);
/* Ends the pauses of SITE by an operator's wish. */
void schedule_site_wake(struct schedule *schedule, struct schedule_site *site);
/* Until when SITE may not send, pausing or at a limit of its rates: 0 when it may. */
instant schedule_site_throttled_until(const struct schedule_site *site, instant now);
/* Until when SITE takes no mail, because it, its provider or our source pauses: 0 when it does. */
instant schedule_site_paused_until(const struct schedule_site *site, instant now);

/* Nothing was refused that still has consequences, but for a number of connections. */
bool schedule_group_is_well(const struct schedule_group *group);

/* What keeps a site, in one sentence without a full stop ("provider google takes 100 messages in
 * 1h from us"), and until when (0: nobody knows). */
enum schedule_wait_kind {
    WAIT_NOTHING, /* Its turn is next. */
    WAIT_PAUSE,
    WAIT_RATE,
    WAIT_CONNECTIONS,
    WAIT_TURN, /* Others are before it. */
};
struct schedule_wait {
    enum schedule_wait_kind kind;
    enum schedule_scope scope;
    instant until;
    char text[320];
};
void schedule_site_why(const struct schedule *schedule, const struct schedule_site *site,
                       instant now, struct schedule_wait *wait);

/* Ends of RUNNING rows.  The row is out of any batch before. */
void schedule_row_done(struct schedule *schedule, struct schedule_row *row);
void schedule_row_defer(struct schedule *schedule, struct schedule_row *row, instant due,
                        instant now);
/* Not tried after all: ready again, in front. */
void schedule_row_return(struct schedule *schedule, struct schedule_row *row, instant now);
/* The same, by another way. */
void schedule_row_move(struct schedule *schedule, struct schedule_row *row, str target,
                       instant now);
/* The same, but it stays RUNNING. */
void schedule_row_retarget(struct schedule *schedule, struct schedule_row *row, str target);
/* The time of the next attempt after ATTEMPTS failed ones, with jitter. */
instant schedule_retry_at(struct schedule *schedule, unsigned attempts, instant now);
/* The same for a row: a code comes back ten times as soon. */
instant schedule_row_retry_at(struct schedule *schedule, const struct schedule_row *row,
                              unsigned attempts, instant now);

/* A RUNNING row that a standing rule puts off until UNTIL; NEVER: it is HELD. */
void schedule_row_keep(struct schedule *schedule, struct schedule_row *row, uint32_t rule,
                       instant until, instant now);
/* The rule is over: what it kept is due now. */
void schedule_row_unkeep(struct schedule *schedule, struct schedule_row *row, instant now);

/* Walks all messages in slices, so that the lock is not held for long: begins with a zeroed walk;
 * false when all have been seen.  A message that is there all the time is seen at least once. */
struct schedule_walk {
    size_t slot;
    uint64_t generation;
};
bool schedule_walk(struct schedule *schedule, struct schedule_walk *walk, unsigned max,
                   void (*each)(void *arg, struct schedule_message *message), void *arg);

/* Operators.  Due now.  False when the row is running, held or done, or before the time that its
 * sender named. */
bool schedule_retry(struct schedule *schedule, struct schedule_row *row, instant now);
/* Takes up to MAX ready rows out of the turns of TARGET, as RUNNING.  The count. */
size_t schedule_target_seize(struct schedule *schedule, struct schedule_target *target,
                             struct schedule_row **rows, size_t max);
/* Takes a row that is neither running nor done out of the tables, as RUNNING, so that the caller
 * can end or defer it. */
bool schedule_seize(struct schedule *schedule, struct schedule_row *row);
