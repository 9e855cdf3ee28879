/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* help.h: what the table says, as help, as completion for bash, and as outpost(1). */
#pragma once

#include "base/base.h"
#include "cli/command.h"

#include <stdio.h>

void help_all(FILE *file);
void help_noun(FILE *file, const struct noun *noun);
void help_command(FILE *file, const struct noun *noun, const struct command *command);
void help_exit_codes(FILE *file);
void help_completion_bash(FILE *file);
void help_manual(FILE *file); /* outpost(1), in mdoc */
