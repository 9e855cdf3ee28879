/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* xtext.c: RFC 3461 4: any byte but 33 to 126 without "+" and "=" is "+" and two hex digits. */
#include "formats/xtext.h"

#include "base/cursor.h"

static bool
is_xchar(char c)
{
    return c > 0x20 && c < 0x7f && c != '+' && c != '=';
}

void
xtext_encode(str bytes, struct buf *buf)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];

        if (is_xchar(c))
            buf_add_byte(buf, c);
        else
            buf_addf(buf, "+%02X", (unsigned)(unsigned char)c);
    }
}

/* Upper case only, as the RFC has it: the value goes on to the next server as it is. */
static int
upper_hex(char c)
{
    return c >= 'a' ? -1 : ascii_hex(c);
}

/* The next byte, or -1. */
static int
next_byte(struct cursor *in)
{
    str one = cursor_take(in, 1);
    str digits;
    int high, low;

    if (one.len && is_xchar(one.ptr[0]))
        return one.ptr[0];
    if (one.len == 0 || one.ptr[0] != '+')
        return -1;
    digits = cursor_take(in, 2);
    high = digits.len ? upper_hex(digits.ptr[0]) : -1;
    low = digits.len ? upper_hex(digits.ptr[1]) : -1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

enum err
xtext_decode(str text, struct arena *arena, str *bytes)
{
    struct cursor in;
    char *room = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    if (!room)
        return ERR_LIMIT;
    cursor_init(&in, text);
    while (!cursor_at_end(&in)) {
        int byte = next_byte(&in);
        if (byte < 0)
            return ERR_SYNTAX;
        room[len++] = (char)byte;
    }
    *bytes = (str){ room, len };
    return OK;
}

bool
xtext_is_printable(str text)
{
    struct cursor in;

    cursor_init(&in, text);
    while (!cursor_at_end(&in)) {
        int byte = next_byte(&in);
        if (byte < 0x20 || byte > 0x7e)
            return false;
    }
    return true;
}

/* Appends one code point; false if it is none, or a control. */
static bool
add_code_point(uint32_t point, char *room, size_t *len)
{
    if (point < 0xa0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return false;
    if (point < 0x800) {
        room[(*len)++] = (char)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            room[(*len)++] = (char)(0xe0 | point >> 12);
        } else {
            room[(*len)++] = (char)(0xf0 | point >> 18);
            room[(*len)++] = (char)(0x80 | (point >> 12 & 0x3f));
        }
        room[(*len)++] = (char)(0x80 | (point >> 6 & 0x3f));
    }
    room[(*len)++] = (char)(0x80 | (point & 0x3f));
    return true;
}

/* "\x{F6}" with two to six digits, the "\" read.  RFC 6533 3; "+", "=" and "\" may be written so,
 * too. */
static bool
read_escape(struct cursor *in, char *room, size_t *len)
{
    uint32_t point = 0;
    unsigned digits = 0;

    if (!cursor_accept(in, 'x') || !cursor_accept(in, '{'))
        return false;
    while (upper_hex(cursor_peek(in)) >= 0 && digits < 6) {
        point = point * 16 + (uint32_t)upper_hex(cursor_take(in, 1).ptr[0]);
        digits++;
    }
    if (digits < 2 || !cursor_accept(in, '}'))
        return false;
    if (point > 0x20 && point < 0x7f) {
        room[(*len)++] = (char)point;
        return true;
    }
    return add_code_point(point, room, len);
}

/* The value of "utf-8;": bare UTF-8, xtext, or escapes. */
static bool
decode_international(str text, char *room, size_t *len)
{
    struct cursor in;

    cursor_init(&in, text);
    while (!cursor_at_end(&in)) {
        char c = cursor_peek(&in);

        if (cursor_accept(&in, '\\')) {
            if (!read_escape(&in, room, len))
                return false;
        } else if ((unsigned char)c >= 0x80) {
            room[(*len)++] = cursor_take(&in, 1).ptr[0];
        } else {
            int byte = next_byte(&in);
            if (byte < 0)
                return false;
            room[(*len)++] = (char)byte;
        }
    }
    return str_is_utf8((str){ room, *len });
}

static bool
is_type_byte(char c)
{
    return ascii_is_alnum(c) || c == '-';
}

static bool
has_control(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < s.len && (uint8_t)s.ptr[i + 1] < 0xa0))
            return true;
    }
    return false;
}

enum err
orcpt_parse(str text, struct arena *arena, str *type, str *address)
{
    struct cursor in;
    str kind, decoded = {};
    enum err e = OK;

    if (text.len > ORCPT_MAX)
        return ERR_SYNTAX;
    cursor_init(&in, text);
    kind = cursor_while(&in, is_type_byte);
    if (kind.len == 0 || !cursor_accept(&in, ';') || cursor_at_end(&in))
        return ERR_SYNTAX;
    if (str_eq_nocase(kind, S("utf-8"))) {
        char *room = arena_alloc(arena, in.rest.len + 1);
        if (!room)
            return ERR_LIMIT;
        if (!decode_international(in.rest, room, &decoded.len))
            return ERR_SYNTAX;
        decoded.ptr = room;
    } else {
        e = xtext_decode(in.rest, arena, &decoded);
    }
    if (e || has_control(decoded) || !(str_is_ascii(decoded) || str_is_utf8(decoded)))
        return e ? e : ERR_SYNTAX;
    *type = kind;
    *address = decoded;
    return OK;
}

/* The code point at the front of well-formed UTF-8, SIZE bytes long. */
static uint32_t
code_point(str s, size_t *size)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    uint32_t point;

    *size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *size = MIN(*size, s.len);
    point = *size == 1 ? lead : lead & (0x7fU >> *size);
    for (size_t i = 1; i < *size; i++)
        point = point << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    return point;
}

void
orcpt_format(str decoded, bool utf8, struct buf *buf)
{
    str type, address;

    (void)str_split(decoded, ';', &type, &address);
    buf_add(buf, type);
    buf_add_byte(buf, ';');
    if (!str_eq_nocase(type, S("utf-8"))) {
        xtext_encode(address, buf);
        return;
    }
    while (address.len) {
        size_t size;
        uint32_t point = code_point(address, &size);

        if (point < 0x80 && is_xchar((char)point) && point != '\\')
            buf_add_byte(buf, (char)point);
        else if (point < 0x80 && (point <= 0x20 || point == 0x7f))
            buf_addf(buf, "+%02X", (unsigned)point);
        else if (point < 0x80 || !utf8)
            buf_addf(buf, "\\x{%02X}", (unsigned)point);
        else
            buf_add(buf, str_head(address, size));
        address = str_skip(address, size);
    }
}
