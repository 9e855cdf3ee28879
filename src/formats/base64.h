/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base64.h: RFC 4648 4, strict in reading, with MIME's lines (RFC 2045 6.8) in writing. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    BASE64_LINE = 76
};

void base64_encode(str bytes, struct buf *buf);
/* Nothing but whole groups of four with "=" at the end only, and no stray bits in the last one.
 * ERR_SYNTAX, ERR_LIMIT. */
enum err base64_decode(str text, struct arena *arena, str *bytes);

/* Of a body of any length, in lines of 76 with CRLF. */
struct base64_encoder {
    uint8_t pending[3];
    uint8_t pending_count;
    uint8_t column;
};

void base64_encoder_init(struct base64_encoder *encoder);
/* Takes up to MAX bytes off the front of IN; writes at most about 1.4 times as much. */
void base64_encoder_add(struct base64_encoder *encoder, str *in, size_t max, struct buf *out);
void base64_encoder_end(struct base64_encoder *encoder, struct buf *out);
