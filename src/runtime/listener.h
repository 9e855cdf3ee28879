/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* listener.h: a listening socket whose connections become fibers, on all loops.
 *
 * A listener is served by every loop: each accepted connection runs HANDLER in a fiber of its own
 * on the loop that accepted it.  HANDLER owns the stream and closes it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"

struct listener;
struct stream;

/* Binds and listens; for the supervisor, which hands the descriptor on.  In a simulated world use
 * listener_start_sim. */
enum err listener_bind(const struct endpoint *endpoint, int backlog, int *fd, struct why *why);
enum err listener_bind_unix(const char *path, mode_t mode, int *fd, struct why *why);

struct listener_options {
    const char *name;         /* Static text, for events: "smtp", "submission". */
    unsigned connections_max; /* 0: no ceiling.  Above it the kernel's backlog waits. */
};

/* Takes FD (which stays open in the caller's other processes) and serves it on all loops. */
WAITS enum err listener_start(int fd, const struct listener_options *options,
                              void (*handler)(void *arg, struct stream *stream), void *arg,
                              struct listener **listener);
/* The same at ENDPOINT of the simulated network. */
enum err listener_start_sim(const struct endpoint *endpoint, const struct listener_options *options,
                            void (*handler)(void *arg, struct stream *stream), void *arg,
                            struct listener **listener);
unsigned listener_connections(const struct listener *listener);
/* Stops accepting.  Idle conversations (fiber_set_idle()) are cancelled, now or when they become so; the others
 * go on. */
WAITS void listener_close(struct listener *listener);
/* Stops accepting, gives conversations until DEADLINE to end, cancels the rest, joins, frees. */
WAITS void listener_stop(struct listener *listener, instant deadline);
