/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fiber_test.c: turns, waits, cancellation, threads, and very many fibers. */
#include "runtime/fiber.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/wait.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void
run(void (*fn)(void *), void *arg)
{
    struct runtime_options options = { .loops = 2 };
    enum err e = runtime_run(&options, fn, arg);

    CHECK(e == OK);
}

static char trace[64];

static void
mark(const char *text)
{
    strncat(trace, text, sizeof(trace) - strlen(trace) - 1);
}

static void
say_twice(void *arg)
{
    mark(arg);
    fiber_yield();
    mark(arg);
}

static void
two_take_turns(void *arg)
{
    struct group group;
    enum err e;

    (void)arg;
    trace[0] = 0;
    group_init(&group);
    e = group_start(&group, say_twice, "a", "a");
    CHECK(!e);
    e = group_start(&group, say_twice, "b", "b");
    CHECK(!e);
    group_join(&group);
    CHECK(group.count == 0);
    CHECK(strcmp(trace, "abab") == 0);
}

static void
fibers_take_turns(void)
{
    run(two_take_turns, NULL);
}

static void
sleep_long(void *arg)
{
    *(enum err *)arg = fiber_sleep(SECONDS(100));
}

static void
cancel_sleeper(void *arg)
{
    enum err result = OK;
    struct group group;
    enum err e;

    (void)arg;
    group_init(&group);
    e = group_start(&group, sleep_long, &result, "sleeper");
    CHECK(!e);
    fiber_yield();
    group_stop(&group);
    CHECK(result == ERR_CANCELLED);
    e = group_start(&group, sleep_long, &result, "late");
    CHECK(e == ERR_CANCELLED);
}

static void
cancellation_cuts_a_wait_short(void)
{
    run(cancel_sleeper, NULL);
}

static void
own_a_group(void *arg)
{
    struct group inner;
    enum err e;

    group_init(&inner);
    e = group_start(&inner, sleep_long, arg, "inner");
    CHECK(!e);
    group_join(&inner);
    CHECK(fiber_cancelled());
}

static void
cancel_the_outer(void *arg)
{
    enum err result = OK;
    struct group group;
    enum err e;

    (void)arg;
    group_init(&group);
    e = group_start(&group, own_a_group, &result, "outer");
    CHECK(!e);
    fiber_yield();
    fiber_yield();
    group_stop(&group);
    CHECK(result == ERR_CANCELLED);
}

static void
cancellation_reaches_groups_of_groups(void)
{
    run(cancel_the_outer, NULL);
}

static void
sleep_short(void *arg)
{
    instant before = clock_steady();
    enum err e = fiber_sleep(MILLISECONDS(20));

    (void)arg;
    CHECK(!e);
    CHECK(clock_steady() - before >= MILLISECONDS(20));
    CHECK(clock_steady() - before < SECONDS(5));
}

static void
sleep_lasts_as_long_as_asked(void)
{
    run(sleep_short, NULL);
}

static void
wait_in_vain(void *arg)
{
    struct latch latch = {};
    struct bell bell = {};

    (void)arg;
    CHECK(latch_wait(&latch, deadline_in(MILLISECONDS(5))) == ERR_TIMEOUT);
    CHECK(bell_wait(&bell, deadline_in(MILLISECONDS(5))) == ERR_TIMEOUT);
    bell_ring(&bell);
    bell_ring(&bell);
    CHECK(bell_wait(&bell, NEVER) == OK);
    CHECK(bell_wait(&bell, deadline_in(MILLISECONDS(5))) == ERR_TIMEOUT);
}

static void
a_deadline_ends_a_wait(void)
{
    run(wait_in_vain, NULL);
    wait_in_vain(NULL); /* Outside a fiber it blocks the thread. */
}

struct ping_pong {
    struct latch latches[200];
    struct bell bell;
};

static void *
open_all(void *arg)
{
    struct ping_pong *game = arg;

    for (size_t i = 0; i < COUNT_OF(game->latches); i++) {
        latch_open(&game->latches[i]);
        if (i % 16 == 0)
            usleep(100);
    }
    bell_ring(&game->bell);
    return NULL;
}

static void
wait_for_all(void *arg)
{
    struct ping_pong game = {};
    unsigned timeouts = 0;
    pthread_t thread;

    (void)arg;
    CHECK(pthread_create(&thread, NULL, open_all, &game) == 0);
    for (size_t i = 0; i < COUNT_OF(game.latches); i++)
        while (latch_wait(&game.latches[i], deadline_in(MICROSECONDS(i % 3 * 30))) == ERR_TIMEOUT)
            timeouts++;
    CHECK(timeouts < 1000000);
    CHECK(bell_wait(&game.bell, deadline_in(SECONDS(10))) == OK);
    pthread_join(thread, NULL);
}

static void
latches_open_across_threads(void)
{
    run(wait_for_all, NULL);
    wait_for_all(NULL);
}

struct visit {
    unsigned loop;
    struct latch latch;
};

static void
note_loop(void *arg)
{
    struct visit *visit = arg;

    visit->loop = runtime_loop_current();
    latch_open(&visit->latch);
}

static void
post_to_all(void *arg)
{
    (void)arg;
    CHECK(runtime_loop_count() == 2);
    for (unsigned i = 0; i < runtime_loop_count(); i++) {
        struct visit visit = { .loop = 99 };
        runtime_post(i, note_loop, &visit);
        latch_wait_always(&visit.latch);
        CHECK(visit.loop == i);
    }
}

static void
posts_reach_every_loop(void)
{
    run(post_to_all, NULL);
}

static void
note_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    usleep(1000);
}

static void
offload_one(void *arg)
{
    pthread_t thread = pthread_self();

    (void)arg;
    offload(note_thread, &thread);
    CHECK(!pthread_equal(thread, pthread_self()));
}

static void
offload_many(void *arg)
{
    struct group group;
    enum err e;

    group_init(&group);
    for (int i = 0; i < 100; i++) {
        e = group_start(&group, offload_one, arg, "offload");
        CHECK(!e);
    }
    group_join(&group);
}

static void
offloaded_work_runs_on_other_threads(void)
{
    run(offload_many, NULL);
}

static void
count_down(void *arg)
{
    --*(int *)arg;
    fiber_yield();
}

#if defined(__SANITIZE_THREAD__) || defined(FIBERS_PTHREAD)
enum {
    MANY = 1000
}; /* Each is a thread there, or counts as one. */
#else
enum {
    MANY = 40000
};
#endif

static void
start_thousands(void *arg)
{
    struct group group;
    int left = MANY;

    (void)arg;
    group_init(&group);
    for (int i = 0; i < MANY; i++) {
        enum err e = group_start(&group, count_down, &left, "one of many");
        CHECK(!e);
        if (i == MANY / 2)
            fiber_yield();
    }
    group_join(&group);
    CHECK(left == 0);
}

static void
thousands_of_fibers_live_at_once(void)
{
    run(start_thousands, NULL);
}

static void
wait_for_pipe(void *arg)
{
    int ends[2];

    (void)arg;
    CHECK(pipe(ends) == 0);
    CHECK(wait_fd(ends[0], false, deadline_in(MILLISECONDS(5))) == ERR_TIMEOUT);
    CHECK(wait_fd(ends[1], true, deadline_in(SECONDS(5))) == OK);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(wait_fd(ends[0], false, deadline_in(SECONDS(5))) == OK);
    close(ends[0]);
    close(ends[1]);
}

static void
a_descriptor_can_be_waited_for(void)
{
    run(wait_for_pipe, NULL);
    wait_for_pipe(NULL);
}

static void
sleep_busy_then_idle(void *arg)
{
    enum err *results = arg;

    results[0] = fiber_sleep(MILLISECONDS(20));
    fiber_set_idle(true);
    results[1] = fiber_sleep(MINUTES(1));
}

static void
cancel_the_idle(void *arg)
{
    enum err results[2] = { ERR_IO, ERR_IO };
    struct group group;
    enum err e;

    (void)arg;
    group_init(&group);
    e = group_start(&group, sleep_busy_then_idle, results, "busy");
    CHECK(!e);
    fiber_yield();
    group_cancel_idle(&group);
    group_join(&group);
    CHECK(results[0] == OK);
    CHECK(results[1] == ERR_CANCELLED);
}

static void
only_idle_fibers_are_cut_short_by_group_cancel_idle(void)
{
    run(cancel_the_idle, NULL);
}

int
main(void)
{
    RUN(fibers_take_turns);
    RUN(cancellation_cuts_a_wait_short);
    RUN(cancellation_reaches_groups_of_groups);
    RUN(only_idle_fibers_are_cut_short_by_group_cancel_idle);
    RUN(sleep_lasts_as_long_as_asked);
    RUN(a_deadline_ends_a_wait);
    RUN(latches_open_across_threads);
    RUN(posts_reach_every_loop);
    RUN(offloaded_work_runs_on_other_threads);
    RUN(thousands_of_fibers_live_at_once);
    RUN(a_descriptor_can_be_waited_for);
    return check_end();
}
