/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_text.h: lines, addresses and reply codes in the words of a report.  Parts of report.c. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
    REPORT_ADDRESS_MAX = 320
};

/* Takes a line off the front, without its end.  False when nothing is left. */
bool report_next_line(str *text, str *line);

/* One line of at most MAX bytes, blanks collapsed, controls gone; what is no UTF-8 is read as
 * Latin-1. */
bool report_clean(str text, size_t max, struct arena *arena, str *line);
/* The same of a value with encoded words in it. */
bool report_decode_words(str value, struct arena *arena, str *line);

/* An address at the front of TEXT, bare, in "<>" or in quotes (perhaps with "mailto:", "smtp:" or a
 * source route).  REST is what follows it and what closed it. */
bool report_address_at(str text, str *address, str *rest);
/* The first one that stands anywhere in LINE; REST is what follows. */
bool report_address_in(str line, str *address, str *rest);
/* The address of a "type; address" without what is around it, or a bare local part; empty if there
 * is none. */
str report_typed_value(str value, str *type);

/* The SMTP reply and the enhanced code that stand in TEXT, the first of each; 0 and empty if there
 * are none. */
unsigned report_find_code(str text);
str report_find_status(str text);
/* TEXT without the code and the status at its front. */
str report_without_code(str text);
/* The host that gave the answer, of "host mx.example.org[192.0.2.1] said: …" and the like; empty
 * if none is named. */
str report_find_remote(str text);

/* Where that reply stands; -1. */
ssize_t report_code_position(str text);

/* TEXT in lower case (ASCII letters), blanks collapsed to one; as much of it as ROOM, of SIZE
 * bytes, can hold. */
str report_fold(str text, char *room, size_t size);
