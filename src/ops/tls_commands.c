/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_commands.c: what is known of the MTA-STS policies of other domains (delivery/secure/sts_cache.h).
 *
 * The table at the end names the commands and the arguments that they read.
 */
#include "delivery/queue/queue.h"
#include "delivery/secure/sts_cache.h"
#include "ops/control_call.h"
#include "runtime/clock.h"

static void
put_policy(struct json_writer *writer, const struct sts_known *known)
{
    const struct sts_policy *policy = &known->policy;

    json_put_text(writer, "mode", str_from(sts_mode_name(policy->mode)));
    json_put_text(writer, "policy_id", str_from(known->id));
    json_begin_array(writer, "mx");
    for (size_t i = 0; i < policy->pattern_count; i++)
        json_put_text(writer, NULL, policy->patterns[i]);
    json_end_array(writer);
    json_put_int(writer, "max_age_s", policy->max_age / SECONDS(1));
    json_put_time(writer, "fetched", known->fetched);
    json_put_time(writer, "expires", known->expires);
}

static void
put_known(struct json_writer *writer, const struct sts_known *known)
{
    json_put_text(writer, "domain", known->domain);
    if (known->has_policy)
        put_policy(writer, known);
    json_put_time(writer, "asked", known->asked);
    if (known->failure)
        json_put_text(writer, "failure", str_from(secure_result_name(known->failure)));
    if (known->why[0])
        json_put_text(writer, "text", str_from(known->why));
}

WAITS static enum err
run_list(struct control_call *call)
{
    struct sts_known *list;
    size_t count;
    enum err e = sts_cache_list(queue_sts(call->context->queue), &call->arena, &list, &count);

    if (e)
        return control_failed(call, e);
    for (size_t i = 0; i < count && !e; i++) {
        put_known(control_row(call), &list[i]);
        e = control_row_end(call);
    }
    return e;
}

static enum err
nothing_known(struct control_call *call, str domain)
{
    return control_fail(call, ERR_NOT_FOUND, "not_known",
                        "'outpost test route' with an address of the domain asks for its policy",
                        "nothing is known of an MTA-STS policy of %.*s: no mail went there lately",
                        STR_ARG(domain));
}

WAITS static enum err
run_show(struct control_call *call)
{
    struct sts_known *known = arena_new(&call->arena, struct sts_known);
    str domain;
    enum err e = control_need_domain(call, &domain);

    if (e)
        return e;
    if (!known)
        return control_failed(call, ERR_LIMIT);
    if (!sts_cache_look(queue_sts(call->context->queue), &call->arena, domain, known))
        return nothing_known(call, domain);
    put_known(control_row(call), known);
    return control_row_end(call);
}

WAITS static enum err
run_forget(struct control_call *call)
{
    str domain;
    enum err e = control_need_domain(call, &domain);

    if (e)
        return e;
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "the policy of %.*s is to be forgotten (not done: --dry-run)",
                    STR_ARG(domain));
        return OK;
    }
    e = sts_cache_forget(queue_sts(call->context->queue), domain);
    if (e == ERR_NOT_FOUND)
        return nothing_known(call, domain);
    if (e)
        return control_failed(call, e);
    control_say(call, "the policy of %.*s is forgotten; the next mail there asks for it anew",
                STR_ARG(domain));
    return OK;
}

/* clang-format off */
const struct control_command control_tls[] = {
    /* name          what it does  needs                       arguments */
    { "tls.list",    run_list,     CONTROL_NEEDS_SERVER },
    { "tls.show",    run_show,     CONTROL_NEEDS_SERVER },  /* domain */
    { "tls.forget",  run_forget,   CONTROL_NEEDS_SERVER },  /* domain reason dry_run */
    { NULL, NULL, 0 },
};
/* clang-format on */
