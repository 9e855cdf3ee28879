/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* data_test.c: no trick with line ends makes a second message, and no cut changes a byte. */
#include "protocols/smtp/data.h"

#include "base/buf.h"
#include "base/rand.h"

#include "check.h"

struct outcome {
    struct buf content;
    unsigned violations;
    uint64_t longest;
    bool ended;
    size_t rest; /* Bytes behind the end. */
};

/* Feeds WIRE in chunks of STEP bytes; 0: sizes from 1 to 7 at random. */
static void
decode(str wire, size_t step, struct outcome *outcome)
{
    struct smtp_data_decoder decoder;
    struct rand rand;

    *outcome = (struct outcome){};
    buf_init(&outcome->content, 1 << 20);
    rand_init(&rand, wire.len);
    smtp_data_decoder_init(&decoder, SMTP_TEXT_LINE_MAX);
    while (wire.len && !outcome->ended) {
        str chunk = str_head(wire, step ? step : 1 + rand_below(&rand, 7));
        str piece;
        enum smtp_data_step got;

        wire = str_skip(wire, chunk.len);
        while ((got = smtp_data_decode(&decoder, &chunk, &piece)) == SMTP_DATA_PIECE)
            buf_add(&outcome->content, piece);
        outcome->ended = got == SMTP_DATA_END;
        outcome->rest = chunk.len + wire.len;
    }
    outcome->violations = decoder.violations;
    outcome->longest = decoder.longest;
}

static void
encode(str content, size_t step, struct buf *wire)
{
    struct smtp_data_encoder encoder;

    smtp_data_encoder_init(&encoder);
    while (content.len) {
        str chunk = str_head(content, step), piece;

        content = str_skip(content, chunk.len);
        while (smtp_data_encode(&encoder, &chunk, &piece))
            buf_add(wire, piece);
    }
    buf_add(wire, smtp_data_encode_end(&encoder));
}

struct wire_case {
    str wire;
    str content;
    unsigned violations;
    bool goes_on; /* The end has not come. */
};

/* clang-format off */
static const struct wire_case cases[] = {
    { S(".\r\n"), S("") },
    { S("a\r\n.\r\n"), S("a\r\n") },
    { S("\r\n.\r\n"), S("\r\n") },
    { S("..\r\n...x\r\n.y\r\n.\r\n"), S(".\r\n..x\r\ny\r\n") },
    { S("a.\r\nb\r\n.\r\n"), S("a.\r\nb\r\n") },
    { S("a\r\n.\r\nQUIT\r\n"), S("a\r\n") },
    { S("a\n.\nMAIL FROM:<x>\r\n.\r\n"), S("a\n.\nMAIL FROM:<x>\r\n"), SMTP_DATA_BARE_LF },
    { S("a\n.\r\nb\r\n.\r\n"), S("a\n.\r\nb\r\n"), SMTP_DATA_BARE_LF },
    { S("a\r\n.\nb\r\n.\r\n"), S("a\r\n\nb\r\n"), SMTP_DATA_BARE_LF },
    { S("a\r.\rb\r\n.\r\n"), S("a\r.\rb\r\n"), SMTP_DATA_BARE_CR },
    { S("a\r.\r\nb\r\n.\r\n"), S("a\r.\r\nb\r\n"), SMTP_DATA_BARE_CR },
    { S("a\r\n.\rb\r\n.\r\n"), S("a\r\n\rb\r\n"), SMTP_DATA_BARE_CR },
    { S("a\r\n.\r\r\nb\r\n.\r\n"), S("a\r\n\r\r\nb\r\n"), SMTP_DATA_BARE_CR },
    { S("a\r\r\n.\r\r\n.\r\n"), S("a\r\r\n\r\r\n"), SMTP_DATA_BARE_CR },
    { S("a\n\r.\n\rb\r\n.\r\n"), S("a\n\r.\n\rb\r\n"), SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF },
    { S("a\r\n.\0\r\nb\r\n.\r\n"), S("a\r\n\0\r\nb\r\n"), SMTP_DATA_NUL },
    { S("a\r\n\0.\r\nb\r\n.\r\n"), S("a\r\n\0.\r\nb\r\n"), SMTP_DATA_NUL },
    { S("a\r\n. \r\nb\r\n.\r\n"), S("a\r\n \r\nb\r\n") },
    { S("a\x0b.\x0b" "b\r\n.\r\n"), S("a\x0b.\x0b" "b\r\n") },
    { S("a\xc2\x85.\xc2\x85" "b\r\n.\r\n"), S("a\xc2\x85.\xc2\x85" "b\r\n") },
    { S("a\xe2\x80\xa8.\xe2\x80\xa8" "b\r\n.\r\n"), S("a\xe2\x80\xa8.\xe2\x80\xa8" "b\r\n") },
    { S("a\r\n."), S("a\r\n"), 0, true },
    { S("a\r\n.\r"), S("a\r\n"), 0, true },
    { S("a"), S("a"), 0, true },
};
/* clang-format on */

static void
only_crlf_dot_crlf_ends_a_message(void)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t step = 0; step <= cases[i].wire.len; step++) {
            struct outcome outcome;

            decode(cases[i].wire, step, &outcome);
            if (outcome.violations != cases[i].violations || outcome.ended == cases[i].goes_on)
                printf("case %zu, chunks of %zu\n", i, step);
            CHECK(str_eq(buf_str(&outcome.content), cases[i].content));
            CHECK(outcome.violations == cases[i].violations);
            CHECK(outcome.ended == !cases[i].goes_on);
            buf_done(&outcome.content);
        }
    }
}

static void
what_follows_the_end_stays_in_the_input(void)
{
    struct outcome outcome;

    decode(S("a\r\n.\r\nQUIT\r\n"), 100, &outcome);
    CHECK(outcome.ended && outcome.rest == 6);
    buf_done(&outcome.content);
}

static void
the_end_is_found_across_every_buffer_size(void)
{
    static const size_t sizes[] = { 512, 998, 1024, 4096, 8192, 16384, 65536 };

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t shift = 0; shift < 6; shift++) {
            struct buf wire;
            struct outcome outcome;

            buf_init(&wire, 1 << 20);
            while (wire.len + 2 < sizes[i] - shift)
                buf_add_byte(&wire, wire.len % 70 == 69 ? '.' : 'a');
            buf_add(&wire, S("\r\n.\r\nX"));
            decode(buf_str(&wire), sizes[i], &outcome);
            CHECK(outcome.ended && outcome.rest == 1);
            CHECK(outcome.content.len == wire.len - 4);
            buf_done(&outcome.content);
            buf_done(&wire);
        }
    }
}

static void
dots_survive_the_way_there_and_back(void)
{
    static const size_t steps[] = { 1, 2, 3, 510, 1024, 4096, 100000 };
    struct buf content;

    buf_init(&content, 1 << 20);
    buf_add(&content, S("..\r\n.x\r\n....\r\n.\r\na"));
    for (size_t i = 0; i < 70000; i++)
        buf_add_byte(&content, '.');
    buf_add(&content, S("\r\n.\r\n"));
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct buf wire;
        struct outcome outcome;

        buf_init(&wire, 1 << 20);
        encode(buf_str(&content), steps[i], &wire);
        decode(buf_str(&wire), steps[i], &outcome);
        CHECK(outcome.ended && outcome.rest == 0);
        CHECK(outcome.violations == SMTP_DATA_LONG_LINE);
        CHECK(str_eq(buf_str(&outcome.content), buf_str(&content)));
        buf_done(&outcome.content);
        buf_done(&wire);
    }
    buf_done(&content);
}

struct encode_case {
    str content;
    str wire;
};

/* clang-format off */
static const struct encode_case encode_cases[] = {
    { S(""), S(".\r\n") },
    { S("a"), S("a\r\n.\r\n") },
    { S("a\r\n"), S("a\r\n.\r\n") },
    { S("."), S("..\r\n.\r\n") },
    { S(".\r\n.\r\n"), S("..\r\n..\r\n.\r\n") },
    { S("a\n.\nb"), S("a\r\n..\r\nb\r\n.\r\n") },
    { S("a\r.\rb\r"), S("a\r\n..\r\nb\r\n.\r\n") },
    { S("a\r\r\n.b\n\n"), S("a\r\n\r\n..b\r\n\r\n.\r\n") },
    { S("\n\r.\n\r"), S("\r\n\r\n..\r\n\r\n.\r\n") },
    { S("\r\n\r"), S("\r\n\r\n.\r\n") },
};
/* clang-format on */

static void
what_we_send_can_be_read_in_one_way_only(void)
{
    for (size_t i = 0; i < COUNT_OF(encode_cases); i++) {
        for (size_t step = 1; step <= 10; step++) {
            struct buf wire;

            buf_init(&wire, 1 << 16);
            encode(encode_cases[i].content, step, &wire);
            if (!str_eq(buf_str(&wire), encode_cases[i].wire))
                printf("case %zu, chunks of %zu\n", i, step);
            CHECK(str_eq(buf_str(&wire), encode_cases[i].wire));
            buf_done(&wire);
        }
    }
}

static void
lines_are_measured(void)
{
    struct buf wire;
    struct outcome outcome;

    buf_init(&wire, 4096);
    for (size_t i = 0; i < SMTP_TEXT_LINE_MAX; i++)
        buf_add_byte(&wire, 'a');
    buf_add(&wire, S("\r\n.\r\n"));
    decode(buf_str(&wire), 100, &outcome);
    CHECK(outcome.violations == 0);
    buf_done(&outcome.content);
    buf_clear(&wire);
    for (size_t i = 0; i < SMTP_TEXT_LINE_MAX + 1; i++)
        buf_add_byte(&wire, 'a');
    buf_add(&wire, S("\r\n.\r\n"));
    decode(buf_str(&wire), 100, &outcome);
    CHECK(outcome.violations == SMTP_DATA_LONG_LINE);
    buf_done(&outcome.content);
    buf_done(&wire);
}

static unsigned
inspect(str first, str second, bool *has_8bit)
{
    struct smtp_data_decoder decoder;

    smtp_data_decoder_init(&decoder, 10);
    smtp_data_inspect(&decoder, first);
    smtp_data_inspect(&decoder, second);
    smtp_data_inspect_end(&decoder);
    *has_8bit = decoder.has_8bit;
    return decoder.violations;
}

static void
chunks_are_watched_without_dots(void)
{
    bool has_8bit;

    CHECK(inspect(S(".\r\n.\r"), S("\n..\r\n"), &has_8bit) == 0 && !has_8bit);
    CHECK(inspect(S("a\r"), S("b"), &has_8bit) == SMTP_DATA_BARE_CR);
    CHECK(inspect(S("a\r"), S(""), &has_8bit) == SMTP_DATA_BARE_CR);
    CHECK(inspect(S("a"), S("\nb"), &has_8bit) == SMTP_DATA_BARE_LF);
    CHECK(inspect(S("a\0"), S("b"), &has_8bit) == SMTP_DATA_NUL);
    CHECK(inspect(S("123456"), S("78901"), &has_8bit) == SMTP_DATA_LONG_LINE);
    CHECK(inspect(S("1234567890\r\n"), S("\xc3\xb6"), &has_8bit) == 0 && has_8bit);
}

/* Mostly good lines; now and then a dot in front, or a byte that should not be there. */
static void
add_random_line(struct rand *rand, struct buf *wire)
{
    static const char *const odd[] = { "\r", "\n", "\r\r\n", ".\r\n", "\n.\r\n", "\r\n.\r" };
    uint64_t kind = rand_below(rand, 40);

    if (kind < 6)
        buf_add_byte(wire, '.');
    for (uint64_t left = rand_below(rand, 100); left; left--)
        buf_add_byte(wire, (char)('!' + rand_below(rand, 90)));
    if (kind > 37)
        buf_add(wire, str_from(odd[rand_below(rand, COUNT_OF(odd))]));
    buf_add(wire, S("\r\n"));
}

static void
long_content_means_the_same_however_it_is_cut(void)
{
    for (unsigned seed = 0; seed < 400; seed++) {
        struct outcome whole, bytes;
        struct buf wire, sent_whole, sent_bytes;
        struct rand rand;

        rand_init(&rand, seed);
        buf_init(&wire, 1 << 20);
        buf_init(&sent_whole, 1 << 20);
        buf_init(&sent_bytes, 1 << 20);
        for (uint64_t lines = rand_below(&rand, 60); lines; lines--)
            add_random_line(&rand, &wire);
        decode(buf_str(&wire), SIZE_MAX, &whole);
        decode(buf_str(&wire), 1, &bytes);
        CHECK(str_eq(buf_str(&whole.content), buf_str(&bytes.content)));
        CHECK(whole.violations == bytes.violations && whole.longest == bytes.longest);
        CHECK(whole.ended == bytes.ended && whole.rest == bytes.rest);
        encode(buf_str(&wire), SIZE_MAX, &sent_whole);
        encode(buf_str(&wire), 1, &sent_bytes);
        CHECK(str_eq(buf_str(&sent_whole), buf_str(&sent_bytes)));
        buf_done(&whole.content);
        buf_done(&bytes.content);
        buf_done(&wire);
        buf_done(&sent_whole);
        buf_done(&sent_bytes);
    }
}

int
main(void)
{
    RUN(only_crlf_dot_crlf_ends_a_message);
    RUN(what_follows_the_end_stays_in_the_input);
    RUN(the_end_is_found_across_every_buffer_size);
    RUN(dots_survive_the_way_there_and_back);
    RUN(what_we_send_can_be_read_in_one_way_only);
    RUN(lines_are_measured);
    RUN(chunks_are_watched_without_dots);
    RUN(long_content_means_the_same_however_it_is_cut);
    return check_end();
}
