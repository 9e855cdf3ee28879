/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* world.h: a world of receiving sites, the letters to them, and what became of each.
 *
 * Everything follows from a seed: plan.c draws the sites and the letters, receiver.c plays the
 * sites over the simulated network, ledger.c keeps what they took and what came back, story.c
 * posts, crashes and waits, judge.c says what does not hold.  Start reading at world_run() in
 * story.c.
 */
#pragma once

#include "base/base.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/rand.h"
#include "base/str.h"
#include "mail/lane.h"

#include <stdio.h>

struct accounts;
struct config;
struct disk_sim;
struct listener;
struct mailstore;
struct queue;
struct spool;
struct stream;

/* clang-format off */
enum {
    HOSTS_MAX = 3,          /* Of one site; all its domains share them. */
    HOST_STEP = 4,          /* Between the addresses of two sites. */
    ADDRESS_BASE = 0x0b000000,
    WINDOWS = 36,
    CRASHES_MAX = 6,
    SOURCES_MAX = 2,        /* Addresses of ours. */
    SITES_MAX = 4000
};
/* clang-format on */

static const duration window_length = MINUTES(5);

/* What a site is like: the rows of the table in plan.c. */
enum kind {
    KIND_PLAIN,
    KIND_RATE_421,
    KIND_RATE_450,
    KIND_RATE_WINDOW,
    KIND_RATE_CHANGES,
    KIND_RATE_PUNISHES,
    KIND_CAP_421,
    KIND_CAP_REFUSE,
    KIND_CONNECT_RATE,
    KIND_SESSION,
    KIND_RECIPIENTS,
    KIND_PROVIDER,
    KIND_GREAT,
    KIND_GREY,
    KIND_TARPIT,
    KIND_FLAKY,
    KIND_CUTS,
    KIND_OUTAGE_REFUSE,
    KIND_OUTAGE_SILENT,
    KIND_OUTAGE_421,
    KIND_DISK_FULL,
    KIND_DEFERS_FIRST,
    KIND_BROKEN_V6,
    KIND_DEAD_FIRST,
    KIND_SILENT_FIRST,
    KIND_DEAD,
    KIND_SILENT,
    KIND_DNS_OUTAGE,
    KIND_DNS_DEAD,
    KIND_DNS_BOGUS,
    KIND_DNS_NO_DATA,
    KIND_DNS_NO_NAME,
    KIND_TLS_BROKEN,
    KIND_TLS_REFUSED,
    KIND_HOME, /* Where reports go; the only one of its kind. */
    KIND_COUNT
};

struct kind_facts {
    const char *name;
    unsigned weight;
    bool measured; /* Gets a backlog, and its throughput counts. */
    bool healthy;  /* Nothing there delays mail. */
};
extern const struct kind_facts kinds[KIND_COUNT];

struct window {
    uint32_t attempts; /* MAIL commands, and connections turned away. */
    uint32_t taken;    /* Messages. */
    uint32_t over_rate;
    uint32_t over_cap;
    uint32_t excess; /* The most connections above the cap. */
};

/* What a site counts of one address of ours. */
struct counters {
    unsigned open;
    double bucket;
    instant bucket_at;
    uint32_t in_window;
    instant window_at;
    instant blocked_until;
    unsigned connects;
    instant connects_at;
};

struct site {
    enum kind kind;
    uint32_t number;
    uint32_t leader; /* The site whose limits these are: of a great provider's sites the first. */
    unsigned domains;
    unsigned hosts;
    /* Limits; 0: none. */
    unsigned cap; /* Connections at a time. */
    unsigned session_max;
    unsigned recipients_max;
    unsigned rate; /* Messages in a period. */
    duration period;
    instant change_at; /* From when on the rate is another one; 0: never. */
    unsigned rate_after;
    double allowed_before;
    duration penalty;      /* For who asks too early: nothing for so long from then on. */
    unsigned connects_max; /* In a minute. */
    bool fixed_windows;    /* Else a bucket that fills all the time. */
    duration latency;      /* Before the answer to the dot. */
    duration tarpit;       /* Before each answer. */
    duration grey_min;
    unsigned resets_one_in; /* Answers. */
    unsigned cuts_one_in;   /* Dots. */
    unsigned stalls_one_in;
    instant sick_from, sick_until; /* Wall clock. */
    bool is_large;                 /* Has a backlog. */
    unsigned backlog;              /* Letters of it, if it has one. */
    double allowed;                /* Messages a second, by these limits; 0: not measured. */
    /* What happens. */
    struct counters counters[SOURCES_MAX];
    uint64_t taken;
    unsigned weather;  /* What network and DNS were told. */
    instant last_bulk; /* When the backlog was gone, but for those that had to wait. */
    uint32_t letters;
    uint32_t takers; /* Of the backlog, those that are taken at once. */
    struct window windows[WINDOWS];
};

enum lane_of_letter {
    LETTER_CODE,
    LETTER_PERSONAL,
    LETTER_NOTICE,
    LETTER_BULK
};

enum manner {
    MANNER_TAKEN,
    MANNER_UNKNOWN,  /* 550 5.1.1 */
    MANNER_FULL,     /* 452 4.2.2, for ever. */
    MANNER_FULL_ONCE /* 452 4.2.2, twice. */
};

/* One recipient of one message. */
struct letter {
    uint32_t site;
    uint16_t domain;
    uint8_t lane;
    uint8_t manner;
    bool promised;
    bool small;      /* Of a newsletter that another sends to a few, beside the large one. */
    bool may_repeat; /* The last answer to it was cut, or a crash may have forgotten it. */
    uint8_t delivered;
    uint8_t repeats_excused;
    uint8_t failed_reports;
    uint8_t delayed_reports;
    uint8_t refusals; /* Temporary ones. */
    uint32_t message; /* Letters of one number go in one message. */
    instant post_at;
    instant release_at; /* 0: at once. */
    instant by;         /* To be returned after it; 0: no such wish. */
    instant grey_since;
    instant delivered_at; /* The first time. */
    instant last_at;
};

struct crash {
    instant at;       /* Wall clock: from here on the disk counts its operations. */
    unsigned after;   /* So many operations later it takes nothing more, */
    unsigned hiccups; /* or, if this is not 0, fails so many times, and all goes on. */
    duration silence; /* And so much later the power is cut. */
    instant dead_at;  /* When that was. */
    instant back_at;
};

/* Of all sites of a kind. */
struct kind_tally {
    uint64_t sites;
    uint64_t letters;
    uint64_t taken;
    double allowed; /* Messages, in the steady state of sites with a backlog. */
    double reached;
    double ideal_seconds; /* For a backlog that only our own connections bound, */
    double seconds;       /* and what it took. */
    uint64_t attempts;    /* The same, when they have been learnt. */
    uint64_t over_rate;
    uint64_t over_cap;
    uint64_t excess_max;
    uint64_t windows;      /* When they have been learnt; */
    uint64_t windows_over; /* with more refusals than are fine. */
    uint64_t drained;      /* Backlogs. */
};

/* How long deliveries took; counts in steps of a factor of two, from one second. */
enum {
    SPAN_STEPS = 20
};
struct spans {
    uint64_t count;
    uint64_t steps[SPAN_STEPS];
    duration total;
    duration most;
};

/* What came of one world, or of many. */
struct tally {
    uint64_t worlds;
    uint64_t crashes;
    uint64_t sites;
    uint64_t letters;
    uint64_t delivered;
    uint64_t returned;
    uint64_t lost;
    uint64_t repeats; /* Unexcused. */
    uint64_t repeats_excused;
    uint64_t failures;
    duration virtual_time;
    struct kind_tally kinds[KIND_COUNT];
    struct spans beside[2][LANE_COUNT + 1]; /* At sites with a backlog: without, and with a rate.
                                             * The last are small newsletters. */
    struct spans recovery; /* From the end of an outage, of what was posted during it. */
    struct spans healthy, healthy_alone;
};

struct options {
    uint64_t seed;
    unsigned sites;
    unsigned recipients; /* About so many. */
    unsigned crashes;    /* At most. */
    unsigned sources;    /* Addresses that mail leaves from; receivers count each for itself. */
    bool meddles;        /* An operator does things. */
    bool pair;           /* Run once more without the sick sites, to compare. */
    bool without_sick;
    bool verbose;
    const char *only; /* Kinds of sites whose names hold this; NULL: all. */
};

struct world {
    struct options options;
    struct rand dice;     /* Of the plan. */
    struct rand mischief; /* Of the receivers. */
    struct rand whims;    /* Of the operator. */
    struct site *sites;   /* The last one is home. */
    unsigned site_count;
    unsigned great;         /* Which of the great providers this world has. */
    struct letter *letters; /* In order of post_at, those of a message together. */
    uint32_t letter_count;
    uint32_t message_count;
    struct crash crashes[CRASHES_MAX];
    unsigned crash_count;
    instant hiccup_at; /* From here on a note may have been lost, which a crash brings to light. */
    instant begins;    /* Wall clock. */
    instant ended;
    bool settled;
    uint64_t repeats; /* Unexcused. */
    uint64_t repeats_excused;
    uint64_t strange; /* Commands and addresses that nobody should have sent. */
    uint64_t failures;
    struct queue *queue;
    struct spool *spool;
    struct disk_sim *disk;
    struct config *config;
    struct accounts *accounts;
    struct mailstore *mailstore;
    struct listener *listener;
};

/* plan.c */
void world_plan(struct world *world);
void world_forget(struct world *world);
ipaddr world_address(const struct site *site, unsigned host);
ipaddr world_address_v6(const struct site *site, unsigned host);
/* "d2.s17.example" */
void world_domain(const struct site *site, unsigned domain, char *text, size_t size);
/* "mx1.s17.example" */
void world_host(const struct world *world, const struct site *site, unsigned host, char *text,
                size_t size);
/* The letter to which ADDRESS was given, or NULL. */
struct letter *world_letter(struct world *world, str address);

/* receiver.c: a handler for the listener. */
WAITS void receiver_serve(void *world, struct stream *stream);
/* Faults of network and DNS as they are to be now. */
void receiver_weather(struct world *world);

/* meddle.c: something of what an operator can do, that takes nothing away; and its end. */
WAITS void meddle(struct world *world);
WAITS void meddle_no_more(struct world *world);

/* ledger.c */
void ledger_delivered(struct world *world, struct letter *letter);
void ledger_answered(struct letter *letter);
void ledger_report(struct world *world, struct letter *letter, bool is_failure);
struct window *ledger_window(struct world *world, struct site *site); /* NULL: later than all. */
/* The disk took nothing from DEAD_AT on: what was delivered since may come again. */
void ledger_crashed(struct world *world, instant dead_at);

/* story.c: what came of one world goes into TALLY; what does not hold is told on OUT. */
void world_run(const struct options *options, struct tally *tally, FILE *out);

/* judge.c */
void judge(struct world *world, struct tally *tally, FILE *out);
/* Times to delivery at healthy sites, with and without the others. */
void judge_pair(struct world *with, struct world *without, struct tally *tally, FILE *out);
/* What holds over many worlds only. */
void judge_all(struct tally *tally, FILE *out);
void tally_add(struct tally *sum, const struct tally *one);
void tally_print(const struct tally *tally, bool verbose, FILE *out);
