/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* maildrop.c: STAT, LIST, UIDL, DELE, RSET, QUIT: the list of messages and what is marked in it.
 *
 * Answered from memory, so thousands of messages list at once.  What DELE marked is deleted at
 * QUIT, and only then: a conversation that breaks off deletes nothing.  RFC 1939 5, 6.
 */
#include "servers/pop3/session.h"

#include "runtime/stream.h"

#include <stdlib.h>
#include <string.h>

WAITS static enum err
no_such_message(struct pop3_session *s)
{
    return pop3_refuse(s, "No such message");
}

enum err
pop3_stat(struct pop3_session *s, str args)
{
    (void)args;
    return pop3_ok(s, "%zu %llu", s->list.count - s->deleted_count,
                   (unsigned long long)(s->list.bytes - s->deleted_bytes));
}

WAITS static enum err
list_all(struct pop3_session *s)
{
    enum err e;

    e = pop3_ok(s, "%zu messages", s->list.count - s->deleted_count);
    for (size_t i = 0; i < s->list.count && !e; i++) {
        if (!s->deleted[i])
            e = pop3_line(s, "%zu %llu", i + 1, (unsigned long long)s->list.messages[i].size);
    }
    return e ? e : pop3_end(s);
}

enum err
pop3_list(struct pop3_session *s, str args)
{
    struct mailbox_message *message;
    size_t index;

    if (!args.len)
        return list_all(s);
    message = pop3_message(s, args, &index);
    if (!message)
        return no_such_message(s);
    return pop3_ok(s, "%zu %llu", index + 1, (unsigned long long)message->size);
}

WAITS static enum err
uidl_all(struct pop3_session *s)
{
    enum err e;

    e = pop3_ok(s, "Names follow");
    for (size_t i = 0; i < s->list.count && !e; i++) {
        if (!s->deleted[i])
            e = pop3_line(s, "%zu %s", i + 1, s->list.messages[i].uidl);
    }
    return e ? e : pop3_end(s);
}

enum err
pop3_uidl(struct pop3_session *s, str args)
{
    struct mailbox_message *message;
    size_t index;

    if (!args.len)
        return uidl_all(s);
    message = pop3_message(s, args, &index);
    if (!message)
        return no_such_message(s);
    return pop3_ok(s, "%zu %s", index + 1, message->uidl);
}

enum err
pop3_dele(struct pop3_session *s, str args)
{
    struct mailbox_message *message;
    size_t index;

    message = pop3_message(s, args, &index);
    if (!message)
        return no_such_message(s);
    s->deleted[index] = 1;
    s->deleted_count++;
    s->deleted_bytes += message->size;
    return pop3_ok(s, "Marked");
}

enum err
pop3_rset(struct pop3_session *s, str args)
{
    (void)args;
    memset(s->deleted, 0, s->list.count);
    s->deleted_count = 0;
    s->deleted_bytes = 0;
    return pop3_ok(s, "%zu messages", s->list.count);
}

enum err
pop3_noop(struct pop3_session *s, str args)
{
    (void)args;
    return pop3_ok(s, "Still here");
}

/* Deletes what is marked: all of it or nothing. */
WAITS static enum err
delete_marked(struct pop3_session *s)
{
    int64_t *uids;
    struct why why;
    size_t count = 0;
    enum err e;

    if (!s->deleted_count)
        return OK;
    uids = calloc(s->deleted_count, sizeof(*uids));
    if (!uids)
        return ERR_LIMIT;
    for (size_t i = 0; i < s->list.count; i++) {
        if (s->deleted[i])
            uids[count++] = s->list.messages[i].uid;
    }
    e = mailbox_delete(s->mailbox, uids, count, &why);
    free(uids);
    return e;
}

enum err
pop3_quit(struct pop3_session *s, str args)
{
    enum err e;

    (void)args;
    s->ends = true;
    if (s->phase == POP3_AUTHORIZATION)
        return pop3_ok(s, "Goodbye");
    e = delete_marked(s);
    if (e == ERR_CANCELLED)
        return e;
    if (e)
        return pop3_refuse(s, "[SYS/TEMP] The marked messages could not be deleted");
    return pop3_ok(s, "Goodbye, %zu deleted", s->deleted_count);
}
