/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule.c: the tables of what waits: rows, time, operators.
 *
 * A row's timer is its next moment of interest: when scheduled, the time it is due (or late, or
 * over); when ready, the time at which it is late or over, so that a row that waits behind a dead
 * site for days is still reported and returned, without an attempt of its own and without a walk.
 *
 * Start reading at row_place() and schedule_tick(); whose turn it is: schedule_turns.c.
 */
#include "delivery/schedule/schedule_inside.h"

#include <stdlib.h>
#include <string.h>

enum {
    TICK_ROWS_MAX = 5000
};

void
schedule_init(struct schedule *schedule, const struct schedule_limits *limits, uint64_t seed)
{
    *schedule = (struct schedule){ .limits = *limits };
    heap_init(&schedule->rows);
    heap_init(&schedule->timers);
    turnstile_init(&schedule->runnable);
    list_init(&schedule->overdue);
    list_init(&schedule->wakes);
    list_init(&schedule->idle_targets);
    map_init(&schedule->targets, 0);
    map_init(&schedule->sites, 0);
    map_init(&schedule->groups, 0);
    rand_init(&schedule->rand, seed);
}

void
schedule_done(struct schedule *schedule)
{
    void *value;
    str key;

    schedule_messages_free(schedule);
    for (size_t at = 0; map_next(&schedule->targets, &at, &key, &value);) {
        schedule_turns_free(value);
        free(((struct schedule_target *)value)->key);
        free(value);
    }
    for (size_t at = 0; map_next(&schedule->sites, &at, &key, &value);)
        schedule_site_free(value);
    for (size_t at = 0; map_next(&schedule->groups, &at, &key, &value);)
        schedule_group_free(value);
    map_done(&schedule->targets);
    map_done(&schedule->sites);
    map_done(&schedule->groups);
    free(schedule->rows.items);
    free(schedule->timers.items);
    *schedule = (struct schedule){};
}

/* --- Targets. */

static void
target_free(struct schedule *schedule, struct schedule_target *target)
{
    struct schedule_site *site = target->site;

    must(target->rows == 0 && target->users == 0 && !target->queues);
    if (list_holds(&target->idle)) {
        list_remove(&target->idle);
        schedule->idle_target_count--;
    }
    map_remove(&schedule->targets, str_from(target->key));
    free(target->key);
    free(target);
    site->target_count--;
    schedule_site_free_if_idle(schedule, site);
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
    target->site = schedule_site_get(schedule, key, S(""));
    /* Which hosts a domain has is not known yet: one lookup, not many. */
    target->site->own.is_unresolved = str_starts(key, S("mx:")) || str_starts(key, S("mx-optional:"));
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

static instant
row_expiry(const struct schedule *schedule, const struct schedule_row *row)
{
    instant expiry = schedule_expiry(schedule, row->message);

    if (row->expires_now)
        return INT64_MIN;
    /* Never tried, it is not over before it had an hour: it may have lain in a stopped server.  But
     * a sender who named a time meant it. */
    if (row->attempts == 0 && (!row->message->expires || row->message->only_warns))
        expiry = MAX(expiry, row->due + HOURS(1));
    return expiry;
}

bool
schedule_row_is_over(const struct schedule *schedule, const struct schedule_row *row, instant now)
{
    return row_expiry(schedule, row) <= now;
}

/* When ROW is to be reported late or returned: the next of the two. */
static instant
row_deadline(const struct schedule *schedule, const struct schedule_row *row)
{
    return MIN(row_expiry(schedule, row), row_warning(schedule, row));
}

static void
row_ready(struct schedule *schedule, struct schedule_row *row, bool in_front)
{
    row->state = ROW_READY;
    row->kept = false;
    heap_set(&schedule->rows, &row->timer, row_deadline(schedule, row));
    schedule_turns_enter(schedule, row, in_front);
}

void
schedule_row_out(struct schedule *schedule, struct schedule_row *row)
{
    heap_remove(&schedule->rows, &row->timer);
}

/* Takes a ready row out of its turn. */
static void
row_unready(struct schedule *schedule, struct schedule_row *row)
{
    schedule_turns_leave(schedule, row);
    schedule_row_out(schedule, row);
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
    /* Whoever puts it off, or moves it: the time that its sender named stands. */
    row->due = MAX(due, row->message->not_before);
    row_place(schedule, row, now);
}

void
schedule_row_return(struct schedule *schedule, struct schedule_row *row, instant now)
{
    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    /* Not later than it was: the hour that it has at least counts from then. */
    row->due = MIN(row->due, now);
    if (row->held)
        row->state = ROW_HELD;
    else
        row_ready(schedule, row, true);
}

void
schedule_row_retarget(struct schedule *schedule, struct schedule_row *row, str target)
{
    struct schedule_target *old = row->target;

    must(row->state == ROW_RUNNING && !list_holds(&row->link));
    row->target = target_get(schedule, target);
    target_use(schedule, row->target);
    row->target->rows++;
    old->rows--;
    target_idle_if_unused(schedule, old);
}

void
schedule_row_move(struct schedule *schedule, struct schedule_row *row, str target, instant now)
{
    schedule_row_retarget(schedule, row, target);
    schedule_row_return(schedule, row, now);
}

static instant
retry_after(struct schedule *schedule, duration wait, unsigned attempts, instant now)
{
    for (unsigned i = 1; i < attempts && wait < schedule->limits.retry_max; i++)
        wait *= 2;
    wait = MIN(wait, schedule->limits.retry_max);
    /* A tenth either way, so that what failed together does not come back together. */
    wait += (duration)rand_below(&schedule->rand, (uint64_t)wait / 5 + 1) - wait / 10;
    return now + wait;
}

instant
schedule_retry_at(struct schedule *schedule, unsigned attempts, instant now)
{
    return retry_after(schedule, schedule->limits.retry_min, attempts, now);
}

instant
schedule_row_retry_at(struct schedule *schedule, const struct schedule_row *row, unsigned attempts,
                      instant now)
{
    duration least = schedule->limits.retry_min;

    return retry_after(schedule, row->message->rank == RANK_CODE ? MAX(least / 10, 1) : least,
                       attempts, now);
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
    /* Limits that were changed meanwhile may have put off what the timer was for. */
    if (row_deadline(schedule, row) <= now)
        row_overdue(schedule, row);
    else if (row->state == ROW_SCHEDULED)
        row_place(schedule, row, now);
    else
        heap_set(&schedule->rows, &row->timer, row_deadline(schedule, row));
}

void
schedule_tick(struct schedule *schedule, instant now)
{
    struct heap_item *first;

    while ((first = heap_first(&schedule->timers)) && first->key <= now)
        schedule_group_tick(schedule, CONTAINER_OF(first, struct schedule_group, timer), now);
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
    const struct heap_item *group = heap_first(&schedule->timers);

    return MIN(row ? row->key : NEVER, group ? group->key : NEVER);
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
    /* Not even an operator goes before a time that the sender named. */
    if ((row->state != ROW_SCHEDULED && row->state != ROW_READY) || row->message->not_before > now)
        return false;
    schedule_site_wake(schedule, row->target->site);
    if (row->state == ROW_READY)
        return true;
    heap_remove(&schedule->rows, &row->timer);
    row->due = now;
    row_ready(schedule, row, false);
    return true;
}
