/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* table.h: walks the table of commands; for the parser, the help and the completion. */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "cli/command.h"

/* The INDEX-th flag that COMMAND takes, with those that it shares; NULL past the end.  COMMAND
 * may be NULL: the flags of all commands. */
const struct flag *command_flag(const struct command *command, unsigned index);
/* Only those of its own. */
const struct flag *command_own_flag(const struct command *command, unsigned index);

/* NULL when there is none. */
const struct noun *noun_find(str name);
const char *noun_nearest(str word);
const struct command *command_find(const struct noun *noun, str verb);
/* The command that is the noun alone, or NULL. */
const struct command *command_alone(const struct noun *noun);
const char *verb_nearest(const struct noun *noun, str word);
static inline bool
command_is_end(const struct command *command)
{
    return !command->verb && !command->run;
}

/* The short meaning of each exit code, by its row; false past the end. */
bool exit_code_row(unsigned index, unsigned *code, const char **meaning);
