/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_look.c: lists of what waits.
 *
 * However long the queue is, the lock is held for a slice of it at a time, one message is read at a
 * time, and what does not match is forgotten at once.  Start reading at queue_each().
 */
#include "delivery/queue/queue_look.h"

#include "base/must.h"
#include "runtime/clock.h"

#include <stdlib.h>
#include <string.h>

/* --- Candidates. */

struct collecting {
    struct candidates *found;
    const struct queue_query *query;
    instant now;
};

static int
compare_ids(const void *a, const void *b)
{
    return msgid_cmp(*(const msgid *)a, *(const msgid *)b);
}

/* Under the lock. */
static void
collect(void *arg, struct schedule_message *message)
{
    struct collecting *c = arg;
    struct candidates *found = c->found;
    bool sure, matches = false;

    for (uint32_t i = 0; i < message->row_count && !matches; i++)
        matches = queue_row_may_match(&message->rows[i], c->query, c->now, &sure);
    if (!matches)
        return;
    if (found->count == found->capacity) {
        found->capacity = MAX((size_t)1024, found->capacity * 2);
        found->ids = realloc(found->ids, found->capacity * sizeof(msgid));
        must(found->ids);
    }
    found->ids[found->count++] = message->id;
}

/* In a thread of the pool: a million ids take a while.  A walk may have seen some of them twice. */
static void
sort_ids(void *arg)
{
    struct candidates *found = arg;
    size_t kept = 0;

    if (found->count > 0)
        qsort(found->ids, found->count, sizeof(msgid), compare_ids);
    for (size_t i = 0; i < found->count; i++)
        if (kept == 0 || msgid_cmp(found->ids[kept - 1], found->ids[i]) != 0)
            found->ids[kept++] = found->ids[i];
    found->count = kept;
}

/* The messages that the query names by their ids, if it does. */
static bool
named_messages(struct queue *queue, const struct queue_query *query, struct collecting *c)
{
    bool any = false;

    for (size_t i = 0; i < query->count; i++)
        if (query->words[i].word == QUEUE_ID && !query->words[i].negated) {
            struct schedule_message *message;
            pthread_mutex_lock(&queue->lock);
            message = schedule_find(&queue->schedule, query->words[i].id);
            if (message)
                collect(c, message);
            pthread_mutex_unlock(&queue->lock);
            any = true;
        }
    return any;
}

enum err
candidates_get(struct queue *queue, const struct queue_query *query, struct candidates *found)
{
    struct collecting c = { found, query, clock_now() };
    struct schedule_walk walk = {};
    bool more = true;

    *found = (struct candidates){ .shaping = queue_shaping(queue) };
    if (named_messages(queue, query, &c)) {
        sort_ids(found);
        return OK;
    }
    while (more) {
        pthread_mutex_lock(&queue->lock);
        more = schedule_walk(&queue->schedule, &walk, LOOK_SLICE, collect, &c);
        pthread_mutex_unlock(&queue->lock);
        fiber_yield();
        if (fiber_cancelled()) {
            candidates_done(found);
            return ERR_CANCELLED;
        }
    }
    if (found->count > LOOK_SLICE)
        offload(sort_ids, found);
    else
        sort_ids(found);
    return OK;
}

void
candidates_done(struct candidates *found)
{
    shaping_unref(found->shaping);
    free(found->ids);
}

void
queue_share_core(size_t count)
{
    if (count % LOOKS_AT_ONCE == LOOKS_AT_ONCE - 1)
        fiber_yield();
}

/* --- A closer look. */

/* What rows of one site have in common. */
static bool
copy_site(const struct schedule *schedule, const struct schedule_site *site, struct arena *arena,
          instant now, struct row_view *copy)
{
    schedule_site_why(schedule, site, now, &copy->wait);
    return arena_copy(arena, str_from(site->key), &copy->site) &&
           arena_copy(arena, str_from(site->source), &copy->source) &&
           arena_copy(arena, queue_provider_of(site), &copy->provider) &&
           arena_copy(arena, queue_site_reason(site), &copy->reason);
}

/* Under the lock. */
static enum err
copy_rows(struct queue *queue, const struct schedule_message *message, struct arena *arena,
          struct message_view *view)
{
    const struct schedule_target *last = NULL;
    struct row_view common = {};
    instant now = clock_now();

    view->row_count = message->row_count;
    view->lane = message->lane;
    view->expires = schedule_expiry(&queue->schedule, message);
    view->rows = arena_new_array(arena, struct row_view, message->row_count);
    if (!view->rows)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < message->row_count; i++) {
        const struct schedule_row *row = &message->rows[i];
        struct row_view *copy = &view->rows[i];
        copy->state = row->state;
        if (row->state == ROW_DONE)
            continue;
        if (row->target != last) {
            last = row->target;
            if (!copy_site(&queue->schedule, last->site, arena, now, &common) ||
                !arena_copy(arena, str_from(last->key), &common.route))
                return ERR_LIMIT;
        }
        *copy = common;
        copy->state = row->state;
        copy->held = row->held;
        copy->kept = row->kept;
        copy->rule = row->rule;
        copy->attempts = row->attempts;
        copy->due = row->due;
    }
    return OK;
}

enum err
queue_look_at(struct queue *queue, const struct shaping *shaping, msgid id, struct arena *arena,
              struct message_view *view)
{
    struct schedule_message *message;
    enum err e = ERR_NOT_FOUND;
    str envelope, note;

    *view = (struct message_view){ .id = id, .shaping = shaping };
    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, id);
    if (message)
        e = copy_rows(queue, message, arena, view);
    pthread_mutex_unlock(&queue->lock);
    if (!e)
        e = spool_get(queue->spool, id, arena, &envelope, &note, NULL);
    if (!e)
        e = envelope_decode(envelope, arena, &view->envelope);
    if (!e && view->envelope.recipient_count != view->row_count)
        e = ERR_CORRUPT;
    if (!e && (note.len == 0 || progress_decode(note, arena, &view->progress) ||
               view->progress.recipient_count != view->row_count))
        e = progress_init(&view->progress, arena, view->row_count, view->envelope.received_at);
    return e;
}

/* --- Lists. */

static void
fill_recipient(struct queue *queue, struct arena *arena, const struct message_view *view,
               uint32_t index, bool matches, struct queue_recipient *to)
{
    const struct recipient_progress *progress = &view->progress.recipients[index];
    const struct row_view *row = &view->rows[index];
    bool done = row->state == ROW_DONE;
    str asked =
        row->state == ROW_SCHEDULED ? handling_why(arena, &view->envelope, clock_now()) : S("");

    *to = (struct queue_recipient){
        .index = index,
        .address = view->envelope.recipients[index].address,
        .state = done ? recipient_state_name(progress->state) : queue_state_names[row->state],
        .matches = matches,
        .attempts = done ? progress->attempts : row->attempts,
        .next_attempt = row->state == ROW_SCHEDULED ? row->due
                        : row->state == ROW_READY   ? row->wait.until
                                                    : 0,
        .last_attempt = progress->last_attempt,
        .expires = view->expires,
        .route = row->route,
        .site = row->site,
        .source = row->source,
        .provider = row->provider,
        .rule = row->rule,
        .code = progress->code,
        .enhanced = progress->enhanced,
        .text = progress->text,
        .remote = progress->remote,
        .wait = asked.len ? asked : queue_sentence(queue, arena, row),
    };
}

/* For a list: with the last answer behind it. */
static void
fill_why(struct arena *arena, struct queue_recipient *to)
{
    bool answered = str_eq(str_from(to->state), S("scheduled")) && to->text.len > 0;

    if (!answered || !arena_printf(arena, &to->why, "%.*s The last attempt failed: %.*s%s%.*s",
                                   STR_ARG(to->wait), STR_ARG(to->remote),
                                   to->remote.len ? ": " : "", STR_ARG(to->text)))
        to->why = to->wait;
}

static enum err
fill_entry(struct queue *queue, struct arena *arena, const struct message_view *view,
           const struct queue_query *query, struct queue_entry *entry, bool *matches)
{
    instant now = clock_now();

    *entry = (struct queue_entry){
        .id = view->id,
        .received_at = view->envelope.received_at,
        .size = view->envelope.size,
        .sender = view->envelope.reverse_path,
        .account = view->envelope.account,
        .header_message_id = view->envelope.header_message_id,
        .lane = view->lane,
        .lane_why = view->envelope.lane_why,
        .tls_wish = view->envelope.tls_wish,
        .priority = view->envelope.priority,
        .deliver_by = view->envelope.by_deadline,
        .recipients = arena_new_array(arena, struct queue_recipient, view->row_count),
        .recipient_count = view->row_count,
    };
    *matches = false;
    if (!entry->recipients)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < view->row_count; i++) {
        bool this_one = queue_row_matches(view, query, i, now);
        fill_recipient(queue, arena, view, i, this_one, &entry->recipients[i]);
        fill_why(arena, &entry->recipients[i]);
        *matches = *matches || this_one;
    }
    return OK;
}

/* *MATCHES: the entry is filled, in ARENA. */
WAITS static enum err
entry_of(struct queue *queue, const struct shaping *shaping, msgid id,
         const struct queue_query *query, struct arena *arena, struct queue_entry *entry,
         bool *matches)
{
    struct message_view view;
    enum err e = queue_look_at(queue, shaping, id, arena, &view);

    *matches = false;
    if (e == ERR_NOT_FOUND || e == ERR_CORRUPT)
        return OK;
    return e ? e : fill_entry(queue, arena, &view, query, entry, matches);
}

enum err
queue_each(struct queue *queue, const struct queue_query *query, size_t max, queue_each_fn each,
           void *arg, uint64_t *count, bool *more)
{
    struct candidates found;
    struct arena arena;
    uint64_t listed = 0;
    bool others = false;
    enum err e = candidates_get(queue, query, &found);

    if (e)
        return e;
    arena_init(&arena, ATTEMPT_ARENA_MAX);
    for (size_t i = 0; !e && i < found.count && !others; i++) {
        struct queue_entry entry;
        bool matches;
        queue_share_core(i);
        arena_clear(&arena);
        e = entry_of(queue, found.shaping, found.ids[i], query, &arena, &entry, &matches);
        if (e || !matches)
            continue;
        others = listed == max;
        if (!others) {
            e = each(arg, &entry);
            listed++;
        }
    }
    arena_done(&arena);
    candidates_done(&found);
    *count = listed;
    *more = others;
    return e;
}

enum err
queue_list(struct queue *queue, const struct queue_query *query, size_t max, struct arena *arena,
           struct queue_entry **entries, size_t *count, bool *more)
{
    struct candidates found;
    struct queue_entry *list;
    struct arena scratch;
    size_t listed = 0;
    bool others = false;
    enum err e = candidates_get(queue, query, &found);

    if (e)
        return e;
    list = arena_new_array(arena, struct queue_entry, MIN(max, found.count) + 1);
    if (!list)
        e = ERR_LIMIT;
    arena_init(&scratch, ATTEMPT_ARENA_MAX);
    for (size_t i = 0; !e && i < found.count && !others; i++) {
        struct queue_entry entry;
        bool matches;
        queue_share_core(i);
        arena_clear(&scratch);
        e = entry_of(queue, found.shaping, found.ids[i], query, &scratch, &entry, &matches);
        if (e || !matches)
            continue;
        others = listed == max;
        /* Once more, into what stays. */
        if (!others)
            e = entry_of(queue, found.shaping, found.ids[i], query, arena, &list[listed], &matches);
        listed += !others && !e && matches;
    }
    arena_done(&scratch);
    candidates_done(&found);
    if (e)
        return e;
    *entries = list;
    *count = listed;
    *more = others;
    return OK;
}
