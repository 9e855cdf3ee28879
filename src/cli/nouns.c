/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nouns.c: the whole command line, one row for each noun.  Its commands stand in the file of its
 * name. */
#include "cli/nouns.h"

/* clang-format off */
const struct noun nouns[] = {
    { "setup",      "Make a configuration and the first account", setup_commands },
    { "test",       "Send a test message, ask for a route",      test_commands },
    { "config",     "Check, show and explain the configuration", config_commands },
    { "completion", "Completion for shells",                     completion_commands },
    { "help",       "What the commands do",                      help_commands },
    { "version",    "The version of this program",               version_commands },
    { 0 },
};
/* clang-format on */
