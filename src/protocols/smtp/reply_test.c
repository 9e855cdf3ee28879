/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* reply_test.c: replies read line by line, written within 512 bytes, and what EHLO brings. */
#include "protocols/smtp/reply.h"

#include "check.h"

/* Feeds TEXT, line by line; the first error ends it. */
static enum err
feed(struct smtp_reply *reply, str text)
{
    smtp_reply_init(reply);
    while (text.len) {
        str line;
        enum err e;

        (void)str_split(text, '\n', &line, &text);
        e = smtp_reply_add_line(reply, line);
        if (e)
            return e;
    }
    return OK;
}

struct reply_case {
    const char *wire;
    const char *formatted; /* NULL: refused. */
    bool complete;
};

/* clang-format off */
static const struct reply_case cases[] = {
    { "250 2.1.5 Fine\r\n", "250 2.1.5 Fine", true },
    { "250\r\n", "250", true },
    { "250 \r\n", "250", true },
    { "250-\r\n", "250", false },
    { "550-5.1.1 No such user\r\n550 5.1.1 here\r\n", "550 5.1.1 No such user here", true },
    { "550-5.1.1 No such user\r\n550-\r\n551 really\r\n", "551 5.1.1 No such user really", true },
    { "550 4.1.1 Odd\r\n", "550 4.1.1 Odd", true },
    { "250 5\r\n", "250 5", true },
    { "220 mx.example ESMTP \x1b[1m\xff\r\n", "220 mx.example ESMTP ?[1m?", true },
    { "250 gr\xc3\xbc\xc3\x9f\xc2\x85\r\n", "250 gr\xc3\xbc\xc3\x9f?", true },
    { "250-a\r\n550 b\r\n", NULL },
    { "250 a\r\n250 b\r\n", NULL },
    { "25\r\n", NULL },
    { "\r\n", NULL },
    { "650 x\r\n", NULL },
    { "150 x\r\n", NULL },
    { "2x0 x\r\n", NULL },
    { "250_x\r\n", NULL },
    { "HTTP/1.1 400 Bad Request\r\n", NULL },
};
/* clang-format on */

static void
replies_are_joined_and_cleaned(void)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_reply reply;
        struct buf text;
        enum err e = feed(&reply, str_from(cases[i].wire));

        if (!e != !!cases[i].formatted)
            printf("%s", cases[i].wire);
        CHECK(!e == !!cases[i].formatted);
        if (!e && cases[i].formatted) {
            buf_init(&text, 10000);
            smtp_reply_format(&reply, &text);
            CHECK_STR(buf_str(&text), cases[i].formatted);
            CHECK(reply.complete == cases[i].complete);
            buf_done(&text);
        }
        smtp_reply_done(&reply);
    }
}

static void
an_endless_reply_is_cut_and_then_refused(void)
{
    struct smtp_reply reply;
    enum err e = OK;
    unsigned lines = 0;

    smtp_reply_init(&reply);
    while (!e && lines < 5000) {
        e = smtp_reply_add_line(&reply, S("250-one more line of text that leads nowhere at all, "
                                          "which is the point of it, and has no end\r\n"));
        lines++;
    }
    CHECK(e == ERR_LIMIT && lines == SMTP_REPLY_LINES_MAX + 1);
    CHECK(reply.is_cut && reply.text.len <= SMTP_REPLY_BYTES_KEPT);
    smtp_reply_clear(&reply);
    CHECK(smtp_reply_add_line(&reply, S("250 ok")) == OK && reply.complete && !reply.is_cut);
    CHECK_STR(smtp_reply_text(&reply), "ok");
    smtp_reply_done(&reply);
}

static void
long_texts_are_wrapped_below_512_bytes(void)
{
    struct buf text, wire;
    str rest;
    unsigned lines = 0;

    buf_init(&text, 10000);
    buf_init(&wire, 20000);
    for (int i = 0; i < 300; i++)
        buf_add(&text, S("word\x01 "));
    for (int i = 0; i < 400; i++)
        buf_add(&text, S("\xc3\xb6\xc3\xb6"));
    smtp_reply_write(550, "5.7.1", buf_str(&text), true, &wire);
    rest = buf_str(&wire);
    while (rest.len) {
        str line;

        CHECK(str_split(rest, '\n', &line, &rest));
        CHECK(line.len + 1 <= SMTP_REPLY_WIRE_LINE && str_ends(line, S("\r")));
        CHECK(str_starts(line, rest.len ? S("550-5.7.1 ") : S("550 5.7.1 ")));
        CHECK(str_is_utf8(line) && str_find(line, 1) < 0);
        lines++;
    }
    CHECK(lines >= 7 && lines < 12);
    buf_done(&wire);
    buf_done(&text);
}

static void
short_texts_are_one_line_each(void)
{
    struct buf wire;

    buf_init(&wire, 1000);
    smtp_reply_write(250, NULL, S("mx.example\nSIZE 1000\nHELP"), false, &wire);
    CHECK_STR(buf_str(&wire), "250-mx.example\r\n250-SIZE 1000\r\n250 HELP\r\n");
    buf_clear(&wire);
    smtp_reply_write(250, "2.0.0", S(""), false, &wire);
    CHECK_STR(buf_str(&wire), "250 2.0.0 \r\n");
    buf_clear(&wire);
    smtp_reply_write(550, "5.1.1", S("<j\xc3\xb6rg>\rX"), false, &wire);
    CHECK_STR(buf_str(&wire), "550 5.1.1 <j??rg>?X\r\n");
    buf_done(&wire);
}

static void
capabilities_are_read(void)
{
    struct smtp_reply reply;
    struct smtp_capabilities c;

    CHECK(feed(&reply, S("250-mx.example greets you\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n"
                         "250-8BITMIME\r\n250-smtputf8\r\n250-CHUNKING\r\n250-STARTTLS\r\n"
                         "250-AUTH PLAIN LOGIN SCRAM-SHA-256-PLUS X-ODD\r\n250-AUTH=LOGIN\r\n"
                         "250-LIMITS RCPTMAX=100 MAILMAX=x FOO=1\r\n250-DSN\r\n"
                         "250 ENHANCEDSTATUSCODES\r\n")) == OK);
    smtp_capabilities_parse(&reply, &c);
    CHECK_STR(str_from(c.name), "mx.example");
    CHECK(c.pipelining && c.has_size && c.size == 35882577 && c.eightbitmime && c.smtputf8);
    CHECK(c.chunking && c.starttls && c.dsn && c.enhancedstatuscodes && !c.binarymime);
    CHECK(c.has_auth);
    CHECK(c.mechanisms == (SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN |
                           SMTP_MECHANISM_SCRAM_SHA_256_PLUS | SMTP_MECHANISM_OTHER));
    CHECK(c.rcpt_max == 100 && c.mail_max == 0);
    smtp_reply_done(&reply);

    CHECK(feed(&reply, S("250 old.example\r\n")) == OK);
    smtp_capabilities_parse(&reply, &c);
    CHECK(!c.pipelining && !c.has_size && !c.has_auth);
    smtp_reply_done(&reply);
}

int
main(void)
{
    RUN(replies_are_joined_and_cleaned);
    RUN(an_endless_reply_is_cut_and_then_refused);
    RUN(long_texts_are_wrapped_below_512_bytes);
    RUN(short_texts_are_one_line_each);
    RUN(capabilities_are_read);
    return check_end();
}
