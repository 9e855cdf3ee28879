/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* bounce_intake.h: what came back, read and tied to the message and the recipient that it is about.
 *
 * The proof is a return path that we made, and nothing else: the one that the report was sent to,
 * or, for complaints, the one of the original inside.  What a report says of somebody to whom that
 * message did not go changes nothing.  The same report twice counts once.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct body;
struct envelope;
struct return_path;
struct runner;

struct bounce_news {
    bool is_known;      /* Of which message of ours it is. */
    str sender;         /* The reverse-path of that message, */
    bool is_understood; /* and it is a report that said something about it. */
    str told;           /* For the event of the report, in the runner's arena. */
};

/* Reads the report BODY, which came in ENVELOPE to PATH, or, with NULL, to the address for
 * complaints. Events are recorded and the suppression list learns.  ERR_IO and the like: to be
 * tried again. */
WAITS enum err bounce_intake(struct runner *runner, const struct envelope *envelope,
                             struct body *body, const struct return_path *path,
                             struct bounce_news *news);
