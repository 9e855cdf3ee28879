/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* csv.c: see csv.h. */
#include "formats/csv.h"

/* The quoted value at the front of *REST, which begins with a quote. */
static enum err
read_quoted(str *rest, struct arena *arena, str *value)
{
    str text = str_skip(*rest, 1);
    size_t size = 0;
    char *copy = arena_alloc(arena, text.len + 1);

    if (!copy)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' && i + 1 < text.len && text.ptr[i + 1] == '"') {
            i++;
        } else if (text.ptr[i] == '"') {
            *value = (str){ copy, size };
            *rest = str_trim(str_skip(text, i + 1));
            return OK;
        }
        copy[size++] = text.ptr[i];
    }
    return ERR_SYNTAX;
}

static enum err
read_value(str *rest, struct arena *arena, str *value, bool *more)
{
    enum err e;

    *rest = str_trim(*rest);
    if (str_starts(*rest, S("\""))) {
        e = read_quoted(rest, arena, value);
        if (e)
            return e;
        *more = str_starts(*rest, S(","));
        if (rest->len && !*more)
            return ERR_SYNTAX;
        *rest = str_skip(*rest, 1);
        return OK;
    }
    *more = str_split(*rest, ',', value, rest);
    *value = str_trim(*value);
    return OK;
}

enum err
csv_parse(str line, struct arena *arena, str fields[CSV_FIELDS_MAX], size_t *count)
{
    bool more = true;
    enum err e = OK;

    *count = 0;
    while (more && !e) {
        if (*count == CSV_FIELDS_MAX)
            return ERR_LIMIT;
        e = read_value(&line, arena, &fields[*count], &more);
        if (!e)
            (*count)++;
    }
    return e;
}

static bool
needs_quotes(str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (str_find(S(",\"\r\n"), value.ptr[i]) >= 0)
            return true;
    /* A line that begins with a hash is a comment to some, one with a brace is JSON. */
    return value.len &&
           (str_find(S(" \t#{"), value.ptr[0]) >= 0 || value.ptr[value.len - 1] == ' ');
}

void
csv_put(struct buf *buf, str value)
{
    bool quoted = needs_quotes(value);

    if (quoted)
        buf_add_byte(buf, '"');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"')
            buf_add_byte(buf, '"');
        buf_add_byte(buf, c == '\r' || c == '\n' ? ' ' : c);
    }
    if (quoted)
        buf_add_byte(buf, '"');
}

static bool
is_formula(str value)
{
    return value.len && str_find(S("=+-@\t"), value.ptr[0]) >= 0;
}

void
csv_put_harmless(struct buf *buf, str value)
{
    struct buf marked;

    if (!is_formula(value)) {
        csv_put(buf, value);
        return;
    }
    buf_init(&marked, value.len + 1);
    buf_add_byte(&marked, '\'');
    buf_add(&marked, value);
    csv_put(buf, buf_str(&marked));
    buf_done(&marked);
}

str
csv_unmark(str value)
{
    return str_starts(value, S("'")) && is_formula(str_skip(value, 1)) ? str_skip(value, 1) : value;
}
