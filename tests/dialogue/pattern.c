/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* pattern.c: see pattern.h. */
#include "pattern.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPEAT_MAX = 32 * 1024 * 1024
};

static bool
is_name_byte(char c)
{
    return ascii_is_alnum(c) || c == '_';
}

/* "$name" at the front of TEXT: the name; empty if there is none. */
static str
name_at(str text)
{
    size_t length = 1;

    if (text.len < 2 || text.ptr[0] != '$' || !ascii_is_alpha(text.ptr[1]))
        return S("");
    while (length < text.len && is_name_byte(text.ptr[length]))
        length++;
    return (str){ text.ptr + 1, length - 1 };
}

static const struct capture *
find_capture(const struct captures *captures, str name)
{
    for (size_t i = 0; i < captures->count; i++) {
        if (str_eq(str_from(captures->items[i].name), name))
            return &captures->items[i];
    }
    return NULL;
}

static void
bind_capture(struct captures *captures, str name, str value)
{
    struct capture *capture;

    if (captures->count == CAPTURES_MAX || name.len >= CAPTURE_NAME_MAX ||
        value.len >= CAPTURE_VALUE_MAX)
        return;
    capture = &captures->items[captures->count++];
    memcpy(capture->name, name.ptr, name.len);
    capture->name[name.len] = '\0';
    memcpy(capture->value, value.ptr, value.len);
    capture->value[value.len] = '\0';
}

/* "N*text)" behind "\(". */
static bool
expand_repeat(str *text, const struct captures *captures, struct buf *out)
{
    str inside, rest, count, body;
    uint64_t times;
    size_t start = out->len, unit;
    char *copy;

    if (!str_split(*text, ')', &inside, &rest) || !str_split(inside, '*', &count, &body) ||
        !str_to_u64(count, &times) || times > REPEAT_MAX)
        return false;
    if (!pattern_expand(body, captures, out))
        return false;
    unit = out->len - start;
    copy = malloc(unit + 1);
    memcpy(copy, out->data + start, unit);
    for (uint64_t i = 1; i < times; i++)
        buf_add(out, (str){ copy, unit });
    free(copy);
    *text = rest;
    return true;
}

/* "text}" behind "\b{". */
static bool
expand_base64(str *text, const struct captures *captures, struct buf *out)
{
    struct buf plain;
    str inside, rest;
    char *room;
    bool ok;

    if (!str_split(*text, '}', &inside, &rest))
        return false;
    buf_init(&plain, 1 << 20);
    ok = pattern_expand(inside, captures, &plain);
    room = ok ? buf_reserve(out, plain.len * 4 / 3 + 8) : NULL;
    if (room)
        buf_claim(out, (size_t)EVP_EncodeBlock((unsigned char *)room, (unsigned char *)plain.data,
                                               (int)plain.len));
    buf_done(&plain);
    *text = rest;
    return room != NULL;
}

static bool
expand_hex(str *text, struct buf *out)
{
    int high = text->len > 1 ? ascii_hex(text->ptr[0]) : -1;
    int low = text->len > 1 ? ascii_hex(text->ptr[1]) : -1;

    if (high < 0 || low < 0)
        return false;
    buf_add_byte(out, (char)(high << 4 | low));
    *text = str_skip(*text, 2);
    return true;
}

/* What follows a backslash. */
static bool
expand_escape(str *text, const struct captures *captures, struct buf *out)
{
    static const char from[] = "rnt0\\$", to[] = "\r\n\t\0\\$";
    const char *found;

    if (str_starts(*text, S("("))) {
        *text = str_skip(*text, 1);
        return expand_repeat(text, captures, out);
    }
    if (str_starts(*text, S("b{"))) {
        *text = str_skip(*text, 2);
        return expand_base64(text, captures, out);
    }
    if (str_starts(*text, S("x"))) {
        *text = str_skip(*text, 1);
        return expand_hex(text, out);
    }
    found = text->len ? memchr(from, text->ptr[0], sizeof(from) - 1) : NULL;
    if (!found)
        return false;
    buf_add_byte(out, to[found - from]);
    *text = str_skip(*text, 1);
    return true;
}

bool
pattern_expand(str text, const struct captures *captures, struct buf *out)
{
    while (text.len) {
        str name = name_at(text);

        if (name.len) {
            const struct capture *capture = find_capture(captures, name);

            if (!capture)
                return false;
            buf_add(out, str_from(capture->value));
            text = str_skip(text, name.len + 1);
        } else if (text.ptr[0] == '\\') {
            text = str_skip(text, 1);
            if (!expand_escape(&text, captures, out))
                return false;
        } else {
            buf_add_byte(out, text.ptr[0]);
            text = str_skip(text, 1);
        }
    }
    return buf_ok(out);
}

static bool match_here(str pattern, str line, struct captures *captures);

/* Tries the rest of the pattern behind each length of run; blanks end a captured one. */
static bool
match_run(str rest, str line, str name, struct captures *captures)
{
    size_t count = captures->count;

    for (size_t length = name.len ? 1 : 0; length <= line.len; length++) {
        if (name.len && memchr(" \t", line.ptr[length - 1], 2))
            return false;
        if (name.len)
            bind_capture(captures, name, str_head(line, length));
        if (match_here(rest, str_skip(line, length), captures))
            return true;
        captures->count = count;
    }
    return false;
}

static bool
match_here(str pattern, str line, struct captures *captures)
{
    while (pattern.len) {
        str name = name_at(pattern);

        if (str_starts(pattern, S("...")))
            return match_run(str_skip(pattern, 3), line, S(""), captures);
        if (name.len) {
            const struct capture *capture = find_capture(captures, name);
            str value = str_from(capture ? capture->value : NULL);

            pattern = str_skip(pattern, name.len + 1);
            if (!capture)
                return match_run(pattern, line, name, captures);
            if (!str_starts(line, value))
                return false;
            line = str_skip(line, value.len);
            continue;
        }
        if (!line.len || line.ptr[0] != pattern.ptr[0])
            return false;
        pattern = str_skip(pattern, 1);
        line = str_skip(line, 1);
    }
    return !line.len;
}

bool
pattern_match(str pattern, str line, struct captures *captures)
{
    return match_here(pattern, line, captures);
}
