/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* intake.c: one message from MAIL to the promise.
 *
 * The envelope collects in the arena.  Of the bytes, only the header section is held (up to its
 * ceiling); once it has passed its gates it goes into the draft in its new form, and everything
 * after it straight behind.  A message that is refused costs nothing more: its draft is dropped and
 * the rest of its bytes are only counted.  Start reading at intake_accept(), at the end.
 */
#include "intake/intake.h"

#include "accounts/limits.h"
#include "base/must.h"
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "formats/address.h"
#include "formats/header.h"
#include "intake/gates.h"
#include "intake/record.h"
#include "intake/transaction.h"
#include "runtime/clock.h"
#include "store/events.h"
#include "store/spool.h"
#include "trust/signing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond the header's ceiling, one more piece of the body may stand in its buffer. */
enum {
    PIECE_MAX = 64 * 1024
};
/* What is added to a header section: a Received field, a Date, a Message-ID, links of a list. */
enum {
    FIXES_MAX = 8192
};
enum {
    RECIPIENTS_FIRST = 4
};
/* Memory of one look into the directory: an alias may have many targets. */
enum {
    LOOKUP_MEMORY_MAX = 512 * 1024
};

void
verdict_refuse(struct verdict *verdict, uint16_t code, const char *enhanced, const char *format,
               ...)
{
    va_list args;

    verdict->code = code;
    snprintf(verdict->enhanced, sizeof(verdict->enhanced), "%s", enhanced);
    va_start(args, format);
    vsnprintf(verdict->text, sizeof(verdict->text), format, args);
    va_end(args);
}

bool
verdict_accepts(const struct verdict *verdict)
{
    return verdict->code == 0;
}

enum err
intake_failed(enum err e, struct verdict *verdict)
{
    if (e == ERR_CANCELLED)
        return e;
    if (e == ERR_FULL)
        verdict_refuse(verdict, 452, "4.3.1", "No space on the disk, try again later");
    else if (e == ERR_LIMIT || e == ERR_BUSY)
        verdict_refuse(verdict, 452, "4.3.2", "Too much at once, try again later");
    else
        verdict_refuse(verdict, 451, "4.3.0", "Something here failed (%s), try again later",
                       err_name(e));
    return OK;
}

bool
intake_is_trusted(struct intake_services *services, const struct endpoint *client)
{
    const struct config_networks *trusted = &((struct config *)services->config)->trust.network;

    for (size_t i = 0; i < trusted->count; i++) {
        if (network_holds(&trusted->items[i], client->addr))
            return true;
    }
    return false;
}

unsigned
intake_recipients_max(struct intake_services *services, const struct intake_peer *peer)
{
    unsigned max = ((struct config *)services->config)->smtp.recipients_max;
    uint32_t own = 0;

    if (peer->door == DOOR_LOCAL)
        return RECIPIENTS_MAX; /* Nobody is there who could send the rest later. */
    if (peer->account.len)
        own = limits_recipients_max(services->limits, peer->account_id);
    if (own && (!max || own < max))
        max = own;
    return max && max < RECIPIENTS_MAX ? max : RECIPIENTS_MAX;
}

duration
intake_hold_max(struct intake_services *services, const struct intake_peer *peer)
{
    const struct config *config = services->config;

    /* RFC 4865 4.1: not for mail from other servers. */
    return peer->door == DOOR_SUBMISSION ? config->smtp.future_release_max : 0;
}

enum err
intake_begin(struct intake_services *services, const struct intake_peer *peer,
             struct intake **intake)
{
    struct intake *in = calloc(1, sizeof(*in));

    if (!in)
        return ERR_LIMIT;
    in->services = services;
    in->config = config_ref(services->config);
    in->peer = *peer;
    in->trusted = intake_is_trusted(services, &peer->client);
    arena_init(&in->arena, in->config->smtp.transaction_memory_max);
    arena_init(&in->lookup, LOOKUP_MEMORY_MAX);
    buf_init(&in->header, in->config->smtp.header_size_max + PIECE_MAX);
    buf_init(&in->fixed, in->config->smtp.header_size_max + FIXES_MAX);
    *intake = in;
    return OK;
}

void
intake_free(struct intake *intake)
{
    if (!intake)
        return;
    signing_free(intake->signing);
    draft_drop(&intake->draft);
    limits_cancel(intake->ticket);
    buf_done(&intake->fixed);
    buf_done(&intake->header);
    arena_done(&intake->lookup);
    arena_done(&intake->arena);
    config_unref(intake->config);
    free(intake);
}

void
intake_drop(struct intake **intake)
{
    intake_free(take(*intake));
}

/* The spelling under which the directory knows TEXT; an address without one is looked up as it is.
 */
static enum err
find_forms(struct arena *arena, str text, struct address_forms *forms)
{
    struct address address, canonical;
    ssize_t at = str_find(text, '@');
    enum err e;

    *forms = (struct address_forms){ .canonical = text };
    if (at < 0)
        return OK;
    e = address_parse(text, arena, &address);
    if (e == ERR_SYNTAX)
        return OK;
    if (e)
        return e;
    e = address_canonical(&address, arena, &canonical);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    forms->domain = canonical.domain;
    return address_text(&canonical, arena, &forms->canonical) ? OK : ERR_LIMIT;
}

static enum err
keep_sender(struct intake *intake, const struct intake_sender *sender)
{
    intake->sender = *sender;
    if (!arena_copy(&intake->arena, sender->path, &intake->sender.path))
        return ERR_LIMIT;
    if (!arena_copy(&intake->arena, sender->envid, &intake->sender.envid))
        return ERR_LIMIT;
    return find_forms(&intake->arena, intake->sender.path, &intake->sender_forms);
}

enum err
intake_sender(struct intake *intake, const struct intake_sender *sender, struct verdict *verdict)
{
    enum err e;

    *verdict = (struct verdict){ 0 };
    e = keep_sender(intake, sender);
    if (e)
        return intake_failed(e, verdict);
    e = gates_pass(intake, AT_SENDER, verdict);
    if (e)
        return e;
    if (!verdict_accepts(verdict))
        record_rejected(intake, "mail", S(""), verdict);
    return OK;
}

/* Room for one more in the envelope; the array doubles, and the arena's ceiling bounds it. */
static enum err
grow_recipients(struct intake *intake)
{
    struct envelope *envelope = &intake->envelope;
    size_t capacity = MAX((size_t)RECIPIENTS_FIRST, 2 * intake->recipient_capacity);
    struct recipient *grown;

    if (envelope->recipient_count < intake->recipient_capacity)
        return OK;
    grown = arena_new_array(&intake->arena, struct recipient, capacity);
    if (!grown)
        return ERR_LIMIT;
    if (envelope->recipient_count)
        memcpy(grown, envelope->recipients, envelope->recipient_count * sizeof(*grown));
    envelope->recipients = grown;
    intake->recipient_capacity = capacity;
    return OK;
}

static enum err
add_recipient(struct intake *intake, const struct recipient *recipient)
{
    struct recipient *added;
    enum err e;

    e = grow_recipients(intake);
    if (e)
        return e;
    added = &intake->envelope.recipients[intake->envelope.recipient_count];
    added->notify = recipient->notify;
    if (!arena_copy(&intake->arena, recipient->address, &added->address) ||
        !arena_copy(&intake->arena, recipient->original, &added->original))
        return ERR_LIMIT;
    intake->envelope.recipient_count++;
    return OK;
}

enum err
intake_recipient(struct intake *intake, const struct recipient *recipient, struct verdict *verdict)
{
    enum err e;

    *verdict = (struct verdict){ 0 };
    intake->candidate = recipient;
    intake->resolved = false;
    intake->comes_back = false;
    arena_clear(&intake->lookup);
    e = find_forms(&intake->lookup, recipient->address, &intake->candidate_forms);
    if (e)
        return intake_failed(e, verdict);
    e = gates_pass(intake, AT_RECIPIENT, verdict);
    if (e)
        return e;
    if (!verdict_accepts(verdict)) {
        record_rejected(intake, "rcpt", recipient->address, verdict);
        return OK;
    }
    e = add_recipient(intake, recipient);
    return e ? intake_failed(e, verdict) : OK;
}

size_t
intake_recipient_count(const struct intake *intake)
{
    return intake->envelope.recipient_count;
}

/* Keeps the first refusal of the bytes, and lets go of what was stored. */
static void
refuse_bytes(struct intake *intake, const struct verdict *verdict)
{
    if (verdict_accepts(&intake->refusal))
        intake->refusal = *verdict;
    draft_drop(&intake->draft);
    signing_free(take(intake->signing));
    buf_done(&intake->header);
    buf_done(&intake->fixed);
}

void
intake_refuse(struct intake *intake, uint16_t code, const char *enhanced, const char *text)
{
    struct verdict verdict = { 0 };

    verdict_refuse(&verdict, code, enhanced, "%s", text);
    refuse_bytes(intake, &verdict);
}

void
intake_note_8bit(struct intake *intake)
{
    if (intake->sender.body == BODY_7BIT)
        intake->sender.body = BODY_8BITMIME;
}

bool
intake_is_refused(const struct intake *intake)
{
    return !verdict_accepts(&intake->refusal);
}

bool
intake_priority_changed(const struct intake *intake, int *priority)
{
    *priority = intake->envelope.priority;
    return intake->envelope.priority != intake->sender.priority;
}

uint64_t
intake_size(const struct intake *intake)
{
    return intake->received;
}

static enum err
bytes_failed(struct intake *intake, enum err e)
{
    struct verdict verdict = { 0 };

    e = intake_failed(e, &verdict);
    if (e)
        return e;
    refuse_bytes(intake, &verdict);
    return OK;
}

WAITS static enum err
write_draft(struct intake *intake, str bytes)
{
    enum err e;

    if (!bytes.len || intake_is_refused(intake))
        return OK;
    e = draft_write(intake->draft, bytes);
    return e ? bytes_failed(intake, e) : OK;
}

/* What follows the header section. */
WAITS static enum err
write_body(struct intake *intake, str bytes)
{
    signing_add(intake->signing, bytes);
    return write_draft(intake, bytes);
}

/* Gives the message its name and time; from here on the gates can speak of it. */
static void
name_message(struct intake *intake)
{
    uint8_t entropy[10];

    random_bytes(entropy, sizeof(entropy));
    intake->envelope.received_at = clock_now();
    intake->envelope.id = msgid_make(intake->envelope.received_at, entropy);
}

/* RFC 3848, RFC 6531 4.3: ESMTPSA becomes UTF8SMTPSA. */
static enum err
fill_protocol(struct intake *intake)
{
    str protocol = intake->peer.protocol;

    intake->envelope.protocol = protocol;
    if (!intake->sender.smtputf8 || !str_starts(protocol, S("E")))
        return OK;
    protocol = str_skip(protocol, 1);
    return arena_printf(&intake->arena, &intake->envelope.protocol, "UTF8%.*s", STR_ARG(protocol))
               ? OK
               : ERR_LIMIT;
}

/* RFC 8689 4.1: REQUIRETLS goes before the field; a value that is not known says nothing. */
static void
note_tls_wish(struct intake *intake)
{
    const struct header_facts *facts = &intake->facts;

    if (intake->sender.require_tls)
        intake->envelope.tls_wish = TLS_REQUIRED;
    else if (facts->tls_required == 1 && str_eq_nocase(facts->tls_required_value, S("No")))
        intake->envelope.tls_wish = TLS_OPTIONAL;
}

const struct config_list *
intake_list(const struct intake *intake)
{
    if (!intake_is_ours(intake) && intake->peer.door != DOOR_LOCAL)
        return NULL;
    return config_find_list(intake->config, intake->sender.path, intake->peer.account);
}

/* How much it is in a hurry: while its header section is at hand. */
static void
choose_lane(struct intake *intake)
{
    struct envelope *envelope = &intake->envelope;
    const struct config_list *list = intake_list(intake);
    struct lane_facts facts = {
        .header = &intake->facts,
        .recipients = envelope->recipient_count,
        .recent = limits_recent(intake->ticket, envelope->received_at),
        .priority = envelope->priority,
        .from_program = intake->peer.door == DOOR_LOCAL,
        .null_sender = intake->sender.path.len == 0,
    };

    envelope->lane = lane_of(&facts, intake->lane_why);
    if (list) {
        envelope->lane = LANE_BULK;
        snprintf(intake->lane_why, sizeof(intake->lane_why), "its sender is that of list %.*s",
                 STR_ARG(list->name));
    }
    envelope->lane_why = str_from(intake->lane_why);
}

/* The header section, SIZE bytes, is complete: judge it, and write it in its new form. */
WAITS static enum err
pass_header(struct intake *intake, size_t size)
{
    struct verdict verdict = { 0 };
    str rest;
    enum err e;

    name_message(intake);
    e = fill_protocol(intake);
    if (e)
        return bytes_failed(intake, e);
    intake->header_size = size;
    e = gates_pass(intake, AT_HEADER, &verdict);
    if (e)
        return e;
    if (verdict_accepts(&verdict) && !buf_ok(&intake->fixed))
        verdict_refuse(&verdict, 552, "5.3.4", "The header section is too large");
    if (!verdict_accepts(&verdict)) {
        refuse_bytes(intake, &verdict);
        return OK;
    }
    choose_lane(intake);
    note_tls_wish(intake);
    e = gates_pass(intake, AT_LANE, &verdict);
    if (e)
        return e;
    if (!verdict_accepts(&verdict)) {
        refuse_bytes(intake, &verdict);
        return OK;
    }
    e = draft_begin(intake->services->spool, &intake->draft);
    if (e)
        return bytes_failed(intake, e);
    intake->stage = STAGE_BODY;
    intake->envelope.header_size = intake->fixed.len;
    e = write_draft(intake, buf_str(&intake->fixed));
    if (e)
        return e;
    rest = str_skip(buf_str(&intake->header), size);
    e = write_body(intake, rest);
    buf_done(&intake->header);
    buf_done(&intake->fixed);
    return e;
}

WAITS static enum err
collect_header(struct intake *intake, str bytes)
{
    size_t max = intake->config->smtp.header_size_max;
    size_t size;

    intake->stage = STAGE_HEADER;
    buf_add(&intake->header, bytes);
    if (header_find_end(buf_str(&intake->header), &intake->header_scanned, &size) && size <= max)
        return pass_header(intake, size);
    if (intake->header.len <= max && buf_ok(&intake->header))
        return OK;
    intake_refuse(intake, 552, "5.3.4", "The header section is too large");
    return OK;
}

WAITS static enum err
write_piece(struct intake *intake, str bytes)
{
    uint64_t max = intake->config->smtp.message_size_max;

    intake->received += bytes.len;
    if (intake_is_refused(intake))
        return OK;
    if (max && intake->received > max) {
        intake_refuse(intake, 552, "5.3.4", "The message is larger than we take");
        return OK;
    }
    if (intake->stage == STAGE_BODY)
        return write_body(intake, bytes);
    return collect_header(intake, bytes);
}

enum err
intake_write(struct intake *intake, str bytes)
{
    enum err e = OK;

    while (bytes.len && !e) {
        e = write_piece(intake, str_head(bytes, PIECE_MAX));
        bytes = str_skip(bytes, PIECE_MAX);
    }
    return e;
}

/* Times are counted from the acceptance, which is now. */
static void
fill_times(struct intake *intake)
{
    const struct intake_sender *sender = &intake->sender;
    struct envelope *envelope = &intake->envelope;
    instant now = envelope->received_at;

    envelope->by = sender->by;
    envelope->by_trace = sender->by_trace;
    if (sender->by)
        envelope->by_deadline = now + sender->by_time;
    if (sender->hold_for)
        envelope->release_at = now + sender->hold_for;
    else if (sender->hold_until > now)
        envelope->release_at = sender->hold_until;
}

static enum err
fill_envelope(struct intake *intake)
{
    struct envelope *envelope = &intake->envelope;

    must(envelope->protocol.len > 0);
    envelope->door = intake->peer.door;
    envelope->account = intake->peer.account;
    envelope->client = intake->peer.client;
    envelope->helo = intake->peer.helo;
    envelope->tls = intake->peer.tls;
    envelope->reverse_path = intake->sender.path;
    envelope->smtputf8 = intake->sender.smtputf8;
    envelope->body = intake->sender.body;
    envelope->ret = intake->sender.ret;
    envelope->envid = intake->sender.envid;
    fill_times(intake);
    envelope->size = envelope->prefix.len + draft_size(intake->draft);
    envelope->header_size += envelope->prefix.len;
    return OK;
}

WAITS static enum err
commit(struct intake *intake)
{
    struct buf encoded;
    enum err e;

    e = fill_envelope(intake);
    if (e)
        return e;
    buf_init(&encoded, SPOOL_ENVELOPE_MAX);
    envelope_encode(&intake->envelope, &encoded);
    e = ERR_LIMIT;
    if (buf_ok(&encoded))
        e = draft_commit(&intake->draft, intake->envelope.id, buf_str(&encoded));
    buf_done(&encoded);
    return e;
}

/* A message that ended within its header section has no body: RFC 5322 3.5. */
WAITS static enum err
end_header(struct intake *intake)
{
    if (intake->stage == STAGE_BODY || intake_is_refused(intake))
        return OK;
    return pass_header(intake, intake->header.len);
}

enum err
intake_accept(struct intake *intake, struct verdict *verdict, msgid *id)
{
    enum err e;

    must(intake->envelope.recipient_count > 0);
    *verdict = (struct verdict){ 0 };
    e = end_header(intake);
    if (e)
        return e;
    events_keep_up(intake->services->events);
    if (!intake_is_refused(intake)) {
        e = gates_pass(intake, AT_END, &intake->refusal);
        if (e)
            return e;
    }
    if (!intake_is_refused(intake)) {
        e = commit(intake);
        if (e)
            e = bytes_failed(intake, e);
        if (e)
            return e;
    }
    *verdict = intake->refusal;
    if (!verdict_accepts(verdict)) {
        record_rejected(intake, "data", S(""), verdict);
        return OK;
    }
    if (intake->ticket)
        limits_commit(take(intake->ticket), clock_now());
    queue_add(intake->services->queue, &intake->envelope);
    record_accepted(intake);
    *id = intake->envelope.id;
    return OK;
}
