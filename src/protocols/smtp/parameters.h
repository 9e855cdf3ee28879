/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* parameters.h: the values of MAIL parameters that say when and how fast a message is to go:
 * MT-PRIORITY (RFC 6710), BY (RFC 2852), HOLDFOR and HOLDUNTIL (RFC 4865).
 *
 * Grammar alone; what is granted, the intake decides.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    SMTP_PRIORITY_MIN = -9,
    SMTP_PRIORITY_MAX = 9,
    SMTP_SECONDS_MAX = 999999999, /* Nine digits, in BY and HOLDFOR. */
};

enum smtp_by_mode {
    SMTP_BY_UNSTATED,
    SMTP_BY_RETURN, /* R */
    SMTP_BY_NOTIFY, /* N */
};

struct smtp_deliver_by {
    enum smtp_by_mode mode;
    bool trace;
    int32_t seconds; /* With SMTP_BY_NOTIFY it may be over already: 0 and less. */
};

/* "-9" to "9", as RFC 6710 writes them: no "+3", "-0", "03". */
bool smtp_priority_parse(str value, int *priority);
/* "120;R", "-30;nt".  R takes a positive time alone. */
bool smtp_deliver_by_parse(str value, struct smtp_deliver_by *by);
/* "120;RT" */
void smtp_deliver_by_format(const struct smtp_deliver_by *by, struct buf *buf);
/* HOLDFOR: 1 to 999999999 seconds, without zeros in front. */
bool smtp_hold_for_parse(str value, duration *time);
/* HOLDUNTIL: "2026-11-26T22:05:56Z", or with an offset. */
bool smtp_hold_until_parse(str value, instant *when);
