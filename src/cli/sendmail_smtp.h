/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_smtp.h: sendmail -bs: SMTP on stdin and stdout, for programs that speak nothing else.
 *
 * It takes messages into the maildrop as sendmail without -bs does; whether an address exists is
 * found out later, and a report goes to the sender.
 */
#pragma once

struct config;

/* Until QUIT or the end of the input; an exit code of sysexits.h. */
int sendmail_smtp(const struct config *config);
