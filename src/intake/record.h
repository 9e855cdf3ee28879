/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* record.h: what the event record says of an intake. */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct intake;
struct verdict;

/* STAGE: "mail", "rcpt", "data". */
void record_rejected(struct intake *intake, const char *stage, str recipient,
                     const struct verdict *verdict);
/* One event for the message: what becomes of each recipient is told by the deliveries. */
void record_accepted(struct intake *intake);
