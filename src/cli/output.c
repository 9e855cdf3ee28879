/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* output.c: rows and documents, in the format that was asked for.
 *
 * A table holds its first rows back until it knows how wide its columns have to be; what comes
 * after that many rows is printed at once with those widths.  Whatever goes to a terminal has its
 * control characters replaced: mail is written by strangers.  Start reading at output_row().
 */
#include "cli/output.h"

#include "base/must.h"
#include "formats/date.h"
#include "runtime/clock.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    HELD_MAX = 1000,
    HELD_BYTES_MAX = 8 << 20,
    LINE_BYTES_MAX = 16 << 20,
    COLUMNS_MAX = 24,
    TEXT_WIDTH_MIN = 8
};
static const char cell_end = '\x1f';

void
output_init(struct output *out, FILE *file)
{
    const char *columns = getenv("COLUMNS");
    const char *term = getenv("TERM");
    struct winsize size;
    uint64_t width;

    *out = (struct output){ .file = file, .headers = true, .now = clock_now() };
    buf_init(&out->cells, HELD_BYTES_MAX);
    if (!isatty(fileno(file)))
        return;
    out->color = !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0)
        out->width = size.ws_col;
    if (columns && str_to_u64(str_from(columns), &width) && width >= 20 && width < 10000)
        out->width = (unsigned)width;
}

void
output_done(struct output *out)
{
    buf_done(&out->cells);
}

void
output_put_json(struct json_writer *writer, const char *key, const struct json *value)
{
    char name[256];

    switch (value->type) {
    case JSON_NULL:
        json_put_null(writer, key);
        break;
    case JSON_BOOL:
        json_put_bool(writer, key, value->boolean);
        break;
    case JSON_NUMBER:
        json_put_raw(writer, key, value->text);
        break;
    case JSON_TEXT:
        json_put_text(writer, key, value->text);
        break;
    default:
        if (value->type == JSON_OBJECT)
            json_begin_object(writer, key);
        else
            json_begin_array(writer, key);
        for (const struct json *item = value->first; item; item = item->next) {
            snprintf(name, sizeof(name), "%.*s", STR_ARG(str_head(item->key, sizeof(name) - 1)));
            output_put_json(writer, value->type == JSON_OBJECT ? name : NULL, item);
        }
        if (value->type == JSON_OBJECT)
            json_end_object(writer);
        else
            json_end_array(writer);
    }
}

static void
print(struct output *out, str text)
{
    fwrite(text.ptr, 1, text.len, out->file);
}

/* One line: the schema, then the members of OBJECT. */
static void
print_json(struct output *out, const char *schema, const struct json *object)
{
    struct json_writer writer;
    struct buf line;
    char key[256];

    buf_init(&line, LINE_BYTES_MAX);
    json_writer_init(&writer, &line);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "schema", str_from(schema));
    for (const struct json *item = object->first; item; item = item->next) {
        snprintf(key, sizeof(key), "%.*s", STR_ARG(str_head(item->key, sizeof(key) - 1)));
        output_put_json(&writer, key, item);
    }
    json_end_object(&writer);
    buf_add_byte(&line, '\n');
    if (buf_ok(&line))
        print(out, buf_str(&line));
    buf_done(&line);
}

/* The marks that turn the direction of what follows (UAX #9), at the front of TEXT: U+200E, U+200F,
 * U+202A to U+202E, U+2066 to U+2069.  With them a line shows something else than it says. */
static bool
is_direction_mark(str text)
{
    const unsigned char *c = (const unsigned char *)text.ptr;

    if (text.len < 3 || c[0] != 0xe2)
        return false;
    return (c[1] == 0x80 && (c[2] == 0x8e || c[2] == 0x8f || (c[2] >= 0xaa && c[2] <= 0xae))) ||
           (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9);
}

void
output_add_harmless(struct buf *buf, str text)
{
    bool is_utf8 = str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;

        if (c < 0x20 || c == 0x7f)
            buf_add_byte(buf, c == '\t' || c == '\n' ? ' ' : '?');
        else if ((c >= 0x80 && !is_utf8) || c1)
            buf_add_byte(buf, '?');
        else if (is_direction_mark(str_skip(text, i)))
            buf_add_byte(buf, '?');
        else
            buf_add_byte(buf, (char)c);
        if (c1)
            i++;
        else if (is_utf8 && is_direction_mark(str_skip(text, i)))
            i += 2;
    }
}

static unsigned
shown_width(str text)
{
    unsigned width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static void
add_bytes(struct buf *buf, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    buf_addf(buf, unit && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void
add_length(struct buf *buf, duration time)
{
    if (time < SECONDS(10))
        buf_addf(buf, "%.1f s", (double)time / (double)SECONDS(1));
    else if (time < MINUTES(2))
        buf_addf(buf, "%lld s", (long long)(time / SECONDS(1)));
    else if (time < HOURS(2))
        buf_addf(buf, "%lld min", (long long)(time / MINUTES(1)));
    else if (time < DAYS(2))
        buf_addf(buf, "%lld h", (long long)(time / HOURS(1)));
    else
        buf_addf(buf, "%lld d", (long long)(time / DAYS(1)));
}

static void
add_local_time(struct buf *buf, instant time)
{
    time_t seconds = (time_t)(time / SECONDS(1));
    struct tm tm;
    char text[64];

    if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
        buf_add(buf, str_from(text));
}

static void
add_age(struct buf *buf, instant now, instant time)
{
    if (time > now) {
        buf_add(buf, S("in "));
        add_length(buf, time - now);
    } else {
        add_length(buf, now - time);
    }
}

static void
add_list(struct buf *buf, const struct json *list)
{
    for (const struct json *item = list->first; item; item = item->next) {
        if (item != list->first)
            buf_add(buf, S(", "));
        output_add_harmless(buf, item->text);
    }
}

/* A value as a machine reads it: without units. */
static void
add_plain(struct buf *buf, const struct json *value)
{
    switch (value ? value->type : JSON_NULL) {
    case JSON_NULL:
        break;
    case JSON_BOOL:
        buf_addf(buf, "%s", value->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
    case JSON_TEXT:
        output_add_harmless(buf, value->text);
        break;
    default:
        add_list(buf, value);
    }
}

/* A value as a person reads it. */
static void
add_shown(struct output *out, struct buf *buf, enum column_kind kind, const struct json *value)
{
    bool is_number = value && value->type == JSON_NUMBER;
    instant time;

    if (value && value->type == JSON_BOOL)
        buf_addf(buf, "%s", value->boolean ? "yes" : "no");
    else if (kind == COLUMN_BYTES && is_number && value->number >= 0)
        add_bytes(buf, (uint64_t)value->number);
    else if (kind == COLUMN_DURATION && is_number)
        add_length(buf, MILLISECONDS(value->number));
    else if (kind == COLUMN_AGE && value && !date_parse_rfc3339(value->text, &time))
        add_age(buf, out->now, time);
    else if (kind == COLUMN_TIME && value && !date_parse_rfc3339(value->text, &time))
        add_local_time(buf, time);
    else
        add_plain(buf, value);
}

const char *
output_colored(const struct output *out, const char *word, char text[64])
{
    /* clang-format off */
    static const struct { const char *word; const char *color; } colors[] = {
        { "ok", "32" }, { "active", "32" }, { "delivered", "32" }, { "yes", "32" }, { "sent", "32" },
        { "warn", "33" }, { "deferred", "33" }, { "held", "33" }, { "waiting", "33" }, { "delayed", "33" },
        { "fail", "31" }, { "FAIL", "31" }, { "bounced", "31" }, { "expired", "31" }, { "error", "31" },
        { "restricted", "31" }, { "refused", "31" }, { "failed", "31" }, { "disabled", "31" },
    };
    /* clang-format on */

    snprintf(text, 64, "%s", word);
    for (size_t i = 0; out->color && i < COUNT_OF(colors); i++) {
        if (strcmp(word, colors[i].word) == 0)
            snprintf(text, 64, "\033[%sm%s\033[0m", colors[i].color, word);
    }
    return text;
}

static bool
is_shown(const struct output *out, const struct column *column)
{
    return !column->wide || out->format == OUTPUT_WIDE || out->format == OUTPUT_TSV;
}

static void
title_of(const struct column *column, char title[64])
{
    size_t i = 0;

    snprintf(title, 64, "%s", column->title ? column->title : column->key);
    for (; !column->title && title[i]; i++) {
        if (title[i] >= 'a' && title[i] <= 'z')
            title[i] = (char)(title[i] - ('a' - 'A'));
        else if (title[i] == '_')
            title[i] = ' ';
    }
}

static bool
is_right(const struct column *column)
{
    return column->kind == COLUMN_NUMBER || column->kind == COLUMN_BYTES ||
           column->kind == COLUMN_DURATION || column->kind == COLUMN_AGE;
}

/* Makes texts narrower until the table fits, the widest first. */
static void
fit(struct output *out)
{
    for (;;) {
        unsigned total = 0;
        size_t widest = COLUMNS_MAX;

        for (size_t i = 0; out->columns[i].key; i++) {
            enum column_kind kind = out->columns[i].kind;

            if (!is_shown(out, &out->columns[i]))
                continue;
            total += out->widths[i] + 2;
            if ((kind == COLUMN_TEXT || kind == COLUMN_LIST) && out->widths[i] > TEXT_WIDTH_MIN &&
                (widest == COLUMNS_MAX || out->widths[i] > out->widths[widest]))
                widest = i;
        }
        if (!out->width || out->format != OUTPUT_TABLE || total <= out->width + 2 ||
            widest == COLUMNS_MAX)
            return;
        out->widths[widest]--;
    }
}

/* At most WIDTH code points of TEXT, the last of them an ellipsis when it was cut. */
static void
add_cut(struct buf *line, str text, unsigned width)
{
    unsigned count = 0;
    size_t end = 0;

    if (shown_width(text) <= width) {
        buf_add(line, text);
        return;
    }
    while (end < text.len && (count < width - 1 || ((unsigned char)text.ptr[end] & 0xc0) == 0x80))
        count += ((unsigned char)text.ptr[end++] & 0xc0) != 0x80;
    /* The rest of the last one. */
    while (end < text.len && ((unsigned char)text.ptr[end] & 0xc0) == 0x80)
        end++;
    buf_add(line, str_head(text, end));
    buf_add(line, S("\xe2\x80\xa6"));
}

static void
add_cell(struct output *out, struct buf *line, const struct column *column, str text,
         unsigned width)
{
    unsigned shown = shown_width(text);
    char word[64];
    char colored[64];

    if (is_right(column) && shown < width)
        buf_addf(line, "%*s", (int)(width - shown), "");
    if (column->kind == COLUMN_ID || shown <= width) {
        snprintf(word, sizeof(word), "%.*s", STR_ARG(str_head(text, sizeof(word) - 1)));
        if (column->kind == COLUMN_STATE && out->color && text.len < 40)
            buf_add(line, str_from(output_colored(out, word, colored)));
        else
            buf_add(line, text);
    } else {
        add_cut(line, text, width);
        shown = width;
    }
    if (!is_right(column) && shown < width)
        buf_addf(line, "%*s", (int)(width - shown), "");
    buf_add(line, S("  "));
}

/* Prints one row whose cells, each ended by cell_end, stand at the front of CELLS; returns what is
 * left. */
static str
print_cells(struct output *out, str cells)
{
    struct buf line;
    str text;

    buf_init(&line, LINE_BYTES_MAX);
    for (size_t i = 0; out->columns[i].key; i++) {
        str cell = { 0 };

        if (!is_shown(out, &out->columns[i]))
            continue;
        str_split(cells, cell_end, &cell, &cells);
        add_cell(out, &line, &out->columns[i], cell, out->widths[i]);
    }
    text = buf_str(&line);
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    print(out, text);
    print(out, S("\n"));
    buf_done(&line);
    return cells;
}

static void
print_titles(struct output *out)
{
    struct buf titles;
    char title[64];
    bool color = out->color;

    buf_init(&titles, 4096);
    for (size_t i = 0; out->columns[i].key; i++) {
        if (!is_shown(out, &out->columns[i]))
            continue;
        title_of(&out->columns[i], title);
        buf_addf(&titles, "%s%c", title, cell_end);
    }
    out->color = false;
    print_cells(out, buf_str(&titles));
    out->color = color;
    buf_done(&titles);
}

static void
print_held(struct output *out)
{
    str rest = buf_str(&out->cells);

    if (!out->held)
        return;
    fit(out);
    if (out->headers && !out->quiet && out->row_count == out->held)
        print_titles(out);
    for (; out->held; out->held--)
        rest = print_cells(out, rest);
    buf_clear(&out->cells);
}

static const struct json *
value_in(const struct json *row, const struct column *column)
{
    const struct json *value = json_get(row, column->key);

    return value || !column->other ? value : json_get(row, column->other);
}

static void
hold(struct output *out, const struct json *row)
{
    for (size_t i = 0; out->columns[i].key; i++) {
        const struct column *column = &out->columns[i];
        size_t from = out->cells.len;

        if (!is_shown(out, column))
            continue;
        add_shown(out, &out->cells, column->kind, value_in(row, column));
        if (out->row_count <= HELD_MAX)
            out->widths[i] = MAX(out->widths[i], shown_width(str_skip(buf_str(&out->cells), from)));
        buf_add_byte(&out->cells, cell_end);
    }
    out->held++;
}

static void
print_tsv(struct output *out, const struct json *row)
{
    struct buf line;

    buf_init(&line, LINE_BYTES_MAX);
    for (size_t i = 0; out->columns[i].key; i++) {
        if (i)
            buf_add_byte(&line, '\t');
        add_plain(&line, value_in(row, &out->columns[i]));
    }
    buf_add_byte(&line, '\n');
    print(out, buf_str(&line));
    buf_done(&line);
}

static void
print_id(struct output *out, const struct json *row)
{
    size_t id = 0;
    struct buf line;

    for (size_t i = 0; out->columns[i].key; i++) {
        if (out->columns[i].kind == COLUMN_ID) {
            id = i;
            break;
        }
    }
    buf_init(&line, LINE_BYTES_MAX);
    add_plain(&line, json_get(row, out->columns[id].key));
    buf_add_byte(&line, '\n');
    print(out, buf_str(&line));
    buf_done(&line);
}

void
output_list(struct output *out, const char *schema, const struct column *columns)
{
    size_t count = 0;

    out->schema = schema;
    out->columns = columns;
    out->row_count = out->held = 0;
    buf_clear(&out->cells);
    for (; columns[count].key; count++) {
        char title[64];

        must(count < COLUMNS_MAX);
        title_of(&columns[count], title);
        out->widths[count] = out->headers ? (unsigned)strlen(title) : 0;
        if (out->format == OUTPUT_TSV && out->headers)
            fprintf(out->file, "%s%s", count ? "\t" : "", columns[count].key);
    }
    if (out->format == OUTPUT_TSV && out->headers)
        fputc('\n', out->file);
}

void
output_row(struct output *out, const struct json *row)
{
    out->row_count++;
    switch (out->format) {
    case OUTPUT_JSON:
        print_json(out, out->schema, row);
        break;
    case OUTPUT_TSV:
        print_tsv(out, row);
        break;
    case OUTPUT_IDS:
        print_id(out, row);
        break;
    default:
        hold(out, row);
        if (out->row_count >= HELD_MAX || out->cells.len > HELD_BYTES_MAX / 2)
            print_held(out);
    }
}

void
output_list_end(struct output *out, const char *none)
{
    if (out->format == OUTPUT_TABLE || out->format == OUTPUT_WIDE)
        print_held(out);
    fflush(out->file);
    if (!out->row_count && none && !out->quiet && out->format != OUTPUT_JSON)
        fprintf(stderr, "%s\n", none);
}

/* A row or document from text that this program wrote: it is JSON. */
static void
with_parsed(struct output *out, str text, void (*fn)(struct output *, const struct json *))
{
    struct arena arena;
    struct json *value = NULL;

    arena_init(&arena, LINE_BYTES_MAX);
    must(json_parse(text, &arena, &value) == OK);
    fn(out, value);
    arena_done(&arena);
}

void
output_row_text(struct output *out, str json)
{
    with_parsed(out, json, output_row);
}

static void print_members(struct output *out, const struct column *columns,
                          const struct json *object, unsigned indent);

static void
print_member(struct output *out, const char *title, enum column_kind kind, const struct json *value,
             unsigned indent, unsigned width)
{
    struct buf text;
    char word[64];
    char colored[64];
    bool nested = value->type == JSON_OBJECT ||
                  (value->type == JSON_ARRAY && value->first && value->first->type == JSON_OBJECT);

    fprintf(out->file, "%*s%-*s", (int)indent, "", (int)width + 2, title);
    if (nested) {
        fputc('\n', out->file);
        if (value->type == JSON_OBJECT)
            print_members(out, NULL, value, indent + 4);
        for (const struct json *item = value->first; value->type == JSON_ARRAY && item;
             item = item->next) {
            print_members(out, NULL, item, indent + 4);
            if (item->next)
                fputc('\n', out->file);
        }
        return;
    }
    buf_init(&text, LINE_BYTES_MAX);
    add_shown(out, &text, kind, value);
    snprintf(word, sizeof(word), "%.*s", STR_ARG(str_head(buf_str(&text), sizeof(word) - 1)));
    if (kind == COLUMN_STATE && text.len < 40)
        fprintf(out->file, "%s\n", output_colored(out, word, colored));
    else
        fprintf(out->file, "%.*s\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

/* A key as a title: "last_reply" becomes "last reply". */
static void
name_of(str key, char name[64])
{
    snprintf(name, 64, "%.*s", STR_ARG(str_head(key, 63)));
    for (size_t i = 0; name[i]; i++) {
        if (name[i] == '_')
            name[i] = ' ';
    }
}

static void
print_members(struct output *out, const struct column *columns, const struct json *object,
              unsigned indent)
{
    unsigned width = 0;
    char name[64];

    if (object->type != JSON_OBJECT)
        return;
    for (const struct json *item = object->first; item; item = item->next)
        width = MAX(width, (unsigned)MIN(item->key.len, 40));
    for (size_t i = 0; columns && columns[i].key; i++)
        width = MAX(width, columns[i].title ? (unsigned)strlen(columns[i].title) : 0);
    for (size_t i = 0; columns && columns[i].key; i++) {
        const struct json *value = json_get(object, columns[i].key);

        if (!value || value->type == JSON_NULL || (columns[i].wide && out->format != OUTPUT_WIDE))
            continue;
        name_of(str_from(columns[i].title ? columns[i].title : columns[i].key), name);
        print_member(out, name, columns[i].kind, value, indent, width);
    }
    for (const struct json *item = object->first; item && !columns; item = item->next) {
        name_of(item->key, name);
        print_member(out, name, COLUMN_TEXT, item, indent, width);
    }
}

void
output_document(struct output *out, const char *schema, const struct column *columns,
                const struct json *document)
{
    if (out->format == OUTPUT_JSON) {
        print_json(out, schema, document);
    } else if (out->format == OUTPUT_TSV || out->format == OUTPUT_IDS) {
        static const struct column all[] = { { "id", NULL, COLUMN_ID, false }, { 0 } };

        output_list(out, schema, columns ? columns : all);
        output_row(out, document);
    } else {
        print_members(out, columns, document, 0);
    }
    fflush(out->file);
}

void
output_document_text(struct output *out, const char *schema, const struct column *columns, str json)
{
    struct arena arena;
    struct json *value = NULL;

    arena_init(&arena, LINE_BYTES_MAX);
    must(json_parse(json, &arena, &value) == OK);
    output_document(out, schema, columns, value);
    arena_done(&arena);
}

void
output_progress(struct output *out, uint64_t done, uint64_t total)
{
    enum {
        BAR = 20
    };
    unsigned filled = total ? (unsigned)(done * BAR / total) : 0;

    if (out->quiet || !isatty(STDERR_FILENO) || (total == 0 && !out->progressing))
        return;
    out->progressing = total > 0;
    if (total == 0)
        fprintf(stderr, "\r\033[K");
    else
        fprintf(stderr, "\r[%.*s%*s] %llu/%llu %llu%%", (int)MIN(filled, (unsigned)BAR),
                "====================", (int)(BAR - MIN(filled, (unsigned)BAR)), "",
                (unsigned long long)done, (unsigned long long)total,
                (unsigned long long)(done * 100 / total));
    fflush(stderr);
}

static void
put_safely(FILE *file, str text)
{
    struct buf safe;

    buf_init(&safe, text.len + 1);
    output_add_harmless(&safe, text);
    fwrite(safe.data, 1, safe.len, file);
    buf_done(&safe);
}

void
output_paragraph(struct output *out, unsigned indent, bool wraps, str text)
{
    size_t width = out->width > 40 ? out->width : 100;
    size_t column = 0;
    str word;

    if (out->quiet || (out->format != OUTPUT_TABLE && out->format != OUTPUT_WIDE))
        return;
    while (text.len > 0) {
        if (!str_split(text, ' ', &word, &text))
            text = S("");
        if (column > 0 && wraps && column + 1 + word.len > width) {
            fputc('\n', out->file);
            column = 0;
        }
        fprintf(out->file, "%*s", column ? 1 : (int)indent, "");
        column += (column ? 1 : indent) + word.len;
        put_safely(out->file, word);
    }
    fputc('\n', out->file);
}

void
output_line(struct output *out, const char *format, ...)
{
    char *text = NULL;
    str rest, line;
    va_list args;
    int len;

    if (out->quiet || (out->format != OUTPUT_TABLE && out->format != OUTPUT_WIDE))
        return;
    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    must(len >= 0);
    /* Some have several lines. */
    rest = (str){ text, (size_t)len };
    while (str_split(rest, '\n', &line, &rest)) {
        put_safely(out->file, line);
        fputc('\n', out->file);
    }
    put_safely(out->file, line);
    fputc('\n', out->file);
    free(text);
}
