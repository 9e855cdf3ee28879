/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* programs.h: a small process beside the server that runs the programs of `pipe:` routes.
 *
 * The server has shut itself in and cannot run anything.  This process is forked before that, has
 * no configuration, no mail and no sockets but one, becomes an unprivileged user at once, and runs
 * nothing but the commands that it was given at its start.  What it is asked for is in
 * delivery/program.h.  It ends with the server, and what runs then is killed.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
    PROGRAMS_COMMANDS_MAX = 256,
    PROGRAMS_RUNNING_MAX = 64
};

/* COMMANDS as they stand in the configuration, without "pipe:".  USER: whose rights they get when
 * we are root.  *FD is the server's end.  ERR_LIMIT, ERR_IO, ERR_NOT_FOUND (no such user). */
enum err programs_start(const str *commands, size_t count, const char *user, int *fd,
                        struct why *why);
