/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* listener.c: from a listening socket to a fiber for each connection, on every loop.
 *
 * Each loop has a shard: the socket in its epoll (EPOLLEXCLUSIVE: one loop is woken for a
 * connection) and the group of the conversations that it accepted.  At the ceiling, or without
 * descriptors, the shards take the socket out of their epolls, and the kernel's backlog waits.  To
 * stop: all shards let go of the socket; at the deadline each cancels its group; then each joins
 * it. Start reading at listener_start() and listener_stop().
 */
#include "runtime/listener.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/listener_inside.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "runtime/wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* So that a burst is spread over the loops. */
enum {
    ACCEPTS_PER_EVENT = 8
};

static const duration pause_without_descriptors = MILLISECONDS(200);

struct shard {
    struct listener *listener;
    struct watch watch;
    struct timer retry;
    struct group conversations;
    struct group closer; /* The fiber that joins the conversations. */
};

struct listener {
    int fd; /* -1 in the simulated world. */
    struct listener_options options;
    void (*handler)(void *arg, struct stream *stream);
    void *arg;
    atomic_uint connections;
    atomic_uint shards_busy; /* With the step that is under way on all loops. */
    struct latch *step_done;
    struct bell conversation_ended;
    struct endpoint sim_endpoint;
    struct endpoint local; /* No address: of each connection another, perhaps. */
    atomic_bool closed;
    atomic_bool full;
    unsigned shard_count;
    struct shard shards[];
};

/* Conversations. */

struct conversation {
    struct shard *shard;
    struct stream *stream;
};

static void
resume(void *arg)
{
    struct shard *shard = arg;

    if (!shard->listener->closed && !shard->watch.added && shard->watch.fd >= 0 &&
        watch_add(loop_self(), &shard->watch, EPOLLIN | EPOLLEXCLUSIVE))
        log_error("listener \"%s\": cannot go on accepting: %s", shard->listener->options.name,
                  strerrordesc_np(errno));
}

static void
leave(struct listener *listener)
{
    atomic_fetch_sub(&listener->connections, 1);
    if (atomic_load(&listener->full) && atomic_exchange(&listener->full, false))
        for (unsigned i = 0; i < listener->shard_count; i++)
            runtime_post(i, resume, &listener->shards[i]);
    bell_ring(&listener->conversation_ended);
}

static void
converse(void *arg)
{
    struct conversation conversation = *(struct conversation *)arg;
    struct listener *listener = conversation.shard->listener;

    free(arg);
    listener->handler(listener->arg, conversation.stream);
    leave(listener);
}

/* False above the ceiling. */
static bool
enter(struct listener *listener)
{
    unsigned max = listener->options.connections_max;

    if (atomic_fetch_add(&listener->connections, 1) < max || max == 0)
        return true;
    atomic_fetch_sub(&listener->connections, 1);
    return false;
}

static enum err
start_conversation(struct shard *shard, struct stream *stream)
{
    struct conversation *conversation = malloc(sizeof(*conversation));
    enum err e;

    must(conversation);
    *conversation = (struct conversation){ shard, stream };
    e = group_start(&shard->conversations, converse, conversation, shard->listener->options.name);
    if (e) {
        free(conversation);
        stream_close(stream);
        leave(shard->listener);
    }
    return e;
}

/* Accepting. */

static void
pause_for(struct shard *shard, duration time)
{
    watch_remove(loop_self(), &shard->watch);
    if (time)
        timer_set(loop_self(), &shard->retry, clock_steady() + time);
}

static void
retry(struct timer *timer)
{
    resume(CONTAINER_OF(timer, struct shard, retry));
}

/* True when there may be more to accept. */
static bool
accept_one(struct shard *shard)
{
    struct listener *listener = shard->listener;
    struct sockaddr_storage peer = {};
    socklen_t size = sizeof(peer);
    int fd;
    enum err e;

    if (!enter(listener)) {
        atomic_store(&listener->full, true);
        pause_for(shard, pause_without_descriptors); /* Or until a conversation ends. */
        return false;
    }
    fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        int number = errno;
        atomic_fetch_sub(&listener->connections, 1);
        if (number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM) {
            log_error("listener \"%s\": cannot accept: %s", listener->options.name,
                      strerrordesc_np(number));
            pause_for(shard, pause_without_descriptors);
            return false;
        }
        return number != EAGAIN && number != EWOULDBLOCK;
    }
    e = start_conversation(shard, stream_from_accepted(fd, &listener->local, &peer));
    if (e)
        log_error("listener \"%s\": no memory for another conversation", listener->options.name);
    return !e;
}

static void
acceptable(struct watch *watch, uint32_t events)
{
    struct shard *shard = CONTAINER_OF(watch, struct shard, watch);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++)
        if (!accept_one(shard))
            return;
}

enum err
listener_take_sim(struct listener *listener, struct stream *stream)
{
    if (!enter(listener)) {
        stream_close(stream);
        return ERR_REFUSED;
    }
    return start_conversation(&listener->shards[0], stream);
}

const struct endpoint *
listener_sim_endpoint(const struct listener *listener)
{
    return &listener->sim_endpoint;
}

/* Steps that all loops take. */

static void
step_done(struct listener *listener)
{
    if (atomic_fetch_sub(&listener->shards_busy, 1) == 1)
        latch_open(listener->step_done);
}

/* FN runs on every loop with its shard; it must call step_done(). */
static void
step(struct listener *listener, void (*fn)(void *))
{
    struct latch done = {};

    atomic_store(&listener->shards_busy, listener->shard_count);
    listener->step_done = &done;
    for (unsigned i = 0; i < listener->shard_count; i++)
        runtime_post(i, fn, &listener->shards[i]);
    latch_wait_always(&done);
}

static void
start_shard(void *arg)
{
    struct shard *shard = arg;

    resume(shard);
    step_done(shard->listener);
}

static void
close_shard(void *arg)
{
    struct shard *shard = arg;

    timer_unset(loop_self(), &shard->retry);
    watch_remove(loop_self(), &shard->watch);
    group_cancel_idle(&shard->conversations);
    step_done(shard->listener);
}

static void
join_conversations(void *arg)
{
    struct shard *shard = arg;

    group_stop(&shard->conversations);
    step_done(shard->listener);
}

static void
stop_shard(void *arg)
{
    struct shard *shard = arg;
    enum err e = group_start(&shard->closer, join_conversations, shard, "listener's end");

    must(!e);
}

/* What is set here all accepted sockets have. */
static void
prepare_socket(struct listener *listener)
{
    struct endpoint nobody;
    int one = 1;

    (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    socket_endpoints(listener->fd, &listener->local, &nobody);
}

static struct listener *
listener_new(int fd, const struct listener_options *options,
             void (*handler)(void *arg, struct stream *stream), void *arg)
{
    unsigned count = runtime_loop_count();
    struct listener *listener = calloc(1, sizeof(*listener) + count * sizeof(struct shard));

    must(listener);
    listener->fd = fd;
    if (fd >= 0)
        prepare_socket(listener);
    listener->options = *options;
    listener->handler = handler;
    listener->arg = arg;
    listener->shard_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct shard *shard = &listener->shards[i];
        shard->listener = listener;
        shard->watch = (struct watch){ .fd = fd, .fn = acceptable };
        shard->retry.fn = retry;
        list_init(&shard->conversations.fibers);
        list_init(&shard->closer.fibers);
    }
    return listener;
}

enum err
listener_start(int fd, const struct listener_options *options,
               void (*handler)(void *arg, struct stream *stream), void *arg,
               struct listener **listener)
{
    *listener = listener_new(fd, options, handler, arg);
    step(*listener, start_shard);
    return OK;
}

enum err
listener_start_sim(const struct endpoint *endpoint, const struct listener_options *options,
                   void (*handler)(void *arg, struct stream *stream), void *arg,
                   struct listener **listener)
{
    struct listener *made;
    enum err e;

    must(sim_is_on());
    made = listener_new(-1, options, handler, arg);
    made->sim_endpoint = *endpoint;
    e = sim_listen(made);
    if (e)
        free(made);
    else
        *listener = made;
    return e;
}

unsigned
listener_connections(const struct listener *listener)
{
    return atomic_load(&((struct listener *)listener)->connections);
}

void
listener_close(struct listener *listener)
{
    if (listener->closed)
        return;
    listener->closed = true;
    if (listener->fd < 0)
        sim_unlisten(listener);
    step(listener, close_shard);
    if (listener->fd >= 0)
        close(listener->fd);
}

void
listener_stop(struct listener *listener, instant deadline)
{
    enum err e = OK;

    listener_close(listener);
    while (!e && listener_connections(listener))
        e = bell_wait(&listener->conversation_ended, deadline);
    step(listener, stop_shard);
    /* A closer that has told its last may still be in its group: once more around all loops. */
    step(listener, close_shard);
    free(listener);
}

/* Binding, for the supervisor. */

static enum err
bind_failed(struct why *why, const char *where)
{
    int number = errno;
    const char *cure = "";

    if (number == EACCES || number == EPERM)
        cure = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    else if (number == EADDRINUSE)
        cure = "; another server has this port";
    return err_why(why, number == EADDRINUSE ? ERR_BUSY : err_from_errno(number),
                   "cannot listen on %s: %s%s", where, strerrordesc_np(number), cure);
}

static enum err
bind_and_listen(int fd, const void *address, socklen_t size, int backlog, const char *where,
                struct why *why)
{
    if (bind(fd, address, size) == 0 && listen(fd, backlog) == 0)
        return OK;
    return bind_failed(why, where);
}

enum err
listener_bind(const struct endpoint *endpoint, int backlog, int *fd, struct why *why)
{
    char where[IPADDR_TEXT_MAX + 8];
    struct sockaddr_storage address = {};
    socklen_t size = socket_address(endpoint, &address);
    bool any = ipaddr_is_any(endpoint->addr) && address.ss_family == AF_INET6;
    int one = 1, zero = 0;
    int made;
    enum err e;

    endpoint_format(endpoint, where);
    made = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0 && errno == EAFNOSUPPORT && any) {
        struct endpoint v4 = { .addr = ipaddr_from_v4(0), .port = endpoint->port };
        return listener_bind(&v4, backlog, fd, why);
    }
    if (made < 0)
        return bind_failed(why, where);
    (void)setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address.ss_family == AF_INET6)
        (void)setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, any ? &zero : &one, sizeof(one));
    e = bind_and_listen(made, &address, size, backlog, where, why);
    if (e)
        close(made);
    else
        *fd = made;
    return e;
}

enum err
listener_bind_unix(const char *path, mode_t mode, int *fd, struct why *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    int made;
    enum err e;

    if (length >= sizeof(address.sun_path))
        return err_why(why, ERR_LIMIT, "the socket's path %s is too long", path);
    memcpy(address.sun_path, path, length);
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return bind_failed(why, path);
    (void)unlink(path); /* Of a server that is gone. */
    (void)fchmod(made, mode);
    e = bind_and_listen(made, &address, sizeof(address), 128, path, why);
    if (!e && chmod(path, mode))
        e = bind_failed(why, path);
    if (e)
        close(made);
    else
        *fd = made;
    return e;
}
