/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_base64.c: base 64 and xtext: there is one spelling of every value, and it comes back. */
#include "fuzz.h"

#include "formats/base64.h"
#include "formats/xtext.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("Zm9vYmFy"), S("Zm9vYg=="), S("Zm8="), S("AAA"), S("a+2Bb+3D"), S("+"), S("rfc822;a+2Bb@c"),
    S("utf-8;j\\x{F6}+20@x\\x{1F600}"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_base64(str input, struct arena *arena)
{
    struct buf coded, lines;
    struct base64_encoder encoder;
    str bytes, rest = input;

    buf_init(&coded, 1 << 24);
    buf_init(&lines, 1 << 24);
    if (!base64_decode(input, arena, &bytes)) {
        base64_encode(bytes, &coded);
        must(str_eq(buf_str(&coded), input));
        buf_clear(&coded);
    }
    base64_encode(input, &coded);
    if (!base64_decode(buf_str(&coded), arena, &bytes))
        must(str_eq(bytes, input));
    base64_encoder_init(&encoder);
    while (rest.len)
        base64_encoder_add(&encoder, &rest, 1 + rest.len % 7, &lines);
    base64_encoder_end(&encoder, &lines);
    rest = buf_str(&lines);
    buf_clear(&lines);
    must(fuzz_is_crlf_only(rest));
    while (rest.len) {
        str line, all = buf_str(&coded);
        size_t at = lines.len;

        (void)str_split(rest, '\n', &line, &rest);
        line.len--;
        must(line.len <= BASE64_LINE && str_starts(str_skip(all, at), line));
        lines.len += line.len;
    }
    must(lines.len == coded.len);
    buf_done(&lines);
    buf_done(&coded);
}

static void
check_xtext(str input, struct arena *arena)
{
    struct buf coded;
    str bytes, type;

    buf_init(&coded, 1 << 24);
    xtext_encode(input, &coded);
    must(str_is_printable(buf_str(&coded)));
    if (xtext_decode(buf_str(&coded), arena, &bytes) == OK)
        must(str_eq(bytes, input));
    if (xtext_is_printable(input) && !xtext_decode(input, arena, &bytes))
        must(str_is_printable(bytes));
    if (!orcpt_parse(input, arena, &type, &bytes))
        must(!fuzz_has_line_end(bytes) && str_is_utf8(bytes));
    buf_done(&coded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    check_base64((str){ (const char *)data, size }, &arena);
    check_xtext((str){ (const char *)data, size }, &arena);
    arena_done(&arena);
    return 0;
}
