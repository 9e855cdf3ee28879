/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_data.c: the content of a message: the same whatever the cuts, one end, and nothing but CRLF
 * going out.
 *
 * The decoder is held against a slow one that knows the whole input.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/rand.h"
#include "protocols/smtp/data.h"

enum {
    LINE_MAX_HERE = 20,
    CONTENT_MAX = 1 << 24
};

/* clang-format off */
const str fuzz_seeds[] = {
    S("Subject: x\r\n\r\na\r\n..b\r\n.\r\nQUIT\r\n"), S("a\n.\nb\r\n.\r\n"), S("a\r.\r\n\r\n.\r\n"),
    S("\r\n.\r\r\n.\n\r\n.\0\r\n.\r\n"), S(".\r\n"), S("01234567890123456789\r\n0123456789\xff\r\n.\r\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

struct outcome {
    struct buf content;
    unsigned violations;
    bool has_8bit;
    bool ended;
    size_t used;
};

static void
outcome_init(struct outcome *outcome)
{
    *outcome = (struct outcome){};
    buf_init(&outcome->content, CONTENT_MAX);
}

/* SEED 0: in one piece. */
static void
decode(str wire, uint64_t seed, struct outcome *outcome)
{
    struct smtp_data_decoder decoder;
    struct rand rand;

    outcome_init(outcome);
    rand_init(&rand, seed);
    smtp_data_decoder_init(&decoder, LINE_MAX_HERE);
    while (wire.len && !outcome->ended) {
        str chunk = str_head(wire, seed ? 1 + rand_below(&rand, 9) : wire.len), piece;
        size_t size = chunk.len;
        enum smtp_data_step step;

        while ((step = smtp_data_decode(&decoder, &chunk, &piece)) == SMTP_DATA_PIECE)
            buf_add(&outcome->content, piece);
        outcome->ended = step == SMTP_DATA_END;
        outcome->used += size - chunk.len;
        wire = str_skip(wire, size - chunk.len);
    }
    outcome->violations = decoder.violations;
    outcome->has_8bit = decoder.has_8bit;
}

/* Byte by byte, by the words of RFC 5321 alone. */
static void
decode_slowly(str wire, struct outcome *outcome)
{
    bool at_line_start = true;
    size_t line = 0;

    outcome_init(outcome);
    for (size_t i = 0; i < wire.len; i++) {
        char c = wire.ptr[i];

        if (at_line_start && str_starts(str_skip(wire, i), S(".\r\n"))) {
            outcome->ended = true;
            outcome->used = i + 3;
            return;
        }
        if (str_starts(str_skip(wire, i), S("\r\n"))) {
            buf_add(&outcome->content, S("\r\n"));
            at_line_start = true;
            line = 0;
            i++;
            continue;
        }
        outcome->used = wire.len;
        if (at_line_start && c == '.') {
            at_line_start = false;
            continue;
        }
        at_line_start = false;
        buf_add_byte(&outcome->content, c);
        if (c == '\r' && i + 1 < wire.len)
            outcome->violations |= SMTP_DATA_BARE_CR;
        if (c == '\n')
            outcome->violations |= SMTP_DATA_BARE_LF;
        if (c == '\0')
            outcome->violations |= SMTP_DATA_NUL;
        if ((unsigned char)c > 0x7f)
            outcome->has_8bit = true;
        if (++line > LINE_MAX_HERE && !(c == '\r' && i + 1 == wire.len))
            outcome->violations |= SMTP_DATA_LONG_LINE;
    }
    outcome->used = wire.len;
}

static void
check_same(const struct outcome *a, const struct outcome *b, bool whole)
{
    must(a->violations == b->violations && a->has_8bit == b->has_8bit && a->ended == b->ended);
    must(a->used == b->used);
    must(!whole || str_eq(buf_str(&a->content), buf_str(&b->content)));
}

static void
encode(str content, uint64_t seed, struct buf *wire)
{
    struct smtp_data_encoder encoder;
    struct rand rand;

    rand_init(&rand, seed);
    buf_init(wire, CONTENT_MAX);
    smtp_data_encoder_init(&encoder);
    while (content.len) {
        str chunk = str_head(content, seed ? 1 + rand_below(&rand, 9) : content.len), piece;

        content = str_skip(content, chunk.len);
        while (smtp_data_encode(&encoder, &chunk, &piece))
            buf_add(wire, piece);
        must(chunk.len == 0);
    }
    buf_add(wire, smtp_data_encode_end(&encoder));
}

static void
check_round_trip(str content)
{
    struct buf wire, again;
    struct outcome outcome;

    encode(content, 0, &wire);
    encode(content, content.len + 1, &again);
    must(str_eq(buf_str(&wire), buf_str(&again)));
    must(fuzz_is_crlf_only(buf_str(&wire)));
    decode(buf_str(&wire), 0, &outcome);
    must(outcome.ended && outcome.used == wire.len);
    must(!(outcome.violations & (SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF)));
    if (content.len && fuzz_is_crlf_only(content))
        must(str_eq(buf_str(&outcome.content), content));
    buf_done(&outcome.content);
    buf_done(&again);
    buf_done(&wire);
}

static void
check_inspect(str input)
{
    struct smtp_data_decoder whole, cut;

    smtp_data_decoder_init(&whole, LINE_MAX_HERE);
    smtp_data_decoder_init(&cut, LINE_MAX_HERE);
    smtp_data_inspect(&whole, input);
    smtp_data_inspect_end(&whole);
    for (size_t at = 0; at < input.len; at += 3)
        smtp_data_inspect(&cut, str_head(str_skip(input, at), 3));
    smtp_data_inspect_end(&cut);
    must(whole.violations == cut.violations && whole.has_8bit == cut.has_8bit);
    must(whole.longest == cut.longest);
    must(fuzz_is_crlf_only(input) || (whole.violations & (SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF)) ||
         !str_ends(input, S("\r\n")));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct outcome whole, cut, slow;

    decode(input, 0, &whole);
    decode(input, size + 1, &cut);
    decode_slowly(input, &slow);
    check_same(&whole, &cut, true);
    check_same(&whole, &slow, whole.ended);
    check_round_trip(input);
    check_round_trip(buf_str(&whole.content));
    check_inspect(input);
    buf_done(&whole.content);
    buf_done(&cut.content);
    buf_done(&slow.content);
    return 0;
}
