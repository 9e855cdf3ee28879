/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* world.h: where a dialogue is played: in the simulated world, or over real sockets.
 *
 * The real one is a network namespace of its own, in which the documentation networks
 * (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24) are local addresses, so that the same file names
 * the same clients.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "script.h"

struct stream;

/* False when the system does not let us have a network of our own. */
bool world_enter_real(void);
bool world_is_real(void);
/* What needs virtual time, a simulated DNS or a scripted next hop is played in the simulated world
 * only. */
bool world_can_play(const struct script *script);

WAITS void world_pass(duration time);
WAITS void world_settle(void);
/* How long one look at something that takes its time waits for the next. */
WAITS void world_look_again(void);
WAITS enum err world_connect(const struct endpoint *peer, const ipaddr *from, instant deadline,
                             struct stream **stream, struct why *why);
void world_cut(struct stream *stream);
