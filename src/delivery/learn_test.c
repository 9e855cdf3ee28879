/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* learn_test.c: what answers change, in the simulated world: when a recipient is tried again, and
 * whether others wait with it. */
#include "delivery/queue/queue_world.h"

static void
story_grey(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "grey@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(times_heard(hop, "RCPT TO:<grey") == 1);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 1);
    sim_advance(SECONDS(460));
    CHECK(times_heard(hop, "RCPT TO:<grey") == 1);
    sim_advance(SECONDS(70));
    CHECK(times_heard(hop, "RCPT TO:<grey") == 2);
    /* It says the same again, and so do we: the wait does not double. */
    sim_advance(SECONDS(540));
    CHECK(times_heard(hop, "RCPT TO:<grey") == 3);
}

static void
who_greylists_is_visited_again_when_he_said(void)
{
    in_world(story_grey, plain_config);
}

static void
story_full(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "full@there.example bob@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
    sim_advance(MINUTES(59));
    CHECK(times_heard(hop, "RCPT TO:<full") == 1);
    post(world, "me@sender.example", "eve@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 2);
    sim_advance(MINUTES(8));
    CHECK(times_heard(hop, "RCPT TO:<full") == 2);
}

static void
a_full_mailbox_is_asked_after_an_hour_and_delays_nobody(void)
{
    in_world(story_full, plain_config);
}

static void
story_blocked(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    post(world, "me@sender.example", "blocked@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(back->transactions == 1 && heard(back, "zen.spamhaus.org"));
    post(world, "me@sender.example", "bob@there.example eve@there.example", 0);
    sim_advance(MINUTES(50));
    CHECK(!heard(hop, "RCPT TO:<bob") && waiting(world) == 2);
    sim_advance(MINUTES(15));
    CHECK(hop->transactions == 1 && hop->recipients == 2 && waiting(world) == 0);
}

static void
a_block_fails_one_recipient_and_the_rest_waits_until_it_may_be_over(void)
{
    in_world(story_blocked, plain_config);
}

int
main(void)
{
    RUN(who_greylists_is_visited_again_when_he_said);
    RUN(a_full_mailbox_is_asked_after_an_hour_and_delays_nobody);
    RUN(a_block_fails_one_recipient_and_the_rest_waits_until_it_may_be_over);
    return check_end();
}
