/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_smtp_reply.c: what a server says is bounded and clean, and what we say fits the wire. */
#include "fuzz.h"

#include "protocols/smtp/reply.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("250-mx.example greets\r\n250-SIZE 1000\r\n250-AUTH PLAIN X\r\n250-LIMITS RCPTMAX=10\r\n250 DSN\r\n"),
    S("550-5.1.1 No such\r\n550 5.1.1 user \xc3\xb6\xff\x1b\r\n"), S("250\r\n"), S("421 4.3.2 Bye\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_reply(str input)
{
    struct smtp_reply reply;
    struct smtp_capabilities capabilities;
    struct buf text;

    smtp_reply_init(&reply);
    while (input.len && !reply.complete) {
        str line;

        (void)str_split(input, '\n', &line, &input);
        if (smtp_reply_add_line(&reply, line))
            break;
    }
    must(reply.text.len <= SMTP_REPLY_BYTES_KEPT && buf_ok(&reply.text));
    must(str_is_utf8(smtp_reply_text(&reply)) || reply.is_cut);
    must(str_find(smtp_reply_text(&reply), '\r') < 0 && str_find(smtp_reply_text(&reply), 0) < 0);
    smtp_capabilities_parse(&reply, &capabilities);
    buf_init(&text, 1 << 16);
    smtp_reply_format(&reply, &text);
    must(!fuzz_has_line_end(buf_str(&text)));
    buf_done(&text);
    smtp_reply_done(&reply);
}

static void
check_write(str text, bool utf8)
{
    struct smtp_reply reply;
    struct buf wire;
    str rest;

    buf_init(&wire, 1 << 24);
    smtp_reply_init(&reply);
    smtp_reply_write(550, "5.1.1", text, utf8, &wire);
    must(fuzz_is_crlf_only(buf_str(&wire)));
    rest = buf_str(&wire);
    while (rest.len) {
        str line;

        (void)str_split(rest, '\n', &line, &rest);
        must(line.len + 1 <= SMTP_REPLY_WIRE_LINE);
        must(reply.lines == SMTP_REPLY_LINES_MAX || smtp_reply_add_line(&reply, line) == OK);
        must(utf8 || str_is_ascii(line));
    }
    must(reply.lines == SMTP_REPLY_LINES_MAX || (reply.complete && reply.code == 550));
    smtp_reply_done(&reply);
    buf_done(&wire);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };

    check_reply(input);
    check_write(input, true);
    check_write(input, false);
    return 0;
}
