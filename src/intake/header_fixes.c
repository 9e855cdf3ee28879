/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_fixes.c: the header section as it will be stored: the last gate before the body.
 *
 * Every message gets its Received field on top (RFC 5321 4.4) and loses a Return-Path, which only
 * the final delivery may write.  A message that begins its way here also gets what its author's
 * program left out (RFC 6409 8), and loses Bcc (RFC 5322 3.6.3); a printer in a trusted network
 * that uses port 25 gets the first of these, too.
 */
#include "config/config.h"
#include "formats/date.h"
#include "formats/header.h"
#include "formats/received.h"
#include "intake/gates.h"
#include "intake/transaction.h"

static void
add_received(struct intake *intake)
{
    const struct envelope *envelope = &intake->envelope;
    char id[MSGID_TEXT_SIZE + 1];
    struct received received = {
        .helo = intake->peer.helo,
        .has_ip = !ipaddr_is_any(intake->peer.client.addr),
        .ip = intake->peer.client.addr,
        .by = intake->config->server.hostname,
        .protocol = envelope->protocol,
        .tls = intake->peer.tls,
        .utf8 = intake->sender.smtputf8,
        .when = envelope->received_at,
    };

    msgid_format(envelope->id, id);
    received.id = str_from(id);
    if (envelope->recipient_count == 1)
        received.for_rcpt = envelope->recipients[0].address;
    received_format(&received, &intake->fixed);
}

static void
add_missing(struct intake *intake)
{
    char date[DATE_TEXT_MAX], id[MSGID_TEXT_SIZE + 1];

    if (!intake->facts.from && intake->sender.path.len)
        buf_addf(&intake->fixed, "From: <%.*s>\r\n", STR_ARG(intake->sender.path));
    if (!intake->facts.date) {
        date_format(intake->envelope.received_at, 0, date);
        buf_addf(&intake->fixed, "Date: %s\r\n", date);
    }
    if (!intake->facts.message_id) {
        msgid_format(intake->envelope.id, id);
        buf_addf(&intake->fixed, "Message-ID: <%s@%.*s>\r\n", id,
                 STR_ARG(intake->config->server.hostname));
    }
}

static bool
is_secret(const struct header_field *field)
{
    return header_is(field, S("Bcc")) || header_is(field, S("Resent-Bcc"));
}

/* The fields in their order, without those that must not go on; then the empty line. */
static void
copy_fields(struct intake *intake, bool keep_secrets)
{
    str section = str_head(buf_str(&intake->header), intake->header_size);
    struct header_field field;

    while (header_next(&section, &field)) {
        if (header_is(&field, S("Return-Path")) || (!keep_secrets && is_secret(&field)))
            continue;
        buf_add(&intake->fixed, field.raw);
        if (!str_ends(field.raw, S("\n")))
            buf_add(&intake->fixed, S("\r\n"));
    }
    buf_add(&intake->fixed, S("\r\n"));
}

static enum err
note_message_id(struct intake *intake, bool keeps_as_it_is)
{
    str *id = &intake->envelope.header_message_id;
    char own[MSGID_TEXT_SIZE + 1];
    bool fits;

    msgid_format(intake->envelope.id, own);
    if (intake->facts.message_id || keeps_as_it_is)
        fits = arena_copy(&intake->arena, intake->facts.message_id_value, id);
    else
        fits = arena_printf(&intake->arena, id, "<%s@%.*s>", own,
                            STR_ARG(intake->config->server.hostname));
    return fits ? OK : ERR_LIMIT;
}

enum err
gate_complete_header(struct intake *intake, struct verdict *verdict)
{
    (void)verdict;
    add_received(intake);
    add_missing(intake);
    copy_fields(intake, false);
    return note_message_id(intake, false);
}

enum err
gate_keep_header(struct intake *intake, struct verdict *verdict)
{
    (void)verdict;
    add_received(intake);
    if (intake->trusted)
        add_missing(intake);
    copy_fields(intake, true);
    return note_message_id(intake, !intake->trusted);
}
