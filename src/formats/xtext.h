/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* xtext.h: the "+2B" coding of SMTP parameter values (RFC 3461 4), and ORCPT with its
 * international form (RFC 6533 3).
 *
 * Values are decoded when they come in, which refuses what would be a control character in
 * a report, and encoded when they go out.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* RFC 3461 4.2 and 4.4. */
enum {
    ORCPT_MAX = 500,
    ENVID_MAX = 100
};

void xtext_encode(str bytes, struct buf *buf);
/* ERR_SYNTAX when TEXT is not xtext; the result may hold any byte. */
enum err xtext_decode(str text, struct arena *arena, str *bytes);
/* Is xtext, and every byte in it is printable ASCII (0x20 to 0x7e) when decoded. */
bool xtext_is_printable(str text);

/* "rfc822;ann+2Bx@example.org" as it stands in ORCPT=.  TYPE is "rfc822" or the like, ADDRESS is
 * decoded.  ERR_SYNTAX on bad encoding, controls, or a length beyond ORCPT_MAX. */
enum err orcpt_parse(str text, struct arena *arena, str *type, str *address);
/* The way back, of "TYPE;ADDRESS" decoded: for ORCPT=.  An international address is written as
 * UTF-8 when UTF8, else in ASCII with escapes. */
void orcpt_format(str decoded, bool utf8, struct buf *buf);
