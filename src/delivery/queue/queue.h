/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue.h: messages that we have promised to deliver, and when each is due.
 *
 * The spool holds them durably; the queue holds a row for each waiting recipient in memory and
 * gives work to deliveries.  A message enters by queue_add() after its commit, or at start from
 * what the spool found (queue_found() is for spool_open()); it leaves when nobody is waiting.
 *
 *     queue_new → spool_open(…, queue_found, queue, …) → queue_start → … → queue_stop → queue_free
 *
 * Threads: any, but start and stop belong to one fiber.  Start reading at queue_add() in queue.c.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/msgid.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "mail/progress.h"

struct accounts;
struct config;
struct events;
struct keyring;
struct sts_cache;
struct tls_reports;
struct mailstore;
struct queue;
struct route_self;
struct secrets;
struct shaping;
struct standing_rule;
struct suppression;
struct spool;
struct spool_entry;

struct queue_options {
    const struct config *config; /* Taken by reference. */
    struct accounts *accounts;
    struct mailstore *mailstore;
    struct events *events; /* NULL: none. */
    struct tls_reports *tls_reports; /* NULL: nothing is counted. */
    struct secrets *secrets; /* Of return paths; NULL: there are none. */
    struct keyring *keyring; /* Signs what is written here; NULL: nothing is signed. */
    struct suppression *suppression; /* NULL: nobody is on it. */
    const char *rules_path; /* Of the standing rules; NULL: they are kept in memory only. */
    const char *sts_path;   /* Of the policies of MTA-STS; NULL: they are kept in memory only. */
    int programs; /* Who runs programs (delivery/program.h); 0: nobody. */
    bool simulated;         /* The addresses of this machine are not ours. */
};

enum err queue_new(const struct queue_options *options, struct queue **queue, struct why *why);
/* For spool_open(): ARG is the queue.  From any thread. */
void queue_expect(void *arg, uint64_t messages);
void queue_found(void *arg, const struct spool_entry *entries, size_t count);
/* Begins to deliver, on all loops. */
WAITS enum err queue_start(struct queue *queue, struct spool *spool, struct why *why);
/* No new attempts; those that run have until DEADLINE (steady), then they are cut short and tried
 * again after the next start.  The progress is in the spool when it returns. */
WAITS void queue_stop(struct queue *queue, instant deadline);
void queue_free(struct queue *queue); /* NULL is fine. */
/* From the next attempt on.  Takes SHAPING, of shaping_of(). */
void queue_reload(struct queue *queue, const struct config *config, struct shaping *shaping);

/* A message was committed to the spool with this envelope: schedule its recipients.  From any
 * loop; does not wait. Copies what it needs. */
void queue_add(struct queue *queue, const struct envelope *envelope);
/* A message that was written here: MESSAGE, which follows the envelope's prefix, into the spool, and
 * then as queue_add().  Durable when it returns OK; the errors of a commit. */
WAITS enum err queue_post(struct queue *queue, const struct envelope *envelope, str message);

/* Who we are, for loops: valid as long as the queue and its configuration. */
void queue_self(struct queue *queue, const struct config *config, struct route_self *self);

struct queue_stats {
    uint64_t messages;
    uint64_t recipients; /* Waiting, running or held. */
    uint64_t ready;
    uint64_t connections; /* Deliveries under way. */
    uint64_t sites;
};
void queue_stats(struct queue *queue, struct queue_stats *stats);

/* Which messages: words that must all hold.  "" is everything; a word of 26 letters is an id.
 *   id:ID  to:ADDRESS  from:ADDRESS  domain:NAME  account:ADDRESS  msgid:TEXT  size:>5M
 *   state:scheduled|ready|running|held  age:>2h  age:<30m  attempts:>=3  rule:NUMBER
 *   site:HOST  provider:NAME  source:NAME  lane:NAME  route:TEXT
 *   class:NAME  cluster:ID  cluster:421-4.7.28      of the last answer
 * An ADDRESS may be whole, "@domain", or a part; "<>" sends reports.  not:WORD turns a word round.
 * U-labels and A-labels of a domain are the same. */
enum {
    QUEUE_QUERY_WORDS = 16,
    QUEUE_WORD_MAX = 1000
};

enum queue_word {
    QUEUE_ID,
    QUEUE_TO,
    QUEUE_FROM,
    QUEUE_DOMAIN,
    QUEUE_ACCOUNT,
    QUEUE_STATE,
    QUEUE_AGE,
    QUEUE_SITE,
    QUEUE_PROVIDER,
    QUEUE_SOURCE,
    QUEUE_LANE,
    QUEUE_CLASS,
    QUEUE_CLUSTER,
    QUEUE_ATTEMPTS,
    QUEUE_SIZE,
    QUEUE_ROUTE,
    QUEUE_MSGID,
    QUEUE_RULE,
};

enum queue_relation {
    RELATION_IS,
    RELATION_ABOVE,
    RELATION_BELOW,
    RELATION_AT_LEAST,
    RELATION_AT_MOST,
};

struct queue_term {
    enum queue_word word;
    enum queue_relation relation;
    bool negated;
    str text;
    msgid id;
    int64_t number; /* An age, a size, a count, a state, a lane, a class, a cluster. */
};

struct queue_query {
    struct queue_term words[QUEUE_QUERY_WORDS];
    size_t count;
    size_t looks_max; /* Of a count: see COUNT_LOOKS_MAX, which 0 stands for. */
};

/* Views into TEXT.  ERR_SYNTAX with the cure in WHY. */
enum err queue_query_parse(str text, struct queue_query *query, struct why *why);

/* Standing rules: see standing.h.  The queue obeys a new one from the next batch on, and what an
 * ended or removed one kept is due at once. */
WAITS enum err queue_rule_add(struct queue *queue, const struct standing_rule *rule, uint32_t *id,
                              struct why *why);
WAITS enum err queue_rule_remove(struct queue *queue, uint32_t id);
/* The policies of other domains, as long as the queue lives. */
struct sts_cache *queue_sts(struct queue *queue);
enum err queue_rule_list(struct queue *queue, struct arena *arena, struct standing_rule **rules,
                         size_t *count);
/* The engine's: mail of SENDER ("ann@example.org", "@example.org"), and of ACCOUNT only unless that
 * is empty, to PROVIDER waits until UNTIL.  The rule that is there for these is prolonged.
 * ERR_LIMIT when the engine made too many. */
WAITS enum err queue_suspend_sender(struct queue *queue, str sender, str account, str provider,
                                    instant until, str reason);

struct queue_recipient {
    uint32_t index;
    str address;
    const char
        *state;   /* "scheduled", "ready", "running", "held"; of the done: recipient_state_name() */
    bool matches; /* The query holds for it. */
    uint32_t attempts;
    instant next_attempt; /* Wall clock; 0: as soon as its turn comes. */
    instant last_attempt; /* 0: none yet. */
    instant expires;
    str route;
    str site;
    str source;    /* Empty: the usual one. */
    str provider;  /* Empty: none that is known. */
    uint32_t rule; /* The standing rule that keeps or moved it; 0: none. */
    uint16_t code; /* Of the last answer. */
    str enhanced;
    str text;
    str remote;
    str wait; /* One sentence: what it waits for, and until when. */
    str why;  /* The same with the last answer. */
};

struct queue_entry {
    msgid id;
    instant received_at;
    uint64_t size;
    str sender; /* Empty: a report. */
    str account;
    str header_message_id;
    enum lane lane;
    str lane_why;
    int priority;
    instant deliver_by; /* The sender's time limit; 0: none. */
    enum tls_wish tls_wish;
    struct queue_recipient *recipients;
    size_t recipient_count;
};

/* The messages of which at least one recipient matches, the oldest first, at most MAX; in ARENA.
 * *MORE: there are others.  ERR_LIMIT (arena). */
WAITS enum err queue_list(struct queue *queue, const struct queue_query *query, size_t max,
                          struct arena *arena, struct queue_entry **entries, size_t *count,
                          bool *more);
/* The same one by one, in the memory of one: EACH may wait; its error ends the walk. */
typedef enum err (*queue_each_fn)(void *arg, const struct queue_entry *entry);
WAITS enum err queue_each(struct queue *queue, const struct queue_query *query, size_t max,
                          queue_each_fn each, void *arg, uint64_t *count, bool *more);

/* Why a recipient waits, as a person would explain it. */
enum {
    QUEUE_COMMANDS_MAX = 6
};
struct queue_story {
    str text;       /* A paragraph: where it is, what was answered, what happens next. */
    str advice;     /* One sentence; may be empty. */
    str class;      /* Of the last answer; may be empty. */
    char cluster[9]; /* Of the last answer; may be empty. */
    uint64_t others; /* Recipients that wait for the same site or provider. */
    str commands[QUEUE_COMMANDS_MAX]; /* What one may want to type next. */
    size_t command_count;
};
/* In ARENA.  ERR_LIMIT. */
enum err queue_tell(struct queue *queue, const struct queue_entry *entry,
                    const struct queue_recipient *recipient, struct arena *arena,
                    struct queue_story *story);

enum queue_verb {
    QUEUE_RETRY, /* Now. */
    QUEUE_HOLD,
    QUEUE_RELEASE,
    QUEUE_DELAY,   /* No attempt before a time. */
    QUEUE_BOUNCE,  /* Back to the sender, now. */
    QUEUE_DELETE,  /* Without a report. */
    QUEUE_CANCEL,  /* The same, by the wish of its sender. */
    QUEUE_REROUTE, /* To another next hop, or back to the usual way. */
};
bool queue_verb_parse(str text, enum queue_verb *verb);

struct queue_action {
    enum queue_verb verb;
    bool dry_run;
    str reason;
    str actor;
    instant until; /* DELAY. */
    str route;     /* REROUTE: a relay URL or "mx"; empty: the usual way again. */
    /* Called now and then with how many messages of how many were looked at; may wait; its error
     * ends the work.  May be NULL. */
    enum err (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
/* On the waiting recipients that match.  *COUNT: how many it concerned; *SKIPPED (may be NULL): how
 * many matched, but were under way. */
WAITS enum err queue_act(struct queue *queue, const struct queue_query *query,
                         const struct queue_action *action, uint64_t *count, uint64_t *skipped);

/* Counts of what matches, by age and by something else, the largest group first. */
enum {
    SHAPE_GROUPS_MAX = 10000, /* What is in none of them is counted as "(others)". */
    COUNT_LOOKS_MAX = 100000, /* Messages that are read for a count; of more, one in so many. */
    SHAPE_AGES = 10 /* Minutes: under 5, 10, 20, 40, 80, 160, 320, 640, 1280, and above. */
};
enum shape_by {
    SHAPE_DOMAIN,
    SHAPE_SITE,
    SHAPE_PROVIDER, /* Or the site, where none is known. */
    SHAPE_SENDER,
    SHAPE_ACCOUNT,
    SHAPE_LANE,
    SHAPE_SOURCE,
};
bool shape_by_parse(str text, enum shape_by *by);
struct shape_group {
    str name;
    uint64_t total;
    uint64_t ages[SHAPE_AGES];
    str state; /* Of the site or provider: "throttled until …"; may be empty. */
};
/* In ARENA.  *ONE_IN: of what had to be read one message in so many was, and counts for all; 1: each.
 * ERR_LIMIT. */
WAITS enum err queue_shape(struct queue *queue, const struct queue_query *query, enum shape_by by,
                           struct arena *arena, struct shape_group **groups, size_t *count,
                           uint64_t *one_in);

/* Providers and sites that take no mail at the moment, or less than there is, those for which most
 * waits first, at most MAX of them; *ALL: how many there are. */
struct queue_trouble {
    str place; /* "provider:google", for a query. */
    str state; /* "provider google takes about 100 messages in 1h ...; next at ..." */
    uint64_t waiting;
};
enum err queue_troubles(struct queue *queue, size_t max, struct arena *arena,
                        struct queue_trouble **troubles, size_t *count, uint64_t *all);
/* Standing rules in force. */
size_t queue_rule_count(struct queue *queue);

/* Recipients that wait for the same reason: an answer, a pause, a throttle, a rule. */
enum {
    CLUSTERS_MAX = 1000, /* What is in none of them is counted as "(others)". */
    CLUSTER_PLACES = 8   /* Providers or sites remembered for each. */
};
struct queue_cluster {
    char id[9]; /* Of an answer: for the word cluster:; else empty. */
    str words;  /* The query that finds them. */
    str reason; /* "421 4.7.28 …", or in our words. */
    str class;
    uint64_t count;
    instant since; /* The oldest message's acceptance. */
    instant next;  /* The next attempt of one of them; 0: not known. */
    str summary; /* In one sentence: how to find them, where most of them wait, since when. */
    str place;   /* The provider or site with the most of them, */
    uint64_t place_count;
    uint64_t places; /* and how many there are, up to CLUSTER_PLACES. */
    str doing;       /* What the engine does about it; may be empty. */
    str advice;
    str sample; /* An id. */
    str commands[QUEUE_COMMANDS_MAX];
    size_t command_count;
};
WAITS enum err queue_clusters(struct queue *queue, const struct queue_query *query,
                              struct arena *arena, struct queue_cluster **clusters, size_t *count,
                              uint64_t *one_in);

/* A message taken back by its sender: undo-send. */
enum cancel_fate {
    CANCEL_TAKEN_BACK, /* It never goes. */
    CANCEL_UNDER_WAY,  /* A delivery has it in its hands. */
    CANCEL_TOO_LATE,   /* Handed over, or over in another way. */
};
struct queue_cancelled {
    str address;
    enum cancel_fate fate;
    const char *state; /* "cancelled", "running", or recipient_state_name() */
};
struct queue_cancel {
    msgid id;
    str account; /* Whose message it must be; empty: anybody's. */
    str reason;
    str actor;
};
/* Each recipient of the message, in ARENA.  Durable when it returns.  ERR_NOT_FOUND when it is not in
 * the queue (any more), or is of another account. */
WAITS enum err queue_cancel(struct queue *queue, const struct queue_cancel *wish,
                            struct arena *arena, struct queue_cancelled **recipients,
                            size_t *count);
