/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_learn_test.c: receivers with limits that nobody is told, in virtual time.
 *
 * A receiver here counts as receivers do: in a fixed or a sliding window, by tokens, by
 * connections; or it is out for an hour.  A backlog that never ends is delivered to it by the
 * tables alone, and what was reached is compared with what it allows. */
#include "delivery/schedule/schedule.h"

#include "base/must.h"
#include "base/rand.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNDER_WAY_MAX = 64,
    STAMPS = 65536
};

static const instant T0 = SECONDS(1700000000);

static const struct schedule_limits limits = {
    .retry_min = MINUTES(5),
    .retry_max = HOURS(4),
    .expire = DAYS(5),
    .bounce_expire = DAYS(2),
    .warn = HOURS(4),
    .site_slots = 20,
    .slots = 1000,
};

enum counting {
    FIXED,
    SLIDING,
    TOKENS
};

struct receiver {
    enum counting counting;
    unsigned count; /* In PERIOD; 0: any. */
    duration period;
    unsigned burst; /* Tokens at once. */
    unsigned connections;
    duration takes; /* For a message. */
    instant out_from, out_until;
    unsigned resets_one_in;
    double tokens;
    instant counted_at;
    instant stamps[STAMPS]; /* When it took one, in a ring. */
    uint64_t stamp_count;
};

struct under_way {
    struct schedule_batch batch;
    struct schedule_site *site;
    instant ends;
    bool counts; /* Among the connections. */
};

struct trial {
    struct schedule schedule;
    struct receiver *receiver;
    struct rand rand;
    struct under_way runs[UNDER_WAY_MAX];
    unsigned run_count;
    unsigned connected;
    unsigned number;
    uint64_t taken;
    uint64_t refused;
    uint64_t failed;
    unsigned most; /* Connections at once. */
};

static msgid
id_of(unsigned number)
{
    msgid id = {};

    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static void
add(struct trial *trial, instant now)
{
    struct schedule_start start = { .due = now };
    struct schedule_facts facts = {
        .id = id_of(++trial->number), .received_at = now, .sender = 7, .lane = LANE_BULK
    };
    struct schedule_message *message = schedule_add(&trial->schedule, &facts, 1);

    schedule_add_row(&trial->schedule, message, 0, S("smtp:example.org"), &start, now);
    (void)schedule_message_release(&trial->schedule, message);
}

/* --- The receiver. */

static uint64_t
taken_since(const struct receiver *receiver, instant from)
{
    uint64_t count = 0;

    for (uint64_t i = receiver->stamp_count; i > 0 && receiver->stamp_count - i < STAMPS; i--) {
        if (receiver->stamps[(i - 1) % STAMPS] <= from)
            break;
        count++;
    }
    return count;
}

static bool
has_room(struct receiver *receiver, instant now)
{
    if (receiver->count == 0)
        return true;
    switch (receiver->counting) {
    case FIXED:
        return taken_since(receiver, now - now % receiver->period - 1) < receiver->count;
    case SLIDING:
        return taken_since(receiver, now - receiver->period) < receiver->count;
    default:
        receiver->tokens +=
            (double)(now - receiver->counted_at) * receiver->count / (double)receiver->period;
        receiver->tokens = MIN(receiver->tokens, (double)receiver->burst);
        receiver->counted_at = now;
        if (receiver->tokens < 1)
            return false;
        receiver->tokens -= 1;
        return true;
    }
}

/* --- We. */

static void
end(struct trial *trial, struct under_way *run, bool done, instant now)
{
    struct schedule *schedule = &trial->schedule;
    struct link *link = list_pop(&run->batch.rows);
    struct schedule_row *row = CONTAINER_OF(link, struct schedule_row, link);

    if (done)
        schedule_row_done(schedule, row);
    else
        schedule_row_return(schedule, row, now);
    schedule_target_release(schedule, run->batch.target);
    (void)schedule_message_release(schedule, run->batch.message);
    if (run->counts)
        trial->connected--;
    schedule_site_release(schedule, run->site);
}

static void
answer(struct trial *trial, struct under_way *run, instant now)
{
    struct receiver *receiver = trial->receiver;
    struct schedule *schedule = &trial->schedule;

    if (!run->counts || (now >= receiver->out_from && now < receiver->out_until)) {
        if (run->counts)
            schedule_site_failed(schedule, run->site, S("refused"), now);
        else
            schedule_site_slow(schedule, run->site, SCOPE_SITE, S("too many connections"), now);
        trial->failed++;
        end(trial, run, false, now);
    } else if (receiver->resets_one_in && rand_below(&trial->rand, receiver->resets_one_in) == 0) {
        schedule_site_failed(schedule, run->site, S("reset"), now);
        end(trial, run, false, now);
    } else if (!has_room(receiver, now)) {
        schedule_site_rate_limited(schedule, run->site, SCOPE_SITE, run->batch.taken_at,
                                   S("too much"), now);
        trial->refused++;
        end(trial, run, false, now);
    } else {
        receiver->stamps[receiver->stamp_count++ % STAMPS] = now;
        trial->taken++;
        schedule_site_succeeded(schedule, run->site, now);
        end(trial, run, true, now);
        add(trial, now);
    }
}

static void
start(struct trial *trial, instant now)
{
    struct receiver *receiver = trial->receiver;
    struct schedule_work work;

    while (trial->run_count < UNDER_WAY_MAX && schedule_next(&trial->schedule, 1, now, &work)) {
        struct under_way *run = &trial->runs[trial->run_count++];
        *run = (struct under_way){ .site = work.site, .batch = work.batch };
        list_move(&run->batch.rows, &work.batch.rows);
        run->counts = receiver->connections == 0 || trial->connected < receiver->connections;
        trial->connected += run->counts;
        trial->most = MAX(trial->most, trial->connected);
        /* Up to a fifth longer or shorter. */
        run->ends = now + receiver->takes * 4 / 5 +
                    (duration)rand_below(&trial->rand, (uint64_t)receiver->takes * 2 / 5);
        if (!run->counts)
            run->ends = now + MILLISECONDS(20);
    }
}

static void
run_until(struct trial *trial, instant from, instant until)
{
    instant now = from;

    for (;;) {
        struct under_way *next = NULL;
        schedule_tick(&trial->schedule, now);
        start(trial, now);
        for (unsigned i = 0; i < trial->run_count; i++)
            if (!next || trial->runs[i].ends < next->ends)
                next = &trial->runs[i];
        instant due = schedule_due(&trial->schedule);
        if (next)
            due = MIN(due, next->ends);
        if (due > until)
            return;
        must(due >= now);
        now = due;
        if (next && next->ends <= now) {
            struct under_way run = *next;
            list_move(&run.batch.rows, &next->batch.rows);
            struct under_way *last = &trial->runs[--trial->run_count];
            if (last != next) {
                *next = *last;
                list_move(&next->batch.rows, &last->batch.rows);
            }
            answer(trial, &run, now);
        }
    }
}

static struct trial *
trial_new(struct receiver *receiver, uint64_t seed)
{
    struct trial *trial = calloc(1, sizeof(*trial));

    must(trial);
    trial->receiver = receiver;
    rand_init(&trial->rand, seed);
    schedule_init(&trial->schedule, &limits, seed);
    for (unsigned i = 0; i < 50; i++)
        add(trial, T0);
    return trial;
}

static void
trial_free(struct trial *trial)
{
    schedule_done(&trial->schedule);
    free(trial);
}

struct outcome {
    double reached; /* Of what was allowed, after the first part. */
    double refused; /* Of the attempts. */
};

static struct outcome
measure(const char *what, struct receiver *receiver, duration first, duration then, uint64_t seed)
{
    struct trial *trial = trial_new(receiver, seed);
    struct outcome outcome;
    uint64_t taken, refused;
    double allowed;

    receiver->counted_at = T0;
    receiver->tokens = receiver->burst;
    run_until(trial, T0, T0 + first);
    taken = trial->taken;
    refused = trial->refused + trial->failed;
    run_until(trial, T0 + first, T0 + first + then);
    allowed = (double)then / (double)receiver->period * receiver->count;
    if (receiver->count == 0)
        allowed = (double)then / (double)receiver->takes * receiver->connections;
    outcome.reached = (double)(trial->taken - taken) / allowed;
    refused = trial->refused + trial->failed - refused;
    outcome.refused = (double)refused / (double)(trial->taken - taken + refused);
    if (getenv("TRIALS"))
        printf("%-40s seed %llu: first %llu taken, %llu refused; then reached %.1f %%, refused "
               "%.1f %%, most %u\n",
               what, (unsigned long long)seed, (unsigned long long)taken,
               (unsigned long long)(trial->refused + trial->failed - refused),
               outcome.reached * 100, outcome.refused * 100, trial->most);
    trial_free(trial);
    return outcome;
}

/* A window hardly longer than a message takes is not known to the tenth. */
static const struct {
    enum counting counting;
    unsigned count;
    duration period;
    unsigned burst;
    const char *name;
    double least; /* 0: nine tenths. */
} rates[] = {
    { FIXED, 10, SECONDS(1), 0, "10 in a fixed second", 0.85 },
    { SLIDING, 10, SECONDS(1), 0, "10 in any second", 0.85 },
    { TOKENS, 10, SECONDS(1), 10, "10 tokens a second" },
    { FIXED, 100, MINUTES(1), 0, "100 in a fixed minute" },
    { SLIDING, 100, MINUTES(1), 0, "100 in any minute" },
    { TOKENS, 100, MINUTES(1), 20, "100 tokens a minute" },
    { TOKENS, 30, MINUTES(1), 30, "30 tokens a minute" },
    { FIXED, 20, MINUTES(1), 0, "20 in a fixed minute" },
    { FIXED, 100, MINUTES(2), 0, "100 in two fixed minutes" },
    { SLIDING, 100, MINUTES(4), 0, "100 in any four minutes" },
    { FIXED, 50, MINUTES(4), 0, "50 in four fixed minutes" },
    { TOKENS, 60, MINUTES(4), 60, "60 tokens in four minutes" },
    { SLIDING, 1000, HOURS(1), 0, "1000 in any hour" },
};

static void
a_rate_that_nobody_told_is_reached_and_kept(void)
{
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        double reached = 0, refused = 0;
        bool hours = rates[i].period >= HOURS(1);
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct receiver *receiver = calloc(1, sizeof(*receiver));
            must(receiver);
            receiver->counting = rates[i].counting;
            receiver->count = rates[i].count;
            receiver->period = rates[i].period;
            receiver->burst = rates[i].burst;
            receiver->takes = MILLISECONDS(300);
            struct outcome outcome =
                measure(rates[i].name, receiver, hours ? HOURS(3) : MINUTES(15),
                        hours ? HOURS(12) : MINUTES(45), seed);
            reached += outcome.reached / 3;
            refused += outcome.refused / 3;
            free(receiver);
        }
        CHECK(reached >= (rates[i].least > 0 ? rates[i].least : 0.9) && reached <= 1.01);
        CHECK(refused <= 0.05);
    }
}

static void
a_number_of_connections_that_nobody_told_is_reached_and_kept(void)
{
    static const unsigned numbers[] = { 1, 2, 3, 8, 15, 20 };

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct receiver *receiver = calloc(1, sizeof(*receiver));
        must(receiver);
        receiver->connections = numbers[i];
        receiver->takes = MILLISECONDS(300);
        receiver->period = SECONDS(1);
        struct outcome outcome =
            measure("connections", receiver, MINUTES(15), MINUTES(45), numbers[i]);
        CHECK(outcome.reached >= 0.9);
        CHECK(outcome.refused <= 0.05);
        free(receiver);
    }
}

static void
resets_by_chance_cost_little(void)
{
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    struct outcome outcome;

    must(receiver);
    receiver->resets_one_in = 50;
    receiver->takes = MILLISECONDS(300);
    receiver->period = SECONDS(1);
    receiver->connections = 20;
    outcome = measure("one in 50 reset", receiver, MINUTES(5), MINUTES(15), 1);
    CHECK(outcome.reached >= 0.9);
    free(receiver);
}

static void
an_hour_of_silence_costs_single_probes_and_no_herd(void)
{
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    struct trial *trial;
    uint64_t failed;

    must(receiver);
    receiver->takes = MILLISECONDS(300);
    receiver->out_from = T0 + MINUTES(10);
    receiver->out_until = T0 + MINUTES(70);
    trial = trial_new(receiver, 1);
    run_until(trial, T0, T0 + MINUTES(11));
    failed = trial->failed;
    CHECK(failed <= 30);
    run_until(trial, T0 + MINUTES(11), T0 + MINUTES(69));
    CHECK(trial->failed - failed <= 10);
    CHECK(trial->run_count <= 1);
    run_until(trial, T0 + MINUTES(69), T0 + MINUTES(180));
    CHECK(trial->most <= 20 && trial->taken > 100000);
    trial_free(trial);
    free(receiver);
}

int
main(void)
{
    RUN(a_rate_that_nobody_told_is_reached_and_kept);
    RUN(a_number_of_connections_that_nobody_told_is_reached_and_kept);
    RUN(resets_by_chance_cost_little);
    RUN(an_hour_of_silence_costs_single_probes_and_no_herd);
    return check_end();
}
