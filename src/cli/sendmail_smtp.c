/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_smtp.c: the few commands that a local client needs.  RFC 5321.
 *
 * The peer is a program of the same user, so that there is nothing to defend here but memory: lines
 * and recipients have ceilings.  Start reading at sendmail_smtp().
 */
#include "cli/sendmail_smtp.h"

#include "base/arena.h"
#include "cli/sendmail_message.h"
#include "config/config.h"
#include "formats/address.h"
#include "mail/envelope.h"
#include "ops/maildrop.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    LINE_MAX_SMTP = 64 * 1024,
    MEMORY_MAX = 64 << 20
};

struct local_session {
    const struct config *config;
    struct arena arena; /* Of the transaction. */
    bool has_sender;
    str sender;
    struct recipient *recipients;
    size_t recipient_count;
    size_t recipient_capacity;
    char line[LINE_MAX_SMTP];
};

static void
reply(const char *text)
{
    printf("%s\r\n", text);
    fflush(stdout);
}

static void
reset(struct local_session *session)
{
    arena_clear(&session->arena);
    session->has_sender = false;
    session->recipients = NULL;
    session->recipient_count = session->recipient_capacity = 0;
}

/* The path in "<...>", as text. */
static bool
read_path(struct local_session *session, str args, enum address_path kind, str *path)
{
    struct address address;
    str rest;

    args = str_trim(args);
    return !address_parse_path(args, kind, &session->arena, &address, &rest) &&
           address_text(&address, &session->arena, path);
}

static void
take_mail(struct local_session *session, str args)
{
    if (session->has_sender)
        reply("503 5.5.1 One sender is enough");
    else if (!read_path(session, args, ADDRESS_REVERSE_PATH, &session->sender))
        reply("501 5.1.7 That is not a mail path");
    else {
        session->has_sender = true;
        reply("250 2.1.0 Sender ok");
    }
}

static bool
grow(struct local_session *session)
{
    size_t capacity = session->recipient_capacity ? 2 * session->recipient_capacity : 64;
    struct recipient *grown;

    if (session->recipient_count < session->recipient_capacity)
        return true;
    if (session->recipient_count >= RECIPIENTS_MAX)
        return false;
    grown = arena_new_array(&session->arena, struct recipient, capacity);
    if (!grown)
        return false;
    if (session->recipient_count)
        memcpy(grown, session->recipients, session->recipient_count * sizeof *grown);
    session->recipients = grown;
    session->recipient_capacity = capacity;
    return true;
}

static void
take_rcpt(struct local_session *session, str args)
{
    str path;

    if (!session->has_sender)
        reply("503 5.5.1 MAIL comes first");
    else if (!read_path(session, args, ADDRESS_FORWARD_PATH, &path) || !path.len)
        reply("501 5.1.3 That is not a mail path");
    else if (!grow(session))
        reply("452 4.5.3 Too many recipients");
    else {
        session->recipients[session->recipient_count++] = (struct recipient){ .address = path };
        reply("250 2.1.5 Recipient ok");
    }
}

static void
write_to_drop(void *arg, str bytes)
{
    maildrop_write(arg, bytes);
}

/* Lines up to the dot, stuffing taken away.  False at the end of the input. */
static bool
read_data(struct local_session *session, struct sendmail_message *message)
{
    bool at_start = true;

    while (fgets(session->line, sizeof session->line, stdin)) {
        str line = str_from(session->line);
        bool whole = str_ends(line, S("\n"));

        if (at_start && str_eq(str_trim(line), S(".")) && whole)
            return true;
        if (at_start && str_starts(line, S(".")))
            line = str_skip(line, 1);
        sendmail_message_add(message, line);
        at_start = whole;
    }
    return false;
}

static enum err
commit(struct local_session *session, struct maildrop **drop, bool has_8bit, struct why *why)
{
    struct envelope envelope = {
        .received_at = clock_now(),
        .door = DOOR_LOCAL,
        .protocol = S("local"),
        .reverse_path = session->sender,
        .body = has_8bit ? BODY_8BITMIME : BODY_7BIT,
        .smtputf8 = !str_is_ascii(session->sender),
        .size = maildrop_size(*drop),
        .recipients = session->recipients,
        .recipient_count = session->recipient_count,
    };

    for (size_t i = 0; i < session->recipient_count; i++)
        if (!str_is_ascii(session->recipients[i].address))
            envelope.smtputf8 = true;
    return maildrop_commit(drop, &envelope, why);
}

/* False at the end of the input. */
WAITS static bool
take_data(struct local_session *session)
{
    struct sendmail_message message = { .from = session->sender,
                                        .arena = &session->arena,
                                        .write = write_to_drop };
    OWN(maildrop) drop = NULL;
    struct why why = { "" };
    enum err e = ERR_IO;
    bool complete;

    if (!session->recipient_count) {
        reply("503 5.5.1 RCPT comes first");
        return true;
    }
    if (maildrop_begin(session->config, &drop, &why)) {
        fprintf(stderr, "sendmail: %s\n", why.text);
        reply("451 4.3.0 The message cannot be written");
        return true;
    }
    reply("354 Go ahead, and end with a dot on a line of its own");
    message.arg = drop;
    sendmail_message_init(&message);
    complete = read_data(session, &message);
    if (complete && !sendmail_message_end(&message))
        e = commit(session, &drop, message.has_8bit, &why);
    sendmail_message_done(&message);
    if (complete)
        reply(e ? "451 4.3.0 The message cannot be written" : "250 2.0.0 Dropped");
    reset(session);
    return complete;
}

static void
take_ehlo(struct local_session *session)
{
    reset(session);
    printf("250-%.*s\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n",
           STR_ARG(session->config->server.hostname));
    reply("250 ENHANCEDSTATUSCODES");
}

/* False when the conversation ends. */
WAITS static bool
take_command(struct local_session *session, str line)
{
    if (str_starts_nocase(line, S("EHLO")) || str_starts_nocase(line, S("HELO")))
        take_ehlo(session);
    else if (str_starts_nocase(line, S("MAIL FROM:")))
        take_mail(session, str_skip(line, 10));
    else if (str_starts_nocase(line, S("RCPT TO:")))
        take_rcpt(session, str_skip(line, 8));
    else if (str_eq_nocase(line, S("DATA")))
        return take_data(session);
    else if (str_eq_nocase(line, S("RSET"))) {
        reset(session);
        reply("250 2.0.0 Forgotten");
    } else if (str_starts_nocase(line, S("NOOP")))
        reply("250 2.0.0 Still here");
    else if (str_eq_nocase(line, S("QUIT"))) {
        reply("221 2.0.0 Bye");
        return false;
    } else
        reply("500 5.5.2 Unknown command");
    return true;
}

WAITS int
sendmail_smtp(const struct config *config)
{
    static struct local_session session;

    session.config = config;
    arena_init(&session.arena, MEMORY_MAX);
    printf("220 %.*s ESMTP Outpost, local\r\n", STR_ARG(config->server.hostname));
    fflush(stdout);
    while (fgets(session.line, sizeof session.line, stdin))
        if (!take_command(&session, str_trim(str_from(session.line))))
            break;
    arena_done(&session.arena);
    return EX_OK;
}
