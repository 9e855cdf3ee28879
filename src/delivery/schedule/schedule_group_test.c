/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_group_test.c: lanes, shared limits, and what a site says that it waits for. */
#include "delivery/schedule/schedule_inside.h"

#include "check.h"

#include <stdio.h>
#include <string.h>

static const instant T0 = SECONDS(1700000000);

static const struct schedule_limits limits = {
    .retry_min = MINUTES(5),
    .retry_max = HOURS(4),
    .expire = DAYS(5),
    .bounce_expire = DAYS(2),
    .warn = HOURS(4),
    .site_slots = 20,
    .slots = 100,
};

static unsigned number;

static void
add(struct schedule *schedule, enum lane lane, const char *target, instant now)
{
    struct schedule_start start = { .due = now };
    struct schedule_facts facts = { .received_at = now, .sender = 5, .lane = lane };
    struct schedule_message *message;

    number++;
    memcpy(facts.id.bytes, &number, sizeof(number));
    message = schedule_add(schedule, &facts, 1);
    schedule_add_row(schedule, message, 0, str_from(target), &start, now);
    (void)schedule_message_release(schedule, message);
}

static void
deliver(struct schedule *schedule, struct schedule_batch *batch)
{
    struct link *link;

    while ((link = list_pop(&batch->rows)))
        schedule_row_done(schedule, CONTAINER_OF(link, struct schedule_row, link));
    schedule_target_release(schedule, batch->target);
    (void)schedule_message_release(schedule, batch->message);
}

/* Takes and delivers one batch of all; its lane, or -1. */
static int
next_lane(struct schedule *schedule, instant now)
{
    struct schedule_work work;
    int lane;

    if (!schedule_next(schedule, 10, now, &work))
        return -1;
    lane = work.batch.message->lane;
    deliver(schedule, &work.batch);
    schedule_site_release(schedule, work.site);
    return lane;
}

/* How many go out at NOW. */
static unsigned
drain(struct schedule *schedule, instant now)
{
    unsigned count = 0;

    schedule_tick(schedule, now);
    while (next_lane(schedule, now) >= 0)
        count++;
    return count;
}

/* The site of TARGET, which has rows, kept by a group of its own. */
static struct schedule_site *
site_of(struct schedule *schedule, const char *target)
{
    const struct schedule_target *found = map_get(&schedule->targets, str_from(target));

    must(found);
    return found->site;
}

static void
codes_go_first_and_lanes_share_by_weight(void)
{
    struct schedule schedule;
    unsigned counts[LANE_COUNT] = {};

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 100; i++)
        for (int lane = LANE_BULK; lane > LANE_CODE; lane--)
            add(&schedule, (enum lane)lane, "smtp:one.example", T0);
    CHECK(next_lane(&schedule, T0) > LANE_CODE);
    add(&schedule, LANE_CODE, "smtp:one.example", T0);
    CHECK(next_lane(&schedule, T0) == LANE_CODE);
    for (unsigned i = 0; i < 65; i++)
        counts[next_lane(&schedule, T0)]++;
    CHECK(counts[LANE_PERSONAL] >= 39 && counts[LANE_PERSONAL] <= 41);
    CHECK(counts[LANE_NOTICE] >= 19 && counts[LANE_NOTICE] <= 21);
    CHECK(counts[LANE_BULK] >= 4 && counts[LANE_BULK] <= 6);
    schedule_done(&schedule);
}

static void
a_site_with_a_code_is_served_before_the_others(void)
{
    struct schedule schedule;
    struct schedule_work work;
    char target[32];

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(target, sizeof(target), "smtp:%u.example", i);
        add(&schedule, LANE_BULK, target, T0);
    }
    add(&schedule, LANE_CODE, "smtp:code.example", T0);
    CHECK(schedule_next(&schedule, 1, T0, &work));
    CHECK_STR(str_from(work.site->key), "smtp:code.example");
    schedule_done(&schedule);
}

static void
a_code_has_a_connection_when_all_are_busy(void)
{
    struct schedule_limits few = limits;
    struct schedule schedule;
    struct schedule_work work[3];

    few.slots = 2;
    schedule_init(&schedule, &few, 1);
    for (unsigned i = 0; i < 5; i++)
        add(&schedule, LANE_BULK, "smtp:one.example", T0);
    CHECK(schedule_next(&schedule, 1, T0, &work[0]));
    CHECK(schedule_next(&schedule, 1, T0, &work[1]));
    CHECK(!schedule_next(&schedule, 1, T0, &work[2]));
    add(&schedule, LANE_CODE, "smtp:two.example", T0);
    CHECK(schedule_next(&schedule, 1, T0, &work[2]) && work[2].batch.message->lane == LANE_CODE);
    schedule_done(&schedule);
}

static void
a_priority_moves_a_message_by_lanes_but_makes_no_code(void)
{
    CHECK(schedule_rank_of(LANE_CODE, 0) == RANK_CODE);
    CHECK(schedule_rank_of(LANE_CODE, -4) == RANK_URGENT);
    CHECK(schedule_rank_of(LANE_PERSONAL, 9) == RANK_URGENT);
    CHECK(schedule_rank_of(LANE_PERSONAL, 3) == RANK_PERSONAL);
    CHECK(schedule_rank_of(LANE_PERSONAL, -4) == RANK_NOTICE);
    CHECK(schedule_rank_of(LANE_NOTICE, 4) == RANK_PERSONAL);
    CHECK(schedule_rank_of(LANE_BULK, 8) == RANK_PERSONAL);
    CHECK(schedule_rank_of(LANE_BULK, -9) == RANK_LATER);
}

static void
one_row_opens_one_connection(void)
{
    struct schedule schedule;
    struct schedule_work work;

    schedule_init(&schedule, &limits, 1);
    add(&schedule, LANE_PERSONAL, "smtp:one.example", T0);
    CHECK(schedule_next(&schedule, 10, T0, &work) && !work.for_idle);
    CHECK(!schedule_next(&schedule, 10, T0, &work));
    schedule_done(&schedule);
}

static void
a_rate_holds_in_any_minute_and_wakes_when_it_has_room(void)
{
    static const struct pace pace = { .rates = { { 10, MINUTES(1) } }, .rate_count = 1 };
    struct schedule schedule;
    struct schedule_wait wait;
    instant now = T0;
    unsigned sent = 0, wakings = 0;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 100; i++)
        add(&schedule, LANE_BULK, "smtp:one.example", T0);
    schedule_site_group(&schedule, site_of(&schedule, "smtp:one.example"), SCOPE_PROVIDER, S("one"),
                        &pace);
    CHECK(drain(&schedule, now) == 10);
    schedule_site_why(&schedule, site_of(&schedule, "smtp:one.example"), now, &wait);
    CHECK(wait.kind == WAIT_RATE && wait.until > now + MINUTES(1));
    CHECK_STR(str_from(wait.text), "provider one is given 10 messages in 1m, and has had them");
    CHECK(schedule_due(&schedule) == wait.until);
    while (sent < 90) {
        now = schedule_due(&schedule);
        sent += drain(&schedule, now);
        wakings++;
    }
    CHECK(wakings <= 90 && now <= T0 + MINUTES(10) && now >= T0 + MINUTES(9));
    schedule_done(&schedule);
}

static void
a_code_oversteps_a_short_rate_but_not_that_of_a_day(void)
{
    static const struct pace minute = { .rates = { { 10, MINUTES(1) } }, .rate_count = 1 };
    static const struct pace day = { .rates = { { 100, DAYS(1) } }, .rate_count = 1 };
    struct schedule schedule;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 200; i++) {
        add(&schedule, LANE_BULK, "smtp:minute.example", T0);
        add(&schedule, LANE_BULK, "smtp:day.example", T0);
    }
    schedule_site_group(&schedule, site_of(&schedule, "smtp:minute.example"), SCOPE_PROVIDER,
                        S("minute"), &minute);
    schedule_site_group(&schedule, site_of(&schedule, "smtp:day.example"), SCOPE_PROVIDER, S("day"),
                        &day);
    CHECK(drain(&schedule, T0) == 10 + 98);
    for (unsigned i = 0; i < 5; i++) {
        add(&schedule, LANE_CODE, "smtp:minute.example", T0);
        add(&schedule, LANE_CODE, "smtp:day.example", T0);
    }
    CHECK(drain(&schedule, T0) == 1 + 2);
    CHECK(drain(&schedule, T0 + HOURS(2)) == 10);
    schedule_done(&schedule);
}

static void
sites_of_a_provider_share_its_connections_in_turn(void)
{
    static const struct pace pace = { .connections = 2 };
    struct schedule schedule;
    struct schedule_work work[3];
    struct schedule_wait wait;
    unsigned thirds = 0;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 10; i++) {
        add(&schedule, LANE_BULK, "smtp:one.example", T0);
        add(&schedule, LANE_BULK, "smtp:two.example", T0);
        add(&schedule, LANE_BULK, "smtp:three.example", T0);
    }
    schedule_site_group(&schedule, site_of(&schedule, "smtp:one.example"), SCOPE_PROVIDER,
                        S("great"), &pace);
    schedule_site_group(&schedule, site_of(&schedule, "smtp:two.example"), SCOPE_PROVIDER,
                        S("great"), &pace);
    schedule_site_group(&schedule, site_of(&schedule, "smtp:three.example"), SCOPE_PROVIDER,
                        S("great"), &pace);
    CHECK(schedule_next(&schedule, 1, T0, &work[0]) && schedule_next(&schedule, 1, T0, &work[1]));
    CHECK(work[0].site != work[1].site);
    CHECK(!schedule_next(&schedule, 1, T0, &work[2]));
    CHECK(schedule_is_crowded(&schedule, work[0].site));
    schedule_site_why(&schedule, site_of(&schedule, "smtp:three.example"), T0, &wait);
    CHECK(wait.kind == WAIT_CONNECTIONS && wait.scope == SCOPE_PROVIDER);
    CHECK_STR(str_from(wait.text), "the 2 connections to provider great are all busy");
    for (unsigned i = 0; i < 9; i++) {
        struct schedule_work *oldest = &work[i % 2];
        deliver(&schedule, &oldest->batch);
        schedule_site_release(&schedule, oldest->site);
        CHECK(schedule_next(&schedule, 1, T0, &work[2]));
        thirds += strcmp(work[2].site->key, "smtp:three.example") == 0;
        *oldest = work[2];
        list_move(&oldest->batch.rows, &work[2].batch.rows);
    }
    CHECK(thirds == 3);
    schedule_done(&schedule);
}

static void
a_source_bounds_all_that_leaves_it(void)
{
    static const struct pace pace = { .rates = { { 30, HOURS(1) } }, .rate_count = 1 };
    struct schedule schedule;
    char target[32];

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(target, sizeof(target), "smtp:%u.example", i);
        add(&schedule, LANE_BULK, target, T0);
        schedule_site_group(&schedule, site_of(&schedule, target), SCOPE_SOURCE, S("warm"), &pace);
    }
    CHECK(drain(&schedule, T0) == 30);
    CHECK(drain(&schedule, T0 + MINUTES(59)) == 0);
    CHECK(drain(&schedule, T0 + MINUTES(63)) == 20);
    schedule_done(&schedule);
}

static void
the_paces_of_a_provider_hold_for_its_transactions_and_connections(void)
{
    static const struct pace pace = { .messages_per_connection = 7,
                                      .recipients_per_transaction = 3 };
    struct schedule_start start = { .due = T0 };
    struct schedule_facts facts = { .received_at = T0, .lane = LANE_BULK };
    struct schedule schedule;
    struct schedule_message *message;
    struct schedule_work work;

    schedule_init(&schedule, &limits, 1);
    message = schedule_add(&schedule, &facts, 10);
    for (uint32_t i = 0; i < 10; i++)
        schedule_add_row(&schedule, message, i, S("smtp:one.example"), &start, T0);
    schedule_site_group(&schedule, site_of(&schedule, "smtp:one.example"), SCOPE_PROVIDER,
                        S("great"), &pace);
    CHECK(schedule_next(&schedule, 100, T0, &work) && work.batch.count == 3);
    CHECK(schedule_site_session(work.site, 1000) == 7);
    schedule_site_ends_after(&schedule, work.site, 4, T0);
    CHECK(schedule_site_session(work.site, 1000) == 4);
    schedule_done(&schedule);
}

static void
a_code_is_tried_again_ten_times_as_soon(void)
{
    struct schedule schedule;
    struct schedule_work work;
    struct schedule_row *row;

    schedule_init(&schedule, &limits, 1);
    add(&schedule, LANE_CODE, "smtp:one.example", T0);
    CHECK(schedule_next(&schedule, 1, T0, &work));
    row = CONTAINER_OF(work.batch.rows.next, struct schedule_row, link);
    CHECK(schedule_row_retry_at(&schedule, row, 1, T0) <= T0 + SECONDS(33));
    CHECK(schedule_row_retry_at(&schedule, row, 4, T0) <= T0 + SECONDS(264));
    schedule_done(&schedule);
}

static void
paces_merge_to_the_least(void)
{
    struct pace pace = { .connections = 5, .rates = { { 10, SECONDS(1) } }, .rate_count = 1 };
    const struct pace other = { .connections = 9,
                                .recipients_per_transaction = 50,
                                .rates = { { 7, SECONDS(1) }, { 1000, DAYS(1) } },
                                .rate_count = 2 };

    pace_merge(&pace, &other);
    CHECK(pace.connections == 5 && pace.recipients_per_transaction == 50);
    CHECK(pace.rate_count == 2 && pace.rates[0].count == 7 && pace.rates[1].count == 1000);
}

int
main(void)
{
    RUN(codes_go_first_and_lanes_share_by_weight);
    RUN(a_site_with_a_code_is_served_before_the_others);
    RUN(a_code_has_a_connection_when_all_are_busy);
    RUN(a_priority_moves_a_message_by_lanes_but_makes_no_code);
    RUN(one_row_opens_one_connection);
    RUN(a_rate_holds_in_any_minute_and_wakes_when_it_has_room);
    RUN(a_code_oversteps_a_short_rate_but_not_that_of_a_day);
    RUN(sites_of_a_provider_share_its_connections_in_turn);
    RUN(a_source_bounds_all_that_leaves_it);
    RUN(the_paces_of_a_provider_hold_for_its_transactions_and_connections);
    RUN(a_code_is_tried_again_ten_times_as_soon);
    RUN(paces_merge_to_the_least);
    return check_end();
}
