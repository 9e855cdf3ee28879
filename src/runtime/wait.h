/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* wait.h: how fibers wait for something other than bytes.
 *
 * All three may be signalled from any thread; signals to one loop between two of its turns
 * cost one wake-up between them.  A zeroed struct is ready to use; deadlines are steady instants.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"

#include <pthread.h>

struct fiber;

/* One-shot: opens once, then every wait returns at once.  At most one waiter.  Lives as long as
 * both sides need it: latch_open() does not touch the latch after the waiter may have seen it open.
 */
struct latch {
    void *state; /* NULL, the waiting fiber, or open. */
};

void latch_open(struct latch *latch);
bool latch_is_open(const struct latch *latch);
WAITS enum err latch_wait(struct latch *latch, instant deadline);
/* Not cut short by cancellation: for work on the caller's stack that somebody else is doing.
 * Simulated time stands still for a short real moment so that real threads can do it; not so in
 * latch_wait(). */
WAITS void latch_wait_always(struct latch *latch);

/* Rings may come before or while the one waiter waits; several rings may be seen as one. */
struct bell {
    pthread_mutex_t lock; /* Zero is PTHREAD_MUTEX_INITIALIZER on Linux. */
    struct fiber *waiter;
    bool rung;
};

void bell_ring(struct bell *bell);
WAITS enum err bell_wait(struct bell *bell, instant deadline);

/* Until FD, which is not a stream's, can be read (OUTPUT: written): a signalfd, a pipe, a pidfd. */
WAITS enum err wait_fd(int fd, bool output, instant deadline);

/* Runs FN(ARG) on a thread of a bounded pool and waits until it has returned; not cut short by
 * cancellation.  For what blocks: password hashing, SQLite, fsync of cold files.  In a simulated
 * world, and outside fibers, FN runs at once in the caller. */
WAITS void offload(void (*fn)(void *), void *arg);
/* The same for what computes for less than a few milliseconds and never blocks, such as a signature:
 * there are as many threads for it as cores. */
WAITS void offload_computing(void (*fn)(void *), void *arg);
