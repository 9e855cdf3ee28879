/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* status.c: `outpost status`: how the server is. */
#include "cli/ask.h"

static int
run_status(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_document(&ask, "status", "outpost.status/1", NULL);
}

static int
run_reload(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_do(&ask, "reload");
}

/* clang-format off */
const struct command status_commands[] = {
    { .uses = USES_SERVER, .summary = "Show version, listeners, queue, today's mail and who is restricted",
      .run = run_status,
      .examples = { "outpost status", "for people", "outpost status --json", "for programs" } },
    { 0 },
};

const struct command reload_commands[] = {
    { .uses = USES_SERVER, .summary = "Read the configuration again, without dropping a session",
      .run = run_reload,
      .examples = { "outpost reload", "the same as SIGHUP, and it says what is wrong" } },
    { 0 },
};
/* clang-format on */
