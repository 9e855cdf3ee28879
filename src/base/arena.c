/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arena.c: blocks in a chain, the newest first.  Start reading at arena_alloc(). */
#include "base/arena.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 2048, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    size_t unused_; /* Keeps the data aligned to 16. */
    char data[];
};

void
arena_init(struct arena *arena, size_t max)
{
    *arena = (struct arena){ .max = max };
}

void
arena_clear(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

void
arena_done(struct arena *arena)
{
    arena_clear(arena);
}

static struct arena_block *
block_new(size_t least)
{
    size_t size = MAX(least, BLOCK_BYTES);
    struct arena_block *block = malloc(sizeof(*block) + size);

    must(block);
    *block = (struct arena_block){ .size = size };
    return block;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    void *room;

    if (size > arena->max || arena->used > arena->max - size)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!block || block->size - block->used < size) {
        block = block_new(size);
        block->next = arena->blocks;
        arena->blocks = block;
    }
    room = block->data + block->used;
    block->used += size;
    arena->used += size;
    memset(room, 0, size);
    return room;
}

bool
arena_copy(struct arena *arena, str s, str *copy)
{
    char *room = arena_alloc(arena, s.len + 1);

    if (!room)
        return false;
    if (s.len)
        memcpy(room, s.ptr, s.len);
    *copy = (str){ room, s.len };
    return true;
}

bool
arena_printf(struct arena *arena, str *text, const char *format, ...)
{
    char bytes[512]; /* Mostly enough; then it is formatted once. */
    va_list args;
    int size;
    char *room;

    va_start(args, format);
    size = vsnprintf(bytes, sizeof(bytes), format, args);
    va_end(args);
    must(size >= 0);
    if ((size_t)size < sizeof(bytes))
        return arena_copy(arena, (str){ bytes, (size_t)size }, text);
    room = arena_alloc(arena, (size_t)size + 1);
    if (!room)
        return false;
    va_start(args, format);
    vsnprintf(room, (size_t)size + 1, format, args);
    va_end(args);
    *text = (str){ room, (size_t)size };
    return true;
}
