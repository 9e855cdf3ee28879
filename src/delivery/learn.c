/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* learn.c: what the answers of an attempt change: the outcome of each recipient, the pace of the
 * site, the standing of a sender.
 *
 * The rules (shaping.h) say what an answer means.  A recipient is tried again or has failed; the
 * site, or its whole provider where the rule is the provider's own, gets less or nothing for a
 * while; a sender whom a provider refuses is suspended there.  A throttle is no failure: what was
 * refused before anything was said of the message waits at its site, without an attempt counted.
 *
 * A smarthost's 5xx is about the message: it never stops what else goes that way.  Start reading at
 * attempt_learn().
 */
#include "delivery/attempt.h"
#include "runtime/clock.h"

#include <string.h>

/* What is asked to wait because the site has too much to do comes back soon; the site's own pace
 * says when it is its turn. */
#define THROTTLED_RETRY MINUTES(1)

/* The strongest of what the answers of an attempt say. */
struct lesson {
    struct shaping_verdict verdict;
    const struct result *result;
    bool any_suspends;
    instant suspended_until;
    str why_suspended;
};

static bool
is_about_connections(const struct result *result)
{
    str text = str_from(result->text);

    return result->stage <= SMTP_STAGE_EHLO || str_find_nocase(text, S("connection")) >= 0 ||
           str_find_nocase(text, S("session")) >= 0;
}

/* Whether ANSWERED by a relay of ours, to whom all goes. */
static bool
is_sites_concern(const struct attempt *a, const struct result *result,
                 const struct shaping_verdict *verdict)
{
    if (a->route.kind == ROUTE_RELAY && result->code >= 500)
        return false;
    return verdict->site == SITE_SLOW || verdict->site == SITE_BACK_OFF;
}

static void
weigh(struct attempt *a, struct result *result, const struct shaping_verdict *verdict, instant now,
      struct lesson *lesson)
{
    if (verdict->site == SITE_SUSPEND_SENDER) {
        lesson->any_suspends = true;
        lesson->suspended_until = MAX(lesson->suspended_until, now + verdict->site_for);
        lesson->why_suspended = str_from(result->text);
        result->suspends = true;
    }
    if (!is_sites_concern(a, result, verdict))
        return;
    if (verdict->site > lesson->verdict.site ||
        (verdict->site == lesson->verdict.site && verdict->site_for > lesson->verdict.site_for)) {
        lesson->verdict = *verdict;
        lesson->result = result;
    }
}

static void
judge_result(struct attempt *a, struct result *result, instant now, struct lesson *lesson)
{
    struct shaping_verdict verdict;
    bool throttles;

    if (result->outcome != OUTCOME_DEFERRED && result->outcome != OUTCOME_FAILED)
        return;
    attempt_judge(a, result->code, str_from(result->enhanced), str_from(result->text), &verdict);
    result->class = verdict.class;
    result->rule = verdict.rule;
    /* A yes before the whole message is no answer to it. */
    if (verdict.class == CLASS_NONE)
        return;
    /* A door that is shut, whatever its code, says nothing of the recipient. */
    result->outcome = verdict.bounces && (result->outcome == OUTCOME_FAILED || verdict.bounce_said)
                          ? OUTCOME_FAILED
                          : OUTCOME_DEFERRED;
    result->retry_after = verdict.retry_after;
    result->retry_exactly = verdict.retry_named;
    throttles = result->outcome == OUTCOME_DEFERRED && verdict.site == SITE_SLOW;
    if (throttles && result->retry_after == 0) {
        result->retry_after = THROTTLED_RETRY;
        result->retry_exactly = true;
    }
    result->throttled = throttles && result->code == 421 && result->stage <= SMTP_STAGE_MAIL;
    weigh(a, result, &verdict, now, lesson);
}

/* Under the lock.  Until when nothing goes to the site; 0: nothing is said of that. */
static instant
teach(struct attempt *a, const struct lesson *lesson, instant now)
{
    struct schedule *schedule = &a->runner->queue->schedule;
    struct schedule_site *site = a->runner->site;
    const struct shaping_verdict *verdict = &lesson->verdict;
    enum schedule_scope scope = verdict->is_providers ? SCOPE_PROVIDER : SCOPE_SITE;
    str reason;

    if (verdict->site == SITE_NOTHING)
        return 0;
    if (!arena_printf(&a->runner->arena, &reason, "%u %s%s%s", lesson->result->code,
                      lesson->result->enhanced, lesson->result->enhanced[0] ? " " : "",
                      lesson->result->text))
        reason = str_from(lesson->result->text);
    if (verdict->site == SITE_BACK_OFF || verdict->retry_named) {
        schedule_site_pause(schedule, site, scope, now + verdict->site_for, reason);
        return now + verdict->site_for;
    }
    if (is_about_connections(lesson->result))
        return schedule_site_slow(schedule, site, scope, reason, now);
    return schedule_site_rate_limited(schedule, site, scope, a->runner->batch.taken_at, reason,
                                      now);
}

/* "@example.org", of the account that sent it where one did: its neighbours in the domain go on
 * until the provider says the same of them. */
WAITS static void
suspend(struct attempt *a, const struct lesson *lesson)
{
    const struct shaping_provider *provider = attempt_provider(a);
    str sender = a->envelope.reverse_path;
    ssize_t at = str_find_last(sender, '@');
    bool done =
        provider && at >= 0 &&
        queue_suspend_sender(a->runner->queue, str_skip(sender, (size_t)at), a->envelope.account,
                             provider->name, lesson->suspended_until, lesson->why_suspended) == OK;

    for (size_t i = 0; i < a->result_count; i++) {
        struct result *result = &a->results[i];
        if (!result->suspends || result->outcome != OUTCOME_DEFERRED)
            continue;
        /* The rule keeps it from now on, and its end wakes it; but not what an operator has
         * released, which would come back at once, again and again. */
        result->throttled = done && !result->row->exempt;
        if (!result->throttled)
            result->not_before = lesson->suspended_until;
    }
}

static bool
is_sites_failure(enum err e)
{
    return e && e != ERR_CANCELLED && e != ERR_CORRUPT && e != ERR_IO && e != ERR_LIMIT;
}

/* Nothing was said of the message yet: its rows lose nothing by waiting at the site. */
static void
throttle_all(struct attempt *a)
{
    for (size_t i = 0; i < a->result_count; i++) {
        struct result *result = &a->results[i];
        if (result->outcome == OUTCOME_DEFERRED && result->stage < SMTP_STAGE_MAIL)
            result->throttled = true;
    }
}

/* A 421 to the MAIL of a connection that has served, by a rule that says nothing of the site: it
 * wants no more on this one. */
static bool
ends_the_connection(const struct attempt *a)
{
    const struct smtp_client *client = a->runner->client;

    if (!client || a->result_count == 0 || smtp_client_sent(client) < 2)
        return false;
    for (size_t i = 0; i < a->result_count; i++)
        if (a->results[i].code != 421 || a->results[i].stage != SMTP_STAGE_MAIL)
            return false;
    return true;
}

/* Under the lock: what is learnt when no rule said anything of the site. */
static instant
teach_otherwise(struct attempt *a, enum err e, instant now)
{
    struct schedule *schedule = &a->runner->queue->schedule;
    struct schedule_site *site = a->runner->site;
    instant until = 0;

    if (ends_the_connection(a)) {
        schedule_site_ends_after(schedule, site, smtp_client_sent(a->runner->client) - 1, now);
        for (size_t i = 0; i < a->result_count; i++)
            a->results[i].throttled = a->results[i].outcome == OUTCOME_DEFERRED;
    } else if (is_sites_failure(e)) {
        until = schedule_site_failed(schedule, site, str_from(a->failure.why.text), now);
        if (until <= now)
            throttle_all(a);
    } else if (!e) {
        schedule_site_succeeded(schedule, site, now);
    }
    return until;
}

WAITS void
attempt_learn(struct attempt *a, enum err e)
{
    struct queue *queue = a->runner->queue;
    instant now = clock_now();
    instant until;
    struct lesson lesson = {};

    for (size_t i = 0; i < a->result_count; i++)
        judge_result(a, &a->results[i], now, &lesson);
    pthread_mutex_lock(&queue->lock);
    until =
        lesson.verdict.site != SITE_NOTHING ? teach(a, &lesson, now) : teach_otherwise(a, e, now);
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < a->result_count; i++)
        if (a->results[i].outcome == OUTCOME_DEFERRED)
            a->results[i].not_before = until;
    if (lesson.any_suspends)
        suspend(a, &lesson);
}

/* Too many at once, it says (RFC 5321 4.5.3.1.10), and it took some: the others can come at once.
 */
static bool
is_surplus(const struct result *result)
{
    return result->code == 452 && strcmp(result->enhanced, "4.5.3") == 0;
}

void
attempt_return_throttled(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    bool any_taken = false;
    size_t kept = 0;

    for (size_t i = 0; i < a->result_count; i++)
        any_taken = any_taken || a->results[i].outcome == OUTCOME_DELIVERED;
    for (size_t i = 0; i < a->result_count; i++) {
        struct result *result = &a->results[i];
        if (result->throttled || (any_taken && is_surplus(result))) {
            pthread_mutex_lock(&queue->lock);
            schedule_row_return(&queue->schedule, result->row, clock_now());
            pthread_mutex_unlock(&queue->lock);
        } else {
            a->results[kept++] = *result;
        }
    }
    a->count = a->result_count = kept;
}

/* --- The next host. */

/* Whether another host may answer otherwise, now. */
static bool
wants_next_host(const struct attempt *a, const struct result *result)
{
    struct shaping_verdict verdict;

    if (result->outcome != OUTCOME_DEFERRED || result->code / 100 != 4 ||
        result->stage >= SMTP_STAGE_BODY)
        return false;
    attempt_judge(a, result->code, str_from(result->enhanced), str_from(result->text), &verdict);
    return verdict.next_host && !verdict.bounces;
}

/* Results for which no other host is wanted come first.  How many these are. */
static size_t
partition(struct attempt *a, struct result *again)
{
    size_t kept = 0;
    size_t count = 0;

    for (size_t i = 0; i < a->result_count; i++) {
        if (wants_next_host(a, &a->results[i]))
            again[count++] = a->results[i];
        else
            a->results[kept++] = a->results[i];
    }
    for (size_t i = 0; i < count; i++)
        a->results[kept + i] = again[i];
    return kept;
}

WAITS bool
attempt_send_again(struct attempt *a, enum err *e)
{
    struct arena *arena = &a->runner->arena;
    struct result *all = a->results;
    struct schedule_row **rows = a->rows;
    struct result *again = arena_new_array(arena, struct result, a->count);
    struct schedule_row **again_rows = arena_new_array(arena, struct schedule_row *, a->count);
    size_t kept, count;
    bool fresh_wanted;

    if (!again || !again_rows || a->result_count < a->count)
        return false;
    kept = partition(a, again);
    count = a->result_count - kept;
    if (count == 0 || !attempt_next_host(a))
        return false;
    for (size_t i = 0; i < count; i++)
        again_rows[i] = again[i].row;
    a->rows = again_rows;
    a->results = all + kept;
    a->count = count;
    a->result_count = 0;
    if (attempt_keeps_time(a))
        *e = attempt_send(a, &fresh_wanted);
    else
        a->result_count = 0;
    /* Whoever got no answer here keeps the one from before. */
    for (size_t i = a->result_count; i < count; i++)
        a->results[i] = again[i];
    a->rows = rows;
    a->results = all;
    a->count = a->result_count = kept + count;
    return true;
}
