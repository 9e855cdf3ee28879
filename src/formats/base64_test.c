/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base64_test.c: RFC 4648 10, strictness, and MIME's lines. */
#include "formats/base64.h"

#include "check.h"

static struct arena arena;

static void
the_vectors_of_the_rfc_hold(void)
{
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };

    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct buf buf;
        str bytes;

        buf_init(&buf, 100);
        base64_encode(str_from(vectors[i][0]), &buf);
        CHECK_STR(buf_str(&buf), vectors[i][1]);
        CHECK(base64_decode(str_from(vectors[i][1]), &arena, &bytes) == OK);
        CHECK_STR(bytes, vectors[i][0]);
        buf_done(&buf);
    }
}

static void
anything_loose_is_refused(void)
{
    static const char *const bad[] = { "A",    "AA",   "AAA",  "AAAAA",    "Zh==",    "Zm9=",
                                       "=AAA", "A===", "====", "Zg==Zg==", "Zm 9",    "Zm9\n",
                                       "Zm9-", "Z=9v", "AA=A", "AAA\xff",  "AAAA====" };
    str bytes;

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(base64_decode(str_from(bad[i]), &arena, &bytes) == ERR_SYNTAX);
    CHECK(base64_decode(S("AA\0A"), &arena, &bytes) == ERR_SYNTAX);
}

static void
a_body_is_wrapped_whatever_the_cuts(void)
{
    struct buf bytes, once, cut, lines;
    struct base64_encoder encoder;
    str in;

    buf_init(&bytes, 1000);
    buf_init(&once, 2000);
    buf_init(&cut, 2000);
    buf_init(&lines, 2000);
    for (int i = 0; i < 200; i++)
        buf_add_byte(&bytes, (char)(i * 7));
    base64_encode(buf_str(&bytes), &once);
    base64_encoder_init(&encoder);
    in = buf_str(&bytes);
    for (size_t step = 1; in.len; step = step % 9 + 1)
        base64_encoder_add(&encoder, &in, step, &lines);
    base64_encoder_end(&encoder, &lines);
    in = buf_str(&lines);
    while (in.len) {
        str line;
        CHECK(str_split(in, '\n', &line, &in));
        CHECK(line.len == 77 || in.len == 0);
        buf_add(&cut, str_trim(line));
    }
    CHECK(str_eq(buf_str(&cut), buf_str(&once)));
    buf_done(&bytes);
    buf_done(&once);
    buf_done(&cut);
    buf_done(&lines);
}

int
main(void)
{
    arena_init(&arena, 1 << 16);
    RUN(the_vectors_of_the_rfc_hold);
    RUN(anything_loose_is_refused);
    RUN(a_body_is_wrapped_whatever_the_cuts);
    arena_done(&arena);
    return check_end();
}
