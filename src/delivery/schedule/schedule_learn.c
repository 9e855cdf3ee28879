/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_learn.c: what answers teach about a group: how many connections, and which rate.
 *
 * Connections.  The limit starts low, grows by one with each success up to the threshold (so it
 * doubles with each round), and then by one for each two rounds.  When it is refused it falls to
 * what works, and is left alone for a while that doubles with each refusal.  A failure that may be
 * chance (a reset, silence) only counts as a strike while others get through.  When nothing gets
 * through the site pauses, with growing length, and comes back with one connection.
 *
 * Rates.  Nothing is assumed until a receiver says that it is too much.  Then the group is closed,
 * and single probes with growing pauses find out when it takes mail again.  What went through since
 * the burst began, over the time until then, is the rate; messages are spaced by it from then on.
 * Growth is by quarters, then by halves of the way to what was refused, and a refused rate is
 * tried again only after a while that doubles each time.
 *
 * Start reading at schedule_site_rate_limited().
 */
#include "delivery/schedule/schedule_inside.h"

#include <limits.h>
#include <stdlib.h>

enum {
    MARKS = 24,
    STRIKE = 8, /* A failure weighs as much as so many successes. */
    STRIKES_MAX = 24,
    RARE = 64 /* A refusal after so many windows without one is chance. */
};

static const duration mark_every = MILLISECONDS(250);
static const duration burst_ends = MINUTES(10); /* Without a message for so long. */
static const duration probe_first = SECONDS(1);
static const duration probe_last = MINUTES(15);
static const duration probe_lost = MINUTES(1); /* Without an answer. */
/* Codes ask earlier; but where asking may be what keeps it closed, they wait like the others. */
static const duration code_hurries = MINUTES(1);
static const duration scale_max = HOURS(1);
static const duration grow_last = MINUTES(10); /* While nothing was refused since. */
static const duration credit_min = MILLISECONDS(20);
static const duration hold_first = SECONDS(30);
static const duration hold_last = HOURS(1);
static const duration stumble = SECONDS(10); /* The first pause of a site that worked. */
static const duration session_memory = HOURS(6);
static const duration lower_grace = SECONDS(5);

/* How many went through until when, with marks that lie closer the younger they are. */
struct history {
    instant at[MARKS];
    uint32_t totals[MARKS];
    unsigned count;
    uint32_t total;
    instant last;
};

struct schedule_rate {
    struct history history;
    duration interval; /* Between messages; 0: nothing is learnt. */
    duration good;     /* Went well before the last growth. */
    duration refused;  /* Was too fast; 0: unknown. */
    duration scale;    /* How long its windows seem to be. */
    instant next_at;
    instant changed_at;
    instant hold_until;
    duration hold;
    bool bound;  /* Somebody had to wait since the last change. */
    bool closed; /* Refused, and no probe has come through. */
    bool probing;
    instant refused_at; /* When it was closed. */
    instant closed_at;  /* The last refusal. */
    instant opens_at;
    instant probed_at;
    duration wait;
};

/* --- History. */

/* Of three neighbours the middle one goes when the outer two are less than three times apart. */
static void
history_thin(struct history *history, instant now)
{
    unsigned kept = 1;

    for (unsigned i = 1; i < history->count; i++) {
        bool is_last = i + 1 == history->count;
        if (!is_last && now - history->at[kept - 1] < 3 * (now - history->at[i + 1]))
            continue;
        history->at[kept] = history->at[i];
        history->totals[kept++] = history->totals[i];
    }
    history->count = kept;
}

static void
history_mark(struct history *history, instant now)
{
    if (history->count > 0)
        history_thin(history, now);
    if (history->count == MARKS) {
        for (unsigned i = 1; i < MARKS; i++) {
            history->at[i - 1] = history->at[i];
            history->totals[i - 1] = history->totals[i];
        }
        history->count--;
    }
    history->at[history->count] = now;
    history->totals[history->count++] = history->total;
}

/* One more.  BLOCKED: the silence before it was not for want of messages, and belongs to the burst.
 */
static void
history_add(struct history *history, bool blocked, instant now)
{
    if (!blocked && now - history->last > burst_ends)
        history->count = 0;
    if (history->count == 0 || now - history->at[history->count - 1] >= mark_every)
        history_mark(history, now);
    history->total++;
    history->last = now;
}

/* The mean interval over HORIZON before NOW, or since the burst began; *SPAN: over how long.  0
 * when nothing went through. */
static duration
history_interval(const struct history *history, duration horizon, instant now, duration *span)
{
    unsigned i = history->count;

    if (i == 0)
        return 0;
    while (--i > 0 && now - history->at[i] < horizon)
        ;
    *span = MAX(now - history->at[i], mark_every);
    if (history->total == history->totals[i])
        return 0;
    return *span / (history->total - history->totals[i]);
}

/* --- Rates. */

instant
schedule_rate_opens(const struct schedule_rate *rate, bool is_code, instant now)
{
    if (rate->closed) {
        instant opens = rate->opens_at;
        if (rate->probing)
            opens = rate->probed_at + probe_lost;
        else if (is_code && rate->wait < code_hurries)
            opens = MIN(opens, rate->closed_at + MAX(probe_first, rate->wait / 8));
        return MAX(now, opens);
    }
    if (rate->interval == 0)
        return now;
    return MAX(now, rate->next_at - (is_code ? MIN(5 * rate->interval, SECONDS(30)) : 0));
}

void
schedule_rate_charge(struct schedule_rate *rate, bool is_code, instant now)
{
    (void)is_code;
    if (rate->closed) {
        rate->probing = true;
        rate->probed_at = now;
    }
    if (rate->interval > 0)
        rate->next_at = MAX(rate->next_at, now - MAX(rate->interval, credit_min)) + rate->interval;
}

void
schedule_rate_bound(struct schedule_rate *rate, bool is_code, instant now)
{
    if (schedule_rate_opens(rate, is_code, now) > now)
        rate->bound = true;
}

bool
schedule_rate_is_closed(const struct schedule_rate *rate)
{
    return rate && rate->closed;
}

uint64_t
schedule_rate_per_hour(const struct schedule_rate *rate)
{
    if (!rate || rate->interval == 0)
        return 0;
    return MAX(1U, (uint64_t)HOURS(1) / (uint64_t)rate->interval);
}

static struct schedule_rate *
rate_of(struct schedule_group *group)
{
    if (!group->rate) {
        group->rate = calloc(1, sizeof(*group->rate));
        must(group->rate);
    }
    return group->rate;
}

/* The last that was known to go well, or a tenth slower, or what was measured. */
static duration
slower(const struct schedule_rate *rate, duration measured)
{
    duration back = rate->good > rate->interval ? rate->good : rate->interval * 11 / 10;

    return MAX(back, measured);
}

/* Refusals for curiosity shall be one in some hundred messages. */
static duration
rate_hold_max(const struct schedule_rate *rate)
{
    return MAX(MAX(MINUTES(10), 4 * rate->scale), 400 * rate->interval);
}

/* A probe came through. */
static void
rate_reopen(struct schedule_rate *rate, instant now)
{
    duration gap = rate->probed_at - rate->refused_at;
    duration horizon = rate->interval ? MAX(2 * gap, rate->scale) : 10 * gap;
    duration span = 0;
    duration measured = history_interval(&rate->history, horizon, rate->probed_at, &span);

    rate->closed = rate->probing = rate->bound = false;
    if (measured == 0)
        measured = MAX(gap, probe_first);
    if (rate->interval == 0) {
        rate->interval = measured + measured / 32;
        rate->refused = 0;
        rate->scale = MAX(span, probe_first);
    } else if (rate->refused_at - rate->changed_at < RARE * rate->scale) {
        rate->refused = rate->interval;
        rate->interval = slower(rate, measured);
        rate->scale = MAX(rate->scale, gap);
    }
    rate->scale = MIN(rate->scale, scale_max);
    rate->hold =
        rate->hold ? MIN(2 * rate->hold, rate_hold_max(rate)) : MAX(hold_first, 2 * rate->scale);
    rate->hold_until = now + rate->hold;
    rate->good = rate->interval;
    rate->changed_at = now;
    rate->next_at = now + rate->interval;
}

static void
rate_grow(struct schedule_rate *rate, instant now)
{
    duration next = rate->interval * 4 / 5;
    /* What it was closed for may have been a penalty, which says nothing of its windows. */
    duration step = rate->refused ? rate->scale : MIN(rate->scale, grow_last);

    if (!rate->bound || now - rate->changed_at < MAX(step, 4 * rate->interval))
        return;
    if (rate->refused && now < rate->hold_until) {
        next = MAX(next, (rate->interval + rate->refused) / 2);
        if ((rate->interval - next) * 32 < rate->interval)
            return;
    } else if (rate->refused) {
        rate->refused = 0;
        next = rate->interval * 15 / 16;
    }
    rate->good = rate->interval;
    rate->interval = MAX(next, 1);
    rate->changed_at = now;
    rate->bound = false;
}

static void
rate_succeeded(struct schedule_rate *rate, instant now)
{
    history_add(&rate->history, rate->closed, now);
    if (rate->closed && rate->probing)
        rate_reopen(rate, now);
    else if (!rate->closed && rate->interval > 0)
        rate_grow(rate, now);
}

/* False when it is news of what was under way before. */
static bool
rate_refused(struct schedule_rate *rate, instant taken_at, instant now)
{
    if (taken_at <= rate->closed_at)
        return false;
    if (!rate->closed) {
        rate->refused_at = now;
        rate->wait = MAX(MIN(2 * rate->interval, probe_last),
                         rate->scale ? MIN(rate->scale / 4, probe_first) : probe_first);
    } else {
        rate->wait = MIN(rate->wait * 8 / 5, probe_last);
    }
    rate->closed = true;
    rate->probing = false;
    rate->closed_at = now;
    rate->opens_at = now + rate->wait;
    return true;
}

/* What waits at GROUP looks again when it opens by what is known now. */
static void
group_retime(struct schedule *schedule, struct schedule_group *group, instant now)
{
    instant opens;

    if (list_is_empty(&group->waiting) && list_is_empty(&group->waiting_time))
        return;
    opens = schedule_group_opens(group, false, now);
    heap_remove(&schedule->timers, &group->timer);
    if (opens > now)
        heap_set(&schedule->timers, &group->timer, opens);
    else
        schedule_group_wake(schedule, group, 1);
}

instant
schedule_site_rate_limited(struct schedule *schedule, struct schedule_site *site,
                           enum schedule_scope scope, instant taken_at, str reason, instant now)
{
    struct schedule_group *group = schedule_site_group_of(site, scope);
    struct schedule_rate *rate = rate_of(group);

    if (rate_refused(rate, taken_at, now)) {
        schedule_group_reason(group, reason);
        group_retime(schedule, group, now);
    }
    return schedule_group_opens(group, false, now);
}

/* --- Connections. */

static void
group_grow(struct schedule *schedule, struct schedule_group *group, instant now)
{
    if (group->limit >= schedule_group_ceiling(schedule, group) || group->running < group->limit)
        return;
    if (group->limit >= group->threshold) {
        if (now < group->hold_until || ++group->successes < 2 * group->limit)
            return;
        group->threshold = group->limit + 1;
    }
    group->successes = 0;
    group->limit++;
    schedule_group_wake(schedule, group, 1);
}

static void
group_lower(struct schedule_group *group, instant now)
{
    duration since = now - group->lowered_at;

    group->limit = MAX(1U, MIN(group->limit, group->running) - 1);
    group->threshold = group->limit;
    group->successes = 0;
    if (group->hold == 0 || since > 4 * group->hold)
        group->hold = hold_first;
    else if (since > SECONDS(10))
        group->hold = MIN(2 * group->hold, hold_last);
    group->lowered_at = now;
    group->hold_until = now + group->hold;
}

/* A short pause, doubled each time. */
static duration
short_pause(const struct schedule *schedule, unsigned failures)
{
    duration pause = SECONDS(5);

    for (unsigned i = 1; i < failures && pause < schedule->limits.retry_max; i++)
        pause *= 2;
    return MIN(pause, schedule->limits.retry_max);
}

/* From one question to the next at a site from which nothing comes: a third longer each time, so
 * that what follows an outage waits for a part of its length, and not for as long again. */
static duration
outage_pause(struct schedule *schedule, unsigned failures)
{
    duration pause = schedule->limits.retry_min;

    for (unsigned i = 1; i < failures && pause < schedule->limits.retry_max; i++)
        pause += pause / 3;
    pause = MIN(pause, schedule->limits.retry_max);
    return pause - pause / 10 + (duration)rand_below(&schedule->rand, (uint64_t)pause / 5 + 1);
}

void
schedule_site_succeeded(struct schedule *schedule, struct schedule_site *site, instant now)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        struct schedule_group *group = site->groups[i];
        bool was_closed;
        if (!group)
            continue;
        group->failures = 0;
        group->works = true;
        group->strikes -= group->strikes > 0;
        if (group->reason && schedule_group_is_well(group) &&
            (group->lowered_at == 0 || group->limit >= schedule_group_ceiling(schedule, group)))
            schedule_group_reason(group, S(""));
        if (group->session_messages && now - group->session_at > session_memory)
            group->session_messages = 0;
        was_closed = group->rate && group->rate->closed;
        rate_succeeded(rate_of(group), now);
        if (was_closed && !group->rate->closed)
            group_retime(schedule, group, now);
        group_grow(schedule, group, now);
    }
}

instant
schedule_site_slow(struct schedule *schedule, struct schedule_site *site, enum schedule_scope scope,
                   str reason, instant now)
{
    struct schedule_group *group = schedule_site_group_of(site, scope);

    schedule_group_reason(group, reason);
    if (group->running > 1) {
        group_lower(group, now);
        return now;
    }
    group->failures++;
    group->limit = 1;
    schedule_group_pause(schedule, group, now + short_pause(schedule, group->failures));
    return group->paused_until;
}

instant
schedule_site_failed(struct schedule *schedule, struct schedule_site *site, str reason, instant now)
{
    struct schedule_group *group = &site->own;

    schedule_group_reason(group, reason);
    if (group->paused_until > now)
        return group->paused_until;
    /* The caller's own slot is among those in use. */
    if (group->running > 1 && group->works) {
        group->strikes += STRIKE;
        if (group->strikes <= STRIKES_MAX)
            return now;
        group->strikes = STRIKE;
        group->works = false;
        group_lower(group, now);
        return now;
    }
    /* Others were on their way when it was lowered. */
    if (group->running > 1 && now - group->lowered_at < lower_grace) {
        group_lower(group, now);
        return now;
    }
    if (group->works) {
        group->works = false;
        group->limit = MAX(1U, group->limit / 2);
        schedule_group_pause(schedule, group, now + MIN(stumble, schedule->limits.retry_min));
        return group->paused_until;
    }
    group->failures++;
    group->threshold = MAX(1U, MIN(group->threshold, schedule->limits.site_slots) / 2);
    group->limit = 1;
    schedule_group_pause(schedule, group, now + outage_pause(schedule, group->failures));
    return group->paused_until;
}

void
schedule_site_pause(struct schedule *schedule, struct schedule_site *site,
                    enum schedule_scope scope, instant until, str reason)
{
    struct schedule_group *group = schedule_site_group_of(site, scope);

    schedule_group_reason(group, reason);
    schedule_group_pause(schedule, group, until);
}

void
schedule_site_ends_after(struct schedule *schedule, struct schedule_site *site, unsigned messages,
                         instant now)
{
    (void)schedule;
    site->own.session_messages = MAX(messages, 1U);
    site->own.session_at = now;
}

unsigned
schedule_site_session(const struct schedule_site *site, unsigned max)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        const struct schedule_group *group = site->groups[i];
        if (group)
            max = pace_least(max, group->session_messages);
        if (group && group->pace)
            max = pace_least(max, group->pace->messages_per_connection);
    }
    return MAX(max, 1U);
}
