/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pace.c: limits that are said, and windows that count.  Start at pace_merge() and window_opens().
 */
#include "delivery/schedule/pace.h"

#include "base/must.h"

unsigned
pace_least(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return MAX(a, b);
    return MIN(a, b);
}

/* Whether A lets less through than B, in the long run. */
static bool
is_stricter(const struct rate *a, const struct rate *b)
{
    return (double)a->count * (double)b->period < (double)b->count * (double)a->period;
}

static void
merge_rate(struct pace *pace, const struct rate *rate)
{
    unsigned loosest = 0;

    for (unsigned i = 0; i < pace->rate_count; i++)
        if (pace->rates[i].period == rate->period) {
            pace->rates[i].count = MIN(pace->rates[i].count, rate->count);
            return;
        }
    if (pace->rate_count < PACE_RATES) {
        pace->rates[pace->rate_count++] = *rate;
        return;
    }
    for (unsigned i = 1; i < PACE_RATES; i++)
        if (is_stricter(&pace->rates[loosest], &pace->rates[i]))
            loosest = i;
    if (is_stricter(rate, &pace->rates[loosest]))
        pace->rates[loosest] = *rate;
}

void
pace_merge(struct pace *pace, const struct pace *other)
{
    pace->connections = pace_least(pace->connections, other->connections);
    pace->messages_per_connection =
        pace_least(pace->messages_per_connection, other->messages_per_connection);
    pace->recipients_per_transaction =
        pace_least(pace->recipients_per_transaction, other->recipients_per_transaction);
    for (unsigned i = 0; i < other->rate_count; i++)
        merge_rate(pace, &other->rates[i]);
}

bool
pace_eq(const struct pace *a, const struct pace *b)
{
    if (a->connections != b->connections ||
        a->messages_per_connection != b->messages_per_connection ||
        a->recipients_per_transaction != b->recipients_per_transaction ||
        a->rate_count != b->rate_count)
        return false;
    for (unsigned i = 0; i < a->rate_count; i++)
        if (a->rates[i].count != b->rates[i].count || a->rates[i].period != b->rates[i].period)
            return false;
    return true;
}

bool
pace_is_empty(const struct pace *pace)
{
    static const struct pace nothing;

    return pace_eq(pace, &nothing);
}

void
window_init(struct window *window, duration period)
{
    must(period > 0);
    *window = (struct window){ .period = period };
}

/* One cell less than there are fits into a period, so that together they always cover it. */
static duration
cell_width(const struct window *window)
{
    return window->period / (WINDOW_CELLS - 1) + 1;
}

static uint32_t *
cell_at(struct window *window, int64_t number)
{
    return &window->cells[number & (WINDOW_CELLS - 1)];
}

/* A clock that was set back does not move it. */
static void
window_advance(struct window *window, instant now)
{
    int64_t newest = now / cell_width(window);

    if (newest - window->newest >= WINDOW_CELLS) {
        *window = (struct window){ .period = window->period, .newest = newest };
        return;
    }
    while (window->newest < newest) {
        uint32_t *cell = cell_at(window, ++window->newest);
        window->total -= *cell;
        *cell = 0;
    }
}

uint32_t
window_count(struct window *window, instant now)
{
    window_advance(window, now);
    return window->total;
}

void
window_add(struct window *window, instant now, uint32_t count)
{
    window_advance(window, now);
    *cell_at(window, window->newest) += count;
    window->total += count;
}

void
window_take_back(struct window *window, uint32_t count)
{
    for (int64_t i = 0; count > 0 && i < WINDOW_CELLS; i++) {
        uint32_t *cell = cell_at(window, window->newest - i);
        uint32_t part = MIN(*cell, count);
        *cell -= part;
        window->total -= part;
        count -= part;
    }
}

instant
window_opens(struct window *window, uint32_t limit, instant now)
{
    uint32_t left;

    window_advance(window, now);
    left = window->total;
    if (left < limit)
        return now;
    for (int64_t number = window->newest - WINDOW_CELLS + 1; number <= window->newest; number++) {
        left -= *cell_at(window, number);
        if (left < limit)
            return MAX(now, (number + WINDOW_CELLS) * cell_width(window));
    }
    return now + window->period;
}
