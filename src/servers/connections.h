/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* connections.h: how many conversations each client address has, so that one cannot take them all.
 *
 * An IPv6 client is its /64, since that is what one customer gets.  From any thread.
 */
#pragma once

#include "base/base.h"
#include "base/ipaddr.h"

struct connections;

struct connections *connections_new(void);
void connections_free(struct connections *connections);

/* Counts one more from ADDR, unless there are MAX already (0: no ceiling). */
bool connections_enter(struct connections *connections, ipaddr addr, unsigned max);
void connections_leave(struct connections *connections, ipaddr addr);
unsigned connections_count(struct connections *connections, ipaddr addr);
