/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* supervisor.h: the small parent process that keeps the server alive.
 *
 * It owns the listening sockets, so that a restart or a new binary never refuses a connection:
 * the kernel's backlog holds what comes in between.  It speaks no protocol and reads no mail.
 * SIGTERM and SIGINT stop, SIGHUP reloads, SIGUSR2 starts the new binary in the same process.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/ipaddr.h"
#include "ops/server.h"

enum {
    SUPERVISOR_LISTENERS_MAX = 64
};

struct supervisor_listener {
    char name[32];
    struct endpoint endpoint;
};

/* What a server process is given. */
struct supervisor_child {
    const struct server_socket *sockets;
    size_t socket_count;
    int notify_fd;    /* Lines to the supervisor: supervisor_say(). */
    bool taking_over; /* An older server is still running. */
    int helper;       /* What options.start_helper() gave. */
};

struct supervisor_options {
    const struct supervisor_listener *listeners;
    size_t listener_count;
    const char *user; /* Whose rights the server gets when we are root; NULL or "": our own. */
    char **argv;      /* To start a new binary with; argv[0] is looked for like a shell does. */
    char **trial;     /* Run first; unless its exit code is 0 the new binary is not started. */
    /* The server: runs in a process of its own, with the supervisor's signals blocked; what it
     * returns is the exit code. */
    int (*serve)(const struct supervisor_child *child, void *arg);
    /* In that process, while it still has our rights: a descriptor for SERVE, or 0.  NULL: none. */
    int (*start_helper)(void *arg);
    void *arg;
    duration backoff; /* Before the first restart; doubles up to 15 s.  0: 100 ms. */
};

/* Runs until it is told to stop; the exit code of the process (sysexits.h). */
int supervisor_run(const struct supervisor_options *options);

/* What a server says to its supervisor. */
enum supervisor_word {
    SUPERVISOR_WAITING, /* The configuration is good; the older server may go. */
    SUPERVISOR_READY,   /* Connections are served. */
    SUPERVISOR_RELOADED,
    SUPERVISOR_RELOAD_FAILED, /* With the reason. */
};
/* FD -1 says nothing. */
void supervisor_say(int fd, enum supervisor_word word, const char *text);

/* Tells systemd (NOTIFY_SOCKET) STATE, such as "READY=1"; silent where there is no systemd. */
void supervisor_notify(const char *state);

/* The sockets that somebody opened for us, for tests: from "name=fd;name=fd". */
size_t supervisor_parse_sockets(str text, struct server_socket *sockets, size_t max);
/* How long to wait before the restart after FAILURES quick deaths in a row (1 and up). */
duration supervisor_backoff(duration first, unsigned failures);
