/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* forward.h: what an alias sends on to other places. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct body;
struct envelope;
struct recipient;
struct resolution;
struct runner;

struct forward {
    struct runner *runner; /* Its arena is used. */
    const struct envelope *envelope;
    struct body *body; /* With what stands before it. */
    const struct recipient *alias;
    const struct resolution *resolution;
    const char *did; /* In the words of the event. */
};

/* Puts the copy into the spool and the queue; OK when it is durable, or when all targets are
 * mailboxes here.  TOLD, for the event, lives in the runner's arena. */
WAITS enum err forward_send(const struct forward *forward, str *told);
