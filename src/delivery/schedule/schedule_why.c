/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_why.c: what keeps a site, in words.  Start at schedule_site_why(). */
#include "delivery/schedule/schedule_inside.h"

#include <stdio.h>

static const char *
group_word(const struct schedule_group *group)
{
    switch (group->scope) {
    case SCOPE_PROVIDER:
        return "provider ";
    case SCOPE_SOURCE:
        return "source ";
    default:
        return "";
    }
}

static const char *
group_name(const struct schedule_group *group, const struct schedule_site *site)
{
    return group->scope == SCOPE_SITE ? site->key : group->name;
}

/* "1h", "10m", "90s" */
static void
period_text(duration period, char *text, size_t size)
{
    if (period % DAYS(1) == 0)
        snprintf(text, size, "%lldd", (long long)(period / DAYS(1)));
    else if (period % HOURS(1) == 0)
        snprintf(text, size, "%lldh", (long long)(period / HOURS(1)));
    else if (period % MINUTES(1) == 0)
        snprintf(text, size, "%lldm", (long long)(period / MINUTES(1)));
    else
        snprintf(text, size, "%llds", (long long)(period / SECONDS(1)));
}

/* The rate that is said and used up, or NULL. */
static const struct rate *
full_rate(const struct schedule_group *group, instant now)
{
    for (unsigned i = 0; group->windows && i < group->pace->rate_count; i++)
        if (window_opens(&group->windows[i], group->pace->rates[i].count, now) > now)
            return &group->pace->rates[i];
    return NULL;
}

static void
say_closed(const struct schedule_site *site, const struct schedule_group *group, instant now,
           struct schedule_wait *wait)
{
    const struct rate *rate = full_rate(group, now);
    const char *reason = group->reason ? group->reason : "";
    const char *word = group_word(group);
    const char *name = group_name(group, site);
    char period[32];

    wait->scope = (enum schedule_scope)group->scope;
    wait->kind = WAIT_RATE;
    if (group->paused_until > now) {
        wait->kind = WAIT_PAUSE;
        snprintf(wait->text, sizeof(wait->text), "%s%.100s takes no mail at the moment (%s)", word,
                 name, reason);
    } else if (rate) {
        period_text(rate->period, period, sizeof(period));
        snprintf(wait->text, sizeof(wait->text),
                 "%s%.100s is given %u messages in %s, and has had them", word, name, rate->count,
                 period);
    } else if (schedule_rate_is_closed(group->rate)) {
        snprintf(wait->text, sizeof(wait->text), "%s%.100s says that it is too much (%s)", word,
                 name, reason);
    } else {
        snprintf(wait->text, sizeof(wait->text),
                 "%s%.100s takes about %llu messages in 1h, as its answers taught (%s)", word, name,
                 (unsigned long long)schedule_rate_per_hour(group->rate), reason);
    }
}

void
schedule_site_why(const struct schedule *schedule, const struct schedule_site *site, instant now,
                  struct schedule_wait *wait)
{
    const struct schedule_group *group;
    instant until = 0;

    *wait = (struct schedule_wait){ .kind = WAIT_NOTHING };
    group = schedule_site_closed(site, false, now, &until);
    if (group) {
        wait->until = until;
        say_closed(site, group, now, wait);
        return;
    }
    if (site->waits_for && !site->waits_for_time) {
        group = site->waits_for;
        wait->kind = WAIT_CONNECTIONS;
        wait->scope = (enum schedule_scope)group->scope;
        snprintf(wait->text, sizeof(wait->text), "the %u connections to %s%.100s are all busy",
                 group->running, group_word(group), group_name(group, site));
        return;
    }
    if (!schedule_has_slot(schedule, false)) {
        wait->kind = WAIT_TURN;
        snprintf(wait->text, sizeof(wait->text), "all %u outgoing connections are busy",
                 schedule->running);
        return;
    }
    snprintf(wait->text, sizeof(wait->text), "its turn at %.100s is next", site->key);
}
