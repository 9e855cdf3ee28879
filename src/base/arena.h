/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arena.h: memory for one unit of work, freed as a whole.
 *
 * One SMTP transaction, one POP3 command, one delivery attempt own one arena each.  It has
 * a ceiling; arena_alloc() returns NULL when that is reached, an ordinary refusal (ERR_LIMIT).
 * A zeroed arena with a max set by arena_init() holds no memory until first used.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;
    size_t max;
};

void arena_init(struct arena *arena, size_t max);
void arena_done(struct arena *arena);
/* Forgets all that was allocated; the ceiling stays. */
void arena_clear(struct arena *arena);

/* SIZE zeroed bytes, aligned for anything, or NULL past the ceiling. */
void *arena_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_new_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

/* A copy of S in the arena, with a NUL behind it that does not count.  False past the ceiling. */
bool arena_copy(struct arena *arena, str s, str *copy);
/* Formatted; false past the ceiling. */
bool arena_printf(struct arena *arena, str *text, const char *format, ...) PRINTF_LIKE(3, 4);
