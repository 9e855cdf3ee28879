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
/* "complaint about message from 192.0.2.7" */
bool report_is_complaint(str subject);
/* It says that it is over: "returned", "undeliverable", "failed". */
bool report_says_end(str subject);
/* "Out of office", "Automatic reply", in many languages. */
bool report_says_auto_reply(str subject);

enum report_saying {
    REPORT_SAYS_FAILURE,
    REPORT_SAYS_DELAY,
    REPORT_SAYS_FINAL, /* "Giving up": no delay, whatever else is said. */
    REPORT_SAYS_SUCCESS,
    REPORT_SAYS_BAIT, /* "Click here": no report unless the original comes with it. */
    REPORT_SAYS_CHALLENGE,
    REPORT_SAYS_REASON,   /* Why something failed: "user unknown". */
    REPORT_SAYS_ORIGINAL, /* A heading above the returned original. */
};

/* Does FOLDED text say so? */
bool report_body_says(str folded, enum report_saying saying);

/* The local part of who writes reports: "MAILER-DAEMON", "postmaster". */
bool report_is_daemon(str local);
