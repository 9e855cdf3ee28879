/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.h: conversations with POP3 clients.  RFC 1939, 2449, 2595, 5034, 6856.
 *
 * Start reading at pop3_server_run() in server.c.
 */
#pragma once

#include "base/base.h"

struct config_networks;
struct intake_services;
struct stream;
struct tls_context;

/* One listener.  Borrowed by its sessions, so it outlives them. */
struct pop3_server {
    struct intake_services *services;
    const char *name;                      /* "pop3", "pop3s": for events. */
    bool implicit_tls;                     /* Port 995. */
    const struct config_networks *proxies; /* Peers that begin with a PROXY header; NULL: none. */
    _Atomic(struct tls_context *) tls;     /* NULL: no STLS, and so no login. */
};

/* The handler of a listener: ARG is its struct pop3_server.  Closes STREAM. */
WAITS void pop3_server_run(void *arg, struct stream *stream);
