/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* date.h: points in time as text: RFC 5322 for header fields, RFC 3339 for everything else.
 *
 * Zones are numbers of minutes east of Greenwich: the caller knows the local one, nothing
 * here asks the system.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    DATE_TEXT_MAX = 40
};

struct date {
    int year; /* 1678 to 2261, what an instant can hold. */
    int month;
    int day;
    int hour;
    int minute;
    int second;  /* 60 in a leap second. */
    int weekday; /* 0: Sunday. */
};

/* The calendar at WHEN in a zone, and back; the fields must be in range but for the weekday, which
 * is ignored. */
struct date date_from_instant(instant when, int zone_minutes);
instant date_to_instant(const struct date *date, int zone_minutes);

/* "Thu, 26 Nov 2026 22:05:56 +0000" */
void date_format(instant when, int zone_minutes, char text[DATE_TEXT_MAX]);
/* The same with comments and the obsolete forms (two-digit years, named zones; "-0000" and military
 * zones are UTC).  ERR_SYNTAX, also for a day that does not exist and for a year outside of 1970 to
 * 2261. */
enum err date_parse(str text, instant *when);

/* "2026-11-26T22:05:56Z", or "2026-11-26T22:05:56.123Z" with WITH_MS. */
void date_format_rfc3339(instant when, bool with_ms, char text[DATE_TEXT_MAX]);
/* With a fraction of 1 to 9 digits, "Z" or an offset. */
enum err date_parse_rfc3339(str text, instant *when);
