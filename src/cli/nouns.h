/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nouns.h: the commands of each noun, each in the file of its name. */
#pragma once

#include "base/base.h"
#include "cli/command.h"

extern const struct command alias_commands[];
extern const struct command completion_commands[];
extern const struct command config_commands[];
extern const struct command dkim_commands[];
extern const struct command dns_commands[];
extern const struct command domain_commands[];
extern const struct command help_commands[];
extern const struct command queue_commands[];
extern const struct command reload_commands[];
extern const struct command route_commands[];
extern const struct command rule_commands[];
extern const struct command secret_commands[];
extern const struct command serve_commands[];
extern const struct command setup_commands[];
extern const struct command test_commands[];
extern const struct command status_commands[];
extern const struct command suppression_commands[];
extern const struct command tls_commands[];
extern const struct command tls_report_commands[];
extern const struct command trace_commands[];
extern const struct command user_commands[];
extern const struct command version_commands[];

/* Also `outpost test route`. */
int route_test(struct call *call);
extern const struct flag route_test_flags[];
/* `outpost test reply`. */
int reply_test(struct call *call);
extern const struct flag reply_test_flags[];
/* `outpost test report`. */
int report_test(struct call *call);
