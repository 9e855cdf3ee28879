/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* xtext_test.c: "+2B" and back, ORCPT values, and enhanced status codes. */
#include "formats/xtext.h"

#include "formats/enhanced.h"

#include "check.h"

static struct arena arena;

static void
any_bytes_survive_the_coding(void)
{
    struct buf coded;
    str bytes;

    buf_init(&coded, 1000);
    xtext_encode(S("a+b=c d\0\xff~"), &coded);
    CHECK_STR(buf_str(&coded), "a+2Bb+3Dc+20d+00+FF~");
    CHECK(xtext_decode(buf_str(&coded), &arena, &bytes) == OK);
    CHECK(str_eq(bytes, S("a+b=c d\0\xff~")));
    buf_done(&coded);
}

static void
broken_coding_is_refused(void)
{
    static const char *const broken[] = {
        "+", "+2", "+2b", "+ZZ", "a b", "a=b", "a\x7f", "\xc3\xb6"
    };
    str bytes;

    for (size_t i = 0; i < COUNT_OF(broken); i++)
        CHECK(xtext_decode(str_from(broken[i]), &arena, &bytes) == ERR_SYNTAX);
    CHECK(xtext_is_printable(S("a+2Bb+20")));
    CHECK(!xtext_is_printable(S("a+0A")));
    CHECK(!xtext_is_printable(S("a+FF")));
}

static void
original_recipients_are_decoded(void)
{
    /* clang-format off */
    static const char *const good[][2] = {
        { "rfc822;ann+2Bx@example.org", "ann+x@example.org" },
        { "RFC822;a", "a" },
        { "utf-8;j\\x{F6}rg@example.org", "j\xc3\xb6rg@example.org" },
        { "utf-8;j\xc3\xb6rg@example.org", "j\xc3\xb6rg@example.org" },
        { "utf-8;a\\x{2B}b\\x{1F600}", "a+b\xf0\x9f\x98\x80" },
    };
    static const char *const bad[] = {
        "", "rfc822", ";a", "rfc822;", "rfc822;a+0Ab", "rfc822;a b", "rfc822;+FF",
        "utf-8;\\x{0A}", "utf-8;\\x{85}", "utf-8;\\x{D800}", "utf-8;\\x{110000}", "utf-8;\\x{F6",
        "utf-8;\\xF6", "utf-8;\xff", "utf-8;\xc2\x85", "rfc822;j\xc3\xb6", "utf-8;\\x{1234567}",
    };
    /* clang-format on */
    str type, address;

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        CHECK(orcpt_parse(str_from(good[i][0]), &arena, &type, &address) == OK);
        CHECK_STR(address, good[i][1]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(orcpt_parse(str_from(bad[i]), &arena, &type, &address) == ERR_SYNTAX);
}

static void
original_recipients_go_out_as_they_came_in(void)
{
    struct buf wire;

    buf_init(&wire, 1000);
    orcpt_format(S("rfc822;ann+x@example.org"), false, &wire);
    CHECK_STR(buf_str(&wire), "rfc822;ann+2Bx@example.org");
    buf_clear(&wire);
    orcpt_format(S("utf-8;j\xc3\xb6 +\\\xf0\x9f\x98\x80"), false, &wire);
    CHECK_STR(buf_str(&wire), "utf-8;j\\x{F6}+20\\x{2B}\\x{5C}\\x{1F600}");
    buf_clear(&wire);
    orcpt_format(S("utf-8;j\xc3\xb6=@x"), true, &wire);
    CHECK_STR(buf_str(&wire), "utf-8;j\xc3\xb6\\x{3D}@x");
    buf_done(&wire);
}

static void
status_codes_are_three_numbers(void)
{
    struct enhanced code;
    char text[ENHANCED_TEXT_MAX];
    str rest;

    CHECK(enhanced_parse(S("5.1.1 No such user"), &code, &rest));
    CHECK(code.class == 5 && code.subject == 1 && code.detail == 1);
    CHECK_STR(rest, "No such user");
    enhanced_format(&code, 550, text);
    CHECK_STR(str_from(text), "5.1.1");
    CHECK_STR(str_from(enhanced_meaning(&code)), "there is no such mailbox");
    CHECK(enhanced_parse(S("4.7.999"), &code, NULL));
    CHECK(!enhanced_parse(S("3.1.1 x"), &code, NULL));
    CHECK(!enhanced_parse(S("5.1"), &code, NULL));
    CHECK(!enhanced_parse(S("5.1.1234"), &code, NULL));
    CHECK(!enhanced_parse(S("5.1.1x"), &code, NULL));
    CHECK(!enhanced_parse(S("5.01.1"), &code, NULL));
    CHECK(!enhanced_parse(S(""), &code, NULL));
    enhanced_format(&(struct enhanced){}, 450, text);
    CHECK_STR(str_from(text), "4.0.0");
    CHECK(enhanced_meaning(&(struct enhanced){ 5, 99, 1 }) != NULL);
    code = (struct enhanced){ 5, 1, 10 };
    CHECK_STR(
        str_from(enhanced_meaning_said(&code, S("RESOLVER.ADR.RecipientNotFound; not found"))),
        "there is no such mailbox");
    CHECK_STR(str_from(enhanced_meaning_said(&code, S("null MX"))),
              "the domain says that it takes no mail");
    CHECK(str_find_str(str_from(enhanced_meaning(&(struct enhanced){ 5, 7, 30 })),
                       S("its sender demanded")) >= 0);
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(any_bytes_survive_the_coding);
    RUN(broken_coding_is_refused);
    RUN(original_recipients_are_decoded);
    RUN(original_recipients_go_out_as_they_came_in);
    RUN(status_codes_are_three_numbers);
    arena_done(&arena);
    return check_end();
}
