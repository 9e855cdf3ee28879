/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pace.c: limits that are said.  Start at pace_merge(). */
#include "delivery/pace.h"

static unsigned
least(unsigned a, unsigned b)
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
    pace->connections = least(pace->connections, other->connections);
    pace->messages_per_connection =
        least(pace->messages_per_connection, other->messages_per_connection);
    pace->recipients_per_transaction =
        least(pace->recipients_per_transaction, other->recipients_per_transaction);
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
