/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_sweep.c: a new rule that holds, suspends or moves concerns at once what is ready.
 *
 * Without that each row would have to wait for its turn to meet the rule, and would use up what a
 * slow receiver takes in a time: the rest would wait for mail that does not even go.  What is to be
 * moved would wait for the pause of the very site that it is to leave: that ends, and the rows meet
 * the rule before anybody connects.  So does the pause of a site whose TLS is to be judged
 * otherwise.  What is not due yet meets the rule when it is.  Start reading at standing_sweep().
 */
#include "delivery/rules/standing.h"

#include "delivery/queue/queue_look.h"
#include "runtime/clock.h"

/* The words of a query that say the same as RULE, for what is ready. */
static void
words_of(const struct standing_rule *rule, struct queue_query *query)
{
    static const enum queue_word words[FACT_COUNT] = {
        [FACT_DOMAIN] = QUEUE_DOMAIN,     [FACT_SITE] = QUEUE_SITE,
        [FACT_PROVIDER] = QUEUE_PROVIDER, [FACT_SENDER] = QUEUE_FROM,
        [FACT_ACCOUNT] = QUEUE_ACCOUNT,   [FACT_SOURCE] = QUEUE_SOURCE,
        [FACT_LANE] = QUEUE_LANE,
    };

    *query = (struct queue_query){ .count = 1,
                                   .words = { { .word = QUEUE_STATE, .number = ROW_READY } } };
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        enum lane lane = LANE_PERSONAL;
        if (rule->values[i].len == 0)
            continue;
        if (i == FACT_LANE)
            (void)lane_parse(rule->values[i], &lane);
        query->words[query->count++] =
            (struct queue_term){ .word = words[i], .text = rule->values[i], .number = lane };
    }
}

static str
domain_of(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at + 1);
}

static void
facts_of(const struct message_view *view, uint32_t index, struct standing_facts *facts)
{
    const struct row_view *row = &view->rows[index];

    *facts = (struct standing_facts){};
    facts->values[FACT_DOMAIN] = domain_of(view->envelope.recipients[index].address);
    facts->values[FACT_SITE] = row->site;
    facts->values[FACT_PROVIDER] = row->provider;
    facts->values[FACT_SENDER] =
        view->envelope.reverse_path.len ? view->envelope.reverse_path : S("<>");
    facts->values[FACT_ACCOUNT] = view->envelope.account;
    facts->values[FACT_SOURCE] = row->source;
    facts->values[FACT_LANE] = str_from(lane_name(view->lane));
}

/* Under the lock: unless the rule has ended meanwhile, when nobody would wake the row. */
static bool
keep(struct queue *queue, struct schedule_row *row, uint32_t rule, instant until, instant now)
{
    char route[STANDING_ROUTE_MAX + 1];

    if (row->state != ROW_READY || row->exempt || !standing_route(queue->standing, rule, route) ||
        !schedule_seize(&queue->schedule, row))
        return false;
    schedule_row_keep(&queue->schedule, row, rule, until, now);
    return true;
}

/* Those of VIEW's recipients whom the rule concerns. */
static uint64_t
take_rows(struct queue *queue, const struct message_view *view, uint32_t rule, bool tls)
{
    struct schedule_message *message;
    struct standing_verdict verdict;
    instant now = clock_now();
    uint64_t count = 0;

    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, view->id);
    for (uint32_t i = 0; message && message->row_count == view->row_count && i < view->row_count;
         i++) {
        struct standing_facts facts;
        if (view->rows[i].state != ROW_READY)
            continue;
        bool wakes;
        facts_of(view, i, &facts);
        if (!(tls ? standing_match_tls(queue->standing, &facts, now, &verdict)
                  : standing_match(queue->standing, &facts, now, &verdict)) ||
            verdict.rule != rule)
            continue;
        wakes = tls || verdict.kind == STANDING_REROUTE;
        if (wakes && message->rows[i].state == ROW_READY)
            schedule_site_wake(&queue->schedule, message->rows[i].target->site);
        else if (!wakes)
            count += keep(queue, &message->rows[i], rule,
                          verdict.kind == STANDING_HOLD ? NEVER : verdict.until, now);
    }
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void
standing_sweep(struct queue *queue, const struct standing_rule *rule, uint32_t id)
{
    struct candidates found;
    struct queue_query query;
    struct arena arena;
    uint64_t count = 0;

    if (rule->by_engine || (rule->kind != STANDING_HOLD && rule->kind != STANDING_SUSPEND &&
                            rule->kind != STANDING_REROUTE && rule->kind != STANDING_TLS))
        return;
    words_of(rule, &query);
    if (candidates_get(queue, &query, &found))
        return;
    arena_init(&arena, ATTEMPT_ARENA_MAX);
    for (size_t i = 0; i < found.count && !fiber_cancelled(); i++) {
        struct message_view view;
        queue_share_core(i);
        arena_clear(&arena);
        if (queue_look_at(queue, found.shaping, found.ids[i], &arena, &view) == OK)
            count += take_rows(queue, &view, id, rule->kind == STANDING_TLS);
    }
    arena_done(&arena);
    candidates_done(&found);
    if (count)
        standing_hit(queue->standing, id, count);
}
