/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* Messages as local programs write them, and what becomes of them. */
#include "cli/sendmail_message.h"

#include "check.h"

static struct arena arena;
static struct buf out;

static void
write_out(void *, str bytes)
{
    buf_add(&out, bytes);
}

/* INPUT by pieces of STEP bytes. */
static enum err
pass(struct sendmail_message *message, str input, size_t step)
{
    enum err e;

    arena_clear(&arena);
    buf_clear(&out);
    message->arena = &arena;
    message->write = write_out;
    sendmail_message_init(message);
    for (; input.len; input = str_skip(input, step))
        sendmail_message_add(message, str_head(input, step));
    e = sendmail_message_end(message);
    sendmail_message_done(message);
    return e;
}

static void
line_ends_become_crlf_however_the_bytes_come(void)
{
    for (size_t step = 1; step < 40; step++) {
        struct sendmail_message message = { 0 };

        CHECK(!pass(&message, S("Subject: x\nFrom: a@b.c\r\n\nline\r\nlast"), step));
        CHECK_STR(buf_str(&out), "Subject: x\r\nFrom: a@b.c\r\n\r\nline\r\nlast\r\n");
    }
}

static void
a_missing_from_is_added_with_a_quoted_name(void)
{
    struct sendmail_message message = { .from = S("ann@example.org"),
                                        .full_name = S("Ann \"the\r\nBoss\" O\\N") };

    CHECK(!pass(&message, S("Subject: x\n\nbody\n"), 100));
    CHECK_STR(buf_str(&out),
              "From: \"Ann theBoss ON\" <ann@example.org>\r\nSubject: x\r\n\r\nbody\r\n");
}

static void
a_body_without_header_gets_an_empty_line_in_front(void)
{
    struct sendmail_message message = { 0 };

    CHECK(!pass(&message, S("just words\nmore\n"), 100));
    CHECK_STR(buf_str(&out), "\r\njust words\r\nmore\r\n");
}

static void
a_dot_ends_the_message_only_where_it_may(void)
{
    struct sendmail_message ends = { .dot_ends = true }, goes_on = { 0 };

    CHECK(!pass(&ends, S("\nbody\n.\nrest\n"), 3));
    CHECK(ends.ended);
    CHECK_STR(buf_str(&out), "\r\nbody\r\n");
    CHECK(!pass(&goes_on, S("\nbody\n.\nrest\n"), 3));
    CHECK_STR(buf_str(&out), "\r\nbody\r\n.\r\nrest\r\n");
}

static void
recipients_are_collected_from_the_header(void)
{
    struct sendmail_message message = { .collect = true };

    CHECK(!pass(&message,
                S("To: Ann <ann@example.org>,\n root\nCc: bob@example.net (Bob)\nbcc: "
                  "carl@example.com\nSubject: To: nobody@example.org\n\nTo: no@example.org\n"),
                7));
    CHECK(message.recipient_count == 4);
    CHECK_STR(message.recipients[0], "root");
    CHECK_STR(message.recipients[1], "ann@example.org");
    CHECK_STR(message.recipients[2], "bob@example.net");
    CHECK_STR(message.recipients[3], "carl@example.com");
}

static void
resent_recipients_take_the_place_of_the_first_ones(void)
{
    struct sendmail_message message = { .collect = true };

    CHECK(!pass(&message, S("Resent-To: new@example.org\nTo: old@example.org\n\nx\n"), 100));
    CHECK(message.recipient_count == 1);
    CHECK_STR(message.recipients[0], "new@example.org");
}

static void
what_is_no_address_is_named(void)
{
    struct sendmail_message message = { .collect = true };

    CHECK(pass(&message, S("To: ann@@example.org\n\nx\n"), 100) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(message.why.text), S("ann@@example.org")) >= 0);
}

static void
bytes_that_would_be_refused_are_made_harmless(void)
{
    struct sendmail_message message = { 0 };

    CHECK(!pass(&message, S("A: b\n\nx\ry\0z\xc3\xa9\n"), 100));
    CHECK_STR(buf_str(&out), "A: b\r\n\r\nx yz\xc3\xa9\r\n");
    CHECK(message.has_8bit);
}

static void
an_endless_header_is_refused(void)
{
    struct sendmail_message message = { 0 };
    struct buf input;

    buf_init(&input, 2 * SENDMAIL_HEADER_MAX);
    while (input.len < SENDMAIL_HEADER_MAX + 100)
        buf_add(&input, S("X-Field: with some words in it, again and again\n"));
    buf_add(&input, S("\nbody\n"));
    CHECK(pass(&message, buf_str(&input), 4096) == ERR_LIMIT);
    buf_done(&input);
}

static void
the_separator_of_an_mbox_is_left_out(void)
{
    struct sendmail_message message = { 0 };

    CHECK(!pass(&message, S("From ann Mon Nov 23 10:00:00 2026\nSubject: x\n\nFrom here\n"), 100));
    CHECK_STR(buf_str(&out), "Subject: x\r\n\r\nFrom here\r\n");
}

int
main(void)
{
    arena_init(&arena, 8 << 20);
    buf_init(&out, 4 << 20);
    RUN(line_ends_become_crlf_however_the_bytes_come);
    RUN(a_missing_from_is_added_with_a_quoted_name);
    RUN(a_body_without_header_gets_an_empty_line_in_front);
    RUN(a_dot_ends_the_message_only_where_it_may);
    RUN(recipients_are_collected_from_the_header);
    RUN(resent_recipients_take_the_place_of_the_first_ones);
    RUN(what_is_no_address_is_named);
    RUN(bytes_that_would_be_refused_are_made_harmless);
    RUN(an_endless_header_is_refused);
    RUN(the_separator_of_an_mbox_is_left_out);
    arena_done(&arena);
    buf_done(&out);
    return check_end();
}
