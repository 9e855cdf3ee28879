/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* wait.c: latch, bell, and waiting for a descriptor.
 *
 * Both latch and bell follow one rule: whoever takes the waiter out of the object owes it exactly
 * one fiber_signal().  A waiter that gives up and finds itself taken out already waits for that
 * signal, so that none arrives at a fiber that has gone on to something else.
 */
#include "runtime/wait.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

#include <errno.h>
#include <poll.h>

static char open_mark;
#define LATCH_OPEN ((void *)&open_mark)

void
latch_open(struct latch *latch)
{
    void *before = __atomic_exchange_n(&latch->state, LATCH_OPEN, __ATOMIC_ACQ_REL);

    if (before && before != LATCH_OPEN)
        fiber_signal(before);
}

bool
latch_is_open(const struct latch *latch)
{
    return __atomic_load_n(&latch->state, __ATOMIC_ACQUIRE) == LATCH_OPEN;
}

static bool
latch_change(struct latch *latch, void *from, void *to)
{
    return __atomic_compare_exchange_n(&latch->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static void
take_owed_signal(struct fiber *fiber)
{
    enum err e = fiber_await_signal(fiber, NEVER, true);

    must(!e);
}

static enum err
wait_for_latch(struct latch *latch, instant deadline, bool shielded)
{
    struct fiber *fiber;
    enum err e;

    if (latch_is_open(latch))
        return OK;
    fiber = fiber_or_thread();
    if (!latch_change(latch, NULL, fiber)) {
        must(latch_is_open(latch)); /* Else somebody waits already. */
        return OK;
    }
    e = fiber_await_signal(fiber, deadline, shielded);
    if (!e)
        return OK;
    if (latch_change(latch, fiber, NULL))
        return e;
    take_owed_signal(fiber);
    return OK;
}

enum err
latch_wait(struct latch *latch, instant deadline)
{
    return wait_for_latch(latch, deadline, false);
}

void
latch_wait_always(struct latch *latch)
{
    struct loop *loop = loop_self();
    enum err e;

    if (loop)
        loop->outside_work++;
    e = wait_for_latch(latch, NEVER, true);
    must(!e);
    if (loop)
        loop->outside_work--;
}

void
bell_ring(struct bell *bell)
{
    struct fiber *waiter;

    pthread_mutex_lock(&bell->lock);
    waiter = bell->waiter;
    bell->waiter = NULL;
    bell->rung = true;
    pthread_mutex_unlock(&bell->lock);
    if (waiter)
        fiber_signal(waiter);
}

/* True when it had rung; else FIBER is the waiter now. */
static bool
take_ring(struct bell *bell, struct fiber *fiber)
{
    bool rung;

    pthread_mutex_lock(&bell->lock);
    rung = bell->rung;
    bell->rung = false;
    if (!rung) {
        must(!bell->waiter);
        bell->waiter = fiber;
    }
    pthread_mutex_unlock(&bell->lock);
    return rung;
}

/* True when nobody had taken the waiter out. */
static bool
leave_bell(struct bell *bell)
{
    bool was_in;

    pthread_mutex_lock(&bell->lock);
    was_in = bell->waiter;
    bell->waiter = NULL;
    pthread_mutex_unlock(&bell->lock);
    return was_in;
}

enum err
bell_wait(struct bell *bell, instant deadline)
{
    struct fiber *fiber = fiber_or_thread();
    enum err e;

    if (take_ring(bell, fiber))
        return OK;
    e = fiber_await_signal(fiber, deadline, false);
    if (e && leave_bell(bell))
        return e;
    if (e)
        take_owed_signal(fiber);
    pthread_mutex_lock(&bell->lock);
    bell->rung = false;
    pthread_mutex_unlock(&bell->lock);
    return OK;
}

struct fd_wait {
    struct watch watch;
    struct fiber *fiber;
    bool ready;
};

static void
fd_is_ready(struct watch *watch, uint32_t events)
{
    struct fd_wait *wait = CONTAINER_OF(watch, struct fd_wait, watch);

    (void)events;
    wait->ready = true;
    fiber_wake(wait->fiber, OK);
}

static enum err
block_for_fd(int fd, short events, instant deadline)
{
    struct pollfd entry = { .fd = fd, .events = events };

    for (;;) {
        duration left = deadline == NEVER ? 0 : deadline - clock_steady();
        int ms = deadline == NEVER ? -1 : (int)MIN(left / MILLISECONDS(1) + 1, 3600 * 1000);
        int count;
        if (deadline != NEVER && left <= 0)
            return ERR_TIMEOUT;
        count = poll(&entry, 1, ms);
        if (count > 0)
            return OK;
        if (count < 0 && errno != EINTR)
            return ERR_IO;
    }
}

enum err
wait_fd(int fd, bool output, instant deadline)
{
    struct fd_wait wait = { .watch = { .fd = fd, .fn = fd_is_ready }, .fiber = fiber_self() };
    enum err e;

    if (!loop_self())
        return block_for_fd(fd, output ? POLLOUT : POLLIN, deadline);
    must(wait.fiber);
    e = watch_add(loop_self(), &wait.watch, output ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
    while (!e && !wait.ready)
        e = fiber_park(deadline, false);
    watch_remove(loop_self(), &wait.watch);
    return wait.ready ? OK : e;
}
