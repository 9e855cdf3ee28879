/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* loop.h: the inside of the runtime: loops, fibers, timers, watches.  For files of this room only.
 *
 * Everything in a struct loop belongs to its thread, except POSTS and SLEEPING, by which other
 * threads reach it.  A fiber is parked (waits to be woken), ready (in the loop's list), or running.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/list.h"
#include "runtime/fiber.h"
#include "runtime/switch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

struct dns_resolver;
struct loop;

enum {
    STACK_SIZE = 65536,
    STACKS_CACHED_MAX = 256,
    BUFFER_SIZE = 65536,
    BUFFERS_CACHED_MAX = 64,
    EVENTS_PER_TURN = 128,
    LOOPS_MAX = 256,
};

/* FN runs on the loop when KEY (a steady instant) has come; the timer is unset by then. */
struct timer {
    struct heap_item item;
    void (*fn)(struct timer *timer);
};

/* A descriptor in the loop's epoll.  FN runs on the loop's own stack, and must not wait. */
struct watch {
    int fd;
    bool added;
    void (*fn)(struct watch *watch, uint32_t events);
};

/* One message to a loop from any thread. */
struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct fiber {
    struct loop *loop; /* NULL: a thread outside the runtime, which waits by blocking. */
    struct context context;
    struct link in_ready;
    struct link in_group;
    struct link groups; /* Those that it owns and that have fibers. */
    struct group *group;
    struct timer timer;
    struct post signal;
    atomic_uint signalled;
    const char *name;
    void (*fn)(void *arg);
    void *arg;
    char *stack;
    enum err wake; /* Why it was woken. */
    bool parked;
    bool shielded; /* This wait is not cut short by cancellation. */
    bool idle;     /* Between two units of work. */
    bool has_sim_from;
    ipaddr sim_from; /* Of the simulated network: whence it connects. */
};

struct loop {
    unsigned index;
    int epoll_fd;
    int event_fd;
    struct watch event_watch;
    struct context context;
    struct fiber *running;
    struct link ready;
    unsigned fiber_count;
    unsigned outside_work; /* Fibers in latch_wait_always(); the simulated clock minds them. */
    struct heap timers;
    instant slice_start; /* When the running fiber was resumed. */
    struct group root;
    bool stopping;
    bool simulated;

    _Atomic(struct post *) posts;
    atomic_bool sleeping;

    struct epoll_event events[EVENTS_PER_TURN];
    int event_at;
    int event_count;

    void *stacks; /* Free ones, linked through their first word below the fiber. */
    unsigned stack_count;
    void *buffers;
    unsigned buffer_count;
    struct dns_resolver *dns;
    pthread_t thread;
};

/* The calling thread's loop, or NULL. */
struct loop *loop_self(void);
struct loop *loop_at(unsigned index);
enum err loop_open(struct loop *loop, unsigned index, bool simulated);
void loop_close(struct loop *loop);
/* Until it is told to stop and has no more fibers. */
void loop_run(struct loop *loop);
void loop_enter(struct loop *loop); /* Makes it the calling thread's. */
void loop_post(struct loop *loop, struct post *post);

void timer_set(struct loop *loop, struct timer *timer, instant when);
void timer_unset(struct loop *loop, struct timer *timer);

enum err watch_add(struct loop *loop, struct watch *watch, uint32_t events);
enum err watch_change(struct loop *loop, struct watch *watch, uint32_t events);
void watch_remove(struct loop *loop, struct watch *watch);

/* The current fiber; outside fibers NULL. */
struct fiber *fiber_self(void);
/* The current fiber, or the stand-in for a thread outside the runtime. */
struct fiber *fiber_or_thread(void);
/* Parks until fiber_wake(), cancellation (unless SHIELDED), or DEADLINE.  OK may come for no
 * reason: callers look at what they wait for again. */
WAITS enum err fiber_park(instant deadline, bool shielded);
/* Only on the fiber's own loop; harmless when it is not parked. */
void fiber_wake(struct fiber *fiber, enum err reason);
/* From any thread: one signal, which fiber_await_signal() takes. */
void fiber_signal(struct fiber *fiber);
WAITS enum err fiber_await_signal(struct fiber *fiber, instant deadline, bool shielded);
/* Lets others run when this fiber has had the loop for long. */
WAITS void fiber_share(void);
/* Gives the pages below the stack pointer back; after something deep and rare. */
void fiber_trim_stack(void);
/* Runs FN(ARG) on the loop's own, deep stack, and waits for it. */
WAITS void fiber_call_on_loop(void (*fn)(void *), void *arg);
void fiber_run(struct loop *loop, struct fiber *fiber);
void fiber_free_stacks(struct loop *loop);

/* 16 KiB for a stream; of the current loop's cache where there is one. */
char *buffer_new(void);
void buffer_free(char *buffer);

void offload_stop(void); /* When the loops have ended. */
void dns_loop_done(struct loop *loop);
