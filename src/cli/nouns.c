/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nouns.c: the whole command line, one row for each noun.  Its commands stand in the file of its
 * name. */
#include "cli/nouns.h"

/* clang-format off */
const struct noun nouns[] = {
    { "setup",      "Make a configuration and the first account", setup_commands },
    { "test",       "Send a test message, ask for a route",      test_commands },
    { "serve",      "Run the server",                            serve_commands },
    { "status",     "How the server is",                         status_commands },
    { "user",       "Accounts",                                  user_commands },
    { "domain",     "Domains that are ours",                     domain_commands },
    { "alias",      "Addresses that lead to others",             alias_commands },
    { "dkim",       "The keys that sign our mail",               dkim_commands },
    { "dns",        "The records that a domain needs",           dns_commands },
    { "queue",      "What waits to be delivered",                queue_commands },
    { "rule",       "What holds, slows or moves mail until it ends", rule_commands },
    { "suppression", "To whom mail of ours is not sent",         suppression_commands },
    { "secret",     "The keys that prove what comes back",       secret_commands },
    { "tls",        "Policies of other domains about TLS",       tls_commands },
    { "tls-report", "Reports about TLS to other domains",        tls_report_commands },
    { "trace",      "What happened to a message",                trace_commands },
    { "route",      "Where mail goes, and why",                  route_commands },
    { "reload",     "Read the configuration again",              reload_commands },
    { "config",     "Check, show and explain the configuration", config_commands },
    { "completion", "Completion for shells",                     completion_commands },
    { "help",       "What the commands do",                      help_commands },
    { "version",    "The version of this program",               version_commands },
    { 0 },
};
/* clang-format on */
