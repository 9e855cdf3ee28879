/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_message.c: writes the test message. */
#include "cli/test_message.h"

#include "formats/date.h"
#include "formats/encoded_word.h"

void
test_message_crlf(str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n')
            continue;
        if (c == '\n' || c == '\r')
            buf_add(out, S("\r\n"));
        else
            buf_add_byte(out, c);
    }
    if (!str_ends(buf_str(out), S("\r\n")))
        buf_add(out, S("\r\n"));
}

static void
write_header(const struct test_message_options *o, struct buf *out)
{
    char date[DATE_TEXT_MAX];

    date_format(o->now, 0, date);
    buf_addf(out, "Date: %s\r\nFrom: <%.*s>\r\nTo: ", date, STR_ARG(o->from));
    for (size_t i = 0; i < o->to_count; i++)
        buf_addf(out, "%s<%.*s>", i ? ",\r\n " : "", STR_ARG(o->to[i]));
    buf_add(out, S("\r\nSubject: "));
    encoded_word_encode(o->subject, 9, out);
    buf_addf(out,
             "\r\nMessage-ID: <%llx.%llx@%.*s>\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
             (unsigned long long)o->now, (unsigned long long)o->unique, STR_ARG(o->helo_name));
}

void
test_message_write(const struct test_message_options *o, struct buf *out)
{
    static const str filler =
        S("This line stands here to make the test message as large as it was asked for.\r\n");

    write_header(o, out);
    if (o->body.len)
        test_message_crlf(o->body, out);
    else
        buf_addf(
            out,
            "This is a test message.\r\n\r\nIt was sent by `outpost test send` through %.*s.\r\n"
            "That you read it means that the way is open.\r\n",
            STR_ARG(o->server));
    while (out->len < o->size && buf_ok(out))
        buf_add(out, filler);
}
