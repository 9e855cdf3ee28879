/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_parts.h: the MIME parts of a message as a list.  RFC 2045, 2046.  Parts of report.c.
 *
 * A message within the message is a leaf: what stands in it belongs to somebody else.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/report.h"

struct report_part {
    str header;
    str body;     /* As it stands. */
    str type;     /* "text/plain", in any case. */
    str params;   /* What follows it in the field. */
    str encoding; /* "base64" */
    unsigned depth;
};

struct report_parts {
    struct report_part list[REPORT_PARTS_MAX]; /* [0] is the message itself. */
    size_t count;
    bool is_cut;
};

/* ERR_LIMIT from the arena. */
enum err report_parts_read(str message, struct arena *arena, struct report_parts **parts);
bool report_part_is(const struct report_part *part, const char *type);
/* The value of a parameter of its type, such as "report-type", without quotes; empty if there is
 * none. */
str report_part_param(const struct report_part *part, const char *name);
/* The body without its transfer encoding; what is no code in it is skipped. */
enum err report_part_decode(const struct report_part *part, struct arena *arena, str *bytes);
/* The words of HTML: tags gone, line breaks where blocks end, the common entities decoded. */
enum err report_html_text(str html, struct arena *arena, str *text);
