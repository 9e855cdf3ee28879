/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* doors.h: the listeners of the configuration, each with the conversation that it starts. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"

struct config;
struct doors;
struct intake_services;
struct server_options;
struct tls_context;

enum {
    DOORS_MAX = 64
};

/* Whether doors_start() will find what it needs: before an older server is asked to leave. */
enum err doors_check(const struct server_options *options, const struct tls_context *tls,
                     struct why *why);
/* Serves every listener: on the supervisor's sockets, or on the simulated network.  SERVICES and
 * TLS (NULL: none) stay the caller's, and alive until doors_stop(). */
WAITS enum err doors_start(struct intake_services *services, const struct server_options *options,
                           struct tls_context *tls, struct doors **doors, struct why *why);
/* New conversations get TLS; the rest they read from the snapshot in SERVICES. */
void doors_reload(struct doors *doors, const struct config *config, struct tls_context *tls);
/* All close at once; conversations have until DEADLINE. */
WAITS void doors_stop(struct doors *doors, instant deadline);

/* The door at INDEX; false past the last one.  PORT 0: not known. */
bool doors_get(const struct doors *doors, size_t index, const char **name, unsigned *port,
               unsigned *connections);
