/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_test.c: turns, pauses and times, in virtual time. */
#include "delivery/schedule/schedule.h"

#include "check.h"

#include <string.h>

static const instant T0 = SECONDS(1700000000);

static const struct schedule_limits limits = {
    .retry_min = MINUTES(5),
    .retry_max = HOURS(4),
    .expire = DAYS(5),
    .bounce_expire = DAYS(2),
    .warn = HOURS(4),
    .site_slots = 2,
    .slots = 10,
};

static msgid
id_of(unsigned number)
{
    msgid id = {};

    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static struct schedule_message *
add(struct schedule *schedule, unsigned number, uint64_t sender, const char *target, unsigned rows,
    instant now)
{
    struct schedule_start start = { .due = now };
    struct schedule_facts facts = {
        .id = id_of(number), .received_at = now, .sender = sender, .lane = LANE_PERSONAL
    };
    struct schedule_message *message = schedule_add(schedule, &facts, rows);

    for (unsigned i = 0; i < rows; i++)
        schedule_add_row(schedule, message, i, str_from(target), &start, now);
    schedule_message_release(schedule, message);
    return message;
}

static struct schedule_row *
first_row(struct schedule_batch *batch)
{
    struct schedule_row *row = CONTAINER_OF(batch->rows.next, struct schedule_row, link);

    list_remove(&row->link);
    return row;
}

/* Takes one batch of SITE and delivers it; the number of its message, or 0. */
static unsigned
deliver(struct schedule *schedule, struct schedule_site *site, unsigned max)
{
    struct schedule_batch batch;
    unsigned number;
    struct link *link;

    if (!schedule_take(schedule, site, max, T0, &batch))
        return 0;
    memcpy(&number, batch.message->id.bytes, sizeof(number));
    while ((link = list_pop(&batch.rows)))
        schedule_row_done(schedule, CONTAINER_OF(link, struct schedule_row, link));
    schedule_message_release(schedule, batch.message);
    schedule_target_release(schedule, batch.target);
    return number;
}

/* A slot of the site whose turn it is; what came with it is given back. */
static struct schedule_site *
take_site(struct schedule *schedule, instant now)
{
    struct schedule_work work;
    struct link *link;

    if (!schedule_next(schedule, 1, now, &work))
        return NULL;
    while ((link = list_pop(&work.batch.rows)))
        schedule_row_return(schedule, CONTAINER_OF(link, struct schedule_row, link), now);
    schedule_message_release(schedule, work.batch.message);
    schedule_target_release(schedule, work.batch.target);
    return work.site;
}

static void
recipients_of_one_message_go_together(void)
{
    struct schedule schedule;
    struct schedule_site *site;
    struct schedule_batch batch;
    struct link *link;

    schedule_init(&schedule, &limits, 1);
    add(&schedule, 1, 7, "smtp:example.org", 100, T0);
    site = take_site(&schedule, T0);
    CHECK(site && schedule_take(&schedule, site, 60, T0, &batch));
    CHECK(batch.count == 60);
    while ((link = list_pop(&batch.rows)))
        schedule_row_done(&schedule, CONTAINER_OF(link, struct schedule_row, link));
    schedule_target_release(&schedule, batch.target);
    CHECK(!schedule_message_release(&schedule, batch.message));
    CHECK(deliver(&schedule, site, 60) == 1);
    CHECK(schedule.message_count == 0 && schedule.row_count == 0);
    CHECK(!schedule_find(&schedule, id_of(1)));
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
what_is_given_back_again_and_again_is_over_in_its_time(void)
{
    struct schedule_limits no_warning = limits;
    struct schedule schedule;
    struct schedule_site *site;
    struct schedule_batch batch;
    struct schedule_row *row = NULL;
    instant now = T0;

    no_warning.warn = 0;
    schedule_init(&schedule, &no_warning, 1);
    add(&schedule, 1, 7, "smtp:example.org", 1, T0);
    site = take_site(&schedule, T0);
    for (; now < T0 + limits.expire; now += MINUTES(30)) {
        schedule_tick(&schedule, now);
        CHECK(list_is_empty(&schedule.overdue));
        CHECK(schedule_take(&schedule, site, 1, now, &batch));
        row = first_row(&batch);
        schedule_row_return(&schedule, row, now);
        schedule_message_release(&schedule, batch.message);
        schedule_target_release(&schedule, batch.target);
    }
    schedule_tick(&schedule, now);
    CHECK(CONTAINER_OF(list_pop(&schedule.overdue), struct schedule_row, link) == row);
    schedule_row_done(&schedule, row);
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
a_newsletter_delays_another_sender_by_one_message(void)
{
    struct schedule schedule;
    struct schedule_site *site;
    unsigned order[4];

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 1; i <= 100; i++)
        add(&schedule, i, 1, "smtp:example.org", 1, T0);
    add(&schedule, 1000, 2, "smtp:example.org", 1, T0);
    site = take_site(&schedule, T0);
    for (unsigned i = 0; i < COUNT_OF(order); i++)
        order[i] = deliver(&schedule, site, 50);
    CHECK(order[0] == 1000 || order[1] == 1000);
    CHECK(order[2] != 1000 && order[3] != 1000);
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
sites_take_turns_and_have_a_ceiling_of_connections(void)
{
    struct schedule schedule;
    struct schedule_site *first, *second, *third, *fourth;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 1; i <= 10; i++)
        add(&schedule, i, i, "smtp:big.example", 1, T0);
    add(&schedule, 20, 20, "smtp:small.example", 1, T0);
    first = take_site(&schedule, T0);
    second = take_site(&schedule, T0);
    third = take_site(&schedule, T0);
    CHECK_STR(str_from(first->key), "smtp:big.example");
    CHECK_STR(str_from(second->key), "smtp:small.example");
    CHECK_STR(str_from(third->key), "smtp:big.example");
    fourth = take_site(&schedule, T0);
    CHECK(fourth == second);
    CHECK(!take_site(&schedule, T0));
    CHECK(deliver(&schedule, second, 50) == 20);
    CHECK(deliver(&schedule, second, 50) == 0);
    schedule_site_release(&schedule, fourth);
    schedule_site_release(&schedule, second);
    schedule_site_release(&schedule, third);
    CHECK(take_site(&schedule, T0) == first);
    schedule_site_release(&schedule, first);
    schedule_site_release(&schedule, first);
    schedule_done(&schedule);
}

static void
a_dead_site_pauses_without_delaying_others(void)
{
    struct schedule schedule;
    struct schedule_site *dead, *alive;
    struct schedule_batch batch;
    struct schedule_row *row;
    instant until;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 1; i <= 5; i++)
        add(&schedule, i, i, "smtp:dead.example", 1, T0);
    add(&schedule, 20, 20, "smtp:alive.example", 1, T0);
    dead = take_site(&schedule, T0);
    CHECK(schedule_take(&schedule, dead, 50, T0, &batch));
    until = schedule_site_failed(&schedule, dead, S("connection refused"), T0);
    CHECK(until >= T0 + MINUTES(4) && until <= T0 + MINUTES(6));
    row = first_row(&batch);
    row->attempts++;
    schedule_row_defer(&schedule, row, schedule_retry_at(&schedule, row->attempts, T0), T0);
    schedule_message_release(&schedule, batch.message);
    schedule_target_release(&schedule, batch.target);
    CHECK(!schedule_take(&schedule, dead, 50, T0, &batch));
    schedule_site_release(&schedule, dead);
    alive = take_site(&schedule, T0);
    CHECK(alive != dead && deliver(&schedule, alive, 50) == 20);
    CHECK(!take_site(&schedule, T0));
    schedule_site_release(&schedule, alive);
    CHECK(schedule_due(&schedule) <= until);
    schedule_tick(&schedule, until);
    CHECK(take_site(&schedule, T0) == dead);
    until = schedule_site_failed(&schedule, dead, S("connection refused"), until);
    CHECK(until > T0 + MINUTES(10));
    schedule_site_release(&schedule, dead);
    schedule_done(&schedule);
}

static void
retries_grow_to_the_maximum(void)
{
    struct schedule schedule;
    duration before = 0;

    schedule_init(&schedule, &limits, 1);
    for (unsigned attempts = 1; attempts < 20; attempts++) {
        duration wait = schedule_retry_at(&schedule, attempts, T0) - T0;
        CHECK(wait <= HOURS(4) + MINUTES(24));
        CHECK(attempts > 6 || wait > before);
        before = wait;
    }
    CHECK(before > HOURS(3));
    schedule_done(&schedule);
}

static void
a_recipient_is_reported_late_and_then_over(void)
{
    struct schedule schedule;
    struct schedule_site *site;
    struct schedule_batch batch;
    struct schedule_row *row;

    schedule_init(&schedule, &limits, 1);
    add(&schedule, 1, 1, "smtp:slow.example", 1, T0);
    site = take_site(&schedule, T0);
    CHECK(schedule_take(&schedule, site, 1, T0, &batch));
    row = first_row(&batch);
    row->attempts++;
    schedule_row_defer(&schedule, row, T0 + HOURS(6), T0);
    CHECK(schedule_due(&schedule) == T0 + HOURS(4));
    schedule_tick(&schedule, T0 + HOURS(4));
    CHECK(CONTAINER_OF(list_pop(&schedule.overdue), struct schedule_row, link) == row);
    row->delay_reported = true;
    schedule_row_defer(&schedule, row, T0 + HOURS(6), T0 + HOURS(4));
    schedule_tick(&schedule, T0 + HOURS(6));
    CHECK(list_is_empty(&schedule.overdue) && row->state == ROW_READY);
    schedule_site_failed(&schedule, site, S("silence"), T0 + HOURS(6));
    schedule_tick(&schedule, T0 + DAYS(5) - 1);
    CHECK(list_is_empty(&schedule.overdue));
    schedule_tick(&schedule, T0 + DAYS(5));
    CHECK(CONTAINER_OF(list_pop(&schedule.overdue), struct schedule_row, link) == row);
    schedule_row_done(&schedule, row);
    CHECK(schedule_message_release(&schedule, batch.message));
    schedule_target_release(&schedule, batch.target);
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
domains_with_the_same_hosts_share_a_site(void)
{
    struct schedule schedule;
    struct schedule_site *one, *two, *shared;
    struct schedule_batch batch_one, batch_two;

    schedule_init(&schedule, &limits, 1);
    add(&schedule, 1, 1, "smtp:one.example", 1, T0);
    add(&schedule, 2, 1, "smtp:one.example", 1, T0);
    add(&schedule, 3, 1, "smtp:two.example", 1, T0);
    one = take_site(&schedule, T0);
    two = take_site(&schedule, T0);
    CHECK(schedule_take(&schedule, one, 1, T0, &batch_one));
    CHECK(schedule_take(&schedule, two, 1, T0, &batch_two));
    shared = schedule_bind(&schedule, batch_one.target, S("hosts:mx.provider.example"), S(""));
    CHECK(schedule_site_join(&schedule, shared, T0));
    schedule_site_release(&schedule, one);
    CHECK(schedule_bind(&schedule, batch_two.target, S("hosts:mx.provider.example"), S("")) ==
          shared);
    CHECK(schedule_site_join(&schedule, shared, T0));
    schedule_site_release(&schedule, two);
    CHECK(!schedule_site_join(&schedule, shared, T0));
    CHECK(deliver(&schedule, shared, 1) == 2);
    schedule_row_done(&schedule, first_row(&batch_one));
    schedule_row_done(&schedule, first_row(&batch_two));
    schedule_message_release(&schedule, batch_one.message);
    schedule_message_release(&schedule, batch_two.message);
    schedule_target_release(&schedule, batch_one.target);
    schedule_target_release(&schedule, batch_two.target);
    schedule_site_release(&schedule, shared);
    schedule_site_release(&schedule, shared);
    CHECK(schedule.message_count == 0 && map_count(&schedule.sites) == 1);
    schedule_done(&schedule);
}

static void
a_refusal_beside_working_connections_lowers_the_limit(void)
{
    struct schedule schedule;
    struct schedule_site *site;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 1; i <= 50; i++)
        add(&schedule, i, i, "smtp:strict.example", 1, T0);
    site = take_site(&schedule, T0);
    CHECK(take_site(&schedule, T0) == site);
    schedule_site_succeeded(&schedule, site, T0);
    CHECK(schedule_site_slow(&schedule, site, SCOPE_SITE, S("421 too many"), T0) == T0);
    CHECK(site->own.limit == 1 && site->own.paused_until == 0);
    schedule_site_release(&schedule, site);
    CHECK(!take_site(&schedule, T0));
    for (unsigned i = 0; i < 8; i++) {
        CHECK(deliver(&schedule, site, 1) != 0);
        schedule_site_succeeded(&schedule, site, T0 + SECONDS(10));
    }
    CHECK(site->own.limit == 1);
    schedule_site_succeeded(&schedule, site, T0 + MINUTES(1));
    schedule_site_succeeded(&schedule, site, T0 + MINUTES(1));
    CHECK(site->own.limit == 2 && take_site(&schedule, T0) == site);
    schedule_site_release(&schedule, site);
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
connections_that_fail_together_are_one_failure(void)
{
    struct schedule schedule;
    struct schedule_site *site;
    instant until;

    schedule_init(&schedule, &limits, 1);
    for (unsigned i = 1; i <= 50; i++)
        add(&schedule, i, i, "smtp:dead.example", 1, T0);
    site = take_site(&schedule, T0);
    CHECK(take_site(&schedule, T0) == site);
    until = schedule_site_failed(&schedule, site, S("refused"), T0);
    CHECK(until > T0 && until < T0 + MINUTES(6));
    CHECK(schedule_site_failed(&schedule, site, S("refused"), T0) == until);
    schedule_site_release(&schedule, site);
    schedule_site_release(&schedule, site);
    schedule_done(&schedule);
}

static void
what_cannot_be_returned_yet_waits_for_its_time(void)
{
    struct schedule schedule;
    struct schedule_message *message;
    struct schedule_row *row;
    instant over = T0 + DAYS(6);

    schedule_init(&schedule, &limits, 1);
    message = add(&schedule, 1, 1, "smtp:example.org", 1, T0);
    row = &message->rows[0];
    row->attempts = 1;
    CHECK(schedule_seize(&schedule, row));
    schedule_row_defer(&schedule, row, over + MINUTES(5), over);
    CHECK(schedule_due(&schedule) == over + MINUTES(5));
    schedule_tick(&schedule, over + MINUTES(5));
    CHECK(CONTAINER_OF(list_pop(&schedule.overdue), struct schedule_row, link) == row);
    schedule_done(&schedule);
}

static void
what_waits_survives_that_its_limits_change(void)
{
    struct schedule_limits longer = limits;
    struct schedule schedule;
    struct schedule_site *site;
    struct schedule_row *ready, *scheduled;

    schedule_init(&schedule, &limits, 1);
    ready = &add(&schedule, 1, 1, "smtp:example.org", 1, T0)->rows[0];
    scheduled = &add(&schedule, 2, 1, "smtp:example.org", 1, T0)->rows[0];
    ready->attempts = scheduled->attempts = 1;
    CHECK(schedule_seize(&schedule, scheduled));
    schedule_row_defer(&schedule, scheduled, T0 + HOURS(6), T0);
    site = take_site(&schedule, T0);
    schedule_site_pause(&schedule, site, SCOPE_SITE, T0 + DAYS(30), S("away"));
    schedule_site_release(&schedule, site);
    longer.warn = HOURS(8);
    longer.expire = DAYS(9);
    schedule_set_limits(&schedule, &longer);
    schedule_tick(&schedule, T0 + HOURS(5));
    CHECK(ready->state == ROW_READY && scheduled->state == ROW_SCHEDULED);
    CHECK(schedule_due(&schedule) == T0 + HOURS(6));
    schedule_tick(&schedule, T0 + HOURS(7));
    CHECK(ready->state == ROW_READY && scheduled->state == ROW_READY);
    CHECK(schedule_due(&schedule) == T0 + HOURS(8));
    schedule_tick(&schedule, T0 + HOURS(8));
    CHECK(ready->state == ROW_RUNNING && !list_is_empty(&schedule.overdue));
    while (list_pop(&schedule.overdue))
        ;
    schedule_done(&schedule);
}

static void
operators_hold_release_and_retry(void)
{
    struct schedule schedule;
    struct schedule_message *message;
    struct schedule_row *row;

    schedule_init(&schedule, &limits, 1);
    message = add(&schedule, 1, 1, "smtp:example.org", 1, T0);
    row = &message->rows[0];
    CHECK(schedule_seize(&schedule, row) && row->state == ROW_RUNNING);
    row->held = true;
    schedule_row_defer(&schedule, row, T0, T0);
    CHECK(row->state == ROW_HELD);
    CHECK(!take_site(&schedule, T0));
    CHECK(!schedule_retry(&schedule, row, T0));
    CHECK(schedule_seize(&schedule, row));
    row->held = false;
    schedule_row_defer(&schedule, row, T0, T0);
    CHECK(row->state == ROW_READY);
    CHECK(schedule_seize(&schedule, row));
    row->attempts = 1;
    schedule_row_defer(&schedule, row, T0 + HOURS(1), T0);
    CHECK(!take_site(&schedule, T0));
    CHECK(schedule_retry(&schedule, row, T0) && row->state == ROW_READY);
    schedule_done(&schedule);
}

static void
a_waiting_recipient_is_small(void)
{
    CHECK(sizeof(struct schedule_row) <= 64);
    CHECK(sizeof(struct schedule_row) + sizeof(struct schedule_message) + 4 * sizeof(void *) < 200);
}

int
main(void)
{
    RUN(recipients_of_one_message_go_together);
    RUN(what_is_given_back_again_and_again_is_over_in_its_time);
    RUN(a_newsletter_delays_another_sender_by_one_message);
    RUN(sites_take_turns_and_have_a_ceiling_of_connections);
    RUN(a_dead_site_pauses_without_delaying_others);
    RUN(retries_grow_to_the_maximum);
    RUN(a_recipient_is_reported_late_and_then_over);
    RUN(domains_with_the_same_hosts_share_a_site);
    RUN(a_refusal_beside_working_connections_lowers_the_limit);
    RUN(connections_that_fail_together_are_one_failure);
    RUN(what_cannot_be_returned_yet_waits_for_its_time);
    RUN(what_waits_survives_that_its_limits_change);
    RUN(operators_hold_release_and_retry);
    RUN(a_waiting_recipient_is_small);
    return check_end();
}
