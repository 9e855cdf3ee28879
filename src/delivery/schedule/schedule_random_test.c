/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_random_test.c: random operations from seeds.
 *
 * Whatever is done to the tables: no row is lost, the counts agree with what they count, no said
 * limit is exceeded, and when the world is well again everything goes out, without a stall. */
#include "delivery/schedule/schedule_inside.h"

#include "base/rand.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUNS_MAX = 40,
    TARGETS = 12,
    SITES = 6,
    LOG_MAX = 20000
};

static const instant T0 = SECONDS(1700000000);

static const struct schedule_limits limits = {
    .retry_min = MINUTES(1),
    .retry_max = MINUTES(20),
    .expire = DAYS(500),
    .bounce_expire = DAYS(500),
    .site_slots = 4,
    .slots = 12,
};

struct run {
    struct schedule_site *site; /* NULL: none. */
    struct schedule_batch batch;
    bool has_batch;
    struct link idle;
    bool parked;
};

/* What went out, for each site and each provider. */
struct log {
    struct {
        instant at;
        bool is_code;
    } sent[LOG_MAX];
    unsigned count;
};

struct world {
    struct schedule schedule;
    struct rand rand;
    instant now;
    struct run runs[RUNS_MAX];
    unsigned number;
    uint64_t added;
    uint64_t ended;
    uint64_t held;
    bool calm; /* Nothing fails any more. */
    struct log providers[2];
};

/* Two providers with sites of their own; the last sites belong to none. */
static const struct pace provider_paces[2] = {
    { .connections = 3, .rates = { { 7, SECONDS(10) } }, .rate_count = 1 },
    { .connections = 2, .rates = { { 100, HOURS(1) }, { 2, SECONDS(1) } }, .rate_count = 2 },
};

static uint64_t
below(struct world *world, uint64_t limit)
{
    return rand_below(&world->rand, limit);
}

static int
provider_of(const struct schedule_site *site)
{
    const struct schedule_group *group = site->groups[SCOPE_PROVIDER];

    return group ? group->name[0] - 'a' : -1;
}

static void
add(struct world *world)
{
    uint32_t rows = 1 + (uint32_t)below(world, 4);
    struct schedule_facts facts = { .received_at = world->now,
                                    .sender = below(world, 20),
                                    .lane = (enum lane)below(world, LANE_COUNT),
                                    .priority = (int8_t)((int)below(world, 19) - 9) };
    struct schedule_message *message;

    world->number++;
    memcpy(facts.id.bytes, &world->number, sizeof(world->number));
    if (below(world, 8) == 0)
        facts.not_before = world->now + (duration)below(world, HOURS(1));
    message = schedule_add(&world->schedule, &facts, rows);
    for (uint32_t i = 0; i < rows; i++) {
        struct schedule_start start = { .due = world->now,
                                        .attempts = below(world, 5) == 0,
                                        .held = below(world, 30) == 0 };
        char key[32];
        int len =
            snprintf(key, sizeof(key), "mx:domain%u.example", (unsigned)below(world, TARGETS));
        if (start.attempts)
            start.due += (duration)below(world, MINUTES(10));
        schedule_add_row(&world->schedule, message, i, (str){ key, (size_t)len }, &start,
                         world->now);
        world->added++;
    }
    (void)schedule_message_release(&world->schedule, message);
}

/* --- Runs. */

static void
log_taken(struct world *world, struct run *run)
{
    int provider = provider_of(run->site);
    struct log *log;

    if (provider < 0)
        return;
    log = &world->providers[provider];
    must(log->count < LOG_MAX);
    log->sent[log->count].at = world->now;
    log->sent[log->count++].is_code = run->batch.message->rank == RANK_CODE;
}

static void
end_batch(struct world *world, struct run *run, bool tried)
{
    struct schedule *schedule = &world->schedule;
    struct link *link;

    while ((link = list_pop(&run->batch.rows))) {
        struct schedule_row *row = CONTAINER_OF(link, struct schedule_row, link);
        unsigned dice = world->calm ? 0 : (unsigned)below(world, 10);
        if (!tried) {
            schedule_row_return(schedule, row, world->now);
        } else if (dice < 6) {
            schedule_row_done(schedule, row);
            world->ended++;
        } else if (dice < 9) {
            row->attempts++;
            schedule_row_defer(schedule, row,
                               schedule_row_retry_at(schedule, row, row->attempts, world->now),
                               world->now);
        } else {
            schedule_row_move(schedule, row, S("mx:domain0.example"), world->now);
        }
    }
    schedule_target_release(schedule, run->batch.target);
    (void)schedule_message_release(schedule, run->batch.message);
    run->has_batch = false;
}

/* The lookup says where the target is: its site, and the provider of that. */
static bool
resolve(struct world *world, struct run *run)
{
    struct schedule *schedule = &world->schedule;
    unsigned domain = (unsigned)(run->batch.target->key[strlen("mx:domain")] - '0');
    unsigned number = domain % SITES;
    struct schedule_site *site;
    char key[32];
    int len = snprintf(key, sizeof(key), "mx%u.example", number);

    site = schedule_bind(schedule, run->batch.target, (str){ key, (size_t)len }, S(""));
    if (number < 4)
        schedule_site_group(schedule, site, SCOPE_PROVIDER, number % 2 ? S("b") : S("a"),
                            &provider_paces[number % 2]);
    if (site == run->site)
        return true;
    if (!schedule_site_join(schedule, site, world->now)) {
        end_batch(world, run, false);
        return false;
    }
    schedule_site_release(schedule, run->site);
    run->site = site;
    log_taken(world, run);
    return true;
}

static void
leave(struct world *world, struct run *run)
{
    if (run->parked)
        schedule_site_unpark(&world->schedule, run->site, &run->idle);
    schedule_site_release(&world->schedule, run->site);
    *run = (struct run){};
}

/* As the receiver answers. */
static bool
teach(struct world *world, struct run *run)
{
    struct schedule *schedule = &world->schedule;
    enum schedule_scope scope = (enum schedule_scope)below(world, SCOPE_COUNT);
    unsigned dice = world->calm ? 20 : (unsigned)below(world, 40);

    switch (dice) {
    case 0:
        schedule_site_failed(schedule, run->site, S("silence"), world->now);
        return false;
    case 1:
        schedule_site_slow(schedule, run->site, scope, S("too many"), world->now);
        return false;
    case 2:
        schedule_site_rate_limited(schedule, run->site, scope, run->batch.taken_at, S("too much"),
                                   world->now);
        return false;
    case 3:
        if (below(world, 5) == 0)
            schedule_site_pause(schedule, run->site, scope,
                                world->now + (duration)below(world, HOURS(1)), S("later"));
        return false;
    case 4:
        schedule_site_ends_after(schedule, run->site, 3, world->now);
        return true;
    default:
        schedule_site_succeeded(schedule, run->site, world->now);
        return true;
    }
}

static void
finish(struct world *world, struct run *run)
{
    struct schedule *schedule = &world->schedule;
    bool well;

    if (!resolve(world, run)) {
        leave(world, run);
        return;
    }
    well = teach(world, run);
    end_batch(world, run, well);
    if (!well || schedule_is_crowded(schedule, run->site)) {
        leave(world, run);
        return;
    }
    run->has_batch = schedule_take(schedule, run->site, 3, world->now, &run->batch);
    if (run->has_batch) {
        log_taken(world, run);
    } else if (below(world, 2)) {
        run->parked = true;
        schedule_site_park(schedule, run->site, &run->idle);
    } else {
        leave(world, run);
    }
}

static struct run *
free_run(struct world *world)
{
    for (unsigned i = 0; i < RUNS_MAX; i++)
        if (!world->runs[i].site)
            return &world->runs[i];
    return NULL;
}

static void
dispatch(struct world *world)
{
    struct schedule_work work;
    struct run *run;

    while ((run = free_run(world)) && schedule_next(&world->schedule, 3, world->now, &work)) {
        if (work.for_idle) {
            run = CONTAINER_OF(work.site->idle.next, struct run, idle);
            schedule_site_unpark(&world->schedule, work.site, &run->idle);
            run->parked = false;
        }
        run->site = work.site;
        run->batch = work.batch;
        list_move(&run->batch.rows, &work.batch.rows);
        run->has_batch = true;
        log_taken(world, run);
    }
}

/* --- What must hold. */

static bool
counts_agree(struct world *world)
{
    const struct schedule *schedule = &world->schedule;
    uint64_t rows = 0, ready = 0, running = 0, held = 0, batched = 0;
    unsigned slots = 0;

    for (struct schedule_message *at = NULL; (at = schedule_next_message(schedule, at));)
        for (uint32_t i = 0; i < at->row_count; i++) {
            rows += at->rows[i].state != ROW_DONE;
            ready += at->rows[i].state == ROW_READY;
            running += at->rows[i].state == ROW_RUNNING;
            held += at->rows[i].state == ROW_HELD;
        }
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        slots += world->runs[i].site != NULL;
        for (const struct link *link = world->runs[i].batch.rows.next;
             world->runs[i].has_batch && link != &world->runs[i].batch.rows; link = link->next)
            batched++;
    }
    world->held = held;
    return rows == schedule->row_count && ready == schedule->ready_count && running == batched &&
           slots == schedule->running && rows == world->added - world->ended;
}

static bool
groups_agree(struct world *world)
{
    struct schedule *schedule = &world->schedule;
    unsigned codes = MAX(1U, limits.slots / 50);
    void *value;
    str key;

    if (schedule->running > limits.slots + codes + SITES)
        return false;
    for (size_t at = 0; map_next(&schedule->groups, &at, &key, &value);) {
        struct schedule_group *group = value;
        unsigned running = 0;
        for (unsigned i = 0; i < RUNS_MAX; i++)
            running += world->runs[i].site && world->runs[i].site->groups[SCOPE_PROVIDER] == group;
        if (running != group->running || running > schedule_group_ceiling(schedule, group))
            return false;
    }
    return true;
}

/* Never more in any stretch of time than is said. */
static bool
rates_held(const struct world *world)
{
    for (unsigned p = 0; p < 2; p++)
        for (unsigned r = 0; r < provider_paces[p].rate_count; r++) {
            const struct rate *rate = &provider_paces[p].rates[r];
            const struct log *log = &world->providers[p];
            unsigned first = 0;
            unsigned max = rate->count + (rate->period < HOURS(1) ? MAX(1U, rate->count / 50) : 0);
            for (unsigned i = 0; i < log->count; i++) {
                while (log->sent[first].at <= log->sent[i].at - rate->period)
                    first++;
                if (i - first + 1 > max)
                    return false;
            }
        }
    return true;
}

/* --- A run of a seed. */

static void
random_verb(struct world *world)
{
    struct schedule *schedule = &world->schedule;
    struct schedule_message *message = NULL;
    uint64_t skip = below(world, 1 + schedule->message_count);
    struct schedule_row *row;

    do
        message = schedule_next_message(schedule, message);
    while (message && skip-- > 0);
    if (!message)
        return;
    row = &message->rows[below(world, message->row_count)];
    if (below(world, 2)) {
        (void)schedule_retry(schedule, row, world->now);
    } else if (row->state != ROW_DONE && schedule_seize(schedule, row)) {
        row->held = below(world, 4) == 0;
        schedule_row_defer(schedule, row, world->now, world->now);
    }
}

static void
step(struct world *world)
{
    struct run *run = &world->runs[below(world, RUNS_MAX)];

    switch (below(world, 8)) {
    case 0:
    case 1:
        add(world);
        break;
    case 2:
        world->now += (duration)below(world, SECONDS(20));
        schedule_tick(&world->schedule, world->now);
        break;
    case 3:
        random_verb(world);
        break;
    case 4:
        if (run->parked)
            leave(world, run);
        break;
    default:
        if (run->has_batch)
            finish(world, run);
    }
    dispatch(world);
}

/* Nothing fails any more, nobody interferes: all goes out.  False when it stalls. */
static bool
drain(struct world *world)
{
    world->calm = true;
    for (unsigned rounds = 0; rounds < 200000; rounds++) {
        bool any = false;
        instant due;
        dispatch(world);
        for (unsigned i = 0; i < RUNS_MAX; i++)
            if (world->runs[i].has_batch) {
                finish(world, &world->runs[i]);
                any = true;
            }
        for (unsigned i = 0; i < RUNS_MAX; i++)
            if (world->runs[i].parked && below(world, 2))
                leave(world, &world->runs[i]);
        (void)counts_agree(world);
        if (world->schedule.row_count == world->held)
            return true;
        due = schedule_due(&world->schedule);
        for (unsigned i = 0; i < RUNS_MAX; i++)
            any = any || world->runs[i].parked; /* Until it leaves. */
        if (!any && due > world->now + DAYS(1) && !schedule_has_work(&world->schedule))
            return false;
        if (!any && due != NEVER && !schedule_has_work(&world->schedule))
            world->now = MAX(world->now + MILLISECONDS(1), due);
        else
            world->now += MILLISECONDS(50);
        schedule_tick(&world->schedule, world->now);
    }
    return false;
}

static void
whatever_is_done_nothing_is_lost_exceeded_or_stalled(void)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct world *world = calloc(1, sizeof(*world));
        bool agree = true;
        must(world);
        rand_init(&world->rand, seed);
        world->now = T0;
        schedule_init(&world->schedule, &limits, seed);
        for (unsigned i = 0; i < 1500 && agree; i++) {
            step(world);
            agree = i % 50 != 0 || (counts_agree(world) && groups_agree(world));
        }
        if (!agree || !drain(world) || !counts_agree(world) || !rates_held(world)) {
            printf("seed %llu: agree %d, %zu rows, %zu ready, %u running, held %llu, rates %d\n",
                   (unsigned long long)seed, agree, world->schedule.row_count,
                   world->schedule.ready_count, world->schedule.running,
                   (unsigned long long)world->held, rates_held(world));
            CHECK(false);
        }
        for (unsigned i = 0; i < RUNS_MAX; i++)
            if (world->runs[i].parked)
                leave(world, &world->runs[i]);
        CHECK(world->schedule.running == 0);
        schedule_done(&world->schedule);
        free(world);
    }
}

int
main(void)
{
    RUN(whatever_is_done_nothing_is_lost_exceeded_or_stalled);
    return check_end();
}
