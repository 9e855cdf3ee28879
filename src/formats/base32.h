/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base32.h: RFC 4648 6 in lower case and without padding, for what travels in addresses:
 * local-parts may be folded on their way, so that either case is read.  Strict otherwise. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Letters for SIZE bytes. */
#define BASE32_LETTERS(size) (((size)*8 + 4) / 5)

void base32_encode(str bytes, struct buf *buf);
/* Exactly the letters of some number of bytes, no stray bits in the last one.  LEN bytes are
 * written. ERR_SYNTAX; ERR_LIMIT: more than MAX. */
enum err base32_decode(str text, uint8_t *bytes, size_t max, size_t *len);
