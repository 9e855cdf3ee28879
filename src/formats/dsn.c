/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dsn.c: reports of delivery.
 *
 * Everything in a report that came from a stranger (addresses, replies, the original's
 * header) passes one of three gates: add_clean() for the middle of a line, add_field() for
 * a field that folds, add_lines() for whole lines; so that none of it can add a field or
 * end a part.  Start reading at dsn_format().
 */
#include "formats/dsn.h"

#include "formats/date.h"
#include "formats/encoded_word.h"
#include "formats/enhanced.h"
#include "formats/header.h"
#include "formats/xtext.h"

enum {
    FOLD_COLUMN = 76,
    SUBJECT_SHOWN_MAX = 200,
    SUBJECT_ARENA = 8192
};

/* clang-format off */
static const char *const action_names[] = {
    [DSN_FAILED] = "failed",
    [DSN_DELAYED] = "delayed",
    [DSN_DELIVERED] = "delivered",
    [DSN_RELAYED] = "relayed",
    [DSN_EXPANDED] = "expanded",
};

static const char *const default_status[] = {
    [DSN_FAILED] = "5.0.0",
    [DSN_DELAYED] = "4.0.0",
    [DSN_DELIVERED] = "2.0.0",
    [DSN_RELAYED] = "2.0.0",
    [DSN_EXPANDED] = "2.0.0",
};

/* In the order in which they decide what the report is called. */
static const char *const subjects[] = {
    [DSN_FAILED] = "Your message was not delivered",
    [DSN_DELAYED] = "Your message is delayed",
    [DSN_DELIVERED] = "Your message was delivered",
    [DSN_RELAYED] = "Your message was passed on",
    [DSN_EXPANDED] = "Your message was passed on",
};
/* clang-format on */

const char *
dsn_action_name(enum dsn_action action)
{
    return action_names[action];
}

static bool
is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* Controls become "?", and so do bytes beyond ASCII unless they are UTF-8 and UTF8. */
static void
add_clean(struct buf *buf, str text, bool utf8)
{
    bool keep = utf8 && str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buf_add_byte(buf, is_control(c) || (c > 0x7f && !keep) ? '?' : (char)c);
    }
}

/* TEXT in lines of at most 76 bytes, broken at blanks, each behind INDENT; a word too long is
 * broken hard. */
static void
add_wrapped(struct buf *buf, str text, size_t column, str indent, bool utf8)
{
    while (text.len) {
        size_t room = column + 20 < FOLD_COLUMN ? FOLD_COLUMN - column : FOLD_COLUMN;
        str line = str_head(text, room);
        ssize_t blank = line.len < text.len ? str_find_last(line, ' ') : -1;

        if (blank > 0)
            line.len = (size_t)blank;
        else
            while (line.len < text.len && line.len > 1 &&
                   ((unsigned char)text.ptr[line.len] & 0xc0) == 0x80)
                line.len--;
        add_clean(buf, line, utf8);
        text = str_skip(text, line.len);
        while (text.len && text.ptr[0] == ' ')
            text = str_skip(text, 1);
        buf_add(buf, S("\r\n"));
        if (text.len)
            buf_add(buf, indent);
        column = indent.len;
    }
}

/* "NAME: VALUE", folded. */
static void
add_field(struct buf *buf, str name, str value, bool utf8)
{
    buf_add(buf, name);
    buf_add(buf, S(": "));
    add_wrapped(buf, value, name.len + 2, S(" "), utf8);
}

static void
add_date_field(struct buf *buf, const struct dsn *dsn, const char *name, instant when)
{
    char text[DATE_TEXT_MAX];

    date_format(when, dsn->zone_minutes, text);
    buf_addf(buf, "%s: %s\r\n", name, text);
}

/* Whole lines of the original: every line end becomes CRLF, NUL becomes "?". */
static void
add_lines(struct buf *buf, str text)
{
    while (text.len && buf_ok(buf)) {
        ssize_t end = str_find(text, '\n');
        str line = str_head(text, end < 0 ? text.len : (size_t)end);

        text = str_skip(text, end < 0 ? text.len : (size_t)end + 1);
        if (str_ends(line, S("\r")))
            line.len--;
        while (line.len) {
            ssize_t nul = str_find(line, '\0'), cr = str_find(line, '\r');
            size_t run = nul < 0 ? line.len : (size_t)nul;

            run = cr < 0 ? run : MIN(run, (size_t)cr);
            buf_add(buf, str_head(line, run));
            line = str_skip(line, run);
            if (line.len)
                buf_add_byte(buf, '?');
            line = str_skip(line, 1);
        }
        buf_add(buf, S("\r\n"));
    }
}

/* What is known beforehand. */

/* The worst that happened names the report. */
static enum dsn_action
worst_action(const struct dsn *dsn)
{
    enum dsn_action worst = DSN_EXPANDED;

    for (size_t i = 0; i < dsn->recipient_count; i++)
        worst = MIN(worst, dsn->recipients[i].action);
    return worst;
}

static bool
has_international_address(const struct dsn *dsn)
{
    for (size_t i = 0; i < dsn->recipient_count; i++)
        if (!str_is_ascii(dsn->recipients[i].address) || !str_is_ascii(dsn->recipients[i].original))
            return true;
    return false;
}

static str
status_of(const struct dsn_recipient *r)
{
    struct enhanced code;

    if (enhanced_parse(r->status, &code, NULL))
        return r->status;
    return str_from(default_status[r->action]);
}

static void
add_boundary(struct buf *buf, const struct dsn *dsn)
{
    buf_add(buf, S("=_report_"));
    add_clean(buf, dsn->message_id, false);
}

static void
begin_part(struct buf *buf, const struct dsn *dsn, str type, bool is_8bit)
{
    buf_add(buf, S("\r\n--"));
    add_boundary(buf, dsn);
    buf_add(buf, S("\r\nContent-Type: "));
    buf_add(buf, type);
    buf_add(buf, is_8bit ? S("\r\nContent-Transfer-Encoding: 8bit\r\n\r\n") : S("\r\n\r\n"));
}

static void
add_header(struct buf *buf, const struct dsn *dsn)
{
    struct header_field field;

    buf_add(buf, S("From: Mail delivery <"));
    add_clean(buf, dsn->from, dsn->utf8);
    buf_add(buf, S(">\r\nTo: <"));
    add_clean(buf, dsn->to, dsn->utf8);
    buf_addf(buf, ">\r\nSubject: %s\r\n", subjects[worst_action(dsn)]);
    add_date_field(buf, dsn, "Date", dsn->now);
    buf_add(buf, S("Message-ID: <"));
    add_clean(buf, dsn->message_id, false);
    buf_add_byte(buf, '@');
    add_clean(buf, dsn->reporting_mta, false);
    buf_add(buf, S(">\r\n"));
    if (header_find(dsn->header, S("Message-ID"), &field) && field.value.len < 900 &&
        str_is_printable(field.value)) {
        add_field(buf, S("In-Reply-To"), field.value, false);
        add_field(buf, S("References"), field.value, false);
    }
    buf_add(buf,
            S("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\""));
    add_boundary(buf, dsn);
    buf_add(buf, S("\"\r\n\r\nThis is a report about your message, in MIME format.\r\n"));
}

/* The part for humans. */

struct advice {
    const char *status; /* The front of it: "5.1." */
    const char *text;
};

/* The first that fits counts. */
/* clang-format off */
static const struct advice advices[] = {
    { "5.1.10", "Ask the recipient for another address." },
    { "5.1.7", "Check the sender address in your mail program." },
    { "5.1.8", "Check the sender address in your mail program." },
    { "5.1.6", "Ask the recipient for the new address." },
    { "5.1.", "Check the address for mistakes, and send the message again to the right one." },
    { "5.2.2", "Send it again later, or tell the recipient by other means that the mailbox is full." },
    { "5.2.3", "Send it again without large attachments." },
    { "5.3.4", "Send it again without large attachments." },
    { "5.4.6", "Tell the postmaster of the recipient's domain that forwarding goes round in a loop." },
    { "5.4.7", "Send it again later, or ask the recipient by other means." },
    { "4.", "Send it again later, or ask the recipient by other means." },
    { "5.4.", "Check the part behind the \"@\" for mistakes; if it is right, send it again later." },
    { "5.5.3", "Send it to fewer recipients at once." },
    { "5.6.7", "Ask the recipient for an address in plain letters (ASCII)." },
    { "5.7.", "Ask the recipient by other means, and show this report to your mail administrator." },
    { "5.", "Show this report to your mail administrator." },
};
/* clang-format on */

static const char *
advice_for(str status)
{
    for (size_t i = 0; i < COUNT_OF(advices); i++) {
        str front = str_from(advices[i].status);

        if (str_ends(front, S(".")) ? str_starts(status, front) : str_eq(status, front))
            return advices[i].text;
    }
    return advices[COUNT_OF(advices) - 1].text;
}

static void
say(struct buf *buf, str text, bool utf8)
{
    buf_add(buf, S("    "));
    add_wrapped(buf, text, 4, S("    "), utf8);
}

/* "mx.example.org [192.0.2.1] said: 550 5.1.1 No such user" */
static void
say_reply(struct buf *buf, const struct dsn_recipient *r, bool utf8)
{
    struct buf line;

    if (r->text.len == 0 && r->code == 0)
        return;
    buf_init(&line, 4096);
    if (r->remote.len) {
        buf_add(&line, S("The server "));
        buf_add(&line, str_head(r->remote, 300));
        buf_add(&line, S(" said: "));
    } else {
        buf_add(&line, S("Reason: "));
    }
    if (r->code)
        buf_addf(&line, "%u ", r->code);
    if (r->status.len && r->code)
        buf_addf(&line, "%.*s ", STR_ARG(str_head(r->status, 11)));
    buf_add(&line, str_head(r->text, 2000));
    say(buf, buf_str(&line), utf8);
    buf_done(&line);
}

static void
say_outcome(struct buf *buf, const struct dsn *dsn, const struct dsn_recipient *r)
{
    struct enhanced code = {};
    char date[DATE_TEXT_MAX];

    (void)enhanced_parse(status_of(r), &code, NULL);
    switch (r->action) {
    case DSN_FAILED:
        buf_addf(buf, "    Not delivered: %s.\r\n", enhanced_meaning_said(&code, r->text));
        break;
    case DSN_DELAYED:
        buf_addf(buf, "    Not delivered yet: %s.\r\n", enhanced_meaning(&code));
        break;
    case DSN_DELIVERED:
        buf_add(buf, S("    Delivered to the mailbox.\r\n"));
        break;
    case DSN_RELAYED:
        buf_add(buf,
                dsn->deliver_by
                    ? S("    Passed on to the next mail server.\r\n")
                    : S("    Passed on to a mail server that sends no reports of its own.\r\n"));
        break;
    case DSN_EXPANDED:
        buf_add(buf, S("    Passed on to the members of this address.\r\n"));
        break;
    }
    say_reply(buf, r, true);
    if (r->action == DSN_DELAYED && r->will_retry_until) {
        date_format(r->will_retry_until, dsn->zone_minutes, date);
        buf_addf(buf, "    We go on trying until %s.\r\n    You need not do anything.\r\n", date);
    }
    if (r->action == DSN_FAILED) {
        buf_add(buf, S("    What you can do: "));
        add_wrapped(buf, str_from(advice_for(status_of(r))), 21, S("    "), false);
    }
}

/* "Subject: …" of the original, decoded; nothing if it has none. */
static void
say_subject(struct buf *buf, const struct dsn *dsn)
{
    struct header_field field;
    struct arena arena;
    str text;

    if (!header_find(dsn->header, S("Subject"), &field) || field.value.len == 0)
        return;
    arena_init(&arena, SUBJECT_ARENA);
    if (!encoded_word_decode(str_head(field.value, 2 * SUBJECT_SHOWN_MAX), &arena, &text)) {
        size_t size = MIN(text.len, SUBJECT_SHOWN_MAX);

        while (size && size < text.len && ((unsigned char)text.ptr[size] & 0xc0) == 0x80)
            size--;
        buf_add(buf, S("    Subject: "));
        add_wrapped(buf, str_head(text, size), 13, S("        "), true);
    }
    arena_done(&arena);
}

#define ONLY_A_NOTE                                                                                \
    "This is only a note;\r\nit is being tried again, and you need not send it again."

static const char *
opening_for_one(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return "could not be delivered.";
    case DSN_DELAYED:
        return "has not been delivered yet. " ONLY_A_NOTE;
    case DSN_DELIVERED:
        return "was delivered.";
    case DSN_RELAYED:
    case DSN_EXPANDED:
        break;
    }
    return "was passed on.";
}

static const char *
opening_for_many(enum dsn_action worst)
{
    switch (worst) {
    case DSN_FAILED:
        return "could not be delivered to everyone it was meant for.";
    case DSN_DELAYED:
        return "has not been delivered to everyone yet. " ONLY_A_NOTE;
    case DSN_DELIVERED:
    case DSN_RELAYED:
    case DSN_EXPANDED:
        break;
    }
    return opening_for_one(worst);
}

static void
say_everything(struct buf *buf, const struct dsn *dsn)
{
    enum dsn_action worst = worst_action(dsn);
    char date[DATE_TEXT_MAX];

    buf_add(buf, S("This is the mail system at "));
    add_clean(buf, dsn->reporting_mta, false);
    buf_addf(buf, ".\r\n\r\nYour message %s\r\n\r\n",
             dsn->recipient_count == 1 ? opening_for_one(worst) : opening_for_many(worst));
    say_subject(buf, dsn);
    date_format(dsn->arrived_at, dsn->zone_minutes, date);
    buf_addf(buf, "    Received here: %s\r\n", date);
    for (size_t i = 0; i < dsn->recipient_count && buf_ok(buf); i++) {
        buf_add(buf, S("\r\n"));
        add_clean(buf, dsn->recipients[i].address, true);
        buf_add(buf, S("\r\n"));
        say_outcome(buf, dsn, &dsn->recipients[i]);
    }
}

/* The words are UTF-8 only where the original's subject or a reply brought some. */
static void
add_human_part(struct buf *buf, const struct dsn *dsn)
{
    struct buf words;

    buf_init(&words, buf->max);
    say_everything(&words, dsn);
    begin_part(buf, dsn, S("text/plain; charset=utf-8"), !str_is_ascii(buf_str(&words)));
    buf_add(buf, buf_str(&words));
    if (!buf_ok(&words))
        buf->overflowed = true;
    buf_done(&words);
}

/* The part for programs. */

/* "rfc822; ann@example.org", or RFC 6533's "utf-8; …": as it is when the part may hold UTF-8, else
 * escaped. */
static void
add_address_field(struct buf *buf, const char *name, str type, str address, bool utf8)
{
    buf_addf(buf, "%s: %.*s; ", name, STR_ARG(type));
    if (utf8 || str_is_ascii(address)) {
        add_clean(buf, address, utf8);
    } else {
        struct buf plain, coded;

        buf_init(&plain, 8192);
        buf_init(&coded, 8192);
        buf_add(&plain, S("utf-8;"));
        buf_add(&plain, address);
        orcpt_format(buf_str(&plain), false, &coded);
        buf_add(buf, str_skip(buf_str(&coded), 6));
        buf_done(&plain);
        buf_done(&coded);
    }
    buf_add(buf, S("\r\n"));
}

static void
add_recipient_fields(struct buf *buf, const struct dsn *dsn, const struct dsn_recipient *r,
                     bool utf8)
{
    str type = str_is_ascii(r->address) ? S("rfc822") : S("utf-8");
    str original_type, original;

    buf_add(buf, S("\r\n"));
    if (str_split(r->original, ';', &original_type, &original) && str_is_printable(original_type))
        add_address_field(buf, "Original-Recipient", original_type, original, utf8);
    add_address_field(buf, "Final-Recipient", type, r->address, utf8);
    buf_addf(buf, "Action: %s\r\n", action_names[r->action]);
    add_field(buf, S("Status"), status_of(r), false);
    if (r->remote.len) {
        str name, rest;

        (void)str_split(r->remote, ' ', &name, &rest);
        buf_add(buf, S("Remote-MTA: dns; "));
        add_clean(buf, str_head(name, 255), false);
        buf_add(buf, S("\r\n"));
    }
    if (r->code) {
        struct buf line;

        buf_init(&line, 4096);
        buf_addf(&line, "smtp; %u ", r->code);
        if (r->status.len)
            buf_addf(&line, "%.*s ", STR_ARG(str_head(r->status, 11)));
        buf_add(&line, str_head(r->text, 2000));
        add_field(buf, S("Diagnostic-Code"), buf_str(&line), utf8);
        buf_done(&line);
    }
    if (r->last_attempt)
        add_date_field(buf, dsn, "Last-Attempt-Date", r->last_attempt);
    if (r->action == DSN_DELAYED && r->will_retry_until)
        add_date_field(buf, dsn, "Will-Retry-Until", r->will_retry_until);
}

static void
add_status_part(struct buf *buf, const struct dsn *dsn)
{
    bool utf8 = dsn->utf8 && has_international_address(dsn);

    begin_part(buf, dsn, utf8 ? S("message/global-delivery-status") : S("message/delivery-status"),
               utf8);
    buf_add(buf, S("Reporting-MTA: dns; "));
    add_clean(buf, dsn->reporting_mta, false);
    buf_add(buf, S("\r\n"));
    if (dsn->envid.len)
        add_field(buf, S("Original-Envelope-Id"), dsn->envid, false);
    add_date_field(buf, dsn, "Arrival-Date", dsn->arrived_at);
    if (dsn->deliver_by)
        add_date_field(buf, dsn, "Deliver-By-Date", dsn->deliver_by);
    for (size_t i = 0; i < dsn->recipient_count && buf_ok(buf); i++)
        add_recipient_fields(buf, dsn, &dsn->recipients[i], utf8);
}

static void
add_original_part(struct buf *buf, const struct dsn *dsn)
{
    bool header_8bit = !str_is_ascii(dsn->header);
    bool global = dsn->utf8 && header_8bit;

    if (dsn->with_body) {
        begin_part(buf, dsn, global ? S("message/global") : S("message/rfc822"),
                   header_8bit || !str_is_ascii(dsn->body));
        add_lines(buf, dsn->header);
        add_lines(buf, dsn->body);
    } else {
        begin_part(buf, dsn, global ? S("message/global-headers") : S("text/rfc822-headers"),
                   header_8bit);
        add_lines(buf, dsn->header);
    }
}

enum err
dsn_format(const struct dsn *dsn, struct buf *buf)
{
    add_header(buf, dsn);
    add_human_part(buf, dsn);
    add_status_part(buf, dsn);
    add_original_part(buf, dsn);
    buf_add(buf, S("\r\n--"));
    add_boundary(buf, dsn);
    buf_add(buf, S("--\r\n"));
    return buf_ok(buf) ? OK : ERR_LIMIT;
}
