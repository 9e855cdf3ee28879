/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dsn_test.c: reports for humans and programs, into which no stranger can write a line. */
#include "formats/dsn.h"

#include "check.h"

static struct dsn_recipient recipients[] = {
    {
        .original = S("rfc822;bob+x@example.net"),
        .address = S("bob@example.net"),
        .action = DSN_FAILED,
        .status = S("5.1.1"),
        .remote = S("mx.example.net [192.0.2.9]"),
        .code = 550,
        .text = S("No such user here, and there has never been one of that name as far as "
                  "anybody can remember"),
        .last_attempt = SECONDS(1795730756),
    },
    {
        .address = S("eve@example.net"),
        .action = DSN_DELAYED,
        .status = S("4.4.1"),
        .text = S("The server does not answer"),
        .will_retry_until = SECONDS(1796162756),
    },
};

static struct dsn
example(size_t count)
{
    return (struct dsn){
        .reporting_mta = S("mx.example.org"),
        .from = S("postmaster@mx.example.org"),
        .to = S("ann@example.org"),
        .message_id = S("01JDN0"),
        .envid = S("QQ314"),
        .arrived_at = SECONDS(1795730000),
        .now = SECONDS(1795730800),
        .recipients = recipients,
        .recipient_count = count,
        .header = S("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.org>\r\n\r\n"),
    };
}

static void
check_has(const struct buf *buf, const char *text)
{
    if (str_find_str(buf_str(buf), str_from(text)) < 0)
        printf("missing: %s\nin:\n%.*s\n", text, STR_ARG(buf_str(buf)));
    CHECK(str_find_str(buf_str(buf), str_from(text)) >= 0);
}

/* Every line ends in CRLF, has no other control, and is at most 998 long. */
static void
check_lines(const struct buf *buf)
{
    str rest = buf_str(buf);

    while (rest.len) {
        str line;

        CHECK(str_split(rest, '\n', &line, &rest));
        CHECK(str_ends(line, S("\r")) && line.len <= 999);
        for (size_t i = 0; i + 1 < line.len; i++)
            CHECK((unsigned char)line.ptr[i] >= 0x20 || line.ptr[i] == '\t');
    }
}

static void
a_failure_is_told_to_humans_and_programs(void)
{
    struct dsn dsn = example(1);
    struct buf buf;

    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_lines(&buf);
    check_has(&buf, "To: <ann@example.org>\r\nSubject: Your message was not delivered\r\n");
    check_has(&buf, "Auto-Submitted: auto-replied\r\n");
    check_has(&buf, "In-Reply-To: <1@example.org>\r\n");
    check_has(&buf,
              "multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_report_01JDN0\"");
    check_has(&buf, "Your message could not be delivered.\r\n");
    check_has(&buf, "    Subject: Gr\xc3\xbc\xc3\x9f"
                    "e\r\n");
    check_has(&buf, "bob@example.net\r\n    Not delivered: there is no such mailbox.\r\n");
    check_has(
        &buf,
        "    The server mx.example.net [192.0.2.9] said: 550 5.1.1 No such user\r\n    here, and");
    check_has(&buf, "What you can do: Check the address for mistakes");
    check_has(&buf,
              "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n"
              "Original-Envelope-Id: QQ314\r\nArrival-Date: ");
    check_has(&buf,
              "\r\n\r\nOriginal-Recipient: rfc822; bob+x@example.net\r\n"
              "Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
              "Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 5.1.1 No such");
    check_has(&buf, "Last-Attempt-Date: Thu, 26 Nov 2026 22:05:56 +0000\r\n");
    check_has(&buf, "Content-Type: text/rfc822-headers\r\n\r\nSubject: =?utf-8?");
    CHECK(str_ends(buf_str(&buf), S("\r\n--=_report_01JDN0--\r\n")));
    buf_done(&buf);
}

static void
a_delay_says_until_when(void)
{
    struct dsn dsn = example(1);
    struct buf buf;

    dsn.recipients = &recipients[1];
    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_lines(&buf);
    check_has(&buf, "Subject: Your message is delayed\r\n");
    check_has(&buf, "    Reason: The server does not answer\r\n");
    check_has(&buf, "We go on trying until Tue, 1 Dec 2026 22:05:56 +0000.\r\n");
    check_has(&buf, "Action: delayed\r\nStatus: 4.4.1\r\n");
    check_has(&buf, "Will-Retry-Until: Tue, 1 Dec 2026 22:05:56 +0000\r\n");
    buf_done(&buf);
}

static void
success_is_told_without_advice(void)
{
    static const struct dsn_recipient done[] = {
        { .address = S("a@x"), .action = DSN_DELIVERED },
        { .address = S("b@x"), .action = DSN_RELAYED, .status = S("2.1.9") },
        { .address = S("c@x"), .action = DSN_EXPANDED },
    };
    struct dsn dsn = example(0);
    struct buf buf;

    dsn.recipients = done;
    dsn.recipient_count = 3;
    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_has(&buf, "Subject: Your message was delivered\r\n");
    check_has(&buf, "a@x\r\n    Delivered to the mailbox.\r\n");
    check_has(&buf, "Action: delivered\r\nStatus: 2.0.0\r\n");
    check_has(&buf, "Action: relayed\r\nStatus: 2.1.9\r\n");
    check_has(&buf, "Action: expanded\r\n");
    CHECK(str_find_str(buf_str(&buf), S("What you can do")) < 0);
    buf_done(&buf);
}

static void
international_reports_have_their_own_types(void)
{
    static const struct dsn_recipient one = { .original = S("utf-8;j\xc3\xb6@x"),
                                              .address = S("j\xc3\xb6@x"),
                                              .action = DSN_FAILED };
    struct dsn dsn = example(1);
    struct buf buf;

    dsn.recipients = &one;
    dsn.utf8 = true;
    dsn.header = S("Subject: \xc3\xb6\r\n\r\n");
    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_has(&buf, "Content-Type: message/global-delivery-status\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n");
    check_has(&buf, "Final-Recipient: utf-8; j\xc3\xb6@x\r\n");
    check_has(&buf, "Content-Type: message/global-headers\r\n");
    buf_clear(&buf);
    dsn.utf8 = false;
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_has(&buf, "Content-Type: message/delivery-status\r\n");
    check_has(&buf, "Original-Recipient: utf-8; j\\x{F6}@x\r\n");
    buf_done(&buf);
}

static void
the_whole_message_is_returned_when_wanted(void)
{
    struct dsn dsn = example(1);
    struct buf buf;

    dsn.with_body = true;
    dsn.header = S("Subject: x\n\n");
    dsn.body = S("one\ntwo\0\rx\r\nthree");
    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_lines(&buf);
    check_has(&buf, "message/rfc822\r\n\r\nSubject: x\r\n\r\none\r\ntwo??x\r\nthree\r\n\r\n--=_");
    buf_done(&buf);
}

static void
no_stranger_writes_a_line(void)
{
    struct dsn_recipient evil = {
        .original = S("rfc822;a\r\nX-Evil: 1"),
        .address = S("\"b\r\nX-Evil: 2\"@x"),
        .action = DSN_FAILED,
        .status = S("5.1.1\r\nX-Evil: 3"),
        .remote = S("mx\r\nX-Evil: 4 [1.2.3.4]"),
        .code = 550,
        .text = S("no\r\nX-Evil: 5\r\n\r\n--=_report_01JDN0--"),
    };
    struct dsn dsn = example(1);
    struct buf buf;

    dsn.recipients = &evil;
    dsn.to = S("\"a\r\nX-Evil: 6\"@x");
    dsn.envid = S("e\r\nX-Evil: 7");
    buf_init(&buf, 1 << 16);
    CHECK(dsn_format(&dsn, &buf) == OK);
    check_lines(&buf);
    CHECK(str_find_str(buf_str(&buf), S("\nX-Evil")) < 0);
    buf_done(&buf);
}

static void
a_report_has_a_ceiling(void)
{
    struct dsn dsn = example(2);
    struct buf buf;

    buf_init(&buf, 1000);
    CHECK(dsn_format(&dsn, &buf) == ERR_LIMIT);
    buf_done(&buf);
}

int
main(void)
{
    RUN(a_failure_is_told_to_humans_and_programs);
    RUN(a_delay_says_until_when);
    RUN(success_is_told_without_advice);
    RUN(international_reports_have_their_own_types);
    RUN(the_whole_message_is_returned_when_wanted);
    RUN(no_stranger_writes_a_line);
    RUN(a_report_has_a_ceiling);
    return check_end();
}
