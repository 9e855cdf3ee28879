/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_header.c: header sections, and what is made of the values in them. */
#include "fuzz.h"

#include "formats/encoded_word.h"
#include "formats/header.h"
#include "formats/header_address.h"
#include "formats/received.h"
#include "mail/lane.h"

#include <string.h>

/* clang-format off */
const str fuzz_seeds[] = {
    S("From: Ann <ann@x>, g: (c)b . c@d;\r\nSubject: =?utf-8?q?J=C3=B6?= =?iso-8859-1?B?5A==?=\r\n"
      "Received: x\r\n y\r\nBcc: z\r\n\r\nbody"),
    S("\"Lee, Ann\" <@a,@b:ann@example.org> (c (d) \\) e)"),
    S("=?utf-8?q?a?=\r\n =?utf-8?q?b?= c =?windows-1252?q?=80?="),
    S("no field\r\nA: b\n\n"),
    S("Subject: =?utf-8?b?0JLQsNGIINC60L7QtCA0ODI5?= G-482913\r\nUser-Agent: Mutt\r\n"),
    S("From: <noreply@x>\r\nSubject: 482 913 \xc4\xb0\xc5\xbf code\xef\xbc\x9a\r\nList-Id: <x>\r\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_end_is_found_alike(str input)
{
    size_t scanned = 0, size = 0, scanned_again = 0, size_again = 0;
    bool found = header_find_end(input, &scanned, &size), again = false;

    for (size_t have = 0; have <= input.len && !again; have += 1 + have % 5)
        again = header_find_end(str_head(input, have), &scanned_again, &size_again);
    if (!again)
        again = header_find_end(input, &scanned_again, &size_again);
    must(found == again && (!found || (size == size_again && size <= input.len)));
}

/* Lines of printable ASCII, each but the first behind a blank. */
static bool
is_folded_ascii(str s)
{
    bool first = true;

    while (s.len) {
        str line;
        bool more = str_split(s, '\n', &line, &s);

        if (more && !str_ends(line, S("\r")))
            return false;
        if (!str_is_printable(str_head(line, line.len - more)) ||
            (!first && !str_starts(line, S(" "))))
            return false;
        first = false;
    }
    return true;
}

static void
check_value(str value, struct arena *arena)
{
    struct header_address *list = NULL;
    struct buf encoded;
    str text, again;

    if (!header_unfold(value, arena, &text))
        must(!fuzz_has_line_end(text));
    if (!header_addresses_parse(value, 50, arena, &list))
        for (; list; list = list->next)
            must(list->address.domain.len && !fuzz_has_line_end(list->address.local));
    if (encoded_word_decode(value, arena, &text))
        return;
    must(str_is_utf8(text) && !fuzz_has_line_end(text));
    buf_init(&encoded, 1 << 20);
    encoded_word_encode(text, 9, &encoded);
    must(buf_ok(&encoded) && is_folded_ascii(buf_str(&encoded)));
    if (!encoded_word_decode(buf_str(&encoded), arena, &again) && text.len && text.ptr[0] != ' ' &&
        text.ptr[text.len - 1] != ' ')
        must(str_eq(again, text));
    buf_done(&encoded);
}

static void
check_trace(str input)
{
    struct received received = { .helo = input,
                                 .rdns = input,
                                 .has_ip = true,
                                 .by = S("mx.example"),
                                 .protocol = S("ESMTP"),
                                 .tls = input,
                                 .id = S("1"),
                                 .for_rcpt = input,
                                 .utf8 = input.len % 2 };
    struct buf buf;
    str rest, line;

    buf_init(&buf, 1 << 20);
    received_format(&received, &buf);
    must(buf_ok(&buf) && fuzz_is_crlf_only(buf_str(&buf)));
    (void)str_split(buf_str(&buf), '\n', &line, &rest);
    while (rest.len) {
        must(rest.ptr[0] == '\t');
        (void)str_split(rest, '\n', &line, &rest);
    }
    buf_done(&buf);
}

static void
check_lane(const struct header_facts *header)
{
    struct lane_facts facts = { .header = header, .recipients = 1 };
    char why[LANE_WHY_MAX];
    enum lane lane = lane_of(&facts, why);

    must(why[0] && strlen(why) < LANE_WHY_MAX && str_is_utf8(str_from(why)));
    must(lane != LANE_CODE || !header->list_id.ptr);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size }, section = input;
    struct header_facts facts;
    struct header_field field;
    struct arena arena;
    size_t total = 0, count = 0;

    arena_init(&arena, 1 << 20);
    check_end_is_found_alike(input);
    while (header_next(&section, &field)) {
        total += field.raw.len;
        count++;
        must(field.raw.len && field.value.len <= field.raw.len);
        check_value(field.value, &arena);
    }
    must(total + section.len == size);
    if (!header_survey(input, 1000, &facts)) {
        must(facts.fields == count && facts.malformed <= count);
        check_lane(&facts);
    }
    check_value(input, &arena);
    check_trace(input);
    arena_done(&arena);
    return 0;
}
