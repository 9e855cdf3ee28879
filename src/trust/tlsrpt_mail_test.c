/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt_mail_test.c: the message that carries a report. */
#include "trust/tlsrpt_mail.h"

#include "check.h"

static const struct tlsrpt_mail mail = {
    .from = S("tlsrpt@here.example"),
    .to = S("reports@far.example"),
    .domain = S("far.example"),
    .submitter = S("here.example"),
    .report_id = S("01JD8W@here.example"),
    .message_id = S("01JD8X@mx.here.example"),
    .begin = SECONDS(1780012800),
    .end = SECONDS(1780099200),
    .now = SECONDS(1780100000),
    .succeeded = 5,
    .failed = 2,
    .gzip = S("\x1f\x8b not really \x00\xff"),
};

static bool
has(const struct buf *buf, const char *text)
{
    return str_find_str(buf_str(buf), str_from(text)) >= 0;
}

static void
the_file_is_named_as_the_rfc_says(void)
{
    struct buf buf;

    buf_init(&buf, 1000);
    tlsrpt_file_name(&mail, &buf);
    CHECK_STR(buf_str(&buf), "here.example!far.example!1780012800!1780099199!01JD8W.json.gz");
    buf_done(&buf);
}

static void
the_message_has_what_the_rfc_wants(void)
{
    struct buf buf;

    buf_init(&buf, TLSRPT_MAIL_MAX);
    CHECK(tlsrpt_mail_format(&mail, &buf) == OK);
    CHECK(has(&buf, "\r\nTLS-Report-Domain: far.example\r\n"));
    CHECK(has(&buf, "\r\nTLS-Report-Submitter: here.example\r\n"));
    CHECK(has(&buf, "\r\nTLS-Required: No\r\n"));
    CHECK(has(&buf, "\r\nSubject: Report Domain: far.example\r\n Submitter: here.example\r\n"
                    " Report-ID: <01JD8W@here.example>\r\n"));
    CHECK(has(&buf, "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"));
    CHECK(has(&buf, "Content-Type: application/tlsrpt+gzip\r\n"));
    CHECK(has(&buf, "from 2026-05-29T00:00:00Z to 2026-05-29T23:59:59Z."));
    CHECK(has(&buf, "\r\nH4sgbm90IHJlYWxseSAA/w==\r\n\r\n--tlsrpt-01JD8W--\r\n"));
    CHECK(str_is_ascii(buf_str(&buf)) && str_ends(buf_str(&buf), S("--\r\n")));
    buf_done(&buf);
}

static void
a_message_that_does_not_fit_is_refused(void)
{
    struct buf buf;

    buf_init(&buf, 500);
    CHECK(tlsrpt_mail_format(&mail, &buf) == ERR_LIMIT);
    buf_done(&buf);
}

int
main(void)
{
    RUN(the_file_is_named_as_the_rfc_says);
    RUN(the_message_has_what_the_rfc_wants);
    RUN(a_message_that_does_not_fit_is_refused);
    return check_end();
}
