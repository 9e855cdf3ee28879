/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* must.c: the last words of a process that found a bug in itself. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void
must_failed(const char *condition, const char *file, int line, const char *func)
{
    fprintf(stderr, "outpost: bug: %s:%d %s(): \"%s\" does not hold\n", file, line, func,
            condition);
    abort();
}
