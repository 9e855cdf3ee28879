/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control.h: the socket DATA/control.sock, by which the command line speaks to the running server.
 *
 * Who may open the socket (mode 0600) may do everything: its owner, and root.  One request and its
 * answer are lines of JSON; control_call.h says which.  A connection may ask again and again.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

struct control;
struct server;

enum {
    CONTROL_CONNECTIONS_MAX = 64
};

WAITS enum err control_start(struct server *server, struct control **control, struct why *why);
/* Calls that are under way are cut short. */
WAITS void control_stop(struct control *control);
