/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sim_world.h: how the runtime asks the simulated world.  For files of this room only. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "runtime/dns.h"

struct listener;
struct loop;
struct stream;

/* Something that is under way and arrives at an instant. */
struct sim_delivery {
    struct heap_item item;
    void (*fn)(struct sim_delivery *delivery);
};

void sim_begin(uint64_t seed);
void sim_end(void);
bool sim_is_on(void);

/* sim_clock.c */
instant sim_now(void);
instant sim_wall(void);
/* Nothing is runnable: time goes to what is due next, or other threads are waited for. */
void sim_idle(struct loop *loop, bool runnable);
void sim_random_bytes(void *bytes, size_t count);
uint64_t sim_random_below(uint64_t limit);
void sim_deliver_at(struct sim_delivery *delivery, instant when);
void sim_deliver_cancel(struct sim_delivery *delivery);
/* Waits as if a message were under way for TIME. */
WAITS enum err sim_delay(duration time, instant deadline);

/* sim_net.c */
WAITS enum err sim_connect(const struct endpoint *peer, const ipaddr *local, instant deadline,
                           struct stream **stream, struct why *why);
void sim_net_end(void);

/* sim_dns.c */
WAITS enum err sim_dns_lookup(struct arena *arena, str name, enum dns_type type, instant deadline,
                              struct dns_answer *answer);
