/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_test.c: reports by the letter, reports nearly so, and complaints. */
#include "formats/report.h"

#include "base/buf.h"
#include "check.h"

#define HEAD                                                                                       \
    "From: MAILER-DAEMON@mx.there.example (Mail Delivery System)\r\nTo: ann@here.example\r\n"      \
    "Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"

#define REPORT_HEAD                                                                                \
    HEAD "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n"    \
         "--b1\r\n\r\nYour message came back.\r\n"

#define ORIGINAL                                                                                   \
    "--b1\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <ann@here.example>\r\n"              \
    "Received: from pc (pc.here.example [192.0.2.7])\r\n\tby mx.here.example with ESMTPSA\r\n"     \
    "\tid 01JDN0ABC\r\n\tfor <bob@there.example>; Thu, 26 Nov 2026 22:05:56 +0000\r\n"             \
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nTo: Bob <bob@there.example>\r\n"                      \
    "Message-ID: <1@here.example>\r\n\r\nhello\r\n--b1--\r\n"

static struct arena arena;

static struct report
read_message(const char *text)
{
    struct report report = {};

    arena_clear(&arena);
    CHECK(report_read(str_from(text), &arena, &report) == OK);
    return report;
}

static void
a_code_behind_a_sentence_leaves_the_sentence(void)
{
    struct report r = read_message(
        "From: MAILER-DAEMON@mx.there.example\r\nTo: ann@here.example\r\n"
        "Subject: failure notice\r\nReturn-Path: <>\r\n\r\n"
        "Hi. This is the qmail-send program at mx.there.example.\r\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n"
        "<bob@there.example>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
        "--- Below this line is a copy of the message.\r\n\r\n"
        "Return-Path: <ann@here.example>\r\nMessage-ID: <1@here.example>\r\n\r\nhello\r\n");

    CHECK(r.recipient_count == 1);
    if (!r.recipients)
        return;
    CHECK_STR(r.recipients->status, "5.1.1");
    CHECK_STR(r.recipients->text, "Sorry, no mailbox here by that name. (#5.1.1)");
}

static void
a_report_by_the_letter_is_read_whole(void)
{
    struct report r = read_message(
        REPORT_HEAD "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"
                    "Reporting-MTA: dns; mx.there.example\r\nOriginal-Envelope-Id: QQ+2B1\r\n\r\n"
                    "Original-Recipient: rfc822;bob+2Bx@there.example\r\n"
                    "Final-Recipient: rfc822; robert@in.there.example\r\nAction: failed\r\n"
                    "Status: 5.0.0\r\nRemote-MTA: dns; in.there.example\r\n"
                    "Diagnostic-Code: smtp; 550 5.1.1 <robert@in.there.example>:\r\n"
                    "    no such user\r\n\r\n"
                    "Final-Recipient: RFC822;eve@there.example\r\nAction: delayed\r\n"
                    "Status: 4.4.1 (no answer)\r\n\r\n" ORIGINAL);
    const struct report_recipient *one = r.recipients;

    CHECK(r.kind == REPORT_FAILURE && r.form == REPORT_FORM_FIELDS && r.recipient_count == 2);
    CHECK_STR(one->original, "bob+x@there.example");
    CHECK_STR(one->final, "robert@in.there.example");
    CHECK_STR(report_address(one), "bob+x@there.example");
    CHECK(one->action == REPORT_FAILED && one->code == 550);
    CHECK_STR(one->status, "5.1.1");
    CHECK_STR(one->text, "<robert@in.there.example>: no such user");
    CHECK_STR(one->remote, "in.there.example");
    CHECK(one->next->action == REPORT_DELAYED);
    CHECK_STR(one->next->status, "4.4.1");
    CHECK_STR(r.envid, "QQ+1");
    CHECK_STR(r.reporting_mta, "mx.there.example");
    CHECK_STR(r.message_id, "<1@here.example>");
    CHECK_STR(r.return_path, "ann@here.example");
    CHECK_STR(r.original_to, "bob@there.example");
    CHECK_STR(r.original_subject, "Gr\xc3\xbc\xc3\x9f"
                                  "e");
    CHECK(r.id_count == 1);
    CHECK_STR(r.ids[0], "01JDN0ABC");
}

static void
the_tag_of_an_address_is_no_encoding(void)
{
    struct report r =
        read_message(REPORT_HEAD "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"
                                 "Reporting-MTA: dns; x.example\r\n\r\n"
                                 "Original-Recipient: rfc822;bob+42@there.example\r\n"
                                 "Action: failed\r\nStatus: 5.1.1\r\n\r\n--b1--\r\n");

    CHECK(r.recipient_count == 1);
    CHECK_STR(r.recipients->original, "bob+42@there.example");
}

static void
international_addresses_are_decoded(void)
{
    struct report r =
        read_message(REPORT_HEAD "--b1\r\nContent-Type: message/global-delivery-status\r\n\r\n"
                                 "Reporting-MTA: dns; x.example\r\n\r\n"
                                 "Original-Recipient: utf-8;j\\x{F6}rg@there.example\r\n"
                                 "Final-Recipient: utf-8; j\xc3\xb6rg@there.example\r\n"
                                 "Action: failed\r\nStatus: 5.6.7\r\n\r\n--b1--\r\n");

    CHECK(r.recipient_count == 1);
    CHECK_STR(r.recipients->original, "j\xc3\xb6rg@there.example");
    CHECK_STR(r.recipients->original_type, "utf-8");
    CHECK_STR(r.recipients->final, "j\xc3\xb6rg@there.example");
}

static void
success_is_no_failure(void)
{
    struct report r =
        read_message(REPORT_HEAD "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"
                                 "Reporting-MTA: dns; x.example\r\n\r\n"
                                 "Final-Recipient: rfc822;bob@there.example\r\n"
                                 "Action: relayed (to a gateway)\r\nStatus: 2.0.0\r\n\r\n");

    CHECK(r.kind == REPORT_SUCCESS && r.recipients->action == REPORT_RELAYED);
}

static void
groups_without_empty_lines_or_with_too_many_are_kept_apart(void)
{
    struct report r = read_message(
        REPORT_HEAD "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"
                    "Reporting-MTA: dns; x.example\r\nFinal-Recipient: rfc822;<a@there.example>\r\n"
                    "Action: failed\r\nStatus: 5.1.1\r\nFinal-Recipient: rfc822;b@there.example\r\n"
                    "Action: failed\r\nStatus: 5.2.2\r\n\r\n\r\n"
                    "Diagnostic-Code: smtp; 552 mailbox full\r\n\r\n");

    CHECK(r.recipient_count == 2);
    CHECK_STR(r.recipients->final, "a@there.example");
    CHECK_STR(r.recipients->next->final, "b@there.example");
    CHECK_STR(r.recipients->next->text, "mailbox full");
    CHECK(r.recipients->next->code == 552);
}

static void
a_forwarded_report_is_none(void)
{
    struct report r = read_message(
        "From: Ann <ann@here.example>\r\nSubject: Fwd: Undelivered Mail Returned to Sender\r\n"
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nlook\r\n--o\r\n"
        "Content-Type: message/rfc822\r\n\r\n" REPORT_HEAD
        "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Final-Recipient: rfc822;bob@there.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        "--b1--\r\n--o--\r\n");

    CHECK(r.kind == REPORT_OTHER && r.recipient_count == 0 && r.form == REPORT_FORM_NONE);
}

static void
a_complaint_names_who_complains(void)
{
    struct report r = read_message(
        "From: <abuse-reports@isp.example>\r\nTo: fbl@here.example\r\nSubject: FW: Hello\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b1\r\n\r\n"
        "--b1\r\n\r\nThis is an email abuse report.\r\n--b1\r\n"
        "Content-Type: message/feedback-report\r\n\r\n"
        "Feedback-Type: Abuse\r\nUser-Agent: Loop/1.0\r\nVersion: 1\r\n"
        "Original-Mail-From: <b.1.x@here.example>\r\nOriginal-Rcpt-To: <bob@there.example>\r\n"
        "Arrival-Date: Thu, 26 Nov 2026 22:05:56 +0000\r\nSource-IP: 192.0.2.25\r\n"
        "Reported-Domain: here.example\r\nIncidents: 3\r\n\r\n" ORIGINAL);

    CHECK(r.kind == REPORT_FEEDBACK && r.form == REPORT_FORM_ARF && r.recipient_count == 1);
    CHECK_STR(r.feedback.type, "abuse");
    CHECK_STR(r.feedback.mail_from, "b.1.x@here.example");
    CHECK_STR(r.feedback.rcpt_to, "bob@there.example");
    CHECK(r.feedback.has_source_ip && r.feedback.arrived_at && r.feedback.incidents == 3);
    CHECK_STR(r.message_id, "<1@here.example>");
}

static void
bounds_are_reached_and_said(void)
{
    struct report r;
    struct buf buf;

    buf_init(&buf, 1 << 20);
    buf_add(&buf, S(REPORT_HEAD "--b1\r\nContent-Type: message/delivery-status\r\n\r\n"));
    for (int i = 0; i <= REPORT_RECIPIENTS_MAX; i++)
        buf_addf(&buf, "Final-Recipient: rfc822;r%d@there.example\r\nAction: failed\r\n\r\n", i);
    r = read_message(buf_cstr(&buf));
    CHECK(r.recipient_count == REPORT_RECIPIENTS_MAX && r.is_cut);
    buf_clear(&buf);
    buf_add(&buf, S(HEAD "Content-Type: multipart/report; boundary=b1\r\n\r\n"));
    for (int i = 0; i < REPORT_PARTS_MAX + 1; i++)
        buf_add(&buf, S("--b1\r\n\r\nx\r\n"));
    CHECK(read_message(buf_cstr(&buf)).is_cut);
    buf_done(&buf);
}

int
main(void)
{
    arena_init(&arena, REPORT_ARENA);
    RUN(a_code_behind_a_sentence_leaves_the_sentence);
    RUN(a_report_by_the_letter_is_read_whole);
    RUN(the_tag_of_an_address_is_no_encoding);
    RUN(international_addresses_are_decoded);
    RUN(success_is_no_failure);
    RUN(groups_without_empty_lines_or_with_too_many_are_kept_apart);
    RUN(a_forwarded_report_is_none);
    RUN(a_complaint_names_who_complains);
    RUN(bounds_are_reached_and_said);
    arena_done(&arena);
    return check_end();
}
