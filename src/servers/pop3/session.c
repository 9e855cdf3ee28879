/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* session.c: what all commands share: answers, and the way into the mailbox. */
#include "servers/pop3/session.h"

#include "accounts/login.h"
#include "intake/intake.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 2449 4: 512 octets with CRLF. */
enum {
    ANSWER_MAX = 512
};
enum {
    MISTAKES_FREE = 3
};
#define MISTAKE_DELAY MILLISECONDS(200)

WAITS static enum err
put_line(struct pop3_session *s, const char *sign, const char *format, va_list args)
{
    char line[ANSWER_MAX + 1];
    size_t start = (size_t)snprintf(line, sizeof(line), "%s", sign), length;
    int printed;

    printed = vsnprintf(line + start, sizeof(line) - 2 - start, format, args);
    length = MIN(start + (size_t)MAX(printed, 0), (size_t)ANSWER_MAX - 2);
    for (size_t i = start; i < length; i++) {
        if (line[i] < 0x20 || line[i] > 0x7e)
            line[i] = '?';
    }
    memcpy(line + length, "\r\n", 2);
    return stream_write(s->stream, (str){ line, length + 2 });
}

enum err
pop3_ok(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    enum err e;

    va_start(args, format);
    e = put_line(s, "+OK ", format, args);
    va_end(args);
    return e;
}

enum err
pop3_refuse(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    enum err e;

    if (++s->errors > MISTAKES_FREE) {
        e = fiber_sleep(MISTAKE_DELAY);
        if (e)
            return e;
    }
    va_start(args, format);
    e = put_line(s, "-ERR ", format, args);
    va_end(args);
    return e;
}

enum err
pop3_line(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    enum err e;

    va_start(args, format);
    e = put_line(s, "", format, args);
    va_end(args);
    return e;
}

enum err
pop3_end(struct pop3_session *s)
{
    return stream_write(s->stream, S(".\r\n"));
}

/* Opens, locks and lists; on failure the answer was given, and the mailbox is closed. */
WAITS static enum err
open_mailbox(struct pop3_session *s, int64_t account)
{
    struct why why;
    enum err e;

    e = mailbox_open(s->server->services->mailboxes, account, &s->mailbox, &why);
    if (e)
        return pop3_refuse(s, "[SYS/TEMP] The mailbox cannot be opened, try again");
    e = mailbox_lock(s->mailbox);
    if (!e)
        e = mailbox_list(s->mailbox, S(""), &s->list);
    if (!e)
        return OK;
    mailbox_close(take(s->mailbox));
    if (e == ERR_CANCELLED)
        return e;
    if (e == ERR_BUSY)
        return pop3_refuse(s, "[IN-USE] Another session has this mailbox");
    return pop3_refuse(s, "[SYS/TEMP] The mailbox cannot be read, try again");
}

enum err
pop3_enter(struct pop3_session *s, const struct login_result *result)
{
    enum err e;

    e = open_mailbox(s, result->account);
    if (e || !s->mailbox)
        return e;
    s->deleted = calloc(s->list.count + 1, 1);
    if (!s->deleted)
        return ERR_LIMIT;
    s->phase = POP3_TRANSACTION;
    s->errors = 0;
    return pop3_ok(s, "%zu messages, %llu octets", s->list.count,
                   (unsigned long long)s->list.bytes);
}

struct mailbox_message *
pop3_message(struct pop3_session *s, str number, size_t *index)
{
    uint64_t value;

    if (!str_to_u64(number, &value) || !value || value > s->list.count)
        return NULL;
    *index = (size_t)value - 1;
    return s->deleted[*index] ? NULL : &s->list.messages[*index];
}
