/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure.c: what a connection must prove, and what it proved; start reading at attempt_secure().
 *
 * DANE (RFC 7672): where MX, address and TLSA records all come with DNSSEC, the records say which
 * certificate is the host's; then nothing less will do.  Whoever can forge our DNS answers, or keep
 * them from us, cannot take this away: an answer that fails to come is a failure of the host.
 */
#include "delivery/secure/secure.h"

#include "delivery/attempt.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "trust/tlsa.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
secure_result_name(enum secure_result result)
{
    static const char *const names[] = {
        [SECURE_FINE] = "",
        [SECURE_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [SECURE_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [SECURE_CERTIFICATE_EXPIRED] = "certificate-expired",
        [SECURE_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [SECURE_VALIDATION_FAILURE] = "validation-failure",
        [SECURE_TLSA_INVALID] = "tlsa-invalid",
        [SECURE_DNSSEC_INVALID] = "dnssec-invalid",
        [SECURE_DANE_REQUIRED] = "dane-required",
        [SECURE_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
        [SECURE_STS_POLICY_INVALID] = "sts-policy-invalid",
        [SECURE_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
        [SECURE_NO_SESSION] = "",
    };

    return names[result];
}

const char *
secure_by_name(enum secure_by by)
{
    static const char *const names[] = {
        [SECURE_BY_NOTHING] = "nothing", [SECURE_BY_CONFIG] = "config", [SECURE_BY_RELAY] = "relay",
        [SECURE_BY_STS] = "sts",         [SECURE_BY_DANE] = "dane",     [SECURE_BY_RULE] = "rule",
        [SECURE_BY_MESSAGE] = "message",
    };

    return names[by];
}

const char *
secure_verified_name(enum secure_verified verified)
{
    static const char *const names[] = {
        [SECURE_UNVERIFIED_CLEAR] = "none", [SECURE_UNVERIFIED_OPPORTUNISTIC] = "opportunistic",
        [SECURE_VERIFIED_PKIX] = "pkix",    [SECURE_VERIFIED_RELAY] = "relay",
        [SECURE_VERIFIED_STS] = "sts",      [SECURE_VERIFIED_DANE] = "dane",
        [SECURE_VERIFIED_RULE] = "rule",    [SECURE_VERIFIED_MESSAGE] = "message",
    };

    return names[verified];
}

/* --- The plan. */

static void
say(struct secure_plan *plan, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(plan->why, sizeof(plan->why), format, args);
    va_end(args);
}

static void
demand(struct secure_plan *plan, enum secure_demand demanded, enum secure_by by)
{
    plan->demand = plan->enforced = demanded;
    plan->by = by;
    plan->observed = false;
}

static enum secure_demand
demand_of(enum relay_tls tls, enum relay_verify verify)
{
    switch (tls) {
    case RELAY_TLS_OFF:
        return SECURE_PLAIN;
    case RELAY_TLS_MAY:
        return SECURE_MAY;
    default:
        return verify == RELAY_VERIFY_ON ? SECURE_NAME : SECURE_TLS;
    }
}

/* Where nobody else says anything. */
static void
begin_plan(const struct attempt *a, const struct route_host *host,
           const struct smtp_client_options *options, struct secure_plan *plan)
{
    bool is_relay = a->route.kind == ROUTE_RELAY;
    bool verify = is_relay && options->verify == RELAY_VERIFY_ON;

    *plan = (struct secure_plan){
        .domain = is_relay ? a->route.relay.host : a->route.domain,
        .host = host->name,
        .base = host->name,
    };
    if (is_relay) {
        bool always = options->implicit_tls || options->user.len;
        demand(plan, demand_of(always ? RELAY_TLS_REQUIRE : options->tls, options->verify),
               SECURE_BY_RELAY);
        say(plan, "the URL of the relay asks for %s",
            options->tls == RELAY_TLS_OFF && !always ? "no TLS"
            : verify                                 ? "TLS and a certificate for the name"
            : plan->demand == SECURE_TLS             ? "TLS"
                                                     : "TLS where it is offered");
        return;
    }
    demand(plan, demand_of(options->tls, RELAY_VERIFY_OFF),
           options->tls == RELAY_TLS_MAY ? SECURE_BY_NOTHING : SECURE_BY_CONFIG);
    if (options->tls == RELAY_TLS_MAY)
        say(plan, "nothing asks for more than TLS where it is offered");
    else
        say(plan, "delivery.tls is %s", options->tls == RELAY_TLS_OFF ? "off" : "require");
}

/* Whether the DNS promised, with its signature, where this host is. */
static bool
can_promise(const struct attempt *a, const struct route_host *host)
{
    return a->route.kind == ROUTE_MX && host->secure && a->runner->config->delivery.dane &&
           a->runner->config->delivery.tls != RELAY_TLS_OFF;
}

static void
no_answer(str name, const struct dns_answer *answer, struct secure_plan *plan)
{
    demand(plan, SECURE_TLSA, SECURE_BY_DANE);
    plan->refused = SECURE_DNSSEC_INVALID;
    say(plan, "the TLSA records of %.*s cannot be had: %s", STR_ARG(name),
        answer->status == DNS_BOGUS ? "the answer fails its DNSSEC check" : "no answer came");
}

static enum err
use_records(struct attempt *a, const struct dns_answer *answer, struct secure_plan *plan)
{
    struct tlsa_set *set = arena_new(&a->runner->arena, struct tlsa_set);

    if (!set)
        return ERR_LIMIT;
    tlsa_usable(answer->records, answer->count, set);
    plan->tlsa = set;
    demand(plan, set->count ? SECURE_TLSA : SECURE_TLS, SECURE_BY_DANE);
    if (set->count == 0)
        plan->noted = SECURE_TLSA_INVALID;
    say(plan,
        set->count ? "the TLSA records of %.*s name its certificate"
                   : "the TLSA records of %.*s promise TLS, but none of them can be used",
        STR_ARG(plan->base));
    return OK;
}

/* The records of BASE; none changes nothing. */
WAITS static enum err
ask_at(struct attempt *a, str base, uint16_t port, struct secure_plan *plan)
{
    instant deadline = deadline_in(a->runner->config->dns.timeout);
    struct dns_answer answer;
    str name;
    enum err e;

    if (!arena_printf(&a->runner->arena, &name, "_%u._tcp.%.*s", port, STR_ARG(base)))
        return ERR_LIMIT;
    e = dns_lookup(&a->runner->arena, name, DNS_TLSA, deadline, &answer);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    if (answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS) {
        no_answer(base, &answer, plan);
    } else if (answer.status == DNS_FOUND && answer.secure) {
        plan->base = base;
        return use_records(a, &answer, plan);
    }
    return OK;
}

/* RFC 7672 2.2.2: the name behind the host's CNAME goes before its own. */
WAITS static enum err
ask_for_records(struct attempt *a, const struct route_host *host, struct secure_plan *plan)
{
    enum err e = OK;

    if (!can_promise(a, host))
        return OK;
    if (host->canonical.len)
        e = ask_at(a, host->canonical, host->endpoint.port, plan);
    if (!e && plan->by != SECURE_BY_DANE)
        e = ask_at(a, host->name, host->endpoint.port, plan);
    return e;
}

/* The plan as the client understands it.  What a relay's URL says is in OPTIONS already. */
static void
apply(const struct secure_plan *plan, struct smtp_client_options *options)
{
    if (plan->by == SECURE_BY_RELAY)
        return;
    options->tls = plan->enforced == SECURE_PLAIN ? RELAY_TLS_OFF
                   : plan->enforced == SECURE_MAY ? RELAY_TLS_MAY
                                                  : RELAY_TLS_REQUIRE;
    options->verify = plan->enforced == SECURE_NAME ? RELAY_VERIFY_ON : RELAY_VERIFY_OFF;
    options->san_only = plan->enforced == SECURE_NAME; /* RFC 8461 4.1 */
    if (plan->enforced != SECURE_TLSA)
        return;
    options->tlsa = plan->tlsa ? plan->tlsa->items : NULL;
    options->tlsa_count = plan->tlsa ? plan->tlsa->count : 0;
    options->also_named = plan->domain;
    options->host = plan->base; /* RFC 7672 3.2.2, 8.1: also for SNI. */
}

/* The operator knows better than the records, and answers for it. */
static void
by_rule(const struct standing_verdict *rule, struct secure_plan *plan)
{
    demand(plan,
           rule->level == LEVEL_PLAIN    ? SECURE_PLAIN
           : rule->level == LEVEL_VERIFY ? SECURE_NAME
                                         : SECURE_TLS,
           SECURE_BY_RULE);
    plan->refused = plan->noted = SECURE_FINE;
    say(plan, "rule %u (tls %s): %s", rule->rule, standing_level_name(rule->level), rule->reason);
}

/* What is known without asking the DNS about the host. */
static void
by_others(struct attempt *a, struct secure_plan *plan)
{
    if (a->sts)
        secure_by_sts(a->sts, plan);
    if (a->tls_rule)
        by_rule(a->tls_rule, plan);
    require_plan(a, plan);
}

WAITS enum err
attempt_secure(struct attempt *a, const struct route_host *host,
               struct smtp_client_options *options, struct secure_plan *plan)
{
    enum err e;

    begin_plan(a, host, options, plan);
    e = ask_for_records(a, host, plan);
    if (e)
        return e;
    by_others(a, plan);
    apply(plan, options);
    return OK;
}

/* --- The outcome. */

static enum secure_result
result_of_fault(enum tls_fault fault)
{
    switch (fault) {
    case TLS_FAULT_NONE:
        return SECURE_FINE;
    case TLS_FAULT_NAME:
        return SECURE_CERTIFICATE_HOST_MISMATCH;
    case TLS_FAULT_DATES:
        return SECURE_CERTIFICATE_EXPIRED;
    case TLS_FAULT_ISSUER:
        return SECURE_CERTIFICATE_NOT_TRUSTED;
    default:
        return SECURE_VALIDATION_FAILURE;
    }
}

enum secure_result
secure_result_of(const struct smtp_failure *failure)
{
    switch (failure->stage) {
    case SMTP_STAGE_STARTTLS:
        return SECURE_STARTTLS_NOT_SUPPORTED;
    case SMTP_STAGE_TLS:
        return failure->tls_fault ? result_of_fault(failure->tls_fault) : SECURE_VALIDATION_FAILURE;
    default:
        return SECURE_NO_SESSION;
    }
}

static enum secure_verified
verified_by(const struct secure_plan *plan, const struct secure_outcome *outcome)
{
    if (!outcome->has_tls)
        return SECURE_UNVERIFIED_CLEAR;
    if (outcome->by_dane)
        return SECURE_VERIFIED_DANE;
    if (!outcome->named)
        return SECURE_UNVERIFIED_OPPORTUNISTIC;
    if (plan->demand < SECURE_NAME)
        return SECURE_VERIFIED_PKIX;
    switch (plan->by) {
    case SECURE_BY_STS:
        return SECURE_VERIFIED_STS;
    case SECURE_BY_RELAY:
        return SECURE_VERIFIED_RELAY;
    case SECURE_BY_RULE:
        return SECURE_VERIFIED_RULE;
    case SECURE_BY_MESSAGE:
        return SECURE_VERIFIED_MESSAGE;
    default:
        return SECURE_VERIFIED_PKIX;
    }
}

static void
copy(char *to, size_t size, str from)
{
    from = str_head(from, size - 1);
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

static void
see_connection(const struct smtp_client *client, const struct secure_plan *plan,
               struct secure_outcome *outcome)
{
    const struct tls_info *tls = smtp_client_tls(client);

    outcome->connected = true;
    outcome->peer = *smtp_client_peer(client);
    outcome->local = *smtp_client_local(client);
    if (!tls) {
        if (!outcome->result && plan->demand != SECURE_PLAIN)
            outcome->result = SECURE_STARTTLS_NOT_SUPPORTED;
        return;
    }
    outcome->has_tls = true;
    outcome->named = tls->verified && !tls->by_dane;
    outcome->by_dane = tls->verified && tls->by_dane;
    outcome->by_anchor = tls->by_anchor;
    outcome->verified = verified_by(plan, outcome);
    copy(outcome->version, sizeof(outcome->version), str_from(tls->version));
    copy(outcome->cipher, sizeof(outcome->cipher), str_from(tls->cipher));
    if (!tls->verified && plan->demand >= SECURE_NAME) {
        outcome->result = result_of_fault(tls->fault);
        (void)snprintf(outcome->why, sizeof(outcome->why), "the certificate of %.*s: %s",
                       STR_ARG(str_head(plan->host, 120)), tls->verify_text);
    }
}

void
secure_conclude(struct attempt *a, const struct secure_plan *plan, const struct route_host *host,
                const struct smtp_failure *broken, struct secure_outcome *outcome)
{
    const struct smtp_failure *failure = broken ? broken : &a->failure;

    *outcome = (struct secure_outcome){
        .demand = plan->demand,
        .by = plan->by,
        .requires = plan->requires,
        .result = plan->refused ? plan->refused : plan->noted,
        .peer = host->endpoint,
        .records = !plan->tlsa         ? SECURE_PLAIN
                   : plan->tlsa->count ? SECURE_TLSA
                                       : SECURE_TLS,
    };
    copy(outcome->domain, sizeof(outcome->domain), plan->domain);
    copy(outcome->host, sizeof(outcome->host), plan->host);
    copy(outcome->why, sizeof(outcome->why), str_from(plan->why));
    if (!plan->refused && (broken || !a->runner->client)) {
        outcome->result = secure_result_of(failure);
        copy(outcome->why, sizeof(outcome->why), str_from(failure->why.text));
    }
    if (a->runner->client)
        see_connection(a->runner->client, plan, outcome);
}

static bool
is_domain(const struct secure_outcome *proved, const struct secure_plan *plan)
{
    return str_eq_nocase(str_from(proved->domain), plan->domain);
}

bool
secure_is_enough(const struct secure_outcome *proved, const struct secure_plan *plan)
{
    if (plan->refused || !str_eq_nocase(str_from(proved->host), plan->host))
        return false;
    switch (plan->enforced) {
    case SECURE_PLAIN:
        return true;
    case SECURE_MAY: /* Clear text for a rule's sake is not for others. */
        return proved->has_tls || proved->demand != SECURE_PLAIN;
    case SECURE_TLS:
        return proved->has_tls;
    case SECURE_NAME:
        return proved->named;
    case SECURE_TLSA:
        return proved->by_dane && (!proved->by_anchor || is_domain(proved, plan));
    }
    return false;
}

void
secure_restate(struct secure_outcome *outcome, const struct secure_plan *plan)
{
    if (!is_domain(outcome, plan))
        copy(outcome->domain, sizeof(outcome->domain), plan->domain);
    else if (outcome->by == plan->by && outcome->demand == plan->demand)
        return;
    outcome->by = plan->by;
    outcome->demand = plan->demand;
    outcome->verified = verified_by(plan, outcome);
    outcome->result = plan->noted;
    copy(outcome->why, sizeof(outcome->why), str_from(plan->why));
}

bool
secure_goes_on(struct attempt *a)
{
    struct secure_outcome *proved = &a->runner->client_secure;
    struct route_host host = { .name = a->runner->client_host };
    struct smtp_client_options options = { .tls = a->runner->config->delivery.tls };
    struct secure_plan *plan = &a->plan;

    a->mx_secure = proved->requires; /* Then that was proven, too. */
    begin_plan(a, &host, &options, plan);
    if (proved->records) {
        demand(plan, proved->records, SECURE_BY_DANE);
        say(plan, "the host has TLSA records");
    }
    by_others(a, plan);
    if (!secure_is_enough(proved, plan))
        return false;
    secure_restate(proved, plan);
    return true;
}
