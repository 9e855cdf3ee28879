/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* table.c: the flags that commands share, and the look-ups. */
#include "cli/table.h"

#include "config/nearest.h"

/* clang-format off */
const struct flag common_flags[] = {
    { "--json", 0, FLAG_NONE, NULL, false, "Print JSON: one object, or one on each line of a list" },
    { "--quiet", 'q', FLAG_NONE, NULL, false, "Print data and errors only" },
    { "--color", 0, FLAG_CHOICE, "auto|always|never", false, "Whether words have colours" },
    { "--help", 'h', FLAG_NONE, NULL, false, "Print help" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};

static const struct flag config_flags[] = {
    { "--config", 'c', FLAG_TEXT, "FILE", false, "The configuration, otherwise that of OUTPOST_CONFIG" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};
static const struct flag changes_flags[] = {
    { "--dry-run", 'n', FLAG_NONE, NULL, false, "Only say what would be done" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};
static const struct flag destroys_flags[] = {
    { "--yes", 'y', FLAG_NONE, NULL, false, "Do not ask" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};
static const struct flag reason_flags[] = {
    { "--reason", 0, FLAG_TEXT, "TEXT", false, "Why, for the record; otherwise OUTPOST_REASON" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};
static const struct flag list_flags[] = {
    { "--output", 'o', FLAG_CHOICE, "table|wide|tsv|ids|json", false, "The form of the list" },
    { "--no-headers", 0, FLAG_NONE, NULL, false, "No line with titles" },
    { NULL, 0, FLAG_NONE, NULL, false, NULL },
};

static const struct {
    unsigned uses;
    const struct flag *flags;
} shared[] = {
    { USES_LIST, list_flags },
    { USES_CHANGES | USES_DESTROYS, changes_flags },
    { USES_DESTROYS, destroys_flags },
    { USES_DESTROYS | USES_REASON, reason_flags },
    { USES_CONFIG | USES_SERVER, config_flags },
};

static const struct {
    unsigned code;
    const char *meaning;
} codes[] = {
    { EXIT_OK, "done" },
    { EXIT_NO, "the check ran, and the answer is no" },
    { EXIT_PARTLY, "some of the items failed" },
    { EXIT_NOTHING, "nothing matched" },
    { EXIT_USAGE, "the command line is wrong" },
    { EXIT_DATA, "the input is wrong" },
    { EXIT_NOINPUT, "a file cannot be read" },
    { EXIT_NOUSER, "there is no such account" },
    { EXIT_NOHOST, "there is no such host" },
    { EXIT_UNAVAILABLE, "the server does not answer" },
    { EXIT_INTERNAL, "a mistake in the program" },
    { EXIT_SYSTEM, "the system refused something" },
    { EXIT_CANTCREATE, "a file cannot be made" },
    { EXIT_IO, "reading or writing failed" },
    { EXIT_TEMPORARY, "not now; try again later" },
    { EXIT_PROTOCOL, "the other side answered what it must not" },
    { EXIT_PERMISSION, "not allowed" },
    { EXIT_CONFIG, "the configuration is wrong" },
};
/* clang-format on */

/* The flag at INDEX of LIST, or NULL with INDEX lessened by the list's length. */
static const struct flag *
flag_of(const struct flag *list, unsigned *index)
{
    for (; list && list->name; list++) {
        if (*index == 0)
            return list;
        (*index)--;
    }
    return NULL;
}

const struct flag *
command_own_flag(const struct command *command, unsigned index)
{
    const struct flag *flag = flag_of(command->flags, &index);

    for (size_t i = 0; !flag && i < COUNT_OF(shared); i++) {
        if (command->uses & shared[i].uses)
            flag = flag_of(shared[i].flags, &index);
    }
    return flag;
}

const struct flag *
command_flag(const struct command *command, unsigned index)
{
    const struct flag *flag = NULL;

    if (command) {
        flag = command_own_flag(command, index);
        for (unsigned own = 0; !flag && command_own_flag(command, own); own++)
            index--;
    }
    return flag ? flag : flag_of(common_flags, &index);
}

const struct noun *
noun_find(str name)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        if (str_eq(name, str_from(noun->name)))
            return noun;
    }
    return NULL;
}

const char *
noun_nearest(str word)
{
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (const struct noun *noun = nouns; noun->name; noun++)
        nearest_offer(&nearest, noun->name);
    return nearest.best;
}

const struct command *
command_find(const struct noun *noun, str verb)
{
    for (const struct command *command = noun->commands; !command_is_end(command); command++) {
        if (command->verb && str_eq(verb, str_from(command->verb)))
            return command;
    }
    return NULL;
}

const struct command *
command_alone(const struct noun *noun)
{
    for (const struct command *command = noun->commands; !command_is_end(command); command++) {
        if (!command->verb)
            return command;
    }
    return NULL;
}

const char *
verb_nearest(const struct noun *noun, str word)
{
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (const struct command *command = noun->commands; !command_is_end(command); command++) {
        if (command->verb)
            nearest_offer(&nearest, command->verb);
    }
    return nearest.best;
}

bool
exit_code_row(unsigned index, unsigned *code, const char **meaning)
{
    if (index >= COUNT_OF(codes))
        return false;
    *code = codes[index].code;
    *meaning = codes[index].meaning;
    return true;
}
