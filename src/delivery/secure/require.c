/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* require.c: what the sender of a message wants of TLS.  RFC 8689.
 *
 * REQUIRETLS: the message goes only to a host of which DNSSEC or MTA-STS proves that it is one of
 * the domain's, whose certificate is verified, and that promises the same for the rest of the way.
 * Where no host of the domain is one, it goes back at once (4.2.1), and neither the host nor its
 * site has failed: others may have their mail taken there.  "TLS-Required: No": what a domain asks
 * for itself (DANE, MTA-STS) does not count; what the administrator asks for does.
 *
 * Mailboxes, programs of this machine and what listens on it are the end of the way.  Start reading
 * at require_plan().
 */
#include "delivery/attempt.h"
#include "protocols/smtp/reply.h"

#include <stdio.h>
#include <string.h>

static bool
is_required(const struct attempt *a)
{
    return a->envelope.tls_wish == TLS_REQUIRED;
}

/* Its server stores the mail: it hands nothing on. */
static bool
is_last_hop(const struct attempt *a)
{
    return a->route.kind == ROUTE_RELAY &&
           (a->route.relay.kind == RELAY_LMTP || a->route.relay.kind == RELAY_PIPE ||
            relay_is_http(&a->route.relay));
}

static bool
is_this_machine(const struct relay_target *relay)
{
    ipaddr addr;

    return !relay->host.len || str_eq_nocase(relay->host, S("localhost")) ||
           (ipaddr_parse(relay->host, &addr) && ipaddr_is_loopback(addr));
}

/* Whether it is known that the host is one of the domain's, whatever the DNS is made to say. */
static bool
is_proven(const struct attempt *a, const struct secure_plan *plan)
{
    if (a->route.kind == ROUTE_RELAY && !a->route.relay.mx)
        return true; /* The administrator names it. */
    if (a->mx_secure || (plan->by == SECURE_BY_STS && !plan->noted))
        return true;
    return plan->sts && plan->sts->policy.mode != STS_NONE &&
           sts_policy_names(&plan->sts->policy, plan->host);
}

static void
add_why(struct secure_plan *plan, const char *text)
{
    size_t len = strlen(plan->why);

    (void)snprintf(plan->why + len, sizeof(plan->why) - len, "%s", text);
}

static void
require(const struct attempt *a, struct secure_plan *plan)
{
    bool is_local = is_last_hop(a) && is_this_machine(&a->route.relay);

    plan->requires = true;
    if (is_local || plan->refused)
        return;
    if (!is_proven(a, plan)) {
        plan->refused = SECURE_NO_SESSION;
        plan->by = SECURE_BY_MESSAGE;
        (void)snprintf(plan->why, sizeof(plan->why),
                       "The sender demands TLS on the whole way (REQUIRETLS), but neither DNSSEC "
                       "nor MTA-STS proves which hosts are those of %.*s",
                       STR_ARG(str_head(plan->domain, 80)));
        return;
    }
    if (!plan->observed && (plan->demand == SECURE_NAME || plan->demand == SECURE_TLSA)) {
        add_why(plan, "; the sender demands the same on the whole way");
        return;
    }
    plan->demand = plan->enforced = SECURE_NAME;
    plan->by = SECURE_BY_MESSAGE;
    plan->observed = false;
    (void)snprintf(plan->why, sizeof(plan->why),
                   "the sender demands TLS on the whole way, with verified hosts (REQUIRETLS)");
}

/* 3: the recipient's policies, not ours: what stood before them stands again. */
static void
relax(const struct attempt *a, struct secure_plan *plan)
{
    bool always = a->runner->config->delivery.tls == RELAY_TLS_REQUIRE;

    if (plan->by != SECURE_BY_STS && plan->by != SECURE_BY_DANE)
        return;
    plan->demand = plan->enforced = always ? SECURE_TLS : SECURE_MAY;
    plan->by = SECURE_BY_MESSAGE;
    plan->observed = false;
    plan->refused = plan->noted = SECURE_FINE;
    plan->tlsa = NULL;
    (void)snprintf(plan->why, sizeof(plan->why),
                   "the message says that it may go without (TLS-Required: No)%s",
                   always ? ", and delivery.tls is require" : "");
}

void
require_plan(const struct attempt *a, struct secure_plan *plan)
{
    if (is_required(a))
        require(a, plan);
    else if (a->envelope.tls_wish == TLS_OPTIONAL)
        relax(a, plan);
}

bool
require_reuses(const struct attempt *a)
{
    const struct secure_outcome *proved = &a->runner->client_secure;
    str domain = a->route.kind == ROUTE_RELAY ? a->route.relay.host : a->route.domain;

    if (is_required(a))
    return proved->requires && str_eq_nocase(str_from(proved->domain), domain);
    /* What was relaxed for one message is not enough for another. */
    return proved->by != SECURE_BY_MESSAGE || proved->demand > SECURE_TLS ||
           a->envelope.tls_wish == TLS_OPTIONAL;
}

enum err
require_check(struct attempt *a)
{
    if (!is_required(a) || is_last_hop(a) ||
        smtp_client_capabilities(a->runner->client)->requiretls)
        return OK;
    a->failure = (struct smtp_failure){ .stage = SMTP_STAGE_EHLO };
    return err_why(&a->failure.why, ERR_UNSUPPORTED,
                   "%.*s does not offer REQUIRETLS, which the sender demands",
                   STR_ARG(str_head(a->plan.host, 120)));
}

/* A host that is down, or has TLS only later, may do another time; so may one with which the
 * connection broke before a certificate was seen. */
static bool
is_for_good(const struct attempt *a, enum err e)
{
    const struct smtp_failure *failure = &a->failure;

    if (a->plan.refused)
        return a->plan.by == SECURE_BY_MESSAGE;
    if (e != ERR_TLS || failure->answer.code / 100 == 4)
        return false;
    return failure->stage == SMTP_STAGE_STARTTLS ||
           (failure->stage == SMTP_STAGE_TLS && failure->tls_fault != TLS_FAULT_HANDSHAKE);
}

bool
require_note(struct attempt *a, enum err e)
{
    if (!is_required(a))
        return false;
    if (e == ERR_UNSUPPORTED && a->failure.stage == SMTP_STAGE_EHLO) {
        a->unmet = "5.7.30";
        return true;
    }
    if (!is_for_good(a, e)) {
        a->may_be_met = true;
        return false;
    }
    if (!a->unmet || a->plan.refused)
        a->unmet = a->plan.refused ? "5.7.30" : "5.7.10";
    return true;
}

bool
require_returns(struct attempt *a)
{
    if (!a->unmet || a->may_be_met)
        return false;
    attempt_all_results(a, OUTCOME_FAILED, 550, a->unmet,
                        attempt_text(&a->runner->arena, a->failure.why.text).ptr, 0);
    attempt_record(a);
    return true;
}

bool
require_allows_way(struct attempt *a)
{
    const struct relay_target *relay = &a->route.relay;

    if (!is_required(a) || is_this_machine(relay) || !relay_is_http(relay) ||
        (relay->kind == RELAY_HTTPS && relay->verify == RELAY_VERIFY_ON))
        return true;
    attempt_all_results(a, OUTCOME_FAILED, 550, "5.7.10",
                        "The sender demands TLS with a verified host (REQUIRETLS), which the way "
                        "to this web service has not",
                        0);
    attempt_record(a);
    return false;
}
