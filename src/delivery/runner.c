/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* runner.c: the life of a fiber that delivers to one site.
 *
 * It takes the work of its site, batch by batch, and uses its connection for any message of the
 * site.  When there is no work it keeps the connection for a while: queue_feed_idle() puts the next
 * batch into its hands. Start reading at deliver_run().
 */
#include "delivery/queue/queue_inside.h"
#include "protocols/smtp/client.h"
#include "runtime/clock.h"

#include <limits.h>
#include <stdlib.h>

/* When others wait for a slot, a runner gives its own up after so many messages. */
enum {
    SHARE_WHEN_CROWDED = 20
};

void
runner_end_batch(struct runner *runner)
{
    struct schedule *schedule = &runner->queue->schedule;
    struct link *link;

    while ((link = list_pop(&runner->batch.rows)))
        schedule_row_return(schedule, CONTAINER_OF(link, struct schedule_row, link), clock_now());
    schedule_target_release(schedule, runner->batch.target);
    (void)schedule_message_release(schedule, runner->batch.message);
    runner->has_batch = false;
}

/* Under the lock. */
static void
refresh_config(struct runner *runner)
{
    if (runner->config == runner->queue->config)
        return;
    config_unref(runner->config);
    shaping_unref(runner->shaping);
    runner->config = config_ref(runner->queue->config);
    runner->shaping = shaping_ref(runner->queue->shaping);
    runner->provider = NULL;
    runner->knows_provider = false;
    /* What was agreed under the old one may be too little for the new one: connect anew. */
    runner->client_site = NULL;
}

/* Under the lock. */
static bool
take_work(struct runner *runner)
{
    struct queue *queue = runner->queue;
    unsigned sent = runner->client ? smtp_client_sent(runner->client) : 0;

    if (runner->must_quit || queue->stopping || fiber_cancelled())
        return false;
    if (schedule_is_crowded(&queue->schedule, runner->site) && sent >= SHARE_WHEN_CROWDED)
        return false;
    if (!runner->client && schedule_site_is_over(&queue->schedule, runner->site))
        return false;
    refresh_config(runner);
    runner->has_batch = schedule_take(&queue->schedule, runner->site,
                                      MAX(runner->config->delivery.recipients_per_transaction, 1U),
                                      clock_now(), &runner->batch);
    return runner->has_batch;
}

/* Waits for work with an open connection.  Entered and left without the lock. */
WAITS static bool
linger(struct runner *runner)
{
    struct queue *queue = runner->queue;
    enum err e = bell_wait(&runner->bell, deadline_in(runner->config->delivery.idle_time));
    bool fed;

    (void)e; /* Rung, over or cancelled: the tables say what came of it. */
    pthread_mutex_lock(&queue->lock);
    schedule_site_unpark(&queue->schedule, runner->site, &runner->idle);
    list_remove(&runner->idle_all);
    fed = runner->has_batch;
    if (fed)
        refresh_config(runner);
    pthread_mutex_unlock(&queue->lock);
    return fed;
}

/* Under the lock.  Whether it is worth while to keep the connection for what may come. */
static bool
should_linger(const struct runner *runner)
{
    const struct queue *queue = runner->queue;
    instant now = clock_now();
    instant until = schedule_site_throttled_until(runner->site, now);

    return runner->client && !runner->must_quit && !queue->stopping && !fiber_cancelled() &&
           !schedule_is_crowded(&queue->schedule, runner->site) &&
           until - now < runner->config->delivery.idle_time;
}

/* Under the lock. */
static bool
is_worn(const struct runner *runner)
{
    unsigned max = (unsigned)MIN(runner->config->delivery.messages_per_connection, UINT_MAX);

    return !smtp_client_is_usable(runner->client) ||
           smtp_client_sent(runner->client) >= schedule_site_session(runner->site, max);
}

WAITS static bool
next_work(struct runner *runner)
{
    struct queue *queue = runner->queue;
    bool lingers = false;
    bool more, has;

    pthread_mutex_lock(&queue->lock);
    if (runner->client && is_worn(runner)) {
        pthread_mutex_unlock(&queue->lock);
        runner_drop_client(runner);
        pthread_mutex_lock(&queue->lock);
    }
    has = take_work(runner);
    if (!has && should_linger(runner)) {
        list_append(&queue->idle, &runner->idle_all);
        schedule_site_park(&queue->schedule, runner->site, &runner->idle);
        lingers = true;
    }
    more = schedule_has_work(&queue->schedule);
    queue_look_in_time(queue);
    pthread_mutex_unlock(&queue->lock);
    if (more)
        bell_ring(&runner->loop->bell);
    return lingers ? linger(runner) : has;
}

WAITS void
deliver_run(void *arg)
{
    struct runner *runner = arg;
    struct queue *queue = runner->queue;

    arena_init(&runner->arena, ATTEMPT_ARENA_MAX);
    runner->config = queue_config(queue);
    runner->shaping = queue_shaping(queue);
    /* The first batch came with it. */
    while (runner->has_batch || next_work(runner)) {
        if (queue->events)
            events_keep_up(queue->events);
        deliver_attempt(runner);
        pthread_mutex_lock(&queue->lock);
        runner_end_batch(runner);
        pthread_mutex_unlock(&queue->lock);
    }
    runner_drop_client(runner);
    pthread_mutex_lock(&queue->lock);
    if (runner->has_batch)
        runner_end_batch(runner);
    schedule_site_release(&queue->schedule, runner->site);
    queue_look_in_time(queue);
    pthread_mutex_unlock(&queue->lock);
    queue_ring(queue);
    config_unref(runner->config);
    shaping_unref(runner->shaping);
    arena_done(&runner->arena);
    free(runner);
}
