/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_events.c: libunbound's pluggable event interface (unbound-event.h) on watches and timers.
 *
 * An event is a descriptor, a timer, or both.  Descriptors are level-triggered here, as libunbound
 * does not read them empty.  Without UB_EV_PERSIST an event is off once it has fired.
 */
#include "runtime/dns_inside.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unbound.h>
#include <unbound-event.h>

struct dns_events {
    struct ub_event_base base;
    struct loop *loop;
};

struct event {
    struct ub_event base;
    struct dns_events *events;
    struct watch watch;
    struct timer timer;
    short bits;
    void (*callback)(int fd, short bits, void *arg);
    void *arg;
};

static struct event *
event_of(struct ub_event *base)
{
    return CONTAINER_OF(base, struct event, base);
}

static void
deactivate(struct event *event)
{
    timer_unset(event->events->loop, &event->timer);
    watch_remove(event->events->loop, &event->watch);
}

/* The callback may free the event. */
static void
fire(struct event *event, short bits)
{
    if (!(event->bits & UB_EV_PERSIST))
        deactivate(event);
    event->callback(event->watch.fd, bits, event->arg);
}

static void
descriptor_ready(struct watch *watch, uint32_t events)
{
    struct event *event = CONTAINER_OF(watch, struct event, watch);
    short bits = 0;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        bits |= UB_EV_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        bits |= UB_EV_WRITE;
    bits &= event->bits;
    if (bits)
        fire(event, bits);
}

static void
time_is_over(struct timer *timer)
{
    fire(CONTAINER_OF(timer, struct event, timer), UB_EV_TIMEOUT);
}

static int
event_add(struct ub_event *base, struct timeval *after)
{
    struct event *event = event_of(base);
    struct loop *loop = event->events->loop;
    uint32_t bits = 0;

    watch_remove(loop, &event->watch);
    timer_unset(loop, &event->timer);
    if (event->bits & UB_EV_READ)
        bits |= EPOLLIN;
    if (event->bits & UB_EV_WRITE)
        bits |= EPOLLOUT;
    if (bits && event->watch.fd >= 0 && watch_add(loop, &event->watch, bits))
        return -1;
    if (event->bits & UB_EV_TIMEOUT && after)
        timer_set(loop, &event->timer,
                  clock_steady() + SECONDS(after->tv_sec) + MICROSECONDS(after->tv_usec));
    return 0;
}

static int
event_del(struct ub_event *base)
{
    deactivate(event_of(base));
    return 0;
}

static void
add_bits(struct ub_event *base, short bits)
{
    event_of(base)->bits |= bits;
}

static void
del_bits(struct ub_event *base, short bits)
{
    event_of(base)->bits &= (short)~bits;
}

static void
set_fd(struct ub_event *base, int fd)
{
    struct event *event = event_of(base);

    watch_remove(event->events->loop, &event->watch);
    event->watch.fd = fd;
}

static void
event_free(struct ub_event *base)
{
    deactivate(event_of(base));
    free(event_of(base));
}

static int
add_timer(struct ub_event *base, struct ub_event_base *events, void (*callback)(int, short, void *),
          void *arg, struct timeval *after)
{
    struct event *event = event_of(base);

    (void)events;
    event->callback = callback;
    event->arg = arg;
    event->bits |= UB_EV_TIMEOUT;
    return event_add(base, after);
}

static int
no_signal_add(struct ub_event *base, struct timeval *after)
{
    (void)base, (void)after;
    return -1;
}

static int
no_signal_del(struct ub_event *base)
{
    (void)base;
    return -1;
}

static void
no_winsock(struct ub_event *base)
{
    (void)base;
}

static void
no_wouldblock(struct ub_event *base, int bits)
{
    (void)base, (void)bits;
}

static struct ub_event_vmt event_table = {
    .add_bits = add_bits,
    .del_bits = del_bits,
    .set_fd = set_fd,
    .free = event_free,
    .add = event_add,
    .del = event_del,
    .add_timer = add_timer,
    .del_timer = event_del,
    .add_signal = no_signal_add,
    .del_signal = no_signal_del,
    .winsock_unregister_wsaevent = no_winsock,
    .winsock_tcp_wouldblock = no_wouldblock,
};

static struct ub_event *
new_event(struct ub_event_base *base, int fd, short bits, void (*callback)(int, short, void *),
          void *arg)
{
    struct event *event = calloc(1, sizeof(*event));

    if (!event)
        return NULL;
    event->base = (struct ub_event){ UB_EVENT_MAGIC, &event_table };
    event->events = CONTAINER_OF(base, struct dns_events, base);
    event->watch = (struct watch){ .fd = fd, .fn = descriptor_ready };
    event->timer.fn = time_is_over;
    event->bits = bits;
    event->callback = callback;
    event->arg = arg;
    return &event->base;
}

static struct ub_event *
no_new_signal(struct ub_event_base *base, int fd, void (*callback)(int, short, void *), void *arg)
{
    (void)base, (void)fd, (void)callback, (void)arg;
    return NULL;
}

static struct ub_event *
no_new_winsock(struct ub_event_base *base, void *event, void (*callback)(int, short, void *),
               void *arg)
{
    (void)base, (void)event, (void)callback, (void)arg;
    return NULL;
}

static void
base_free(struct ub_event_base *base)
{
    (void)base;
}

static int
base_dispatch(struct ub_event_base *base)
{
    (void)base;
    return 0;
}

static int
base_exit(struct ub_event_base *base, struct timeval *after)
{
    (void)base, (void)after;
    return 0;
}

static struct ub_event_base_vmt base_table = {
    .free = base_free,
    .dispatch = base_dispatch,
    .loopexit = base_exit,
    .new_event = new_event,
    .new_signal = no_new_signal,
    .winsock_register_wsaevent = no_new_winsock,
};

struct dns_events *
dns_events_new(struct loop *loop)
{
    struct dns_events *events = calloc(1, sizeof(*events));

    must(events);
    events->base = (struct ub_event_base){ UB_EVENT_MAGIC, &base_table };
    events->loop = loop;
    return events;
}

struct ub_event_base *
dns_events_base(struct dns_events *events)
{
    return &events->base;
}

void
dns_events_free(struct dns_events *events)
{
    free(events);
}
