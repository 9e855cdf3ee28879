/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sim_clock.c: virtual time, seeded randomness, and what is under way.
 *
 * Time stands still while a fiber can run.  When none can, it jumps to what is due next: a timer of
 * the loop or a delivery (bytes, connections, DNS answers that are on their way).  Threads of the
 * outside (a spool's writer) have no place in virtual time: while a fiber is in
 * latch_wait_always(), they get a short real moment to answer before time jumps.  Start reading at
 * sim_idle().
 */
#include "runtime/sim.h"

#include "base/must.h"
#include "base/rand.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"

#include <string.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 50,        /* Real time for other threads before virtual time jumps. */
    DEADLOCK_MS = 20 * 1000, /* Real time before a world in which nothing can happen ends. */
};

/* Friday, 2027-01-15 08:00 UTC. */
static const instant wall_start = SECONDS(1800000000);

static struct {
    atomic_bool on;
    _Atomic instant now;
    pthread_mutex_t random_lock;
    struct rand random;
    struct heap deliveries;
} world = { .random_lock = PTHREAD_MUTEX_INITIALIZER };

void
sim_begin(uint64_t seed)
{
    must(!world.on);
    rand_init(&world.random, seed);
    heap_init(&world.deliveries);
    world.now = SECONDS(1000);
    world.on = true;
}

void
sim_end(void)
{
    sim_net_end();
    sim_dns_clear();
    heap_done(&world.deliveries);
    world.on = false;
}

bool
sim_is_on(void)
{
    return atomic_load_explicit(&world.on, memory_order_relaxed);
}

instant
sim_now(void)
{
    return world.now;
}

instant
sim_wall(void)
{
    return wall_start + world.now;
}

uint64_t
sim_random_below(uint64_t limit)
{
    uint64_t value;

    pthread_mutex_lock(&world.random_lock);
    value = rand_below(&world.random, limit);
    pthread_mutex_unlock(&world.random_lock);
    return value;
}

void
sim_random_bytes(void *bytes, size_t count)
{
    char *at = bytes;

    pthread_mutex_lock(&world.random_lock);
    while (count) {
        uint64_t value = rand_u64(&world.random);
        size_t part = MIN(count, sizeof(value));
        memcpy(at, &value, part);
        at += part;
        count -= part;
    }
    pthread_mutex_unlock(&world.random_lock);
}

/* Deliveries. */

void
sim_deliver_at(struct sim_delivery *delivery, instant when)
{
    heap_set(&world.deliveries, &delivery->item, when);
}

void
sim_deliver_cancel(struct sim_delivery *delivery)
{
    heap_remove(&world.deliveries, &delivery->item);
}

static bool
deliver_first(instant until)
{
    struct heap_item *first = heap_first(&world.deliveries);
    struct sim_delivery *delivery;

    if (!first || first->key > until)
        return false;
    heap_remove(&world.deliveries, first);
    delivery = CONTAINER_OF(first, struct sim_delivery, item);
    delivery->fn(delivery);
    return true;
}

struct sim_wait {
    struct sim_delivery delivery;
    struct fiber *fiber;
    bool over;
};

static void
wait_over(struct sim_delivery *delivery)
{
    struct sim_wait *wait = CONTAINER_OF(delivery, struct sim_wait, delivery);

    wait->over = true;
    fiber_wake(wait->fiber, OK);
}

enum err
sim_delay(duration time, instant deadline)
{
    struct sim_wait wait = { .delivery = { .fn = wait_over }, .fiber = fiber_self() };
    enum err e = OK;

    must(wait.fiber);
    sim_deliver_at(&wait.delivery, world.now + time);
    while (!e && !wait.over)
        e = fiber_park(deadline, false);
    sim_deliver_cancel(&wait.delivery);
    return wait.over ? OK : e;
}

/* Time. */

/* Whether a thread of the outside has said something within MS of real time. */
static bool
outside_spoke(struct loop *loop, int ms)
{
    struct epoll_event event;
    bool spoke;

    atomic_store(&loop->sleeping, true);
    if (!atomic_load(&loop->posts))
        (void)epoll_wait(loop->epoll_fd, &event, 1, ms);
    atomic_store(&loop->sleeping, false);
    spoke = atomic_load(&loop->posts) != NULL;
    return spoke;
}

static instant
next_due(struct loop *loop)
{
    struct heap_item *timer = heap_first(&loop->timers);
    struct heap_item *delivery = heap_first(&world.deliveries);
    instant due = NEVER;

    if (timer)
        due = timer->key;
    if (delivery)
        due = MIN(due, delivery->key);
    return due;
}

void
sim_idle(struct loop *loop, bool runnable)
{
    instant due;

    if (runnable)
        return;
    if (loop->outside_work && outside_spoke(loop, PATIENCE_MS))
        return;
    due = next_due(loop);
    if (due == NEVER) {
        if (outside_spoke(loop, DEADLOCK_MS))
            return;
        log_error("simulation: every fiber waits, and nothing is due");
        must(!"the simulated world has come to a standstill");
    }
    if (due > world.now)
        world.now = due;
    while (deliver_first(world.now))
        continue;
}

/* What tests call. */

static bool
others_ready(void)
{
    struct loop *loop = loop_self();

    return !list_is_empty(&loop->ready) || atomic_load(&loop->posts);
}

void
sim_settle(void)
{
    /* Yielding twice lets posts, and those whom they wake, run. */
    do {
        fiber_yield();
        fiber_yield();
    } while (others_ready() || deliver_first(NEVER - 1));
}

void
sim_advance(duration time)
{
    enum err e = fiber_sleep(time);

    if (!e)
        fiber_yield();
}

void
sim_connect_from(ipaddr addr)
{
    struct fiber *fiber = fiber_self();

    must(fiber);
    fiber->has_sim_from = true;
    fiber->sim_from = addr;
}
