/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_rules_test.c: what standing rules do to mail that waits. */
#include "delivery/queue/queue_world.h"

#include "delivery/rules/standing.h"

static uint32_t
rule(struct world *world, enum standing_kind kind, enum standing_fact fact, const char *value)
{
    struct standing_rule made = {
        .kind = kind, .reason = S("test"), .actor = S("root"), .until = clock_now() + HOURS(1)
    };
    struct why why = {};
    uint32_t id = 0;

    made.values[fact] = str_from(value);
    if (kind == STANDING_SLOW)
        made.rate_count = 1, made.rate_period = MINUTES(1);
    if (kind == STANDING_REROUTE)
        made.route = S("smtp://198.51.100.2");
    CHECK(queue_rule_add(world->queue, &made, &id, &why) == OK);
    return id;
}

static uint64_t
in_state(struct world *world, const char *state)
{
    struct queue_entry *entries;
    struct queue_query query;
    struct arena arena;
    struct why why = {};
    size_t count = 0;
    bool more;

    arena_init(&arena, 10 << 20);
    CHECK(queue_query_parse(str_from(state), &query, &why) == OK);
    CHECK(queue_list(world->queue, &query, 1000, &arena, &entries, &count, &more) == OK);
    arena_done(&arena);
    return count;
}

static uint64_t
act(struct world *world, enum queue_verb verb, const char *text)
{
    struct queue_action action = { .verb = verb, .reason = S("test"), .actor = S("admin") };
    struct queue_query query;
    struct why why = {};
    uint64_t count = 0;

    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_act(world->queue, &query, &action, &count, NULL) == OK);
    sim_advance(SECONDS(2));
    return count;
}

static void
story_hold(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");
    uint32_t id = rule(world, STANDING_HOLD, FACT_DOMAIN, "there.example");

    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "carl@there.example dora@other.example", 0);
    sim_advance(SECONDS(5));
    CHECK(hop->connections == 0 && other->transactions == 1);
    CHECK(in_state(world, "state:held") == 2);
    CHECK(act(world, QUEUE_RELEASE, "to:bob") == 1);
    CHECK(hop->transactions == 1 && in_state(world, "state:held") == 1);
    CHECK(queue_rule_remove(world->queue, id) == OK);
    CHECK(queue_rule_remove(world->queue, id) == ERR_NOT_FOUND);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 2 && waiting(world) == 0 && spooled(world) == 0);
}

static void
held_mail_goes_when_its_rule_is_removed(void)
{
    in_world(story_hold, plain_config);
}

static void
story_site(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    rule(world, STANDING_HOLD, FACT_SITE, "mx.there.example");
    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(MINUTES(59));
    CHECK(hop->connections == 0 && in_state(world, "state:held") == 2);
    sim_advance(MINUTES(2));
    CHECK(hop->transactions == 2 && waiting(world) == 0);
}

static void
a_rule_for_a_site_is_asked_before_the_first_connection_and_ends_by_itself(void)
{
    in_world(story_site, plain_config);
}

static void
story_suspend(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    rule(world, STANDING_SUSPEND, FACT_SENDER, "@sender.example");
    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "you@else.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(hop->transactions == 1 && in_state(world, "state:scheduled") == 1);
    close_queue(world);
    open_queue(world); /* The rule was in memory only. */
    sim_advance(SECONDS(5));
    CHECK(hop->transactions == 2 && waiting(world) == 0);
    rule(world, STANDING_SUSPEND, FACT_SENDER, "me@sender.example");
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(59));
    CHECK(hop->transactions == 2);
    sim_advance(MINUTES(2));
    CHECK(hop->transactions == 3);
}

static void
a_suspended_sender_waits_until_the_rule_ends(void)
{
    in_world(story_suspend, plain_config);
}

static void
story_bounce(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    rule(world, STANDING_BOUNCE, FACT_DOMAIN, "there.example");
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(hop->connections == 0 && waiting(world) == 0);
    CHECK(back->transactions == 1 && heard(back, "Returned by the administrator: test"));
}

static void
a_rule_returns_mail_with_its_reason(void)
{
    in_world(story_bounce, plain_config);
}

static void
story_reroute(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");
    uint32_t id = rule(world, STANDING_REROUTE, FACT_SITE, "mx.there.example");

    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(MINUTES(5));
    CHECK(hop->connections == 0 && other->transactions == 1);
    CHECK(heard(other, "RCPT TO:<u451@there.example>"));
    CHECK(queue_rule_remove(world->queue, id) == OK);
    sim_advance(HOURS(2));
    CHECK(heard(hop, "RCPT TO:<u451@there.example>"));
}

static void
a_rule_moves_mail_to_another_next_hop(void)
{
    in_world(story_reroute, plain_config);
}

/* The hop to which a rule leads is dead, and its pause long by now; then the rule ends. */
static void
story_moved_to_a_dead_hop(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    uint32_t id = rule(world, STANDING_REROUTE, FACT_SITE, "mx.there.example");

    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(20));
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->connections == 0 && in_state(world, "state:ready to:carl") == 1);
    CHECK(queue_rule_remove(world->queue, id) == OK);
    sim_advance(SECONDS(5));
    CHECK(heard(hop, "RCPT TO:<carl@there.example>"));
}

static void
the_end_of_a_rule_brings_back_what_it_moved_to_a_dead_hop(void)
{
    in_world(story_moved_to_a_dead_hop, plain_config);
}

static void
story_expired_at_a_dead_hop(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct standing_rule made = { .kind = STANDING_REROUTE,
                                  .reason = S("test"),
                                  .actor = S("admin"),
                                  .route = S("smtp://198.51.100.2"),
                                  .until = clock_now() + MINUTES(21) };
    struct why why = {};
    uint32_t id;

    made.values[FACT_SITE] = S("mx.there.example");
    CHECK(queue_rule_add(world->queue, &made, &id, &why) == OK);
    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(20));
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(SECONDS(65));
    CHECK(heard(hop, "RCPT TO:<carl@there.example>"));
}

static void
so_does_its_expiry(void)
{
    in_world(story_expired_at_a_dead_hop, plain_config);
}

static void
story_slow(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    rule(world, STANDING_SLOW, FACT_DOMAIN, "there.example");
    for (unsigned i = 0; i < 4; i++)
        post(world, "me@sender.example", "bob@there.example carl@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(hop->transactions == 1 && hop->recipients == 2);
    sim_advance(SECONDS(57));
    CHECK(hop->transactions == 2);
    sim_advance(MINUTES(1));
    CHECK(hop->transactions == 3);
    CHECK(act(world, QUEUE_RETRY, "") == 2);
    CHECK(hop->transactions == 4 && waiting(world) == 0);
}

static void
a_slow_rule_lets_one_transaction_go_at_a_time(void)
{
    in_world(story_slow, plain_config);
}

static void
story_sweep(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->greets_421 = true;
    for (unsigned i = 0; i < 5; i++)
        post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    for (unsigned i = 0; i < 5; i++)
        post(world, i ? "me@sender.example" : "ann@else.example", "carl@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(in_state(world, "state:ready to:carl") == 5);
    rule(world, STANDING_HOLD, FACT_SENDER, "@sender.example");
    CHECK(in_state(world, "state:ready to:carl") == 1 &&
          in_state(world, "state:held to:carl") == 4);
    CHECK(in_state(world, "rule:1") >= 4);
}

static void
a_new_rule_takes_at_once_what_is_ready(void)
{
    in_world(story_sweep, plain_config);
}

static void
story_engine(struct world *world)
{
    struct standing_rule *rules;
    struct arena arena;
    size_t count;

    arena_init(&arena, 1 << 20);
    for (unsigned i = 1; i <= 3; i++)
        CHECK(queue_suspend_sender(world->queue, S("me@sender.example"), S(""), S("google"),
                                   clock_now() + HOURS(i), S("5.7.1 too many complaints")) == OK);
    CHECK(queue_rule_list(world->queue, &arena, &rules, &count) == OK && count == 1);
    CHECK(rules[0].by_engine && rules[0].until > clock_now() + HOURS(2));
    CHECK_STR(rules[0].reason, "5.7.1 too many complaints");
    sim_advance(HOURS(4));
    CHECK(queue_rule_list(world->queue, &arena, &rules, &count) == OK && count == 0);
    arena_done(&arena);
}

static void
the_engine_prolongs_the_rule_that_it_made(void)
{
    in_world(story_engine, plain_config);
}

static void
suspend_for_days(struct world *world, uint32_t *id)
{
    struct standing_rule made = { .kind = STANDING_SUSPEND,
                                  .reason = S("test"),
                                  .actor = S("root"),
                                  .until = clock_now() + DAYS(30),
                                  .values[FACT_DOMAIN] = S("there.example") };
    struct why why = {};

    CHECK(queue_rule_add(world->queue, &made, id, &why) == OK);
}

static void
story_late(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    uint32_t id;

    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(MINUTES(1));
    suspend_for_days(world, &id);
    sim_advance(DAYS(1));
    CHECK(times_heard(hop, "RCPT") == 1 && back->transactions == 1);
    CHECK(in_state(world, "rule:1") == 1);
    CHECK(queue_rule_remove(world->queue, id) == OK);
    sim_advance(SECONDS(5));
    CHECK(times_heard(hop, "RCPT") == 2);
}

static void
what_was_reported_late_still_goes_when_its_rule_is_removed(void)
{
    in_world(story_late, plain_config);
}

static void
story_held_too(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    uint32_t id;

    suspend_for_days(world, &id);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(act(world, QUEUE_HOLD, "") == 1);
    CHECK(queue_rule_remove(world->queue, id) == OK);
    sim_advance(SECONDS(5));
    CHECK(hop->connections == 0 && in_state(world, "state:held") == 1);
    CHECK(act(world, QUEUE_RELEASE, "") == 1);
    CHECK(hop->transactions == 1);
}

static void
what_is_held_beside_a_rule_goes_when_it_is_released(void)
{
    in_world(story_held_too, plain_config);
}

static void
story_moved_and_slow(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");

    rule(world, STANDING_REROUTE, FACT_SITE, "mx.there.example");
    rule(world, STANDING_SLOW, FACT_SENDER, "@sender.example");
    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(MINUTES(5));
    CHECK(hop->connections == 0 && other->transactions == 2 && waiting(world) == 0);
}

static void
what_a_rule_moves_another_does_not_move_back(void)
{
    in_world(story_moved_and_slow, plain_config);
}

static void
story_dead_site(struct world *world)
{
    struct hop *other = hop_at(world, 1, "198.51.100.2");

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(30));
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(in_state(world, "state:ready to:carl") == 1);
    rule(world, STANDING_REROUTE, FACT_SITE, "mx.there.example");
    sim_advance(SECONDS(5));
    CHECK(other->transactions == 1 && heard(other, "RCPT TO:<carl@there.example>"));
}

static void
what_waits_for_a_dead_site_is_moved_at_once(void)
{
    in_world(story_dead_site, plain_config);
}

static void
story_released(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    dns("gmail.com", DNS_MX, 10, "gmail-smtp-in.l.google.com");
    dns("gmail-smtp-in.l.google.com", DNS_A, 0, "198.51.100.1");
    post(world, "me@sender.example", "unauth@gmail.com", 0);
    sim_advance(SECONDS(10));
    CHECK(times_heard(hop, "RCPT") == 1 && in_state(world, "rule:1") == 1);
    CHECK(act(world, QUEUE_RELEASE, "") == 1);
    sim_advance(SECONDS(10));
    CHECK(times_heard(hop, "RCPT") == 2 && in_state(world, "state:scheduled") == 1);
}

static void
what_is_released_and_refused_again_does_not_knock_without_end(void)
{
    in_world(story_released, plain_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(held_mail_goes_when_its_rule_is_removed);
    RUN(a_rule_for_a_site_is_asked_before_the_first_connection_and_ends_by_itself);
    RUN(a_suspended_sender_waits_until_the_rule_ends);
    RUN(a_rule_returns_mail_with_its_reason);
    RUN(a_rule_moves_mail_to_another_next_hop);
    RUN(the_end_of_a_rule_brings_back_what_it_moved_to_a_dead_hop);
    RUN(so_does_its_expiry);
    RUN(a_slow_rule_lets_one_transaction_go_at_a_time);
    RUN(a_new_rule_takes_at_once_what_is_ready);
    RUN(the_engine_prolongs_the_rule_that_it_made);
    RUN(what_was_reported_late_still_goes_when_its_rule_is_removed);
    RUN(what_is_held_beside_a_rule_goes_when_it_is_released);
    RUN(what_a_rule_moves_another_does_not_move_back);
    RUN(what_waits_for_a_dead_site_is_moved_at_once);
    RUN(what_is_released_and_refused_again_does_not_knock_without_end);
    return check_end();
}
