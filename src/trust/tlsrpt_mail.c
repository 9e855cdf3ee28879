/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt_mail.c: two parts, one for a human and one for a program.
 *
 * Everything in it is ours but the address and the domain, which came through their parsers: no
 * byte of them can end a line.  RFC 8460 5.3, 5.6; RFC 6522; RFC 8689 5.
 */
#include "trust/tlsrpt_mail.h"

#include "formats/base64.h"
#include "formats/date.h"

static str
unique_part(const struct tlsrpt_mail *mail)
{
    str left, right;

    (void)str_split(mail->report_id, '@', &left, &right);
    return left;
}

static int64_t
seconds(instant when)
{
    return when / SECONDS(1);
}

void
tlsrpt_file_name(const struct tlsrpt_mail *mail, struct buf *buf)
{
    buf_addf(buf, "%.*s!%.*s!%lld!%lld!%.*s.json.gz", STR_ARG(mail->submitter),
             STR_ARG(mail->domain), (long long)seconds(mail->begin),
             (long long)seconds(mail->end) - 1, STR_ARG(unique_part(mail)));
}

static void
add_fields(const struct tlsrpt_mail *mail, struct buf *buf)
{
    char date[DATE_TEXT_MAX];

    date_format(mail->now, 0, date);
    buf_addf(buf, "From: <%.*s>\r\nTo: <%.*s>\r\nDate: %s\r\n", STR_ARG(mail->from),
             STR_ARG(mail->to), date);
    buf_addf(buf,
             "Subject: Report Domain: %.*s\r\n Submitter: %.*s\r\n Report-ID: <%.*s>\r\n"
             "Message-ID: <%.*s>\r\n",
             STR_ARG(mail->domain), STR_ARG(mail->submitter), STR_ARG(mail->report_id),
             STR_ARG(mail->message_id));
    buf_addf(buf, "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %.*s\r\n",
             STR_ARG(mail->domain), STR_ARG(mail->submitter));
    /* RFC 8460 5.3: it comes whatever is wrong with their TLS, for that is what it tells. */
    buf_addf(buf, "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    buf_addf(buf,
             "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
             " boundary=\"tlsrpt-%.*s\"\r\n\r\n",
             STR_ARG(unique_part(mail)));
}

static void
add_words(const struct tlsrpt_mail *mail, struct buf *buf)
{
    char begin[DATE_TEXT_MAX], end[DATE_TEXT_MAX];

    date_format_rfc3339(mail->begin, false, begin);
    date_format_rfc3339(mail->end - SECONDS(1), false, end);
    buf_addf(buf,
             "--tlsrpt-%.*s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
             "This is an aggregate report about TLS (RFC 8460) of connections\r\n"
             "from %.*s\r\nto the mail hosts of %.*s\r\nfrom %s to %s.\r\n\r\n"
             "%llu succeeded, %llu failed.\r\n\r\n",
             STR_ARG(unique_part(mail)), STR_ARG(mail->submitter), STR_ARG(mail->domain), begin,
             end, (unsigned long long)mail->succeeded, (unsigned long long)mail->failed);
}

static void
add_file(const struct tlsrpt_mail *mail, struct buf *buf)
{
    struct base64_encoder encoder;
    str rest = mail->gzip;

    buf_addf(buf,
             "--tlsrpt-%.*s\r\nContent-Type: application/tlsrpt+gzip\r\n"
             "Content-Transfer-Encoding: base64\r\n"
             "Content-Disposition: attachment;\r\n filename=\"",
             STR_ARG(unique_part(mail)));
    tlsrpt_file_name(mail, buf);
    buf_add(buf, S("\"\r\n\r\n"));
    base64_encoder_init(&encoder);
    while (rest.len && buf_ok(buf))
        base64_encoder_add(&encoder, &rest, rest.len, buf);
    base64_encoder_end(&encoder, buf);
    buf_addf(buf, "\r\n--tlsrpt-%.*s--\r\n", STR_ARG(unique_part(mail)));
}

enum err
tlsrpt_mail_format(const struct tlsrpt_mail *mail, struct buf *buf)
{
    add_fields(mail, buf);
    add_words(mail, buf);
    add_file(mail, buf);
    return buf_ok(buf) ? OK : ERR_LIMIT;
}
