/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* encoded_word.c: RFC 2047 in both directions.
 *
 * Encoding uses "Q", which people can still read; a word never ends within a character.
 * Decoding works on the unfolded line: what lies between two encoded words vanishes if it is
 * blank.  Start reading at encoded_word_decode().
 */
#include "formats/encoded_word.h"

#include "base/cursor.h"
#include "formats/base64.h"
#include "formats/header.h"

enum {
    WORD_MAX = 75,
    LINE_MAX_COLUMNS = 76,
    CHARSET_NAME_MAX = 40
};

#define WORD_START S("=?utf-8?q?")

static bool
is_plain(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '!' || c == '*' || c == '+' || c == '/';
}

/* Bytes of the character at the front of S; 1 for what is no UTF-8. */
static size_t
character_size(str s)
{
    for (size_t size = 1; size <= 4 && size <= s.len; size++)
        if (str_is_utf8(str_head(s, size)))
            return size;
    return 1;
}

static size_t
add_byte(unsigned char c, struct buf *buf)
{
    if (is_plain((char)c)) {
        buf_add_byte(buf, (char)c);
        return 1;
    }
    if (c == ' ') {
        buf_add_byte(buf, '_');
        return 1;
    }
    buf_addf(buf, "=%02X", (unsigned)c);
    return 3;
}

static void
encode_words(str text, size_t column, struct buf *buf)
{
    size_t limit = column + 20 < LINE_MAX_COLUMNS ? LINE_MAX_COLUMNS - column : WORD_MAX;
    size_t used = WORD_START.len + 2;

    limit = MIN(limit, WORD_MAX);
    buf_add(buf, WORD_START);
    while (text.len) {
        size_t size = character_size(text);
        str one = str_head(text, size);

        if (used + 3 * size > limit) {
            buf_add(buf, S("?=\r\n "));
            buf_add(buf, WORD_START);
            used = WORD_START.len + 2;
            limit = WORD_MAX;
        }
        if (!str_is_utf8(one) || (unsigned char)one.ptr[0] < 0x20 || one.ptr[0] == 0x7f)
            one = S("?");
        for (size_t i = 0; i < one.len; i++)
            used += add_byte((unsigned char)one.ptr[i], buf);
        text = str_skip(text, size);
    }
    buf_add(buf, S("?="));
}

void
encoded_word_encode(str text, size_t column, struct buf *buf)
{
    if (str_is_printable(text) && str_find_str(text, S("=?")) < 0)
        buf_add(buf, text);
    else
        encode_words(text, column, buf);
}

/* The way back. */

enum charset {
    CHARSET_UNKNOWN,
    CHARSET_UTF8,
    CHARSET_LATIN
};

/* Windows-1252 from 0x80 to 0x9f; it stands for ISO-8859-1 and -15 as well, as everybody reads
 * them. */
/* clang-format off */
static const uint16_t windows_1252[32] = {
    0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
    0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
};
/* clang-format on */

static enum charset
charset_from_name(str name)
{
    str base, language;

    (void)str_split(name, '*', &base, &language); /* RFC 2231 5. */
    if (str_eq_nocase(base, S("utf-8")) || str_eq_nocase(base, S("us-ascii")))
        return CHARSET_UTF8;
    if (str_eq_nocase(base, S("iso-8859-1")) || str_eq_nocase(base, S("iso-8859-15")) ||
        str_eq_nocase(base, S("windows-1252")))
        return CHARSET_LATIN;
    return CHARSET_UNKNOWN;
}

static void
add_latin(unsigned char c, struct buf *out)
{
    unsigned point = c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80] : c;

    if (point < 0x80) {
        buf_add_byte(out, (char)point);
    } else if (point < 0x800) {
        buf_add_byte(out, (char)(0xc0 | point >> 6));
        buf_add_byte(out, (char)(0x80 | (point & 0x3f)));
    } else {
        buf_add_byte(out, (char)(0xe0 | point >> 12));
        buf_add_byte(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_add_byte(out, (char)(0x80 | (point & 0x3f)));
    }
}

/* UTF-8 without controls; what is none becomes "?". */
static void
add_text(str text, enum charset charset, struct buf *out)
{
    while (text.len) {
        size_t size = charset == CHARSET_LATIN ? 1 : character_size(text);
        unsigned char c = (unsigned char)text.ptr[0];

        if (c < 0x20 || c == 0x7f)
            buf_add_byte(out, ' ');
        else if (charset == CHARSET_LATIN)
            add_latin(c, out);
        else
            buf_add(out, str_is_utf8(str_head(text, size)) ? str_head(text, size) : S("?"));
        text = str_skip(text, size);
    }
}

static enum err
decode_q(str text, struct arena *arena, str *bytes)
{
    char *room = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    if (!room)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '=') {
            int high = i + 2 < text.len ? ascii_hex(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? ascii_hex(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return ERR_SYNTAX;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '_') {
            c = ' ';
        }
        room[len++] = c;
    }
    *bytes = (str){ room, len };
    return OK;
}

static bool
is_word_byte(char c)
{
    return c > 0x20 && c < 0x7f && c != '?';
}

struct word {
    enum charset charset;
    char encoding;
    str text;
};

/* "=?charset?q?text?=" at the front. */
static bool
read_word(struct cursor *in, struct word *word)
{
    struct cursor ahead = *in;
    str name, encoding;

    if (!cursor_accept(&ahead, '=') || !cursor_accept(&ahead, '?'))
        return false;
    name = cursor_while(&ahead, is_word_byte);
    cursor_expect(&ahead, '?');
    encoding = cursor_while(&ahead, is_word_byte);
    cursor_expect(&ahead, '?');
    word->text = cursor_while(&ahead, is_word_byte);
    cursor_expect(&ahead, '?');
    cursor_expect(&ahead, '=');
    if (!cursor_ok(&ahead) || name.len > CHARSET_NAME_MAX || encoding.len != 1)
        return false;
    word->charset = charset_from_name(name);
    word->encoding = ascii_lower(encoding.ptr[0]);
    if (!word->charset || (word->encoding != 'q' && word->encoding != 'b'))
        return false;
    *in = ahead;
    return true;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One word, decoded into OUT; false (and nothing written) when it is malformed. */
static enum err
decode_word(struct cursor *in, struct arena *arena, struct buf *out, bool *decoded)
{
    struct cursor before = *in;
    struct word word;
    str bytes;
    enum err e;

    *decoded = false;
    if (!read_word(in, &word))
        return OK;
    e = word.encoding == 'q' ? decode_q(word.text, arena, &bytes)
                             : base64_decode(word.text, arena, &bytes);
    if (e == ERR_SYNTAX) {
        *in = before;
        return OK;
    }
    if (e)
        return e;
    add_text(bytes, word.charset, out);
    *decoded = true;
    return OK;
}

static enum err
decode_line(str line, struct arena *arena, struct buf *out)
{
    struct cursor in;
    bool after_word = false;

    cursor_init(&in, line);
    while (!cursor_at_end(&in)) {
        str blanks = cursor_while(&in, is_blank);
        size_t before = out->len, start;
        bool is_word;
        enum err e;

        add_text(blanks, CHARSET_UTF8, out);
        start = out->len;
        e = decode_word(&in, arena, out, &is_word);
        if (e)
            return e;
        if (is_word && after_word) { /* RFC 2047 6.2: the blanks between are not shown. */
            size_t size = out->len - start;

            for (size_t i = 0; i < size; i++)
                out->data[before + i] = out->data[start + i];
            out->len = before + size;
        }
        after_word = is_word;
        if (!is_word) {
            ssize_t end = str_find(in.rest, ' ');
            add_text(cursor_take(&in, end < 0 ? in.rest.len : (size_t)end), CHARSET_UTF8, out);
        }
    }
    return OK;
}

enum err
encoded_word_decode(str value, struct arena *arena, str *text)
{
    struct buf out;
    str line;
    enum err e = header_unfold(value, arena, &line);

    if (e)
        return e;
    buf_init(&out, 3 * line.len + 16);
    e = decode_line(line, arena, &out);
    if (!e && (!buf_ok(&out) || !arena_copy(arena, buf_str(&out), text)))
        e = ERR_LIMIT;
    buf_done(&out);
    return e;
}
