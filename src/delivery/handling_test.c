/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* handling_test.c: what an envelope asks for beside addresses: bytes before the body, times,
 * priorities. */
#include "delivery/queue/queue_world.h"

#define SIGNED "X-Signed: by us\r\n"

static const struct envelope with_prefix = {
    .lane = LANE_PERSONAL,
    .ret = RETURN_FULL,
    .prefix = { SIGNED, sizeof(SIGNED) - 1 },
};

static void
story_prefix(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct why why;

    hop->extensions = "250-hop\r\n250 SIZE 0\r\n";
    world->like = &with_prefix;
    CHECK(accounts_add_alias(world->accounts, S("all@here.example"), S("cy@there.example"), &why) ==
          OK);
    post(world, "me@sender.example",
         "bob@there.example u550@there.example ann@here.example all@here.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 2);
    CHECK(heard(hop, "\r\nX-Signed: by us\r\nFrom: me@sender.example\r\nSubject: hello\r\n"));
    CHECK(heard(hop, "Delivered-To: all@here.example\r\nX-Signed: by us\r\nFrom: me@"));
    CHECK(times_heard(hop, "X-Signed") == 2 && heard(hop, "SIZE=66"));
    CHECK(times_heard(back, "X-Signed: by us\r\nFrom: me@sender.example\r\n") == 1);
    CHECK(heard(back, "\r\n\r\nbody\r\n"));
    CHECK(spooled(world) == 0);
}

static void
the_prefix_goes_wherever_the_message_goes(void)
{
    in_world(story_prefix, plain_config);
}

#define OFFERS(lines) "250-hop\r\n" lines "250 PIPELINING\r\n"

static bool
waits_because(struct world *world, const char *text)
{
    struct queue_query query = {};
    struct queue_entry *entries = NULL;
    struct arena arena;
    size_t count = 0;
    bool more, is;

    arena_init(&arena, 1 << 20);
    CHECK(queue_list(world->queue, &query, 10, &arena, &entries, &count, &more) == OK);
    is = count == 1 && str_eq(str_from(entries->recipients->state), S("scheduled")) &&
         str_find_str(entries->recipients->why, str_from(text)) >= 0;
    arena_done(&arena);
    return is;
}

static void
story_future(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct envelope later = { .lane = LANE_PERSONAL, .release_at = clock_now() + DAYS(20) };

    world->like = &later;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(DAYS(19));
    CHECK(hop->connections == 0 && waiting(world) == 1);
    CHECK(waits_because(world, "It is held until 20") &&
          waits_because(world, "as the sender asked"));
    close_queue(world);
    open_queue(world);
    sim_advance(HOURS(23));
    CHECK(hop->connections == 0 && waiting(world) == 1);
    sim_advance(HOURS(2));
    CHECK(hop->transactions == 1 && waiting(world) == 0 && spooled(world) == 0);
}

static void
verb(struct world *world, enum queue_verb verb, const char *route)
{
    struct queue_action action = { .verb = verb,
                                   .reason = S("test"),
                                   .actor = S("admin"),
                                   .until = clock_now() + SECONDS(10),
                                   .route = str_from(route) };
    struct queue_query query = {};
    uint64_t count = 0;

    CHECK(queue_act(world->queue, &query, &action, &count, NULL) == OK);
    CHECK(count == 1);
    sim_advance(MINUTES(1));
}

static void
retry(struct world *world)
{
    struct queue_action action = { .verb = QUEUE_RETRY, .reason = S("test"), .actor = S("admin") };
    struct queue_query query = {};
    uint64_t count, skipped;

    CHECK(queue_act(world->queue, &query, &action, &count, &skipped) == OK);
    CHECK(count == 0 && skipped == 0);
    sim_advance(MINUTES(1));
}

static void
story_future_moved(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");
    struct envelope later = { .lane = LANE_PERSONAL, .release_at = clock_now() + HOURS(1) };

    world->like = &later;
    post(world, "me@sender.example", "bob@there.example", 0);
    verb(world, QUEUE_DELAY, "");
    verb(world, QUEUE_REROUTE, "smtp://198.51.100.2");
    retry(world);
    CHECK(hop->connections == 0 && other->connections == 0 && waiting(world) == 1);
    sim_advance(HOURS(1));
    CHECK(hop->connections == 0 && other->transactions == 1 && waiting(world) == 0);
}

static void
no_verb_lets_it_go_before_its_time(void)
{
    in_world(story_future_moved, plain_config);
}

static void
story_stopped(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope soon = { .lane = LANE_PERSONAL,
                             .by = BY_NOTIFY,
                             .by_deadline = clock_now() + HOURS(2),
                             .release_at = clock_now() + HOURS(1) };

    world->like = &soon;
    post(world, "me@sender.example", "bob@there.example", 0);
    close_queue(world);
    sim_advance(DAYS(6));
    open_queue(world);
    sim_advance(MINUTES(1));
    CHECK(hop->transactions == 1 && waiting(world) == 0);
    CHECK(heard(back, "Action: delayed") && !heard(back, "Action: failed"));
}

static void
what_lay_in_a_stopped_server_is_late_and_not_over(void)
{
    in_world(story_stopped, plain_config);
}

static void
story_soon(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct envelope later = { .lane = LANE_PERSONAL, .release_at = clock_now() + SECONDS(4) };

    sim_advance(SECONDS(1));
    world->like = &later;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(2));
    CHECK(hop->connections == 0 && waiting(world) == 1);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 1 && spooled(world) == 0);
}

static void
it_leaves_at_its_time_from_a_queue_that_sleeps(void)
{
    in_world(story_soon, plain_config);
}

static void
a_message_for_later_is_held_and_the_restart_remembers(void)
{
    in_world(story_future, plain_config);
}

static void
story_future_expires(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope later = { .lane = LANE_PERSONAL, .release_at = clock_now() + DAYS(20) };

    world->like = &later;
    post(world, "me@sender.example", "bob@there.example", NOTIFY_FAILURE);
    sim_advance(DAYS(20) + DAYS(4));
    CHECK(back->transactions == 0 && waiting(world) == 1);
    sim_advance(DAYS(2));
    CHECK(back->transactions == 1 && heard(back, "Status: 5.4.7") && waiting(world) == 0);
}

static void
its_days_are_counted_from_the_release(void)
{
    in_world(story_future_expires, plain_config);
}

static void
story_return(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope soon = {
        .lane = LANE_PERSONAL,
        .by = BY_RETURN,
        .by_deadline = clock_now() + MINUTES(30),
    };

    world->like = &soon;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(29));
    CHECK(back->transactions == 0 && waiting(world) == 1);
    sim_advance(MINUTES(2));
    CHECK(back->transactions == 1 && heard(back, "Action: failed") && heard(back, "Status: 5.4.7"));
    CHECK(heard(back, "Deliver-By-Date: ") && spooled(world) == 0);
}

static void
what_must_arrive_in_time_comes_back_when_it_is_over(void)
{
    in_world(story_return, plain_config);
}

static void
story_told(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope over = {
        .lane = LANE_PERSONAL,
        .by = BY_NOTIFY,
        .by_deadline = clock_now() - MINUTES(4),
    };

    world->like = &over;
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(HOURS(2));
    CHECK(back->transactions == 0 && waiting(world) == 1);
}

static void
what_was_late_when_it_came_is_not_reported_again(void)
{
    in_world(story_told, plain_config);
}

static void
story_half(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct envelope soon = {
        .lane = LANE_PERSONAL,
        .by = BY_NOTIFY,
        .by_deadline = clock_now() + MINUTES(4),
    };

    world->like = &soon;
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(times_heard(hop, "RCPT TO") == 1);
    sim_advance(MINUTES(2) + SECONDS(5));
    CHECK(times_heard(hop, "RCPT TO") == 2);
}

static void
there_is_another_attempt_before_the_time_is_over(void)
{
    in_world(story_half, plain_config);
}

static void
story_notify(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct hop *hop;
    struct envelope soon = {
        .lane = LANE_PERSONAL,
        .by = BY_NOTIFY,
        .by_deadline = clock_now() + MINUTES(30),
    };

    world->like = &soon;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(31));
    CHECK(back->transactions == 1 && heard(back, "Action: delayed") &&
          heard(back, "Status: 4.4.7"));
    CHECK(heard(back, "Deliver-By-Date: ") && waiting(world) == 1);
    hop = hop_at(world, 0, "198.51.100.1");
    hop->extensions = OFFERS("250-DELIVERBY 600\r\n");
    sim_advance(HOURS(8));
    CHECK(hop->transactions == 1 && heard(hop, " BY=-") && heard(hop, ";N\r\n"));
    CHECK(back->transactions == 1 && spooled(world) == 0);
}

static void
of_what_is_late_the_sender_hears_once_and_it_goes_on(void)
{
    in_world(story_notify, plain_config);
}

static void
story_passed_on(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *plain = hop_at(world, 2, "198.51.100.2");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope asked = {
        .lane = LANE_PERSONAL,
        .priority = -4,
        .by = BY_RETURN,
        .by_deadline = clock_now() + MINUTES(30),
    };

    hop->extensions = OFFERS("250-DELIVERBY 600\r\n250-MT-PRIORITY\r\n");
    world->like = &asked;
    post(world, "me@sender.example", "bob@there.example cy@other.example", 0);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 1 && heard(hop, " MT-PRIORITY=-4 BY=1"));
    CHECK(plain->transactions == 0 && !heard(plain, "MAIL FROM"));
    CHECK(back->transactions == 1 && heard(back, "Status: 5.4.7") && heard(back, "cy@other"));
    CHECK(!heard(back, "bob@there") && spooled(world) == 0);
}

static void
a_next_hop_must_keep_the_time_to_get_what_must_be_in_time(void)
{
    in_world(story_passed_on, plain_config);
}

static void
story_too_slow(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope asked = {
        .lane = LANE_PERSONAL,
        .by = BY_RETURN,
        .by_deadline = clock_now() + MINUTES(5),
    };

    hop->extensions = OFFERS("250-DELIVERBY 600\r\n");
    world->like = &asked;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 0 && back->transactions == 1 && heard(back, "Status: 5.4.7"));
}

static void
a_next_hop_that_needs_longer_does_not_get_it(void)
{
    in_world(story_too_slow, plain_config);
}

static void
story_relayed(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope asked = {
        .lane = LANE_PERSONAL,
        .by = BY_NOTIFY,
        .by_deadline = clock_now() + MINUTES(30),
    };

    hop->extensions = OFFERS("250-DSN\r\n");
    world->like = &asked;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 1 && !heard(hop, " BY="));
    CHECK(back->transactions == 1 && heard(back, "Action: relayed"));
    post(world, "me@sender.example", "bob@there.example", NOTIFY_NEVER);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 2 && back->transactions == 1);
    asked.by_trace = true;
    hop->extensions = OFFERS("250-DSN\r\n250-DELIVERBY\r\n");
    sim_advance(MINUTES(1)); /* The connection that is open knows of nothing. */
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 3 && heard(hop, ";NT\r\n") && back->transactions == 2);
    asked.by_trace = false;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(3));
    CHECK(hop->transactions == 4 && back->transactions == 2 && spooled(world) == 0);
}

static void
where_the_trace_of_time_ends_the_sender_hears_it_from_us(void)
{
    in_world(story_relayed, plain_config);
}

/* --- Taking back. */

struct taken {
    enum err result;
    size_t count;
    enum cancel_fate fates[4];
};

static msgid
first_id(struct world *world)
{
    struct queue_query query = {};
    struct queue_entry *entries = NULL;
    struct arena arena;
    size_t count = 0;
    msgid id = {};
    bool more;

    arena_init(&arena, 1 << 20);
    CHECK(queue_list(world->queue, &query, 10, &arena, &entries, &count, &more) == OK);
    if (count > 0)
        id = entries->id;
    arena_done(&arena);
    return id;
}

static struct taken
take_back(struct world *world, const char *account)
{
    struct queue_cancel wish = {
        .id = first_id(world),
        .account = str_from(account),
        .reason = S("changed my mind"),
        .actor = S("ann"),
    };
    struct taken taken = {};
    struct queue_cancelled *recipients = NULL;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    taken.result = queue_cancel(world->queue, &wish, &arena, &recipients, &taken.count);
    for (size_t i = 0; !taken.result && i < MIN(taken.count, COUNT_OF(taken.fates)); i++)
        taken.fates[i] = recipients[i].fate;
    arena_done(&arena);
    return taken;
}

static void
story_cancel(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct envelope later = { .lane = LANE_PERSONAL, .release_at = clock_now() + MINUTES(1) };
    struct taken taken;

    world->like = &later;
    post(world, "me@sender.example", "bob@there.example cy@there.example", 0);
    sim_advance(SECONDS(30));
    taken = take_back(world, "eve@sender.example");
    CHECK(taken.result == ERR_NOT_FOUND && waiting(world) == 2);
    taken = take_back(world, "");
    CHECK(taken.result == OK && taken.count == 2);
    CHECK(taken.fates[0] == CANCEL_TAKEN_BACK && taken.fates[1] == CANCEL_TAKEN_BACK);
    CHECK(waiting(world) == 0 && spooled(world) == 0);
    sim_advance(HOURS(1));
    CHECK(hop->connections == 0 && back->connections == 0);
    CHECK(take_back(world, "").result == ERR_NOT_FOUND);
}

static void
what_waits_can_be_taken_back_and_nobody_else_may(void)
{
    in_world(story_cancel, plain_config);
}

static void
story_cancel_late(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *slow = hop_at(world, 2, "198.51.100.2");
    struct taken taken;

    slow->hangs = true;
    post(world, "me@sender.example", "bob@there.example u451@there.example cy@other.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 1);
    taken = take_back(world, "");
    CHECK(taken.result == OK && taken.count == 3);
    CHECK(taken.fates[0] == CANCEL_TOO_LATE);
    CHECK(taken.fates[1] == CANCEL_TAKEN_BACK);
    CHECK(taken.fates[2] == CANCEL_UNDER_WAY);
    CHECK(waiting(world) == 1);
    close_queue(world);
    open_queue(world);
    CHECK(waiting(world) == 1);
}

static void
what_was_handed_over_is_told_for_each_recipient(void)
{
    in_world(story_cancel_late, plain_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(the_prefix_goes_wherever_the_message_goes);
    RUN(a_message_for_later_is_held_and_the_restart_remembers);
    RUN(no_verb_lets_it_go_before_its_time);
    RUN(what_lay_in_a_stopped_server_is_late_and_not_over);
    RUN(it_leaves_at_its_time_from_a_queue_that_sleeps);
    RUN(its_days_are_counted_from_the_release);
    RUN(what_must_arrive_in_time_comes_back_when_it_is_over);
    RUN(there_is_another_attempt_before_the_time_is_over);
    RUN(what_was_late_when_it_came_is_not_reported_again);
    RUN(of_what_is_late_the_sender_hears_once_and_it_goes_on);
    RUN(a_next_hop_must_keep_the_time_to_get_what_must_be_in_time);
    RUN(a_next_hop_that_needs_longer_does_not_get_it);
    RUN(where_the_trace_of_time_ends_the_sender_hears_it_from_us);
    RUN(what_waits_can_be_taken_back_and_nobody_else_may);
    RUN(what_was_handed_over_is_told_for_each_recipient);
    return check_end();
}
