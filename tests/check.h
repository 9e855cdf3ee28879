/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* check.h: unit tests.  A test is a function named by the sentence that it proves.
 *
 * RUN(test) runs it, CHECK() records a failure and goes on, check_end() prints the count
 * that script/test adds up and gives the exit code.
 */
#pragma once

#include "base/str.h"

#include <stdio.h>

static unsigned checks_failed_here;
static unsigned tests_passed;
static unsigned tests_failed;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            checks_failed_here++;                                                                  \
            printf("%s:%d: %s: does not hold: %s\n", __FILE__, __LINE__, __func__, #condition);    \
        }                                                                                          \
    } while (0)

/* A str equals a text. */
#define CHECK_STR(actual, expected)                                                                \
    do {                                                                                           \
        str actual_ = (actual);                                                                    \
        if (!str_eq(actual_, str_from(expected))) {                                                \
            checks_failed_here++;                                                                  \
            printf("%s:%d: %s: \"%.*s\" is not \"%s\"\n", __FILE__, __LINE__, __func__,            \
                   STR_ARG(actual_), (expected));                                                  \
        }                                                                                          \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        checks_failed_here = 0;                                                                    \
        (test)();                                                                                  \
        if (checks_failed_here)                                                                    \
            tests_failed++;                                                                        \
        else                                                                                       \
            tests_passed++;                                                                        \
        printf("%s %s\n", checks_failed_here ? "FAILED" : "ok", #test);                            \
    } while (0)

static inline int
check_end(void)
{
    printf("%u passed, %u failed\n", tests_passed, tests_failed);
    return tests_failed ? 1 : 0;
}
