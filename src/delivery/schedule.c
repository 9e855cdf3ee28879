/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule.c: the tables of what waits.
 *
 * A row's timer is its next moment of interest: when scheduled, the time it is due (or late, or
 * over); when ready, the time at which it is late or over, so that a row that waits behind a dead
 * site for days is still reported and returned, without an attempt of its own and without a walk.
 *
 * A target keeps its ready rows in SCHEDULE_TURNS lists by a hash of the sender and serves the
 * lists in turn: a newsletter fills one list and delays the others by one batch at a time.  Start
 * reading at schedule_take().
 */
#include "delivery/schedule.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

enum {
    SITE_SUCCESSES_PER_SLOT = 8,
    BUCKETS_MIN = 64,
    TICK_ROWS_MAX = 5000
};

void
schedule_init(struct schedule *schedule, const struct schedule_limits *limits, uint64_t seed)
{
    *schedule = (struct schedule){ .limits = *limits };
    heap_init(&schedule->rows);
    heap_init(&schedule->pauses);
    list_init(&schedule->runnable);
    list_init(&schedule->overdue);
    list_init(&schedule->idle_targets);
    map_init(&schedule->targets, 0);
    map_init(&schedule->sites, 0);
    rand_init(&schedule->rand, seed);
}

void
schedule_done(struct schedule *schedule)
{
    void *value;
    str key;

    for (size_t i = 0; i < schedule->bucket_count; i++)
        while (schedule->buckets[i]) {
            struct schedule_message *message = schedule->buckets[i];
            schedule->buckets[i] = message->next;
            free(message);
        }
    free(schedule->buckets);
    for (size_t at = 0; map_next(&schedule->targets, &at, &key, &value);) {
        free(((struct schedule_target *)value)->key);
        free(value);
    }
    for (size_t at = 0; map_next(&schedule->sites, &at, &key, &value);) {
        free(((struct schedule_site *)value)->key);
        free(((struct schedule_site *)value)->source);
        free(value);
    }
    map_done(&schedule->targets);
    map_done(&schedule->sites);
    free(schedule->rows.items);
    free(schedule->pauses.items);
    *schedule = (struct schedule){};
}

/* --- Messages, found by id. */

static size_t
bucket_of(const struct schedule *schedule, msgid id)
{
    return str_hash((str){ (const char *)id.bytes, sizeof(id.bytes) }) &
           (schedule->bucket_count - 1);
}

static void
grow_buckets(struct schedule *schedule)
{
    struct schedule_message **old = schedule->buckets;
    size_t old_count = schedule->bucket_count;

    schedule->bucket_count = MAX((size_t)BUCKETS_MIN, old_count * 2);
    schedule->buckets = calloc(schedule->bucket_count, sizeof(*schedule->buckets));
    must(schedule->buckets);
    for (size_t i = 0; i < old_count; i++)
        while (old[i]) {
            struct schedule_message *message = old[i];
            size_t bucket = bucket_of(schedule, message->id);
            old[i] = message->next;
            message->next = schedule->buckets[bucket];
            schedule->buckets[bucket] = message;
        }
    free(old);
}

struct schedule_message *
schedule_find(const struct schedule *schedule, msgid id)
{
    struct schedule_message *message;

    if (schedule->bucket_count == 0)
        return NULL;
    message = schedule->buckets[bucket_of(schedule, id)];
    while (message && msgid_cmp(message->id, id) != 0)
        message = message->next;
    return message;
}

struct schedule_message *
schedule_next_message(const struct schedule *schedule, struct schedule_message *at)
{
    size_t bucket = 0;

    if (at) {
        if (at->next)
            return at->next;
        bucket = bucket_of(schedule, at->id) + 1;
    }
    for (; bucket < schedule->bucket_count; bucket++)
        if (schedule->buckets[bucket])
            return schedule->buckets[bucket];
    return NULL;
}

bool
schedule_walk(struct schedule *schedule, struct schedule_walk *walk, unsigned max,
              void (*each)(void *arg, struct schedule_message *message), void *arg)
{
    unsigned seen = 0;

    if (walk->bucket_count != schedule->bucket_count)
        *walk = (struct schedule_walk){ 0, schedule->bucket_count };
    while (seen < max && walk->bucket < schedule->bucket_count) {
        struct schedule_message *message = schedule->buckets[walk->bucket++];
        for (seen++; message; seen++) {
            struct schedule_message *next = message->next;
            each(arg, message);
            message = next;
        }
    }
    return walk->bucket < schedule->bucket_count;
}

struct schedule_message *
schedule_add(struct schedule *schedule, const struct schedule_facts *facts, uint32_t row_count)
{
    struct schedule_message *message;
    size_t bucket;

    if (schedule_find(schedule, facts->id))
        return NULL;
    if (schedule->message_count >= schedule->bucket_count)
        grow_buckets(schedule);
    message = calloc(1, sizeof(*message) + row_count * sizeof(struct schedule_row));
    must(message);
    message->id = facts->id;
    message->received_at = facts->received_at;
    message->not_before = facts->not_before;
    message->expires = facts->expires;
    message->only_warns = facts->only_warns;
    message->sender = facts->sender;
    message->lane = (uint8_t)facts->lane;
    message->priority = facts->priority;
    message->is_report = facts->is_report;
    message->row_count = row_count;
    message->waiting = row_count;
    message->users = 1;
    bucket = bucket_of(schedule, facts->id);
    message->next = schedule->buckets[bucket];
    schedule->buckets[bucket] = message;
    schedule->message_count++;
    return message;
}

bool
schedule_message_release(struct schedule *schedule, struct schedule_message *message)
{
    struct schedule_message **at;

    must(message->users > 0);
    if (--message->users > 0 || message->waiting > 0)
        return false;
    at = &schedule->buckets[bucket_of(schedule, message->id)];
    while (*at != message)
        at = &(*at)->next;
    *at = message->next;
    schedule->message_count--;
    free(message);
    return true;
}

/* --- Sites and targets. */

static void
site_free_if_idle(struct schedule *schedule, struct schedule_site *site)
{
    if (site->target_count > 0 || site->running > 0)
        return;
    must(list_is_empty(&site->idle) && list_is_empty(&site->targets));
    heap_remove(&schedule->pauses, &site->timer);
    list_remove(&site->runnable);
    map_remove(&schedule->sites, str_from(site->key));
    free(site->key);
    free(site->source);
    free(site);
}

static struct schedule_site *
site_get(struct schedule *schedule, str key, str source)
{
    struct schedule_site *site = map_get(&schedule->sites, key);

    if (site)
        return site;
    site = calloc(1, sizeof(*site));
    must(site);
    site->key = str_dup(key);
    site->source = str_dup(source);
    site->limit = schedule->limits.site_slots;
    list_init(&site->targets);
    list_init(&site->idle);
    must(map_put(&schedule->sites, key, site) == OK);
    return site;
}

bool
schedule_site_has_work(const struct schedule_site *site)
{
    return !list_is_empty(&site->targets) && site->paused_until == 0;
}

/* SITE stands among the runnable ones exactly when a connection to it is wanted and allowed. */
static void
site_update(struct schedule *schedule, struct schedule_site *site)
{
    bool wanted = schedule_site_has_work(site) && site->running < site->limit;

    if (wanted && !list_holds(&site->runnable))
        list_append(&schedule->runnable, &site->runnable);
    else if (!wanted)
        list_remove(&site->runnable);
}

static void
target_free(struct schedule *schedule, struct schedule_target *target)
{
    struct schedule_site *site = target->site;

    must(target->rows == 0 && target->users == 0 && !list_holds(&target->link));
    if (list_holds(&target->idle)) {
        list_remove(&target->idle);
        schedule->idle_target_count--;
    }
    map_remove(&schedule->targets, str_from(target->key));
    free(target->key);
    free(target);
    site->target_count--;
    site_free_if_idle(schedule, site);
}

/* A target without rows is kept for a while, for what was learnt of it; the longest idle goes
 * first. */
static void
target_idle_if_unused(struct schedule *schedule, struct schedule_target *target)
{
    if (target->rows > 0 || target->users > 0 || list_holds(&target->idle))
        return;
    list_append(&schedule->idle_targets, &target->idle);
    if (++schedule->idle_target_count > SCHEDULE_IDLE_TARGETS)
        target_free(schedule,
                    CONTAINER_OF(schedule->idle_targets.next, struct schedule_target, idle));
}

static void
target_use(struct schedule *schedule, struct schedule_target *target)
{
    if (!list_holds(&target->idle))
        return;
    list_remove(&target->idle);
    schedule->idle_target_count--;
}

static struct schedule_target *
target_get(struct schedule *schedule, str key)
{
    struct schedule_target *target = map_get(&schedule->targets, key);

    if (target)
        return target;
    target = calloc(1, sizeof(*target));
    must(target);
    target->key = str_dup(key);
    for (size_t i = 0; i < SCHEDULE_TURNS; i++)
        list_init(&target->turns[i]);
    target->site = site_get(schedule, key, S(""));
    target->site->target_count++;
    must(map_put(&schedule->targets, key, target) == OK);
    return target;
}

void
schedule_target_release(struct schedule *schedule, struct schedule_target *target)
{
    must(target->users > 0);
    target->users--;
    target_idle_if_unused(schedule, target);
}

struct schedule_site *
schedule_bind(struct schedule *schedule, struct schedule_target *target, str key, str source)
{
    struct schedule_site *old = target->site;
    struct schedule_site *site = site_get(schedule, key, source);

    if (site == old)
        return site;
    site->target_count++;
    target->site = site;
    if (list_holds(&target->link)) {
        list_remove(&target->link);
        list_append(&site->targets, &target->link);
        site_update(schedule, site);
        site_update(schedule, old);
    }
    old->target_count--;
    site_free_if_idle(schedule, old);
    return site;
}

/* --- Rows. */

instant
schedule_expiry(const struct schedule *schedule, const struct schedule_message *message)
{
    if (message->expires && !message->only_warns)
        return message->expires;
    return MAX(message->received_at, message->not_before) +
           (message->is_report ? schedule->limits.bounce_expire : schedule->limits.expire);
}

/* When the sender of ROW is to hear that it is late; NEVER when he has, or need not. */
static instant
row_warning(const struct schedule *schedule, const struct schedule_row *row)
{
    const struct schedule_message *message = row->message;
    instant warning = MAX(message->received_at, message->not_before) + schedule->limits.warn;

    if (row->delay_reported || message->is_report)
        return NEVER;
    if (message->expires && message->only_warns)
        return message->expires;
    if (schedule->limits.warn == 0)
        return NEVER;
    return MAX(warning, row->attempts == 0 ? row->due + HOURS(1) : 0);
}

/* When ROW is to be reported late or returned: the next of the two. */
static instant
row_deadline(const struct schedule *schedule, const struct schedule_row *row)
{
    instant expiry = schedule_expiry(schedule, row->message);

    if (row->expires_now)
        return INT64_MIN;
    /* Never tried, it is not over before it had an hour: it may have lain in a stopped server.  But
     * a sender who named a time meant it. */
    if (row->attempts == 0 && (!row->message->expires || row->message->only_warns))
        expiry = MAX(expiry, row->due + HOURS(1));
    return MIN(expiry, row_warning(schedule, row));
}

static void
row_ready(struct schedule *schedule, struct schedule_row *row, bool in_front)
{
    struct schedule_target *target = row->target;
    unsigned turn = (unsigned)(row->message->sender % SCHEDULE_TURNS);

    row->state = ROW_READY;
    row->kept = false;
    if (in_front)
        list_prepend(&target->turns[turn], &row->link);
    else
        list_append(&target->turns[turn], &row->link);
    target->turns_filled |= (uint16_t)(1U << turn);
    schedule->ready_count++;
    if (target->ready++ == 0) {
        list_append(&target->site->targets, &target->link);
        site_update(schedule, target->site);
    }
    heap_set(&schedule->rows, &row->timer, row_deadline(schedule, row));
}

/* Takes a ready row out of its turn. */
static void
row_unready(struct schedule *schedule, struct schedule_row *row)
{
    struct schedule_target *target = row->target;
    unsigned turn = (unsigned)(row->message->sender % SCHEDULE_TURNS);

    list_remove(&row->link);
    if (list_is_empty(&target->turns[turn]))
        target->turns_filled &= (uint16_t) ~(1U << turn);
    schedule->ready_count--;
    if (--target->ready == 0) {
        list_remove(&target->link);
        site_update(schedule, target->site);
    }
    heap_remove(&schedule->rows, &row->timer);
}

static void
row_place(struct schedule *schedule, struct schedule_row *row, instant now)
{
    instant deadline;

    if (row->held) {
        row->state = ROW_HELD;
        return;
    }
    deadline = row_deadline(schedule, row);
    if (row->due <= now && now < deadline) {
        row_ready(schedule, row, false);
        return;
    }
    row->state = ROW_SCHEDULED;
    /* Past its deadline and yet put off (its report could not be stored): not before its time. */
    heap_set(&schedule->rows, &row->timer, deadline <= now ? row->due : MIN(row->due, deadline));
}

void
schedule_add_row(struct schedule *schedule, struct schedule_message *message, uint32_t index,
                 str target, const struct schedule_start *start, instant now)
{
    struct schedule_row *row = &message->rows[index];

    must(index <= UINT16_MAX);
    row->message = message;
    row->index = (uint16_t)index;
    row->target = target_get(schedule, target);
    target_use(schedule, row->target);
    row->target->rows++;
    row->due = start->attempts == 0 ? MAX(start->due, now) : start->due;
    row->due = MAX(row->due, message->not_before);
    row->attempts = start->attempts;
    row->held = start->held;
    row->delay_reported = start->delay_reported;
    row->forwarded = start->forwarded;
    schedule->row_count++;
    row_place(schedule, row, now);
}

void
schedule_skip_row(struct schedule *schedule, struct schedule_message *message, uint32_t index)
{
    (void)schedule;
    must(message->waiting > 0);
    message->rows[index].message = message;
    message->rows[index].index = (uint16_t)index;
    message->rows[index].state = ROW_DONE;
    message->waiting--;
}

void
schedule_row_done(struct schedule *schedule, struct schedule_row *row)
{
    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->state = ROW_DONE;
    row->message->waiting--;
    schedule->row_count--;
    row->target->rows--;
    target_idle_if_unused(schedule, row->target);
}

void
schedule_row_keep(struct schedule *schedule, struct schedule_row *row, uint32_t rule, instant until,
                  instant now)
{
    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->rule = rule & 0xfffff;
    if (until == NEVER) {
        row->state = ROW_HELD;
    } else {
        row->due = until;
        row_place(schedule, row, now);
    }
    row->kept = row->state != ROW_READY && !row->held;
}

void
schedule_row_unkeep(struct schedule *schedule, struct schedule_row *row, instant now)
{
    bool kept = row->kept;

    row->rule = 0;
    row->kept = false;
    if (!kept || (row->state != ROW_HELD && row->state != ROW_SCHEDULED))
        return;
    if (row->state == ROW_SCHEDULED)
        heap_remove(&schedule->rows, &row->timer);
    row->due = MIN(row->due, now);
    row_place(schedule, row, now);
}

void
schedule_row_defer(struct schedule *schedule, struct schedule_row *row, instant due, instant now)
{
    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->kept = false;
    row->rule = 0;
    row->due = due;
    row_place(schedule, row, now);
}

void
schedule_row_return(struct schedule *schedule, struct schedule_row *row, instant now)
{
    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->due = now;
    if (row->held)
        row->state = ROW_HELD;
    else
        row_ready(schedule, row, true);
}

void
schedule_row_move(struct schedule *schedule, struct schedule_row *row, str target, instant now)
{
    struct schedule_target *old = row->target;

    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->target = target_get(schedule, target);
    target_use(schedule, row->target);
    row->target->rows++;
    old->rows--;
    target_idle_if_unused(schedule, old);
    schedule_row_return(schedule, row, now);
}

instant
schedule_retry_at(struct schedule *schedule, unsigned attempts, instant now)
{
    duration wait = schedule->limits.retry_min;

    for (unsigned i = 1; i < attempts && wait < schedule->limits.retry_max; i++)
        wait *= 2;
    wait = MIN(wait, schedule->limits.retry_max);
    /* A tenth either way, so that what failed together does not come back together. */
    wait += (duration)rand_below(&schedule->rand, (uint64_t)wait / 5 + 1) - wait / 10;
    return now + wait;
}

/* --- Time. */

static void
row_overdue(struct schedule *schedule, struct schedule_row *row)
{
    if (row->state == ROW_READY)
        row_unready(schedule, row);
    row->state = ROW_RUNNING;
    list_append(&schedule->overdue, &row->link);
}

static void
row_tick(struct schedule *schedule, struct schedule_row *row, instant now)
{
    heap_remove(&schedule->rows, &row->timer);
    if (row_deadline(schedule, row) <= now) {
        row_overdue(schedule, row);
    } else {
        must(row->state == ROW_SCHEDULED && row->due <= now);
        row_ready(schedule, row, false);
    }
}

void
schedule_tick(struct schedule *schedule, instant now)
{
    struct heap_item *first;

    while ((first = heap_first(&schedule->pauses)) && first->key <= now) {
        struct schedule_site *site = CONTAINER_OF(first, struct schedule_site, timer);
        heap_remove(&schedule->pauses, first);
        site->paused_until = 0;
        site_update(schedule, site);
    }
    for (unsigned count = 0; count < TICK_ROWS_MAX; count++) {
        first = heap_first(&schedule->rows);
        if (!first || first->key > now)
            break;
        row_tick(schedule, CONTAINER_OF(first, struct schedule_row, timer), now);
    }
}

instant
schedule_due(const struct schedule *schedule)
{
    const struct heap_item *row = heap_first(&schedule->rows);
    const struct heap_item *pause = heap_first(&schedule->pauses);

    return MIN(row ? row->key : NEVER, pause ? pause->key : NEVER);
}

/* --- Turns. */

struct schedule_site *
schedule_take_site(struct schedule *schedule, instant now)
{
    struct schedule_site *site;
    struct link *first;

    (void)now;
    if (schedule->running >= schedule->limits.slots)
        return NULL;
    first = list_pop(&schedule->runnable);
    if (!first)
        return NULL;
    site = CONTAINER_OF(first, struct schedule_site, runnable);
    site->running++;
    schedule->running++;
    site_update(schedule, site); /* Behind the others, if it wants more. */
    return site;
}

static struct link *
next_turn(struct schedule_target *target)
{
    must(target->turns_filled);
    do
        target->turn = (uint8_t)((target->turn + 1) % SCHEDULE_TURNS);
    while (!(target->turns_filled & 1U << target->turn));
    return &target->turns[target->turn];
}

bool
schedule_take(struct schedule *schedule, struct schedule_site *site, unsigned max, instant now,
              struct schedule_batch *batch)
{
    struct schedule_target *target;
    struct link *turn;

    if (!schedule_site_has_work(site))
        return false;
    target = CONTAINER_OF(site->targets.next, struct schedule_target, link);
    turn = next_turn(target);
    *batch = (struct schedule_batch){ .target = target, .taken_at = now };
    batch->message = CONTAINER_OF(turn->next, struct schedule_row, link)->message;
    batch->message->users++;
    target->users++;
    list_init(&batch->rows);
    while (batch->count < max && !list_is_empty(turn)) {
        struct schedule_row *row = CONTAINER_OF(turn->next, struct schedule_row, link);
        if (row->message != batch->message)
            break;
        row_unready(schedule, row);
        row->state = ROW_RUNNING;
        list_append(&batch->rows, &row->link);
        batch->count++;
    }
    if (list_holds(&target->link)) {
        list_remove(&target->link);
        list_append(&site->targets, &target->link);
    }
    return true;
}

void
schedule_site_release(struct schedule *schedule, struct schedule_site *site)
{
    must(site->running > 0 && schedule->running > 0);
    site->running--;
    schedule->running--;
    site_update(schedule, site);
    site_free_if_idle(schedule, site);
}

bool
schedule_site_join(struct schedule *schedule, struct schedule_site *site, instant now)
{
    (void)now;
    if (site->paused_until != 0 || site->running >= site->limit)
        return false;
    site->running++;
    schedule->running++;
    site_update(schedule, site);
    return true;
}

bool
schedule_is_crowded(const struct schedule *schedule)
{
    return schedule->running >= schedule->limits.slots && !list_is_empty(&schedule->runnable);
}

/* --- What a site teaches. */

void
schedule_site_succeeded(struct schedule *schedule, struct schedule_site *site, instant now)
{
    (void)now;
    site->failures = 0;
    site->works = true;
    site->reason[0] = '\0';
    if (site->limit < schedule->limits.site_slots && ++site->successes >= SITE_SUCCESSES_PER_SLOT) {
        site->successes = 0;
        site->limit++;
        site_update(schedule, site);
    }
}

static void
site_reason(struct schedule_site *site, str reason)
{
    size_t len = MIN(reason.len, sizeof(site->reason) - 1);

    for (size_t i = 0; i < len; i++)
        site->reason[i] = reason.ptr[i];
    site->reason[len] = '\0';
}

instant
schedule_site_failed(struct schedule *schedule, struct schedule_site *site, str reason, instant now)
{
    site_reason(site, reason);
    site->successes = 0;
    if (site->paused_until != 0)
        return site->paused_until;
    /* The caller's own slot is among those in use. */
    if (site->running > 1 && site->works) {
        site->works = false;
        site->limit = MAX(1U, MIN(site->limit, site->running) - 1);
        site_update(schedule, site);
        return now;
    }
    site->works = false;
    site->failures++;
    site->limit = MAX(1U, site->limit / 2);
    site->paused_until = schedule_retry_at(schedule, site->failures, now);
    heap_set(&schedule->pauses, &site->timer, site->paused_until);
    site_update(schedule, site);
    return site->paused_until;
}

void
schedule_site_pace(struct schedule *schedule, struct schedule_site *site, const struct pace *pace)
{
    if (pace_eq(&site->pace, pace))
        return;
    site->pace = *pace;
    if (pace->connections)
        site->limit = MIN(site->limit, pace->connections);
    site_update(schedule, site);
}

void
schedule_site_group(struct schedule *schedule, struct schedule_site *site,
                    enum schedule_scope scope, str name, const struct pace *pace)
{
    (void)scope;
    if (name.len && pace->connections)
        site->limit = MIN(site->limit, pace->connections);
    site_update(schedule, site);
}

instant
schedule_site_slow(struct schedule *schedule, struct schedule_site *site, enum schedule_scope scope,
                   str reason, instant now)
{
    (void)scope;
    return schedule_site_failed(schedule, site, reason, now);
}

instant
schedule_site_rate_limited(struct schedule *schedule, struct schedule_site *site,
                           enum schedule_scope scope, instant taken_at, str reason, instant now)
{
    (void)taken_at;
    schedule_site_pause(schedule, site, scope, now + MINUTES(1), reason);
    return now + MINUTES(1);
}

void
schedule_site_pause(struct schedule *schedule, struct schedule_site *site,
                    enum schedule_scope scope, instant until, str reason)
{
    (void)scope;
    site_reason(site, reason);
    site->paused_until = MAX(until, site->paused_until);
    heap_set(&schedule->pauses, &site->timer, site->paused_until);
    site_update(schedule, site);
}

instant
schedule_site_throttled_until(const struct schedule *schedule, const struct schedule_site *site,
                              instant now)
{
    (void)schedule;
    return site->paused_until > now ? site->paused_until : 0;
}

void
schedule_site_wake(struct schedule *schedule, struct schedule_site *site)
{
    heap_remove(&schedule->pauses, &site->timer);
    site->paused_until = 0;
    site_update(schedule, site);
}

/* --- Operators. */

bool
schedule_seize(struct schedule *schedule, struct schedule_row *row)
{
    if (row->state == ROW_READY)
        row_unready(schedule, row);
    else if (row->state == ROW_SCHEDULED)
        heap_remove(&schedule->rows, &row->timer);
    else if (row->state != ROW_HELD)
        return false;
    row->state = ROW_RUNNING;
    return true;
}

bool
schedule_retry(struct schedule *schedule, struct schedule_row *row, instant now)
{
    if (row->state != ROW_SCHEDULED && row->state != ROW_READY)
        return false;
    if (row->target->site->paused_until != 0)
        schedule_site_wake(schedule, row->target->site);
    if (row->state == ROW_READY)
        return true;
    heap_remove(&schedule->rows, &row->timer);
    row->due = now;
    row_ready(schedule, row, false);
    return true;
}
