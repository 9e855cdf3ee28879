/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* data.c: DATA: the message, up to CR LF . CR LF and nothing else.  RFC 5321 4.1.1.4.
 *
 * The bytes stream from the read buffer through the decoder into the intake.  Whatever is wrong
 * with them, they are read to their true end, so that none of them is ever taken for a command.
 */
#include "servers/smtp/session.h"

#include "config/config.h"
#include "protocols/smtp/data.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "servers/smtp/content.h"

/* A message that was refused for its size is read on for so much, then the conversation is cut. */
enum {
    EXCESS_MAX = 64 * 1024 * 1024
};

void
smtp_refuse_violations(struct intake *intake, unsigned violations)
{
    if (violations & (SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF))
        intake_refuse(intake, 550, "5.6.11", "Lines end in CR LF: a CR or LF stood alone");
    else if (violations & SMTP_DATA_NUL)
        intake_refuse(intake, 550, "5.6.11", "The message holds a NUL");
    else if (violations & SMTP_DATA_LONG_LINE)
        intake_refuse(intake, 554, "5.6.0", "A line is too long");
}

bool
smtp_content_is_endless(const struct smtp_session *s)
{
    uint64_t max = s->config->smtp.message_size_max;

    return max && intake_size(s->intake) > max + EXCESS_MAX;
}

/* One buffer's worth.  ENDED when the end of the data was in it. */
WAITS static enum err
take_piece(struct smtp_session *s, struct smtp_data_decoder *decoder, bool *ended)
{
    enum smtp_data_step step;
    str bytes, rest, piece;
    enum err e;

    e = stream_fill(s->stream, &bytes);
    if (e)
        return e;
    rest = bytes;
    while ((step = smtp_data_decode(decoder, &rest, &piece)) == SMTP_DATA_PIECE) {
        e = intake_write(s->intake, piece);
        if (e)
            return e;
    }
    if (decoder->violations && !intake_is_refused(s->intake))
        smtp_refuse_violations(s->intake, decoder->violations);
    if (decoder->has_8bit)
        intake_note_8bit(s->intake);
    stream_consume(s->stream, bytes.len - rest.len);
    *ended = step == SMTP_DATA_END;
    return OK;
}

WAITS static enum err
take_content(struct smtp_session *s)
{
    const struct config_smtp *limits = &s->config->smtp;
    instant last = deadline_in(limits->message_timeout);
    struct smtp_data_decoder decoder;
    bool ended = false;
    enum err e;

    smtp_data_decoder_init(&decoder, limits->text_line_max);
    while (!ended) {
        stream_set_deadline(s->stream, MIN(last, deadline_in(limits->data_timeout)));
        e = take_piece(s, &decoder, &ended);
        if (e)
            return e;
        if (smtp_content_is_endless(s))
            return smtp_reply_last(s, 552, "5.3.4", "This message does not end");
    }
    return OK;
}

enum err
smtp_finish_message(struct smtp_session *s)
{
    char text[MSGID_TEXT_SIZE + 1];
    struct verdict verdict;
    bool changed;
    int priority;
    enum err e;
    msgid id;

    e = intake_accept(s->intake, &verdict, &id);
    if (e)
        return e;
    changed = intake_priority_changed(s->intake, &priority);
    smtp_session_reset(s);
    if (!verdict_accepts(&verdict))
        return smtp_reply_verdict(s, &verdict);
    s->messages++;
    msgid_format(id, text);
    if (changed) /* RFC 6710 7. */
        return smtp_reply(s, 250, "2.3.6", "%d is the priority granted; queued as %s", priority,
                          text);
    return smtp_reply(s, 250, "2.0.0", "Queued as %s", text);
}

enum err
smtp_data(struct smtp_session *s, str args)
{
    enum err e;

    (void)args;
    if (!intake_recipient_count(s->intake) && s->rcpt_seen)
        return smtp_reply(s, 554, "5.5.1", "No recipient was accepted");
    if (!intake_recipient_count(s->intake))
        return smtp_reply(s, 503, "5.5.1", "RCPT comes first");
    e = smtp_reply(s, 354, "", "Send the message, end it with a line that is a dot");
    if (e)
        return e;
    e = take_content(s);
    if (e || s->ends)
        return e;
    return smtp_finish_message(s);
}
