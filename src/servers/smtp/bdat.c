/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* bdat.c: BDAT: the message in counted chunks.  RFC 3030.
 *
 * The octets behind the command belong to it even when it is refused: they are swallowed in step,
 * never run (CVE-2017-16943).  A count that cannot be read ends the conversation, since nobody
 * knows then where the next command begins.
 */
#include "servers/smtp/session.h"

#include "config/config.h"
#include "protocols/smtp/command.h"
#include "protocols/smtp/data.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "servers/smtp/content.h"

#include <inttypes.h>

/* A refused chunk is swallowed up to here; beyond it the conversation is cut. */
enum {
    SWALLOW_MAX = 256 * 1024 * 1024
};

/* Consumes COUNT bytes; into the intake when there is one. */
WAITS static enum err
take_chunk(struct smtp_session *s, uint64_t count, bool keep)
{
    const struct config_smtp *limits = &s->config->smtp;
    instant last = deadline_in(limits->message_timeout);
    enum err e;
    str bytes;

    while (count) {
        stream_set_deadline(s->stream, MIN(last, deadline_in(limits->data_timeout)));
        e = stream_fill(s->stream, &bytes);
        if (e)
            return e;
        bytes = str_head(bytes, MIN(count, (uint64_t)STREAM_READ_BUFFER));
        if (keep) {
            smtp_data_inspect(&s->inspector, bytes);
            e = intake_write(s->intake, bytes);
            if (e)
                return e;
        }
        count -= bytes.len;
        stream_consume(s->stream, bytes.len);
    }
    return OK;
}

/* The chunk does not belong here: over it, and then the answer. */
WAITS static enum err
refuse_chunk(struct smtp_session *s, uint64_t size, unsigned code, const char *enhanced,
             const char *text)
{
    enum err e;

    if (size > SWALLOW_MAX)
        return smtp_reply_last(s, 421, "4.7.0", "%s", text);
    e = take_chunk(s, size, false);
    if (e)
        return e;
    return smtp_reply(s, code, enhanced, "%s", text);
}

WAITS static enum err
finish_chunks(struct smtp_session *s)
{
    smtp_data_inspect_end(&s->inspector);
    if (s->inspector.has_8bit)
        intake_note_8bit(s->intake);
    if (s->inspector.violations && !intake_is_refused(s->intake))
        smtp_refuse_violations(s->intake, s->inspector.violations);
    return smtp_finish_message(s);
}

static bool
is_too_large(const struct smtp_session *s, uint64_t size)
{
    uint64_t max = s->config->smtp.message_size_max;

    return max && size > max;
}

WAITS static enum err
accept_chunk(struct smtp_session *s, const struct smtp_bdat *bdat)
{
    enum err e;

    if (is_too_large(s, bdat->size)) {
        smtp_session_reset(s);
        return refuse_chunk(s, bdat->size, 552, "5.3.4", "The message is larger than we take");
    }
    if (s->phase == PHASE_MAIL)
        smtp_data_decoder_init(&s->inspector, s->config->smtp.text_line_max);
    s->phase = PHASE_BDAT;
    e = take_chunk(s, bdat->size, true);
    if (e)
        return e;
    if (smtp_content_is_endless(s))
        return smtp_reply_last(s, 552, "5.3.4", "This message does not end");
    if (bdat->last)
        return finish_chunks(s);
    return smtp_reply(s, 250, "2.0.0", "%" PRIu64 " octets received", bdat->size);
}

enum err
smtp_bdat(struct smtp_session *s, str args)
{
    struct smtp_bdat bdat;

    if (smtp_bdat_parse(args, &bdat))
        return smtp_reply_last(s, 501, "5.5.4",
                               "BDAT needs a count, and nothing but LAST behind it");
    if (s->phase == PHASE_NEW)
        return refuse_chunk(s, bdat.size, 503, "5.5.1", "Say EHLO first");
    if (!s->intake || (!intake_recipient_count(s->intake) && !s->rcpt_seen))
        return refuse_chunk(s, bdat.size, 503, "5.5.1", "MAIL and RCPT come first");
    if (!intake_recipient_count(s->intake))
        return refuse_chunk(s, bdat.size, 554, "5.5.1", "No recipient was accepted");
    return accept_chunk(s, &bdat);
}
