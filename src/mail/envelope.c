/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* envelope.c: the envelope's stored form.
 *
 * A version byte, then the fields in the order of the struct, little-endian and length-prefixed.
 * A newer version only adds fields before the recipients, so that the one before can be read.
 */
#include "mail/envelope.h"

#include "base/cursor.h"

enum {
    ENVELOPE_VERSION = 3,
    ENVELOPE_VERSION_OLDEST = 1, /* Up to the field `tls`. */
};

static void
add_id(struct buf *buf, msgid id)
{
    buf_add(buf, (str){ (const char *)id.bytes, sizeof(id.bytes) });
}

static void
add_endpoint(struct buf *buf, const struct endpoint *endpoint)
{
    buf_add(buf, (str){ (const char *)endpoint->addr.bytes, sizeof(endpoint->addr.bytes) });
    buf_add_u32(buf, endpoint->port);
}

static void
add_recipient(struct buf *buf, const struct recipient *recipient)
{
    buf_add_str(buf, recipient->address);
    buf_add_str(buf, recipient->original);
    buf_add_u8(buf, recipient->notify);
}

/* Since version 2, the last field since version 3. */
static void
add_handling(struct buf *buf, const struct envelope *envelope)
{
    buf_add_u8(buf, (uint8_t)envelope->lane);
    buf_add_str(buf, envelope->lane_why);
    buf_add_u8(buf, (uint8_t)(envelope->priority - PRIORITY_MIN));
    buf_add_u8(buf, (uint8_t)envelope->by);
    buf_add_u64(buf, (uint64_t)envelope->by_deadline);
    buf_add_u8(buf, envelope->by_trace);
    buf_add_u64(buf, (uint64_t)envelope->release_at);
    buf_add_str(buf, envelope->prefix);
    buf_add_u8(buf, (uint8_t)envelope->tls_wish);
}

void
envelope_encode(const struct envelope *envelope, struct buf *buf)
{
    buf_add_u8(buf, ENVELOPE_VERSION);
    add_id(buf, envelope->id);
    buf_add_u64(buf, (uint64_t)envelope->received_at);
    buf_add_u8(buf, (uint8_t)envelope->door);
    buf_add_str(buf, envelope->account);
    add_endpoint(buf, &envelope->client);
    buf_add_str(buf, envelope->helo);
    buf_add_str(buf, envelope->protocol);
    buf_add_str(buf, envelope->reverse_path);
    buf_add_u8(buf, envelope->smtputf8);
    buf_add_u8(buf, (uint8_t)envelope->body);
    buf_add_u8(buf, (uint8_t)envelope->ret);
    buf_add_str(buf, envelope->envid);
    buf_add_u64(buf, envelope->size);
    buf_add_u64(buf, envelope->header_size);
    buf_add_str(buf, envelope->header_message_id);
    buf_add_str(buf, envelope->tls);
    add_handling(buf, envelope);
    buf_add_u32(buf, (uint32_t)envelope->recipient_count);
    for (size_t i = 0; i < envelope->recipient_count; i++)
        add_recipient(buf, &envelope->recipients[i]);
}

static void
read_bytes(struct cursor *cursor, uint8_t *to, size_t count)
{
    str bytes = cursor_take(cursor, count);

    for (size_t i = 0; i < bytes.len; i++)
        to[i] = (uint8_t)bytes.ptr[i];
}

static void
read_handling(struct cursor *cursor, uint8_t version, struct envelope *envelope)
{
    envelope->lane = (enum lane)cursor_u8(cursor);
    envelope->lane_why = cursor_str(cursor);
    envelope->priority = (int8_t)(cursor_u8(cursor) + PRIORITY_MIN);
    envelope->by = (enum deliver_by)cursor_u8(cursor);
    envelope->by_deadline = (instant)cursor_u64(cursor);
    envelope->by_trace = cursor_u8(cursor);
    envelope->release_at = (instant)cursor_u64(cursor);
    envelope->prefix = cursor_str(cursor);
    if (version >= 3)
        envelope->tls_wish = (enum tls_wish)cursor_u8(cursor);
}

static bool
handling_is_sane(const struct envelope *envelope)
{
    return envelope->lane <= LANE_BULK && envelope->priority >= PRIORITY_MIN &&
           envelope->priority <= PRIORITY_MAX && envelope->by <= BY_NOTIFY &&
           envelope->tls_wish <= TLS_OPTIONAL && envelope->prefix.len <= PREFIX_MAX &&
           envelope->prefix.len <= envelope->header_size;
}

static void
read_facts(struct cursor *cursor, uint8_t version, struct envelope *envelope)
{
    read_bytes(cursor, envelope->id.bytes, sizeof(envelope->id.bytes));
    envelope->received_at = (instant)cursor_u64(cursor);
    envelope->door = (enum door)cursor_u8(cursor);
    envelope->account = cursor_str(cursor);
    read_bytes(cursor, envelope->client.addr.bytes, sizeof(envelope->client.addr.bytes));
    envelope->client.port = (uint16_t)cursor_u32(cursor);
    envelope->helo = cursor_str(cursor);
    envelope->protocol = cursor_str(cursor);
    envelope->reverse_path = cursor_str(cursor);
    envelope->smtputf8 = cursor_u8(cursor);
    envelope->body = (enum body_type)cursor_u8(cursor);
    envelope->ret = (enum dsn_return)cursor_u8(cursor);
    envelope->envid = cursor_str(cursor);
    envelope->size = cursor_u64(cursor);
    envelope->header_size = cursor_u64(cursor);
    envelope->header_message_id = cursor_str(cursor);
    envelope->tls = cursor_str(cursor);
    envelope->lane = LANE_PERSONAL;
    if (version >= 2)
        read_handling(cursor, version, envelope);
    envelope->recipient_count = cursor_u32(cursor);
}

enum err
envelope_decode(str bytes, struct arena *arena, struct envelope *envelope)
{
    struct envelope read = {};
    struct cursor cursor;
    uint8_t version;

    cursor_init(&cursor, bytes);
    version = cursor_u8(&cursor);
    if (version < ENVELOPE_VERSION_OLDEST || version > ENVELOPE_VERSION)
        return ERR_CORRUPT;
    read_facts(&cursor, version, &read);
    if (!cursor_ok(&cursor) || read.recipient_count > RECIPIENTS_MAX || !handling_is_sane(&read) ||
        read.door > DOOR_REPORT || read.body > BODY_BINARYMIME || read.ret > RETURN_HEADERS)
        return ERR_CORRUPT;
    read.recipients = arena_new_array(arena, struct recipient, read.recipient_count);
    if (!read.recipients)
        return ERR_LIMIT;
    for (size_t i = 0; i < read.recipient_count; i++) {
        read.recipients[i].address = cursor_str(&cursor);
        read.recipients[i].original = cursor_str(&cursor);
        read.recipients[i].notify = cursor_u8(&cursor);
    }
    if (!cursor_ok(&cursor) || !cursor_at_end(&cursor))
        return ERR_CORRUPT;
    *envelope = read;
    return OK;
}
