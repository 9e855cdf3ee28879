/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base32.c: five bits a letter.  One text for each sequence of bytes but for case: what decodes
 * encodes to itself again.  Start reading at base32_decode(). */
#include "formats/base32.h"

enum {
    LETTER_BITS = 5
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

/* 0 to 31, or -1. */
static int
letter_value(char c)
{
    c = ascii_lower(c);
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

void
base32_encode(str bytes, struct buf *buf)
{
    unsigned held = 0, bits = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        held = (held << 8 | (uint8_t)bytes.ptr[i]) & 0xffff;
        for (bits += 8; bits >= LETTER_BITS; bits -= LETTER_BITS)
            buf_add_byte(buf, letters[held >> (bits - LETTER_BITS) & 31]);
    }
    if (bits)
        buf_add_byte(buf, letters[held << (LETTER_BITS - bits) & 31]);
}

enum err
base32_decode(str text, uint8_t *bytes, size_t max, size_t *len)
{
    unsigned held = 0, bits = 0;
    size_t count = 0;

    if (text.len * LETTER_BITS / 8 > max)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.len; i++) {
        int value = letter_value(text.ptr[i]);
        if (value < 0)
            return ERR_SYNTAX;
        held = (held << LETTER_BITS | (unsigned)value) & 0xffff;
        bits += LETTER_BITS;
        if (bits < 8)
            continue;
        bits -= 8;
        bytes[count++] = (uint8_t)(held >> bits);
    }
    /* A letter that adds no byte, or bits that nobody wrote. */
    if (bits >= LETTER_BITS || (held & ((1U << bits) - 1)))
        return ERR_SYNTAX;
    *len = count;
    return OK;
}
