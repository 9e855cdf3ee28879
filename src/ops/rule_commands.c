/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* rule_commands.c: standing rules: to make, list and remove them (delivery/rules/standing.h).
 *
 * The words that say whom a rule concerns are those of a query of the queue.  The table at the end
 * names the commands and the arguments that they read.
 */
#include "config/relay.h"
#include "delivery/queue/queue.h"
#include "delivery/rules/standing.h"

#include "ops/control_call.h"
#include "runtime/clock.h"

/* "provider:google" into RULE. */
static enum err
read_match(struct control_call *call, str text, struct standing_rule *rule)
{
    enum standing_fact fact;
    str name, value;

    if (!str_split(text, ':', &name, &value) || !standing_fact_parse(name, &fact) || value.len == 0)
        return control_fail(call, ERR_SYNTAX, "bad_match",
                            "write for example provider:google or sender:@example.org",
                            "\"%.*s\" does not say whom the rule concerns; words are domain: site: "
                            "provider: sender: account: source: lane:",
                            STR_ARG(str_head(text, 60)));
    if (rule->values[fact].len)
        return control_fail(call, ERR_SYNTAX, "bad_match", "make two rules",
                            "%s: stands there twice", standing_fact_name(fact));
    rule->values[fact] = value;
    return OK;
}

static enum err
read_extras(struct control_call *call, struct standing_rule *rule)
{
    str rate = json_get_text(call->args, "rate");
    str to = json_get_text(call->args, "to");
    str level = json_get_text(call->args, "level");
    struct relay_target target;
    enum err e = OK;

    if (rule->kind == STANDING_SLOW &&
        !standing_rate_parse(rate, &rule->rate_count, &rule->rate_period))
        return control_fail(call, ERR_SYNTAX, "bad_rate", "write for example --rate 10/m or 3/10s",
                            "a rule that slows needs a rate, and \"%.*s\" is none", STR_ARG(rate));
    if (rule->kind != STANDING_SLOW && rate.len)
        return control_fail(call, ERR_SYNTAX, "bad_rate", "use 'outpost rule add slow'",
                            "only a rule that slows has a rate");
    if (level.len && !standing_level_parse(level, &rule->level))
        return control_fail(call, ERR_SYNTAX, "bad_level", "write --level require, verify or plain",
                            "\"%.*s\" is no level of TLS", STR_ARG(str_head(level, 40)));
    if (to.len)
        e = relay_parse_url(&call->arena, to, &target, &call->why);
    if (e)
        return control_failed(call, e);
    rule->route = to;
    return OK;
}

static enum err
read_rule(struct control_call *call, struct standing_rule *rule)
{
    const struct json *matches = json_get(call->args, "matches");
    str kind = json_get_text(call->args, "kind");
    int64_t time = json_get_int(call->args, "for_ms");
    enum err e = OK;

    *rule = (struct standing_rule){ .reason = json_get_text(call->args, "reason"),
                                    .actor = call->actor.len ? call->actor : S("unknown") };
    if (!standing_kind_parse(kind, &rule->kind))
        return control_fail(call, ERR_SYNTAX, "unknown_kind",
                            "the kinds are hold, suspend, bounce, slow, reroute and tls",
                            "\"%.*s\" is no kind of rule", STR_ARG(kind));
    for (const struct json *at = matches ? matches->first : NULL; at && !e; at = at->next)
        e = read_match(call, at->text, rule);
    if (!e)
        e = read_extras(call, rule);
    if (time <= 0 || time > STANDING_TIME_MAX / MILLISECONDS(1))
        time = HOURS(1) / MILLISECONDS(1);
    rule->until = clock_now() + MILLISECONDS(time);
    return e;
}

static void
put_rule(struct json_writer *writer, const struct standing_rule *rule, str words)
{
    json_put_int(writer, "id", rule->id);
    json_put_text(writer, "kind", str_from(standing_kind_name(rule->kind)));
    json_put_text(writer, "rule", words);
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (rule->values[i].len)
            json_put_text(writer, standing_fact_name(i), rule->values[i]);
    if (rule->rate_count) {
        json_put_int(writer, "rate_count", rule->rate_count);
        json_put_int(writer, "rate_period_ms", rule->rate_period / MILLISECONDS(1));
    }
    if (rule->route.len)
        json_put_text(writer, "to", rule->route);
    if (rule->level)
        json_put_text(writer, "level", str_from(standing_level_name(rule->level)));
    json_put_text(writer, "reason", rule->reason);
    json_put_text(writer, "actor", rule->actor);
    json_put_bool(writer, "by_engine", rule->by_engine);
    json_put_time(writer, "made", rule->made);
    json_put_time(writer, "until", rule->until);
    json_put_int(writer, "hits", (int64_t)rule->hits);
}

WAITS static enum err
run_add(struct control_call *call)
{
    struct standing_rule rule;
    uint32_t id = 0;
    str words = S("");
    enum err e = read_rule(call, &rule);

    if (e)
        return e;
    if (!standing_describe(&rule, &call->arena, &words))
        return control_failed(call, ERR_LIMIT);
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s (not done: --dry-run)", STR_ARG(words));
        return OK;
    }
    e = queue_rule_add(call->context->queue, &rule, &id, &call->why);
    if (e)
        return control_failed(call, e);
    json_put_int(&call->answer, "id", id);
    json_put_time(&call->answer, "until", rule.until);
    control_say(call, "rule %u: %.*s; it ends by itself, or with: outpost rule rm %u", id,
                STR_ARG(words), id);
    return OK;
}

/* All rules, or the one with the number ID (0: all). */
WAITS static enum err
put_rules(struct control_call *call, uint32_t id, bool *any)
{
    struct standing_rule *rules;
    size_t count = 0;
    enum err e = queue_rule_list(call->context->queue, &call->arena, &rules, &count);

    if (e)
        return control_failed(call, e);
    *any = false;
    for (size_t i = 0; i < count && !e; i++) {
        str words = S("");
        if (id && rules[i].id != id)
            continue;
        *any = true;
        if (!standing_describe(&rules[i], &call->arena, &words))
            return control_failed(call, ERR_LIMIT);
        put_rule(control_row(call), &rules[i], words);
        e = control_row_end(call);
    }
    return e;
}

WAITS static enum err
run_list(struct control_call *call)
{
    bool any;

    return put_rules(call, 0, &any);
}

static enum err
no_such_rule(struct control_call *call, int64_t id)
{
    return control_fail(call, ERR_NOT_FOUND, "no_such_rule", "'outpost rule list' shows them",
                        "there is no rule %lld", (long long)id);
}

WAITS static enum err
run_show(struct control_call *call)
{
    int64_t id = json_get_int(call->args, "id");
    bool any = false;
    enum err e;

    if (id <= 0 || id > STANDING_ID_MAX)
        return no_such_rule(call, id);
    e = put_rules(call, (uint32_t)id, &any);
    return e || any ? e : no_such_rule(call, id);
}

WAITS static enum err
run_rm(struct control_call *call)
{
    int64_t id = json_get_int(call->args, "id");
    enum err e;

    if (id <= 0 || id > STANDING_ID_MAX)
        return no_such_rule(call, id);
    e = queue_rule_remove(call->context->queue, (uint32_t)id);
    if (e == ERR_NOT_FOUND)
        return no_such_rule(call, id);
    if (e)
        return control_failed(call, e);
    control_say(call, "rule %lld is gone, and what it kept is due", (long long)id);
    return OK;
}

/* clang-format off */
const struct control_command control_rule[] = {
    /* name            what it does  needs                       arguments */
    { "rule.add",      run_add,      CONTROL_NEEDS_SERVER },  /* kind matches for_ms rate to level reason dry_run */
    { "rule.list",     run_list,     CONTROL_NEEDS_SERVER },
    { "rule.show",     run_show,     CONTROL_NEEDS_SERVER },  /* id */
    { "rule.rm",       run_rm,       CONTROL_NEEDS_SERVER },  /* id */
    { NULL, NULL, 0 },
};
/* clang-format on */
