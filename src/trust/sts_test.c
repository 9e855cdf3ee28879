/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_test.c: records and policies as RFC 8461 has them, and as it does not. */
#include "trust/sts.h"

#include "check.h"

#include <stdio.h>
#include <string.h>

static bool
id_is(const char *record, const char *wanted)
{
    str id = S("");

    return sts_record_parse(str_from(record), &id) && str_eq(id, str_from(wanted));
}

static bool
is_refused(const char *record)
{
    str id;

    return !sts_record_parse(str_from(record), &id);
}

static void
a_record_has_an_id(void)
{
    CHECK(id_is("v=STSv1; id=20160831085700Z;", "20160831085700Z"));
    CHECK(id_is("v=STSv1;id=1", "1"));
    CHECK(id_is("v=STSv1 ;\tid = 7 ; ", "7"));
    CHECK(id_is("v=STSv1; ext.a-b_c=x:y; id=2", "2"));
    CHECK(id_is("v=STSv1; id=1; id=2;", "1"));
}

static void
a_record_that_is_not_right_is_none(void)
{
    CHECK(is_refused(""));
    CHECK(is_refused("v=STSv1"));
    CHECK(is_refused("v=STSv1;"));
    CHECK(is_refused("v=STSv2; id=1"));
    CHECK(is_refused("V=STSv1; id=1"));
    CHECK(is_refused(" v=STSv1; id=1"));
    CHECK(is_refused("v=STSv1; id="));
    CHECK(is_refused("v=STSv1; id=a-b"));
    CHECK(is_refused("v=STSv1; id=123456789012345678901234567890123"));
    CHECK(is_refused("v=STSv1; id=1; nonsense"));
    CHECK(is_refused("v=STSv1; id=1; x=a b"));
    CHECK(is_refused("v=STSv1; ; id=1"));
    CHECK(!sts_record_is_ours(S("v=spf1 -all")));
    CHECK(!sts_record_is_ours(S("v=STSv10; id=1")));
}

struct read {
    struct arena arena;
    struct sts_policy policy;
    struct why why;
};

static enum err
read_policy(struct read *read, str text)
{
    arena_init(&read->arena, 1 << 20);
    read->why = (struct why){};
    return sts_policy_parse(text, &read->arena, &read->policy, &read->why);
}

static void
a_policy_names_hosts_mode_and_time(void)
{
    struct read r;

    CHECK(read_policy(
              &r, S("version: STSv1\r\nmode: enforce\r\nmx: mail.Example.com\r\n"
                    "mx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n")) == OK);
    CHECK(r.policy.mode == STS_ENFORCE && r.policy.max_age == SECONDS(604800));
    CHECK(r.policy.pattern_count == 3);
    CHECK_STR(r.policy.patterns[0], "mail.example.com");
    arena_done(&r.arena);
    CHECK(read_policy(&r, S("max_age:1\nmx:a.example\nmode:testing\nversion:STSv1")) == OK);
    CHECK(r.policy.mode == STS_TESTING);
    arena_done(&r.arena);
    CHECK(read_policy(&r, S("version: STSv1\nmode: none\nmax_age: 86400\n")) == OK);
    CHECK(r.policy.mode == STS_NONE && r.policy.pattern_count == 0);
    arena_done(&r.arena);
}

static void
of_fields_that_stand_twice_the_first_counts_and_unknown_ones_are_passed_over(void)
{
    struct read r;

    CHECK(read_policy(&r, S("version: STSv1\nversion: STSv9\nmode: testing\nmode: enforce\n"
                            "policy_x: gr\xc3\xbc\xc3\x9f"
                            "e\nmx: a.example\nmax_age: 5\n"
                            "max_age: 6\n\n \n")) == OK);
    CHECK(r.policy.mode == STS_TESTING && r.policy.max_age == SECONDS(5));
    arena_done(&r.arena);
}

static void
the_time_of_a_policy_is_a_year_at_most(void)
{
    struct read r;

    CHECK(read_policy(&r, S("version: STSv1\nmode: none\nmax_age: 9999999999\n")) == OK);
    CHECK(r.policy.max_age == STS_MAX_AGE_MAX);
    arena_done(&r.arena);
}

static void
expect_refusal(const char *text, const char *why)
{
    struct read r;

    CHECK(read_policy(&r, str_from(text)) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(r.why.text), str_from(why)) >= 0);
    arena_done(&r.arena);
}

static void
a_policy_that_is_not_right_is_refused_with_its_line(void)
{
    expect_refusal("", "version");
    expect_refusal("version: STSv1\nmax_age: 1\nmx: a.example\n", "mode");
    expect_refusal("version: STSv1\nmode: enforce\nmx: a.example\n", "max_age");
    expect_refusal("version: STSv1\nmode: enforce\nmax_age: 1\n", "mx");
    expect_refusal("version: STSv2\n", "line 1");
    expect_refusal("version: STSv1\nmode: Enforce\n", "line 2");
    expect_refusal("version: STSv1\nmode: testing\nmax_age: -1\n", "line 3");
    expect_refusal("version: STSv1\nmx: *.*.example\n", "line 2");
    expect_refusal("version: STSv1\nmx: mx.*.example\n", "line 2");
    expect_refusal("version: STSv1\nmx: 192.0.2.1 x\n", "line 2");
    expect_refusal("<html>\n<body>\n", "line 1");
    expect_refusal("version STSv1\n", "line 1");
}

static enum err
read_many(const char *line, size_t count)
{
    struct read r;
    struct buf text;
    enum err e;

    buf_init(&text, 1 << 20);
    buf_add(&text, S("version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.example\n"));
    for (size_t i = 0; i < count; i++)
        buf_add(&text, str_from(line));
    e = read_policy(&r, buf_str(&text));
    arena_done(&r.arena);
    buf_done(&text);
    return e;
}

static void
a_policy_has_ceilings(void)
{
    char line[STS_LINE_MAX + 3] = "x:";

    CHECK(read_many("mx: b.example\n", STS_PATTERNS_MAX - 1) == OK);
    CHECK(read_many("mx: b.example\n", STS_PATTERNS_MAX) == ERR_LIMIT);
    CHECK(read_many("x: y\n", STS_LINES_MAX - 4) == OK);
    CHECK(read_many("x: y\n", STS_LINES_MAX - 3) == ERR_LIMIT);
    memset(line + 2, 'y', STS_LINE_MAX - 2);
    line[STS_LINE_MAX] = '\n';
    CHECK(read_many(line, 1) == OK);
    CHECK(read_many(line, STS_POLICY_SIZE_MAX / STS_LINE_MAX + 1) == ERR_LIMIT);
    line[STS_LINE_MAX] = 'y';
    line[STS_LINE_MAX + 1] = '\n';
    CHECK(read_many(line, 1) == ERR_LIMIT);
}

static void
a_star_stands_for_one_label(void)
{
    CHECK(sts_pattern_matches(S("mx.example.com"), S("MX.example.com")));
    CHECK(sts_pattern_matches(S("mx.example.com"), S("mx.example.com.")));
    CHECK(!sts_pattern_matches(S("mx.example.com"), S("mx2.example.com")));
    CHECK(sts_pattern_matches(S("*.example.com"), S("mx.example.com")));
    CHECK(!sts_pattern_matches(S("*.example.com"), S("a.mx.example.com")));
    CHECK(!sts_pattern_matches(S("*.example.com"), S("example.com")));
    CHECK(!sts_pattern_matches(S("*.example.com"), S(".example.com")));
    CHECK(!sts_pattern_matches(S("*.example.com"), S("mx.example.com.evil.example")));
}

static void
a_policy_is_written_as_it_is_read(void)
{
    struct read r, again;
    struct buf text;

    buf_init(&text, 4096);
    CHECK(read_policy(
              &r, S("version: STSv1\nmode: enforce\nx: y\nmx: *.A.example\nmax_age: 7\n")) == OK);
    sts_policy_format(&r.policy, &text);
    CHECK_STR(buf_str(&text), "version: STSv1\nmode: enforce\nmx: *.a.example\nmax_age: 7\n");
    CHECK(read_policy(&again, buf_str(&text)) == OK);
    CHECK(again.policy.mode == STS_ENFORCE && again.policy.pattern_count == 1);
    arena_done(&again.arena);
    arena_done(&r.arena);
    buf_done(&text);
}

int
main(void)
{
    RUN(a_record_has_an_id);
    RUN(a_record_that_is_not_right_is_none);
    RUN(a_policy_names_hosts_mode_and_time);
    RUN(of_fields_that_stand_twice_the_first_counts_and_unknown_ones_are_passed_over);
    RUN(the_time_of_a_policy_is_a_year_at_most);
    RUN(a_policy_that_is_not_right_is_refused_with_its_line);
    RUN(a_policy_has_ceilings);
    RUN(a_star_stands_for_one_label);
    RUN(a_policy_is_written_as_it_is_read);
    return check_end();
}
