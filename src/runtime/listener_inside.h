/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* listener_inside.h: between listeners and the simulated network.  For files of this room only. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/ipaddr.h"

struct listener;
struct stream;

/* A connection has come to LISTENER; takes STREAM. */
enum err listener_take_sim(struct listener *listener, struct stream *stream);
const struct endpoint *listener_sim_endpoint(const struct listener *listener);
/* ERR_EXISTS when somebody listens there. */
enum err sim_listen(struct listener *listener);
void sim_unlisten(struct listener *listener);
