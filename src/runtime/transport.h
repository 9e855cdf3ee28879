/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* transport.h: what a stream stands on: a socket, or a pipe of the simulated network.
 * For files of this room only. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct stream;
struct transport;

struct transport_ops {
    /* Without waiting.  ERR_BUSY: nothing now; ERR_CLOSED: the end, or the peer is gone. */
    enum err (*read)(struct transport *transport, void *bytes, size_t room, size_t *got);
    enum err (*write)(struct transport *transport, const struct iovec *parts, int count,
                      size_t *put);
    /* Until reading (OUTPUT: writing) may succeed. */
    WAITS enum err (*wait)(struct transport *transport, bool output, instant deadline);
    /* Cuts what is under way in both directions. */
    void (*cut)(struct transport *transport);
    void (*close)(struct transport *transport);
};

struct transport {
    const struct transport_ops *ops;
    bool ends; /* What is written now is followed by close() at once. */
};

/* A stream over TRANSPORT, which it takes. */
struct stream *stream_new(struct transport *transport, const struct endpoint *local,
                          const struct endpoint *peer);
struct transport *stream_transport(const struct stream *stream);

/* A connected, non-blocking socket; takes FD. */
struct transport *transport_from_socket(int fd);
/* A socket just accepted from PEER; a LOCAL without address is asked for. */
struct stream *stream_from_accepted(int fd, const struct endpoint *local,
                                    const struct sockaddr_storage *peer);
/* The socket's descriptor, or -1. */
int transport_socket(const struct transport *transport);
void socket_endpoints(int fd, struct endpoint *local, struct endpoint *peer);
/* SIZE is that of a sockaddr_storage. */
socklen_t socket_address(const struct endpoint *endpoint, void *address);
