/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* offline.h: commands about users, domains, aliases and traces while the server is stopped.
 *
 * They run in this process, by the code that the server would run (ops/control_call.h), on the databases
 * themselves; the lock on the data directory keeps a server from starting meanwhile.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct config;
struct control_carrier;

/* Whether COMMAND ("user.add") needs no server. */
bool offline_knows(const char *command);
/* A server has the data directory, even if it does not answer yet, or not any more. */
bool offline_is_locked(const struct config *config);
/* Runs the request, a line as for the socket.  ERR_BUSY: a server has the data directory.  Other errors are
 * those of opening; WHY tells. */
enum err offline_run(const struct config *config, str request,
                     const struct control_carrier *carrier, struct why *why);
