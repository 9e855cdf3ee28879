/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* alias.c: `outpost alias`: addresses that lead to others.  Works with the server stopped as well.
 */
#include "cli/ask.h"

#include <limits.h>

static const struct column list_columns[] = {
    { "address", NULL, COLUMN_ID, false },
    { "target", NULL, COLUMN_TEXT, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    if (call->arg_count)
        json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    return ask_list(&ask, "alias.list", "outpost.alias/1", list_columns, "no aliases");
}

static int
run_add(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_begin_array(&ask.writer, "targets");
    for (unsigned i = 1; i < call->arg_count; i++)
        json_put_text(&ask.writer, NULL, str_from(call->args[i]));
    json_end_array(&ask.writer);
    return ask_do(&ask, "alias.add");
}

static int
run_rm(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    if (call->arg_count > 1)
        json_put_text(&ask.writer, "target", str_from(call->args[1]));
    return ask_do(&ask, "alias.rm");
}

/* clang-format off */
const struct command alias_commands[] = {
    { .verb = "list", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "List aliases and forwarding", .run = run_list,
      .examples = { "outpost alias list example.org", "" } },
    { .verb = "add", .args = "ADDRESS TARGET...", .args_min = 2, .args_max = UINT_MAX,
      .uses = USES_SERVER, .summary = "Let an address lead to others, here or elsewhere",
      .text = "When the address is that of an account this is forwarding; the account keeps a copy if it is "
              "one of the targets itself.",
      .run = run_add,
      .examples = { "outpost alias add sales@example.org ann@example.org bob@example.org", "",
                    "outpost alias add ann@example.org ann@example.org ann@phone.example",
                    "forwards, and keeps a copy" } },
    { .verb = "rm", .args = "ADDRESS [TARGET]", .args_min = 1, .args_max = 2,
      .uses = USES_SERVER | USES_CHANGES, .summary = "Remove one target of an alias, or all",
      .run = run_rm, .examples = { "outpost alias rm sales@example.org bob@example.org", "" } },
    { 0 },
};
/* clang-format on */
