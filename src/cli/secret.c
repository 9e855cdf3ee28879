/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secret.c: `outpost secret`: the keys that prove what comes back.  Works with the server stopped as
 * well. */
#include "cli/ask.h"

static const struct column list_columns[] = {
    { "key", NULL, COLUMN_ID, false },
    { "created", NULL, COLUMN_AGE, false },
    { "state", NULL, COLUMN_STATE, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_list(&ask, "secret.list", "outpost.secret/1", list_columns, "no keys");
}

static int
run_rotate(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    if (call_has(call, "--keep"))
        json_put_int(&ask.writer, "keep_ms", call_duration(call, "--keep", 0) / MILLISECONDS(1));
    return ask_do(&ask, "secret.rotate");
}

static const struct flag rotate_flags[] = {
    { "--keep", 0, FLAG_DURATION, "TIME", false,
      "Forget keys whose successor is older than this; 365d, when not given" },
    { 0 },
};

/* clang-format off */
const struct command secret_commands[] = {
    { .verb = "list", .uses = USES_SERVER | USES_LIST,
      .summary = "List the keys of return paths and links to unsubscribe, the newest last",
      .text = "No key is shown, only a name that tells them apart. They stand in DATA/token-keys, which belongs into "
              "the backup.",
      .run = run_list, .examples = { "outpost secret list", "" } },
    { .verb = "rotate", .uses = USES_SERVER | USES_CHANGES, .flags = rotate_flags,
      .summary = "Make a new key; the older ones still check what was made with them",
      .text = "A key that others may have seen goes at once with --keep 0s: bounces and links of mail from before "
              "are not known any more then.",
      .run = run_rotate,
      .examples = { "outpost secret rotate", "once a year",
                    "outpost secret rotate --keep 30d", "" } },
    { 0 },
};
/* clang-format on */
