/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_message.c: line by line; the header section is held until it is complete.
 *
 * A carriage return that ends no line becomes a blank and NUL is left out: both would be refused
 * later, and who wrote them would not hear of it.  Start reading at take_line().
 */
#include "cli/sendmail_message.h"

#include "formats/header.h"
#include "formats/header_address.h"

#include <string.h>

enum {
    LINE_PIECE_MAX = 64 * 1024, /* Longer lines are passed on in pieces. */
    RECIPIENTS_IN_MESSAGE_MAX = 50000,
};

void
sendmail_message_init(struct sendmail_message *message)
{
    buf_init(&message->line, LINE_PIECE_MAX + 1);
    buf_init(&message->header, SENDMAIL_HEADER_MAX);
}

void
sendmail_message_done(struct sendmail_message *message)
{
    buf_done(&message->line);
    buf_done(&message->header);
}

static enum err
add_recipient(struct sendmail_message *message, str address)
{
    str *grown;

    if (message->recipient_count == message->recipient_capacity) {
        size_t capacity = message->recipient_capacity ? 2 * message->recipient_capacity : 64;

        if (capacity > 2 * (size_t)RECIPIENTS_IN_MESSAGE_MAX)
            return err_why(&message->why, ERR_LIMIT, "too many recipients");
        grown = arena_new_array(message->arena, str, capacity);
        if (!grown)
            return err_why(&message->why, ERR_LIMIT, "too many recipients");
        if (message->recipient_count)
            memcpy(grown, message->recipients, message->recipient_count * sizeof *grown);
        message->recipients = grown;
        message->recipient_capacity = capacity;
    }
    if (!arena_copy(message->arena, address, &message->recipients[message->recipient_count]))
        return err_why(&message->why, ERR_LIMIT, "too many recipients");
    message->recipient_count++;
    return OK;
}

/* A name of this machine, such as root: letters, digits and the few signs that users have. */
static bool
is_user_name(str word)
{
    if (!word.len || word.len > 64)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!ascii_is_alnum(word.ptr[i]) && !strchr("._+-", word.ptr[i]))
            return false;
    return true;
}

/* Members that are plain user names are taken out of LIST, since the grammar of header fields has
 * no word for them; what is left goes to REST. */
static enum err
take_user_names(struct sendmail_message *message, str list, struct buf *rest)
{
    enum err e = OK;

    while (list.len && !e) {
        str member;

        (void)str_split(list, ',', &member, &list);
        if (is_user_name(str_trim(member)))
            e = add_recipient(message, str_trim(member));
        else
            buf_addf(rest, "%s%.*s", rest->len ? "," : "", STR_ARG(member));
    }
    return e;
}

enum err
sendmail_message_add_recipients(struct sendmail_message *message, str list)
{
    struct header_address *first = NULL;
    struct buf rest;
    enum err e;
    str text;

    buf_init(&rest, SENDMAIL_HEADER_MAX);
    e = take_user_names(message, list, &rest);
    if (!e && str_trim(buf_str(&rest)).len)
        e = header_addresses_parse(buf_str(&rest), RECIPIENTS_IN_MESSAGE_MAX, message->arena,
                                   &first);
    if (e == ERR_SYNTAX)
        (void)err_why(&message->why, e, "%.*s: not an address", STR_ARG(str_head(list, 200)));
    for (; first && !e; first = first->next)
        e = address_text(&first->address, message->arena, &text) ? add_recipient(message, text)
                                                                 : ERR_LIMIT;
    buf_done(&rest);
    return e;
}

static bool
is_recipient_field(const struct header_field *field, bool resent)
{
    static const char *const names[] = { "To", "Cc", "Bcc" };
    str name = field->name;

    if (str_starts_nocase(name, S("Resent-")) != resent)
        return false;
    if (resent)
        name = str_skip(name, 7);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

static enum err
collect_recipients(struct sendmail_message *message)
{
    str section = buf_str(&message->header);
    struct header_field field;
    bool resent = header_find(section, S("Resent-To"), &field) ||
                  header_find(section, S("Resent-Cc"), &field) ||
                  header_find(section, S("Resent-Bcc"), &field);
    enum err e = OK;

    while (!e && header_next(&section, &field))
        if (is_recipient_field(&field, resent))
            e = sendmail_message_add_recipients(message, field.value);
    return e;
}

/* A display name, quoted; what could break out of the quotes is left out. */
static void
add_from(struct sendmail_message *message, struct buf *buf)
{
    if (!message->full_name.len) {
        buf_addf(buf, "From: <%.*s>\r\n", STR_ARG(message->from));
        return;
    }
    buf_add(buf, S("From: \""));
    for (size_t i = 0; i < message->full_name.len && i < 128; i++) {
        char c = message->full_name.ptr[i];

        if (c != '"' && c != '\\' && (unsigned char)c >= ' ' && c != 0x7f)
            buf_add_byte(buf, c);
    }
    buf_addf(buf, "\" <%.*s>\r\n", STR_ARG(message->from));
}

static void
end_header(struct sendmail_message *message)
{
    struct header_field field;
    struct buf added;
    enum err e = OK;

    message->in_body = true;
    if (!buf_ok(&message->header))
        e = err_why(&message->why, ERR_LIMIT, "the header section is too large");
    if (!e && message->collect)
        e = collect_recipients(message);
    if (e) {
        message->error = message->error ? message->error : e;
        return;
    }
    buf_init(&added, 4096);
    if (message->from.len && !header_find(buf_str(&message->header), S("From"), &field))
        add_from(message, &added);
    message->write(message->arg, buf_str(&added));
    message->write(message->arg, buf_str(&message->header));
    message->write(message->arg, S("\r\n"));
    buf_done(&added);
}

/* "Subject: x", or the rest of one such: begins with a blank. */
static bool
is_field_line(str line, bool first)
{
    ssize_t colon = str_find(line, ':');

    if (!first && line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        return true;
    for (ssize_t i = 0; i < colon; i++)
        if (line.ptr[i] <= ' ' || line.ptr[i] == 0x7f)
            return false;
    return colon > 0;
}

static void
take_header_line(struct sendmail_message *message, str line)
{
    bool first = message->header.len == 0;

    /* mbox's separator, as some programs hand it on. */
    if (first && str_starts(line, S("From ")))
        return;
    if (!is_field_line(line, first)) {
        end_header(message);
        if (line.len) {
            message->write(message->arg, line);
            message->write(message->arg, S("\r\n"));
        }
        return;
    }
    buf_add(&message->header, line);
    buf_add(&message->header, S("\r\n"));
}

/* LINE is without its end. */
static void
take_line(struct sendmail_message *message, str line)
{
    if (message->dot_ends && str_eq(line, S("."))) {
        message->ended = true;
    } else if (message->in_body) {
        message->write(message->arg, line);
        message->write(message->arg, S("\r\n"));
    } else {
        take_header_line(message, line);
    }
}

static void
clean_line(struct sendmail_message *message)
{
    struct buf *line = &message->line;
    size_t kept = 0;

    if (line->len && line->data[line->len - 1] == '\r')
        line->len--;
    for (size_t i = 0; i < line->len; i++) {
        char c = line->data[i];

        if ((unsigned char)c >= 0x80)
            message->has_8bit = true;
        if (c)
            line->data[kept++] = c == '\r' ? ' ' : c;
    }
    line->len = kept;
}

void
sendmail_message_add(struct sendmail_message *message, str bytes)
{
    while (bytes.len && !message->ended && !message->error) {
        ssize_t end = str_find(bytes, '\n');
        size_t room = LINE_PIECE_MAX - message->line.len;
        size_t count = end < 0 ? bytes.len : (size_t)end;
        bool whole = end >= 0 && count <= room;

        count = MIN(count, room);
        buf_add(&message->line, str_head(bytes, count));
        bytes = str_skip(bytes, count + whole);
        if (whole || message->line.len == LINE_PIECE_MAX) {
            clean_line(message);
            take_line(message, buf_str(&message->line));
            buf_clear(&message->line);
        }
    }
}

enum err
sendmail_message_end(struct sendmail_message *message)
{
    if (message->line.len && !message->ended && !message->error) {
        clean_line(message);
        take_line(message, buf_str(&message->line));
    }
    if (!message->in_body && !message->error)
        end_header(message);
    return message->error;
}
