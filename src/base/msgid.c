/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* msgid.c: ULIDs. */
#include "base/msgid.h"

#include <string.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

msgid
msgid_make(instant now, const uint8_t entropy[10])
{
    msgid id;
    uint64_t ms = (uint64_t)(now / 1000000);

    for (size_t i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, entropy, 10);
    return id;
}

instant
msgid_instant(msgid id)
{
    uint64_t ms = 0;

    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    return (instant)ms * 1000000;
}

int
msgid_cmp(msgid a, msgid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

/* 26 letters of 5 bits are 130 bits: two zero bits stand in front of the 128. */
void
msgid_format(msgid id, char text[MSGID_TEXT_SIZE + 1])
{
    for (size_t letter = 0; letter < MSGID_TEXT_SIZE; letter++) {
        unsigned value = 0;
        for (size_t bit = letter * 5; bit < letter * 5 + 5; bit++) {
            value <<= 1;
            if (bit >= 2)
                value |= (unsigned)(id.bytes[(bit - 2) / 8] >> (7 - (bit - 2) % 8)) & 1U;
        }
        text[letter] = alphabet[value];
    }
    text[MSGID_TEXT_SIZE] = '\0';
}

static int
letter_value(char letter)
{
    char upper = letter >= 'a' && letter <= 'z' ? (char)(letter - ('a' - 'A')) : letter;
    const char *at = upper ? strchr(alphabet, upper) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

bool
msgid_parse(str text, msgid *id)
{
    msgid parsed = {};

    if (text.len != MSGID_TEXT_SIZE || letter_value(text.ptr[0]) > 7)
        return false;
    for (size_t letter = 0; letter < MSGID_TEXT_SIZE; letter++) {
        int value = letter_value(text.ptr[letter]);
        if (value < 0)
            return false;
        for (size_t i = 0; i < 5; i++) {
            size_t bit = letter * 5 + i;
            if (bit >= 2 && (value >> (4 - i)) & 1)
                parsed.bytes[(bit - 2) / 8] |= (uint8_t)(1U << (7 - (bit - 2) % 8));
        }
    }
    *id = parsed;
    return true;
}
