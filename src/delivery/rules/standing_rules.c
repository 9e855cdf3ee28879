/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_rules.c: what standing rules do to the rows of an attempt, and what their end does.
 *
 * Rules are asked when a batch was taken and, since the hosts of a domain are known only then, once
 * more when its site is: always before a connection is made.  What a rule keeps is remembered in
 * memory alone, by the rule's id in the row: after a restart the row is due and meets the rule
 * again.  So a rule that concerns a hundred thousand rows writes nothing, and its end has nothing
 * to undo.  Start reading at attempt_obey_rules().
 */
#include "delivery/rules/standing.h"

#include "base/must.h"
#include "delivery/attempt.h"
#include "delivery/queue/queue_look.h"
#include "mail/lane.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WAKE_AT_ONCE = 4096,
    ENDED_AT_ONCE = 256
};

/* --- An attempt. */

struct obeying {
    struct attempt *a;
    struct standing *standing;
    struct standing_facts facts;
    struct standing_verdict verdict;
    instant now;
    uint32_t slow_rule; /* Whose slot the batch has, */
    instant slow_until; /* and when it is. */
    struct result *returned;
    size_t returned_count;
};

static str
domain_of(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at + 1);
}

/* What is the same for all rows of the attempt. */
static void
fill_facts(const struct attempt *a, struct standing_facts *facts)
{
    const struct envelope *envelope = &a->envelope;

    *facts = (struct standing_facts){};
    facts->values[FACT_SITE] = str_from(a->runner->site->key);
    facts->values[FACT_SENDER] = envelope->reverse_path.len ? envelope->reverse_path : S("<>");
    facts->values[FACT_ACCOUNT] = envelope->account;
    facts->values[FACT_LANE] = str_from(lane_name(envelope->lane));
    if (attempt_provider(a))
        facts->values[FACT_PROVIDER] = attempt_provider(a)->name;
    if (a->runner->site->source)
        facts->values[FACT_SOURCE] = str_from(a->runner->site->source);
}

static void
record(const struct obeying *o, const struct schedule_row *row, enum event_kind kind)
{
    const struct attempt *a = o->a;
    char actor[40];
    struct event event = {
        .kind = kind,
        .message = a->envelope.id,
        .sender = a->envelope.reverse_path,
        .account = a->envelope.account,
        .recipient = a->envelope.recipients[row->index].address,
        .recipient_index = row->index,
        .reason = str_from(o->verdict.reason),
    };

    if (!a->runner->queue->events)
        return;
    (void)snprintf(actor, sizeof(actor), "rule %u", o->verdict.rule);
    event.actor = str_from(actor);
    if (kind == EVENT_SCHEDULED)
        event.next_try = o->verdict.until;
    events_record(a->runner->queue->events, &event);
}

/* The row leaves the attempt until UNTIL. */
static bool
keep(struct obeying *o, struct schedule_row *row, instant until)
{
    struct queue *queue = o->a->runner->queue;
    char route[STANDING_ROUTE_MAX + 1];
    bool is_there;

    pthread_mutex_lock(&queue->lock);
    /* Not by a rule that ended meanwhile: nobody would wake it. */
    is_there = standing_route(o->standing, o->verdict.rule, route);
    if (is_there)
        schedule_row_keep(&queue->schedule, row, o->verdict.rule, until, o->now);
    pthread_mutex_unlock(&queue->lock);
    return is_there;
}

static bool
bounce(struct obeying *o, struct schedule_row *row)
{
    struct arena *arena = &o->a->runner->arena;
    str text = S("Returned by the administrator");

    if (!o->returned)
        o->returned = arena_new_array(arena, struct result, o->a->count);
    if (!o->returned)
        return false;
    (void)arena_printf(arena, &text, "Returned by the administrator: %s", o->verdict.reason);
    o->returned[o->returned_count++] = (struct result){
        .row = row,
        .outcome = OUTCOME_FAILED,
        .enhanced = "5.0.0",
        .text = text.ptr,
        .remote = "",
        .is_attempt = true,
    };
    return true;
}

static bool
move(struct obeying *o, struct schedule_row *row)
{
    struct attempt *a = o->a;
    struct queue *queue = a->runner->queue;
    struct route_facts facts;
    struct route route;

    attempt_facts(a, row, &facts);
    if (row->rule == o->verdict.rule || route_by_url(a->runner->config, &a->runner->arena,
                                                     str_from(o->verdict.route), &facts, &route))
        return false;
    row->rule = o->verdict.rule & STANDING_ID_MAX;
    if (str_eq(str_from(route.key), str_from(row->target->key)))
        return false;
    pthread_mutex_lock(&queue->lock);
    schedule_row_move(&queue->schedule, row, str_from(route.key), o->now);
    pthread_mutex_unlock(&queue->lock);
    queue_ring(queue);
    return true;
}

/* The rows of a batch go out in one transaction and have one slot. */
static bool
slow(struct obeying *o, struct schedule_row *row)
{
    char route[STANDING_ROUTE_MAX + 1];

    /* A code does not wait behind a newsletter, unless the rule is about codes. */
    if (o->a->envelope.lane == LANE_CODE && !o->verdict.names_lane)
        return false;
    /* Its slot has come. */
    if (row->rule == o->verdict.rule && row->due <= o->now)
        return false;
    /* A row remembers one rule.  Moved by another one it would go back to where that moves it from,
     * again and again. */
    if (row->rule && standing_route(o->standing, row->rule, route) && route[0])
        return false;
    if (o->slow_rule != o->verdict.rule) {
        o->slow_rule = o->verdict.rule;
        o->slow_until = standing_slot(o->standing, o->verdict.rule, o->now);
    }
    if (o->slow_until > o->now)
        return keep(o, row, o->slow_until);
    row->rule = o->verdict.rule & STANDING_ID_MAX;
    return false;
}

/* The one question, of deliveries and of walks: which rule decides about mail for ADDRESS. */
static bool
match(struct standing *standing, struct standing_facts *facts, str address, instant now,
      struct standing_verdict *verdict)
{
    facts->values[FACT_DOMAIN] = domain_of(address);
    return standing_match(standing, facts, now, verdict);
}

bool
attempt_match_rule(const struct attempt *a, str address, struct standing_verdict *verdict)
{
    struct standing *standing = a->runner->queue->standing;
    struct standing_facts facts;

    if (standing_is_empty(standing))
        return false;
    fill_facts(a, &facts);
    return match(standing, &facts, address, clock_now(), verdict);
}

/* True when ROW has left the attempt. */
static bool
obey(struct obeying *o, struct schedule_row *row)
{
    str address = o->a->envelope.recipients[row->index].address;

    if (row->exempt || !match(o->standing, &o->facts, address, o->now, &o->verdict))
        return false;
    switch (o->verdict.kind) {
    case STANDING_HOLD:
        record(o, row, EVENT_HELD);
        return keep(o, row, NEVER);
    case STANDING_SUSPEND:
        record(o, row, EVENT_SCHEDULED);
        return keep(o, row, o->verdict.until);
    case STANDING_BOUNCE:
        record(o, row, EVENT_BOUNCED);
        return bounce(o, row);
    case STANDING_REROUTE:
        return move(o, row);
    case STANDING_SLOW:
        return slow(o, row);
    case STANDING_TLS:
    case STANDING_KINDS:
        break;
    }
    return false;
}

void
attempt_obey_rules(struct attempt *a)
{
    struct standing *standing = a->runner->queue->standing;
    struct obeying *o;
    size_t left = 0;

    if (standing_is_empty(standing))
        return;
    o = arena_new(&a->runner->arena, struct obeying);
    if (!o)
        return;
    *o = (struct obeying){ .a = a, .standing = standing, .now = clock_now() };
    fill_facts(a, &o->facts);
    for (size_t i = 0; i < a->count; i++) {
        if (obey(o, a->rows[i]))
            standing_hit(standing, o->verdict.rule, 1);
        else
            a->rows[left++] = a->rows[i];
    }
    a->count = left;
    if (o->returned_count)
        settle(a->runner->loop, a->runner->batch.message, &a->envelope, o->returned,
               o->returned_count);
}

bool
attempt_find_tls_rule(struct attempt *a, str site)
{
    struct standing *standing = a->runner->queue->standing;
    struct standing_facts *facts;

    a->tls_rule = NULL;
    if (standing_is_empty(standing) || a->route.kind != ROUTE_MX)
        return true;
    facts = arena_new(&a->runner->arena, struct standing_facts);
    a->tls_rule = arena_new(&a->runner->arena, struct standing_verdict);
    if (!facts || !a->tls_rule)
        return false;
    fill_facts(a, facts);
    facts->values[FACT_SITE] = site;
    facts->values[FACT_DOMAIN] = a->route.domain;
    if (!standing_match_tls(standing, facts, clock_now(), a->tls_rule))
        a->tls_rule = NULL;
    else
        standing_hit(standing, a->tls_rule->rule, a->count);
    return true;
}

void
attempt_read_routes(struct attempt *a, str note)
{
    struct progress progress;

    a->noted = NULL;
    if (progress_decode(note, &a->runner->arena, &progress) == OK &&
        progress.recipient_count == a->envelope.recipient_count)
        a->noted = progress.recipients;
}

enum err
attempt_way(struct attempt *a, struct schedule_row *row, struct route *route)
{
    struct runner *runner = a->runner;
    struct route_facts facts;
    char url[STANDING_ROUTE_MAX + 1];
    str copy;

    attempt_facts(a, row, &facts);
    if (row->rerouted && a->noted && a->noted[row->index].route.len)
        return route_by_url(runner->config, &runner->arena, a->noted[row->index].route, &facts,
                            route);
    if (row->rule && standing_route(runner->queue->standing, row->rule, url) && url[0]) {
        if (!arena_copy(&runner->arena, str_from(url), &copy))
            return ERR_LIMIT;
        return route_by_url(runner->config, &runner->arena, copy, &facts, route);
    }
    return route_choose(runner->config, runner->queue->accounts, &runner->arena, &facts, route);
}

/* --- The end of a rule. */

struct waking {
    struct queue *queue;
    uint32_t rules[ENDED_AT_ONCE];
    bool moved[ENDED_AT_ONCE];
    size_t count;
    instant now;
};

/* What the rule has moved takes its usual way at its next turn: it does not wait for the pause of
 * the hop where it no longer belongs. */
static void
wake_row(struct waking *waking, struct schedule_row *row, bool moved)
{
    struct schedule *schedule = &waking->queue->schedule;

    if (moved && row->state == ROW_READY && !row->kept)
        schedule_site_wake(schedule, row->target->site);
    schedule_row_unkeep(schedule, row, waking->now);
}

/* Under the lock. */
static void
wake_rows(void *arg, struct schedule_message *message)
{
    struct waking *waking = arg;

    for (uint32_t i = 0; i < message->row_count; i++) {
        struct schedule_row *row = &message->rows[i];
        for (size_t k = 0; row->rule && k < waking->count; k++)
            if (row->rule == waking->rules[k])
                wake_row(waking, row, waking->moved[k]);
    }
}

WAITS static void
wake_all(struct waking *waking)
{
    struct queue *queue = waking->queue;
    struct schedule_walk walk = {};
    bool more = true;

    while (more) {
        waking->now = clock_now();
        pthread_mutex_lock(&queue->lock);
        more = schedule_walk(&queue->schedule, &walk, WAKE_AT_ONCE, wake_rows, waking);
        pthread_mutex_unlock(&queue->lock);
        queue_ring(queue);
        fiber_yield();
    }
    queue_wake_after(queue);
}

WAITS static void
wake_fiber(void *arg)
{
    wake_all(arg);
    free(arg);
}

WAITS static void
expire_fiber(void *arg)
{
    struct waking *waking = arg;

    waking->count = standing_expire(waking->queue->standing, clock_now(), waking->rules,
                                    waking->moved, ENDED_AT_ONCE);
    if (waking->count)
        wake_all(waking);
    free(waking);
}

instant
standing_tick(struct queue_loop *loop, instant now)
{
    instant due = standing_due(loop->queue->standing);
    struct waking *waking;

    if (due > now)
        return due;
    waking = calloc(1, sizeof(*waking));
    if (waking) {
        waking->queue = loop->queue;
        if (group_start(&loop->runners, expire_fiber, waking, "rules") != OK)
            free(waking);
    }
    /* There may be more of them than go at once. */
    return now + SECONDS(1);
}

/* --- Changes. */

enum err
queue_rule_add(struct queue *queue, const struct standing_rule *rule, uint32_t *id, struct why *why)
{
    enum err e = standing_add(queue->standing, rule, clock_now(), id, why);

    if (!e)
        standing_sweep(queue, rule, *id);

    queue_wake_after(queue);
    return e;
}

enum err
queue_rule_remove(struct queue *queue, uint32_t id)
{
    char route[STANDING_ROUTE_MAX + 1];
    bool moved = standing_route(queue->standing, id, route) && route[0];
    struct waking *waking;
    enum err e = standing_remove(queue->standing, id);

    if (e == ERR_NOT_FOUND)
        return e;
    waking = calloc(1, sizeof(*waking));
    must(waking);
    waking->queue = queue;
    waking->rules[0] = id;
    waking->moved[0] = moved;
    waking->count = 1;
    wake_fiber(waking);
    return e;
}

enum err
queue_rule_list(struct queue *queue, struct arena *arena, struct standing_rule **rules,
                size_t *count)
{
    return standing_list(queue->standing, arena, rules, count);
}

size_t
queue_rule_count(struct queue *queue)
{
    return standing_count(queue->standing);
}

enum err
queue_suspend_sender(struct queue *queue, str sender, str account, str provider, instant until,
                     str reason)
{
    struct standing_rule rule = {
        .kind = STANDING_SUSPEND,
        .reason = reason.len ? str_head(reason, STANDING_REASON_MAX) : S("refused by the provider"),
        .actor = S("engine"),
        .by_engine = true,
        .until = until,
    };
    struct standing_facts facts = {};
    struct why why = {};
    uint32_t id;
    enum err e;

    facts.values[FACT_SENDER] = sender;
    facts.values[FACT_ACCOUNT] = account;
    facts.values[FACT_PROVIDER] = provider;
    if (standing_prolong(queue->standing, &facts, STANDING_SUSPEND, until))
        return OK;
    rule.values[FACT_SENDER] = sender;
    rule.values[FACT_ACCOUNT] = account;
    rule.values[FACT_PROVIDER] = provider;
    e = queue_rule_add(queue, &rule, &id, &why);
    if (e)
        log_warning("%.*s is not suspended at %.*s: %s", STR_ARG(sender), STR_ARG(provider),
                    why.text);
    return e;
}
