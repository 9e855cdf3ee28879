/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route_commands.c: where mail for an address would go, how it would be secured there, and what
 * would become of it: `outpost test route`.
 *
 * Rows come while it is on its way: first the route in words, then each host; the document at the
 * end has all of them, and the verdict.  The walk itself is delivery/walk.h.
 */
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "delivery/route.h"
#include "delivery/secure/sts_cache.h"
#include "delivery/walk.h"
#include "mail/lane.h"
#include "ops/control_call.h"
#include "trust/tlsa.h"

enum {
    EXPLANATION_MAX = 64 * 1024,
    WALK_MEMORY_MAX = 16 << 20,
};

struct telling {
    struct control_call *call;
    enum err e;
};

/* What stands in the request; ERR_SYNTAX after having failed. */
static enum err
read_wish(struct control_call *call, struct walk_wish *wish)
{
    str size = json_get_text(call->args, "size");
    str client = json_get_text(call->args, "client");
    struct route_facts *facts = &wish->facts;
    enum lane lane;

    *wish = (struct walk_wish){
        .facts = { .door = DOOR_SUBMISSION },
        .connects = !json_get_bool(call->args, "no_connect"),
        .tls_wish = json_get_bool(call->args, "require_tls") ? TLS_REQUIRED : TLS_AS_USUAL,
    };
    if (!control_need(call, "address", &facts->recipient))
        return ERR_SYNTAX;
    facts->sender = json_get_text(call->args, "from");
    facts->account = json_get_text(call->args, "account");
    facts->lane = json_get_text(call->args, "lane");
    if (!facts->lane.len)
        facts->lane = S("personal");
    if (!lane_parse(facts->lane, &lane))
        return control_fail(call, ERR_SYNTAX, "no_such_lane", "code, personal, notice or bulk",
                            "%.*s is no lane", STR_ARG(facts->lane));
    if ((size.len && !str_to_u64(size, &facts->size)) ||
        (client.len && !ipaddr_parse(client, &facts->client)))
        return control_fail(call, ERR_SYNTAX, "syntax", "--size 1000, --client 192.0.2.7",
                            "--size takes bytes, --client an address");
    return OK;
}

static const char *
demand_name(enum secure_demand demand)
{
    static const char *const names[] = {
        [SECURE_PLAIN] = "plain", [SECURE_MAY] = "may",   [SECURE_TLS] = "tls",
        [SECURE_NAME] = "name",   [SECURE_TLSA] = "tlsa",
    };

    return names[demand];
}

static void
put_offers(struct json_writer *writer, const struct smtp_capabilities *offers)
{
    const struct {
        const char *name;
        bool offered;
    } rows[] = {
        { "PIPELINING", offers->pipelining },
        { "8BITMIME", offers->eightbitmime },
        { "SMTPUTF8", offers->smtputf8 },
        { "CHUNKING", offers->chunking },
        { "DSN", offers->dsn },
        { "STARTTLS", offers->starttls },
        { "REQUIRETLS", offers->requiretls },
        { "MT-PRIORITY", offers->mt_priority },
        { "DELIVERBY", offers->deliverby },
    };

    json_begin_array(writer, "offers");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].offered)
            json_put_text(writer, NULL, str_from(rows[i].name));
    json_end_array(writer);
    if (offers->size)
        json_put_int(writer, "size_max", (int64_t)offers->size);
}

static void
put_tls(struct json_writer *writer, const struct walk_host *item)
{
    const struct secure_outcome *outcome = &item->outcome;

    json_begin_object(writer, "tls");
    if (outcome->has_tls) {
        json_put_text(writer, "version", str_from(outcome->version));
        json_put_text(writer, "cipher", str_from(outcome->cipher));
    }
    json_put_text(writer, "verified", str_from(secure_verified_name(outcome->verified)));
    if (item->has_certificate) {
        json_begin_object(writer, "certificate");
        json_put_text(writer, "names", str_from(item->certificate.names));
        json_put_text(writer, "issuer", str_from(item->certificate.issuer));
        json_put_time(writer, "until", item->certificate.until);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void
put_failure(struct json_writer *writer, const struct smtp_failure *failure)
{
    if (!failure->why.text[0])
        return;
    json_begin_object(writer, "failure");
    json_put_text(writer, "stage", str_from(smtp_stage_name(failure->stage)));
    json_put_text(writer, "why", str_from(failure->why.text));
    if (failure->answer.code) {
        json_put_int(writer, "code", failure->answer.code);
        json_put_text(writer, "enhanced", str_from(failure->answer.enhanced));
        json_put_text(writer, "text", str_from(failure->answer.text));
    }
    json_end_object(writer);
}

static void
put_stages(struct json_writer *writer, const struct walk_host *item)
{
    json_begin_array(writer, "stages");
    for (size_t i = 0; i < item->stage_count; i++) {
        json_begin_object(writer, NULL);
        json_put_text(writer, "stage", str_from(smtp_stage_name(item->stages[i].stage)));
        json_put_int(writer, "ms", item->stages[i].took / MILLISECONDS(1));
        json_end_object(writer);
    }
    json_end_array(writer);
}

/* The members of an object that is begun. */
static void
put_host(struct json_writer *writer, const struct walk_host *item)
{
    const struct secure_plan *plan = &item->plan;
    char where[IPADDR_TEXT_MAX + 8];

    endpoint_format(&item->host->endpoint, where);
    json_put_text(writer, "host", item->host->name);
    json_put_text(writer, "address", str_from(where));
    json_put_int(writer, "preference", item->host->preference);
    json_put_bool(writer, "dnssec", item->host->secure);
    json_put_text(writer, "end", str_from(walk_end_name(item->end)));
    json_put_text(writer, "line", str_from(item->line));
    json_put_text(writer, "demand", str_from(demand_name(plan->demand)));
    json_put_text(writer, "demanded_by", str_from(secure_by_name(plan->by)));
    json_put_text(writer, "why", str_from(plan->why));
    if (plan->observed)
        json_put_bool(writer, "observed", true);
    if (plan->tlsa)
        json_put_int(writer, "tlsa_records", (int64_t)plan->tlsa->count);
    put_stages(writer, item);
    if (item->heard) {
        json_put_text(writer, "name", str_from(item->offers.name));
        put_offers(writer, &item->offers);
    }
    if (item->stage_count)
        put_tls(writer, item);
    if (item->outcome.result != SECURE_FINE && secure_result_name(item->outcome.result)[0])
        json_put_text(writer, "result", str_from(secure_result_name(item->outcome.result)));
    put_failure(writer, &item->failure);
}

/* At once, since the next host may take its time. */
WAITS static void
tell_row(struct telling *telling)
{
    struct control_call *call = telling->call;

    if (!telling->e)
        telling->e = control_row_end(call);
    if (!telling->e)
        telling->e = call->carrier->flush(call->carrier->arg);
}

/* What the domain says of itself (RFC 8461), as the member "sts". */
static void
put_policy(struct json_writer *writer, const struct sts_known *known)
{
    json_begin_object(writer, "sts");
    json_put_text(writer, "mode",
                  str_from(known->has_policy ? sts_mode_name(known->policy.mode) : "none"));
    if (known->has_policy) {
        json_put_text(writer, "id", str_from(known->id));
        json_begin_array(writer, "mx");
        for (size_t i = 0; i < known->policy.pattern_count; i++)
            json_put_text(writer, NULL, known->policy.patterns[i]);
        json_end_array(writer);
        json_put_time(writer, "fetched", known->fetched);
        json_put_time(writer, "expires", known->expires);
    }
    if (known->why[0])
        json_put_text(writer, "why", str_from(known->why));
    json_end_object(writer);
}

/* The policy as a line for people; false when there is nothing to be said. */
static bool
policy_line(const struct sts_known *known, struct buf *text)
{
    if (!known || (!known->has_policy && !known->failure))
        return false;
    if (known->has_policy) {
        buf_addf(text, "Its MTA-STS policy (%s, id %s) names", sts_mode_name(known->policy.mode),
                 known->id);
        for (size_t i = 0; i < known->policy.pattern_count; i++)
            buf_addf(text, "%s %.*s", i ? "," : "", STR_ARG(known->policy.patterns[i]));
    } else {
        buf_addf(text, "Its MTA-STS policy cannot be had: %s", known->why);
    }
    return true;
}

WAITS static void
tell_way(struct telling *telling, const struct walk *walk)
{
    struct buf text;

    buf_init(&text, EXPLANATION_MAX);
    if (walk->rule_words[0]) {
        buf_addf(&text, "It goes another way by %s", walk->rule_words);
        json_put_text(control_row(telling->call), "text", buf_str(&text));
        tell_row(telling);
        buf_clear(&text);
    }
    if (policy_line(walk->sts, &text)) {
        json_put_text(control_row(telling->call), "text", buf_str(&text));
        tell_row(telling);
    }
    buf_done(&text);
}

WAITS static void
tell(void *arg, const struct walk *walk, const struct walk_host *item)
{
    struct telling *telling = arg;

    if (!item) {
        tell_way(telling, walk);
        return;
    }
    put_host(control_row(telling->call), item);
    tell_row(telling);
}

static void
put_walk(struct control_call *call, const struct walk_wish *wish, const struct walk *walk,
         str explanation, bool leads)
{
    struct json_writer *writer = control_document_begin(call);
    bool is_judged = walk->verdict[0] && walk->end != WALK_UNTRIED;

    json_put_text(writer, "address", wish->facts.recipient);
    json_put_bool(writer, "deliverable", is_judged ? walk->end == WALK_TAKES : leads);
    json_put_text(writer, "explanation", explanation);
    if (walk->rule_words[0])
        json_put_text(writer, "rule", str_from(walk->rule_words));
    json_put_bool(writer, "mx_dnssec", walk->hosts.secure);
    if (walk->sts)
        put_policy(writer, walk->sts);
    json_begin_array(writer, "hosts");
    for (size_t i = 0; i < walk->count; i++) {
        json_begin_object(writer, NULL);
        put_host(writer, &walk->items[i]);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_put_text(writer, "end", str_from(walk_end_name(walk->end)));
    json_put_text(writer, "problem", str_from(walk_problem_name(walk->problem)));
    json_put_text(writer, "verdict", str_from(walk->verdict));
    json_put_text(writer, "cure", str_from(walk->cure));
    control_document_end(call);
}

WAITS static enum err
explain(struct control_call *call, const struct walk_wish *wish, struct buf *text, bool *leads)
{
    struct telling telling = { .call = call };
    struct route_self self;
    enum err e;

    queue_self(call->context->queue, call->context->config, &self);
    e = route_explain(call->context->config, call->context->accounts, &self, &call->arena,
                      &wish->facts, text, leads);
    if (e)
        return e;
    json_put_text(control_row(call), "text", buf_str(text));
    tell_row(&telling);
    return telling.e;
}

WAITS static enum err
test_route(struct control_call *call)
{
    struct telling telling = { .call = call };
    struct walk_wish wish;
    struct walk *walk;
    struct arena arena;
    struct buf text;
    bool leads = false;
    enum err e = read_wish(call, &wish);

    if (e)
        return e;
    buf_init(&text, EXPLANATION_MAX);
    arena_init(&arena, WALK_MEMORY_MAX);
    walk = arena_new(&arena, struct walk);
    e = walk ? explain(call, &wish, &text, &leads) : ERR_LIMIT;
    if (!e)
        e = queue_walk(call->context->queue, call->context->config, &wish, &arena, tell, &telling,
                       walk);
    if (!e)
        e = telling.e;
    if (!e)
        put_walk(call, &wish, walk, buf_str(&text), leads);
    arena_done(&arena);
    buf_done(&text);
    return e ? control_failed(call, e) : OK;
}

/* clang-format off */
const struct control_command control_route[] = {
    /* address from account lane size client require_tls no_connect */
    { "test.route", test_route, CONTROL_NEEDS_SERVER },
    { NULL, NULL, 0 },
};
/* clang-format on */
