/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* walk.c: an attempt without a message.
 *
 * It has an attempt and a runner of its own, of which nobody else knows, so that attempt_secure(),
 * require_check() and secure_conclude() see what they see in a delivery.  Start reading at
 * queue_walk().
 */
#include "delivery/walk.h"

#include "delivery/attempt.h"
#include "formats/date.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <string.h>

/* Whoever asks sits there and waits. */
#define CONNECT_MAX SECONDS(15)
#define ANSWER_MAX  SECONDS(30)

struct visit {
    struct walk_host *item;
    instant began; /* Of the stage; steady. */
    bool measures;
};

static void
end_stage(struct visit *visit)
{
    struct walk_host *item = visit->item;

    if (visit->measures && item->stage_count > 0)
        item->stages[item->stage_count - 1].took += clock_steady() - visit->began;
    visit->began = clock_steady();
}

static void
note_stage(void *arg, enum smtp_stage stage)
{
    struct visit *visit = arg;
    struct walk_host *item = visit->item;

    end_stage(visit);
    if (!visit->measures || stage == SMTP_STAGE_IDLE || item->stage_count == WALK_STAGES_MAX)
        return;
    item->stages[item->stage_count++] = (struct walk_stage){ .stage = stage };
}

/* The certificate that was not believed, by a connection that believes any. */
WAITS static void
look_at_certificate(struct smtp_client_options options, struct walk_host *item)
{
    struct smtp_client *client = NULL;
    struct smtp_failure ignored = {};

    options.verify = RELAY_VERIFY_OFF;
    options.tls = RELAY_TLS_REQUIRE;
    options.tlsa = NULL;
    options.tlsa_count = 0;
    options.user = S("");
    if (smtp_client_open(&options, &client, &ignored))
        return;
    item->has_certificate = smtp_client_certificate(client, &item->certificate);
    smtp_client_quit(client);
}

/* As open_client() in connect.c does it, but without remembering anything. */
WAITS static enum err
knock(struct attempt *a, struct smtp_client_options *options, struct smtp_failure *broken)
{
    struct smtp_client **client = &a->runner->client;
    bool may_be_clear = options->tls == RELAY_TLS_MAY && options->verify != RELAY_VERIFY_ON &&
                        !options->implicit_tls && !options->user.len;
    enum err e = smtp_client_open(options, client, &a->failure);

    if (e == ERR_TLS && a->failure.resuming)
        e = smtp_client_open(options, client, &a->failure);
    if (e == ERR_TLS && may_be_clear) {
        *broken = a->failure;
        options->tls = RELAY_TLS_OFF;
        e = smtp_client_open(options, client, &a->failure);
    }
    return e;
}

static enum walk_end
end_of(struct attempt *a, enum err e)
{
    const struct smtp_answer *answer = &a->failure.answer;
    struct shaping_verdict verdict;

    if (!e)
        return WALK_TAKES;
    if (answer->code < 400)
        return WALK_LATER;
    attempt_judge(a, answer->code, str_from(answer->enhanced), str_from(answer->text), &verdict);
    return verdict.bounces && (answer->code >= 500 || verdict.bounce_said) ? WALK_RETURNS
                                                                           : WALK_LATER;
}

WAITS static enum err
connect_to_host(struct attempt *a, struct smtp_client_options *options, struct walk_host *item)
{
    struct visit visit = { .item = item, .began = clock_steady(), .measures = true };
    struct smtp_failure *broken = arena_new(&a->runner->arena, struct smtp_failure);
    enum err e = OK;

    if (!broken)
        return ERR_LIMIT;
    *broken = a->failure = (struct smtp_failure){};
    options->on_stage = note_stage;
    options->arg = &visit;
    if (a->plan.refused)
        e = err_why(&a->failure.why, ERR_TLS, "%s", a->plan.why);
    else
        e = knock(a, options, broken);
    if (e == ERR_CANCELLED)
        return e;
    end_stage(&visit);
    visit.measures = false;
    if (!e) {
        item->offers = *smtp_client_capabilities(a->runner->client);
        item->heard = true;
        item->has_certificate = smtp_client_certificate(a->runner->client, &item->certificate);
        e = require_check(a);
    } else if (a->failure.stage == SMTP_STAGE_TLS && !a->plan.refused) {
        look_at_certificate(*options, item);
    }
    secure_conclude(a, &a->plan, item->host, broken->why.text[0] ? broken : NULL, &item->outcome);
    item->end = e && require_note(a, e) ? WALK_RETURNS : end_of(a, e);
    if (e || broken->why.text[0])
        item->failure = e ? a->failure : *broken;
    smtp_client_quit(take(a->runner->client));
    return OK;
}

WAITS static enum err
visit_host(struct attempt *a, const struct walk_wish *wish, struct walk_host *item)
{
    struct smtp_client_options options;
    enum err e = attempt_fill_options(a, item->host, false, &options);

    options.timeouts.connect = MIN(options.timeouts.connect, CONNECT_MAX);
    options.timeouts.greeting = MIN(options.timeouts.greeting, ANSWER_MAX);
    options.timeouts.command = MIN(options.timeouts.command, ANSWER_MAX);
    if (!e)
        e = attempt_secure(a, item->host, &options, &a->plan);
    if (!e && wish->connects)
        e = connect_to_host(a, &options, item);
    item->plan = a->plan;
    if (!e)
        walk_judge_host(wish, item);
    return e;
}

/* A web service and a program have no conversation that could be tried without a message. */
static bool
is_smtp(const struct route *route)
{
    return route->kind == ROUTE_MX ||
           (route->kind == ROUTE_RELAY && route->relay.kind != RELAY_PIPE &&
            !relay_is_http(&route->relay));
}

WAITS static enum err
visit_all(struct attempt *a, const struct walk_wish *wish, walk_told told, void *arg,
          struct walk *walk)
{
    enum err e = OK;

    for (size_t i = 0; !e && i < walk->hosts.count; i++) {
        walk->items[i] = (struct walk_host){ .host = &walk->hosts.hosts[i] };
        e = visit_host(a, wish, &walk->items[i]);
        if (!e)
            walk->count++;
        if (!e && told)
            told(arg, walk, &walk->items[i]);
    }
    return e;
}

/* "rule 3 (hold domain:example.net: they move, by ann, until ...)" */
static enum err
put_rule(struct attempt *a, struct walk *walk)
{
    struct standing_rule rule;
    char until[DATE_TEXT_MAX];
    str words;

    if (!standing_find(a->runner->queue->standing, walk->rule.rule, &a->runner->arena, &rule) ||
        !standing_describe(&rule, &a->runner->arena, &words))
        return ERR_LIMIT;
    date_format_rfc3339(rule.until, false, until);
    (void)snprintf(walk->rule_words, sizeof(walk->rule_words),
                   "rule %u (%.*s: %.*s, by %.*s, until %s)", rule.id, STR_ARG(words),
                   STR_ARG(rule.reason), STR_ARG(rule.actor), until);
    return OK;
}

/* Asks as an attempt does, before the hosts are known and after; one that leads elsewhere changes
 * the way.  A rule that slows mail lets it go. */
static enum err
ask_rules(struct attempt *a, const struct walk_wish *wish, struct walk *walk)
{
    struct standing_verdict rule;
    enum err e;

    if (!attempt_match_rule(a, wish->facts.recipient, &rule) || rule.kind >= STANDING_SLOW ||
        (walk->rule_words[0] && rule.rule == walk->rule.rule))
        return OK;
    walk->rule = rule;
    e = put_rule(a, walk);
    if (!e && rule.kind == STANDING_REROUTE)
        e = route_by_url(a->runner->config, &a->runner->arena, str_from(walk->rule.route),
                         &wish->facts, &walk->route);
    return e;
}

WAITS static enum err
find_hosts(struct attempt *a, struct walk *walk)
{
    struct runner *runner = a->runner;
    struct route_self self;
    enum err e;

    a->route = walk->route;
    runner->site->source = a->route.source ? (char *)a->route.source->name.ptr : NULL;
    queue_self(runner->queue, runner->config, &self);
    e = route_find_hosts(runner->config, &self, &runner->arena, &walk->route,
                         (uint64_t)clock_steady(), &walk->hosts);
    if (e || walk->hosts.answer.code)
        return e;
    attempt_know_provider(a, &walk->hosts);
    a->mx_secure = walk->hosts.secure;
    e = attempt_find_policy(a, &walk->hosts);
    runner->site->key = walk->hosts.site;
    return e;
}

/* False in *GOES: the way ends here. */
WAITS static enum err
find_way(struct attempt *a, const struct walk_wish *wish, struct walk *walk, bool *goes)
{
    struct route *route = &walk->route;
    char key[ROUTE_KEY_MAX];
    enum err e = ask_rules(a, wish, walk);

    *goes = !e && !walk_is_stopped(walk) && is_smtp(route);
    if (!*goes)
        return e;
    e = find_hosts(a, walk);
    if (!e && !walk->hosts.answer.code) {
        memcpy(key, route->key, sizeof(key));
        e = ask_rules(a, wish, walk);
        if (!e && strcmp(key, route->key) != 0 && is_smtp(route))
            e = find_hosts(a, walk);
    }
    *goes = !e && !walk->hosts.answer.code && !walk_is_stopped(walk) && is_smtp(route);
    return e;
}

WAITS static enum err
walk_along(struct attempt *a, const struct walk_wish *wish, walk_told told, void *arg,
           struct walk *walk)
{
    struct runner *runner = a->runner;
    bool goes = false;
    enum err e = route_choose(runner->config, runner->queue->accounts, &runner->arena, &wish->facts,
                              &walk->route);

    if (!e)
        e = find_way(a, wish, walk, &goes);
    if (e || !goes)
        return e;
    walk->items = arena_new_array(&runner->arena, struct walk_host, walk->hosts.count);
    if (!walk->items)
        return ERR_LIMIT;
    walk->sts = a->sts;
    if (told)
        told(arg, walk, NULL);
    return visit_all(a, wish, told, arg, walk);
}

WAITS enum err
queue_walk(struct queue *queue, const struct config *config, const struct walk_wish *wish,
           struct arena *arena, walk_told told, void *arg, struct walk *walk)
{
    struct runner *runner = arena_new(arena, struct runner);
    struct attempt *a = arena_new(arena, struct attempt);
    struct schedule_site *site = arena_new(arena, struct schedule_site); /* Nobody's: for rules. */
    enum err e;

    if (!runner || !a || !site)
        return ERR_LIMIT;
    *walk = (struct walk){};
    *runner = (struct runner){
        .queue = queue,
        .loop = &queue->loops[runtime_loop_current()],
        .config = config,
        .site = site,
    };
    *a = (struct attempt){
        .runner = runner,
        .envelope = { .tls_wish = wish->tls_wish,
                      .reverse_path = wish->facts.sender,
                      .account = wish->facts.account },
        .began = clock_now(),
    };
    (void)lane_parse(wish->facts.lane, &a->envelope.lane);
    runner->shaping = queue_shaping(queue);
    runner->arena = *arena; /* Lent: what is made here lives as long as the caller's. */
    e = walk_along(a, wish, told, arg, walk);
    *arena = runner->arena;
    if (!e)
        walk_judge(wish, walk);
    shaping_unref(runner->shaping);
    return e;
}
