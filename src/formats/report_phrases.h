/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_phrases.h: the words by which a report, and what only looks like one, is known.  Parts of
 * report.c.
 *
 * Each takes text folded by report_fold() or one line; case does not matter for ASCII letters.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* A subject that announces a failure: "Undelivered Mail Returned to Sender", in many languages. */
bool report_says_failure(str subject);
bool report_says_delay(str subject);
/* "Out of office", "Automatic reply", in many languages. */
bool report_says_auto_reply(str subject);

/* The local part of who writes reports: "MAILER-DAEMON", "postmaster". */
bool report_is_daemon(str local);
