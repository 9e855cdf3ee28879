/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* buf.c: growing bytes with a ceiling.  Start reading at buf_reserve(). */
#include "base/buf.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void
buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ .max = buf->max };
}

void
buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->overflowed = false;
}

char *
buf_reserve(struct buf *buf, size_t count)
{
    if (buf->overflowed || count > buf->max || buf->len > buf->max - count) {
        buf->overflowed = true;
        return NULL;
    }
    if (buf->len + count + 1 > buf->capacity) {
        size_t want = MAX(buf->capacity * 2, buf->len + count + 1);
        want = MAX(want, 64);
        buf->data = realloc(buf->data, want);
        must(buf->data);
        buf->capacity = want;
    }
    return buf->data + buf->len;
}

void
buf_claim(struct buf *buf, size_t count)
{
    must(buf->len + count < buf->capacity || count == 0);
    buf->len += count;
}

void
buf_add(struct buf *buf, str bytes)
{
    char *room = buf_reserve(buf, bytes.len);

    if (!room)
        return;
    if (bytes.len)
        memcpy(room, bytes.ptr, bytes.len);
    buf_claim(buf, bytes.len);
}

void
buf_add_byte(struct buf *buf, char byte)
{
    buf_add(buf, (str){ &byte, 1 });
}

void
buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int size;
    char *room;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    must(size >= 0);
    room = buf_reserve(buf, (size_t)size);
    if (!room)
        return;
    va_start(args, format);
    vsnprintf(room, (size_t)size + 1, format, args);
    va_end(args);
    buf_claim(buf, (size_t)size);
}

void
buf_add_u8(struct buf *buf, uint8_t value)
{
    buf_add(buf, (str){ (const char *)&value, 1 });
}

void
buf_add_u32(struct buf *buf, uint32_t value)
{
    char bytes[4];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(value >> (8 * i));
    buf_add(buf, (str){ bytes, sizeof(bytes) });
}

void
buf_add_u64(struct buf *buf, uint64_t value)
{
    buf_add_u32(buf, (uint32_t)value);
    buf_add_u32(buf, (uint32_t)(value >> 32));
}

void
buf_add_str(struct buf *buf, str bytes)
{
    must(bytes.len <= UINT32_MAX);
    buf_add_u32(buf, (uint32_t)bytes.len);
    buf_add(buf, bytes);
}

void
buf_consume(struct buf *buf, size_t count)
{
    must(count <= buf->len);
    buf->len -= count;
    if (buf->len && count)
        memmove(buf->data, buf->data + count, buf->len);
}

bool
buf_ok(const struct buf *buf)
{
    return !buf->overflowed;
}

str
buf_str(const struct buf *buf)
{
    return (str){ buf->data ? buf->data : "", buf->len };
}

const char *
buf_cstr(struct buf *buf)
{
    if (!buf->data)
        return "";
    buf->data[buf->len] = '\0';
    return buf->data;
}
