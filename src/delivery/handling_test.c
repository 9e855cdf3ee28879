/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* handling_test.c: what an envelope asks for beside addresses: bytes before the body, times,
 * priorities. */
#include "delivery/queue_world.h"

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

int
main(void)
{
    world_files_in_memory();
    RUN(the_prefix_goes_wherever_the_message_goes);
    return check_end();
}
