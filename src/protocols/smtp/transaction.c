/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* transaction.c: one message through an open connection.
 *
 * With PIPELINING the envelope leaves in flights of SMTP_CLIENT_FLIGHT_MAX recipients, the last of
 * which ends in DATA; with CHUNKING a small message travels in that flight too, and costs one round
 * trip in all. Replies are read in the order of the commands.  Each recipient's `answer` is set
 * where his fate is decided: at MAIL, RCPT, DATA, or after the message.  RFC 5321 3.3, 2920, 3030,
 * 3461, 2033.
 *
 * Start reading at smtp_client_send().
 */
#include "formats/dsn.h"
#include "formats/xtext.h"
#include "protocols/smtp/connection.h"
#include "protocols/smtp/data.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

enum {
    EAGER_MAX = SMTP_CLIENT_BLOCK,
    CHUNK_SIZE = 1024 * 1024,
    VIEW_MAX = 128 * 1024, /* Of content in memory, to be sent within one timeout. */
    COMMAND_MAX = 4096
};

struct transaction {
    struct smtp_client *client;
    struct smtp_message *message;
    struct smtp_failure *failure;
    size_t rcpt_sent;
    size_t rcpt_read;
    size_t accepted;
    bool mail_pending;
    bool reset_pending;
    bool mail_refused;
    bool heard;
    const struct smtp_answer *mail_answer;
};

/* --- Answers. */

static const struct smtp_answer *
keep_answer(struct transaction *t)
{
    struct smtp_answer *answer = arena_new(t->message->arena, struct smtp_answer);

    if (answer)
        smtp_answer_from_reply(&t->client->reply, answer);
    return answer;
}

static enum err
out_of_memory(struct transaction *t)
{
    (void)err_why(&t->failure->why, ERR_LIMIT, "too many answers for one transaction");
    return smtp_connection_fail(t->client, t->failure, ERR_LIMIT);
}

/* For all recipients who have none yet; with ACCEPTED_ONLY, of those said yes to at RCPT. */
static void
answer_rest(struct transaction *t, const struct smtp_answer *answer, enum smtp_stage stage)
{
    for (size_t i = 0; i < t->message->recipient_count; i++) {
        struct smtp_recipient *recipient = &t->message->recipients[i];
        if (recipient->answer)
            continue;
        recipient->answer = answer;
        recipient->stage = stage;
    }
}

/* Our own answer, before anything is said. */
static enum err
answer_all_ourselves(struct transaction *t, unsigned code, const char *enhanced, const char *text)
{
    struct smtp_answer *answer = arena_new(t->message->arena, struct smtp_answer);

    if (!answer)
        return out_of_memory(t);
    smtp_answer_set(answer, code, enhanced, text);
    answer_rest(t, answer, SMTP_STAGE_MAIL);
    return OK;
}

/* Reads a reply, to be waited for as long as TIMEOUT says. */
WAITS static enum err
read_reply(struct transaction *t, duration timeout)
{
    enum err e;

    stream_set_deadline(t->client->stream, deadline_in(timeout));
    e = smtp_connection_read(t->client, t->failure);
    if (!e)
        t->heard = true;
    return e;
}

static bool
is_positive(const struct smtp_client *client)
{
    return client->reply.code / 100 == 2;
}

/* --- Commands. */

WAITS static enum err
write_command(struct transaction *t, struct buf *line)
{
    enum err e;

    buf_add(line, S("\r\n"));
    if (!buf_ok(line))
        e = ERR_LIMIT;
    else
        e = stream_write(t->client->stream, buf_str(line));
    buf_clear(line);
    return e ? smtp_connection_fail(t->client, t->failure, e) : OK;
}

static bool
needs_8bit(const struct smtp_message *message)
{
    return message->eightbit || message->smtputf8;
}

static void
add_handling(struct buf *line, const struct smtp_capabilities *offered,
             const struct smtp_message *message)
{
    if (message->require_tls)
        buf_add(line, S(" REQUIRETLS"));
    if (offered->mt_priority && message->priority)
        buf_addf(line, " MT-PRIORITY=%d", message->priority);
    if (offered->deliverby && message->by.mode) {
        buf_add(line, S(" BY="));
        smtp_deliver_by_format(&message->by, line);
    }
}

WAITS static enum err
write_mail(struct transaction *t, struct buf *line)
{
    const struct smtp_capabilities *offered = &t->client->capabilities;
    const struct smtp_message *message = t->message;

    buf_add(line, S("MAIL FROM:<"));
    buf_add(line, message->reverse_path);
    buf_add(line, S(">"));
    if (offered->has_size)
        buf_addf(line, " SIZE=%llu", (unsigned long long)message->size);
    if (offered->eightbitmime && needs_8bit(message))
        buf_add(line, S(" BODY=8BITMIME"));
    if (message->smtputf8)
        buf_add(line, S(" SMTPUTF8"));
    if (offered->dsn && message->ret)
        buf_addf(line, " RET=%s", message->ret);
    if (offered->dsn && message->envid.len) {
        buf_add(line, S(" ENVID="));
        xtext_encode(message->envid, line);
    }
    add_handling(line, offered, message);
    t->mail_pending = true;
    t->client->needs_reset = true;
    return write_command(t, line);
}

static void
add_notify(struct buf *line, uint8_t notify)
{
    /* clang-format off */
    static const struct { uint8_t bit; const char *name; } names[] = {
        { NOTIFY_NEVER, "NEVER" }, { NOTIFY_SUCCESS, "SUCCESS" },
        { NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" },
    };
    /* clang-format on */
    const char *before = " NOTIFY=";

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (notify & names[i].bit) {
            buf_addf(line, "%s%s", before, names[i].name);
            before = ",";
        }
}

WAITS static enum err
write_rcpt(struct transaction *t, struct buf *line, const struct smtp_recipient *recipient)
{
    buf_add(line, S("RCPT TO:<"));
    buf_add(line, recipient->address);
    buf_add(line, S(">"));
    if (t->client->capabilities.dsn) {
        add_notify(line, recipient->notify);
        if (recipient->original.len) {
            buf_add(line, S(" ORCPT="));
            orcpt_format(recipient->original, t->client->capabilities.smtputf8, line);
        }
    }
    t->rcpt_sent++;
    return write_command(t, line);
}

/* --- The envelope. */

WAITS static enum err
read_mail_reply(struct transaction *t)
{
    enum err e;

    t->client->stage = SMTP_STAGE_MAIL;
    if (t->reset_pending) {
        e = read_reply(t, t->client->timeouts.command);
        if (e)
            return e;
        t->reset_pending = false;
    }
    e = read_reply(t, t->client->timeouts.command);
    if (e)
        return e;
    t->mail_pending = false;
    if (is_positive(t->client))
        return OK;
    t->mail_refused = true;
    t->mail_answer = keep_answer(t);
    if (!t->mail_answer)
        return out_of_memory(t);
    answer_rest(t, t->mail_answer, SMTP_STAGE_MAIL);
    return OK;
}

WAITS static enum err
read_rcpt_reply(struct transaction *t)
{
    struct smtp_recipient *recipient = &t->message->recipients[t->rcpt_read];
    enum err e;

    t->client->stage = SMTP_STAGE_RCPT;
    e = read_reply(t, t->client->timeouts.command);
    if (e)
        return e;
    t->rcpt_read++;
    if (t->mail_refused)
        return OK;
    if (is_positive(t->client)) {
        recipient->accepted = true;
        t->accepted++;
        return OK;
    }
    recipient->answer = keep_answer(t);
    recipient->stage = SMTP_STAGE_RCPT;
    return recipient->answer ? OK : out_of_memory(t);
}

WAITS static enum err
read_envelope_replies(struct transaction *t)
{
    enum err e = OK;

    if (t->mail_pending)
        e = read_mail_reply(t);
    while (!e && t->rcpt_read < t->rcpt_sent)
        e = read_rcpt_reply(t);
    return e;
}

/* MAIL and all RCPT; replies are read only when they must be.  LINE is a buffer to work in. */
WAITS static enum err
write_envelope(struct transaction *t, struct buf *line)
{
    bool pipelining = t->client->capabilities.pipelining;
    enum err e = OK;

    if (t->client->needs_reset) {
        buf_add(line, S("RSET"));
        t->reset_pending = true;
        e = write_command(t, line);
    }
    if (!e)
        e = write_mail(t, line);
    if (!e && !pipelining)
        e = read_envelope_replies(t);
    for (size_t i = 0; !e && i < t->message->recipient_count && !t->mail_refused; i++) {
        e = write_rcpt(t, line, &t->message->recipients[i]);
        if (!e && (!pipelining || t->rcpt_sent - t->rcpt_read >= SMTP_CLIENT_FLIGHT_MAX))
            e = read_envelope_replies(t);
    }
    return e;
}

/* --- The content. */

/* Some of the content, up to SIZE bytes; it is our own disk that fails here, not the peer. */
static enum err
read_block(struct transaction *t, uint64_t offset, uint64_t size, str *block)
{
    char *room = t->client->block;
    size_t got = 0;
    enum err e;

    if (t->message->content.len) {
        *block = str_head(str_skip(t->message->content, offset), MIN(size, (uint64_t)VIEW_MAX));
        return OK;
    }
    e = t->message->read(t->message->arg, offset, room, MIN(size, (uint64_t)SMTP_CLIENT_BLOCK),
                         &got);
    *block = (str){ room, got };
    if (!e)
        return OK;
    (void)err_why(&t->failure->why, e, "the stored message cannot be read: %s", err_name(e));
    return smtp_connection_fail(t->client, t->failure, e);
}

WAITS static enum err
write_encoded(struct transaction *t, struct smtp_data_encoder *encoder, str in)
{
    str piece;

    while (smtp_data_encode(encoder, &in, &piece)) {
        enum err e = stream_write(t->client->stream, piece);
        if (e)
            return smtp_connection_fail(t->client, t->failure, e);
    }
    return OK;
}

/* All of it with dots doubled, and the final dot. */
WAITS static enum err
write_content(struct transaction *t)
{
    struct smtp_data_encoder encoder;
    uint64_t offset = 0;
    str block;
    enum err e;

    t->client->stage = SMTP_STAGE_BODY;
    smtp_data_encoder_init(&encoder);
    do {
        e = read_block(t, offset, t->message->size - offset, &block);
        if (e)
            return e;
        offset += block.len;
        stream_set_deadline(t->client->stream, deadline_in(t->client->timeouts.data));
        e = write_encoded(t, &encoder, block);
        if (e)
            return e;
    } while (block.len > 0 && offset < t->message->size);
    e = stream_write(t->client->stream, smtp_data_encode_end(&encoder));
    if (e)
        return smtp_connection_fail(t->client, t->failure, e);
    t->client->stage = SMTP_STAGE_FINAL;
    return OK;
}

/* The answers to the whole message: one, or in LMTP one for each accepted recipient. */
WAITS static enum err
read_final_replies(struct transaction *t)
{
    const struct smtp_answer *answer = NULL;
    enum err e;

    t->client->stage = SMTP_STAGE_FINAL;
    for (size_t i = 0; i < t->message->recipient_count; i++) {
        struct smtp_recipient *recipient = &t->message->recipients[i];
        if (!recipient->accepted || recipient->answer)
            continue;
        if (!answer || t->client->lmtp) {
            e = read_reply(t, t->client->timeouts.final);
            if (e)
                return e;
            answer = keep_answer(t);
            if (!answer)
                return out_of_memory(t);
        }
        recipient->answer = answer;
        recipient->stage = SMTP_STAGE_FINAL;
    }
    t->client->needs_reset = false;
    return OK;
}

/* --- DATA. */

/* DATA was taken although nobody is left to get the message: RFC 2920 3.1 has an empty one sent. */
WAITS static enum err
send_nothing(struct transaction *t)
{
    enum err e = stream_write(t->client->stream, S(".\r\n"));

    if (e)
        return smtp_connection_fail(t->client, t->failure, e);
    e = read_reply(t, t->client->timeouts.final);
    if (!e)
        t->client->needs_reset = false;
    return e;
}

WAITS static enum err
send_data(struct transaction *t, struct buf *line)
{
    bool pipelining = t->client->capabilities.pipelining;
    enum err e = write_envelope(t, line);

    if (!e && !pipelining && t->accepted == 0)
        return OK;
    if (!e) {
        buf_add(line, S("DATA"));
        e = write_command(t, line);
    }
    if (!e)
        e = read_envelope_replies(t);
    t->client->stage = e ? t->client->stage : SMTP_STAGE_DATA;
    if (!e)
        e = read_reply(t, t->client->timeouts.command);
    if (e)
        return e;
    if (t->client->reply.code == 354 && t->accepted == 0)
        return send_nothing(t);
    if (t->client->reply.code != 354) {
        const struct smtp_answer *answer = t->accepted ? keep_answer(t) : NULL;
        if (t->accepted && !answer)
            return out_of_memory(t);
        if (answer && is_positive(t->client)) {
            (void)err_why(&t->failure->why, ERR_SYNTAX, "the server answers DATA with %u",
                          t->client->reply.code);
            return smtp_connection_fail(t->client, t->failure, ERR_SYNTAX);
        }
        if (answer)
            answer_rest(t, answer, SMTP_STAGE_DATA);
        return OK;
    }
    e = write_content(t);
    return e ? e : read_final_replies(t);
}

/* --- BDAT. */

WAITS static enum err
write_chunk_head(struct transaction *t, struct buf *line, uint64_t size, bool last)
{
    buf_addf(line, "BDAT %llu%s", (unsigned long long)size, last ? " LAST" : "");
    return write_command(t, line);
}

/* SIZE bytes from OFFSET as they are.  A bare CR or LF must not leave here (smuggling): then
 * ERR_SYNTAX. */
WAITS static enum err
write_raw(struct transaction *t, struct smtp_data_decoder *watch, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    str block;
    enum err e;

    while (offset < end) {
        e = read_block(t, offset, end - offset, &block);
        if (!e && block.len == 0)
            e = ERR_CORRUPT;
        if (!e)
            smtp_data_inspect(watch, block);
        if (!e && (watch->violations & (SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF)))
            e = err_why(&t->failure->why, ERR_SYNTAX, "the stored message has bare CR or LF");
        if (e)
            return smtp_connection_fail(t->client, t->failure, e);
        offset += block.len;
        stream_set_deadline(t->client->stream, deadline_in(t->client->timeouts.data));
        e = stream_write(t->client->stream, block);
        if (e)
            return smtp_connection_fail(t->client, t->failure, e);
    }
    return OK;
}

/* The reply to a chunk that is not the last; false in *GOES_ON when it says no. */
WAITS static enum err
read_chunk_reply(struct transaction *t, bool *goes_on)
{
    const struct smtp_answer *answer;
    enum err e = read_reply(t, t->client->timeouts.final);

    if (e || is_positive(t->client))
        return e;
    if (*goes_on) {
        answer = keep_answer(t);
        if (!answer)
            return out_of_memory(t);
        answer_rest(t, answer, SMTP_STAGE_BODY);
    }
    *goes_on = false;
    return OK;
}

/* One chunk is on its way while the reply to the one before is awaited. */
WAITS static enum err
send_chunks(struct transaction *t, struct buf *line)
{
    struct smtp_data_decoder watch;
    uint64_t size = t->message->size;
    unsigned pending = 0;
    bool goes_on = true;
    enum err e = OK;

    smtp_data_decoder_init(&watch, 0);
    for (uint64_t offset = 0; !e && goes_on; offset += CHUNK_SIZE) {
        uint64_t chunk = MIN(size - offset, (uint64_t)CHUNK_SIZE);
        bool last = offset + chunk == size;
        t->client->stage = SMTP_STAGE_BODY;
        e = write_chunk_head(t, line, chunk, last);
        if (!e)
            e = write_raw(t, &watch, offset, chunk);
        if (!e && last)
            t->client->stage = SMTP_STAGE_FINAL;
        if (!e && pending > 0) {
            pending--;
            e = read_chunk_reply(t, &goes_on);
        }
        if (last)
            break;
        pending++;
    }
    while (!e && pending-- > 0)
        e = read_chunk_reply(t, &goes_on);
    if (e)
        return e;
    /* After a refused chunk the rest answers nothing that matters: RSET comes with the next
     * message, and the replies to what was under way would be taken for its: give the connection
     * up. */
    if (!goes_on) {
        t->client->closing = true;
        return OK;
    }
    return read_final_replies(t);
}

/* Everything in one flight.  The peer must take the bytes of the chunk even when it refuses. */
WAITS static enum err
send_eagerly(struct transaction *t, struct buf *line)
{
    struct smtp_data_decoder watch;
    enum err e = write_envelope(t, line);

    smtp_data_decoder_init(&watch, 0);
    if (!e)
        e = write_chunk_head(t, line, t->message->size, true);
    if (!e)
        e = write_raw(t, &watch, 0, t->message->size);
    if (e)
        return e;
    e = read_envelope_replies(t);
    if (e) {
        /* The peer has it all, whatever reply is missing. */
        t->failure->stage = SMTP_STAGE_FINAL;
        return e;
    }
    if (t->accepted > 0)
        return read_final_replies(t);
    t->client->stage = SMTP_STAGE_DATA;
    return read_reply(t, t->client->timeouts.command);
}

WAITS static enum err
send_in_chunks(struct transaction *t, struct buf *line)
{
    bool eager = t->client->capabilities.pipelining && t->message->size <= EAGER_MAX;
    enum err e;

    if (eager)
        return send_eagerly(t, line);
    e = write_envelope(t, line);
    if (!e)
        e = read_envelope_replies(t);
    if (e || t->accepted == 0)
        return e;
    return send_chunks(t, line);
}

/* --- The whole. */

/* An address that could end the command early never leaves. */
static bool
is_safe(str address)
{
    for (size_t i = 0; i < address.len; i++)
        if ((unsigned char)address.ptr[i] < 0x20 || address.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool
addresses_are_safe(const struct smtp_message *message)
{
    bool safe = is_safe(message->reverse_path);

    for (size_t i = 0; safe && i < message->recipient_count; i++)
        safe = is_safe(message->recipients[i].address) && is_safe(message->recipients[i].original);
    return safe;
}

enum err
smtp_client_send(struct smtp_client *client, struct smtp_message *message,
                 struct smtp_failure *failure)
{
    struct transaction t = { .client = client, .message = message, .failure = failure };
    const struct smtp_capabilities *offered = &client->capabilities;
    struct buf line;
    enum err e;

    *failure = (struct smtp_failure){};
    if (!addresses_are_safe(message))
        return answer_all_ourselves(&t, 553, "5.1.3", "An address holds a control character");
    if (message->smtputf8 && !offered->smtputf8)
        return answer_all_ourselves(&t, 550, "5.6.7",
                                    "The next hop does not take internationalised mail (SMTPUTF8)");
    if (offered->size > 0 && message->size > offered->size)
        return answer_all_ourselves(&t, 552, "5.3.4",
                                    "The message is larger than the next hop says it takes");
    smtp_connection_stage(client, SMTP_STAGE_MAIL);
    buf_init(&line, COMMAND_MAX);
    e = offered->chunking ? send_in_chunks(&t, &line) : send_data(&t, &line);
    buf_done(&line);
    client->sent++;
    failure->silent = !t.heard;
    if (e)
        return e;
    smtp_connection_stage(client, SMTP_STAGE_IDLE);
    return OK;
}
