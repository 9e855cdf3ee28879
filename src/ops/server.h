/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.h: the whole of the server in one process, assembled from a configuration snapshot.
 *
 * server_start() opens the databases and the spool, gives what the spool found to the queue, starts
 * the deliveries and then the listeners; server_stop() goes the same way back.  Production runs it
 * by server_run(); the dialogues start it in a fiber of a simulated world, where each listener of
 * the configuration is opened at its endpoint of the simulated network.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"

struct accounts;
struct config;
struct events;
struct intake_services;
struct limits;
struct queue;
struct server;
struct spool;
struct tls_reports;

/* A socket that listens already, with the name of its row in the configuration ("smtp"). */
struct server_socket {
    char name[32];
    int fd;
};

struct server_options {
    struct config *config;   /* Taken by reference. */
    const char *config_path; /* For reload; NULL: server_reload() is refused. */
    bool simulated;          /* Listeners on the simulated network; sockets are ignored. */
    const struct server_socket *sockets; /* Bound by the supervisor. */
    size_t socket_count;
    int programs; /* Who runs programs: ops/programs.h; 0: nobody. */
    int notify_fd;                /* Where "ready" and the like are written; -1: nowhere. */
    bool wait_for_data;           /* Another process may be about to leave the data: wait. */
    const _Atomic(bool) *give_up; /* When it becomes true that wait ends; may be NULL. */
};

/* In a fiber on loop 0.  On failure nothing is left running, and WHY names what to do. */
WAITS enum err server_start(const struct server_options *options, struct server **server,
                            struct why *why);
/* Reads the configuration again.  On failure the old one stays in force.  Sessions go on. */
enum err server_reload(struct server *server, struct why *why);
/* Listeners close at once, conversations and deliveries have GRACE to end; then all is flushed,
 * closed and freed.  With 0 nothing is waited for, as nearly like a crash as can be without one. */
WAITS void server_stop(struct server *server, duration grace);

/* The parts, for the control socket and for tests; borrowed, alive until server_stop(). */
struct config *server_config(struct server *server);
struct intake_services *server_services(struct server *server);
struct accounts *server_accounts(struct server *server);
struct events *server_events(struct server *server);
struct limits *server_limits(struct server *server);
struct queue *server_queue(struct server *server);
struct spool *server_spool(struct server *server);
struct tls_reports *server_tls_reports(struct server *server);

/* Wall clock. */
instant server_started_at(const struct server *server);
/* The listeners, for `outpost status`: FALSE past the last one. */
bool server_door(const struct server *server, size_t index, const char **name, unsigned *port,
                 unsigned *connections);

/* The server process: starts the loops and the server, obeys signals, returns after an orderly
 * stop. SIGTERM and SIGINT stop, SIGUSR1 stops with more patience (somebody takes over), SIGHUP
 * reloads. The caller has blocked these signals. */
enum err server_run(const struct server_options *options, struct why *why);
