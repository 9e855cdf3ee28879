/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_cancel.c: a message taken back by the wish of its sender, which is also undo-send.
 *
 * What waits (for its release, its turn, its next attempt, or held) is taken out and never goes;
 * what a delivery has in its hands, or has handed over, cannot be called back, and the answer says
 * so for each recipient.  When queue_cancel() returns, what was taken back stays so after a crash.
 */
#include "delivery/queue/queue_inside.h"

#include "base/must.h"
#include "runtime/clock.h"

enum {
    SETTLED_LOOKS_MAX = 1000
};
#define SETTLED_LOOK MILLISECONDS(5)

struct cancelling {
    struct queue *queue;
    const struct queue_cancel *wish;
    struct envelope envelope;
    struct progress progress;
    struct queue_cancelled *recipients;
    struct result *results;
    size_t result_count;
    struct arena *arena;
};

/* ERR_NOT_FOUND, too, when it is of another account: nobody learns more than that. */
WAITS static enum err
load(struct cancelling *c)
{
    str envelope, note;
    enum err e = spool_get(c->queue->spool, c->wish->id, c->arena, &envelope, &note, NULL);

    if (!e)
        e = envelope_decode(envelope, c->arena, &c->envelope);
    if (e)
        return e;
    if (c->wish->account.len && !str_eq_nocase(c->wish->account, c->envelope.account))
        return ERR_NOT_FOUND;
    if (note.len == 0 || progress_decode(note, c->arena, &c->progress) ||
        c->progress.recipient_count != c->envelope.recipient_count)
        e = progress_init(&c->progress, c->arena, c->envelope.recipient_count,
                          c->envelope.received_at);
    c->recipients = arena_new_array(c->arena, struct queue_cancelled, c->envelope.recipient_count);
    c->results = arena_new_array(c->arena, struct result, c->envelope.recipient_count);
    return e ? e : c->recipients && c->results ? OK : ERR_LIMIT;
}

/* Under the lock. */
static void
take_back_row(struct cancelling *c, struct schedule_row *row, struct queue_cancelled *recipient)
{
    if (row->state == ROW_DONE)
        return;
    recipient->fate = CANCEL_UNDER_WAY;
    recipient->state = "running";
    if (!schedule_seize(&c->queue->schedule, row))
        return;
    recipient->fate = CANCEL_TAKEN_BACK;
    recipient->state = "cancelled";
    c->results[c->result_count++] = (struct result){
        .row = row, .outcome = OUTCOME_DELETED, .enhanced = "", .text = "", .remote = ""
    };
}

static void
record_taken_back(const struct cancelling *c, uint32_t index)
{
    struct event event = {
        .kind = EVENT_CANCELLED,
        .message = c->wish->id,
        .sender = c->envelope.reverse_path,
        .recipient = c->envelope.recipients[index].address,
        .recipient_index = index,
        .account = c->envelope.account,
        .text = S("Taken back before it left"),
        .reason = c->wish->reason,
        .actor = c->wish->actor,
    };

    if (c->queue->events)
        events_record(c->queue->events, &event);
}

/* Until nothing of the message waits to be written; the schedule may have forgotten it. */
WAITS static enum err
wait_settled(struct cancelling *c)
{
    struct queue *queue = c->queue;
    enum err e = OK;

    for (unsigned i = 0; !e && i < SETTLED_LOOKS_MAX; i++) {
        const struct schedule_message *message;
        bool busy;

        pthread_mutex_lock(&queue->lock);
        message = schedule_find(&queue->schedule, c->wish->id);
        busy = message && (message->settling || message->results);
        pthread_mutex_unlock(&queue->lock);
        if (!busy)
            return spool_sync(queue->spool);
        e = fiber_sleep(SETTLED_LOOK);
    }
    return e ? e : ERR_TIMEOUT;
}

WAITS static enum err
take_back(struct cancelling *c)
{
    struct queue *queue = c->queue;
    struct schedule_message *message;

    for (size_t i = 0; i < c->envelope.recipient_count; i++)
        c->recipients[i] = (struct queue_cancelled){
            .address = c->envelope.recipients[i].address,
            .fate = CANCEL_TOO_LATE,
            .state = recipient_state_name(c->progress.recipients[i].state),
        };
    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, c->wish->id);
    if (!message || message->row_count != c->envelope.recipient_count) {
        pthread_mutex_unlock(&queue->lock);
        return ERR_NOT_FOUND;
    }
    message->users++;
    for (uint32_t i = 0; i < message->row_count; i++)
        take_back_row(c, &message->rows[i], &c->recipients[i]);
    pthread_mutex_unlock(&queue->lock);
    for (uint32_t i = 0; i < c->envelope.recipient_count; i++)
        if (c->recipients[i].fate == CANCEL_TAKEN_BACK)
            record_taken_back(c, i);
    if (c->result_count)
        settle(&queue->loops[runtime_loop_current()], message, NULL, c->results, c->result_count);
    pthread_mutex_lock(&queue->lock);
    (void)schedule_message_release(&queue->schedule, message);
    pthread_mutex_unlock(&queue->lock);
    return wait_settled(c);
}

enum err
queue_cancel(struct queue *queue, const struct queue_cancel *wish, struct arena *arena,
             struct queue_cancelled **recipients, size_t *count)
{
    struct cancelling c = { .queue = queue, .wish = wish, .arena = arena };
    enum err e;

    if (queue->loop_count == 0)
        return ERR_BUSY;
    e = load(&c);
    if (!e)
        e = take_back(&c);
    if (e)
        return e;
    *recipients = c.recipients;
    *count = c.envelope.recipient_count;
    return OK;
}
