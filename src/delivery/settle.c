/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* settle.c: what the results of attempts change.
 *
 * The usual case, everybody delivered and nobody to be told, forgets the message at once.  All else
 * collects at the message, and one fiber at a time turns what has collected into, in this order:
 * reports in the spool (bounce.c), the note in the spool, the rows' new states.  So after a crash a
 * report may be made twice, but is never missing, and a row is never tried again after its
 * result was noted.  Start reading at settle().
 */
#include "base/must.h"
#include "delivery/queue/queue_inside.h"
#include "protocols/smtp/client.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    NOTE_TEXT_MAX = 400
};

/* A result that waits at its message. */
struct pending {
    struct pending *next;
    struct result result; /* Its texts are in `texts`. */
    char enhanced[12];
    char remote[160];
    char text[NOTE_TEXT_MAX];
    char *route; /* NULL: unchanged. */
};

#define DEADLINE_RETRY_MIN SECONDS(30)

struct settlement {
    struct queue *queue;
    struct schedule_message *message;
    struct pending *results; /* Of this round. */
    struct arena arena;
    struct envelope envelope;
    struct progress progress;
    const struct config *config;
    bool is_last; /* After this round nobody waits any more. */
};

static void
copy_text(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from ? from : "", size - 1);

    if (len)
        memcpy(to, from, len);
    to[len] = '\0';
}

static struct pending *
pending_new(const struct result *result)
{
    struct pending *pending = calloc(1, sizeof(*pending));

    must(pending);
    pending->result = *result;
    copy_text(pending->enhanced, sizeof(pending->enhanced), result->enhanced);
    copy_text(pending->remote, sizeof(pending->remote), result->remote);
    copy_text(pending->text, sizeof(pending->text), result->text);
    pending->route = result->route ? str_dup(str_from(result->route)) : NULL;
    return pending;
}

static void
pending_free(struct pending *pending)
{
    while (pending) {
        struct pending *next = pending->next;
        free(pending->route);
        free(pending);
        pending = next;
    }
}

void
settle_discard(struct queue *queue, struct schedule_message *message)
{
    (void)queue;
    pending_free(message->results);
    message->results = NULL;
}

/* --- One round. */

static bool
is_final(enum outcome outcome)
{
    return outcome != OUTCOME_DEFERRED && outcome != OUTCOME_LATE && outcome != OUTCOME_UNCHANGED;
}

static enum recipient_state
state_after(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_DELIVERED:
        return RECIPIENT_DELIVERED;
    case OUTCOME_EXPANDED:
        return RECIPIENT_EXPANDED;
    case OUTCOME_FAILED:
        return RECIPIENT_FAILED;
    case OUTCOME_EXPIRED:
        return RECIPIENT_EXPIRED;
    case OUTCOME_DELETED:
        return RECIPIENT_DELETED;
    default:
        return RECIPIENT_WAITING;
    }
}

WAITS static enum err
load(struct settlement *s)
{
    msgid id = s->message->id;
    str envelope, note;
    enum err e = spool_get(s->queue->spool, id, &s->arena, &envelope, &note, NULL);

    if (!e)
        e = envelope_decode(envelope, &s->arena, &s->envelope);
    if (e)
        return e;
    s->envelope.id = id;
    if (note.len == 0 || progress_decode(note, &s->arena, &s->progress) ||
        s->progress.recipient_count != s->envelope.recipient_count)
        return progress_init(&s->progress, &s->arena, s->envelope.recipient_count,
                             s->envelope.received_at);
    return OK;
}

static void
apply(struct settlement *s, const struct pending *pending, instant now)
{
    const struct result *result = &pending->result;
    struct recipient_progress *row = &s->progress.recipients[result->row->index];

    row->state = state_after(result->outcome);
    row->forwarded = row->forwarded || result->forwarded;
    if (pending->route)
        row->route = str_from(pending->route);
    if (result->is_attempt) {
        row->attempts++;
        row->last_attempt = now;
        row->code = result->code;
        row->enhanced = str_from(pending->enhanced);
        row->text = str_from(pending->text);
        row->remote = str_from(pending->remote);
    }
    if (result->outcome == OUTCOME_EXPIRED && row->text.len == 0)
        row->text = S("the time was over before it could be delivered");
}

/* The report that these results call for. */
WAITS static enum err
report(struct settlement *s)
{
    struct bounce_row *rows =
        arena_new_array(&s->arena, struct bounce_row, s->envelope.recipient_count);
    size_t count = 0;

    if (!rows)
        return ERR_LIMIT;
    for (const struct pending *at = s->results; at; at = at->next) {
        const struct result *result = &at->result;
        const struct recipient *recipient = &s->envelope.recipients[result->row->index];
        if (bounce_is_wanted(&s->envelope, recipient, result->outcome, result->relayed))
            rows[count++] =
                (struct bounce_row){ result->row->index, result->outcome, result->relayed };
    }
    return bounce_send(s->queue, &s->envelope, &s->progress, rows, count, s->config);
}

/* Without its report a failure is not final: it is put off, and will be found again. */
static void
put_off_failures(struct settlement *s, enum err e)
{
    char id[MSGID_TEXT_SIZE + 1];

    msgid_format(s->message->id, id);
    log_error("message %s: the report to its sender cannot be stored (%s); it is tried again", id,
              err_name(e));
    for (struct pending *at = s->results; at; at = at->next) {
        struct recipient_progress *row = &s->progress.recipients[at->result.row->index];
        if (at->result.outcome == OUTCOME_FAILED || at->result.outcome == OUTCOME_EXPIRED) {
            at->result.outcome = OUTCOME_DEFERRED;
            row->state = RECIPIENT_WAITING;
        } else if (at->result.outcome == OUTCOME_LATE) {
            at->result.outcome = OUTCOME_DEFERRED;
        }
    }
}

/* Nothing was heard of the message: its site pauses, and says when it is asked again. */
static bool
waits_for_its_site(const struct result *result, instant now)
{
    return result->stage < SMTP_STAGE_MAIL && result->retry_after == 0 && result->not_before > now;
}

/* When the next attempt comes, after ATTEMPTS: a time that the answer said, or its class, takes the
 * place of retry_min, and is never cut short by the dice; who greylists counts the seconds. */
static instant
retry_at(struct schedule *schedule, const struct result *result, unsigned attempts, instant now)
{
    duration wait = MIN(result->retry_after, schedule->limits.retry_max);

    if (wait == 0)
        return schedule_row_retry_at(schedule, result->row, attempts, now);
    if (!result->retry_exactly)
        for (unsigned i = 1; i < attempts && wait < schedule->limits.retry_max; i++)
            wait *= 2;
    wait = MIN(wait, schedule->limits.retry_max);
    return now + wait + (duration)rand_below(&schedule->rand, (uint64_t)wait / 10 + 1);
}

/* Before a time that the sender named (RFC 2852) there is at least one more attempt, at half of
 * what is left. */
static instant
before_deadline(const struct schedule_message *message, instant planned, instant now)
{
    duration left = message->expires - now;

    if (!message->expires || left <= 0)
        return planned;
    return MIN(planned, now + MAX(left / 2, DEADLINE_RETRY_MIN));
}

static instant
next_try(struct schedule *schedule, const struct result *result, unsigned attempts, instant now)
{
    instant planned = retry_at(schedule, result, attempts, now);

    return result->retry_exactly ? planned : before_deadline(result->row->message, planned, now);
}

/* When each row is due, into the progress; under the lock, for the schedule's dice. */
static void
plan(struct settlement *s, instant now)
{
    uint32_t left = s->message->waiting;

    for (struct pending *at = s->results; at; at = at->next) {
        struct result *result = &at->result;
        struct recipient_progress *row = &s->progress.recipients[result->row->index];
        if (is_final(result->outcome)) {
            row->reported = true;
            left--;
            continue;
        }
        if (result->outcome == OUTCOME_LATE)
            row->delay_reported = true;
        else if (result->outcome == OUTCOME_DEFERRED && !waits_for_its_site(result, now))
            result->not_before =
                MAX(result->not_before, next_try(&s->queue->schedule, result, row->attempts, now));
        row->next_attempt = result->not_before;
        row->held = result->row->held;
    }
    /* Not by the progress: a note may have failed to be written. */
    s->is_last = left == 0;
}

/* A note that is too large goes without the texts.  Waits until it is written: the next round reads
 * it. */
WAITS static enum err
write_note(struct settlement *s)
{
    struct buf note;
    enum err e;

    buf_init(&note, SPOOL_NOTE_MAX);
    progress_encode(&s->progress, &note);
    if (!buf_ok(&note)) {
        buf_clear(&note);
        for (size_t i = 0; i < s->progress.recipient_count; i++)
            s->progress.recipients[i].text = s->progress.recipients[i].remote = S("");
        progress_encode(&s->progress, &note);
    }
    e = buf_ok(&note) ? spool_note(s->queue->spool, s->message->id, buf_str(&note)) : ERR_LIMIT;
    buf_done(&note);
    return e;
}

static void
record_end(const struct settlement *s, const struct pending *at)
{
    const struct recipient_progress *row = &s->progress.recipients[at->result.row->index];
    struct event event = {
        .kind = at->result.outcome == OUTCOME_EXPIRED   ? EVENT_EXPIRED
                : at->result.outcome == OUTCOME_DELETED ? EVENT_CANCELLED
                                                        : EVENT_SCHEDULED,
        .message = s->message->id,
        .sender = s->envelope.reverse_path,
        .account = s->envelope.account,
        .recipient = s->envelope.recipients[at->result.row->index].address,
        .recipient_index = at->result.row->index,
        .attempt = row->attempts,
        .code = row->code,
        .enhanced = row->enhanced,
        .text_raw = row->text,
        .class = str_from(reply_class_name(at->result.class)),
    };

    if (!s->queue->events)
        return;
    if (at->result.outcome == OUTCOME_DEFERRED)
        event.next_try = row->next_attempt;
    else if (at->result.outcome == OUTCOME_DELETED && !at->text[0])
        return; /* By somebody's wish: whoever carried it out has recorded it, with the reason. */
    else if (at->result.outcome != OUTCOME_EXPIRED && at->result.outcome != OUTCOME_DELETED)
        return;
    events_record(s->queue->events, &event);
}

/* Under the lock: the rows leave the settlement. */
static void
move_rows(struct settlement *s, instant now)
{
    for (struct pending *at = s->results; at; at = at->next) {
        struct schedule_row *row = at->result.row;
        if (is_final(at->result.outcome)) {
            schedule_row_done(&s->queue->schedule, row);
            continue;
        }
        if (at->result.is_attempt)
            row->attempts++;
        if (at->result.forwarded)
            row->forwarded = true;
        if (at->result.outcome == OUTCOME_LATE)
            row->delay_reported = true;
        row->expires_now = false;
        schedule_row_defer(&s->queue->schedule, row, at->result.not_before, now);
    }
}

/* The message cannot be read any more: what can be done without it. */
static void
settle_blindly(struct settlement *s, enum err e)
{
    char id[MSGID_TEXT_SIZE + 1];
    instant now = clock_now();

    msgid_format(s->message->id, id);
    if (e != ERR_NOT_FOUND)
        log_error("message %s cannot be read from the spool: %s", id, err_name(e));
    pthread_mutex_lock(&s->queue->lock);
    for (struct pending *at = s->results; at; at = at->next) {
        struct schedule_row *row = at->result.row;
        if (e == ERR_NOT_FOUND || at->result.outcome == OUTCOME_DELIVERED ||
            at->result.outcome == OUTCOME_EXPANDED) {
            schedule_row_done(&s->queue->schedule, row);
            continue;
        }
        /* Its time is over, and nobody can be told: it stays for a human to see. */
        row->held = row->held || at->result.outcome == OUTCOME_EXPIRED;
        row->attempts++;
        row->expires_now = false;
        row->forwarded = row->forwarded || at->result.forwarded;
        schedule_row_defer(&s->queue->schedule, row,
                           schedule_retry_at(&s->queue->schedule, row->attempts, now), now);
        row->delay_reported = true;
    }
    pthread_mutex_unlock(&s->queue->lock);
}

WAITS static void
settle_round(struct settlement *s)
{
    instant now = clock_now();
    enum err e = load(s);

    if (e) {
        settle_blindly(s, e);
        return;
    }
    for (const struct pending *at = s->results; at; at = at->next)
        apply(s, at, now);
    for (const struct pending *at = s->results; at; at = at->next)
        suppress_learn(s->queue, s->config, &s->envelope, &at->result, at->enhanced,
                       at->text);
    e = report(s);
    if (e)
        put_off_failures(s, e);
    pthread_mutex_lock(&s->queue->lock);
    plan(s, now);
    pthread_mutex_unlock(&s->queue->lock);
    for (const struct pending *at = s->results; at; at = at->next)
        record_end(s, at);
    e = s->is_last ? spool_forget_later(s->queue->spool, s->message->id) : write_note(s);
    if (e && e != ERR_NOT_FOUND)
        log_error("the progress of a delivery cannot be stored: %s", err_name(e));
    pthread_mutex_lock(&s->queue->lock);
    move_rows(s, now);
    pthread_mutex_unlock(&s->queue->lock);
}

/* --- Rounds. */

/* Others of this message are under way and may end in the same moment: then one report serves. */
static bool
should_collect(const struct settlement *s)
{
    const struct schedule_message *message = s->message;
    unsigned running = 0, ended = 0;
    bool reports = false;

    for (const struct pending *at = s->results; at; at = at->next) {
        ended++;
        reports = reports || at->result.outcome == OUTCOME_FAILED ||
                  at->result.outcome == OUTCOME_EXPIRED;
    }
    for (uint32_t i = 0; reports && i < message->row_count; i++)
        running += message->rows[i].state == ROW_RUNNING || message->rows[i].state == ROW_READY;
    return running > ended;
}

static void
take_results(struct settlement *s)
{
    struct pending **end = &s->results;

    while (*end)
        end = &(*end)->next;
    *end = s->message->results;
    s->message->results = NULL;
}

/* The next round's results, or NULL when the fiber's work is done; it has let go of the message
 * then. */
WAITS static bool
next_round(struct settlement *s)
{
    struct queue *queue = s->queue;
    bool collect;

    pthread_mutex_lock(&queue->lock);
    take_results(s);
    if (!s->results) {
        s->message->settling = false;
        (void)schedule_message_release(&queue->schedule, s->message);
        pthread_mutex_unlock(&queue->lock);
        return false;
    }
    collect = !queue->stopping && should_collect(s);
    pthread_mutex_unlock(&queue->lock);
    if (collect && fiber_sleep(SECONDS(1)) == OK) {
        pthread_mutex_lock(&queue->lock);
        take_results(s);
        pthread_mutex_unlock(&queue->lock);
    }
    return true;
}

WAITS static void
settle_fiber(void *arg)
{
    struct settlement *s = arg;
    struct queue *queue = s->queue;

    arena_init(&s->arena, ATTEMPT_ARENA_MAX);
    s->config = queue_config(queue);
    while (next_round(s)) {
        settle_round(s);
        pending_free(s->results);
        s->results = NULL;
        arena_clear(&s->arena);
        queue_wake_after(queue);
        queue_ring(queue);
    }
    config_unref(s->config);
    arena_done(&s->arena);
    free(s);
}

/* --- In. */

/* All its recipients were delivered by these results, and nobody wants to hear of it. */
static bool
is_simple(const struct schedule_message *message, const struct envelope *envelope,
          const struct result *results, size_t count)
{
    if (!envelope || message->settling || message->results || message->waiting != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (results[i].outcome != OUTCOME_DELIVERED ||
            bounce_is_wanted(envelope, &envelope->recipients[results[i].row->index],
                             OUTCOME_DELIVERED, results[i].relayed))
            return false;
    return true;
}

/* Under the lock: they wait at the message. */
static void
collect(struct schedule_message *message, const struct result *results, size_t count)
{
    struct pending *first = message->results;

    for (size_t i = count; i > 0; i--) {
        struct pending *pending = pending_new(&results[i - 1]);
        pending->next = first;
        first = pending;
    }
    message->results = first;
}

WAITS static void
start_settling(struct queue_loop *loop, struct schedule_message *message)
{
    struct settlement *s = calloc(1, sizeof(*s));

    must(s);
    s->queue = loop->queue;
    s->message = message;
    /* No stack for a fiber, or the end of all: then here and now. */
    if (group_start(&loop->runners, settle_fiber, s, "settle"))
        settle_fiber(s);
}

WAITS void
settle(struct queue_loop *loop, struct schedule_message *message, const struct envelope *envelope,
       const struct result *results, size_t count)
{
    struct queue *queue = loop->queue;
    bool starts = false;

    pthread_mutex_lock(&queue->lock);
    if (is_simple(message, envelope, results, count)) {
        enum err e = spool_forget_later(queue->spool, message->id);
        for (size_t i = 0; i < count; i++)
            schedule_row_done(&queue->schedule, results[i].row);
        pthread_mutex_unlock(&queue->lock);
        if (e && e != ERR_NOT_FOUND)
            log_error("a delivered message cannot be forgotten: %s", err_name(e));
        return;
    }
    collect(message, results, count);
    if (!message->settling) {
        message->settling = true;
        message->users++;
        starts = true;
    }
    pthread_mutex_unlock(&queue->lock);
    if (starts)
        start_settling(loop, message);
}
