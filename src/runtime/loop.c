/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* loop.c: one thread, one epoll, many fibers.
 *
 * A turn of the loop: take what other threads have posted, run every fiber that is ready, fire the
 * timers that are due, ask epoll.  A fiber that becomes ready during a turn runs in the next one,
 * so nobody is starved.  Start reading at loop_run(), then runtime_run().
 */
#include "runtime/loop.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/sim_world.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Thread_local struct loop *this_loop;
static struct loop *loops;
static unsigned loop_count;

struct loop *
loop_self(void)
{
    return this_loop;
}

struct loop *
loop_at(unsigned index)
{
    must(index < loop_count);
    return &loops[index];
}

void
loop_enter(struct loop *loop)
{
    this_loop = loop;
}

/* Timers. */

void
timer_set(struct loop *loop, struct timer *timer, instant when)
{
    heap_set(&loop->timers, &timer->item, when);
}

void
timer_unset(struct loop *loop, struct timer *timer)
{
    heap_remove(&loop->timers, &timer->item);
}

static void
fire_timers(struct loop *loop)
{
    struct heap_item *first = heap_first(&loop->timers);
    instant now;

    if (!first)
        return;
    now = clock_steady();
    while (first && first->key <= now) {
        struct timer *timer = CONTAINER_OF(first, struct timer, item);
        heap_remove(&loop->timers, first);
        timer->fn(timer);
        first = heap_first(&loop->timers);
    }
}

/* Watches. */

enum err
watch_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event))
        return errno == ENOSPC || errno == ENOMEM ? ERR_LIMIT : ERR_IO;
    watch->added = true;
    return OK;
}

enum err
watch_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    must(watch->added);
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) ? ERR_IO : OK;
}

void
watch_remove(struct loop *loop, struct watch *watch)
{
    if (!watch->added)
        return;
    watch->added = false;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    /* Events of this turn that still wait behind the current one must not find it. */
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

static int
wait_ms(struct loop *loop)
{
    struct heap_item *first;
    duration left;

    if (!list_is_empty(&loop->ready) || atomic_load_explicit(&loop->posts, memory_order_relaxed))
        return 0;
    if (loop->stopping && loop->fiber_count == 0)
        return 0;
    first = heap_first(&loop->timers);
    if (!first)
        return -1;
    left = first->key - clock_steady();
    if (left <= 0)
        return 0;
    return (int)MIN((left + MILLISECONDS(1) - 1) / MILLISECONDS(1), 3600 * 1000);
}

static void
take_events(struct loop *loop, int wait)
{
    if (wait) {
        atomic_store(&loop->sleeping, true);
        if (atomic_load(&loop->posts))
            wait = 0;
    }
    loop->event_count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, wait);
    atomic_store(&loop->sleeping, false);
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        struct epoll_event *event = &loop->events[loop->event_at++];
        struct watch *watch = event->data.ptr;
        if (watch)
            watch->fn(watch, event->events);
    }
    loop->event_at = loop->event_count = 0;
}

/* Posts. */

void
loop_post(struct loop *loop, struct post *post)
{
    struct post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    uint64_t one = 1;

    do
        post->next = head;
    while (!atomic_compare_exchange_weak(&loop->posts, &head, post));
    if (loop != this_loop && atomic_exchange(&loop->sleeping, false))
        (void)!write(loop->event_fd, &one, sizeof(one));
}

static void
take_posts(struct loop *loop)
{
    struct post *newest;
    struct post *oldest = NULL;

    if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
        return;
    newest = atomic_exchange(&loop->posts, NULL);
    while (newest) {
        struct post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct post *next = oldest->next;
        oldest->fn(oldest->arg);
        oldest = next;
    }
}

struct owned_post {
    struct post post;
    void (*fn)(void *arg);
    void *arg;
};

static void
run_owned_post(void *arg)
{
    struct owned_post *owned = arg;
    void (*fn)(void *) = owned->fn;
    void *fn_arg = owned->arg;

    free(owned);
    fn(fn_arg);
}

void
runtime_post(unsigned loop, void (*fn)(void *), void *arg)
{
    struct owned_post *owned = malloc(sizeof(*owned));

    must(owned);
    *owned = (struct owned_post){ { .fn = run_owned_post, .arg = owned }, fn, arg };
    loop_post(loop_at(loop), &owned->post);
}

static void
woken(struct watch *watch, uint32_t events)
{
    /* Edge-triggered: every write is an event, and the count need not be read. */
    (void)watch, (void)events;
}

/* The turn. */

static void
run_ready(struct loop *loop)
{
    struct link batch;

    if (list_is_empty(&loop->ready))
        return;
    batch = loop->ready;
    batch.next->prev = batch.prev->next = &batch;
    list_init(&loop->ready);
    if (!loop->simulated)
        loop->slice_start = clock_steady();
    while (!list_is_empty(&batch))
        fiber_run(loop, CONTAINER_OF(list_pop(&batch), struct fiber, in_ready));
}

void
loop_run(struct loop *loop)
{
    loop_enter(loop);
    context_init_thread(&loop->context);
    while (!loop->stopping || loop->fiber_count) {
        take_posts(loop);
        run_ready(loop);
        fire_timers(loop);
        if (loop->simulated)
            sim_idle(loop, wait_ms(loop) == 0);
        else
            take_events(loop, wait_ms(loop));
    }
    dns_loop_done(loop);
    take_posts(loop);
    context_done_thread(&loop->context);
    loop_enter(NULL);
}

enum err
loop_open(struct loop *loop, unsigned index, bool simulated)
{
    enum err e;

    *loop = (struct loop){ .index = index, .simulated = simulated, .epoll_fd = -1, .event_fd = -1 };
    list_init(&loop->ready);
    list_init(&loop->root.fibers);
    heap_init(&loop->timers);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return err_from_errno(errno);
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->event_fd < 0)
        return err_from_errno(errno);
    loop->event_watch = (struct watch){ .fd = loop->event_fd, .fn = woken };
    e = watch_add(loop, &loop->event_watch, EPOLLIN | EPOLLET);
    return e;
}

void
loop_close(struct loop *loop)
{
    must(!atomic_load(&loop->posts));
    fiber_free_stacks(loop);
    while (loop->buffers) {
        void *buffer = loop->buffers;
        loop->buffers = *(void **)buffer;
        free(buffer);
    }
    heap_done(&loop->timers);
    if (loop->event_fd >= 0)
        close(loop->event_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
}

char *
buffer_new(void)
{
    struct loop *loop = this_loop;
    char *buffer;

    if (loop && loop->buffers) {
        buffer = loop->buffers;
        loop->buffers = *(void **)(void *)buffer;
        loop->buffer_count--;
    } else {
        buffer = malloc(BUFFER_SIZE);
        must(buffer);
    }
    return buffer;
}

void
buffer_free(char *buffer)
{
    struct loop *loop = this_loop;

    if (!buffer)
        return;
    if (loop && loop->buffer_count < BUFFERS_CACHED_MAX) {
        *(void **)(void *)buffer = loop->buffers;
        loop->buffers = buffer;
        loop->buffer_count++;
    } else {
        free(buffer);
    }
}

/* The whole. */

struct main_fiber {
    void (*fn)(void *arg);
    void *arg;
};

static void
stop_loop(void *arg)
{
    ((struct loop *)arg)->stopping = true;
}

static void
main_entry(void *arg)
{
    struct main_fiber *main_fiber = arg;

    main_fiber->fn(main_fiber->arg);
    for (unsigned i = 0; i < loop_count; i++)
        runtime_post(i, stop_loop, &loops[i]);
}

static void *
thread_entry(void *arg)
{
    struct loop *loop = arg;

    loop_run(loop);
    return NULL;
}

static unsigned
core_count(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    return (unsigned)MAX(1, CPU_COUNT(&set));
}

static enum err
open_loops(const struct runtime_options *options)
{
    unsigned count = options->loops ? options->loops : core_count();

    count = options->simulated ? 1 : MIN(count, LOOPS_MAX);
    loops = calloc(count, sizeof(struct loop));
    must(loops);
    for (loop_count = 0; loop_count < count;) {
        enum err e = loop_open(&loops[loop_count], loop_count, options->simulated);
        loop_count++;
        if (e)
            return e;
    }
    return OK;
}

static void
close_loops(void)
{
    for (unsigned i = 0; i < loop_count; i++)
        loop_close(&loops[i]);
    free(loops);
    loops = NULL;
    loop_count = 0;
}

/* Signals go to the thread that called runtime_run(). */
static enum err
start_threads(unsigned *started)
{
    sigset_t all, before;
    enum err e = OK;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (*started = 1; *started < loop_count && !e; ++*started)
        if (pthread_create(&loops[*started].thread, NULL, thread_entry, &loops[*started]))
            e = ERR_LIMIT;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e)
        --*started;
    return e;
}

/* The top of a heap is not given back and asked for again with each message that comes and goes. */
static void
tune_heap(void)
{
    enum {
        TRIM_OVER = 1 << 20,
        GROW_BY = 256 << 10,
        MAP_OVER = 512 << 10
    };

    (void)mallopt(M_TRIM_THRESHOLD, TRIM_OVER);
    (void)mallopt(M_TOP_PAD, GROW_BY);
    (void)mallopt(M_MMAP_THRESHOLD, MAP_OVER);
}

enum err
runtime_run(const struct runtime_options *options, void (*fn)(void *), void *arg)
{
    struct main_fiber main_fiber = { fn, arg };
    unsigned started = 1;
    enum err e;

    must(!loops);
    tune_heap();
    if (options->simulated)
        sim_begin(options->seed);
    e = open_loops(options);
    if (!e)
        e = start_threads(&started);
    if (!e) {
        loop_enter(&loops[0]);
        e = group_start(&loops[0].root, main_entry, &main_fiber, "main");
    }
    if (e)
        for (unsigned i = 0; i < started && i < loop_count; i++)
            runtime_post(i, stop_loop, &loops[i]);
    if (loop_count && loops[0].event_fd >= 0)
        loop_run(&loops[0]);
    for (unsigned i = 1; i < started && i < loop_count; i++)
        pthread_join(loops[i].thread, NULL);
    offload_stop();
    close_loops();
    if (options->simulated)
        sim_end();
    return e;
}

unsigned
runtime_loop_count(void)
{
    return loop_count;
}

unsigned
runtime_loop_current(void)
{
    must(this_loop);
    return this_loop->index;
}
