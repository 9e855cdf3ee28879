/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cursor.c: one pass over bytes. */
#include "base/cursor.h"

#include <endian.h>
#include <string.h>

void
cursor_init(struct cursor *cursor, str bytes)
{
    *cursor = (struct cursor){ .rest = bytes };
}

bool
cursor_ok(const struct cursor *cursor)
{
    return !cursor->failed;
}

bool
cursor_at_end(const struct cursor *cursor)
{
    return cursor->rest.len == 0;
}

void
cursor_fail(struct cursor *cursor)
{
    cursor->failed = true;
    cursor->rest.len = 0;
}

char
cursor_peek(const struct cursor *cursor)
{
    return cursor->rest.len ? cursor->rest.ptr[0] : '\0';
}

bool
cursor_accept(struct cursor *cursor, char byte)
{
    if (cursor->rest.len == 0 || cursor->rest.ptr[0] != byte)
        return false;
    cursor->rest = str_skip(cursor->rest, 1);
    return true;
}

bool
cursor_accept_nocase(struct cursor *cursor, str word)
{
    if (!str_starts_nocase(cursor->rest, word))
        return false;
    cursor->rest = str_skip(cursor->rest, word.len);
    return true;
}

void
cursor_expect(struct cursor *cursor, char byte)
{
    if (!cursor_accept(cursor, byte))
        cursor_fail(cursor);
}

/* The next COUNT bytes, or NULL and failed. */
static const char *
step(struct cursor *cursor, size_t count)
{
    const char *at = cursor->rest.ptr;

    if (cursor->rest.len < count) {
        cursor_fail(cursor);
        return NULL;
    }
    cursor->rest = (str){ at + count, cursor->rest.len - count };
    return at;
}

str
cursor_take(struct cursor *cursor, size_t count)
{
    const char *at = count ? step(cursor, count) : "";

    return at ? (str){ at, count } : (str){ "", 0 };
}

str
cursor_until(struct cursor *cursor, char byte)
{
    ssize_t at = str_find(cursor->rest, byte);

    return cursor_take(cursor, at < 0 ? cursor->rest.len : (size_t)at);
}

str
cursor_while(struct cursor *cursor, bool (*is)(char))
{
    size_t count = 0;

    while (count < cursor->rest.len && is(cursor->rest.ptr[count]))
        count++;
    return cursor_take(cursor, count);
}

uint8_t
cursor_u8(struct cursor *cursor)
{
    const char *at = step(cursor, 1);

    return at ? (uint8_t)*at : 0;
}

uint32_t
cursor_u32(struct cursor *cursor)
{
    const char *at = step(cursor, 4);
    uint32_t value = 0;

    if (at)
        memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

uint64_t
cursor_u64(struct cursor *cursor)
{
    const char *at = step(cursor, 8);
    uint64_t value = 0;

    if (at)
        memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

str
cursor_str(struct cursor *cursor)
{
    uint32_t len = cursor_u32(cursor);

    return cursor_take(cursor, len);
}
