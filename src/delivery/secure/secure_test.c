/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure_test.c: who decides what a connection must prove, and which connections will do. */
#include "delivery/attempt.h"

#include "check.h"

static struct secure_plan
plan_of(enum secure_demand demand, enum secure_by by)
{
    return (struct secure_plan){ .demand = demand,
                                 .enforced = demand,
                                 .by = by,
                                 .domain = S("far.example"),
                                 .host = S("mx.far.example") };
}

static str patterns[] = { { "*.far.example", 13 } };

static struct sts_known
known_of(enum sts_mode mode)
{
    return (struct sts_known){
        .has_policy = true,
        .policy = { .mode = mode, .patterns = patterns, .pattern_count = 1 },
    };
}

static void
a_policy_under_enforce_demands_a_named_host(void)
{
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    struct sts_known known = known_of(STS_ENFORCE);

    secure_by_sts(&known, &plan);
    CHECK(plan.demand == SECURE_NAME && plan.enforced == SECURE_NAME);
    CHECK(plan.by == SECURE_BY_STS && !plan.observed && !plan.refused && plan.sts == &known);
    plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    plan.host = S("mx.other.example");
    secure_by_sts(&known, &plan);
    CHECK(plan.refused == SECURE_VALIDATION_FAILURE && plan.by == SECURE_BY_STS);
    CHECK(str_find_str(str_from(plan.why), S("does not name the host mx.other.example")) > 0);
}

static void
under_testing_what_fails_is_noted_and_nothing_is_kept_back(void)
{
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    struct sts_known known = known_of(STS_TESTING);

    plan.host = S("mx.other.example");
    secure_by_sts(&known, &plan);
    CHECK(plan.observed && plan.enforced == SECURE_MAY && !plan.refused);
    CHECK(plan.noted == SECURE_VALIDATION_FAILURE);
    /* What the administrator demands stays. */
    plan = plan_of(SECURE_TLS, SECURE_BY_CONFIG);
    secure_by_sts(&known, &plan);
    CHECK(plan.observed && plan.enforced == SECURE_TLS && plan.demand == SECURE_NAME);
}

static void
no_policy_changes_nothing_and_its_failure_is_noted(void)
{
    struct secure_plan plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    struct sts_known known = known_of(STS_NONE);

    secure_by_sts(&known, &plan);
    CHECK(plan.demand == SECURE_MAY && plan.by == SECURE_BY_NOTHING && !plan.noted);
    plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    known = (struct sts_known){ .failure = SECURE_STS_WEBPKI_INVALID, .why = "expired" };
    secure_by_sts(&known, &plan);
    CHECK(plan.demand == SECURE_MAY && plan.noted == SECURE_STS_WEBPKI_INVALID && !plan.sts);
    CHECK(str_find_str(str_from(plan.why), S("expired")) > 0);
}

static void
what_dane_demands_or_refuses_stays(void)
{
    struct secure_plan plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    struct sts_known known = known_of(STS_ENFORCE);

    secure_by_sts(&known, &plan);
    CHECK(plan.demand == SECURE_TLSA && plan.by == SECURE_BY_DANE);
    plan.refused = SECURE_DNSSEC_INVALID;
    secure_by_sts(&known, &plan);
    CHECK(plan.refused == SECURE_DNSSEC_INVALID && plan.by == SECURE_BY_DANE);
    /* Records that cannot be used leave the name to the policy. */
    plan = plan_of(SECURE_TLS, SECURE_BY_DANE);
    secure_by_sts(&known, &plan);
    CHECK(plan.demand == SECURE_NAME && plan.by == SECURE_BY_STS);
}

static struct secure_outcome
proof(bool has_tls, bool named, bool by_dane)
{
    return (struct secure_outcome){ .connected = true,
                                    .has_tls = has_tls,
                                    .named = named,
                                    .by_dane = by_dane,
                                    .demand = SECURE_MAY,
                                    .domain = "far.example",
                                    .host = "mx.far.example" };
}

static bool
will_do(struct secure_outcome proved, enum secure_demand demanded)
{
    struct secure_plan plan = plan_of(demanded, SECURE_BY_NOTHING);

    return secure_is_enough(&proved, &plan);
}

static void
a_connection_serves_plans_that_demand_no_more_than_it_proved(void)
{
    struct secure_outcome clear = proof(false, false, false);
    struct secure_outcome any = proof(true, false, false);
    struct secure_outcome named = proof(true, true, false);
    struct secure_outcome dane = proof(true, false, true);

    CHECK(will_do(clear, SECURE_PLAIN) && will_do(clear, SECURE_MAY) &&
          !will_do(clear, SECURE_TLS));
    CHECK(!will_do(clear, SECURE_NAME) && !will_do(clear, SECURE_TLSA));
    CHECK(will_do(any, SECURE_TLS) && !will_do(any, SECURE_NAME) && !will_do(any, SECURE_TLSA));
    CHECK(will_do(named, SECURE_TLS) && will_do(named, SECURE_NAME) &&
          !will_do(named, SECURE_TLSA));
    CHECK(will_do(dane, SECURE_TLSA) && !will_do(dane, SECURE_NAME));
    /* What is only observed asks for nothing. */
    CHECK(secure_is_enough(&clear, &(struct secure_plan){ .demand = SECURE_NAME,
                                                          .enforced = SECURE_MAY,
                                                          .observed = true,
                                                          .host = S("mx.far.example") }));
    /* What was sent in the clear for a rule's sake. */
    clear.demand = SECURE_PLAIN;
    CHECK(!will_do(clear, SECURE_MAY) && will_do(clear, SECURE_PLAIN));
}

static void
a_connection_serves_the_same_host_alone(void)
{
    struct secure_outcome named = proof(true, true, false);
    struct secure_outcome dane = proof(true, false, true);
    struct secure_plan plan = plan_of(SECURE_NAME, SECURE_BY_STS);

    plan.domain = S("near.example");
    CHECK(secure_is_enough(&named, &plan));
    plan.host = S("mx2.far.example");
    CHECK(!secure_is_enough(&named, &plan));
    plan.host = S("mx.far.example");
    plan.refused = SECURE_VALIDATION_FAILURE;
    CHECK(!secure_is_enough(&named, &plan));
    /* The names that DANE-TA was content with were those of one domain. */
    plan = plan_of(SECURE_TLSA, SECURE_BY_DANE);
    dane.by_anchor = true;
    CHECK(secure_is_enough(&dane, &plan));
    plan.domain = S("near.example");
    CHECK(!secure_is_enough(&dane, &plan));
}

static void
a_connection_is_told_anew_for_another_plan(void)
{
    struct secure_outcome named = proof(true, true, false);
    struct secure_plan plan = plan_of(SECURE_NAME, SECURE_BY_STS);

    plan.domain = S("near.example");
    secure_restate(&named, &plan);
    CHECK(named.verified == SECURE_VERIFIED_STS && named.by == SECURE_BY_STS);
    CHECK_STR(str_from(named.domain), "near.example");
    plan = plan_of(SECURE_MAY, SECURE_BY_NOTHING);
    secure_restate(&named, &plan);
    CHECK(named.verified == SECURE_VERIFIED_PKIX);
}

static void
every_result_and_way_has_a_name(void)
{
    for (int i = SECURE_STARTTLS_NOT_SUPPORTED; i < SECURE_NO_SESSION; i++)
        CHECK(secure_result_name((enum secure_result)i)[0] != '\0');
    for (int i = SECURE_UNVERIFIED_CLEAR; i <= SECURE_VERIFIED_MESSAGE; i++)
        CHECK(secure_verified_name((enum secure_verified)i)[0] != '\0');
    for (int i = SECURE_BY_NOTHING; i <= SECURE_BY_MESSAGE; i++)
        CHECK(secure_by_name((enum secure_by)i)[0] != '\0');
}

int
main(void)
{
    RUN(a_policy_under_enforce_demands_a_named_host);
    RUN(under_testing_what_fails_is_noted_and_nothing_is_kept_back);
    RUN(no_policy_changes_nothing_and_its_failure_is_noted);
    RUN(what_dane_demands_or_refuses_stays);
    RUN(a_connection_serves_plans_that_demand_no_more_than_it_proved);
    RUN(a_connection_serves_the_same_host_alone);
    RUN(a_connection_is_told_anew_for_another_plan);
    RUN(every_result_and_way_has_a_name);
    return check_end();
}
