/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing.h: rules that hold, suspend, bounce, move or slow what is waiting, until they end.
 *
 * A rule names facts of a delivery (a domain, a sender, ...), all of which must hold, and says what
 * is to be done then.  Operators make rules, and so does the engine when a receiver refuses one
 * sender.  Each has a reason, an actor and an end.  They stand in memory and in one file, which is
 * replaced as a whole; where there is no rule, asking costs one look at a number.
 *
 * This is the table alone: what becomes of the rows is in standing_rules.c.  All times are wall
 * clock and handed in.  Threads: any.  Start reading at standing_match().
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct disk;
struct standing;

enum {
    STANDING_RULES_MAX = 4096,
    STANDING_ENGINE_MAX = 3072, /* Of them, made by the engine. */
    STANDING_VALUE_MAX = 320,
    STANDING_REASON_MAX = 300,
    STANDING_ROUTE_MAX = 500,
    STANDING_RATE_MAX = 1000000,
    STANDING_ID_MAX = (1 << 20) - 1, /* Then the numbers begin again, but for those in use. */
};
#define STANDING_TIME_MAX DAYS(366) /* How far away the end of a rule may be. */

/* When several hold, the first of these decides: what can be undone goes before what cannot. */
enum standing_kind {
    STANDING_HOLD,    /* Kept, as if an operator had held it. */
    STANDING_SUSPEND, /* Put off until the rule ends; it still expires. */
    STANDING_BOUNCE,  /* Returned to the sender. */
    STANDING_REROUTE, /* Goes to another next hop. */
    STANDING_SLOW,    /* So many transactions in a period. */
    STANDING_TLS,     /* What connections must prove; decides beside the others. */
    STANDING_KINDS,
};

/* Of a TLS rule. */
enum standing_level {
    LEVEL_NONE,
    LEVEL_REQUIRE, /* TLS, with whoever answers. */
    LEVEL_VERIFY,  /* TLS, and a certificate for the host by a root that we trust. */
    LEVEL_PLAIN,   /* No TLS at all: it is broken there. */
};

enum standing_fact {
    FACT_DOMAIN,   /* Of the recipient. */
    FACT_SITE,     /* Its hosts as `outpost queue why` prints them, or the name of one of them. */
    FACT_PROVIDER, /* "google" */
    FACT_SENDER,   /* "ann@example.org", "@example.org", or "<>" for reports. */
    FACT_ACCOUNT,  /* "ann@example.org" or "@example.org" */
    FACT_SOURCE,   /* The name of the source address. */
    FACT_LANE,     /* "bulk" */
    FACT_COUNT,
};

struct standing_rule {
    uint32_t id; /* From 1 on. */
    enum standing_kind kind;
    str values[FACT_COUNT]; /* Empty: any. */
    str reason;
    str actor;
    str route;            /* REROUTE: a relay URL, or "mx". */
    uint32_t rate_count;  /* SLOW: so many */
    duration rate_period; /* in such a time. */
    enum standing_level level; /* TLS */
    bool by_engine;
    instant made;
    instant until;
    uint64_t hits; /* Rows it took since the server started. */
};

/* What is known of a delivery; empty: not known, and a rule that names it does not match. */
struct standing_facts {
    str values[FACT_COUNT];
};

struct standing_verdict {
    enum standing_kind kind;
    uint32_t rule;
    instant until;
    bool names_lane;
    enum standing_level level;
    char reason[STANDING_REASON_MAX + 1];
    char route[STANDING_ROUTE_MAX + 1];
};

/* Reads the rules of PATH; NULL: they are kept in memory only.  Both stay the caller's. ERR_CORRUPT
 * for a file that cannot be read, ERR_IO. */
enum err standing_open(const struct disk *disk, const char *path, instant now,
                       struct standing **standing, struct why *why);
void standing_free(struct standing *standing); /* NULL is fine. */

bool standing_is_empty(const struct standing *standing);
size_t standing_count(const struct standing *standing);
/* The rule that decides about FACTS at NOW, if there is one. */
bool standing_match(struct standing *standing, const struct standing_facts *facts, instant now,
                    struct standing_verdict *verdict);
/* The same among TLS rules, which standing_match() passes over. */
bool standing_match_tls(struct standing *standing, const struct standing_facts *facts, instant now,
                        struct standing_verdict *verdict);
/* The rule took COUNT rows. */
void standing_hit(struct standing *standing, uint32_t rule, uint64_t count);
/* When the next transaction may go under the SLOW rule, which it has booked then: at once is NOW.
 * Never later than the end of the rule. */
instant standing_slot(struct standing *standing, uint32_t rule, instant now);
/* Whether the rule is there, and by which ROUTE it leads (empty: none). */
bool standing_route(struct standing *standing, uint32_t rule, char route[STANDING_ROUTE_MAX + 1]);

/* Checks RULE, gives it an id, and stores it.  ERR_SYNTAX and ERR_LIMIT with the cure in WHY; after
 * ERR_IO and ERR_FULL the rule is in force, but a restart forgets it. */
WAITS enum err standing_add(struct standing *standing, const struct standing_rule *rule,
                            instant now, uint32_t *id, struct why *why);
/* Moves the end of the rule of the engine with these facts, if there is one; its id, or 0. */
WAITS uint32_t standing_prolong(struct standing *standing, const struct standing_facts *facts,
                                enum standing_kind kind, instant until);
WAITS enum err standing_remove(struct standing *standing, uint32_t id);
/* Takes out what has ended at NOW: the ids, at most MAX, and (which may be NULL) whether each moved
 * mail. */
WAITS size_t standing_expire(struct standing *standing, instant now, uint32_t *ids, bool *moved,
                             size_t max);
/* When the next rule ends; NEVER without one. */
instant standing_due(struct standing *standing);
/* All rules, the oldest first, in ARENA.  ERR_LIMIT. */
enum err standing_list(struct standing *standing, struct arena *arena, struct standing_rule **rules,
                       size_t *count);

/* One of them; false when it is not there, or past the arena's ceiling. */
bool standing_find(struct standing *standing, uint32_t id, struct arena *arena,
                   struct standing_rule *rule);

const char *standing_kind_name(enum standing_kind kind);
bool standing_kind_parse(str text, enum standing_kind *kind);
const char *standing_level_name(enum standing_level level); /* "verify"; "" for none. */
bool standing_level_parse(str text, enum standing_level *level);
const char *standing_fact_name(enum standing_fact fact);
bool standing_fact_parse(str text, enum standing_fact *fact);
/* "10/m", "3/10s", "5000/d". */
bool standing_rate_parse(str text, uint32_t *count, duration *period);
/* "slow provider:google sender:@example.org" into TEXT; false past the arena's ceiling. */
bool standing_describe(const struct standing_rule *rule, struct arena *arena, str *text);
