/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mail.c: MAIL and RCPT: the envelope, one line at a time.  RFC 5321 4.1.1.2 and .3, RFC 3461.
 *
 * Here is only the grammar and the order; whether a sender or a recipient is welcome is for the
 * gates of intake/.
 */
#include "servers/smtp/session.h"

#include "base/arena.h"
#include "config/config.h"
#include "protocols/smtp/command.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

/* One command's addresses and parameters. */
enum {
    COMMAND_MEMORY_MAX = 32 * 1024
};
/* So many unknown recipients are free; each later one waits, so that harvesting is slow. */
enum {
    UNKNOWN_FREE = 5
};
#define UNKNOWN_DELAY MILLISECONDS(500)

WAITS static enum err
reply_fault(struct smtp_session *s, const struct smtp_fault *fault)
{
    return smtp_reply(s, fault->code, fault->enhanced, "%s", fault->text);
}

static enum body_type
body_type_from(enum smtp_body body)
{
    switch (body) {
    case SMTP_BODY_8BITMIME:
        return BODY_8BITMIME;
    case SMTP_BODY_BINARYMIME:
        return BODY_BINARYMIME;
    case SMTP_BODY_7BIT:
    case SMTP_BODY_UNSTATED:
        break;
    }
    return BODY_7BIT;
}

static enum deliver_by
deliver_by_from(enum smtp_by_mode mode)
{
    switch (mode) {
    case SMTP_BY_RETURN:
        return BY_RETURN;
    case SMTP_BY_NOTIFY:
        return BY_NOTIFY;
    case SMTP_BY_UNSTATED:
        break;
    }
    return BY_NONE;
}

/* Our own terms from those of the grammar.  False when the arena is full. */
static bool
sender_from_mail(const struct smtp_mail *mail, struct arena *arena, struct intake_sender *sender)
{
    *sender = (struct intake_sender){
        .smtputf8 = mail->smtputf8,
        .body = body_type_from(mail->body),
        .size = mail->has_size ? mail->size : 0,
        .ret = mail->ret,
        .envid = mail->envid,
        .priority = mail->priority,
        .by = deliver_by_from(mail->by.mode),
        .by_trace = mail->by.trace,
        .require_tls = mail->require_tls,
        .by_time = SECONDS(mail->by.seconds),
        .hold_for = mail->hold_for,
        .hold_until = mail->hold_until,
    };
    return address_is_null(&mail->from) || address_text(&mail->from, arena, &sender->path);
}

WAITS static enum err
begin_transaction(struct smtp_session *s, const struct intake_sender *sender)
{
    struct intake_peer peer;
    struct verdict verdict;
    enum err e;

    smtp_session_peer(s, &peer);
    e = intake_begin(s->server->services, &peer, &s->intake);
    if (e)
        return smtp_reply(s, 452, "4.3.2", "Too much at once, try again later");
    e = intake_sender(s->intake, sender, &verdict);
    if (e)
        return e;
    if (!verdict_accepts(&verdict)) {
        smtp_session_reset(s);
        return smtp_reply_verdict(s, &verdict);
    }
    s->phase = PHASE_MAIL;
    return smtp_reply(s, 250, "2.1.0", "Sender ok");
}

WAITS static enum err
mail_in(struct smtp_session *s, str args, struct arena *arena)
{
    struct intake_sender sender;
    struct smtp_fault fault;
    struct smtp_mail mail;

    if (smtp_mail_parse(args, arena, &mail, &fault))
        return reply_fault(s, &fault);
    if (mail.has_parameters && !s->extended)
        return smtp_reply(s, 555, "5.5.4", "Parameters need EHLO");
    if (mail.body == SMTP_BODY_BINARYMIME)
        return smtp_reply(s, 555, "5.5.4", "BINARYMIME is not offered");
    if (mail.require_tls && !stream_tls(s->stream)) /* RFC 8689 2: never promised in the clear. */
        return smtp_reply(s, 530, "5.7.10", "REQUIRETLS needs encryption first");
    if (!sender_from_mail(&mail, arena, &sender))
        return smtp_reply(s, 501, "5.5.4", "That does not fit");
    return begin_transaction(s, &sender);
}

enum err
smtp_mail(struct smtp_session *s, str args)
{
    unsigned max = s->config->smtp.messages_max;
    struct arena arena;
    enum err e;

    if (max && s->messages >= max)
        return smtp_reply_last(s, 421, "4.7.0", "No more messages in this session");
    arena_init(&arena, COMMAND_MEMORY_MAX);
    e = mail_in(s, args, &arena);
    arena_done(&arena);
    return e;
}

/* "local@domain", or "postmaster" alone. */
static bool
recipient_text(const struct address *to, struct arena *arena, str *text)
{
    if (!to->domain.len)
        return arena_copy(arena, to->local, text);
    return address_text(to, arena, text);
}

/* Guessing who lives here is slow, and comes to an end. */
WAITS static enum err
refuse_recipient(struct smtp_session *s, const struct verdict *verdict)
{
    unsigned max = s->config->smtp.unknown_recipients_max;
    enum err e;

    if (verdict->code >= 500 && ++s->refused_recipients > UNKNOWN_FREE) {
        e = fiber_sleep(UNKNOWN_DELAY);
        if (e)
            return e;
    }
    e = smtp_reply_verdict(s, verdict);
    if (e)
        return e;
    if (max && s->refused_recipients >= max)
        return smtp_reply_last(s, 421, "4.7.0", "Too many unknown recipients");
    return OK;
}

WAITS static enum err
rcpt_in(struct smtp_session *s, str args, struct arena *arena)
{
    struct recipient recipient = { 0 };
    struct verdict verdict;
    struct smtp_fault fault;
    struct smtp_rcpt rcpt;
    enum err e;

    if (smtp_rcpt_parse(args, true, arena, &rcpt, &fault))
        return reply_fault(s, &fault);
    if (rcpt.has_parameters && !s->extended)
        return smtp_reply(s, 555, "5.5.4", "Parameters need EHLO");
    if (!recipient_text(&rcpt.to, arena, &recipient.address))
        return smtp_reply(s, 501, "5.1.3", "That address is too long");
    recipient.original = rcpt.orcpt;
    recipient.notify = rcpt.notify;
    e = intake_recipient(s->intake, &recipient, &verdict);
    if (e)
        return e;
    if (!verdict_accepts(&verdict))
        return refuse_recipient(s, &verdict);
    return smtp_reply(s, 250, "2.1.5", "Recipient ok");
}

enum err
smtp_rcpt(struct smtp_session *s, str args)
{
    struct arena arena;
    enum err e;

    s->rcpt_seen = true;
    arena_init(&arena, COMMAND_MEMORY_MAX);
    e = rcpt_in(s, args, &arena);
    arena_done(&arena);
    return e;
}
