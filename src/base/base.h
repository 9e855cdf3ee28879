/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base.h: what every header may assume.  The first include of every header.
 *
 * The few words of the house that are not C: WAITS marks a call that may park the
 * fiber; OWN(type) makes a local that is dropped at the end of its scope; take(p)
 * gives such a local away.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The call may park the calling fiber.  Every fact read before it may have changed after it. */
#define WAITS

/* A local that calls TYPE_drop(&local) when its scope ends: `OWN(draft) draft = NULL;`. */
#define OWN(type) __attribute__((cleanup(type##_drop))) struct type *

/* Hands a pointer on and forgets it here. */
#define take(p)                                                                                    \
    ({                                                                                             \
        typeof(p) taken_ = (p);                                                                    \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* The struct that holds MEMBER at PTR. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
