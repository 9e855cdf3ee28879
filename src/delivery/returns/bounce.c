/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* bounce.c: reports to senders: failed, expired, late, delivered, relayed, expanded.
 *
 * A report is a message of its own by the door DOOR_BOUNCE, with the null return path, so that
 * nobody ever reports about it.  It is durable when bounce_send() returns OK; only then may the
 * result be noted.  It is signed by the keys of its From domain, as all mail that begins its way
 * here.  RFC 3461 5 and 6, RFC 3464.
 */
#include "base/rand.h"
#include "delivery/queue/queue_inside.h"
#include "formats/dsn.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "trust/signing.h"

#include <string.h>

enum {
    REPORT_MAX = 1024 * 1024,
    REPORT_HEADER_MAX = 64 * 1024,
    REPORT_BODY_MAX = 256 * 1024, /* A larger original comes back without its body. */
    REPORT_ROWS_MAX = 500, /* More are counted only by their neighbours' sake: one report each. */
};

bool
bounce_is_wanted(const struct envelope *envelope, const struct recipient *recipient,
                 enum outcome outcome, unsigned relayed)
{
    uint8_t notify = recipient->notify;

    if (envelope->reverse_path.len == 0 || envelope->door >= DOOR_BOUNCE || (notify & NOTIFY_NEVER))
        return false;
    switch (outcome) {
    case OUTCOME_FAILED:
    case OUTCOME_EXPIRED:
        return notify == NOTIFY_DEFAULT || (notify & NOTIFY_FAILURE);
    case OUTCOME_LATE:
        return notify == NOTIFY_DEFAULT || (notify & NOTIFY_DELAY);
    case OUTCOME_DELIVERED:
        return ((relayed & RELAYED_WITHOUT_DSN) && (notify & NOTIFY_SUCCESS)) ||
               (relayed & (RELAYED_WITHOUT_BY | RELAYED_TRACED));
    case OUTCOME_EXPANDED:
        return notify & NOTIFY_SUCCESS;
    default:
        return false;
    }
}

static enum dsn_action
action_of(enum outcome outcome, str remote)
{
    switch (outcome) {
    case OUTCOME_LATE:
        return DSN_DELAYED;
    case OUTCOME_EXPANDED:
        return DSN_EXPANDED;
    case OUTCOME_DELIVERED:
        return remote.len ? DSN_RELAYED : DSN_DELIVERED;
    default:
        return DSN_FAILED;
    }
}

/* An expired recipient failed with the last temporary reason, which its status must not repeat as
 * such. */
static str
status_of(const struct bounce_row *row, const struct recipient_progress *progress)
{
    if (row->outcome == OUTCOME_EXPIRED)
        return S("5.4.7");
    if (row->outcome == OUTCOME_LATE && progress->enhanced.len == 0)
        return S("4.4.7");
    return progress->enhanced;
}

static struct dsn_recipient *
describe_rows(const struct envelope *envelope, const struct progress *progress,
              const struct bounce_row *rows, size_t count, const struct config *config,
              struct arena *arena)
{
    struct dsn_recipient *described = arena_new_array(arena, struct dsn_recipient, count);

    for (size_t i = 0; described && i < count; i++) {
        const struct recipient *recipient = &envelope->recipients[rows[i].index];
        const struct recipient_progress *row = &progress->recipients[rows[i].index];
        described[i] = (struct dsn_recipient){
            .original = recipient->original,
            .address = recipient->address,
            .action = action_of(rows[i].outcome, row->remote),
            .status = status_of(&rows[i], row),
            .remote = row->remote,
            .code = row->code,
            .text = row->text,
            .last_attempt = row->last_attempt,
        };
        if (rows[i].outcome == OUTCOME_LATE)
            described[i].will_retry_until = handling_expiry(envelope, config);
    }
    return described;
}

/* Up to SIZE bytes of the original from OFFSET; less when it cannot be read: a report without it is
 * better than none. */
WAITS static str
read_original(struct body *body, struct arena *arena, uint64_t offset, uint64_t size)
{
    char *bytes = arena_alloc(arena, (size_t)size);
    size_t len = 0;
    size_t got;

    while (bytes && len < size) {
        if (body_read(body, offset + len, bytes + len, (size_t)size - len, &got) || got == 0)
            break;
        len += got;
    }
    return (str){ bytes, len };
}

/* Whole lines only. */
static str
cut_at_line(str header, bool is_cut)
{
    ssize_t end;

    if (!is_cut)
        return header;
    end = str_find_last(header, '\n');
    return str_head(header, (size_t)(end + 1));
}

WAITS static void
add_original(struct queue *queue, const struct envelope *envelope, struct dsn *dsn,
             struct arena *arena)
{
    uint64_t header_size = MIN(envelope->header_size, (uint64_t)REPORT_HEADER_MAX);
    struct body *body = NULL;

    if (body_open(queue->spool, envelope->id, &body))
        return;
    body_put_before(body, envelope->prefix);
    dsn->header = cut_at_line(read_original(body, arena, 0, header_size),
                              header_size < envelope->header_size);
    /* RFC 8689 5: what was to travel encrypted does not come back whole. */
    if (envelope->ret == RETURN_FULL && envelope->tls_wish != TLS_REQUIRED && envelope->size <= REPORT_BODY_MAX &&
        header_size == envelope->header_size) {
        dsn->body = read_original(body, arena, header_size, envelope->size - header_size);
        dsn->with_body = true;
    }
    body_close(body);
}

static msgid
new_id(void)
{
    uint8_t entropy[10];

    random_bytes(entropy, sizeof(entropy));
    return msgid_make(clock_now(), entropy);
}

static uint64_t
header_size_of(str message)
{
    ssize_t end = str_find_str(message, S("\r\n\r\n"));

    return end < 0 ? message.len : (uint64_t)end + 4;
}

/* RSA takes a millisecond, which is not the loop's to give. */
struct signature {
    struct keyring *keyring;
    const struct config *config;
    str message;
    struct buf *fields;
    enum err result;
};

static void
make_signature(void *arg)
{
    struct signature *signature = arg;

    signature->result = signing_message(signature->keyring, signature->config, signature->message,
                                        clock_now(), signature->fields);
}

/* A report that cannot be signed goes without: it is awaited. */
WAITS static void
sign(struct queue *queue, const struct config *config, str message, struct buf *fields)
{
    struct signature signature = { queue->keyring, config, message, fields, OK };

    if (!queue->keyring)
        return;
    offload_computing(make_signature, &signature);
    if (signature.result)
        log_warning("a report of delivery was not signed: %s", err_name(signature.result));
}

/* Into the spool, and into the queue. */
WAITS static enum err
post(struct queue *queue, const struct envelope *about, msgid id, str message, str signatures)
{
    struct recipient recipient = { .address = about->reverse_path, .notify = NOTIFY_NEVER };
    struct envelope envelope = {
        .id = id,
        .received_at = clock_now(),
        .door = DOOR_BOUNCE,
        .smtputf8 = about->smtputf8,
        .body = about->smtputf8 || about->ret == RETURN_FULL ? about->body : BODY_7BIT,
        .size = signatures.len + message.len,
        .header_size = signatures.len + header_size_of(message),
        .prefix = signatures,
        .lane = LANE_NOTICE,
        .lane_why = S("it is a report of delivery"),
        .priority = about->priority,
        .ret = about->tls_wish == TLS_REQUIRED ? RETURN_HEADERS : RETURN_DEFAULT,
        .tls_wish = about->tls_wish == TLS_REQUIRED ? TLS_REQUIRED : TLS_AS_USUAL,
        .recipients = &recipient,
        .recipient_count = 1,
    };

    return queue_post(queue, &envelope, message);
}

static void
record_report(struct queue *queue, const struct envelope *about, msgid id,
              const struct bounce_row *row)
{
    char text[MSGID_TEXT_SIZE + 1];
    struct event event = {
        .kind = EVENT_DSN_SENT,
        .message = about->id,
        .sender = about->reverse_path,
        .account = about->account,
        .recipient = about->recipients[row->index].address,
        .recipient_index = row->index,
    };

    if (!queue->events)
        return;
    msgid_format(id, text);
    event.text = str_from(text);
    events_record(queue->events, &event);
}

WAITS static enum err
send_one(struct queue *queue, const struct envelope *envelope, const struct progress *progress,
         const struct bounce_row *rows, size_t count, const struct config *config)
{
    char message_id[MSGID_TEXT_SIZE + 1] = "";
    msgid id = new_id();
    struct dsn dsn = {
        .reporting_mta = config->server.hostname,
        .to = envelope->reverse_path,
        .envid = envelope->envid,
        .arrived_at = envelope->received_at,
        .deliver_by = envelope->by_deadline,
        .now = clock_now(),
        .utf8 = envelope->smtputf8,
        .recipient_count = count,
    };
    struct arena arena;
    struct buf text, signatures;
    enum err e = ERR_LIMIT;

    arena_init(&arena, 4 * (size_t)REPORT_MAX);
    buf_init(&text, REPORT_MAX);
    buf_init(&signatures, SIGNING_FIELDS_MAX);
    msgid_format(id, message_id);
    dsn.message_id = str_from(message_id);
    dsn.recipients = describe_rows(envelope, progress, rows, count, config, &arena);
    dsn.from = config->server.postmaster;
    if (dsn.recipients && (dsn.from.len || arena_printf(&arena, &dsn.from, "postmaster@%.*s",
                                                        STR_ARG(config->server.hostname)))) {
        add_original(queue, envelope, &dsn, &arena);
        e = dsn_format(&dsn, &text);
    }
    if (!e) {
        sign(queue, config, buf_str(&text), &signatures);
        e = post(queue, envelope, id, buf_str(&text), buf_str(&signatures));
    }
    for (size_t i = 0; !e && i < count; i++)
        record_report(queue, envelope, id, &rows[i]);
    buf_done(&signatures);
    buf_done(&text);
    arena_done(&arena);
    return e;
}

enum err
bounce_send(struct queue *queue, const struct envelope *envelope, const struct progress *progress,
            const struct bounce_row *rows, size_t count, const struct config *config)
{
    size_t step = REPORT_ROWS_MAX;
    size_t first = 0;
    enum err e = OK;

    while (!e && first < count) {
        size_t some = MIN(count - first, step);
        e = send_one(queue, envelope, progress, rows + first, some, config);
        if (e == ERR_LIMIT && some > 1) {
            step = some / 2; /* Long addresses and replies: the report became too large. */
            e = OK;
        } else {
            first += some;
        }
    }
    return e;
}
