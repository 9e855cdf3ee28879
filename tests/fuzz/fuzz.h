/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz.h: what a fuzz target is: one function over any bytes, and a few seeds of its language.
 *
 * With -Dfuzz=true (clang) each target becomes a libFuzzer binary; in every build replay.c runs it
 * over its seeds and small changes of them, as a unit test.
 */
#pragma once

#include "base/must.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const str fuzz_seeds[];
extern const size_t fuzz_seed_count;

#define FUZZ_SEEDS_END const size_t fuzz_seed_count = COUNT_OF(fuzz_seeds)

/* Text that is safe to put in the middle of a line. */
static inline bool
fuzz_has_line_end(str s)
{
    return str_find(s, '\n') >= 0 || str_find(s, '\r') >= 0 || str_find(s, '\0') >= 0;
}

/* Every line ends in CRLF, and no CR or LF stands anywhere else. */
static inline bool
fuzz_is_crlf_only(str s)
{
    while (s.len) {
        str line;

        if (!str_split(s, '\n', &line, &s) || line.len == 0 || line.ptr[line.len - 1] != '\r')
            return false;
        if (str_find(str_head(line, line.len - 1), '\r') >= 0)
            return false;
    }
    return true;
}
