/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* meddle.c: an operator who holds, releases, delays and retries what he finds, and makes standing
 * rules that end, while mail goes out and the power fails.  Nothing of it may lose a letter, or
 * send one twice.  Start reading at meddle().
 */
#include "world.h"

#include "base/must.h"
#include "delivery/queue/queue.h"
#include "delivery/rules/standing.h"
#include "runtime/clock.h"

enum {
    RULES_ONE_IN = 3, /* Deeds. */
    WIDE_ONE_IN = 5,
    LOOKS = 50
};

static const str why = { "a whim", 6 };
static const str who = { "operator", 8 };

WAITS static void
act(struct world *world, enum queue_verb verb, const char *words)
{
    struct queue_action action = { .verb = verb, .reason = why, .actor = who };
    struct queue_query query = {};
    struct why error = {};
    uint64_t count;
    enum err e;

    action.until = clock_now() + MINUTES(1 + (duration)rand_below(&world->whims, 90));
    must(queue_query_parse(str_from(words), &query, &error) == OK);
    e = queue_act(world->queue, &query, &action, &count, NULL);
    (void)e; /* The disk may be dead. */
}

WAITS static void
make_rule(struct world *world, const char *domain)
{
    static const enum standing_kind rules[] = { STANDING_HOLD, STANDING_SUSPEND, STANDING_SLOW };
    struct standing_rule rule = {
        .kind = rules[rand_below(&world->whims, COUNT_OF(rules))],
        .reason = why,
        .actor = who,
        .until = clock_now() + MINUTES(1 + (duration)rand_below(&world->whims, 60)),
    };
    struct why error = {};
    uint32_t id;
    enum err e;

    rule.values[FACT_DOMAIN] = str_from(domain);
    if (rule.kind == STANDING_SLOW) {
        rule.rate_count = 1 + (uint32_t)rand_below(&world->whims, 20);
        rule.rate_period = MINUTES(1);
    }
    e = queue_rule_add(world->queue, &rule, &id, &error);
    (void)e;
}

/* Where somebody waits, if a few looks find him. */
static const struct site *
site_with_work(struct world *world)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < LOOKS; i++) {
        at = rand_below(&world->whims, world->letter_count);
        if (world->letters[at].promised && world->letters[at].delivered == 0 &&
            world->letters[at].failed_reports == 0)
            break;
    }
    return &world->sites[world->letters[at].site];
}

WAITS void
meddle(struct world *world)
{
    static const enum queue_verb verbs[] = { QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELAY };
    static const char *const wide[] = { "", "from:news@home.example", "state:ready", "age:>10m" };
    const struct site *site = site_with_work(world);
    char domain[64], words[96];

    world_domain(site, (unsigned)rand_below(&world->whims, site->domains), domain, sizeof(domain));
    (void)snprintf(words, sizeof(words), "domain:%s", domain);
    if (rand_below(&world->whims, WIDE_ONE_IN) == 0)
        (void)snprintf(words, sizeof(words), "%s", wide[rand_below(&world->whims, COUNT_OF(wide))]);
    if (rand_below(&world->whims, RULES_ONE_IN) == 0)
        make_rule(world, domain);
    else
        act(world, verbs[rand_below(&world->whims, COUNT_OF(verbs))], words);
}

WAITS void
meddle_no_more(struct world *world)
{
    act(world, QUEUE_RELEASE, "");
}
