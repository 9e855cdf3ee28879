/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* topics.c: outpost help and outpost completion. */
#include "cli/help.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "config/show.h"

#include <limits.h>
#include <string.h>

static int
print_manual(struct call *call, const char *page)
{
    struct buf text;

    if (strcmp(page, "outpost.1") == 0) {
        help_manual(call->out->file);
        return EXIT_OK;
    }
    if (strcmp(page, "outpost.conf.5") != 0)
        return call_fail(call, EXIT_USAGE, "usage", "there are outpost.1 and outpost.conf.5",
                         "there is no page \"%s\"", page);
    buf_init(&text, 4 << 20);
    config_manual(&text);
    fprintf(call->out->file, "%s", buf_cstr(&text));
    buf_done(&text);
    return EXIT_OK;
}

static int
help(struct call *call)
{
    const char *page = call_text(call, "--man");
    const struct noun *noun;
    const struct command *command;

    if (page)
        return print_manual(call, page);
    if (!call->arg_count) {
        help_all(call->out->file);
        return EXIT_OK;
    }
    if (strcmp(call->args[0], "exit-codes") == 0) {
        help_exit_codes(call->out->file);
        return EXIT_OK;
    }
    noun = noun_find(str_from(call->args[0]));
    if (!noun)
        return call_fail(call, EXIT_USAGE, "usage", "list the commands with: outpost help",
                         "there is no command \"%s\"", call->args[0]);
    command = call->arg_count > 1 ? command_find(noun, str_from(call->args[1])) : NULL;
    if (call->arg_count > 1 && !command)
        return call_fail(call, EXIT_USAGE, "usage", "leave the verb away to see all of them",
                         "%s has no command \"%s\"", noun->name, call->args[1]);
    if (!command && noun->commands[0].run && command_is_end(&noun->commands[1]))
        command = &noun->commands[0];
    if (command)
        help_command(call->out->file, noun, command);
    else
        help_noun(call->out->file, noun);
    return EXIT_OK;
}

static int
completion_bash(struct call *call)
{
    help_completion_bash(call->out->file);
    return EXIT_OK;
}

static const struct flag help_flags[] = {
    { "--man", 0, FLAG_TEXT, "PAGE", false,
      "Print a manual page, outpost.1 or outpost.conf.5, in mdoc" },
    { 0 },
};

const struct command help_commands[] = {
    {
        .args = "[NOUN [VERB]]",
        .args_max = 2,
        .flags = help_flags,
        .summary = "What the commands do",
        .run = help,
        .examples = { "outpost help queue", "what can be done with the queue",
                      "outpost help exit-codes", "what exit codes mean" },
    },
    { 0 },
};

const struct command completion_commands[] = {
    {
        .verb = "bash",
        .summary = "Print a script for bash that completes the commands",
        .run = completion_bash,
        .examples = { "eval \"$(outpost completion bash)\"", "for this shell" },
    },
    { 0 },
};
