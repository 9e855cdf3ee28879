/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_test.c: where a header section ends, its fields, and the addresses in them. */
#include "formats/header.h"

#include "formats/header_address.h"

#include "check.h"

static struct arena arena;

struct end_case {
    const char *bytes;
    ssize_t size; /* -1: not complete. */
};

/* clang-format off */
static const struct end_case ends[] = {
    { "A: b\r\n\r\nbody", 8 },
    { "A: b\r\n c\r\nD: e\r\n\r\n", 18 },
    { "\r\nbody", 2 },
    { "A: b\n\nbody", 6 },
    { "A: b\r\nno field here\r\n\r\n", 6 },
    { " leading\r\nA: b\r\n", 0 },
    { "From someone Thu Jan 1\r\nA: b\r\n", 0 },
    { "A : b\r\n\r\n", 9 },
    { "A: b\r\n", -1 },
    { "A: b\r\n\r", -1 },
    { "A: b", -1 },
    { "", -1 },
};
/* clang-format on */

static void
the_end_is_found_whatever_the_cuts(void)
{
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        str bytes = str_from(ends[i].bytes);
        size_t scanned = 0, size = 0;
        bool found = false;

        for (size_t have = 0; have <= bytes.len && !found; have++)
            found = header_find_end(str_head(bytes, have), &scanned, &size);
        CHECK(found == (ends[i].size >= 0));
        CHECK(!found || size == (size_t)ends[i].size);
    }
}

static void
fields_are_slices(void)
{
    str section =
        S("Subject:  one\r\n\ttwo \r\nnonsense\r\n more\r\nX-Empty:\r\nto : a@b\r\n\r\nbody: x");
    struct header_field field;

    CHECK(header_next(&section, &field) && header_is(&field, S("subject")));
    CHECK_STR(field.value, "one\r\n\ttwo");
    CHECK_STR(field.raw, "Subject:  one\r\n\ttwo \r\n");
    CHECK(header_next(&section, &field) && field.name.len == 0);
    CHECK_STR(field.raw, "nonsense\r\n more\r\n");
    CHECK(header_next(&section, &field) && header_is(&field, S("X-Empty")) && !field.value.len);
    CHECK(header_next(&section, &field) && header_is(&field, S("To")));
    CHECK_STR(field.value, "a@b");
    CHECK(!header_next(&section, &field));
    CHECK_STR(section, "\r\nbody: x");
}

static void
a_survey_counts_what_matters(void)
{
    str section =
        S("Received: a\r\nreceived: b\r\nFrom: x@y\r\nFrom: z@y\r\nBcc: q\r\nResent-Bcc: r\r\n"
          "Date: d\r\nMessage-ID: <1@x>\r\nAuto-Submitted: auto-replied\r\n"
          "Delivered-To: x\r\nrubbish\r\nSubject: \xc3\xb6\r\n\r\n");
    struct header_facts facts;
    struct header_field field;

    CHECK(header_survey(section, 100, &facts) == OK);
    CHECK(facts.fields == 12 && facts.malformed == 1 && facts.received == 2);
    CHECK(facts.from == 2 && facts.bcc == 2 && facts.date == 1 && facts.message_id == 1);
    CHECK(facts.delivered_to == 1 && facts.is_automatic && facts.has_8bit);
    CHECK(facts.longest_line == 28);
    CHECK_STR(facts.from_value, "x@y");
    CHECK_STR(facts.message_id_value, "<1@x>");
    CHECK(header_survey(section, 5, &facts) == ERR_LIMIT);
    CHECK(header_find(section, S("DATE"), &field));
    CHECK(!header_find(section, S("Cc"), &field));
    CHECK(header_survey(S("Auto-Submitted: no\r\n\r\n"), 5, &facts) == OK && !facts.is_automatic);
}

static void
a_value_becomes_one_line(void)
{
    str line;

    CHECK(header_unfold(S("one\r\n\ttwo\r\n  three\0"), &arena, &line) == OK);
    CHECK_STR(line, "one two  three");
}

struct list_case {
    const char *value;
    const char *addresses; /* With "|" between; NULL: refused. */
};

/* clang-format off */
static const struct list_case lists[] = {
    { "ann@example.org", "ann@example.org" },
    { "Ann Lee <ann@example.org>", "ann@example.org" },
    { "\"Lee, Ann\" <ann@example.org>, bob@x", "ann@example.org|bob@x" },
    { "Ann Q. Lee <ann@example.org>", "ann@example.org" },
    { "<ann@example.org>", "ann@example.org" },
    { " ann@example.org (a (nested) comment) ", "ann@example.org" },
    { "ann(c)@(d)example(e).(f)org", "ann@example.org" },
    { "ann . lee @ example . org", "ann.lee@example.org" },
    { "\"ann lee\"@x", "\"ann lee\"@x" },
    { "\"ann\".lee@x", "ann.lee@x" },
    { "a@x,\r\n\tb@y", "a@x|b@y" },
    { ",a@x,,b@y,", "a@x|b@y" },
    { "Friends: a@x, Bob <b@y>;", "a@x|b@y" },
    { "Friends: a@x;, c@z", "a@x|c@z" },
    { "undisclosed-recipients:;", "" },
    { "g: ,;", "" },
    { "", "" },
    { "<@hop,@hop2:ann@x>", "ann@x" },
    { "x@[192.0.2.1]", "x@[192.0.2.1]" },
    { "=?utf-8?q?J=C3=B6rg?= <j@x>", "j@x" },
    { "J\xc3\xb6rg <j\xc3\xb6rg@x>", "j\xc3\xb6rg@x" },
    { "ann lee@x", NULL },
    { "a@x b@y", NULL },
    { "a@x <b@y>", NULL },
    { "<a@x> <b@y>", NULL },
    { "Ann <ann@x", NULL },
    { "Ann ann@x>", NULL },
    { "Ann", NULL },
    { "Ann <>", NULL },
    { "a@x(b", NULL },
    { "a@x(b\\", NULL },
    { "\"ann@x", NULL },
    { "g: a@x", NULL },
    { "g: h: a@x;;", NULL },
    { "g: a@x; b@y", NULL },
    { "a@x(c)d", NULL },
    { "a@b@c", NULL },
    { "a..b@x", NULL },
    { ".a@x", NULL },
    { "a@x.", NULL },
    { "a@[1.2.3", NULL },
    { ":a@x;", NULL },
    { ";", NULL },
    { "<<a@x>>", NULL },
};
/* clang-format on */

static void
address_lists_are_read(void)
{
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct header_address *list = NULL;
        struct buf text;
        enum err e = header_addresses_parse(str_from(lists[i].value), 10, &arena, &list);

        if (!e != !!lists[i].addresses)
            printf("%s: %s\n", lists[i].value, err_name(e));
        CHECK(!e == !!lists[i].addresses);
        if (e || !lists[i].addresses)
            continue;
        buf_init(&text, 1000);
        for (; list; list = list->next) {
            address_format(&list->address, &text);
            if (list->next)
                buf_add_byte(&text, '|');
        }
        CHECK_STR(buf_str(&text), lists[i].addresses);
        buf_done(&text);
    }
}

static void
names_stand_beside_addresses(void)
{
    struct header_address *list;

    CHECK(header_addresses_parse(S("\"Lee, Ann\" <a@x>, b@y"), 10, &arena, &list) == OK);
    CHECK_STR(list->name, "\"Lee, Ann\"");
    CHECK_STR(list->next->name, "");
}

static void
lists_and_comments_have_ceilings(void)
{
    struct header_address *list;
    struct buf deep;

    CHECK(header_addresses_parse(S("a@x,b@x,c@x"), 2, &arena, &list) == ERR_LIMIT);
    buf_init(&deep, 100000);
    for (int i = 0; i < 65536; i++)
        buf_add_byte(&deep, '(');
    CHECK(header_addresses_parse(buf_str(&deep), 2, &arena, &list) == ERR_SYNTAX);
    buf_done(&deep);
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(the_end_is_found_whatever_the_cuts);
    RUN(fields_are_slices);
    RUN(a_survey_counts_what_matters);
    RUN(a_value_becomes_one_line);
    RUN(address_lists_are_read);
    RUN(names_stand_beside_addresses);
    RUN(lists_and_comments_have_ceilings);
    arena_done(&arena);
    return check_end();
}
