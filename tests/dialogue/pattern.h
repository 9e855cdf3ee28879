/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pattern.h: the texts of a dialogue: escapes and captures in what is sent, patterns in what is
 * expected.
 *
 * Escapes: \r \n \t \0 \\ \$ \xHH; \(N*text) is text N times; \b{text} is its base 64.
 * $name in a sent text is what the name was bound to.  In a pattern "..." stands for any bytes, and
 * $name for a run without blanks: bound when it is seen first, compared afterwards.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

enum {
    CAPTURES_MAX = 32,
    CAPTURE_NAME_MAX = 24,
    CAPTURE_VALUE_MAX = 256
};

struct capture {
    char name[CAPTURE_NAME_MAX];
    char value[CAPTURE_VALUE_MAX];
};

struct captures {
    struct capture items[CAPTURES_MAX];
    size_t count;
};

/* Appends TEXT with its escapes and captures replaced.  False on a mistake in it. */
bool pattern_expand(str text, const struct captures *captures, struct buf *out);
/* Whether LINE follows PATTERN as a whole; binds new captures then. */
bool pattern_match(str pattern, str line, struct captures *captures);
