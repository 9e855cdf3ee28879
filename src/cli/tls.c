/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls.c: `outpost tls`: what is known of the MTA-STS policies of other domains. */
#include "cli/ask.h"

static const struct column columns[] = {
    { "domain", NULL, COLUMN_ID, false },     { "mode", NULL, COLUMN_STATE, false },
    { "expires", NULL, COLUMN_AGE, false },   { "fetched", NULL, COLUMN_AGE, false },
    { "asked", NULL, COLUMN_AGE, true },      { "failure", NULL, COLUMN_TEXT, false },
    { "mx", NULL, COLUMN_TEXT, true },        { "text", NULL, COLUMN_TEXT, false },
    { "policy_id", "ID", COLUMN_TEXT, true }, { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_list(&ask, "tls.list", "outpost.tls.policy/1", columns, "no policies are known");
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    return ask_list(&ask, "tls.show", "outpost.tls.policy/1", columns, NULL);
}

static int
run_forget(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    return ask_do(&ask, "tls.forget");
}

/* clang-format off */
const struct command tls_commands[] = {
    { .verb = "list", .uses = USES_SERVER | USES_LIST,
      .summary = "List the MTA-STS policies that are kept, and those that could not be had",
      .text = "A policy is kept until it expires, whatever becomes of its host meanwhile. Where the latest try "
              "to have it or a newer one failed, failure and text say how. What an operator wants instead is a "
              "rule: 'outpost rule add tls'.",
      .run = run_list, .examples = { "outpost tls list", "", "outpost tls list -o wide", "with their hosts" } },
    { .verb = "show", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "Show what is known of the policy of a domain", .run = run_show,
      .examples = { "outpost tls show example.org --json", "" } },
    { .verb = "forget", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_CHANGES,
      .summary = "Forget the policy of a domain: the next mail there asks for it anew",
      .text = "For a domain that published a wrong policy with a long time, and cannot be reached until it ends.",
      .run = run_forget, .examples = { "outpost tls forget example.org", "" } },
    { 0 },
};
/* clang-format on */
