/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* csv.h: one line of comma-separated values (RFC 4180), read and written.
 *
 * A quoted value may hold commas and doubled quotes, but no line end: a line is a record.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    CSV_FIELDS_MAX = 64
};

/* LINE without its end; blanks around unquoted values go.  Views into LINE, or copies in ARENA
 * where quotes were doubled.  ERR_SYNTAX: a quote is left open, or something follows one;
 * ERR_LIMIT: more than CSV_FIELDS_MAX, or the arena's ceiling. */
enum err csv_parse(str line, struct arena *arena, str fields[CSV_FIELDS_MAX], size_t *count);
/* Appends VALUE, quoted if it must be; line ends in it become blanks. */
void csv_put(struct buf *buf, str value);
/* The same of what strangers wrote: a spreadsheet takes what begins with = + - @ or a tab for a
 * formula and runs it, so that an apostrophe goes before.  csv_unmark() takes it away again. */
void csv_put_harmless(struct buf *buf, str value);
str csv_unmark(str value);
