/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_fields.h: the parts of a report that are for programs: message/delivery-status (RFC 3464,
 * RFC 6533) and message/feedback-report (RFC 5965).  Parts of report.c.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/report.h"

/* Appends to the recipients, and drops a second word about the same one.  What is beyond
 * REPORT_RECIPIENTS_MAX is left out.  ERR_LIMIT from the arena. */
enum err report_add_recipient(struct report *report, const struct report_recipient *recipient,
                              struct arena *arena);
/* REPORT->subject must be set: it decides where no action is named.  */
enum err report_read_status(str body, struct arena *arena, struct report *report);
enum err report_read_feedback(str body, struct arena *arena, struct report *report);
