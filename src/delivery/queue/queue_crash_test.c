/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_crash_test.c: power cuts while mail goes out: what was promised arrives or is returned. */
#include "delivery/queue/queue_world.h"

/* --- Crashes. */

enum {
    CRASH_MESSAGES = 12,
    CRASH_SEEDS = 20
};

/* From a random write on the disk takes nothing any more; then the power is gone. */
static void
crash(struct world *world, struct rand *dice)
{
    disk_sim_crash_at(world->disk, disk_sim_operations(world->disk) + 1 + rand_below(dice, 30));
    sim_advance(SECONDS(1 + (duration)rand_below(dice, 400)));
    close_queue(world);
    disk_sim_power_cut(world->disk);
    disk_sim_crash_at(world->disk, 0);
    open_queue(world);
}

static bool
is_accounted_for(const struct world *world, unsigned number)
{
    char arrived[64], returned[64];

    (void)snprintf(arrived, sizeof(arrived), "RCPT TO:<n%u@there.example>", number);
    (void)snprintf(returned, sizeof(returned), "u550n%u@there.example\r\nAction: failed", number);
    return heard(&world->hops[0], arrived) && heard(&world->hops[1], returned);
}

/* An empty spool on a new disk, and hops that have heard nothing. */
static void
begin_anew(struct world *world, uint64_t seed)
{
    close_queue(world);
    disk_sim_free(world->disk);
    world->disk = disk_sim_new(seed);
    open_queue(world);
    world->hops[0].text_len = world->hops[1].text_len = 0;
}

static void
crash_by_seed(struct world *world, uint64_t seed)
{
    bool promised[CRASH_MESSAGES] = {};
    unsigned failed = checks_failed_here;
    struct rand dice;

    rand_init(&dice, seed);
    begin_anew(world, seed);
    world->hops[0].cuts_after_dot = (unsigned)rand_below(&dice, 3);
    for (unsigned i = 0; i < CRASH_MESSAGES; i++) {
        char recipients[128];
        (void)snprintf(recipients, sizeof(recipients), "n%u@there.example u550n%u@there.example", i,
                       i);
        promised[i] = try_post(world, "me@sender.example", recipients, 0);
        if (rand_below(&dice, 3) == 0)
            sim_advance(MILLISECONDS(rand_below(&dice, 3000)));
        if (rand_below(&dice, 4) == 0)
            crash(world, &dice);
    }
    crash(world, &dice);
    sim_advance(DAYS(2));
    CHECK(spooled(world) == 0 && waiting(world) == 0);
    for (unsigned i = 0; i < CRASH_MESSAGES; i++)
        if (promised[i] && !is_accounted_for(world, i)) {
            CHECK(!"lost");
            printf("message %u\n", i);
        }
    if (checks_failed_here != failed)
        printf("with seed %u\n", (unsigned)seed);
}

static void
story_crash(struct world *world)
{
    (void)hop_at(world, 0, "198.51.100.1");
    (void)hop_at(world, 1, "198.51.100.3");
    for (uint64_t seed = 1; seed <= CRASH_SEEDS; seed++)
        crash_by_seed(world, seed);
}

static void
no_crash_loses_what_was_promised(void)
{
    in_world(story_crash, plain_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(no_crash_loses_what_was_promised);
    return check_end();
}
