/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* deliver.c: one attempt: brings the rows of a batch to the next hop.
 *
 * deliver_attempt() reads the envelope, sees that its way is still the right one, has a connection
 * (connect.c), sends (send.c), and hands the results to settle().
 *
 * What a failure means: no connection or no service is the site's (schedule_site_failed); an answer
 * is the recipient's.
 */
#include "base/must.h"
#include "delivery/attempt.h"
#include "runtime/clock.h"

#include <string.h>

/* Rows without a result: nothing was tried with them. */
static void
return_untried(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    instant now = clock_now();

    pthread_mutex_lock(&queue->lock);
    for (size_t i = a->result_count; i < a->count; i++)
        schedule_row_return(&queue->schedule, a->rows[i], now);
    pthread_mutex_unlock(&queue->lock);
    a->count = a->result_count;
}

WAITS static enum err
deliver_remote(struct attempt *a)
{
    bool fresh_wanted = false;
    enum err e;

    if (!attempt_connect(a))
        return a->count > 0 && a->result_count == 0 ? ERR_CANCELLED : OK;
    e = attempt_send(a, &fresh_wanted);
    if (fresh_wanted) {
        runner_drop_client(a->runner);
        if (!attempt_connect(a))
            return a->count > 0 && a->result_count == 0 ? ERR_CANCELLED : OK;
        e = attempt_send(a, &fresh_wanted);
    }
    if (e && a->failure.silent && e != ERR_CANCELLED && a->result_count == 0)
        attempt_all_results(a, OUTCOME_DEFERRED, 0, "",
                            attempt_text(&a->runner->arena, a->failure.why.text).ptr, 0);
    while (!e && attempt_send_again(a, &e))
        ;
    attempt_learn(a, e);
    attempt_record(a);
    attempt_unlearn(a);
    return_untried(a);
    attempt_return_throttled(a);
    if (e)
        runner_drop_client(a->runner);
    return e;
}

/* Rows whose way is another one by now (a changed configuration, a new alias) go there. */
static enum err
check_ways(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    str wanted = str_from(runner->batch.target->key);
    size_t kept = 0;
    size_t i = 0;
    enum err e = OK;

    for (; i < a->count; i++) {
        struct route route;
        e = attempt_way(a, a->rows[i], &route);
        if (e)
            break;
        if (str_eq(str_from(route.key), wanted)) {
            a->route = route;
            a->rows[kept++] = a->rows[i];
            continue;
        }
        pthread_mutex_lock(&queue->lock);
        schedule_row_move(&queue->schedule, a->rows[i], str_from(route.key), clock_now());
        pthread_mutex_unlock(&queue->lock);
        queue_ring(queue);
    }
    while (i < a->count)
        a->rows[kept++] = a->rows[i++];
    a->count = kept;
    return e;
}

WAITS static enum err
load(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    msgid id = runner->batch.message->id;
    bool rerouted = false;
    str bytes, note;
    enum err e;

    for (size_t i = 0; i < a->count; i++)
        rerouted = rerouted || a->rows[i]->rerouted;
    e = spool_get(queue->spool, id, &runner->arena, &bytes, rerouted ? &note : NULL, NULL);

    if (!e)
        e = envelope_decode(bytes, &runner->arena, &a->envelope);
    if (!e)
        e = body_open(queue->spool, id, &a->body);
    if (!e)
        body_put_before(a->body, a->envelope.prefix);
    if (!e && rerouted)
        attempt_read_routes(a, note);
    a->envelope.id = id;
    return e;
}

WAITS static enum err
deliver_out(struct attempt *a)
{
    if (a->route.kind == ROUTE_RELAY && relay_is_http(&a->route.relay))
        return require_allows_way(a) ? http_deliver(a) : OK;
    if (a->route.kind == ROUTE_RELAY && a->route.relay.kind == RELAY_PIPE)
        return program_deliver(a);
    return deliver_remote(a);
}

WAITS static void
run_attempt(struct attempt *a)
{
    enum err e;

    attempt_leave_suppressed(a);
    attempt_obey_rules(a);
    e = check_ways(a);
    if (e) {
        attempt_all_results(a, OUTCOME_DEFERRED, 451, "4.3.0", "Too little memory to find its way",
                            0);
        return;
    }
    if (a->count == 0)
        return;
    switch (a->route.kind) {
    case ROUTE_NONE:
        attempt_all_results(a, attempt_outcome_of(a->route.answer.code), a->route.answer.code,
                            a->route.answer.enhanced, a->route.answer.text, 0);
        attempt_record(a);
        return;
    case ROUTE_LOCAL:
        local_deliver(a->runner, &a->envelope, a->body, a->rows, a->count, a->results);
        a->result_count = a->count;
        pthread_mutex_lock(&a->runner->queue->lock);
        schedule_site_succeeded(&a->runner->queue->schedule, a->runner->site, clock_now());
        pthread_mutex_unlock(&a->runner->queue->lock);
        attempt_record(a);
        return;
    case ROUTE_MX:
    case ROUTE_RELAY:
        e = deliver_out(a);
        return_untried(a);
        return;
    }
}

WAITS void
deliver_attempt(struct runner *runner)
{
    struct schedule_batch *batch = &runner->batch;
    struct attempt *a;
    struct link *link;
    enum err e;

    arena_clear(&runner->arena);
    a = arena_new(&runner->arena, struct attempt);
    must(a);
    *a = (struct attempt){ .runner = runner, .began = clock_now() };
    a->rows = arena_new_array(&runner->arena, struct schedule_row *, batch->count);
    a->results = arena_new_array(&runner->arena, struct result, batch->count);
    must(a->rows && a->results);
    while ((link = list_pop(&batch->rows)))
        a->rows[a->count++] = CONTAINER_OF(link, struct schedule_row, link);
    e = load(a);
    if (e == ERR_NOT_FOUND)
        attempt_all_results(a, OUTCOME_DELETED, 0, "", "it is not in the spool any more", 0);
    else if (e)
        attempt_all_results(a, OUTCOME_DEFERRED, 451, "4.3.0", "The stored message cannot be read",
                            0);
    else
        run_attempt(a);
    if (a->result_count > 0)
        settle(runner->loop, batch->message, e ? NULL : &a->envelope, a->results, a->result_count);
    body_close(a->body);
}
