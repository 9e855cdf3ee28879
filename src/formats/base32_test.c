/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base32_test.c: RFC 4648 10 in lower case, strictness, folding. */
#include "formats/base32.h"

#include "check.h"

#include <string.h>

static str
encoded(str bytes, struct buf *buf)
{
    buf_clear(buf);
    base32_encode(bytes, buf);
    CHECK(buf->len == BASE32_LETTERS(bytes.len));
    return buf_str(buf);
}

static void
the_vectors_of_the_rfc_hold_in_lower_case(void)
{
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "my" },
        { "fo", "mzxq" },
        { "foo", "mzxw6" },
        { "foob", "mzxw6yq" },
        { "fooba", "mzxw6ytb" },
        { "foobar", "mzxw6ytboi" },
    };
    struct buf buf;

    buf_init(&buf, 100);
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        uint8_t bytes[16];
        size_t len;

        CHECK_STR(encoded(str_from(vectors[i][0]), &buf), vectors[i][1]);
        CHECK(base32_decode(str_from(vectors[i][1]), bytes, sizeof(bytes), &len) == OK);
        CHECK(len == strlen(vectors[i][0]) && memcmp(bytes, vectors[i][0], len) == 0);
    }
    buf_done(&buf);
}

static void
either_case_is_read(void)
{
    uint8_t bytes[16];
    size_t len;

    CHECK(base32_decode(S("MzXw6YtBoI"), bytes, sizeof(bytes), &len) == OK);
    CHECK(len == 6 && memcmp(bytes, "foobar", 6) == 0);
}

static void
what_no_encoder_writes_is_refused(void)
{
    static const char *const wrong[] = {
        "m",      /* Five bits are no byte. */
        "mzx",    /* A letter too many. */
        "mzxw6y", /* The same. */
        "mz",     /* Stray bits. */
        "mzxr",   /* The same, in the fourth letter. */
        "mzxw6ytboi======",
        "mz1w6",
        "mz w6",
        "mz=w6",
    };
    uint8_t bytes[16];
    size_t len;

    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK(base32_decode(str_from(wrong[i]), bytes, sizeof(bytes), &len) == ERR_SYNTAX);
}

static void
more_than_there_is_room_for_is_refused(void)
{
    uint8_t bytes[6];
    size_t len;

    CHECK(base32_decode(S("mzxw6ytboi"), bytes, 6, &len) == OK);
    CHECK(base32_decode(S("mzxw6ytboi"), bytes, 5, &len) == ERR_LIMIT);
}

int
main(void)
{
    RUN(the_vectors_of_the_rfc_hold_in_lower_case);
    RUN(either_case_is_read);
    RUN(what_no_encoder_writes_is_refused);
    RUN(more_than_there_is_room_for_is_refused);
    return check_end();
}
