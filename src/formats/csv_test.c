/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* csv_test.c: lines of comma-separated values, there and back. */
#include "formats/csv.h"

#include "check.h"

#include <string.h>

static void
values_are_parted_by_commas_outside_of_quotes(void)
{
    static const struct {
        const char *line;
        enum err e;
        size_t count;
        const char *values[4];
    } rows[] = {
        { "a,b,c", OK, 3, { "a", "b", "c" } },
        { " a , b ", OK, 2, { "a", "b" } },
        { "", OK, 1, { "" } },
        { ",", OK, 2, { "", "" } },
        { "\"a,b\",c", OK, 2, { "a,b", "c" } },
        { "\"say \"\"hi\"\"\" , x", OK, 2, { "say \"hi\"", "x" } },
        { "\" a \"", OK, 1, { " a " } },
        { "\"\",", OK, 2, { "", "" } },
        { "\"open", ERR_SYNTAX, 0, { NULL } },
        { "\"a\"b,c", ERR_SYNTAX, 0, { NULL } },
    };
    str fields[CSV_FIELDS_MAX];
    struct arena arena;
    size_t count;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CHECK(csv_parse(str_from(rows[i].line), &arena, fields, &count) == rows[i].e);
        for (size_t k = 0; rows[i].e == OK && k < rows[i].count; k++)
            CHECK(str_eq(fields[k], str_from(rows[i].values[k])));
        CHECK(rows[i].e || count == rows[i].count);
    }
    arena_done(&arena);
}

static void
a_line_has_a_ceiling_of_values(void)
{
    char line[CSV_FIELDS_MAX + 1];
    str fields[CSV_FIELDS_MAX];
    struct arena arena;
    size_t count;

    arena_init(&arena, 4096);
    memset(line, ',', sizeof(line));
    CHECK(csv_parse((str){ line, CSV_FIELDS_MAX - 1 }, &arena, fields, &count) == OK);
    CHECK(count == CSV_FIELDS_MAX);
    CHECK(csv_parse((str){ line, CSV_FIELDS_MAX }, &arena, fields, &count) == ERR_LIMIT);
    arena_done(&arena);
}

static void
what_is_written_is_read_again(void)
{
    static const char *const values[] = { "", "a", "a,b", "\"", " a", "a \"b\", c", "a " };
    str fields[CSV_FIELDS_MAX];
    struct arena arena;
    struct buf buf;
    size_t count;

    arena_init(&arena, 4096);
    buf_init(&buf, 1000);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        if (i)
            buf_add_byte(&buf, ',');
        csv_put(&buf, str_from(values[i]));
    }
    CHECK(csv_parse(buf_str(&buf), &arena, fields, &count) == OK);
    CHECK(count == COUNT_OF(values));
    for (size_t i = 0; i < COUNT_OF(values); i++)
        CHECK(str_eq(fields[i], str_from(values[i])));
    buf_clear(&buf);
    csv_put(&buf, S("two\r\nlines"));
    CHECK(str_eq(buf_str(&buf), S("\"two  lines\"")));
    buf_done(&buf);
    arena_done(&arena);
}

static void
what_a_spreadsheet_would_run_is_marked_and_comes_back(void)
{
    static const char *const rows[][2] = {
        { "=HYPERLINK(\"http://x\",1)", "\"'=HYPERLINK(\"\"http://x\"\",1)\"" },
        { "+1@x.example", "'+1@x.example" },
        { "-1", "'-1" },
        { "@SUM(1)", "'@SUM(1)" },
        { "\t=1", "'\t=1" },
        { "550 no = such", "550 no = such" },
        { "'s@x.example", "'s@x.example" },
        { "#a@x.example", "\"#a@x.example\"" },
        { "{a@x.example", "\"{a@x.example\"" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        str fields[CSV_FIELDS_MAX];
        struct arena arena;
        struct buf line;
        size_t count;
        buf_init(&line, 1000);
        arena_init(&arena, 10000);
        csv_put_harmless(&line, str_from(rows[i][0]));
        CHECK_STR(buf_str(&line), rows[i][1]);
        CHECK(csv_parse(buf_str(&line), &arena, fields, &count) == OK && count == 1);
        CHECK_STR(csv_unmark(fields[0]), rows[i][0]);
        arena_done(&arena);
        buf_done(&line);
    }
}

int
main(void)
{
    RUN(what_a_spreadsheet_would_run_is_marked_and_comes_back);
    RUN(values_are_parted_by_commas_outside_of_quotes);
    RUN(a_line_has_a_ceiling_of_values);
    RUN(what_is_written_is_read_again);
    return check_end();
}
