/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* What a message asks of TLS changes the plan for a host, and which connections will do. */
#include "delivery/attempt.h"
#include "protocols/smtp/reply.h"

#include "check.h"

static struct attempt
attempt_of(enum tls_wish wish, enum route_kind kind)
{
    return (struct attempt){
        .envelope = { .tls_wish = wish },
        .route = { .kind = kind, .domain = S("far.example") },
    };
}

static struct secure_plan
plan_of(enum secure_demand demand, enum secure_by by)
{
    return (struct secure_plan){
        .demand = demand,
        .by = by,
        .domain = S("far.example"),
        .host = S("mx.far.example"),
        .why = "because",
    };
}

static void
hosts_that_nothing_proves_are_not_connected_to(void)
{
    struct attempt a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);

    require_plan(&a, &plan);
    CHECK(plan.refused == SECURE_NO_SESSION && plan.by == SECURE_BY_MESSAGE);
    CHECK(str_find_str(str_from(plan.why), S("hosts are those of far.example")) > 0);
    /* An operator's rule proves nothing either. */
    plan = plan_of(SECURE_NAME, SECURE_BY_RULE);
    require_plan(&a, &plan);
    CHECK(plan.refused == SECURE_NO_SESSION);
}

static void
hosts_that_dnssec_or_sts_proves_must_be_verified(void)
{
    struct attempt a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);

    a.mx_secure = true;
    require_plan(&a, &plan);
    CHECK(!plan.refused && plan.demand == SECURE_NAME && plan.by == SECURE_BY_MESSAGE);
    CHECK(plan.requires);
    /* TLSA records that cannot be used promise TLS alone. */
    plan = plan_of(SECURE_TLS, SECURE_BY_DANE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_NAME && plan.by == SECURE_BY_MESSAGE);
    plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_TLSA && plan.by == SECURE_BY_DANE && plan.requires);
    /* A policy that is only tested is enforced for this message. */
    a.mx_secure = false;
    plan = plan_of(SECURE_NAME, SECURE_BY_STS);
    plan.observed = true;
    require_plan(&a, &plan);
    CHECK(!plan.observed && plan.demand == SECURE_NAME && !plan.refused);
    /* "plain" for a host whose TLS is broken is not for this message. */
    a.mx_secure = true;
    plan = plan_of(SECURE_PLAIN, SECURE_BY_RULE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_NAME);
}

static void
what_the_administrator_names_is_proven_and_this_machine_needs_nothing(void)
{
    struct attempt a = attempt_of(TLS_REQUIRED, ROUTE_RELAY);
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_RELAY);

    a.route.relay = (struct relay_target){ .kind = RELAY_SMTP, .host = S("smtp.example.net") };
    require_plan(&a, &plan);
    CHECK(!plan.refused && plan.demand == SECURE_NAME && plan.by == SECURE_BY_MESSAGE);
    a.route.relay.mx = true;
    plan = plan_of(SECURE_MAY, SECURE_BY_RELAY);
    require_plan(&a, &plan);
    CHECK(plan.refused);
    a.route.relay = (struct relay_target){ .kind = RELAY_LMTP, .host = S("127.0.0.1") };
    plan = plan_of(SECURE_MAY, SECURE_BY_RELAY);
    require_plan(&a, &plan);
    CHECK(!plan.refused && plan.demand == SECURE_MAY && plan.requires);
    a.route.relay.host = S("192.0.2.7");
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_NAME);
}

static void
an_indifferent_message_ignores_the_domain_but_not_the_administrator(void)
{
    struct config config = { .delivery.tls = RELAY_TLS_MAY };
    struct runner runner = { .config = &config };
    struct attempt a = attempt_of(TLS_OPTIONAL, ROUTE_MX);
    struct secure_plan plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);

    a.runner = &runner;
    plan.refused = SECURE_DNSSEC_INVALID;
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_MAY && plan.by == SECURE_BY_MESSAGE && !plan.refused);
    plan = plan_of(SECURE_NAME, SECURE_BY_STS);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_MAY && plan.by == SECURE_BY_MESSAGE);
    plan = plan_of(SECURE_NAME, SECURE_BY_RULE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_NAME && plan.by == SECURE_BY_RULE);
    plan = plan_of(SECURE_TLS, SECURE_BY_CONFIG);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_TLS);
    /* Nor where the domain's policy stood before his word. */
    config.delivery.tls = RELAY_TLS_REQUIRE;
    plan = plan_of(SECURE_NAME, SECURE_BY_STS);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_TLS && plan.enforced == SECURE_TLS);
    plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_TLS && plan.enforced == SECURE_TLS && !plan.refused);
    a.envelope.tls_wish = TLS_AS_USUAL;
    plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    require_plan(&a, &plan);
    CHECK(plan.demand == SECURE_TLSA && plan.by == SECURE_BY_DANE && !plan.requires);
}

static void
a_kept_connection_is_used_only_for_what_it_was_made_for(void)
{
    static struct runner runner;
    struct attempt a = attempt_of(TLS_REQUIRED, ROUTE_MX);

    a.runner = &runner;
    runner.client_secure = (struct secure_outcome){ .verified = SECURE_VERIFIED_DANE,
                                                    .demand = SECURE_TLSA,
                                                    .domain = "far.example" };
    CHECK(!require_reuses(&a));
    runner.client_secure.requires = true;
    CHECK(require_reuses(&a));
    a.route.domain = S("other.example");
    CHECK(!require_reuses(&a));
    a.envelope.tls_wish = TLS_AS_USUAL;
    CHECK(require_reuses(&a));
    runner.client_secure = (struct secure_outcome){ .by = SECURE_BY_MESSAGE, .demand = SECURE_MAY };
    CHECK(!require_reuses(&a));
    runner.client_secure.demand = SECURE_TLS;
    CHECK(!require_reuses(&a));
    a.envelope.tls_wish = TLS_OPTIONAL;
    CHECK(require_reuses(&a));
}

static void
only_hosts_that_can_never_do_it_return_the_message(void)
{
    struct attempt a = attempt_of(TLS_REQUIRED, ROUTE_MX);

    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_STARTTLS };
    (void)require_note(&a, ERR_TLS);
    CHECK_STR(str_from(a.unmet), "5.7.10");
    CHECK(!a.may_be_met);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_EHLO };
    (void)require_note(&a, ERR_UNSUPPORTED);
    CHECK_STR(str_from(a.unmet), "5.7.30");
    CHECK(!a.may_be_met);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_CONNECT };
    (void)require_note(&a, ERR_UNREACHABLE);
    CHECK(a.may_be_met);
    CHECK(!require_returns(&a));
    a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_STARTTLS, .answer = { .code = 454 } };
    (void)require_note(&a, ERR_TLS);
    CHECK(!a.unmet && a.may_be_met);
    /* What broke on the way says nothing of the host: it comes back the next time. */
    a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_STARTTLS };
    (void)require_note(&a, ERR_CLOSED);
    CHECK(!a.unmet && a.may_be_met);
    a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_TLS, .tls_fault = TLS_FAULT_HANDSHAKE };
    (void)require_note(&a, ERR_TLS);
    CHECK(!a.unmet && a.may_be_met);
    a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_TLS, .tls_fault = TLS_FAULT_NAME };
    (void)require_note(&a, ERR_TLS);
    CHECK_STR(str_from(a.unmet), "5.7.10");
    /* A policy's refusal of one host is not the message's. */
    a = attempt_of(TLS_REQUIRED, ROUTE_MX);
    a.plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    a.plan.refused = SECURE_DNSSEC_INVALID;
    (void)require_note(&a, ERR_TLS);
    CHECK(!a.unmet && a.may_be_met);
    a = attempt_of(TLS_AS_USUAL, ROUTE_MX);
    a.failure = (struct smtp_failure){ .stage = SMTP_STAGE_STARTTLS };
    (void)require_note(&a, ERR_TLS);
    CHECK(!a.unmet);
}

int
main(void)
{
    RUN(hosts_that_nothing_proves_are_not_connected_to);
    RUN(hosts_that_dnssec_or_sts_proves_must_be_verified);
    RUN(what_the_administrator_names_is_proven_and_this_machine_needs_nothing);
    RUN(an_indifferent_message_ignores_the_domain_but_not_the_administrator);
    RUN(a_kept_connection_is_used_only_for_what_it_was_made_for);
    RUN(only_hosts_that_can_never_do_it_return_the_message);
    return check_end();
}
