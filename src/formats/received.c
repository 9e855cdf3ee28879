/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* received.c: one Received: field, in which nothing that a peer said can end a line or a comment.
 */
#include "formats/received.h"

#include "formats/date.h"

enum {
    WORD_MAX = 255,
    ADDRESS_SHOWN_MAX = 600
};

/* TEXT without what could be structure: controls, blanks, and the bytes in FORBIDDEN become "?". */
static void
add_harmless(struct buf *buf, str text, str forbidden, bool utf8)
{
    bool keep = utf8 && str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool bad =
            c <= 0x20 || c == 0x7f || (c > 0x7f && !keep) || str_find(forbidden, (char)c) >= 0;

        buf_add_byte(buf, bad ? '?' : (char)c);
    }
}

static void
add_word(struct buf *buf, str text, bool utf8)
{
    add_harmless(buf, str_head(text, WORD_MAX), S("()<>\\\";,@"), utf8);
}

/* An address may hold quotes and blanks; those in the quotes are fine, a line end is not. */
static void
add_address(struct buf *buf, str text, bool utf8)
{
    bool keep = utf8 && str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        buf_add_byte(buf, c < 0x20 || c == 0x7f || (c > 0x7f && !keep) ? '?' : (char)c);
    }
}

static void
add_from(const struct received *r, struct buf *buf)
{
    char text[IPADDR_TEXT_MAX];

    buf_add(buf, S("from "));
    add_word(buf, r->helo.len ? r->helo : S("unknown"), r->utf8);
    if (!r->has_ip)
        return;
    ipaddr_format(r->ip, text);
    buf_add(buf, S(" ("));
    add_word(buf, r->rdns.len ? r->rdns : S("unknown"), r->utf8);
    buf_addf(buf, " [%s%s])", ipaddr_is_v4(r->ip) ? "" : "IPv6:", text);
}

/* RFC 8314 4.3: after all that RFC 5321 names; the version is a comment. */
static void
add_tls(str tls, struct buf *buf)
{
    str version, cipher;

    if (!tls.len)
        return;
    (void)str_split(tls, ' ', &version, &cipher);
    buf_add(buf, S("\r\n\ttls "));
    add_word(buf, cipher, false);
    buf_add(buf, S(" ("));
    add_word(buf, version, false);
    buf_add(buf, S(")"));
}

void
received_format(const struct received *r, struct buf *buf)
{
    char date[DATE_TEXT_MAX];
    bool has_from = r->helo.len || r->has_ip;

    buf_add(buf, S("Received: "));
    if (has_from) {
        add_from(r, buf);
        buf_add(buf, S("\r\n\t"));
    }
    buf_add(buf, S("by "));
    add_word(buf, r->by, r->utf8);
    buf_add(buf, S(" with "));
    add_word(buf, r->protocol, false);
    buf_add(buf, S("\r\n\tid "));
    add_word(buf, r->id, false);
    if (r->for_rcpt.len && r->for_rcpt.len <= ADDRESS_SHOWN_MAX) {
        buf_add(buf, S("\r\n\tfor <"));
        add_address(buf, r->for_rcpt, r->utf8);
        buf_add_byte(buf, '>');
    }
    add_tls(r->tls, buf);
    date_format(r->when, r->zone_minutes, date);
    buf_addf(buf, ";\r\n\t%s\r\n", date);
}

const char *
received_protocol(bool lmtp, bool esmtp, bool tls, bool auth, bool utf8)
{
    /* clang-format off */
    static const char *const names[3][4] = {
        { "ESMTP",    "ESMTPS",    "ESMTPA",    "ESMTPSA" },
        { "LMTP",     "LMTPS",     "LMTPA",     "LMTPSA" },
        { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
    };
    /* clang-format on */

    if (utf8 && lmtp)
        return tls ? auth ? "UTF8LMTPSA" : "UTF8LMTPS" : auth ? "UTF8LMTPA" : "UTF8LMTP";
    if (!esmtp && !lmtp && !utf8)
        return "SMTP"; /* RFC 3848 knows no SMTPS. */
    return names[utf8 ? 2 : lmtp][(tls ? 1 : 0) + (auth ? 2 : 0)];
}
