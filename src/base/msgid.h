/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* msgid.h: the name of a message: 128 bits, ordered by time, never reused.
 *
 * 48 bits of milliseconds since 1970, then 80 random bits that count up within one
 * millisecond; shown as 26 letters of Crockford's base 32 (a ULID).
 */
#pragma once

#include "base/base.h"
#include "base/instant.h"
#include "base/str.h"

enum { MSGID_TEXT_SIZE = 26 };

typedef struct msgid {
    uint8_t bytes[16];
} msgid;

/* A new id at wall time NOW with 80 bits of ENTROPY (10 bytes). */
msgid msgid_make(instant now, const uint8_t entropy[10]);
instant msgid_instant(msgid id); /* Wall time, to the millisecond. */
int msgid_cmp(msgid a, msgid b);
void msgid_format(msgid id, char text[MSGID_TEXT_SIZE + 1]); /* NUL-terminated. */
bool msgid_parse(str text, msgid *id);                       /* Either case; exactly 26 letters. */
