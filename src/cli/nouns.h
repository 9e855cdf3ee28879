/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nouns.h: the commands of each noun, each in the file of its name. */
#pragma once

#include "base/base.h"
#include "cli/command.h"

extern const struct command completion_commands[];
extern const struct command config_commands[];
extern const struct command help_commands[];
extern const struct command setup_commands[];
extern const struct command test_commands[];
extern const struct command version_commands[];
