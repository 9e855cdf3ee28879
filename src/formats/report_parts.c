/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_parts.c: multipart bodies taken apart.
 *
 * The list is its own worklist: a multipart in it has its parts appended, so that depth costs no
 * stack.  Each level reads the bytes once.  Start reading at report_parts_read().
 */
#include "formats/report_parts.h"

#include "formats/header.h"
#include "formats/report_text.h"

#include <string.h>

enum {
    BOUNDARY_MAX = 200,
    GUESS_LINES = 20,
    TAG_MAX = 4096,
    HTML_LOOKED_AT = 128 * 1024
};

/* "; name=value; name="value"". */
static str
find_param(str params, str name)
{
    while (params.len) {
        size_t end = 0;
        bool quoted = false;
        str one, key, value;

        for (; end < params.len && (quoted || params.ptr[end] != ';'); end++) {
            if (params.ptr[end] == '"')
                quoted = !quoted;
            else if (quoted && params.ptr[end] == '\\')
                end++;
        }
        one = str_head(params, end);
        params = str_skip(params, end + 1);
        if (!str_split(one, '=', &key, &value) || !str_eq_nocase(str_trim(key), name))
            continue;
        value = str_trim(value);
        if (str_starts(value, S("\"")) && value.len >= 2 && str_ends(value, S("\"")))
            return str_head(str_skip(value, 1), value.len - 2);
        (void)str_split(value, ' ', &value, &one);
        return value;
    }
    return S("");
}

str
report_part_param(const struct report_part *part, const char *name)
{
    return find_param(part->params, str_from(name));
}

bool
report_part_is(const struct report_part *part, const char *type)
{
    return str_eq_nocase(part->type, str_from(type));
}

/* TEXT begins with a header section: splits it, and reads what says how to read the body. */
static void
read_part(str text, unsigned depth, struct report_part *part)
{
    struct header_field field;
    size_t scanned = 0, size = 0;

    *part = (struct report_part){ .type = S("text/plain"), .depth = depth };
    if (str_starts(text, S("\n")) || str_starts(text, S("\r\n"))) {
        part->body = str_skip(text, text.ptr[0] == '\r' ? 2 : 1);
        return;
    }
    if (!header_find_end(text, &scanned, &size))
        size = text.len;
    part->header = str_head(text, size);
    part->body = str_skip(text, size);
    if (header_find(part->header, S("Content-Type"), &field)) {
        (void)str_split(field.value, ';', &part->type, &part->params);
        part->type = str_trim(part->type);
    }
    if (header_find(part->header, S("Content-Transfer-Encoding"), &field))
        part->encoding = field.value;
}

/* Is LINE the boundary?  CLOSES: the last one. */
static bool
is_boundary(str line, str boundary, bool *closes)
{
    str rest;

    if (!str_starts(line, S("--")) || !str_starts(str_skip(line, 2), boundary))
        return false;
    rest = str_trim(str_skip(line, 2 + boundary.len));
    *closes = str_eq(rest, S("--"));
    return *closes || rest.len == 0;
}

static void
add_part(struct report_parts *parts, const char *start, const char *end, unsigned depth)
{
    if (parts->count == REPORT_PARTS_MAX) {
        parts->is_cut = true;
        return;
    }
    read_part((str){ start, (size_t)(end - start) }, depth, &parts->list[parts->count++]);
}

/* Where no boundary is named, the first line that looks like one is it. */
static str
guess_boundary(str body)
{
    str line;

    for (int i = 0; i < GUESS_LINES && report_next_line(&body, &line); i++)
        if (str_starts(line, S("--")) && str_trim(line).len > 4)
            return str_skip(str_trim(line), 2);
    return S("");
}

static void
split_multipart(struct report_parts *parts, const struct report_part *whole)
{
    str boundary = report_part_param(whole, "boundary");
    str rest = whole->body, line;
    const char *start = NULL;
    bool closes = false;

    if (boundary.len == 0)
        boundary = guess_boundary(whole->body);
    if (boundary.len == 0 || boundary.len > BOUNDARY_MAX)
        return;
    while (!closes && rest.len) {
        const char *at = rest.ptr;

        (void)report_next_line(&rest, &line);
        if (!is_boundary(line, boundary, &closes))
            continue;
        if (start)
            add_part(parts, start, at, whole->depth + 1);
        start = rest.len ? rest.ptr : line.ptr + line.len;
    }
    if (start && !closes)
        add_part(parts, start, whole->body.ptr + whole->body.len, whole->depth + 1);
}

enum err
report_parts_read(str message, struct arena *arena, struct report_parts **parts)
{
    struct report_parts *result = arena_new(arena, struct report_parts);
    str line;

    if (!result)
        return ERR_LIMIT;
    /* A file of a mailbox has a line of its own in front. */
    if (str_starts(message, S("From ")))
        (void)report_next_line(&message, &line);
    read_part(message, 0, &result->list[0]);
    result->count = 1;
    for (size_t i = 0; i < result->count; i++) {
        struct report_part whole = result->list[i];

        if (!str_starts_nocase(whole.type, S("multipart/")))
            continue;
        if (whole.depth < REPORT_DEPTH_MAX)
            split_multipart(result, &whole);
        else
            result->is_cut = true;
    }
    *parts = result;
    return OK;
}

/* Transfer encodings. */

static int
base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t
decode_base64(str text, char *room)
{
    size_t len = 0;
    uint32_t bits = 0;
    int count = 0;

    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i]);

        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        if (++count == 4) {
            room[len++] = (char)(bits >> 16);
            room[len++] = (char)(bits >> 8);
            room[len++] = (char)bits;
            count = 0;
        }
    }
    if (count >= 2)
        room[len++] = (char)(bits >> (count == 2 ? 4 : 10));
    if (count == 3)
        room[len++] = (char)(bits >> 2);
    return len;
}

static size_t
decode_quoted(str text, char *room)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        int high = i + 1 < text.len ? ascii_hex(text.ptr[i + 1]) : -1;
        int low = i + 2 < text.len ? ascii_hex(text.ptr[i + 2]) : -1;
        size_t end = i + 1;

        if (text.ptr[i] != '=') {
            room[len++] = text.ptr[i];
            continue;
        }
        if (high >= 0 && low >= 0) {
            room[len++] = (char)(high * 16 + low);
            i += 2;
            continue;
        }
        /* A soft line end, with blanks before it. */
        while (end < text.len && (text.ptr[end] == ' ' || text.ptr[end] == '\t'))
            end++;
        if (end < text.len && text.ptr[end] == '\r')
            end++;
        if (end < text.len && text.ptr[end] == '\n')
            i = end;
        else
            room[len++] = '=';
    }
    return len;
}

enum err
report_part_decode(const struct report_part *part, struct arena *arena, str *bytes)
{
    bool base64 = str_eq_nocase(part->encoding, S("base64"));
    char *room;

    if (!base64 && !str_eq_nocase(part->encoding, S("quoted-printable"))) {
        *bytes = part->body;
        return OK;
    }
    room = arena_alloc(arena, part->body.len + 4);
    if (!room)
        return ERR_LIMIT;
    *bytes =
        (str){ room, base64 ? decode_base64(part->body, room) : decode_quoted(part->body, room) };
    return OK;
}

/* HTML. */

struct entity {
    const char *name;
    char byte;
};

/* clang-format off */
static const struct entity entities[] = {
    { "&lt;", '<' }, { "&gt;", '>' }, { "&amp;", '&' }, { "&quot;", '"' }, { "&nbsp;", ' ' },
    { "&#39;", '\'' }, { "&#64;", '@' }, { "&#x40;", '@' }, { "&#60;", '<' }, { "&#62;", '>' },
    { "&apos;", '\'' }, { "&#160;", ' ' }, { "&#46;", '.' },
};

static const char *const block_tags[] = {
    "br", "p", "/p", "div", "/div", "tr", "/tr", "li", "/li", "h1", "h2", "h3", "/h1", "/h2", "/h3",
    "table", "/table", "pre", "/pre", "hr", "ul", "/ul", "blockquote", "/td", "/title",
};
/* clang-format on */

static size_t
entity_at(str s, char *byte)
{
    for (size_t i = 0; i < COUNT_OF(entities); i++) {
        str name = str_from(entities[i].name);

        if (str_starts_nocase(s, name)) {
            *byte = entities[i].byte;
            return name.len;
        }
    }
    return 0;
}

static bool
is_block_tag(str tag)
{
    size_t size = 0;

    while (size < tag.len && (ascii_is_alnum(tag.ptr[size]) || (size == 0 && tag.ptr[0] == '/')))
        size++;
    for (size_t i = 0; i < COUNT_OF(block_tags); i++)
        if (str_eq_nocase(str_head(tag, size), str_from(block_tags[i])))
            return true;
    return false;
}

/* Where a tag at the front of S ends; 0: "<" is no tag here. */
static size_t
tag_size(str s)
{
    ssize_t end;
    str tag;

    if (s.len < 2 || !(ascii_is_alpha(s.ptr[1]) || s.ptr[1] == '/' || s.ptr[1] == '!'))
        return 0;
    end = str_find(str_head(s, TAG_MAX), '>');
    if (end < 0)
        return 0;
    tag = str_head(s, (size_t)end);
    /* "<ann@example.org>" that nobody escaped. */
    if (str_find(tag, '@') > 0 && str_find(tag, ' ') < 0)
        return 0;
    return (size_t)end + 1;
}

/* What a style or a script holds is not for reading.  LAST is where the last "</" stands, so that a
 * search always finds one, and the search as a whole is linear. */
static size_t
hidden_size(str s, size_t last)
{
    ssize_t close;

    if (last == 0 || !(str_starts_nocase(s, S("<style")) || str_starts_nocase(s, S("<script"))))
        return 0;
    close = str_find_str(s, S("</"));
    return close > 0 ? (size_t)close : 0;
}

static size_t
find_last_close(str html)
{
    for (size_t i = html.len; i > 1; i--)
        if (html.ptr[i - 1] == '/' && html.ptr[i - 2] == '<')
            return i - 2;
    return 0;
}

enum err
report_html_text(str html, struct arena *arena, str *text)
{
    size_t len = 0, last_close;
    char *room;

    html = str_head(html, HTML_LOOKED_AT);
    last_close = find_last_close(html);
    room = arena_alloc(arena, html.len + 1);
    if (!room)
        return ERR_LIMIT;
    for (size_t i = 0; i < html.len; i++) {
        str rest = str_skip(html, i);
        char c = html.ptr[i];
        size_t size;

        if (c == '<' && (size = hidden_size(rest, i < last_close ? last_close : 0)) > 0) {
            i += size - 1;
        } else if (c == '<' && (size = tag_size(rest)) > 0) {
            if (is_block_tag(str_skip(rest, 1)))
                room[len++] = '\n';
            i += size - 1;
        } else if (c == '&' && (size = entity_at(rest, &c)) > 0) {
            room[len++] = c;
            i += size - 1;
        } else {
            room[len++] = c == '\r' || c == '\n' ? ' ' : c;
        }
    }
    *text = (str){ room, len };
    return OK;
}
