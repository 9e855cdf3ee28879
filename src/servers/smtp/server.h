/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.h: conversations with SMTP clients, on the MX and the submission ports.  RFC 5321, 6409.
 *
 * A session knows the protocol and nothing of policy: it reads commands, keeps the phase, and lets
 * intake/ judge.  Start reading at smtp_server_run() in server.c.
 */
#pragma once

#include "base/base.h"
#include "base/ipaddr.h"
#include "mail/envelope.h"

struct config_networks;
struct intake_services;
struct stream;
struct tls_context;

/* One listener.  Borrowed by its sessions, so it outlives them. */
struct smtp_server {
    struct intake_services *services;
    const char *name;                      /* "smtp", "submission": for events. */
    enum door door;                        /* DOOR_MX or DOOR_SUBMISSION */
    bool implicit_tls;                     /* Port 465. */
    const struct config_networks *proxies; /* Peers that begin with a PROXY header; NULL: none. */
    _Atomic(struct tls_context *)
        tls; /* NULL: no STARTTLS.  An old one lives as long as the services. */
};

/* The handler of a listener: ARG is its struct smtp_server.  Closes STREAM. */
WAITS void smtp_server_run(void *arg, struct stream *stream);
