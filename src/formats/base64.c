/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base64.c: three bytes to four letters, and back. */
#include "formats/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* COUNT (1 to 3) bytes as one group. */
static void
encode_group(const uint8_t *bytes, size_t count, char group[4])
{
    uint32_t bits = (uint32_t)bytes[0] << 16;

    if (count > 1)
        bits |= (uint32_t)bytes[1] << 8;
    if (count > 2)
        bits |= bytes[2];
    group[0] = alphabet[bits >> 18];
    group[1] = alphabet[bits >> 12 & 63];
    group[2] = count > 1 ? alphabet[bits >> 6 & 63] : '=';
    group[3] = count > 2 ? alphabet[bits & 63] : '=';
}

void
base64_encode(str bytes, struct buf *buf)
{
    size_t size = bytes.len <= SIZE_MAX / 2 ? (bytes.len + 2) / 3 * 4 : SIZE_MAX;
    char *room = buf_reserve(buf, size);

    if (!room)
        return;
    for (size_t i = 0; i < bytes.len; i += 3, room += 4)
        encode_group((const uint8_t *)bytes.ptr + i, MIN(bytes.len - i, 3), room);
    buf_claim(buf, size);
}

/* 0 to 63, or -1. */
static int
letter_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of COUNT letters (2 to 4) without its "=". */
static bool
decode_group(const char *letters, size_t count, char *out)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < count ? letter_value(letters[i]) : 0;

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    out[0] = (char)(bits >> 16);
    if (count > 2)
        out[1] = (char)(bits >> 8);
    if (count > 3)
        out[2] = (char)bits;
    return (bits & (count == 2 ? 0xffffU : count == 3 ? 0xffU : 0)) == 0;
}

enum err
base64_decode(str text, struct arena *arena, str *bytes)
{
    size_t groups = text.len / 4, padding = 0;
    char *room;

    if (text.len % 4)
        return ERR_SYNTAX;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    room = arena_alloc(arena, groups * 3 + 1);
    if (!room)
        return ERR_LIMIT;
    for (size_t i = 0; i < groups; i++) {
        size_t count = i + 1 == groups ? 4 - padding : 4;

        if (!decode_group(text.ptr + 4 * i, count, room + 3 * i))
            return ERR_SYNTAX;
    }
    *bytes = (str){ room, groups * 3 - padding };
    return OK;
}

void
base64_encoder_init(struct base64_encoder *encoder)
{
    *encoder = (struct base64_encoder){};
}

static void
flush_group(struct base64_encoder *encoder, struct buf *out)
{
    char group[4];

    encode_group(encoder->pending, encoder->pending_count, group);
    encoder->pending_count = 0;
    buf_add(out, (str){ group, 4 });
    encoder->column += 4;
    if (encoder->column == BASE64_LINE) {
        buf_add(out, S("\r\n"));
        encoder->column = 0;
    }
}

void
base64_encoder_add(struct base64_encoder *encoder, str *in, size_t max, struct buf *out)
{
    str chunk = str_head(*in, max);

    *in = str_skip(*in, chunk.len);
    for (size_t i = 0; i < chunk.len; i++) {
        encoder->pending[encoder->pending_count++] = (uint8_t)chunk.ptr[i];
        if (encoder->pending_count == 3)
            flush_group(encoder, out);
    }
}

void
base64_encoder_end(struct base64_encoder *encoder, struct buf *out)
{
    if (encoder->pending_count)
        flush_group(encoder, out);
    if (encoder->column)
        buf_add(out, S("\r\n"));
    base64_encoder_init(encoder);
}
