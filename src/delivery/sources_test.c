/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sources_test.c: what happens to mail when one of the ways out does not work. */
#include "delivery/queue/queue_world.h"

/* Source a leaves through a proxy that does not answer. */
static const char pool_config[] =
    "server { hostname here.example; }\n"
    "source a { socks5 192.0.2.66:1080; }\n"
    "source spare { weight 0; helo_name spare.here.example; }\n"
    "delivery { sources a spare; site_connections_max 1; }\n";

static void
story_backlog(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    sim_network_fault(addr_of("192.0.2.66"), SIM_FAULT_SILENT);
    for (unsigned i = 0; i < 300; i++)
        post(world, "me@sender.example", "bob@there.example", 0);
    /* The proxy has 30 s; what waited behind that attempt goes with it, and what comes later at once. */
    sim_advance(SECONDS(40));
    CHECK(hop->transactions == 300);
    CHECK(heard(hop, "EHLO spare.here.example"));
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->transactions == 301);
    CHECK(waiting(world) == 0);
}

static void
a_backlog_behind_a_source_that_is_out_leaves_from_the_next(void)
{
    in_world(story_backlog, pool_config);
}

static const char fallback_config[] = "server { hostname here.example; }\n"
                                      "route out { sender sender.example; to mx;\n"
                                      "            fallback smtp://198.51.100.9; fallback_after 2; }\n";

static void
story_fallback(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *smarthost = hop_at(world, 1, "198.51.100.9");

    /* u451 is refused for now by whoever is asked: after two attempts the smarthost is. */
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(MINUTES(30));
    CHECK(times_heard(hop, "RCPT TO:<u451@there.example>") == 2);
    CHECK(times_heard(smarthost, "RCPT TO:<u451@there.example>") >= 1);
}

static void
after_so_many_failures_the_fallback_is_asked(void)
{
    in_world(story_fallback, fallback_config);
}

static void
story_six(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    instant before;

    dns("dual.example", DNS_MX, 10, "mx.dual.example");
    dns("mx.dual.example", DNS_AAAA, 0, "2001:db8::1");
    dns("mx.dual.example", DNS_A, 0, "198.51.100.1");
    sim_network_fault(addr_of("2001:db8::1"), SIM_FAULT_SILENT);
    post(world, "me@sender.example", "bob@dual.example", 0);
    sim_advance(SECONDS(9));
    CHECK(hop->transactions == 0);
    sim_advance(SECONDS(3)); /* delivery.next_address_timeout */
    CHECK(hop->transactions == 1);
    sim_advance(MINUTES(5));
    before = clock_steady();
    post(world, "me@sender.example", "bob@dual.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->transactions == 2 && clock_steady() - before < SECONDS(2));
}

static void
broken_ipv6_costs_one_connection_and_is_remembered(void)
{
    in_world(story_six, plain_config);
}

static const char warm_config[] = "server { hostname here.example; }\n"
                                  "source warm { messages_per_minute 5; }\n"
                                  "delivery { sources warm; }\n";

static void
story_warm(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");

    dns("other.example", DNS_MX, 10, "mx.other.example");
    dns("mx.other.example", DNS_A, 0, "198.51.100.2");
    for (unsigned i = 0; i < 20; i++)
        post(world, "me@sender.example", i % 2 ? "bob@there.example" : "bob@other.example", 0);
    sim_advance(SECONDS(50));
    CHECK(hop->transactions + other->transactions >= 5);
    CHECK(hop->transactions + other->transactions <= 7);
    sim_advance(MINUTES(6));
    CHECK(hop->transactions + other->transactions == 20);
}

static void
a_source_keeps_its_rate_over_all_sites(void)
{
    in_world(story_warm, warm_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(a_backlog_behind_a_source_that_is_out_leaves_from_the_next);
    RUN(after_so_many_failures_the_fallback_is_asked);
    RUN(broken_ipv6_costs_one_connection_and_is_remembered);
    RUN(a_source_keeps_its_rate_over_all_sites);
    return check_end();
}
