/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_verbs_test.c: what operators see of the queue and do to it. */
#include "delivery/queue_world.h"

/* --- Operators. */

static size_t
list(struct world *world, const char *text, struct arena *arena, struct queue_entry **entries)
{
    struct queue_query query;
    struct why why = {};
    size_t count = 0;
    bool more;

    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_list(world->queue, &query, 100, arena, entries, &count, &more) == OK);
    return count;
}

static uint64_t
act(struct world *world, enum queue_verb verb, const char *text, bool dry_run)
{
    struct queue_action action = {
        .verb = verb, .dry_run = dry_run, .reason = S("test"), .actor = S("admin")
    };
    struct queue_query query;
    struct why why = {};
    uint64_t count = 0;

    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_act(world->queue, &query, &action, &count, NULL) == OK);
    sim_advance(SECONDS(2));
    return count;
}

static void
story_operators(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct queue_entry *entries;
    struct arena arena;

    arena_init(&arena, 10 * 1024 * 1024);
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(list(world, "", &arena, &entries) == 2);
    CHECK_STR(entries[0].sender, "me@sender.example");
    CHECK(entries[0].recipients[0].why.len > 20);
    CHECK(list(world, "to:bob@there.example", &arena, &entries) == 1);
    CHECK(list(world, "domain:there.example age:<1h", &arena, &entries) == 2);
    CHECK(list(world, "age:>1h", &arena, &entries) == 0);
    CHECK(act(world, QUEUE_HOLD, "to:bob", true) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 0);
    CHECK(act(world, QUEUE_HOLD, "to:bob", false) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    close_queue(world);
    open_queue(world);
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    sim_advance(HOURS(2));
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    CHECK(act(world, QUEUE_RELEASE, "to:bob", false) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 0);
    CHECK(act(world, QUEUE_DELETE, "to:carl", false) == 1);
    CHECK(waiting(world) == 1 && back->transactions == 0);
    CHECK(act(world, QUEUE_BOUNCE, "to:bob", false) == 1);
    sim_advance(SECONDS(5));
    CHECK(back->transactions == 1 && heard(back, "Returned by the administrator: test"));
    CHECK(waiting(world) == 0 && spooled(world) == 0);
    arena_done(&arena);
}

static void
operators_list_hold_release_bounce_and_delete(void)
{
    in_world(story_operators, plain_config);
}

static void
story_retry_now(struct world *world)
{
    struct hop *hop;

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(60));
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_NONE);
    hop = hop_at(world, 0, "198.51.100.1");
    CHECK(act(world, QUEUE_RETRY, "", false) == 1);
    CHECK(hop->transactions == 1 && spooled(world) == 0);
}

static void
operators_can_ask_for_an_attempt_now(void)
{
    in_world(story_retry_now, plain_config);
}

static void
queries_that_make_no_sense_say_how(void)
{
    struct queue_query query;
    struct why why = {};

    CHECK(queue_query_parse(S("colour:red"), &query, &why) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(why.text), S("domain:")) >= 0);
    CHECK(queue_query_parse(S("age:2h"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("state:lost"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("nonsense"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S(" to:a  from:b "), &query, &why) == OK && query.count == 2);
}

int
main(void)
{
    world_files_in_memory();
    RUN(operators_list_hold_release_bounce_and_delete);
    RUN(operators_can_ask_for_an_attempt_now);
    RUN(queries_that_make_no_sense_say_how);
    return check_end();
}
