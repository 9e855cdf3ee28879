/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* user.c: `outpost user`: who has an account here.  Works with the server stopped as well. */
#include "cli/ask.h"

#include <limits.h>

#define LIMITS_WORDS "gmail|workspace|small-host|unlimited"

static const struct column list_columns[] = {
    { "address", NULL, COLUMN_ID, false },
    { "state", NULL, COLUMN_STATE, false },
    { "limit", NULL, COLUMN_TEXT, false },
    { "messages_24h", "SENT", COLUMN_NUMBER, false },
    { "messages_max", "OF", COLUMN_NUMBER, false },
    { "free_at", "FREE", COLUMN_AGE, false },
    { "recipients_24h", "RCPTS", COLUMN_NUMBER, true },
    { "first_time_24h", "NEW", COLUMN_NUMBER, true },
    { "created", NULL, COLUMN_AGE, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    if (call->arg_count)
        json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    return ask_list(&ask, "user.list", "outpost.user/1", list_columns, "no accounts");
}

/* Commands that need nothing but the address. */
static int
about_address(struct call *call, const char *command)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    return ask_do(&ask, command);
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    return ask_document(&ask, "user.show", "outpost.user/1", NULL);
}

static int
run_add(struct call *call)
{
    const char *limit = call_text(call, "--limit");
    str password = { 0 };
    struct ask ask;
    int exit = 0;

    if (!call_has(call, "--no-password"))
        exit = call_password(call, true, &password);
    if (exit)
        return exit;
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_put_text(&ask.writer, "password", password);
    if (limit)
        json_put_text(&ask.writer, "limit", str_from(limit));
    if (call_has(call, "--quota"))
        json_put_int(&ask.writer, "quota", (int64_t)call_number(call, "--quota", 0));
    return ask_do(&ask, "user.add");
}

static int
run_passwd(struct call *call)
{
    str password = { 0 };
    struct ask ask;
    int exit = call_password(call, true, &password);

    if (exit)
        return exit;
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_put_text(&ask.writer, "password", password);
    return ask_do(&ask, "user.passwd");
}

static int
run_disable(struct call *call)
{
    return about_address(call, "user.disable");
}

static int
run_enable(struct call *call)
{
    return about_address(call, "user.enable");
}

static int
run_unlock(struct call *call)
{
    return about_address(call, "user.unlock");
}

static int
run_limit(struct call *call)
{
    str limit = str_from(call->args[1]);
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_put_text(&ask.writer, "limit", str_eq(limit, S("default")) ? S("") : limit);
    return ask_do(&ask, "user.limit");
}

static int
run_quota(struct call *call)
{
    struct ask ask;

    if (!call_has(call, "--size"))
        return call_fail(call, EXIT_USAGE, "usage", "say --size 5G, or --size 0 for no quota",
                         "--size is missing");
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_put_int(&ask.writer, "quota", (int64_t)call_number(call, "--size", 0));
    return ask_do(&ask, "user.quota");
}

static int
run_rm(struct call *call)
{
    struct ask ask;
    int exit = call_confirm(call, "remove this account and all its mail");

    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    json_put_bool(&ask.writer, "keep_mail", call_has(call, "--keep-mail"));
    return ask_do(&ask, "user.rm");
}

static const struct flag add_flags[] = {
    PASSWORD_FLAGS,
    { "--no-password", 0, FLAG_NONE, NULL, false, "Nobody can log in until there is one" },
    { "--limit", 0, FLAG_CHOICE, LIMITS_WORDS, false, "How much the account may send" },
    { "--quota", 0, FLAG_BYTES, "SIZE", false, "How large its mailbox may grow" },
    { 0 },
};

static const struct flag passwd_flags[] = { PASSWORD_FLAGS, { 0 } };

static const struct flag quota_flags[] = {
    { "--size", 0, FLAG_BYTES, "SIZE", false, "How large the mailbox may grow; 0: no quota" },
    { 0 },
};

static const struct flag rm_flags[] = {
    { "--keep-mail", 0, FLAG_NONE, NULL, false, "Leave the mailbox's file where it is" },
    { 0 },
};

/* clang-format off */
const struct command user_commands[] = {
    { .verb = "list", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "List accounts, with what they have sent in 24 hours", .run = run_list,
      .examples = { "outpost user list", "all accounts",
                    "outpost user list example.org --json", "those of one domain, for a program" } },
    { .verb = "show", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Show one account: limits, usage, mailbox, aliases, locks", .run = run_show,
      .examples = { "outpost user show ann@example.org", "all about one account" } },
    { .verb = "add", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = add_flags, .summary = "Add an account, and its domain if it is new", .run = run_add,
      .text = "The password is asked for, or read from standard input or a file; it never stands on "
              "the command line.",
      .examples = { "outpost user add ann@example.org", "asks for the password",
                    "pwgen 16 1 | outpost user add ann@example.org --password-stdin",
                    "takes it from a program" } },
    { .verb = "passwd", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = passwd_flags, .summary = "Change a password", .run = run_passwd,
      .examples = { "outpost user passwd ann@example.org", "asks for the new one" } },
    { .verb = "disable", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Forbid an account to log in and to send", .run = run_disable,
      .text = "Mail for it is still taken in.",
      .examples = { "outpost user disable ann@example.org", "until 'outpost user enable'" } },
    { .verb = "enable", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Allow it again", .run = run_enable,
      .examples = { "outpost user enable ann@example.org", "" } },
    { .verb = "limit", .args = "ADDRESS " LIMITS_WORDS "|default", .args_min = 2, .args_max = 2,
      .uses = USES_SERVER, .summary = "Choose how much an account may send", .run = run_limit,
      .examples = { "outpost user limit ann@example.org gmail", "100 recipients at once, 500 messages a day",
                    "outpost user limit ann@example.org default", "what holds for its domain" } },
    { .verb = "quota", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = quota_flags, .summary = "Choose how large a mailbox may grow", .run = run_quota,
      .examples = { "outpost user quota ann@example.org --size 5G", "five gigabytes" } },
    { .verb = "unlock", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Forget the wrong passwords that were tried", .run = run_unlock,
      .examples = { "outpost user unlock ann@example.org", "the next login is not slowed" } },
    { .verb = "rm", .args = "ADDRESS", .args_min = 1, .args_max = 1,
      .uses = USES_SERVER | USES_DESTROYS, .flags = rm_flags,
      .summary = "Remove an account, its aliases' targets and its mail", .run = run_rm,
      .examples = { "outpost user rm ann@example.org --yes --reason left", "for ever" } },
    { 0 },
};
/* clang-format on */
