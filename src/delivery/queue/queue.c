/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue.c: the lock around the schedule, and the fibers that live from it.
 *
 * On each loop a dispatcher sleeps on its bell.  When rows are ready at a site that may have
 * another connection it starts a runner (deliver.c) on its own loop, so that a message that came in
 * on a core goes out on that core.  A runner that has nothing to do keeps its connection for a
 * while and is then fed first.  Loop 0 watches the clock.
 *
 * The lock is held for table work only.  Start reading at queue_add() and dispatch().
 */
#include "delivery/queue/queue_inside.h"

#include "auth/sasl.h"
#include "base/must.h"
#include "delivery/rules/standing.h"
#include "delivery/secure/sts_cache.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/tls.h"
#include "store/disk.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    STARTS_AT_ONCE = 32, /* On the stack. */
    EVICT_LOOKS = 64,
    OVERDUE_AT_ONCE = 256,
    FEED_BATCH_MAX = 1000
};

static struct schedule_limits
limits_from(const struct config *config)
{
    const struct config_delivery *delivery = &config->delivery;

    return (struct schedule_limits){
        .retry_min = delivery->retry_min,
        .retry_max = MAX(delivery->retry_min, delivery->retry_max),
        .expire = delivery->expire,
        .bounce_expire = delivery->expire_bounce,
        .warn = delivery->delay_warning,
        .site_slots = MAX(delivery->site_connections_max, 1U),
        .slots = MAX(delivery->connections_max, 1U),
    };
}

/* --- Who we are. */

static void
add_own(struct queue *queue, ipaddr addr, uint16_t port)
{
    if (queue->own_endpoint_count < OWN_ENDPOINTS_MAX)
        queue->own_endpoints[queue->own_endpoint_count++] = (struct endpoint){ addr, port };
}

/* 0.0.0.0 and :: stand for every address of this machine. */
static void
add_interfaces(struct queue *queue, uint16_t port)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET) {
            const struct sockaddr_in *four = (const void *)at->ifa_addr;
            add_own(queue, ipaddr_from_v4(ntohl(four->sin_addr.s_addr)), port);
        } else if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET6) {
            const struct sockaddr_in6 *six = (const void *)at->ifa_addr;
            add_own(queue, ipaddr_from_v6(six->sin6_addr.s6_addr), port);
        }
    }
    freeifaddrs(all);
}

static void
find_own_endpoints(struct queue *queue, const struct config *config, bool simulated)
{
    queue->own_endpoints = calloc(OWN_ENDPOINTS_MAX, sizeof(*queue->own_endpoints));
    must(queue->own_endpoints);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listen *listen = &config->listeners[i];
        if (listen->kind != LISTEN_SMTP)
            continue;
        for (size_t k = 0; k < listen->address.count; k++) {
            const struct endpoint *address = &listen->address.items[k];
            if (ipaddr_is_any(address->addr) && !simulated)
                add_interfaces(queue, address->port);
            else
                add_own(queue, address->addr, address->port);
        }
    }
}

void
queue_self(struct queue *queue, const struct config *config, struct route_self *self)
{
    *self = (struct route_self){ config->server.hostname, queue->own_endpoints,
                                 queue->own_endpoint_count };
}

/* --- Life. */

enum err
queue_new(const struct queue_options *options, struct queue **queue, struct why *why)
{
    struct schedule_limits limits = limits_from(options->config);
    const char *ca = options->config->tls.ca_file.len ? options->config->tls.ca_file.ptr : NULL;
    struct queue *made = calloc(1, sizeof(*made));
    struct shaping *shaping = NULL;
    enum err e;

    if (!made)
        return ERR_LIMIT;
    e = shaping_of(options->config, &shaping, why);
    if (!e)
        e = tls_client_new(ca, &made->tls_context, why);
    if (e) {
        shaping_unref(shaping);
        free(made);
        return e;
    }
    e = standing_open(disk_real(), options->rules_path, clock_now(), &made->standing, why);
    if (e) {
        tls_context_unref(made->tls_context);
        shaping_unref(shaping);
        free(made);
        return e;
    }
    made->sts = sts_cache_new(options->sts_path);
    made->shaping = shaping;
    must(pthread_mutex_init(&made->lock, NULL) == 0);
    random_bytes(&made->seed, sizeof(made->seed));
    schedule_init(&made->schedule, &limits, made->seed);
    list_init(&made->idle);
    made->config = config_ref(options->config);
    made->accounts = options->accounts;
    made->mailstore = options->mailstore;
    made->events = options->events;
    made->suppression = options->suppression;
    made->keyring = options->keyring;
    made->tls_reports = options->tls_reports;
    made->secrets = options->secrets;
    made->programs = options->programs;
    made->sasl = sasl_new();
    find_own_endpoints(made, options->config, options->simulated);
    *queue = made;
    return OK;
}

void
queue_free(struct queue *queue)
{
    struct schedule_message *message = NULL;

    if (!queue)
        return;
    while ((message = schedule_next_message(&queue->schedule, message)))
        settle_discard(queue, message);
    schedule_done(&queue->schedule);
    tls_context_unref(queue->tls_context);
    sasl_free(queue->sasl);
    standing_free(queue->standing);
    sts_cache_free(queue->sts);
    config_unref(queue->config);
    shaping_unref(queue->shaping);
    pthread_mutex_destroy(&queue->lock);
    free(queue->own_endpoints);
    free(queue);
}

const struct config *
queue_config(struct queue *queue)
{
    const struct config *config;

    pthread_mutex_lock(&queue->lock);
    config = config_ref(queue->config);
    pthread_mutex_unlock(&queue->lock);
    return config;
}

const struct shaping *
queue_shaping(struct queue *queue)
{
    const struct shaping *shaping;

    pthread_mutex_lock(&queue->lock);
    shaping = shaping_ref(queue->shaping);
    pthread_mutex_unlock(&queue->lock);
    return shaping;
}

void
queue_reload(struct queue *queue, const struct config *config, struct shaping *shaping)
{
    struct schedule_limits limits;
    const struct config *old;
    const struct shaping *old_shaping;

    pthread_mutex_lock(&queue->lock);
    old = queue->config;
    old_shaping = queue->shaping;
    queue->config = config_ref(config);
    queue->shaping = shaping;
    limits = limits_from(config);
    schedule_set_limits(&queue->schedule, &limits);
    pthread_mutex_unlock(&queue->lock);
    config_unref(old);
    shaping_unref(old_shaping);
    queue_wake_after(queue);
}

/* --- Waking. */

void
queue_ring(struct queue *queue)
{
    if (queue->loop_count > 0)
        bell_ring(&queue->loops[runtime_loop_current()].bell);
}

void
queue_wake_after(struct queue *queue)
{
    if (queue->loop_count > 0)
        bell_ring(&queue->loops[0].bell);
}

static unsigned
transaction_max(const struct queue *queue)
{
    unsigned max = MAX(queue->config->delivery.recipients_per_transaction, 1U);

    return MIN(max, (unsigned)FEED_BATCH_MAX);
}

void
queue_look_in_time(struct queue *queue)
{
    instant due = schedule_due(&queue->schedule);

    if (due >= queue->look_at || queue->loop_count == 0)
        return;
    queue->look_at = due;
    bell_ring(&queue->loops[0].bell);
}

/* A runner that waits for work at SITE, out of the lists. */
static struct runner *
take_idle(struct queue *queue, struct schedule_site *site, const struct queue_loop *loop)
{
    struct runner *found = NULL;
    unsigned looked = 0;

    /* One of our own loop, if it is among the first. */
    list_each(link, &site->idle) {
        struct runner *runner = CONTAINER_OF(link, struct runner, idle);
        if (!found || runner->loop == loop)
            found = runner;
        if (found->loop == loop || ++looked >= 8)
            break;
    }
    must(found);
    list_remove(&found->idle_all);
    schedule_site_unpark(&queue->schedule, site, &found->idle);
    return found;
}

static void
feed(struct runner *runner, struct schedule_batch *batch)
{
    runner->batch = *batch;
    list_move(&runner->batch.rows, &batch->rows);
    runner->has_batch = true;
}

void
queue_feed_idle(struct queue *queue, struct schedule_site *site)
{
    const struct queue_loop *loop = &queue->loops[runtime_loop_current()];
    struct schedule_batch batch;

    while (!list_is_empty(&site->idle) &&
           schedule_take(&queue->schedule, site, transaction_max(queue), clock_now(), &batch)) {
        struct runner *runner = take_idle(queue, site, loop);
        feed(runner, &batch);
        bell_ring(&runner->bell);
    }
    queue_look_in_time(queue);
}

/* --- In. */

static uint64_t
sender_hash(const struct envelope *envelope)
{
    ssize_t at = str_find_last(envelope->reverse_path, '@');
    str who = envelope->account;

    if (who.len == 0)
        who = at < 0 ? envelope->helo : str_skip(envelope->reverse_path, (size_t)at + 1);
    return str_hash_nocase(who);
}

bool
queue_way_is_out(void *arg, const char *key)
{
    struct queue *queue = arg;
    const struct schedule_target *target;
    bool out;

    pthread_mutex_lock(&queue->lock);
    target = map_get(&queue->schedule.targets, str_from(key));
    out = target && schedule_site_paused_until(target->site, clock_now()) != 0;
    pthread_mutex_unlock(&queue->lock);
    return out;
}

/* Which way each recipient goes, without the lock.  NULL past the arena's ceiling. */
static str *
choose_keys(struct queue *queue, const struct config *config, const struct envelope *envelope,
            const struct progress *progress, struct arena *arena)
{
    str *keys = arena_new_array(arena, str, envelope->recipient_count);
    struct route_facts facts;
    struct arena work;

    route_facts_of(envelope, &facts);
    facts.is_out = queue_way_is_out;
    facts.arg = queue;
    arena_init(&work, 1024 * 1024);
    for (size_t i = 0; keys && i < envelope->recipient_count; i++) {
        struct route route;
        arena_clear(&work);
        facts.recipient = envelope->recipients[i].address;
        if (progress && progress->recipients[i].route.len
                ? route_by_url(config, &work, progress->recipients[i].route, &facts, &route)
                : route_choose(config, queue->accounts, &work, &facts, &route))
            keys[i] = S("none:");
        else if (i > 0 && str_eq(keys[i - 1], str_from(route.key)))
            keys[i] = keys[i - 1];
        else if (!arena_copy(arena, str_from(route.key), &keys[i]))
            keys = NULL;
    }
    arena_done(&work);
    return keys;
}

static void
place_row(struct queue *queue, struct schedule_message *message, uint32_t index,
          const struct progress *progress, str key, instant now)
{
    struct schedule_start start = { .due = now };

    if (progress) {
        const struct recipient_progress *row = &progress->recipients[index];
        if (row->state != RECIPIENT_WAITING) {
            schedule_skip_row(&queue->schedule, message, index);
            return;
        }
        start = (struct schedule_start){
            .due = row->next_attempt,
            .attempts = (uint16_t)MIN(row->attempts, 60000U),
            .held = row->held,
            .delay_reported = row->delay_reported,
            .forwarded = row->forwarded,
        };
    }
    schedule_add_row(&queue->schedule, message, index, key, &start, now);
    message->rows[index].rerouted = progress && progress->recipients[index].route.len > 0;
}

/* A time to be told of (BY=;N) that was over when the message came: whoever had it then has told.
 * RFC 2852 4. */
static instant
deadline_of(const struct envelope *envelope)
{
    bool told = envelope->by == BY_NOTIFY && envelope->by_deadline <= envelope->received_at;

    if (envelope->door == DOOR_REPORT)
        return envelope->received_at + HANDLING_REPORT_TIME;
    return told ? 0 : envelope->by_deadline;
}

/* Under the lock.  The message has a user, the caller; NULL when it is there already. */
static struct schedule_message *
add_message(struct queue *queue, const struct envelope *envelope, const struct progress *progress,
            const str *keys)
{
    struct schedule_facts facts = {
        .id = envelope->id,
        .received_at = envelope->received_at,
        .not_before = envelope->release_at,
        .expires = deadline_of(envelope),
        .only_warns = envelope->by == BY_NOTIFY,
        .sender = sender_hash(envelope),
        .lane = envelope->lane,
        .priority = envelope->priority,
        .is_report = envelope->door >= DOOR_BOUNCE,
    };
    struct schedule_message *message;
    instant now = clock_now();

    message = schedule_add(&queue->schedule, &facts, (uint32_t)envelope->recipient_count);
    for (uint32_t i = 0; message && i < envelope->recipient_count; i++)
        place_row(queue, message, i, progress, keys[i], now);
    return message;
}

static void
feed_sites_of(struct queue *queue, const struct schedule_message *message)
{
    const struct schedule_site *last = NULL;

    for (uint32_t i = 0; i < message->row_count; i++) {
        if (message->rows[i].state != ROW_READY || message->rows[i].target->site == last)
            continue;
        last = message->rows[i].target->site;
        queue_feed_idle(queue, message->rows[i].target->site);
    }
}

void
queue_add(struct queue *queue, const struct envelope *envelope)
{
    const struct config *config = queue_config(queue);
    struct schedule_message *message;
    bool wanted = false;
    struct arena arena;
    str *keys;

    arena_init(&arena, ATTEMPT_ARENA_MAX);
    keys = choose_keys(queue, config, envelope, NULL, &arena);
    config_unref(config);
    must(keys);
    pthread_mutex_lock(&queue->lock);
    message = add_message(queue, envelope, NULL, keys);
    if (message && queue->loop_count > 0) {
        feed_sites_of(queue, message);
        wanted = schedule_has_work(&queue->schedule);
    }
    if (message)
        (void)schedule_message_release(&queue->schedule, message);
    pthread_mutex_unlock(&queue->lock);
    if (wanted)
        queue_ring(queue);
    /* Only attempts make times otherwise. */
    if (envelope->release_at || envelope->by_deadline)
        queue_wake_after(queue);
    arena_done(&arena);
}

enum err
queue_post(struct queue *queue, const struct envelope *envelope, str message)
{
    OWN(draft) draft = NULL;
    struct buf encoded;
    enum err e;

    buf_init(&encoded, SPOOL_ENVELOPE_MAX);
    envelope_encode(envelope, &encoded);
    e = draft_begin(queue->spool, &draft);
    if (!e)
        e = draft_write(draft, message);
    if (!e)
        e = draft_commit(&draft, envelope->id, buf_str(&encoded));
    buf_done(&encoded);
    if (!e)
        queue_add(queue, envelope);
    return e;
}

void
queue_expect(void *arg, uint64_t messages)
{
    struct queue *queue = arg;

    pthread_mutex_lock(&queue->lock);
    schedule_reserve(&queue->schedule, (size_t)messages);
    pthread_mutex_unlock(&queue->lock);
}

/* A message of the spool on its way into the schedule. */
struct found {
    struct envelope envelope;
    struct progress progress;
    bool has_progress;
    str *keys; /* NULL: it is left alone. */
};

static void
read_found(struct queue *queue, const struct config *config, const struct spool_entry *entry,
           struct arena *arena, struct found *found)
{
    char id[MSGID_TEXT_SIZE + 1];
    enum err e = envelope_decode(entry->envelope, arena, &found->envelope);

    if (e) {
        msgid_format(entry->id, id);
        log_error(
            "message %s: its envelope cannot be read (%s); it stays in the spool, undelivered", id,
            err_name(e));
        return;
    }
    found->envelope.id = entry->id;
    if (entry->note.len > 0) {
        found->has_progress = progress_decode(entry->note, arena, &found->progress) == OK &&
                              found->progress.recipient_count == found->envelope.recipient_count;
        if (!found->has_progress) {
            msgid_format(entry->id, id);
            log_error("message %s: its progress cannot be read; its recipients are tried again",
                      id);
        }
    }
    found->keys = choose_keys(queue, config, &found->envelope,
                              found->has_progress ? &found->progress : NULL, arena);
    must(found->keys);
}

/* Under the lock. */
static void
add_found(struct queue *queue, const struct found *found, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (found[i].keys)
            schedule_foresee(&queue->schedule, found[i].envelope.id, found[i].keys[0]);
    for (size_t i = 0; i < count; i++) {
        const struct found *one = &found[i];
        struct schedule_message *message =
            one->keys ? add_message(queue, &one->envelope,
                                    one->has_progress ? &one->progress : NULL, one->keys)
                      : NULL;
        if (message)
            (void)schedule_message_release(&queue->schedule, message);
    }
}

void
queue_found(void *arg, const struct spool_entry *entries, size_t count)
{
    struct queue *queue = arg;
    const struct config *config = queue_config(queue);
    struct found *found = calloc(count, sizeof(*found));
    struct arena arena;

    must(found);
    /* They may be many, each as large as it can be. */
    arena_init(&arena, count * ATTEMPT_ARENA_MAX);
    for (size_t i = 0; i < count; i++)
        read_found(queue, config, &entries[i], &arena, &found[i]);
    pthread_mutex_lock(&queue->lock);
    add_found(queue, found, count);
    pthread_mutex_unlock(&queue->lock);
    arena_done(&arena);
    free(found);
    config_unref(config);
}

/* --- Out. */

/* WORK, with a slot of its site, for a new connection. */
static void
start_runner(struct queue_loop *loop, struct schedule_work *work)
{
    struct runner *runner = calloc(1, sizeof(*runner));

    must(runner);
    runner->queue = loop->queue;
    runner->loop = loop;
    runner->site = work->site;
    feed(runner, &work->batch);
    if (group_start(&loop->runners, deliver_run, runner, "deliver") == OK)
        return;
    pthread_mutex_lock(&loop->queue->lock);
    runner_end_batch(runner);
    schedule_site_release(&loop->queue->schedule, runner->site);
    pthread_mutex_unlock(&loop->queue->lock);
    free(runner);
}

/* Rows that are late or over, as far as they belong to one message. */
static size_t
take_overdue(struct queue *queue, struct result *results, size_t max, instant now,
             struct schedule_message **message)
{
    size_t count = 0;

    *message = NULL;
    while (count < max && !list_is_empty(&queue->schedule.overdue)) {
        struct schedule_row *row =
            CONTAINER_OF(queue->schedule.overdue.next, struct schedule_row, link);
        bool over = schedule_row_is_over(&queue->schedule, row, now);
        if (*message && row->message != *message)
            break;
        if (!*message) {
            *message = row->message;
            (*message)->users++;
        }
        list_remove(&row->link);
        results[count++] = (struct result){
            .row = row,
            .outcome = over ? OUTCOME_EXPIRED : OUTCOME_LATE,
            .enhanced = "",
            .text = "",
            .remote = "",
            /* What a standing rule keeps meets it again; should it end meanwhile, nobody would wake
             * the row. */
            .not_before = row->kept ? now : row->due,
        };
    }
    return count;
}

WAITS static void
settle_overdue(struct queue_loop *loop, instant now)
{
    struct queue *queue = loop->queue;
    struct result *results = calloc(OVERDUE_AT_ONCE, sizeof(*results));
    struct schedule_message *message;
    size_t count;

    must(results);
    for (;;) {
        pthread_mutex_lock(&queue->lock);
        count = take_overdue(queue, results, OVERDUE_AT_ONCE, now, &message);
        pthread_mutex_unlock(&queue->lock);
        if (count == 0)
            break;
        settle(loop, message, NULL, results, count);
        pthread_mutex_lock(&queue->lock);
        (void)schedule_message_release(&queue->schedule, message);
        pthread_mutex_unlock(&queue->lock);
    }
    free(results);
}

/* When somebody waits for a slot that an idle connection has, the one that has idled longest goes.
 */
static void
evict_idle(struct queue *queue)
{
    unsigned looked = 0;

    list_each(link, &queue->idle) {
        struct runner *runner = CONTAINER_OF(link, struct runner, idle_all);
        if (schedule_is_crowded(&queue->schedule, runner->site)) {
            list_remove(&runner->idle_all);
            schedule_site_unpark(&queue->schedule, runner->site, &runner->idle);
            runner->must_quit = true;
            bell_ring(&runner->bell);
            return;
        }
        if (++looked >= EVICT_LOOKS)
            return;
    }
}

/* Work for which this loop shall open connections; runners that idle are fed.  Under the lock. */
static size_t
take_work(struct queue_loop *loop, struct schedule_work *works, size_t max, instant now)
{
    struct queue *queue = loop->queue;
    size_t count = 0;

    while (count < max &&
           schedule_next(&queue->schedule, transaction_max(queue), now, &works[count])) {
        struct schedule_work *work = &works[count];
        if (work->for_idle) {
            struct runner *runner = take_idle(queue, work->site, loop);
            feed(runner, &work->batch);
            bell_ring(&runner->bell);
        } else {
            count++;
        }
    }
    evict_idle(queue);
    return count;
}

/* DUE, of the wall clock, on the steady one. */
static instant
steady_at(instant due, instant now)
{
    return due == NEVER ? NEVER : clock_steady() + MAX(due - now, 0);
}

WAITS static bool
dispatch_once(struct queue_loop *loop, instant *deadline)
{
    struct queue *queue = loop->queue;
    struct schedule_work works[STARTS_AT_ONCE];
    instant now = clock_now();
    bool overdue, more;
    size_t count;

    *deadline = NEVER;
    pthread_mutex_lock(&queue->lock);
    if (queue->stopping) {
        pthread_mutex_unlock(&queue->lock);
        return false;
    }
    if (loop->index == 0)
        schedule_tick(&queue->schedule, now);
    count = take_work(loop, works, STARTS_AT_ONCE, now);
    more = count == STARTS_AT_ONCE;
    overdue = loop->index == 0 && !list_is_empty(&queue->schedule.overdue);
    if (loop->index == 0) {
        queue->look_at = schedule_due(&queue->schedule);
        *deadline = steady_at(queue->look_at, now);
    } else {
        queue_look_in_time(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < count; i++)
        start_runner(loop, &works[i]);
    if (loop->index == 0) {
        *deadline = MIN(*deadline, steady_at(standing_tick(loop, now), now));
        *deadline = MIN(*deadline, steady_at(secure_sts_tick(loop, now), now));
    }
    if (overdue)
        settle_overdue(loop, now);
    if (more)
        *deadline = clock_steady();
    return true;
}

WAITS static void
drain(struct queue_loop *loop)
{
    struct queue *queue = loop->queue;

    while (loop->runners.count > 0 && clock_steady() < queue->stop_deadline)
        if (fiber_sleep(MILLISECONDS(10)))
            break;
    group_stop(&loop->runners);
}

static void
tell_stopped(void *arg)
{
    struct queue_loop *loop = arg;

    latch_open(&loop->stopped);
}

WAITS static void
dispatch(void *arg)
{
    struct queue_loop *loop = arg;
    instant deadline;

    while (dispatch_once(loop, &deadline)) {
        enum err e;
        if (deadline <= clock_steady())
            fiber_yield();
        e = bell_wait(&loop->bell, deadline);
        if (e == ERR_CANCELLED)
            break;
    }
    drain(loop);
    /* After this fiber has left its group. */
    runtime_post(loop->index, tell_stopped, loop);
}

/* On its own loop. */
static void
start_loop(void *arg)
{
    struct queue_loop *loop = arg;

    group_init(&loop->dispatcher);
    group_init(&loop->runners);
    if (group_start(&loop->dispatcher, dispatch, loop, "dispatch"))
        latch_open(&loop->stopped);
}

enum err
queue_start(struct queue *queue, struct spool *spool, struct why *why)
{
    unsigned count = MIN(runtime_loop_count(), (unsigned)QUEUE_LOOPS_MAX);

    if (queue->loop_count > 0)
        return err_why(why, ERR_EXISTS, "the queue runs already");
    sts_cache_load(queue->sts, clock_now());
    queue->spool = spool;
    for (unsigned i = 0; i < count; i++) {
        queue->loops[i].queue = queue;
        queue->loops[i].index = i;
    }
    queue->loop_count = count;
    for (unsigned i = 0; i < count; i++)
        runtime_post(i, start_loop, &queue->loops[i]);
    return OK;
}

static void
quit_idle(struct queue *queue)
{
    struct link *first;

    while ((first = list_pop(&queue->idle))) {
        struct runner *runner = CONTAINER_OF(first, struct runner, idle_all);
        schedule_site_unpark(&queue->schedule, runner->site, &runner->idle);
        runner->must_quit = true;
        bell_ring(&runner->bell);
    }
}

void
queue_stop(struct queue *queue, instant deadline)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    queue->stop_deadline = deadline;
    quit_idle(queue);
    pthread_mutex_unlock(&queue->lock);
    for (unsigned i = 0; i < queue->loop_count; i++)
        bell_ring(&queue->loops[i].bell);
    for (unsigned i = 0; i < queue->loop_count; i++)
        latch_wait_always(&queue->loops[i].stopped);
    queue->loop_count = 0;
    if (queue->spool) {
        enum err e = spool_sync(queue->spool);
        if (e)
            log_error("the last progress of deliveries could not be written: %s", err_name(e));
    }
}

void
queue_stats(struct queue *queue, struct queue_stats *stats)
{
    pthread_mutex_lock(&queue->lock);
    *stats = (struct queue_stats){
        .messages = queue->schedule.message_count,
        .recipients = queue->schedule.row_count,
        .ready = queue->schedule.ready_count,
        .connections = queue->schedule.running,
        .sites = map_count(&queue->schedule.sites),
    };
    pthread_mutex_unlock(&queue->lock);
}
