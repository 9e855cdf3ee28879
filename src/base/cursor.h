/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cursor.h: reads through a str once, from front to back, with a sticky error.
 *
 * Read ten fields, check cursor_ok() once.  After a failed read the cursor stands at the
 * end and every read gives the empty value.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct cursor {
    str rest;
    bool failed;
};

void cursor_init(struct cursor *cursor, str bytes);
bool cursor_ok(const struct cursor *cursor);
bool cursor_at_end(const struct cursor *cursor);
void cursor_fail(struct cursor *cursor);

/* Text: the byte at the front (0 at the end); a byte or word that may, or must, come next. */
char cursor_peek(const struct cursor *cursor);
bool cursor_accept(struct cursor *cursor, char byte);
bool cursor_accept_nocase(struct cursor *cursor, str word);
void cursor_expect(struct cursor *cursor, char byte);
str cursor_take(struct cursor *cursor, size_t count);       /* Exactly COUNT bytes. */
str cursor_until(struct cursor *cursor, char byte);         /* Up to BYTE, or all; BYTE is not eaten. */
str cursor_while(struct cursor *cursor, bool (*is)(char));  /* The longest run for which IS holds. */

/* Records: the counterparts of buf_add_u8() and friends. */
uint8_t cursor_u8(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
str cursor_str(struct cursor *cursor);
