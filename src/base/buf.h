/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* buf.h: bytes that grow, up to a maximum that is named when the buf is made.
 *
 * The error is sticky: an append that would pass the maximum appends nothing, and so does
 * every later one, so that a writer checks buf_ok() once at the end.  A zeroed buf is safe
 * to buf_done().
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t max;
    bool overflowed;
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
void buf_clear(struct buf *buf); /* Empty again, memory kept, error forgotten. */

void buf_add(struct buf *buf, str bytes);
void buf_add_byte(struct buf *buf, char byte);
void buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Little-endian integers and length-prefixed bytes, for stored records. */
void buf_add_u8(struct buf *buf, uint8_t value);
void buf_add_u32(struct buf *buf, uint32_t value);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_str(struct buf *buf, str bytes); /* u32 length, then the bytes. */

/* Forgets COUNT bytes at the front. */
void buf_consume(struct buf *buf, size_t count);
/* Room for COUNT bytes at the end, to be filled and then claimed by buf_claim(); NULL past the maximum. */
char *buf_reserve(struct buf *buf, size_t count);
void buf_claim(struct buf *buf, size_t count);

bool buf_ok(const struct buf *buf);
str buf_str(const struct buf *buf);       /* A view until the next change. */
const char *buf_cstr(struct buf *buf);    /* The same, NUL-terminated, for system calls. */
