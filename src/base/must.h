/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* must.h: what only a bug can break.  Stays on in production and ends the process:
 * what was promised is on disk, and the supervisor starts the server anew. */
#pragma once

#include "base/base.h"

#define must(condition)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            must_failed(#condition, __FILE__, __LINE__, __func__);                                 \
    } while (0)

_Noreturn void must_failed(const char *condition, const char *file, int line, const char *func);
