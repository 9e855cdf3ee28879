/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* encoded_word_test.c: RFC 2047, its own examples among them. */
#include "formats/encoded_word.h"

#include "check.h"

static struct arena arena;

/* clang-format off */
static const char *const decoded[][2] = {
    { "plain text", "plain text" },
    { "=?ISO-8859-1?Q?a?=", "a" },
    { "=?ISO-8859-1?Q?a?= b", "a b" },
    { "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab" },
    { "=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=", "ab" },
    { "=?ISO-8859-1?Q?a_b?=", "a b" },
    { "=?utf-8?Q?a=5Fb?=", "a_b" },
    { "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a =?ISO-8859-2?Q?_b?=" },
    { "=?US-ASCII*EN?Q?Keith_Moore?= <m@x>", "Keith Moore <m@x>" },
    { "=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard" },
    { "=?utf-8?B?SsO2cmc=?=", "J\xc3\xb6rg" },
    { "=?windows-1252?q?=80=93?=", "\xe2\x82\xac\xe2\x80\x9c" },
    { "=?utf-8?q?=0D=0ABcc:_x?=", "  Bcc: x" },
    { "=?utf-8?q?=FF=C3?=", "??" },
    { "=?utf-8?b?SsO2cmc?=", "=?utf-8?b?SsO2cmc?=" },
    { "=?utf-8?q?=4?=", "=?utf-8?q?=4?=" },
    { "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
    { "=?utf-8?q?a b?=", "=?utf-8?q?a b?=" },
    { "=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b" },
    { "=?utf-8?q?open", "=?utf-8?q?open" },
    { "=?", "=?" },
    { "", "" },
};
/* clang-format on */

static void
words_are_decoded(void)
{
    for (size_t i = 0; i < COUNT_OF(decoded); i++) {
        str text;

        CHECK(encoded_word_decode(str_from(decoded[i][0]), &arena, &text) == OK);
        CHECK_STR(text, decoded[i][1]);
    }
}

static void
what_is_encoded_is_decoded_again(void)
{
    static const char *const texts[] = { "plain", "J\xc3\xb6rg =? (x) \"y\"", "=?utf-8?q?a?=",
                                         "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe9\x95"
                                         "\xb7\xe3\x81\x84\xe8\xa1\xa8\xe9\xa1\x8c"
                                         "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe9\x95"
                                         "\xb7\xe3\x81\x84 and so on and so forth" };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct buf buf;
        str text, rest;

        buf_init(&buf, 4000);
        encoded_word_encode(str_from(texts[i]), 9, &buf);
        CHECK(encoded_word_decode(buf_str(&buf), &arena, &text) == OK);
        CHECK_STR(text, texts[i]);
        for (rest = buf_str(&buf); rest.len;) {
            str line;
            (void)str_split(rest, '\n', &line, &rest);
            CHECK(line.len <= 78);
        }
        buf_done(&buf);
    }
}

static void
no_line_end_gets_through(void)
{
    struct buf buf;

    buf_init(&buf, 1000);
    encoded_word_encode(S("a\r\nBcc: x\xff\0"), 9, &buf);
    CHECK_STR(buf_str(&buf), "=?utf-8?q?a=3F=3FBcc=3A_x=3F=3F?=");
    buf_done(&buf);
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(words_are_decoded);
    RUN(what_is_encoded_is_decoded_again);
    RUN(no_line_end_gets_through);
    arena_done(&arena);
    return check_end();
}
