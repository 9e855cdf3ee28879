/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sim_net.c: a network of pipes in memory.
 *
 * A connection is two pipes.  A write becomes segments with an instant of arrival drawn from the
 * seed, never before that of the segment ahead of it; a write may be cut into two segments
 * anywhere, as TCP may.  A pipe holds a window of bytes, then its writer waits.  Start reading at
 * pipe_write() and sim_connect().
 */
#include "runtime/sim.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/listener_inside.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 65536,
    LISTENERS_MAX = 256,
    FIRST_PORT = 32768
};

static const duration delay_least = MICROSECONDS(100);
static const duration delay_span = MILLISECONDS(3);

struct segment {
    struct sim_delivery delivery;
    struct link in_pipe;
    struct pipe *pipe;
    bool here;
    bool is_end; /* The writer has closed. */
    size_t at, end;
    char bytes[];
};

struct sim_link;

/* One direction. */
struct pipe {
    struct link segments;
    size_t size;
    instant last_arrival;
    struct sim_link *reader;
    struct sim_link *writer;
};

/* One end of a connection. */
struct sim_link {
    struct transport transport;
    struct connection *connection;
    struct pipe *in, *out;
    struct fiber *waiter;
    bool closed;
};

struct connection {
    struct sim_link ends[2];
    struct pipe pipes[2];
    bool cut;
};

static struct {
    struct listener *listeners[LISTENERS_MAX];
    unsigned listener_count;
    struct map faults; /* By the bytes of an address; the value is the fault. */
    unsigned ports_used;
} net;

static struct sim_link *
link_of(struct transport *transport)
{
    return CONTAINER_OF(transport, struct sim_link, transport);
}

static void
wake(struct sim_link *end)
{
    if (end->waiter)
        fiber_wake(end->waiter, OK);
}

static struct segment *
first_segment(const struct pipe *pipe)
{
    if (list_is_empty(&pipe->segments))
        return NULL;
    return CONTAINER_OF(pipe->segments.next, struct segment, in_pipe);
}

static void
segment_free(struct segment *segment)
{
    sim_deliver_cancel(&segment->delivery);
    segment->pipe->size -= segment->end - segment->at;
    list_remove(&segment->in_pipe);
    free(segment);
}

static void
pipe_clear(struct pipe *pipe)
{
    while (first_segment(pipe))
        segment_free(first_segment(pipe));
}

static void
segment_arrived(struct sim_delivery *delivery)
{
    struct segment *segment = CONTAINER_OF(delivery, struct segment, delivery);

    segment->here = true;
    wake(segment->pipe->reader);
}

static void
send_segment(struct pipe *pipe, const char *bytes, size_t count, bool is_end)
{
    struct segment *segment = malloc(sizeof(*segment) + count);
    instant arrival =
        clock_steady() + delay_least + (duration)sim_random_below((uint64_t)delay_span);

    must(segment);
    *segment = (struct segment){
        .delivery = { .fn = segment_arrived }, .pipe = pipe, .is_end = is_end, .end = count
    };
    if (count)
        memcpy(segment->bytes, bytes, count);
    pipe->size += count;
    pipe->last_arrival = MAX(arrival, pipe->last_arrival + 1);
    list_append(&pipe->segments, &segment->in_pipe);
    sim_deliver_at(&segment->delivery, pipe->last_arrival);
}

static void
pipe_write(struct pipe *pipe, const char *bytes, size_t count)
{
    if (count > 1 && sim_random_below(8) == 0) {
        size_t first = 1 + (size_t)sim_random_below(count - 1);
        send_segment(pipe, bytes, first, false);
        bytes += first;
        count -= first;
    }
    send_segment(pipe, bytes, count, false);
}

/* The transport. */

static enum err
sim_read(struct transport *transport, void *bytes, size_t room, size_t *got)
{
    struct sim_link *end = link_of(transport);
    struct segment *segment = first_segment(end->in);
    char *to = bytes;
    size_t total = 0;

    if (end->connection->cut)
        return ERR_CLOSED;
    for (; segment && segment->here && !segment->is_end && total < room;
         segment = first_segment(end->in)) {
        size_t part = MIN(room - total, segment->end - segment->at);
        memcpy(to + total, segment->bytes + segment->at, part);
        segment->at += part;
        end->in->size -= part;
        total += part;
        if (segment->at == segment->end)
            segment_free(segment);
    }
    if (total) {
        wake(end->in->writer);
        *got = total;
        return OK;
    }
    return segment && segment->here && segment->is_end ? ERR_CLOSED : ERR_BUSY;
}

static enum err
sim_write(struct transport *transport, const struct iovec *parts, int count, size_t *put)
{
    struct sim_link *end = link_of(transport);
    struct pipe *pipe = end->out;
    size_t total = 0;

    if (end->connection->cut || pipe->reader->closed)
        return ERR_CLOSED;
    for (int i = 0; i < count && pipe->size < WINDOW; i++) {
        size_t part = MIN(parts[i].iov_len, WINDOW - pipe->size);
        if (part)
            pipe_write(pipe, parts[i].iov_base, part);
        total += part;
        if (part < parts[i].iov_len)
            break;
    }
    *put = total;
    return total ? OK : ERR_BUSY;
}

static bool
may_go_on(const struct sim_link *end, bool output)
{
    const struct segment *segment = first_segment(end->in);

    if (end->connection->cut)
        return true;
    if (output)
        return end->out->size < WINDOW || end->out->reader->closed;
    return segment && segment->here;
}

static enum err
sim_wait(struct transport *transport, bool output, instant deadline)
{
    struct sim_link *end = link_of(transport);
    enum err e = OK;

    end->waiter = fiber_self();
    must(end->waiter);
    while (!e && !may_go_on(end, output))
        e = fiber_park(deadline, false);
    end->waiter = NULL;
    return e;
}

static void
sim_cut_link(struct transport *transport)
{
    struct connection *connection = link_of(transport)->connection;

    connection->cut = true;
    for (int i = 0; i < 2; i++) {
        pipe_clear(&connection->pipes[i]);
        wake(&connection->ends[i]);
    }
}

static void
close_end(struct transport *transport)
{
    struct sim_link *end = link_of(transport);
    struct connection *connection = end->connection;

    end->closed = true;
    pipe_clear(end->in);
    wake(end->in->writer);
    if (!connection->ends[0].closed || !connection->ends[1].closed) {
        if (!connection->cut)
            send_segment(end->out, NULL, 0, true);
        return;
    }
    pipe_clear(end->out);
    free(connection);
}

static const struct transport_ops sim_ops = {
    .read = sim_read,
    .write = sim_write,
    .wait = sim_wait,
    .cut = sim_cut_link,
    .close = close_end,
};

static struct connection *
connection_new(void)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    must(connection);
    for (int i = 0; i < 2; i++) {
        struct sim_link *end = &connection->ends[i];
        struct pipe *pipe = &connection->pipes[i];
        list_init(&pipe->segments);
        pipe->writer = end;
        pipe->reader = &connection->ends[!i];
        end->transport.ops = &sim_ops;
        end->connection = connection;
        end->out = pipe;
        end->in = &connection->pipes[!i];
    }
    return connection;
}

/* Endpoints. */

enum err
sim_listen(struct listener *listener)
{
    const struct endpoint *endpoint = listener_sim_endpoint(listener);

    for (unsigned i = 0; i < net.listener_count; i++) {
        const struct endpoint *other = listener_sim_endpoint(net.listeners[i]);
        if (other->port == endpoint->port && ipaddr_eq(other->addr, endpoint->addr))
            return ERR_EXISTS;
    }
    if (net.listener_count == LISTENERS_MAX)
        return ERR_LIMIT;
    net.listeners[net.listener_count++] = listener;
    return OK;
}

void
sim_unlisten(struct listener *listener)
{
    for (unsigned i = 0; i < net.listener_count; i++) {
        if (net.listeners[i] == listener) {
            net.listeners[i] = net.listeners[--net.listener_count];
            return;
        }
    }
}

/* The one at the very address goes before the one at any. */
static struct listener *
find_listener(const struct endpoint *endpoint)
{
    struct listener *found = NULL;

    for (unsigned i = 0; i < net.listener_count; i++) {
        const struct endpoint *at = listener_sim_endpoint(net.listeners[i]);
        if (at->port != endpoint->port)
            continue;
        if (ipaddr_eq(at->addr, endpoint->addr))
            return net.listeners[i];
        if (ipaddr_is_any(at->addr))
            found = net.listeners[i];
    }
    return found;
}

static str
address_key(const ipaddr *addr)
{
    return (str){ (const char *)addr->bytes, sizeof(addr->bytes) };
}

void
sim_network_fault(ipaddr addr, enum sim_fault fault)
{
    enum err e;

    if (fault == SIM_FAULT_NONE) {
        (void)map_remove(&net.faults, address_key(&addr));
        return;
    }
    e = map_put(&net.faults, address_key(&addr), (void *)(uintptr_t)fault);
    must(!e);
}

static enum sim_fault
fault_of(ipaddr addr)
{
    return (enum sim_fault)(uintptr_t)map_get(&net.faults, address_key(&addr));
}

static struct endpoint
local_endpoint(const ipaddr *local)
{
    const struct fiber *fiber = fiber_self();
    struct endpoint endpoint = { .port = (uint16_t)(FIRST_PORT + net.ports_used++ % 28000) };

    if (local)
        endpoint.addr = *local;
    else if (fiber->has_sim_from)
        endpoint.addr = fiber->sim_from;
    else
        endpoint.addr = ipaddr_from_v4(0x7f000001);
    return endpoint;
}

enum err
sim_connect(const struct endpoint *peer, const ipaddr *local, instant deadline,
            struct stream **stream, struct why *why)
{
    enum sim_fault fault = fault_of(peer->addr);
    struct endpoint from;
    struct listener *listener;
    struct connection *connection;
    char to[IPADDR_TEXT_MAX + 8];
    enum err e;

    endpoint_format(peer, to);
    if (fault == SIM_FAULT_SILENT) {
        e = deadline == NEVER ? ERR_TIMEOUT : fiber_sleep(deadline - clock_steady());
        return err_why(why, e ? e : ERR_TIMEOUT, "cannot connect to %s: timeout", to);
    }
    e = sim_delay(delay_least + (duration)sim_random_below((uint64_t)delay_span), deadline);
    if (e)
        return err_why(why, e, "cannot connect to %s: %s", to, err_name(e));
    if (fault == SIM_FAULT_UNREACHABLE)
        return err_why(why, ERR_UNREACHABLE, "cannot connect to %s: unreachable", to);
    listener = find_listener(peer);
    if (fault == SIM_FAULT_REFUSE || !listener)
        return err_why(why, ERR_REFUSED, "cannot connect to %s: Connection refused", to);
    from = local_endpoint(local);
    connection = connection_new();
    *stream = stream_new(&connection->ends[0].transport, &from, peer);
    e = listener_take_sim(listener, stream_new(&connection->ends[1].transport, peer, &from));
    if (e) {
        stream_close(take(*stream));
        return err_why(why, ERR_REFUSED, "cannot connect to %s: Connection refused", to);
    }
    return OK;
}

void
sim_net_end(void)
{
    must(net.listener_count == 0); /* Each was to be stopped. */
    map_done(&net.faults);
    map_init(&net.faults, 0);
    net.ports_used = 0;
}
