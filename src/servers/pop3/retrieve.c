/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* retrieve.c: RETR and TOP: a message streams from the mailbox to the client, in pieces.
 *
 * Dots are doubled as in SMTP.  A message that can no longer be read in the middle ends the
 * conversation, so that the client does not take the half for the whole.
 */
#include "servers/pop3/session.h"

#include "config/config.h"
#include "protocols/smtp/data.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

#include <stdlib.h>

enum {
    PIECE_SIZE = 16 * 1024
};

/* How much of the message is wanted. */
struct portion {
    bool whole;
    uint64_t lines; /* TOP: of the body. */
    bool in_body;
    bool line_is_empty; /* So far, of the line that is being read in the header section. */
    bool complete;
};

/* The front of BYTES that still belongs to PORTION. */
static str
cut_portion(struct portion *portion, str bytes)
{
    size_t i = 0;

    if (portion->whole)
        return bytes;
    for (; i < bytes.len && !portion->complete; i++) {
        char c = bytes.ptr[i];

        if (portion->in_body) {
            if (c == '\n')
                portion->complete = --portion->lines == 0;
            continue;
        }
        if (c == '\n') {
            portion->in_body = portion->line_is_empty;
            portion->complete = portion->in_body && portion->lines == 0;
            portion->line_is_empty = true;
        } else if (c != '\r') {
            portion->line_is_empty = false;
        }
    }
    return str_head(bytes, i);
}

WAITS static enum err
send_piece(struct pop3_session *s, struct smtp_data_encoder *encoder, str bytes)
{
    enum err e;
    str piece;

    stream_set_deadline(s->stream, deadline_in(s->config->pop3.idle_timeout));
    while (smtp_data_encode(encoder, &bytes, &piece)) {
        e = stream_write(s->stream, piece);
        if (e)
            return e;
    }
    return OK;
}

WAITS static enum err
send_pieces(struct pop3_session *s, const struct mailbox_message *message, struct portion *portion,
            char *room)
{
    struct smtp_data_encoder encoder;
    uint64_t offset = 0;
    size_t got = 1;
    enum err e;

    smtp_data_encoder_init(&encoder);
    while (got && !portion->complete) {
        e = mailbox_read(s->mailbox, message->uid, offset, room, PIECE_SIZE, &got);
        if (!e && !offset)
            e = pop3_ok(s, "%llu octets", (unsigned long long)message->size);
        if (e)
            return offset ? ERR_CORRUPT : e;
        offset += got;
        e = send_piece(s, &encoder, cut_portion(portion, (str){ room, got }));
        if (e)
            return e;
    }
    return stream_write(s->stream, smtp_data_encode_end(&encoder));
}

WAITS static enum err
send_message(struct pop3_session *s, const struct mailbox_message *message, struct portion *portion)
{
    char *room = malloc(PIECE_SIZE);
    enum err e;

    if (!room)
        return pop3_refuse(s, "[SYS/TEMP] No memory, try again");
    e = send_pieces(s, message, portion, room);
    free(room);
    if (e == ERR_NOT_FOUND)
        return pop3_refuse(s, "This message is gone");
    return e;
}

enum err
pop3_retr(struct pop3_session *s, str args)
{
    struct portion portion = { .whole = true };
    struct mailbox_message *message;
    size_t index;
    enum err e;

    message = pop3_message(s, args, &index);
    if (!message)
        return pop3_refuse(s, "No such message");
    e = send_message(s, message, &portion);
    if (e)
        return e;
    e = mailbox_set_flags(s->mailbox, message->uid, message->flags | MAILBOX_SEEN);
    return e == ERR_CANCELLED ? e : OK;
}

enum err
pop3_top(struct pop3_session *s, str args)
{
    struct portion portion = { .line_is_empty = true };
    struct mailbox_message *message;
    str number, lines;
    size_t index;

    if (!str_split(args, ' ', &number, &lines) || !str_to_u64(str_trim(lines), &portion.lines))
        return pop3_refuse(s, "TOP takes a message and a number of lines");
    message = pop3_message(s, number, &index);
    if (!message)
        return pop3_refuse(s, "No such message");
    return send_message(s, message, &portion);
}
