/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* domain.c: `outpost domain`: for whose addresses mail is taken in.  Works with the server stopped
 * as well. */
#include "cli/ask.h"

static const struct column list_columns[] = {
    { "name", "DOMAIN", COLUMN_ID, false },
    { "accounts", NULL, COLUMN_NUMBER, false },
    { "aliases", NULL, COLUMN_NUMBER, false },
    { "alias_of", "ALIAS OF", COLUMN_TEXT, false },
    { "catch_all", "CATCH ALL", COLUMN_TEXT, false },
    { "route", NULL, COLUMN_TEXT, false },
    { "limit", NULL, COLUMN_TEXT, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_list(&ask, "domain.list", "outpost.domain/1", list_columns, "no domains");
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "name", str_from(call->args[0]));
    return ask_document(&ask, "domain.show", "outpost.domain/1", NULL);
}

/* The settings that were given on the command line; "none" takes one away. */
static int
change(struct call *call, const char *command)
{
    static const struct {
        const char *flag;
        const char *name;
    } settings[] = {
        { "--alias-of", "alias_of" },
        { "--catch-all", "catch_all" },
        { "--route", "route" },
        { "--limit", "limit" },
    };
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "name", str_from(call->args[0]));
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        str value = str_from(call_text(call, settings[i].flag));

        if (call_has(call, settings[i].flag))
            json_put_text(&ask.writer, settings[i].name, str_eq(value, S("none")) ? S("") : value);
    }
    return ask_do(&ask, command);
}

static int
run_add(struct call *call)
{
    return change(call, "domain.add");
}

static int
run_set(struct call *call)
{
    return change(call, "domain.set");
}

static int
run_rm(struct call *call)
{
    struct ask ask;
    int exit = call_confirm(call, "remove this domain");

    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "name", str_from(call->args[0]));
    return ask_do(&ask, "domain.rm");
}

static const struct flag set_flags[] = {
    { "--alias-of", 0, FLAG_TEXT, "DOMAIN", false,
      "It stands for another domain here, address by address" },
    { "--catch-all", 0, FLAG_TEXT, "ADDRESS", false, "Who gets what nobody else gets" },
    { "--route", 0, FLAG_TEXT, "URL", false,
      "Its mail goes to another server: smtp://, smtps://, lmtp://" },
    { "--limit", 0, FLAG_CHOICE, "gmail|workspace|small-host|unlimited|none", false,
      "How much its accounts may send" },
    { 0 },
};

/* clang-format off */
const struct command domain_commands[] = {
    { .verb = "list", .uses = USES_SERVER | USES_LIST, .summary = "List the domains that are ours",
      .run = run_list, .examples = { "outpost domain list", "" } },
    { .verb = "show", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Show one domain", .run = run_show,
      .examples = { "outpost domain show example.org", "" } },
    { .verb = "add", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = set_flags, .summary = "Take mail in for a domain", .run = run_add,
      .examples = { "outpost domain add example.org", "mailboxes here",
                    "outpost domain add example.net --alias-of example.org", "the same people",
                    "outpost domain add example.com --route smtp://10.0.0.5",
                    "a gateway in front of another server" } },
    { .verb = "set", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = set_flags, .summary = "Change a domain; the word 'none' takes a setting away",
      .run = run_set,
      .examples = { "outpost domain set example.org --catch-all ann@example.org", "",
                    "outpost domain set example.org --catch-all none", "" } },
    { .verb = "rm", .args = "DOMAIN", .args_min = 1, .args_max = 1,
      .uses = USES_SERVER | USES_DESTROYS,
      .summary = "Remove a domain that has no accounts and aliases any more", .run = run_rm,
      .examples = { "outpost domain rm example.net --yes --reason sold", "" } },
    { 0 },
};
/* clang-format on */
