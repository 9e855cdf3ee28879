/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fiber.h: conversations as straight-line functions.
 *
 * A fiber runs on the loop (the thread, the core) where it was started and never moves.
 * It belongs to a group; the group's owner cancels and joins it, so there are no orphans.
 * Cancellation is an ordinary error: every call marked WAITS returns ERR_CANCELLED once
 * the fiber's group is cancelled, and the stack unwinds as after any other error.
 *
 * Called outside a fiber (unit tests, command line), WAITS functions block the thread.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/list.h"

struct fiber;

struct runtime_options {
    unsigned loops; /* 0: one for each core. */
    bool simulated; /* One loop, virtual time, simulated network and DNS (runtime/sim.h). */
    uint64_t seed;  /* Of the simulated world. */
};

/* Starts the loops, runs FN(ARG) in a fiber on loop 0, and returns when FN has returned and all
 * loops have stopped.  FN must have stopped all groups that it started.  The caller's thread
 * becomes loop 0. */
enum err runtime_run(const struct runtime_options *options, void (*fn)(void *), void *arg);
unsigned runtime_loop_count(void);
unsigned runtime_loop_current(void); /* Of the calling fiber; must not be called outside one. */

/* Runs FN(ARG) as soon as it can on LOOP, outside any fiber; FN must not wait (it may start
 * fibers). From any thread.  Many posts to one loop between two of its turns cost one wake-up. */
void runtime_post(unsigned loop, void (*fn)(void *), void *arg);

/* A set of fibers with one owner, all on the loop of the owner. */
struct group {
    struct link fibers;
    unsigned count;
    bool cancelled;
    bool idle_cancelled;
    struct fiber *joiner;
    struct fiber *owner;  /* Whose cancellation this group inherits; NULL outside a fiber. */
    struct link in_owner; /* While it has fibers. */
};

void group_init(struct group *group);
/* Starts FN(ARG) in a new fiber on the current loop.  NAME is static text.  ERR_LIMIT when there is
 * no memory for another stack; ERR_CANCELLED in a cancelled group. */
enum err group_start(struct group *group, void (*fn)(void *), void *arg, const char *name);
/* Cancels its fibers that are idle, and later each that becomes so; the others go on. */
void group_cancel_idle(struct group *group);
void group_cancel(struct group *group); /* All waits of its fibers return ERR_CANCELLED. */
WAITS void group_join(
    struct group *group); /* Until all its fibers have returned; not cut short by cancellation. */
WAITS void group_stop(struct group *group); /* Cancel, then join. */

/* Whether the current fiber is between two units of work, where it does no harm to end: group_cancel_idle(). */
void fiber_set_idle(bool idle);
/* Whether the current fiber was cancelled. */
bool fiber_cancelled(void);
WAITS enum err fiber_sleep(duration time); /* OK when the time has passed. */
WAITS void fiber_yield(void);
