/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* output_test.c: the same rows for people and for programs. */
#include "cli/output.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {
    { "id", NULL, COLUMN_ID, false },        { "size", NULL, COLUMN_BYTES, false },
    { "state", NULL, COLUMN_STATE, false },  { "next_try", "NEXT", COLUMN_AGE, false },
    { "to", NULL, COLUMN_LIST, false },      { "waited", NULL, COLUMN_DURATION, true },
    { "subject", NULL, COLUMN_TEXT, false }, { 0 },
};

static const char *const rows[] = {
    "{\"id\":\"01J\",\"size\":4200,\"state\":\"deferred\",\"next_try\":\"2026-11-26T10:05:00Z\","
    "\"to\":[\"a@b\",\"c@d\"],\"waited\":1500,\"subject\":\"x\\u001b[31m\\ty\"}",
    "{\"id\":\"01K\",\"size\":null,\"state\":\"ok\",\"next_try\":\"2026-11-26T09:00:00Z\",\"to\":[]"
    ","
    "\"subject\":\"a rather long subject that does not fit into the terminal at all\"}",
};

static char text[65536];

static void
print(enum output_format format, unsigned width, bool headers)
{
    struct output out;
    FILE *file = fmemopen(text, sizeof(text), "w");

    output_init(&out, file);
    out.format = format;
    out.width = width;
    out.headers = headers;
    out.color = false;
    out.now = SECONDS(1795687200); /* 2026-11-26 10:00:00 UTC */
    output_list(&out, "outpost.test/1", columns);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        output_row_text(&out, str_from(rows[i]));
    output_list_end(&out, NULL);
    output_done(&out);
    fclose(file);
}

static void
people_get_an_aligned_table_with_units(void)
{
    print(OUTPUT_TABLE, 0, true);
    CHECK_STR(str_from(text),
              "ID      SIZE  STATE         NEXT  TO        SUBJECT\n"
              "01J  4.1 KiB  deferred  in 5 min  a@b, c@d  x?[31m y\n"
              "01K           ok          60 min            a rather long subject that does not fit "
              "into the terminal at all\n");
}

static void
a_table_fits_into_its_terminal(void)
{
    print(OUTPUT_TABLE, 60, true);
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');

        CHECK(end != NULL && end - line <= 62); /* The ellipsis has three bytes. */
        line = end ? end + 1 : line + strlen(line);
    }
    CHECK(strstr(text, "\xe2\x80\xa6") != NULL && strstr(text, "01K") != NULL);
}

static void
a_column_shows_its_other_member_where_the_first_is_missing(void)
{
    static const struct column two[] = { { "text", NULL, COLUMN_TEXT, false, "text_raw" }, { 0 } };
    struct output out;
    FILE *file = fmemopen(text, sizeof(text), "w");

    output_init(&out, file);
    out.width = 0;
    out.format = OUTPUT_TABLE;
    output_list(&out, "outpost.test/1", two);
    output_row_text(&out, S("{\"text_raw\":\"as the peer said\"}"));
    output_row_text(&out, S("{\"text\":\"ours\",\"text_raw\":\"theirs\"}"));
    output_list_end(&out, NULL);
    output_done(&out);
    fclose(file);
    CHECK_STR(str_from(text), "TEXT\nas the peer said\nours\n");
}

static void
programs_get_json_lines_with_a_schema(void)
{
    print(OUTPUT_JSON, 0, true);
    CHECK(strncmp(text, "{\"schema\":\"outpost.test/1\",\"id\":\"01J\",\"size\":4200,", 47) == 0);
    CHECK(strstr(text, "\"to\":[\"a@b\",\"c@d\"],\"waited\":1500") != NULL);
    CHECK(strchr(text, '\x1b') == NULL);
}

static void
programs_get_plain_values_between_tabs(void)
{
    print(OUTPUT_TSV, 0, false);
    CHECK(strncmp(text, "01J\t4200\tdeferred\t2026-11-26T10:05:00Z\ta@b, c@d\t1500\tx?[31m y\n",
                  62) == 0);
}

static void
ids_stand_alone(void)
{
    print(OUTPUT_IDS, 0, true);
    CHECK_STR(str_from(text), "01J\n01K\n");
}

static void
a_document_is_its_members_line_by_line(void)
{
    struct output out;
    FILE *file = fmemopen(text, sizeof(text), "w");

    output_init(&out, file);
    output_document_text(&out, "outpost.test/1", NULL,
                         S("{\"last_reply\":\"250 ok\",\"n\":3,\"list\":[\"a\",\"b\"],"
                           "\"inner\":{\"x\":true}}"));
    output_done(&out);
    fclose(file);
    CHECK_STR(str_from(text), "last reply  250 ok\nn           3\nlist        a, b\n"
                              "inner       \n    x  yes\n");
}

static void
a_state_has_its_color_only_where_colors_are(void)
{
    struct output out = { .color = true };
    char colored[64];

    CHECK_STR(str_from(output_colored(&out, "bounced", colored)), "\033[31mbounced\033[0m");
    out.color = false;
    CHECK_STR(str_from(output_colored(&out, "bounced", colored)), "bounced");
}

static void
a_stranger_steers_no_terminal(void)
{
    struct output out;
    struct buf safe;
    FILE *file = fmemopen(text, sizeof(text), "w");

    output_init(&out, file);
    out.format = OUTPUT_TABLE;
    output_line(&out, "%s",
                "220 \033[2J\a\xc2\x9b\xe2\x80\xae \xe2\x81\xa6 \xe2\x80\x8f \xc3\xa4\nok");
    output_done(&out);
    fclose(file);
    CHECK_STR(str_from(text), "220 ?[2J??? ? ? \xc3\xa4\nok\n");
    buf_init(&safe, 100);
    output_add_harmless(&safe, S("\xe2\x80\xae\xe2\x82\xac\xe2\x81\xa9\xe2\x80\x8e"));
    CHECK_STR(buf_str(&safe), "?\xe2\x82\xac??");
    buf_done(&safe);
}

int
main(void)
{
    RUN(people_get_an_aligned_table_with_units);
    RUN(a_table_fits_into_its_terminal);
    RUN(a_column_shows_its_other_member_where_the_first_is_missing);
    RUN(programs_get_json_lines_with_a_schema);
    RUN(programs_get_plain_values_between_tabs);
    RUN(ids_stand_alone);
    RUN(a_document_is_its_members_line_by_line);
    RUN(a_state_has_its_color_only_where_colors_are);
    RUN(a_stranger_steers_no_terminal);
    return check_end();
}
