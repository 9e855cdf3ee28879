/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* reply.c: replies in both directions.  Start reading at smtp_reply_add_line() for a server's,
 * at smtp_reply_write() for ours, at smtp_capabilities_parse() for the list that EHLO brings.
 */
#include "protocols/smtp/reply.h"

#include "base/cursor.h"

#include <string.h>

void
smtp_reply_init(struct smtp_reply *reply)
{
    *reply = (struct smtp_reply){};
    buf_init(&reply->text, SMTP_REPLY_BYTES_KEPT);
}

void
smtp_reply_done(struct smtp_reply *reply)
{
    buf_done(&reply->text);
}

void
smtp_reply_clear(struct smtp_reply *reply)
{
    struct buf text = reply->text;

    buf_clear(&text);
    *reply = (struct smtp_reply){ .text = text };
}

/* "250", "250 text", "250-text"; RFC 5321 4.2.1: a client takes a code without anything behind it.
 */
static enum err
split_line(str line, unsigned *code, bool *last, str *text)
{
    unsigned number = 0;

    if (str_ends(line, S("\n")))
        line.len--;
    if (str_ends(line, S("\r")))
        line.len--;
    if (line.len < 3 || line.ptr[0] < '2' || line.ptr[0] > '5')
        return ERR_SYNTAX;
    for (size_t i = 0; i < 3; i++) {
        if (!ascii_is_digit(line.ptr[i]))
            return ERR_SYNTAX;
        number = number * 10 + (unsigned)(line.ptr[i] - '0');
    }
    if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
        return ERR_SYNTAX;
    *code = number;
    *last = line.len == 3 || line.ptr[3] == ' ';
    *text = str_trim(str_skip(line, 4));
    return OK;
}

/* Controls as "?", and bytes beyond ASCII, too, unless they are UTF-8 and wanted. */
static void
add_clean(struct buf *buf, str text, bool utf8)
{
    bool keep = utf8 && str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;

        if (is_c1)
            i++;
        if (c == '\t')
            c = ' ';
        buf_add_byte(buf, c < 0x20 || c == 0x7f || is_c1 || (c > 0x7f && !keep) ? '?' : (char)c);
    }
}

/* Cuts what does not fit: the rest of this line and all lines after it. */
static void
keep_text(struct smtp_reply *reply, str text)
{
    size_t room;

    if (reply->is_cut || reply->lines > SMTP_REPLY_LINES_KEPT) {
        reply->is_cut = true;
        return;
    }
    if (reply->lines > 1 && reply->text.len < reply->text.max)
        buf_add_byte(&reply->text, '\n');
    room = reply->text.max - reply->text.len;
    reply->is_cut = text.len > room;
    add_clean(&reply->text, str_head(text, room), true);
}

enum err
smtp_reply_add_line(struct smtp_reply *reply, str line)
{
    struct enhanced enhanced;
    unsigned code;
    bool last;
    str text, rest;
    enum err e = split_line(line, &code, &last, &text);

    if (e)
        return e;
    if (reply->complete || (reply->code && reply->code / 100 != code / 100))
        return ERR_SYNTAX;
    if (reply->lines == SMTP_REPLY_LINES_MAX)
        return ERR_LIMIT;
    reply->code = code;
    reply->complete = last;
    reply->lines++;
    if (enhanced_parse(text, &enhanced, &rest) && enhanced.class == code / 100) {
        if (!reply->enhanced.class)
            reply->enhanced = enhanced;
        text = rest;
    }
    keep_text(reply, text);
    return OK;
}

str
smtp_reply_text(const struct smtp_reply *reply)
{
    return buf_str(&reply->text);
}

void
smtp_reply_format(const struct smtp_reply *reply, struct buf *buf)
{
    str text = smtp_reply_text(reply);
    char enhanced[ENHANCED_TEXT_MAX];

    buf_addf(buf, "%u", reply->code);
    if (reply->enhanced.class) {
        enhanced_format(&reply->enhanced, reply->code, enhanced);
        buf_addf(buf, " %s", enhanced);
    }
    while (text.len) {
        str line;

        (void)str_split(text, '\n', &line, &text);
        if (line.len == 0)
            continue;
        buf_add_byte(buf, ' ');
        buf_add(buf, line);
    }
}

/* Ours. */

/* As much of TEXT as fits in ROOM bytes, broken at a blank if there is one, never within a UTF-8
 * sequence. */
static str
take_line(str *text, size_t room)
{
    str line = str_head(*text, room);
    ssize_t blank;

    if (line.len < text->len) {
        blank = str_find_last(line, ' ');
        if (blank > 0)
            line.len = (size_t)blank;
        else
            while (line.len > 1 && ((unsigned char)text->ptr[line.len] & 0xc0) == 0x80)
                line.len--;
    }
    *text = str_skip(*text, line.len);
    while (text->len && text->ptr[0] == ' ')
        *text = str_skip(*text, 1);
    return line;
}

void
smtp_reply_write(unsigned code, const char *enhanced, str text, bool utf8, struct buf *buf)
{
    size_t prefix = 4 + (enhanced ? strlen(enhanced) + 1 : 0);
    str paragraph;

    (void)str_split(text, '\n', &paragraph, &text);
    for (;;) {
        str line = take_line(&paragraph, SMTP_REPLY_WIRE_LINE - 2 - prefix);
        bool last = paragraph.len == 0 && text.len == 0;

        buf_addf(buf, "%03u%c", code, last ? ' ' : '-');
        if (enhanced)
            buf_addf(buf, "%s ", enhanced);
        add_clean(buf, line, utf8);
        buf_add(buf, S("\r\n"));
        if (last)
            return;
        if (paragraph.len == 0)
            (void)str_split(text, '\n', &paragraph, &text);
    }
}

/* What EHLO brings. */

struct mechanism_row {
    const char *name;
    unsigned bit;
};

/* clang-format off */
static const struct mechanism_row mechanisms[] = {
    { "PLAIN",              SMTP_MECHANISM_PLAIN },
    { "LOGIN",              SMTP_MECHANISM_LOGIN },
    { "CRAM-MD5",           SMTP_MECHANISM_CRAM_MD5 },
    { "SCRAM-SHA-1",        SMTP_MECHANISM_SCRAM_SHA_1 },
    { "SCRAM-SHA-1-PLUS",   SMTP_MECHANISM_SCRAM_SHA_1_PLUS },
    { "SCRAM-SHA-256",      SMTP_MECHANISM_SCRAM_SHA_256 },
    { "SCRAM-SHA-256-PLUS", SMTP_MECHANISM_SCRAM_SHA_256_PLUS },
    { "EXTERNAL",           SMTP_MECHANISM_EXTERNAL },
    { "XOAUTH2",            SMTP_MECHANISM_XOAUTH2 },
    { "OAUTHBEARER",        SMTP_MECHANISM_OAUTHBEARER },
};
/* clang-format on */

unsigned
smtp_mechanism_from_name(str name)
{
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++)
        if (str_eq_nocase(name, str_from(mechanisms[i].name)))
            return mechanisms[i].bit;
    return SMTP_MECHANISM_OTHER;
}

static void
read_mechanisms(str names, struct smtp_capabilities *capabilities)
{
    capabilities->has_auth = true;
    while (names.len) {
        str name;

        (void)str_split(names, ' ', &name, &names);
        if (name.len)
            capabilities->mechanisms |= smtp_mechanism_from_name(name);
    }
}

/* RFC 9422 4: "RCPTMAX=100 MAILMAX=20"; what is unknown or malformed is overlooked. */
static void
read_limits(str limits, struct smtp_capabilities *capabilities)
{
    while (limits.len) {
        str item, name, number;
        uint64_t value;

        (void)str_split(limits, ' ', &item, &limits);
        if (!str_split(item, '=', &name, &number) || !str_to_u64(number, &value))
            continue;
        if (str_eq_nocase(name, S("RCPTMAX")))
            capabilities->rcpt_max = value;
        else if (str_eq_nocase(name, S("MAILMAX")))
            capabilities->mail_max = value;
        else if (str_eq_nocase(name, S("RCPTDOMAINMAX")))
            capabilities->rcptdomain_max = value;
    }
}

struct flag_row {
    const char *keyword;
    size_t offset;
};

#define FLAG(keyword, member)                                                                      \
    {                                                                                              \
        keyword, offsetof(struct smtp_capabilities, member)                                        \
    }

/* clang-format off */
static const struct flag_row flags[] = {
    FLAG("PIPELINING", pipelining),
    FLAG("8BITMIME", eightbitmime),
    FLAG("SMTPUTF8", smtputf8),
    FLAG("CHUNKING", chunking),
    FLAG("BINARYMIME", binarymime),
    FLAG("DSN", dsn),
    FLAG("STARTTLS", starttls),
    FLAG("ENHANCEDSTATUSCODES", enhancedstatuscodes),
    FLAG("REQUIRETLS", requiretls),
    FLAG("MT-PRIORITY", mt_priority),
    FLAG("DELIVERBY", deliverby),
};
/* clang-format on */

static void
read_capability(str line, struct smtp_capabilities *capabilities)
{
    str keyword, args;

    (void)str_split(line, ' ', &keyword, &args);
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (str_eq_nocase(keyword, str_from(flags[i].keyword)))
            *(bool *)((char *)capabilities + flags[i].offset) = true;
    if (str_eq_nocase(keyword, S("SIZE")))
        capabilities->has_size = args.len == 0 || str_to_u64(str_trim(args), &capabilities->size);
    else if (str_eq_nocase(keyword, S("AUTH")))
        read_mechanisms(args, capabilities);
    else if (str_starts_nocase(line, S("AUTH="))) /* As servers before RFC 2554 wrote it. */
        read_mechanisms(str_skip(line, 5), capabilities);
    else if (str_eq_nocase(keyword, S("LIMITS")))
        read_limits(args, capabilities);
    else if (str_eq_nocase(keyword, S("DELIVERBY")))
        (void)str_to_u64(str_trim(args), &capabilities->deliverby_min);
}

void
smtp_capabilities_parse(const struct smtp_reply *reply, struct smtp_capabilities *capabilities)
{
    struct smtp_capabilities result = {};
    str text = smtp_reply_text(reply);
    str line, name, rest;

    (void)str_split(text, '\n', &line, &text);
    (void)str_split(line, ' ', &name, &rest);
    name = str_head(name, sizeof(result.name) - 1);
    if (name.len)
        memcpy(result.name, name.ptr, name.len);
    while (text.len) {
        (void)str_split(text, '\n', &line, &text);
        read_capability(line, &result);
    }
    *capabilities = result;
}
