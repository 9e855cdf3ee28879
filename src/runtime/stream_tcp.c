/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream_tcp.c: sockets: connecting, and the transport over one.
 *
 * A socket is put into the loop's epoll once, edge-triggered, at the first wait of a fiber; for
 * writing only when it has taken no more.  READABLE and WRITABLE remember edges: a read that
 * brought less than it asked for has emptied the socket, so that the next one waits without asking
 * the kernel first, and nothing is asked for before the first wait.  After a hang-up every read is
 * tried.
 */
#include "runtime/stream.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"
#include "runtime/transport.h"
#include "runtime/wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct tcp {
    struct transport transport;
    struct watch watch;
    struct loop *loop; /* Whose epoll has it. */
    struct fiber *waiter;
    bool readable;
    bool writable;
    bool for_output; /* As the epoll knows it. */
    bool hung_up;
};

static struct tcp *
tcp_of(struct transport *transport)
{
    return CONTAINER_OF(transport, struct tcp, transport);
}

static enum err
tcp_read(struct transport *transport, void *bytes, size_t room, size_t *got)
{
    struct tcp *tcp = tcp_of(transport);
    ssize_t count;

    if (!tcp->readable)
        return ERR_BUSY;
    do
        count = recv(tcp->watch.fd, bytes, room, 0);
    while (count < 0 && errno == EINTR);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        tcp->readable = false;
        return ERR_BUSY;
    }
    if (count < 0)
        return err_from_errno(errno);
    if (count == 0)
        return ERR_CLOSED;
    if ((size_t)count < room && tcp->watch.added && !tcp->hung_up)
        tcp->readable = false;
    *got = (size_t)count;
    return OK;
}

static enum err
tcp_write(struct transport *transport, const struct iovec *parts, int count, size_t *put)
{
    struct tcp *tcp = tcp_of(transport);
    struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
    /* The last words leave with the FIN that close() sends. */
    int flags = MSG_NOSIGNAL | (transport->ends ? MSG_MORE : 0);
    ssize_t written;

    if (!tcp->writable)
        return ERR_BUSY;
    do
        written = sendmsg(tcp->watch.fd, &message, flags);
    while (written < 0 && errno == EINTR);
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        tcp->writable = false;
        return ERR_BUSY;
    }
    if (written < 0)
        return err_from_errno(errno);
    *put = (size_t)written;
    return OK;
}

static void
tcp_event(struct watch *watch, uint32_t events)
{
    struct tcp *tcp = CONTAINER_OF(watch, struct tcp, watch);

    if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        tcp->hung_up = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        tcp->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        tcp->writable = true;
    if (tcp->waiter)
        fiber_wake(tcp->waiter, OK);
}

/* In the loop's epoll, for output as well when that is what is waited for. */
static enum err
tcp_register(struct tcp *tcp, struct loop *loop, bool output)
{
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET | (output ? EPOLLOUT : 0);
    enum err e = OK;

    if (!tcp->watch.added)
        e = watch_add(loop, &tcp->watch, events);
    else if (output && !tcp->for_output)
        e = watch_change(loop, &tcp->watch, events);
    else
        return OK;
    tcp->loop = loop;
    tcp->for_output = output;
    return e;
}

static enum err
tcp_wait(struct transport *transport, bool output, instant deadline)
{
    struct tcp *tcp = tcp_of(transport);
    const bool *ready = output ? &tcp->writable : &tcp->readable;
    struct loop *loop = loop_self();
    enum err e = OK;

    if (!loop) {
        e = wait_fd(tcp->watch.fd, output, deadline);
        if (!e)
            tcp->readable = tcp->writable = true;
        return e;
    }
    e = tcp_register(tcp, loop, output);
    must(tcp->loop == loop); /* A stream never moves between loops. */
    tcp->waiter = fiber_self();
    while (!e && !*ready)
        e = fiber_park(deadline, false);
    tcp->waiter = NULL;
    return e;
}

static void
tcp_cut(struct transport *transport)
{
    shutdown(tcp_of(transport)->watch.fd, SHUT_RDWR);
}

/* Bytes that were not read would make the kernel reset the connection, and our last words might be
 * lost on their way. */
static void
drain(int fd)
{
    char bytes[1024];

    if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
        return;
    shutdown(fd, SHUT_WR);
    for (int i = 1; i < 64; i++)
        if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
            break;
}

static void
tcp_close(struct transport *transport)
{
    struct tcp *tcp = tcp_of(transport);

    bool emptied = tcp->watch.added && !tcp->readable;

    if (tcp->watch.added)
        watch_remove(tcp->loop, &tcp->watch);
    if (!tcp->hung_up && !emptied)
        drain(tcp->watch.fd);
    close(tcp->watch.fd);
    free(tcp);
}

static const struct transport_ops tcp_ops = {
    .read = tcp_read,
    .write = tcp_write,
    .wait = tcp_wait,
    .cut = tcp_cut,
    .close = tcp_close,
};

struct transport *
transport_from_socket(int fd)
{
    struct tcp *tcp = calloc(1, sizeof(*tcp));

    must(tcp);
    tcp->transport.ops = &tcp_ops;
    tcp->watch = (struct watch){ .fd = fd, .fn = tcp_event };
    tcp->writable = true;
    return &tcp->transport;
}

int
transport_socket(const struct transport *transport)
{
    return transport->ops == &tcp_ops ? ((const struct tcp *)transport)->watch.fd : -1;
}

/* Addresses. */

socklen_t
socket_address(const struct endpoint *endpoint, void *address)
{
    if (ipaddr_is_v4(endpoint->addr)) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(endpoint->port) };
        memcpy(&v4.sin_addr, endpoint->addr.bytes + 12, 4);
        memcpy(address, &v4, sizeof(v4));
        return sizeof(v4);
    } else {
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(endpoint->port) };
        memcpy(&v6.sin6_addr, endpoint->addr.bytes, 16);
        memcpy(address, &v6, sizeof(v6));
        return sizeof(v6);
    }
}

static void
endpoint_from_address(const struct sockaddr_storage *address, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){};
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        endpoint->addr = ipaddr_from_v4(ntohl(v4.sin_addr.s_addr));
        endpoint->port = ntohs(v4.sin_port);
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        endpoint->addr = ipaddr_from_v6(v6.sin6_addr.s6_addr);
        endpoint->port = ntohs(v6.sin6_port);
    }
}

void
socket_endpoints(int fd, struct endpoint *local, struct endpoint *peer)
{
    struct sockaddr_storage address = {};
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size))
        address.ss_family = AF_UNSPEC;
    endpoint_from_address(&address, local);
    size = sizeof(address);
    if (getpeername(fd, (struct sockaddr *)&address, &size))
        address.ss_family = AF_UNSPEC;
    endpoint_from_address(&address, peer);
}

/* Connecting. */

static enum err
connect_failed(struct why *why, int number, const char *to)
{
    enum err e = err_from_errno(number);

    if (e == ERR_CLOSED)
        e = ERR_REFUSED;
    return err_why(why, e, "cannot connect to %s: %s", to, strerrordesc_np(number));
}

static enum err
finish_connect(int fd, instant deadline, const char *to, struct stream **stream, struct why *why)
{
    struct transport *transport = transport_from_socket(fd);
    struct endpoint local, peer;
    socklen_t size = sizeof(int);
    int number = 0;
    enum err e;

    tcp_of(transport)->writable = false;
    e = tcp_wait(transport, true, deadline);
    if (!e && getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size))
        number = errno;
    if (e || number) {
        tcp_of(transport)->hung_up = true;
        tcp_close(transport);
        if (e)
            return err_why(why, e, "cannot connect to %s: %s", to, err_name(e));
        return connect_failed(why, number, to);
    }
    socket_endpoints(fd, &local, &peer);
    *stream = stream_new(transport, &local, &peer);
    return OK;
}

static enum err
connect_socket(int fd, const void *address, socklen_t size, instant deadline, const char *to,
               struct stream **stream, struct why *why)
{
    if (connect(fd, address, size) && errno != EINPROGRESS && errno != EINTR) {
        int number = errno == EAGAIN ? ECONNREFUSED : errno;
        close(fd);
        return connect_failed(why, number, to);
    }
    return finish_connect(fd, deadline, to, stream, why);
}

enum err
stream_connect(const struct endpoint *peer, const ipaddr *local, instant deadline,
               struct stream **stream, struct why *why)
{
    char to[IPADDR_TEXT_MAX + 8];
    struct sockaddr_storage address = {};
    socklen_t size;
    int one = 1;
    int fd;

    if (sim_is_on())
        return sim_connect(peer, local, deadline, stream, why);
    endpoint_format(peer, to);
    size = socket_address(peer, &address);
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return connect_failed(why, errno, to);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (local) {
        struct endpoint from = { .addr = *local };
        struct sockaddr_storage source = {};
        socklen_t source_size = socket_address(&from, &source);
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&source, source_size)) {
            int number = errno;
            close(fd);
            return connect_failed(why, number, to);
        }
    }
    return connect_socket(fd, &address, size, deadline, to, stream, why);
}

/* Connecting a socket for datagrams only looks up the route. */
bool
stream_has_way_to(ipaddr addr)
{
    struct endpoint there = { .addr = addr, .port = 9 };
    struct sockaddr_storage address = {};
    socklen_t size;
    bool has;
    int fd;

    if (sim_is_on())
        return true;
    size = socket_address(&there, &address);
    fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    has = connect(fd, (struct sockaddr *)&address, size) == 0;
    close(fd);
    return has;
}

enum err
stream_connect_unix(const char *path, instant deadline, struct stream **stream, struct why *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    int fd;

    if (sim_is_on())
        return err_why(why, ERR_UNSUPPORTED, "the simulated world has no Unix sockets");
    if (length >= sizeof(address.sun_path))
        return err_why(why, ERR_LIMIT, "the socket's path %s is too long", path);
    memcpy(address.sun_path, path, length);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return connect_failed(why, errno, path);
    return connect_socket(fd, &address, sizeof(address), deadline, path, stream, why);
}

enum err
stream_from_socket(int fd, struct stream **stream)
{
    struct endpoint local, peer;

    socket_endpoints(fd, &local, &peer);
    *stream = stream_new(transport_from_socket(fd), &local, &peer);
    return OK;
}

struct stream *
stream_from_accepted(int fd, const struct endpoint *local, const struct sockaddr_storage *peer)
{
    struct endpoint from, to = *local;

    if (ipaddr_is_any(to.addr))
        socket_endpoints(fd, &to, &from);
    else
        endpoint_from_address(peer, &from);
    return stream_new(transport_from_socket(fd), &to, &from);
}

bool
stream_peer_uid(const struct stream *stream, uid_t *uid)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    int fd = transport_socket(stream_transport(stream));

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) ||
        credentials.pid == 0)
        return false;
    *uid = credentials.uid;
    return true;
}
