/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_verbs.c: what operators do to mail that waits.
 *
 * A change of what must survive a restart (held, delayed, moved, returned, deleted) goes through
 * settle(), like any result.  A hundred thousand messages are changed one by one; after each few of
 * them the work waits until what was changed is on disk, so that neither deliveries nor memory
 * suffer.  Start reading at queue_act().
 */
#include "delivery/queue/queue_look.h"

#include "runtime/clock.h"

#include <stdlib.h>

enum {
    SETTLE_AT_ONCE = 256,
    PROGRESS_EVERY = 1024
};

bool
queue_verb_parse(str text, enum queue_verb *verb)
{
    static const char *const names[] = {
        [QUEUE_RETRY] = "retry",   [QUEUE_HOLD] = "hold",       [QUEUE_RELEASE] = "release",
        [QUEUE_DELAY] = "delay",   [QUEUE_BOUNCE] = "bounce",   [QUEUE_DELETE] = "delete",
        [QUEUE_CANCEL] = "cancel", [QUEUE_REROUTE] = "reroute",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(text, str_from(names[i]))) {
            *verb = (enum queue_verb)i;
            return true;
        }
    return false;
}

struct act {
    struct queue *queue;
    const struct queue_action *action;
    const struct config *config;
    const struct shaping *shaping;
    struct arena arena;
    struct result *results;
    size_t result_count;
    uint64_t count;
    uint64_t skipped;
    unsigned unsynced;
};

static enum event_kind
event_kind_of(enum queue_verb verb)
{
    switch (verb) {
    case QUEUE_HOLD:
        return EVENT_HELD;
    case QUEUE_RELEASE:
        return EVENT_RELEASED;
    case QUEUE_BOUNCE:
        return EVENT_BOUNCED;
    case QUEUE_DELETE:
    case QUEUE_CANCEL:
        return EVENT_CANCELLED;
    case QUEUE_REROUTE:
        return EVENT_REDIRECTED;
    default:
        return EVENT_SCHEDULED;
    }
}

static void
record_act(const struct act *act, const struct message_view *view, uint32_t index)
{
    struct event event = {
        .kind = event_kind_of(act->action->verb),
        .message = view->id,
        .sender = view->envelope.reverse_path,
        .recipient = view->envelope.recipients[index].address,
        .recipient_index = index,
        .account = view->envelope.account,
        .reason = act->action->reason,
        .actor = act->action->actor,
        .route = act->action->route,
        .next_try = act->action->verb == QUEUE_DELAY ? act->action->until : 0,
    };

    if (act->queue->events)
        events_record(act->queue->events, &event);
}

static struct result *
add_result(struct act *act, struct schedule_row *row, enum outcome outcome, const char *text)
{
    struct result *result = &act->results[act->result_count++];

    *result = (struct result){
        .row = row,
        .outcome = outcome,
        .enhanced = outcome == OUTCOME_FAILED ? "5.0.0" : "",
        .text = text,
        .remote = "",
        .is_attempt = outcome == OUTCOME_FAILED,
        .not_before = row->due,
    };
    return result;
}

/* An operator wants it to go, whatever a standing rule says. */
static void
leave_rule(struct schedule *schedule, struct schedule_row *row)
{
    row->exempt = true;
    schedule_row_unkeep(schedule, row, clock_now());
}

static bool
retry(struct act *act, struct schedule_row *row)
{
    if (row->kept)
        leave_rule(&act->queue->schedule, row);
    else if (!schedule_retry(&act->queue->schedule, row, clock_now()))
        return false;
    return true;
}

static bool
release(struct act *act, struct schedule_row *row)
{
    if (row->kept) {
        leave_rule(&act->queue->schedule, row);
        return true;
    }
    if (!row->held || !schedule_seize(&act->queue->schedule, row))
        return false;
    row->held = false;
    (void)add_result(act, row, OUTCOME_UNCHANGED, "");
    return true;
}

static bool
hold(struct act *act, struct schedule_row *row)
{
    if (row->held || !schedule_seize(&act->queue->schedule, row))
        return false;
    /* The time until which a rule keeps it goes with the rule. */
    if (row->kept)
        row->due = MIN(row->due, clock_now());
    row->held = true;
    (void)add_result(act, row, OUTCOME_UNCHANGED, "");
    return true;
}

static bool
bounce(struct act *act, struct schedule_row *row)
{
    str text = S("Returned by the administrator");

    if (!schedule_seize(&act->queue->schedule, row))
        return false;
    if (act->action->reason.len)
        (void)arena_printf(&act->arena, &text, "Returned by the administrator: %.*s",
                           STR_ARG(act->action->reason));
    (void)add_result(act, row, OUTCOME_FAILED, text.ptr);
    return true;
}

static bool
delay(struct act *act, struct schedule_row *row)
{
    if (!schedule_seize(&act->queue->schedule, row))
        return false;
    add_result(act, row, OUTCOME_UNCHANGED, "")->not_before = act->action->until;
    return true;
}

/* KEY names the way that the row goes from now on. */
static bool
reroute(struct act *act, struct schedule_row *row, str key)
{
    struct result *result;

    if (!schedule_seize(&act->queue->schedule, row))
        return false;
    schedule_row_retarget(&act->queue->schedule, row, key);
    row->rerouted = act->action->route.len > 0;
    row->rule = 0;
    result = add_result(act, row, OUTCOME_UNCHANGED, "");
    result->route = act->action->route.len ? act->action->route.ptr : "";
    result->not_before = clock_now();
    return true;
}

/* Under the lock.  False when the row is under way, or the verb does not concern it. */
static bool
act_on_row(struct act *act, struct schedule_row *row, str key)
{
    switch (act->action->verb) {
    case QUEUE_RETRY:
        return retry(act, row);
    case QUEUE_HOLD:
        return hold(act, row);
    case QUEUE_RELEASE:
        return release(act, row);
    case QUEUE_DELAY:
        return delay(act, row);
    case QUEUE_BOUNCE:
        return bounce(act, row);
    case QUEUE_DELETE:
    case QUEUE_CANCEL:
        if (!schedule_seize(&act->queue->schedule, row))
            return false;
        (void)add_result(act, row, OUTCOME_DELETED, "");
        return true;
    case QUEUE_REROUTE:
        return reroute(act, row, key);
    }
    return false;
}

static bool
would_act(const struct queue_action *action, const struct row_view *row)
{
    if (row->state == ROW_DONE || row->state == ROW_RUNNING)
        return false;
    if (row->kept && (action->verb == QUEUE_RETRY || action->verb == QUEUE_RELEASE))
        return true;
    if (action->verb == QUEUE_RETRY)
        return row->state != ROW_HELD;
    if (action->verb == QUEUE_HOLD || action->verb == QUEUE_RELEASE)
        return row->held == (action->verb == QUEUE_RELEASE);
    return true;
}

/* The way of recipient INDEX after a reroute, in the arena.  False when there is none. */
static bool
way_after(struct act *act, const struct message_view *view, uint32_t index, str *key)
{
    struct route_facts facts;
    struct route route;
    enum err e;

    *key = S("");
    if (act->action->verb != QUEUE_REROUTE)
        return true;
    route_facts_of(&view->envelope, &facts);
    facts.recipient = view->envelope.recipients[index].address;
    e = act->action->route.len
            ? route_by_url(act->config, &act->arena, act->action->route, &facts, &route)
            : route_choose(act->config, act->queue->accounts, &act->arena, &facts, &route);
    return !e && arena_copy(&act->arena, str_from(route.key), key);
}

/* Those of VIEW's recipients that are chosen. */
WAITS static void
act_on_message(struct act *act, const struct message_view *view, const bool *chosen,
               const str *keys)
{
    struct queue *queue = act->queue;
    struct schedule_message *message;

    act->result_count = 0;
    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, view->id);
    if (!message || message->row_count != view->row_count) {
        pthread_mutex_unlock(&queue->lock);
        return;
    }
    message->users++;
    for (uint32_t i = 0; i < message->row_count; i++)
        if (chosen[i] && act_on_row(act, &message->rows[i], keys[i])) {
            record_act(act, view, i);
            act->count++;
        } else if (chosen[i]) {
            act->skipped++;
        }
    /* Not row by row: what can go in one transaction should. */
    for (uint32_t i = 0; i < message->row_count; i++)
        if (chosen[i] && message->rows[i].state == ROW_READY)
            queue_feed_idle(queue, message->rows[i].target->site);
    pthread_mutex_unlock(&queue->lock);
    if (act->result_count > 0) {
        settle(&queue->loops[runtime_loop_current()], message, NULL, act->results,
               act->result_count);
        act->unsynced++;
    }
    pthread_mutex_lock(&queue->lock);
    (void)schedule_message_release(&queue->schedule, message);
    pthread_mutex_unlock(&queue->lock);
}

WAITS static enum err
consider(struct act *act, const struct queue_query *query, msgid id)
{
    struct message_view view;
    instant now = clock_now();
    bool any = false;
    bool early;
    bool *chosen;
    str *keys;
    enum err e;

    arena_clear(&act->arena);
    e = queue_look_at(act->queue, act->shaping, id, &act->arena, &view);
    if (e)
        return e == ERR_NOT_FOUND || e == ERR_CORRUPT ? OK : e;
    /* Its sender wants it to leave later: schedule_retry(). */
    early = act->action->verb == QUEUE_RETRY && view.envelope.release_at > now;
    chosen = arena_new_array(&act->arena, bool, view.row_count);
    keys = arena_new_array(&act->arena, str, view.row_count);
    act->results = arena_new_array(&act->arena, struct result, view.row_count);
    if (!chosen || !keys || !act->results)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < view.row_count; i++) {
        if (!queue_row_matches(&view, query, i, now))
            continue;
        chosen[i] =
            !early && would_act(act->action, &view.rows[i]) && way_after(act, &view, i, &keys[i]);
        any = any || chosen[i];
        /* What is wanted now and under way already is no failure. */
        act->skipped += view.rows[i].state == ROW_RUNNING && act->action->verb != QUEUE_RETRY;
        act->count += act->action->dry_run && chosen[i];
    }
    if (any && !act->action->dry_run)
        act_on_message(act, &view, chosen, keys);
    return OK;
}

/* Between two messages: others have their turn, and what was changed gets to the disk. */
WAITS static enum err
breathe(struct act *act, size_t done, size_t total)
{
    enum err e = OK;

    queue_share_core(done);
    if (act->unsynced >= SETTLE_AT_ONCE) {
        act->unsynced = 0;
        fiber_yield();
        e = spool_sync(act->queue->spool);
    }
    if (!e && act->action->progress && done > 0 && done % PROGRESS_EVERY == 0)
        e = act->action->progress(act->action->arg, done, total);
    return fiber_cancelled() ? ERR_CANCELLED : e;
}

enum err
queue_act(struct queue *queue, const struct queue_query *query, const struct queue_action *action,
          uint64_t *count, uint64_t *skipped)
{
    struct act act = { .queue = queue, .action = action };
    struct candidates found;
    enum err e;

    if (queue->loop_count == 0)
        return ERR_BUSY;
    e = candidates_get(queue, query, &found);
    if (e)
        return e;
    act.config = queue_config(queue);
    act.shaping = found.shaping;
    arena_init(&act.arena, ATTEMPT_ARENA_MAX);
    for (size_t i = 0; !e && i < found.count; i++) {
        e = breathe(&act, i, found.count);
        if (!e)
            e = consider(&act, query, found.ids[i]);
    }
    arena_done(&act.arena);
    config_unref(act.config);
    candidates_done(&found);
    queue_ring(queue);
    *count = act.count;
    if (skipped)
        *skipped = act.skipped;
    return e;
}
