/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* json.c: a writer that cannot write nonsense, and a reader that accepts none.
 *
 * RFC 8259.  Start reading at json_put_text() and parse_value().
 */
#include "formats/json.h"

#include "base/cursor.h"

#include <stdio.h>
#include <time.h>

/* The length of the well-formed UTF-8 sequence at the front of S, or 0. */
static size_t
utf8_length(str s)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    return length <= s.len && str_is_utf8(str_head(s, length)) ? length : 0;
}

void
json_quote(struct buf *buf, str text)
{
    static const char short_forms[] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"'
    };

    buf_add_byte(buf, '"');
    while (text.len) {
        unsigned char byte = (unsigned char)text.ptr[0];
        size_t length = utf8_length(text);

        if (length == 0)
            buf_add(buf, S("\xef\xbf\xbd"));
        else if (byte == '\\')
            buf_add(buf, S("\\\\"));
        else if (byte < sizeof short_forms && short_forms[byte])
            buf_addf(buf, "\\%c", short_forms[byte]);
        else if (byte < 0x20 || byte == 0x7f)
            buf_addf(buf, "\\u%04x", byte);
        else
            buf_add(buf, str_head(text, length));
        text = str_skip(text, length ? length : 1);
    }
    buf_add_byte(buf, '"');
}

void
json_format_time(instant time, char text[JSON_TIME_SIZE])
{
    time_t seconds = (time_t)(time / SECONDS(1));
    int milliseconds = (int)(time % SECONDS(1) / MILLISECONDS(1));
    struct tm parts = { 0 };

    gmtime_r(&seconds, &parts);
    snprintf(text, JSON_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (parts.tm_year + 1900) % 10000, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
             parts.tm_min, parts.tm_sec, milliseconds);
}

void
json_writer_init(struct json_writer *writer, struct buf *buf)
{
    *writer = (struct json_writer){ .buf = buf };
}

static void
begin_value(struct json_writer *writer, const char *key)
{
    if (writer->needs_comma)
        buf_add_byte(writer->buf, ',');
    if (key) {
        json_quote(writer->buf, str_from(key));
        buf_add_byte(writer->buf, ':');
    }
    writer->needs_comma = true;
}

static void
begin_group(struct json_writer *writer, const char *key, char bracket)
{
    begin_value(writer, key);
    buf_add_byte(writer->buf, bracket);
    writer->needs_comma = false;
}

static void
end_group(struct json_writer *writer, char bracket)
{
    buf_add_byte(writer->buf, bracket);
    writer->needs_comma = true;
}

void
json_begin_object(struct json_writer *writer, const char *key)
{
    begin_group(writer, key, '{');
}

void
json_end_object(struct json_writer *writer)
{
    end_group(writer, '}');
}

void
json_begin_array(struct json_writer *writer, const char *key)
{
    begin_group(writer, key, '[');
}

void
json_end_array(struct json_writer *writer)
{
    end_group(writer, ']');
}

void
json_put_text(struct json_writer *writer, const char *key, str text)
{
    begin_value(writer, key);
    json_quote(writer->buf, text);
}

void
json_put_int(struct json_writer *writer, const char *key, int64_t number)
{
    begin_value(writer, key);
    buf_addf(writer->buf, "%lld", (long long)number);
}

void
json_put_bool(struct json_writer *writer, const char *key, bool value)
{
    json_put_raw(writer, key, value ? S("true") : S("false"));
}

void
json_put_null(struct json_writer *writer, const char *key)
{
    json_put_raw(writer, key, S("null"));
}

void
json_put_time(struct json_writer *writer, const char *key, instant time)
{
    char text[JSON_TIME_SIZE];

    json_format_time(time, text);
    json_put_text(writer, key, str_from(text));
}

void
json_put_raw(struct json_writer *writer, const char *key, str json)
{
    begin_value(writer, key);
    buf_add(writer->buf, json);
}

struct reader {
    struct cursor cursor;
    struct arena *arena;
    unsigned depth;
    bool full; /* Depth or arena. */
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
skip_blanks(struct reader *reader)
{
    (void)cursor_while(&reader->cursor, is_blank);
}

static void
fail_full(struct reader *reader)
{
    reader->full = true;
    cursor_fail(&reader->cursor);
}

/* Four hexadecimal digits. */
static uint32_t
read_unit(struct reader *reader)
{
    str digits = cursor_take(&reader->cursor, 4);
    uint32_t unit = 0;

    for (size_t i = 0; i < digits.len; i++) {
        int digit = ascii_hex(digits.ptr[i]);

        if (digit < 0)
            cursor_fail(&reader->cursor);
        unit = unit << 4 | (uint32_t)(digit < 0 ? 0 : digit);
    }
    return unit;
}

static size_t
put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* What follows a backslash; never longer than what it was written with. */
static size_t
read_escape(struct reader *reader, char *out)
{
    static const char meanings[] = { ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                     ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t' };
    str letter = cursor_take(&reader->cursor, 1);
    unsigned char byte = letter.len ? (unsigned char)letter.ptr[0] : 0;
    uint32_t code, low;

    if (byte != 'u') {
        if (byte >= sizeof meanings || !meanings[byte])
            cursor_fail(&reader->cursor);
        else
            out[0] = meanings[byte];
        return 1;
    }
    code = read_unit(reader);
    if (code >= 0xd800 && code < 0xdc00) {
        cursor_expect(&reader->cursor, '\\');
        cursor_expect(&reader->cursor, 'u');
        low = read_unit(reader);
        if (low < 0xdc00 || low > 0xdfff)
            cursor_fail(&reader->cursor);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        cursor_fail(&reader->cursor);
    }
    return cursor_ok(&reader->cursor) ? put_utf8(out, code) : 0;
}

/* How many bytes stand before the quote that ends a text. */
static size_t
encoded_length(str rest)
{
    size_t length = 0;

    while (length < rest.len && rest.ptr[length] != '"')
        length += rest.ptr[length] == '\\' ? 2 : 1;
    return MIN(length, rest.len);
}

static str
read_text(struct reader *reader)
{
    size_t length = 0;
    char *text;

    cursor_expect(&reader->cursor, '"');
    text = arena_alloc(reader->arena, encoded_length(reader->cursor.rest) + 4);
    if (!text) {
        fail_full(reader);
        return S("");
    }
    while (cursor_ok(&reader->cursor) && !cursor_accept(&reader->cursor, '"')) {
        str byte = cursor_take(&reader->cursor, 1);

        if (!byte.len || (unsigned char)byte.ptr[0] < 0x20)
            cursor_fail(&reader->cursor);
        else if (byte.ptr[0] == '\\')
            length += read_escape(reader, text + length);
        else
            text[length++] = byte.ptr[0];
    }
    if (!str_is_utf8((str){ text, length }))
        cursor_fail(&reader->cursor);
    return (str){ text, length };
}

static bool
is_number_byte(char c)
{
    return ascii_is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* RFC 8259 6: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][-+]?[0-9]+)? */
static bool
number_is_valid(str text)
{
    struct cursor cursor;
    str digits;

    cursor_init(&cursor, text);
    (void)cursor_accept(&cursor, '-');
    digits = cursor_while(&cursor, ascii_is_digit);
    if (!digits.len || (digits.len > 1 && digits.ptr[0] == '0'))
        return false;
    if (cursor_accept(&cursor, '.') && !cursor_while(&cursor, ascii_is_digit).len)
        return false;
    if (cursor_accept_nocase(&cursor, S("e"))) {
        if (!cursor_accept(&cursor, '+'))
            (void)cursor_accept(&cursor, '-');
        if (!cursor_while(&cursor, ascii_is_digit).len)
            return false;
    }
    return cursor_at_end(&cursor);
}

static void
read_scalar(struct reader *reader, struct json *value)
{
    if (cursor_peek(&reader->cursor) == '"') {
        value->type = JSON_TEXT;
        value->text = read_text(reader);
    } else if (str_starts(reader->cursor.rest, S("true"))) {
        (void)cursor_take(&reader->cursor, 4);
        value->type = JSON_BOOL;
        value->boolean = true;
    } else if (str_starts(reader->cursor.rest, S("false"))) {
        (void)cursor_take(&reader->cursor, 5);
        value->type = JSON_BOOL;
    } else if (str_starts(reader->cursor.rest, S("null"))) {
        (void)cursor_take(&reader->cursor, 4);
    } else {
        value->type = JSON_NUMBER;
        value->text = cursor_while(&reader->cursor, is_number_byte);
        if (!number_is_valid(value->text))
            cursor_fail(&reader->cursor);
        if (!str_to_i64(value->text, &value->number))
            value->number = 0;
    }
}

static struct json *parse_value(struct reader *reader);

static void
read_members(struct reader *reader, struct json *group, char end)
{
    struct json **place = &group->first;

    skip_blanks(reader);
    if (cursor_accept(&reader->cursor, end))
        return;
    do {
        struct json *member;
        str key = { 0 };

        if (group->type == JSON_OBJECT) {
            skip_blanks(reader);
            key = read_text(reader);
            skip_blanks(reader);
            cursor_expect(&reader->cursor, ':');
        }
        member = parse_value(reader);
        if (!member)
            return;
        member->key = key;
        *place = member;
        place = &member->next;
        skip_blanks(reader);
    } while (cursor_accept(&reader->cursor, ','));
    cursor_expect(&reader->cursor, end);
}

static struct json *
parse_value(struct reader *reader)
{
    struct json *value = arena_new(reader->arena, struct json);

    if (!value || ++reader->depth > JSON_DEPTH_MAX) {
        fail_full(reader);
        return NULL;
    }
    skip_blanks(reader);
    if (cursor_accept(&reader->cursor, '{')) {
        value->type = JSON_OBJECT;
        read_members(reader, value, '}');
    } else if (cursor_accept(&reader->cursor, '[')) {
        value->type = JSON_ARRAY;
        read_members(reader, value, ']');
    } else {
        read_scalar(reader, value);
    }
    reader->depth--;
    return cursor_ok(&reader->cursor) ? value : NULL;
}

enum err
json_parse(str text, struct arena *arena, struct json **value)
{
    struct reader reader = { .arena = arena };
    struct json *parsed;

    cursor_init(&reader.cursor, text);
    parsed = parse_value(&reader);
    skip_blanks(&reader);
    if (reader.full)
        return ERR_LIMIT;
    if (!parsed || !cursor_ok(&reader.cursor) || !cursor_at_end(&reader.cursor))
        return ERR_SYNTAX;
    *value = parsed;
    return OK;
}

const struct json *
json_get(const struct json *value, const char *key)
{
    if (!value || value->type != JSON_OBJECT)
        return NULL;
    for (const struct json *member = value->first; member; member = member->next)
        if (str_eq(member->key, str_from(key)))
            return member;
    return NULL;
}

str
json_get_text(const struct json *value, const char *key)
{
    const struct json *member = json_get(value, key);

    return member && member->type == JSON_TEXT ? member->text : S("");
}

int64_t
json_get_int(const struct json *value, const char *key)
{
    const struct json *member = json_get(value, key);

    return member && member->type == JSON_NUMBER ? member->number : 0;
}

bool
json_get_bool(const struct json *value, const char *key)
{
    const struct json *member = json_get(value, key);

    return member && member->type == JSON_BOOL && member->boolean;
}
