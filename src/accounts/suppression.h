/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression.h: to whom mail of ours is not sent, why, by whose word, and until when.
 *
 * An entry is about an address, or a whole domain ("@example.net"), and binds the mail of a scope:
 * everybody's (""), that of a domain of ours ("@example.org"), or that of an account or sender
 * ("news@example.org").  What it binds depends on its reason (suppression_binds()): a manual entry
 * binds all mail; a bounce, mail that no person waits for; a complaint or an unsubscribe, mail to
 * many alone.  Nobody who unsubscribed from a newsletter is cut off from what a person writes.
 *
 * Entries stand in directory.db; a table in memory (suppression_table.h) answers "no" without them,
 * in less than a microsecond.  A change is durable and in force when its call returns OK.  NULL for
 * the list is fine everywhere: it is empty then.  Threads: any.  Start reading at
 * suppression_check().
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/msgid.h"
#include "base/str.h"
#include "mail/lane.h"

struct accounts;
struct suppression;

/* Numbers are stored: a new one is added at the end, up to seven. */
enum suppression_reason {
    SUPPRESSION_BOUNCE,
    SUPPRESSION_COMPLAINT,
    SUPPRESSION_UNSUBSCRIBE,
    SUPPRESSION_MANUAL,
    SUPPRESSION_REASONS,
};
const char *suppression_reason_name(enum suppression_reason reason); /* "bounce" */
bool suppression_reason_parse(str text, enum suppression_reason *reason);

/* The source of what the next hop said in the conversation; a delivery takes only this back. */
#define SUPPRESSION_BY_DELIVERY "delivery"

enum {
    SUPPRESSION_NOTE_MAX = 300,
    SUPPRESSION_LIST_MAX = 64,
    SUPPRESSION_SOURCE_MAX = 120,
    SUPPRESSION_AT_ONCE = 1000, /* Entries of one transaction. */
};

/* What an operator sets: the block `suppression`. */
struct suppression_rules {
    bool learn;             /* Entries are made from what receivers answer. */
    bool everybody;         /* Such an entry binds everybody, not the one whose mail came back. */
    unsigned bounces;       /* Refusals until an entry is in force. */
    duration bounce_expire; /* The first time; twice as long each time after. */
    duration bounce_expire_max;
    duration complaint_expire; /* 0: never. */
};

/* RULES NULL: only to be looked through and changed, by a command beside a stopped server; nothing is
 * read into memory, so that opening costs the same however long the list is. */
WAITS enum err suppression_open(struct accounts *accounts, const struct suppression_rules *rules,
                                struct suppression **list, struct why *why);
void suppression_close(struct suppression *list);
void suppression_set_rules(struct suppression *list, const struct suppression_rules *rules);
/* Takes out what has ended, every ten minutes until cancelled: group_start(g, suppression_run,
 * ...). */
WAITS void suppression_run(void *list);
WAITS enum err suppression_expire(struct suppression *list, instant now, struct why *why);

struct suppression_entry {
    int64_t id;
    str address;
    str scope;
    enum suppression_reason reason;
    str list;
    str note;    /* Free text: the answer of the receiver, the words of an operator. */
    str source;  /* Who said so. */
    str message; /* The id of a message, or empty. */
    instant created;
    instant expires; /* 0: never. */
    int64_t count;   /* Refusals, for one that was learnt; 0: not learnt. */
    bool in_force;
};

/* One recipient of a message of ours. */
struct suppression_mail {
    str account; /* Of the login; may be empty. */
    str sender;  /* Of the envelope; may be empty. */
    str recipient;
    bool knows_lane; /* The header section has come in. */
    enum lane lane;
    str list; /* Of the list that the sender is configured for; empty: none. */
};

/* Whether an entry with this reason and list binds MAIL, whose scope it is. */
bool suppression_binds(enum suppression_reason reason, str list,
                       const struct suppression_mail *mail);
/* Never waits: false is certain. */
bool suppression_may_bind(struct suppression *list, const struct suppression_mail *mail);
/* The entry that binds MAIL at NOW, in ARENA; *FOUND.  Waits only after suppression_may_bind().
 * ERR_LIMIT and those of db_read(). */
WAITS enum err suppression_check(struct suppression *list, const struct suppression_mail *mail,
                                 instant now, struct arena *arena, bool *found,
                                 struct suppression_entry *entry);
/* "bounce since 2026-11-27 (550 5.1.1 ...); 'outpost suppression rm ...' lifts it", for a reply. */
void suppression_tell(const struct suppression_entry *entry, char *text, size_t size);

/* Adds or renews; spellings are made canonical, and what is wrong is ERR_SYNTAX with WHY.  At most
 * SUPPRESSION_AT_ONCE, all or none of them. */
WAITS enum err suppression_add(struct suppression *list, const struct suppression_entry *entries,
                               size_t count, struct why *why);
/* The same without adding: only what is wrong. */
enum err suppression_examine(const struct suppression_entry *entry, struct why *why);

/* Which entries: words that must all hold.
 *   address:ADDRESS  domain:NAME  account:ADDRESS|@DOMAIN|all  reason:NAME  list:NAME
 *   source:TEXT  older:TIME  newer:TIME  remembered:yes
 * A word with an "@" and no colon is an address. */
struct suppression_query {
    str address;
    str domain; /* "@example.net" */
    str scope;
    bool has_scope;
    bool has_reason;
    enum suppression_reason reason;
    str list;
    str source;
    duration older;
    duration newer;
    bool remembered;
};
/* WORDS are parted by blanks; strings of QUERY in ARENA.  ERR_SYNTAX with the cure in WHY. */
enum err suppression_query_parse(str words, struct arena *arena, struct suppression_query *query,
                                 struct why *why);
/* Calls EACH for what matches, in the order of entry, without any lock; it may wait, and its error
 * ends the walk.  MAX 0: all.  *MORE: there are others. */
typedef enum err (*suppression_each_fn)(void *arg, const struct suppression_entry *entry);
WAITS enum err suppression_each(struct suppression *list, const struct suppression_query *query,
                                instant now, size_t max, suppression_each_fn each, void *arg,
                                bool *more, struct why *why);
/* Takes out these ids, at most SUPPRESSION_AT_ONCE; *COUNT that were there. */
WAITS enum err suppression_remove(struct suppression *list, const int64_t *ids, size_t id_count,
                                  size_t *count, struct why *why);

/* What became known of a recipient of a message of ours. */
struct suppression_news {
    enum suppression_reason reason;
    str account; /* Of the message: of its login, may be empty, */
    str sender;  /* its reverse-path, */
    enum lane lane;
    msgid message;
    str recipient;
    str text; /* "550 5.1.1 No such user" */
    str list;
    str source; /* "delivery", "report" */
};
/* A bounce must be of the dead: delivery/rules/classify.h, reply_class_is_dead().  Bounces of mail that a
 * person wrote, or waits for, teach nothing.  *ENTERED (may be NULL): an entry is in force that was
 * not before. */
WAITS enum err suppression_learn(struct suppression *list, const struct suppression_news *news,
                                 instant now, bool *entered, struct why *why);
/* The address took mail: what SUPPRESSION_BY_DELIVERY said of it is gone.  A host that takes all and
 * bounces later has proven nothing.  Waits only when there may be an entry. */
WAITS void suppression_unlearn(struct suppression *list, const struct suppression_mail *mail,
                               instant now);

struct suppression_stats {
    uint64_t entries; /* Pairs of address and scope. */
    uint64_t bytes;   /* Of memory. */
};
void suppression_stats(struct suppression *list, struct suppression_stats *stats);
