/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fiber.c: stacks, the life of a fiber, groups, and how fibers park and are woken.
 *
 *   group_start -> ready -> running -> parked -> ready ... -> finished
 *
 * The struct fiber stands at the top of its own stack, so that a fiber costs one mapping and its
 * first page.  Stacks are reused, a bounded number of them on each loop.  Start reading at
 * group_start() and fiber_park().
 */
#include "runtime/fiber.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    GUARD_SIZE = 4096
};

/* A fiber that works longer than this without a wait keeps everybody else on its core waiting. */
static const duration slice_warn = MILLISECONDS(200);
/* A fiber whose bytes never run out lets others run after this. */
static const duration slice_share = MILLISECONDS(5);

static _Thread_local struct fiber thread_fiber;

/* Stacks. */

static bool
guard(char *stack)
{
    static atomic_bool no_guard_regions;

    if (!atomic_load_explicit(&no_guard_regions, memory_order_relaxed)) {
        if (madvise(stack, GUARD_SIZE, MADV_GUARD_INSTALL) == 0)
            return true;
        atomic_store_explicit(&no_guard_regions, true, memory_order_relaxed);
    }
    return mprotect(stack, GUARD_SIZE, PROT_NONE) == 0;
}

static struct fiber *
fiber_of_stack(char *stack)
{
    return (struct fiber *)(void *)(stack + STACK_SIZE -
                                    ((sizeof(struct fiber) + 63) & ~(size_t)63));
}

static char *
stack_new(struct loop *loop)
{
    char *stack = loop->stacks;

    if (stack) {
        loop->stacks = fiber_of_stack(stack)->arg;
        loop->stack_count--;
        return stack;
    }
    stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    madvise(stack, STACK_SIZE, MADV_NOHUGEPAGE);
    if (!guard(stack)) {
        munmap(stack, STACK_SIZE);
        return NULL;
    }
    return stack;
}

static void
stack_free(struct loop *loop, char *stack)
{
    if (loop->stack_count >= STACKS_CACHED_MAX) {
        munmap(stack, STACK_SIZE);
        return;
    }
    fiber_of_stack(stack)->arg = loop->stacks;
    loop->stacks = stack;
    loop->stack_count++;
}

void
fiber_free_stacks(struct loop *loop)
{
    while (loop->stacks) {
        char *stack = loop->stacks;
        loop->stacks = fiber_of_stack(stack)->arg;
        munmap(stack, STACK_SIZE);
    }
    loop->stack_count = 0;
}

void
fiber_trim_stack(void)
{
    struct fiber *fiber = fiber_self();
    char *here = __builtin_frame_address(0);
    uintptr_t low, high;

    if (!fiber || here < fiber->stack || here >= fiber->stack + STACK_SIZE)
        return;
    low = (uintptr_t)fiber->stack + GUARD_SIZE;
    high = ((uintptr_t)here - 1024) & ~(uintptr_t)4095;
    if (high > low)
        madvise((void *)low, high - low, MADV_DONTNEED);
}

/* Who runs, parks and wakes. */

struct fiber *
fiber_self(void)
{
    struct loop *loop = loop_self();

    return loop ? loop->running : NULL;
}

struct fiber *
fiber_or_thread(void)
{
    struct loop *loop = loop_self();

    if (!loop)
        return &thread_fiber;
    must(loop->running); /* The loop itself must never block. */
    return loop->running;
}

static bool
is_cancelled(const struct fiber *fiber)
{
    return fiber->group->cancelled || (fiber->idle && fiber->group->idle_cancelled);
}

enum err
fiber_park(instant deadline, bool shielded)
{
    struct loop *loop = loop_self();
    struct fiber *fiber = loop->running;

    if (!shielded && is_cancelled(fiber))
        return ERR_CANCELLED;
    if (deadline != NEVER)
        timer_set(loop, &fiber->timer, deadline);
    fiber->parked = true;
    fiber->shielded = shielded;
    context_switch(&fiber->context, &loop->context);
    return fiber->wake;
}

void
fiber_wake(struct fiber *fiber, enum err reason)
{
    if (!fiber->parked)
        return;
    fiber->parked = false;
    fiber->wake = reason;
    timer_unset(fiber->loop, &fiber->timer);
    list_append(&fiber->loop->ready, &fiber->in_ready);
}

static void
timer_fired(struct timer *timer)
{
    fiber_wake(CONTAINER_OF(timer, struct fiber, timer), ERR_TIMEOUT);
}

static void
signal_arrived(void *arg)
{
    struct fiber *fiber = arg;

    atomic_store(&fiber->signalled, 1);
    fiber_wake(fiber, OK);
}

void
fiber_signal(struct fiber *fiber)
{
    if (!fiber->loop) {
        atomic_store(&fiber->signalled, 1);
        syscall(SYS_futex, &fiber->signalled, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    } else if (fiber->loop == loop_self()) {
        signal_arrived(fiber);
    } else {
        loop_post(fiber->loop, &fiber->signal);
    }
}

static enum err
thread_await_signal(struct fiber *thread, instant deadline)
{
    while (!atomic_load(&thread->signalled)) {
        struct timespec time;
        duration left = deadline == NEVER ? SECONDS(3600) : deadline - clock_steady();
        if (left <= 0)
            return ERR_TIMEOUT;
        time.tv_sec = left / SECONDS(1);
        time.tv_nsec = left % SECONDS(1);
        syscall(SYS_futex, &thread->signalled, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
    }
    return OK;
}

enum err
fiber_await_signal(struct fiber *fiber, instant deadline, bool shielded)
{
    enum err e = OK;

    if (!fiber->loop) {
        e = thread_await_signal(fiber, deadline);
    } else {
        while (!e && !atomic_load(&fiber->signalled))
            e = fiber_park(deadline, shielded);
        if (e && atomic_load(&fiber->signalled))
            e = OK;
    }
    if (!e)
        atomic_store(&fiber->signalled, 0);
    return e;
}

static void
finish(struct fiber *fiber)
{
    struct group *group = fiber->group;

    must(list_is_empty(&fiber->groups)); /* It has left fibers behind that nobody owns. */
    list_remove(&fiber->in_group);
    if (--group->count == 0) {
        list_remove(&group->in_owner);
        if (group->joiner)
            fiber_wake(group->joiner, OK);
    }
    fiber->loop->fiber_count--;
    fiber->stack = NULL;
}

static void
entry(void *arg)
{
    struct fiber *fiber = arg;

    loop_enter(fiber->loop); /* Each fiber has a thread of its own under -Dfibers=pthread. */
    fiber->fn(fiber->arg);
    finish(fiber);
    context_leave(&fiber->context, &fiber->loop->context);
}

void
fiber_run(struct loop *loop, struct fiber *fiber)
{
    char *stack = fiber->stack;
    const char *name = fiber->name;
    duration held;

    loop->running = fiber;
    context_switch(&loop->context, &fiber->context);
    loop->running = NULL;
    if (!fiber->stack) {
        context_done(&fiber->context);
        stack_free(loop, stack);
    }
    if (loop->simulated)
        return;
    held = -loop->slice_start;
    loop->slice_start = clock_steady();
    held += loop->slice_start;
    if (held > slice_warn)
        log_warning("fiber \"%s\" has held its core for %lld ms", name,
                    (long long)(held / MILLISECONDS(1)));
}

/* Groups. */

void
group_init(struct group *group)
{
    *group = (struct group){ .owner = fiber_self() };
    list_init(&group->fibers);
}

static bool
group_is_cancelled(const struct group *group)
{
    return group->cancelled || (group->owner && group->owner->group->cancelled);
}

enum err
group_start(struct group *group, void (*fn)(void *), void *arg, const char *name)
{
    struct loop *loop = loop_self();
    struct fiber *fiber;
    char *stack;

    must(loop);
    if (group_is_cancelled(group))
        return ERR_CANCELLED;
    stack = stack_new(loop);
    if (!stack)
        return ERR_LIMIT;
    fiber = fiber_of_stack(stack);
    *fiber = (struct fiber){ .loop = loop,
                             .group = group,
                             .name = name,
                             .fn = fn,
                             .arg = arg,
                             .stack = stack,
                             .timer = { .fn = timer_fired },
                             .signal = { .fn = signal_arrived, .arg = fiber } };
    if (!context_make(&fiber->context, stack + GUARD_SIZE,
                      (size_t)((char *)fiber - stack) - GUARD_SIZE, entry, fiber)) {
        stack_free(loop, stack);
        return ERR_LIMIT;
    }
    list_init(&fiber->groups);
    list_append(&group->fibers, &fiber->in_group);
    if (group->count++ == 0 && group->owner)
        list_append(&group->owner->groups, &group->in_owner);
    loop->fiber_count++;
    list_append(&loop->ready, &fiber->in_ready);
    return OK;
}

void
group_cancel(struct group *group)
{
    group->cancelled = true;
    list_each(item, &group->fibers) {
        struct fiber *fiber = CONTAINER_OF(item, struct fiber, in_group);
        list_each(owned, &fiber->groups)
            group_cancel(CONTAINER_OF(owned, struct group, in_owner));
        if (!fiber->shielded)
            fiber_wake(fiber, ERR_CANCELLED);
    }
}

void
group_cancel_idle(struct group *group)
{
    group->idle_cancelled = true;
    list_each(item, &group->fibers) {
        struct fiber *fiber = CONTAINER_OF(item, struct fiber, in_group);

        if (fiber->idle && !fiber->shielded)
            fiber_wake(fiber, ERR_CANCELLED);
    }
}

void
group_join(struct group *group)
{
    if (group->count == 0)
        return;
    must(!group->joiner);
    group->joiner = fiber_self();
    must(group->joiner);
    while (group->count) {
        enum err e = fiber_park(NEVER, true);
        must(!e);
    }
    group->joiner = NULL;
}

void
group_stop(struct group *group)
{
    group_cancel(group);
    group_join(group);
}

/* What a fiber can do with itself. */

bool
fiber_cancelled(void)
{
    struct fiber *fiber = fiber_self();

    return fiber && is_cancelled(fiber);
}

void
fiber_set_idle(bool idle)
{
    struct fiber *fiber = fiber_self();

    if (fiber)
        fiber->idle = idle;
}

enum err
fiber_sleep(duration time)
{
    instant until = clock_steady() + time;

    if (!loop_self()) {
        struct timespec span = { time / SECONDS(1), time % SECONDS(1) };
        while (nanosleep(&span, &span) && errno == EINTR)
            continue;
        return OK;
    }
    for (;;) {
        enum err e = fiber_park(until, false);
        if (e == ERR_TIMEOUT)
            return OK;
        if (e)
            return e;
    }
}

void
fiber_yield(void)
{
    struct fiber *fiber = fiber_self();

    if (!fiber)
        return;
    fiber->parked = true;
    fiber_wake(fiber, OK);
    context_switch(&fiber->context, &fiber->loop->context);
}

void
fiber_share(void)
{
    struct loop *loop = loop_self();

    if (loop && !loop->simulated && clock_steady() - loop->slice_start > slice_share)
        fiber_yield();
}

struct loop_call {
    struct post post;
    void (*fn)(void *arg);
    void *arg;
    struct fiber *fiber;
};

static void
called_on_loop(void *arg)
{
    struct loop_call *call = arg;

    call->fn(call->arg);
    fiber_signal(call->fiber);
}

void
fiber_call_on_loop(void (*fn)(void *), void *arg)
{
    struct fiber *fiber = fiber_self();
    struct loop_call call = { .fn = fn, .arg = arg, .fiber = fiber };
    enum err e;

    call.post = (struct post){ .fn = called_on_loop, .arg = &call };
    loop_post(fiber->loop, &call.post);
    e = fiber_await_signal(fiber, NEVER, true);
    must(!e);
}
