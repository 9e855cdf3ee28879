/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure_sts.c: what a domain's MTA-STS policy does to plans.
 *
 * The policy is looked for once in an attempt, when the hosts are known (attempt_find_policy());
 * then it has its say about each of them (secure_by_sts()).  A policy that is to be asked for anew
 * is asked for in a fiber of its own, so that no mail waits for it.
 */
#include "delivery/attempt.h"
#include "delivery/secure/sts_cache.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REFRESH_ARENA_MAX = 4 * 1024 * 1024,
};

static bool
is_wanted(const struct attempt *a)
{
    const struct config_delivery *delivery = &a->runner->config->delivery;

    return a->route.kind == ROUTE_MX && delivery->sts && delivery->tls != RELAY_TLS_OFF &&
           !str_starts(a->route.domain, S("["));
}

static struct sts_ways
ways_of(struct queue *queue, const struct config *config)
{
    return (struct sts_ways){ .tls_context = queue->tls_context,
                              .dns_timeout = config->dns.timeout,
                              .timeout = config->delivery.sts_timeout,
                              .private = config->delivery.sts_private_addresses };
}

struct sts_cache *
queue_sts(struct queue *queue)
{
    return queue->sts;
}

/* --- A fiber that asks anew. */

struct refreshing {
    struct queue *queue;
    char *domain; /* NULL: all that are due. */
};

WAITS static void
refresh_one(struct queue *queue, const struct config *config, struct arena *arena, str domain)
{
    struct sts_ways ways = ways_of(queue, config);
    enum err e = sts_cache_refresh(queue->sts, &ways, arena, domain);

    (void)e; /* The cache remembers what failed. */
}

WAITS static void
refresh_fiber(void *arg)
{
    struct refreshing *refreshing = arg;
    struct queue *queue = refreshing->queue;
    const struct config *config = queue_config(queue);
    struct arena arena;
    instant next;
    str domain;

    arena_init(&arena, REFRESH_ARENA_MAX);
    if (refreshing->domain)
        refresh_one(queue, config, &arena, str_from(refreshing->domain));
    while (!refreshing->domain && config->delivery.sts && !fiber_cancelled() &&
           sts_cache_due(queue->sts, clock_now(), &arena, &domain, &next)) {
        refresh_one(queue, config, &arena, domain);
        arena_clear(&arena);
    }
    arena_done(&arena);
    config_unref(config);
    free(refreshing->domain);
    free(refreshing);
}

/* DOMAIN empty: all that are due.  When no fiber can be started now, the next message tries again.
 */
static void
start_refresh(struct queue_loop *loop, str domain)
{
    struct refreshing *refreshing = calloc(1, sizeof(*refreshing));

    if (!refreshing)
        return;
    refreshing->queue = loop->queue;
    refreshing->domain = domain.len ? str_dup(domain) : NULL;
    if (group_start(&loop->runners, refresh_fiber, refreshing, "sts") == OK)
        return;
    free(refreshing->domain);
    free(refreshing);
}

instant
secure_sts_tick(struct queue_loop *loop, instant now)
{
    struct queue *queue = loop->queue;
    struct arena arena;
    instant next;
    str domain;

    if (queue->sts_look_at > now)
        return queue->sts_look_at;
    arena_init(&arena, REFRESH_ARENA_MAX);
    if (sts_cache_due(queue->sts, now, &arena, &domain, &next))
        start_refresh(loop, S(""));
    queue->sts_look_at = next;
    arena_done(&arena);
    return queue->sts_look_at;
}

/* --- An attempt. */

WAITS static enum err
find_policy(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct sts_ways ways = ways_of(runner->queue, runner->config);
    enum err e;

    a->sts = NULL;
    if (!is_wanted(a))
        return OK;
    a->sts = arena_new(&runner->arena, struct sts_known);
    e = a->sts ? sts_cache_find(runner->queue->sts, &ways, &runner->arena, a->route.domain, a->sts)
               : ERR_LIMIT;
    if (e)
        a->sts = NULL;
    else if (a->sts->is_stale)
        start_refresh(runner->loop, a->route.domain);
    return e;
}

/* Under enforce the same hosts are another site: what fails there for want of a certificate is no
 * failure for others, and their connections prove too little. */
enum err
attempt_find_policy(struct attempt *a, struct route_hosts *hosts)
{
    static const char *const marks[] = {
        [LEVEL_NONE] = "",
        [LEVEL_REQUIRE] = "/require",
        [LEVEL_VERIFY] = "/verify",
        [LEVEL_PLAIN] = "/plain",
    };
    enum err e = attempt_find_tls_rule(a, str_from(hosts->site)) ? OK : ERR_LIMIT;

    if (!e)
        e = find_policy(a);
    if (!e && a->sts && a->sts->has_policy && a->sts->policy.mode == STS_ENFORCE)
        route_mark_site(hosts, "/sts");
    if (!e && a->tls_rule)
        route_mark_site(hosts, marks[a->tls_rule->level]);
    if (!e && a->route.kind == ROUTE_MX && a->envelope.tls_wish == TLS_OPTIONAL)
        route_mark_site(hosts, "/optional");
    return e;
}

enum err
attempt_policy_again(struct attempt *a)
{
    if (!attempt_find_tls_rule(a, str_from(a->runner->site->key)))
        return ERR_LIMIT;
    return find_policy(a);
}

/* A policy that could not be had keeps nothing back (RFC 8461 3.3), but is told. */
static void
note_failure(const struct sts_known *known, struct secure_plan *plan)
{
    if (!known->failure)
        return;
    plan->noted = known->failure;
    (void)snprintf(plan->why, sizeof(plan->why), "the MTA-STS policy cannot be had: %.200s",
                   known->why);
}

void
secure_by_sts(const struct sts_known *known, struct secure_plan *plan)
{
    const struct sts_policy *policy = &known->policy;
    bool testing = policy->mode == STS_TESTING;

    /* RFC 8461 2: what DANE demands, and what fails by it, is not MTA-STS's to change. */
    if (plan->by == SECURE_BY_DANE && (plan->refused || plan->demand == SECURE_TLSA))
        return;
    if (!known->has_policy) {
        note_failure(known, plan);
        return;
    }
    plan->sts = known;
    if (policy->mode == STS_NONE)
        return;
    if (!testing)
        plan->enforced = SECURE_NAME;
    plan->demand = SECURE_NAME;
    plan->by = SECURE_BY_STS;
    plan->observed = testing;
    (void)snprintf(plan->why, sizeof(plan->why),
                   "the MTA-STS policy of %.*s (%s) asks for a certificate that names the host",
                   STR_ARG(str_head(plan->domain, 100)), sts_mode_name(policy->mode));
    if (sts_policy_names(policy, plan->host))
        return;
    *(testing ? &plan->noted : &plan->refused) = SECURE_VALIDATION_FAILURE;
    (void)snprintf(plan->why, sizeof(plan->why),
                   "the MTA-STS policy of %.*s (%s) does not name the host %.*s",
                   STR_ARG(str_head(plan->domain, 80)), sts_mode_name(policy->mode),
                   STR_ARG(str_head(plan->host, 80)));
}

bool
attempt_is_disowned(struct attempt *a)
{
    if (!a->is_disowned || a->plan.by != SECURE_BY_STS || !a->plan.refused)
        return false;
    attempt_all_results(a, OUTCOME_DEFERRED, 0, "4.7.5",
                        attempt_text(&a->runner->arena, a->plan.why).ptr, 0);
    attempt_record(a);
    return true;
}

void
attempt_doubt_policy(struct attempt *a)
{
    if (a->plan.by == SECURE_BY_STS && a->outcome.result != SECURE_FINE &&
        a->outcome.result != SECURE_NO_SESSION)
        sts_cache_doubt(a->runner->queue->sts, a->route.domain);
}
