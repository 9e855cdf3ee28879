/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_look.h: how the operator's files of the queue look at what waits: queue_query.c (words),
 * queue_look.c (lists), queue_why.c (sentences), queue_verbs.c (changes), queue_shape.c (counts).
 *
 * The tables know ids, times, states, sites and lanes; addresses stand in the spool.  So whoever
 * looks takes the ids of what may match from the tables, in slices under the lock, and then reads
 * envelope and note of each, without it.
 */
#pragma once

#include "delivery/queue/queue_inside.h"

enum {
    LOOKS_AT_ONCE = 64,
    LOOK_SLICE = 4096 /* Messages seen under the lock in one go. */
};

/* What the tables say of one recipient, copied out. */
struct row_view {
    uint8_t state; /* enum schedule_state */
    bool held;
    bool kept; /* By a standing rule. */
    uint32_t rule;
    uint32_t attempts;
    instant due;
    str route; /* Its key. */
    str site;
    str source;
    str provider;
    str reason; /* What its site said last, if it is not well. */
    struct schedule_wait wait;
};

struct message_view {
    msgid id;
    struct row_view *rows;
    uint32_t row_count;
    instant expires;
    enum lane lane;
    const struct shaping *shaping; /* Borrowed. */
    struct envelope envelope;
    struct progress progress;
};

/* queue_query.c.  Whether the query holds for a recipient, when all is known. */
bool queue_row_matches(const struct message_view *view, const struct queue_query *query,
                       uint32_t index, instant now);
/* Under the lock: whether the tables say nothing against ROW; *SURE: it matches, whatever its
 * envelope says. */
bool queue_row_may_match(const struct schedule_row *row, const struct queue_query *query,
                         instant now, bool *sure);
/* The provider of SITE, or an empty text. */
str queue_provider_of(const struct schedule_site *site);

/* queue_look.c.  Ids of messages that may match, the oldest first; to be freed. */
struct candidates {
    const struct shaping *shaping; /* A reference. */
    msgid *ids;
    size_t count;
    size_t capacity;
};
WAITS enum err candidates_get(struct queue *queue, const struct queue_query *query,
                              struct candidates *found);
void candidates_done(struct candidates *found);
/* The class of an answer at PROVIDER (empty: nobody known). */
enum reply_class queue_class(const struct shaping *shaping, str provider, uint16_t code,
                             str enhanced, str text);
/* What SITE, its provider or our source said last, while it is not well; else nothing. */
str queue_site_reason(const struct schedule_site *site);
/* ERR_NOT_FOUND when it has left meanwhile, ERR_CORRUPT, ERR_LIMIT. */
WAITS enum err queue_look_at(struct queue *queue, const struct shaping *shaping, msgid id,
                             struct arena *arena, struct message_view *view);
/* Others on this loop do not wait for a long queue to be looked through: at every COUNT. */
WAITS void queue_share_core(size_t count);

/* "421 4.7.28 Too much" begins with a code and an enhanced code, or has none of them. */
void queue_split_answer(str text, uint16_t *code, str *enhanced);
/* The same; what follows them. */
str queue_take_answer(str text, uint16_t *code, str *enhanced);

/* standing_sweep.c.  What is ready and concerned by the new rule ID, if it holds or suspends,
 * leaves its turn. */
WAITS void standing_sweep(struct queue *queue, const struct standing_rule *rule, uint32_t id);

/* queue_why.c */
extern const char *const queue_state_names[];
/* One sentence: what the row waits for, and until when. */
str queue_sentence(struct queue *queue, struct arena *arena, const struct row_view *row);
/* What SITE is doing, in a few words; false when it is well.  Under the lock. */
bool queue_site_state(const struct schedule *schedule, const struct schedule_site *site,
                      instant now, struct buf *buf);
/* "provider:google", or "site:mx.example.org"; false past the arena's ceiling. */
bool queue_place_words(struct arena *arena, str provider, str site, str *words);
