/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_site.c: sites and their groups: slots, rates, and who waits for them.
 *
 *                      schedule_site_await: no room in a group
 *     RUNNABLE <----------------------------------------------> WAITING at one group
 *         ^             schedule_group_wake: it has room again
 *         |
 *     schedule_site_update: ready rows, and room, or a connection that waits for work
 *
 * A group that is closed until a known time has a timer, and what waits for time; one without a
 * slot has what waits for slots.  Who was woken and finds no room after all keeps its place in
 * front; who was woken and wants nothing, or is kept by another group, passes it on.  So a group
 * with sites that wait for time has a timer, and one with sites that wait for a slot, and a free
 * slot, has a timer too, or a site among the runnable ones that was woken.
 *
 * Start reading at schedule_site_update().
 */
#include "base/buf.h"
#include "delivery/schedule/schedule_inside.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUSY_PART = 4, /* Of the slots. */
    WAKE_LOOKS = 64,
    SITE_START = 4,        /* Connections to a site of which nothing is known. */
    CODE_RESERVE_PART = 50 /* Codes may use one in so many connections more. */
};

/* --- Groups. */

static void
group_init(struct schedule_group *group, enum schedule_scope scope)
{
    *group = (struct schedule_group){ .scope = (uint8_t)scope };
    list_init(&group->waiting);
    list_init(&group->waiting_time);
    group->limit = group->threshold = UINT_MAX;
}

static void
group_clear(struct schedule_group *group)
{
    free(group->key);
    free(group->name);
    free((void *)group->pace);
    free(group->windows);
    free(group->rate);
    free(group->reason);
}

void
schedule_group_free(struct schedule_group *group)
{
    group_clear(group);
    free(group);
}

unsigned
schedule_group_ceiling(const struct schedule *schedule, const struct schedule_group *group)
{
    unsigned said = group->pace ? group->pace->connections : 0;

    if (group->is_unresolved)
        return 1;
    if (group->scope == SCOPE_SITE)
        return pace_least(schedule->limits.site_slots, said);
    return said ? said : UINT_MAX;
}

static unsigned
group_limit(const struct schedule *schedule, const struct schedule_group *group, bool is_code)
{
    unsigned ceiling = schedule_group_ceiling(schedule, group);
    unsigned limit = MIN(group->limit, ceiling);

    /* What is only a beginning may be overstepped by one; what a refusal taught may not. */
    return is_code && limit < ceiling && group->lowered_at == 0 && group->scope == SCOPE_SITE
               ? limit + 1
               : limit;
}

void
schedule_group_reason(struct schedule_group *group, str reason)
{
    free(group->reason);
    group->reason = reason.len ? str_dup(str_head(reason, 200)) : NULL;
}

bool
schedule_group_is_well(const struct schedule_group *group)
{
    return group->paused_until == 0 && group->failures == 0 && group->strikes == 0 &&
           !schedule_rate_is_closed(group->rate) && schedule_rate_per_hour(group->rate) == 0;
}

static void
group_free_if_unused(struct schedule *schedule, struct schedule_group *group)
{
    if (!group->key || group->members > 0 || !list_is_empty(&group->waiting) ||
        !list_is_empty(&group->waiting_time) || group->paused_until != 0)
        return;
    heap_remove(&schedule->timers, &group->timer);
    list_remove(&group->pending);
    map_remove(&schedule->groups, str_from(group->key));
    schedule_group_free(group);
}

static struct schedule_group *
group_get(struct schedule *schedule, enum schedule_scope scope, str name, str source)
{
    static const char *const words[] = { "site", "provider", "source" };
    struct schedule_group *group;
    char key[640];
    int len;

    if (scope == SCOPE_SOURCE)
        source = S("");
    len = snprintf(key, sizeof(key), "%s %.*s %.*s", words[scope], (int)MIN(name.len, 255U),
                   name.ptr, (int)MIN(source.len, 255U), source.ptr);
    must(len > 0 && (size_t)len < sizeof(key));
    group = map_get(&schedule->groups, str_from(key));
    if (group)
        return group;
    group = malloc(sizeof(*group));
    must(group);
    group_init(group, scope);
    group->key = str_dup(str_from(key));
    group->name = str_dup(name);
    must(map_put(&schedule->groups, str_from(key), group) == OK);
    return group;
}

/* Windows with the same period keep their count. */
static void
group_set_pace(struct schedule *schedule, struct schedule_group *group, const struct pace *pace)
{
    struct pace *copy = NULL;
    struct window *windows = NULL;

    if (group->pace ? pace_eq(group->pace, pace) : pace_is_empty(pace))
        return;
    if (!pace_is_empty(pace)) {
        copy = malloc(sizeof(*copy));
        windows = calloc(PACE_RATES, sizeof(*windows));
        must(copy && windows);
        *copy = *pace;
    }
    for (unsigned i = 0; i < pace->rate_count; i++) {
        window_init(&windows[i], pace->rates[i].period);
        for (unsigned k = 0; group->pace && k < group->pace->rate_count; k++)
            if (group->pace->rates[k].period == pace->rates[i].period)
                windows[i] = group->windows[k];
    }
    free((void *)group->pace);
    free(group->windows);
    group->pace = copy;
    group->windows = windows;
    if (group->paused_until == 0)
        heap_remove(&schedule->timers, &group->timer);
    schedule_group_wake(schedule, group, UINT_MAX);
}

/* --- Rates. */

/* What others leave to codes of a rate of an hour or more, which nobody may exceed; of a shorter
 * one codes may have so much more. */
static uint32_t
code_part(const struct rate *rate)
{
    return rate->period >= HOURS(1) ? rate->count / 50 : MAX(1U, rate->count / 50);
}

static uint32_t
rate_limit(const struct rate *rate, bool is_code)
{
    uint32_t part = code_part(rate);

    if (rate->period >= HOURS(1))
        return is_code ? rate->count : rate->count - part;
    return is_code ? rate->count + part : rate->count;
}

instant
schedule_group_opens(const struct schedule_group *group, bool is_code, instant now)
{
    instant opens = MAX(now, group->paused_until);

    if (group->rate)
        opens = MAX(opens, schedule_rate_opens(group->rate, is_code, now));
    for (unsigned i = 0; group->windows && i < group->pace->rate_count; i++) {
        struct window *window = &group->windows[i];
        opens = MAX(opens, window_opens(window, rate_limit(&group->pace->rates[i], is_code), now));
    }
    return opens;
}

static bool
group_is_free(const struct schedule_group *group)
{
    return group->paused_until == 0 && !group->rate && !group->windows;
}

struct schedule_group *
schedule_site_closed(const struct schedule_site *site, bool is_code, instant now, instant *until)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        struct schedule_group *group = site->groups[i];
        if (!group || group_is_free(group))
            continue;
        *until = schedule_group_opens(group, is_code, now);
        if (*until <= now)
            continue;
        if (group->rate && group->paused_until <= now)
            schedule_rate_bound(group->rate, is_code, now);
        return group;
    }
    return NULL;
}

instant
schedule_site_throttled_until(const struct schedule_site *site, instant now)
{
    instant until = now;

    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            until = MAX(until, schedule_group_opens(site->groups[i], false, now));
    return until > now ? until : 0;
}

instant
schedule_site_paused_until(const struct schedule_site *site, instant now)
{
    instant until = now;

    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            until = MAX(until, site->groups[i]->paused_until);
    return until > now ? until : 0;
}

/* GROUP has given a message: others that wait for time there have one to look again. */
static void
group_rearm(struct schedule *schedule, struct schedule_group *group, instant now)
{
    instant opens;

    if (list_is_empty(&group->waiting_time) || group->timer.place != 0)
        return;
    opens = schedule_group_opens(group, false, now);
    if (opens > now)
        heap_set(&schedule->timers, &group->timer, opens);
    else
        schedule_group_wake(schedule, group, 1);
}

static void
group_charge(struct schedule *schedule, struct schedule_group *group, bool is_code, instant now)
{
    if (group_is_free(group))
        return;
    if (group->rate)
        schedule_rate_charge(group->rate, is_code, now);
    for (unsigned i = 0; group->windows && i < group->pace->rate_count; i++)
        window_add(&group->windows[i], now, 1);
    group_rearm(schedule, group, now);
}

void
schedule_site_charge(struct schedule *schedule, struct schedule_site *site, bool is_code,
                     instant now)
{
    site->woken = false;
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            group_charge(schedule, site->groups[i], is_code, now);
}

/* --- Slots. */

bool
schedule_has_slot(const struct schedule *schedule, bool is_code)
{
    unsigned slots = schedule->limits.slots;

    return schedule->running < slots + (is_code ? MAX(1U, slots / CODE_RESERVE_PART) : 0);
}

/* The group that has no slot left for SITE; NULL: all have. */
static struct schedule_group *
full_group(const struct schedule *schedule, const struct schedule_site *site, bool is_code)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i] &&
            site->groups[i]->running >= group_limit(schedule, site->groups[i], is_code))
            return site->groups[i];
    return NULL;
}

bool
schedule_site_has_slot(const struct schedule *schedule, const struct schedule_site *site,
                       bool is_code)
{
    return !full_group(schedule, site, is_code);
}

bool
schedule_site_is_over(const struct schedule *schedule, const struct schedule_site *site)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i] &&
            site->groups[i]->running > group_limit(schedule, site->groups[i], true))
            return true;
    return false;
}

void
schedule_site_take_slot(struct schedule *schedule, struct schedule_site *site)
{
    schedule->running++;
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            site->groups[i]->running++;
}

void
schedule_site_release(struct schedule *schedule, struct schedule_site *site)
{
    must(site->own.running > 0 && schedule->running > 0);
    schedule->running--;
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            site->groups[i]->running--;
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i])
            schedule_group_wake(schedule, site->groups[i], 1);
    schedule_site_free_if_idle(schedule, site);
}

bool
schedule_site_join(struct schedule *schedule, struct schedule_site *site, instant now)
{
    instant until;

    if (full_group(schedule, site, false) || schedule_site_closed(site, false, now, &until))
        return false;
    schedule_site_take_slot(schedule, site);
    schedule_site_charge(schedule, site, false, now);
    schedule_site_update(schedule, site);
    return true;
}

/* Sites other than SITE, for a slot. */
static bool
others_wait(const struct schedule_group *group, const struct schedule_site *site)
{
    return !list_is_empty(&group->waiting) &&
           (group->waiting.next != &site->wait || group->waiting.prev != &site->wait);
}

bool
schedule_is_busy(const struct schedule *schedule)
{
    return schedule->running >= schedule->limits.slots / BUSY_PART && schedule_has_work(schedule);
}

bool
schedule_is_crowded(const struct schedule *schedule, const struct schedule_site *site)
{
    if (schedule->running >= schedule->limits.slots && schedule_has_work(schedule))
        return true;
    for (size_t i = 1; i < SCOPE_COUNT; i++) {
        const struct schedule_group *group = site->groups[i];
        if (group && others_wait(group, site) &&
            group->running >= group_limit(schedule, group, false))
            return true;
    }
    return false;
}

/* --- Waiting. */

static void
leave_runnable(struct schedule_site *site)
{
    list_remove(&site->runnable);
}

static void
leave_waiting(struct schedule_site *site)
{
    list_remove(&site->wait);
    site->waits_for = NULL;
    site->waits_for_time = site->waits_with_code = false;
}

/* Of the first that wait in LIST the one in the greatest hurry; each fourth time simply the first.
 */
static struct schedule_site *
whose_turn(struct schedule_group *group, const struct link *list)
{
    struct schedule_site *best = CONTAINER_OF(list->next, struct schedule_site, wait);
    unsigned looked = 0;

    if (++group->woken % 4 == 0)
        return best;
    for (const struct link *item = list->next->next; item != list && ++looked < WAKE_LOOKS;
         item = item->next) {
        struct schedule_site *site = CONTAINER_OF(item, struct schedule_site, wait);
        if (turnstile_best(&site->queues) < turnstile_best(&best->queues))
            best = site;
    }
    return best;
}

/* True when one of LIST can go on. */
static bool
wake_next(struct schedule *schedule, struct schedule_group *group, struct link *list)
{
    struct schedule_site *site = whose_turn(group, list);

    leave_waiting(site);
    site->woken = true;
    schedule_site_update(schedule, site);
    return list_holds(&site->runnable);
}

/* A slot is free, but it is not the time: the next waits for that. */
static void
await_time_instead(struct schedule_group *group)
{
    struct schedule_site *site = CONTAINER_OF(group->waiting.next, struct schedule_site, wait);

    list_remove(&site->wait);
    site->waits_for_time = true;
    list_append(&group->waiting_time, &site->wait);
}

static size_t
count_some(const struct link *list, size_t max)
{
    size_t count = 0;

    for (const struct link *item = list->next; item != list && count < max; item = item->next)
        count++;
    return count;
}

static void
wake_some(struct schedule *schedule, struct schedule_group *group, unsigned count)
{
    size_t left;

    /* None of these comes back to this list at once. */
    while (group->timer.place == 0 && count > 0 && !list_is_empty(&group->waiting_time))
        count -= wake_next(schedule, group, &group->waiting_time);
    left = count_some(&group->waiting, count);
    for (; left > 0 && !list_is_empty(&group->waiting) &&
           group->running < group_limit(schedule, group, true);
         left--) {
        if (group->timer.place != 0)
            await_time_instead(group);
        else
            (void)wake_next(schedule, group, &group->waiting);
    }
}

/* One at a time, not one within the other: a site that is woken may pass it on. */
void
schedule_group_wake(struct schedule *schedule, struct schedule_group *group, unsigned count)
{
    struct link *first;

    if (list_is_empty(&group->waiting) && list_is_empty(&group->waiting_time))
        return;
    group->wakes = MAX(group->wakes, count);
    if (!list_holds(&group->pending))
        list_append(&schedule->wakes, &group->pending);
    if (schedule->waking)
        return;
    schedule->waking = true;
    while ((first = list_pop(&schedule->wakes))) {
        struct schedule_group *next = CONTAINER_OF(first, struct schedule_group, pending);
        count = next->wakes;
        next->wakes = 0;
        wake_some(schedule, next, count);
    }
    schedule->waking = false;
}

/* SITE does not use the room that it may have been woken for. */
static void
pass_on(struct schedule *schedule, struct schedule_site *site, const struct schedule_group *except)
{
    if (!site->woken)
        return;
    site->woken = false;
    for (size_t i = 1; i < SCOPE_COUNT; i++) {
        if (site->groups[i] && site->groups[i] != except)
            schedule_group_wake(schedule, site->groups[i], 1);
    }
}

void
schedule_site_await(struct schedule *schedule, struct schedule_site *site,
                    struct schedule_group *group, instant until)
{
    struct link *list = until ? &group->waiting_time : &group->waiting;

    leave_runnable(site);
    if (site->waits_for)
        leave_waiting(site);
    site->waits_for = group;
    site->waits_for_time = until != 0;
    site->waits_with_code = turnstile_best(&site->queues) == RANK_CODE;
    if (site->woken)
        list_prepend(list, &site->wait);
    else
        list_append(list, &site->wait);
    if (until && (group->timer.place == 0 || until < group->timer.key))
        heap_set(&schedule->timers, &group->timer, until);
    pass_on(schedule, site, group);
}

static void
enter_runnable(struct schedule *schedule, struct schedule_site *site, unsigned rank)
{
    if (list_holds(&site->runnable) && site->runnable_rank == rank)
        return;
    list_remove(&site->runnable);
    site->runnable_rank = (uint8_t)rank;
    turnstile_enter(&schedule->runnable, rank, &site->runnable);
}

void
schedule_site_update(struct schedule *schedule, struct schedule_site *site)
{
    int best = turnstile_best(&site->queues);
    struct schedule_group *full;

    if (best < 0) {
        leave_runnable(site);
        if (site->waits_for)
            leave_waiting(site);
        pass_on(schedule, site, NULL);
        return;
    }
    if (site->waits_for && (best != RANK_CODE || site->waits_with_code) &&
        (site->waits_for_time || list_is_empty(&site->idle)))
        return;
    if (site->waits_for)
        leave_waiting(site);
    full = list_is_empty(&site->idle) ? full_group(schedule, site, best == RANK_CODE) : NULL;
    if (full)
        schedule_site_await(schedule, site, full, 0);
    else
        enter_runnable(schedule, site, (unsigned)best);
}

void
schedule_group_tick(struct schedule *schedule, struct schedule_group *group, instant now)
{
    unsigned room = UINT_MAX;

    heap_remove(&schedule->timers, &group->timer);
    if (group->paused_until <= now)
        group->paused_until = 0;
    if (group->running < group->limit)
        room = MAX(1U, group_limit(schedule, group, false) - group->running);
    if (group->rate)
        room = 1;
    for (unsigned i = 0; group->windows && i < group->pace->rate_count; i++) {
        uint32_t used = window_count(&group->windows[i], now);
        uint32_t limit = group->pace->rates[i].count;
        room = MIN(room, used < limit ? limit - used : 1);
    }
    schedule_group_wake(schedule, group, room);
    group_free_if_unused(schedule, group);
}

void
schedule_group_pause(struct schedule *schedule, struct schedule_group *group, instant until)
{
    group->paused_until = MAX(until, group->paused_until);
    /* Not all at once afterwards. */
    group->limit = MIN(group->limit, (unsigned)SITE_START);
    heap_set(&schedule->timers, &group->timer, group->paused_until);
}

void
schedule_site_park(struct schedule *schedule, struct schedule_site *site, struct link *item)
{
    list_prepend(&site->idle, item);
    schedule_site_update(schedule, site);
}

void
schedule_site_unpark(struct schedule *schedule, struct schedule_site *site, struct link *item)
{
    if (!list_holds(item))
        return;
    list_remove(item);
    if (list_is_empty(&site->idle))
        schedule_site_update(schedule, site);
}

/* --- Sites. */

void
schedule_site_free(struct schedule_site *site)
{
    group_clear(&site->own);
    free(site->key);
    free(site->source);
    free(site);
}

static void
leave_group(struct schedule *schedule, struct schedule_site *site, size_t scope)
{
    struct schedule_group *group = site->groups[scope];

    if (!group)
        return;
    site->groups[scope] = NULL;
    if (site->waits_for == group)
        leave_waiting(site);
    group->members--;
    group->running -= site->own.running;
    schedule_group_wake(schedule, group, site->own.running);
    group_free_if_unused(schedule, group);
}

/* The name of a site in the map: with its source. */
static str
site_name(str key, str source, struct buf *buf)
{
    buf_init(buf, 64 * 1024);
    buf_add(buf, key);
    if (source.len) {
        buf_add(buf, S("\n"));
        buf_add(buf, source);
    }
    return buf_str(buf);
}

void
schedule_site_free_if_idle(struct schedule *schedule, struct schedule_site *site)
{
    struct buf buf;

    if (site->target_count > 0 || site->own.running > 0)
        return;
    must(list_is_empty(&site->idle) && turnstile_best(&site->queues) < 0);
    schedule_site_update(schedule, site);
    heap_remove(&schedule->timers, &site->own.timer);
    list_remove(&site->own.pending);
    for (size_t i = 1; i < SCOPE_COUNT; i++)
        leave_group(schedule, site, i);
    map_remove(&schedule->sites, site_name(str_from(site->key), str_from(site->source), &buf));
    buf_done(&buf);
    schedule_site_free(site);
}

struct schedule_site *
schedule_site_get(struct schedule *schedule, str key, str source)
{
    struct schedule_site *site;
    struct buf buf;
    str name = site_name(key, source, &buf);

    site = map_get(&schedule->sites, name);
    if (!site) {
        site = calloc(1, sizeof(*site));
        must(site);
        site->key = str_dup(key);
        site->source = str_dup(source);
        group_init(&site->own, SCOPE_SITE);
        site->groups[SCOPE_SITE] = &site->own;
        site->own.limit = SITE_START;
        turnstile_init(&site->queues);
        list_init(&site->idle);
        must(map_put(&schedule->sites, name, site) == OK);
    }
    buf_done(&buf);
    return site;
}

struct schedule_site *
schedule_bind(struct schedule *schedule, struct schedule_target *target, str key, str source)
{
    struct schedule_site *old = target->site;
    struct schedule_site *site = schedule_site_get(schedule, key, source);

    site->own.is_unresolved = false;
    if (site == old)
        return site;
    site->target_count++;
    target->site = site;
    schedule_turns_move(schedule, target, site);
    schedule_site_update(schedule, site);
    schedule_site_update(schedule, old);
    old->target_count--;
    schedule_site_free_if_idle(schedule, old);
    return site;
}

void
schedule_site_group(struct schedule *schedule, struct schedule_site *site,
                    enum schedule_scope scope, str name, const struct pace *pace)
{
    struct schedule_group *group;

    must(scope > SCOPE_SITE && scope < SCOPE_COUNT);
    if (site->groups[scope] && !str_eq(str_from(site->groups[scope]->name), name))
        leave_group(schedule, site, scope);
    if (name.len > 0) {
        group = site->groups[scope];
        if (!group) {
            group = site->groups[scope] = group_get(schedule, scope, name, str_from(site->source));
            group->members++;
            group->running += site->own.running;
        }
        group_set_pace(schedule, group, pace);
    }
    schedule_site_update(schedule, site);
}

struct schedule_group *
schedule_site_group_of(struct schedule_site *site, enum schedule_scope scope)
{
    return scope < SCOPE_COUNT && site->groups[scope] ? site->groups[scope] : &site->own;
}

void
schedule_site_wake(struct schedule *schedule, struct schedule_site *site)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        struct schedule_group *group = site->groups[i];
        if (!group || group->paused_until == 0)
            continue;
        group->paused_until = 0;
        heap_remove(&schedule->timers, &group->timer);
        schedule_group_wake(schedule, group, i == 0 ? UINT_MAX : 1);
    }
    schedule_site_update(schedule, site);
}

void
schedule_set_limits(struct schedule *schedule, const struct schedule_limits *limits)
{
    void *value;
    str key;

    schedule->limits = *limits;
    for (size_t at = 0; map_next(&schedule->sites, &at, &key, &value);) {
        struct schedule_site *site = value;
        schedule_group_wake(schedule, &site->own, UINT_MAX);
    }
}
