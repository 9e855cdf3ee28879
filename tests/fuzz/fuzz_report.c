/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_report.c: whatever comes back is read with bounded work, and nothing that is found in it can
 * end a line. */
#include "fuzz.h"

#include "formats/report.h"

#define HEAD "From: MAILER-DAEMON@mx.example\r\nTo: ann@here.example\r\nSubject: failure notice\r\n"

/* clang-format off */
const str fuzz_seeds[] = {
    S(HEAD "Content-Type: multipart/report; boundary=b\r\n\r\n"
      "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
      "Reporting-MTA: dns; mx.example\r\nOriginal-Envelope-Id: Q+2B\r\n\r\n"
      "Final-Recipient: utf-8; j\\x{F6}@x.example\r\n"
      "Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 5.1.1 =?utf-8?q?n=C3=B6?=\r\n\r\n--b\r\n"
      "Content-Type: message/rfc822\r\n\r\nReceived: by x id 1; now\r\nMessage-ID: <1@here.example>\r\n\r\n--b--\r\n"),
    S("Content-Type: multipart/report; boundary=\"b\"\n\n--b\nContent-Type: message/feedback-report\n"
      "Content-Transfer-Encoding: base64\n\nRmVlZGJhY2stVHlwZTogYWJ1c2UKT3JpZ2luYWwtUmNwdC1UbzogPGJAeC55Pgo=\n--b--\n"),
    S(HEAD "\r\nHi. This is the qmail-send program at mx.example.\r\n\r\n<bob@x.example>:\r\n"
      "192.0.2.1 does not like recipient.\r\nRemote host said: 550 5.1.1 no\r\n\r\n"
      "--- Below this line is a copy of the message.\r\n\r\n"
      "Return-Path: <ann@here.example>\r\nMessage-ID: <1@here.example>\r\n"),
    S(HEAD "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "<style>a</style><p>Address not found<br>"
      "Your message wasn't delivered to <b>bob=40x.example</b> because &lt;no&gt;</p>\r\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_text(str text)
{
    must(!fuzz_has_line_end(text));
    must(str_is_utf8(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct report report = {};
    struct arena arena;
    size_t count = 0;

    arena_init(&arena, REPORT_ARENA);
    must(report_read(input, &arena, &report) == OK);
    for (const struct report_recipient *r = report.recipients; r; r = r->next) {
        count++;
        must(report_address(r).len);
        check_text(r->original);
        check_text(r->final);
        check_text(r->status);
        check_text(r->text);
        check_text(r->remote);
        must(report.kind != REPORT_OTHER && report.kind != REPORT_AUTO_REPLY);
    }
    must(count == report.recipient_count && count <= REPORT_RECIPIENTS_MAX);
    check_text(report.envid);
    check_text(report.message_id);
    check_text(report.return_path);
    check_text(report.original_to);
    check_text(report.subject);
    check_text(report.from);
    check_text(report.feedback.type);
    for (size_t i = 0; i < report.id_count; i++)
        check_text(report.ids[i]);
    arena_done(&arena);
    return 0;
}
