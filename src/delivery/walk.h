/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* walk.h: goes the way of a message up to the point where mail would be sent, and judges.
 *
 * The plan of each connection, and what came of it, are made by the code of deliveries (secure.h).
 * No mail is sent, and nothing that is found changes how mail waits or goes: neither sites nor
 * hosts are remembered as good or bad, and nothing is counted for reports.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "delivery/queue/queue.h"
#include "delivery/route.h"
#include "delivery/rules/standing.h"
#include "delivery/secure/secure.h"
#include "mail/envelope.h"
#include "protocols/smtp/client.h"
#include "protocols/smtp/reply.h"

enum {
    WALK_STAGES_MAX = 16,
    WALK_TEXT_MAX = 700,
    WALK_RULE_MAX = 1400
};

struct walk_wish {
    struct route_facts facts;
    enum tls_wish tls_wish;
    bool connects; /* Otherwise it ends at the plans. */
};

struct walk_stage {
    enum smtp_stage stage;
    duration took;
};

/* How it would end for a message. */
enum walk_end {
    WALK_UNTRIED, /* Nothing was connected to. */
    WALK_TAKES,
    WALK_LATER, /* It would be tried again. */
    WALK_RETURNS,
};
const char *walk_end_name(enum walk_end end); /* "takes" */

/* Who can do something about it. */
enum walk_problem {
    WALK_FINE,
    WALK_OURS,    /* This server, its configuration or its network. */
    WALK_THEIRS,  /* The domain, its hosts or its DNS. */
    WALK_BETWEEN, /* Either of them, or who is between. */
    WALK_SENDERS, /* Whoever sent such a message. */
};
const char *walk_problem_name(enum walk_problem problem); /* "theirs" */

struct walk_host {
    const struct route_host *host;
    struct secure_plan plan;
    struct secure_outcome outcome;
    struct smtp_failure failure; /* With an empty `why`: none. */
    struct smtp_capabilities offers;
    bool heard; /* OFFERS came. */
    struct tls_certificate certificate;
    bool has_certificate;
    struct walk_stage stages[WALK_STAGES_MAX];
    size_t stage_count;
    enum walk_end end;
    char line[WALK_TEXT_MAX]; /* The host in one sentence. */
};

struct walk {
    struct route route;
    struct route_hosts hosts;
    struct standing_verdict rule;   /* The standing rule that decides about such mail, */
    char rule_words[WALK_RULE_MAX]; /* and who made it, why, until when; empty: none decides. */
    const struct sts_known *sts;    /* What is known of an MTA-STS policy; NULL: nobody asked. */
    struct walk_host *items;
    size_t count;
    enum walk_end end;
    enum walk_problem problem;
    char verdict[WALK_RULE_MAX + WALK_TEXT_MAX];
    char cure[WALK_TEXT_MAX]; /* Empty: nothing needs to be done. */
};

/* Whether its rule keeps or returns the mail, so that nothing is connected to. */
bool walk_is_stopped(const struct walk *walk);

/* Hears of the way when its hosts are known (HOST is NULL), then of each host as it is done with.
 */
typedef void (*walk_told)(void *arg, const struct walk *walk, const struct walk_host *host);

/* Goes to every host that an attempt could try; TOLD hears of it.
 * Strings live in ARENA, or in CONFIG.  ERR_CANCELLED, ERR_LIMIT, ERR_IO: a password cannot be
 * read. */
WAITS enum err queue_walk(struct queue *queue, const struct config *config,
                          const struct walk_wish *wish, struct arena *arena, walk_told told,
                          void *arg, struct walk *walk);

/* walk_verdict.c: pure.  One host in a sentence, once its `end` is known; then all of them. */
void walk_judge_host(const struct walk_wish *wish, struct walk_host *item);
void walk_judge(const struct walk_wish *wish, struct walk *walk);
