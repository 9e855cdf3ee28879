/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_wire.c: reads DNS messages (RFC 1035 section 4), never past their end and never in circles.
 *
 * The answer section is walked once for each CNAME (a bounded number), then once for the records of
 * the last name.  Names are compared and returned in lower case; bytes that do not belong into a
 * domain name become \DDD, so that nothing downstream meets a dot, blank or control that is not
 * one. Start reading at dns_wire_parse().
 */
#include "runtime/dns_wire.h"

#include <string.h>

enum {
    HEADER_SIZE = 12,
    POINTERS_MAX = 64,
    ALIASES_MAX = 16,
    CLASS_IN = 1,
    TYPE_SOA = 6,
    RCODE_NXDOMAIN = 3,
};

struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool failed;
};

struct name {
    char text[DNS_NAME_TEXT_MAX];
    size_t length;
};

struct record {
    struct name owner;
    unsigned type, class;
    uint32_t ttl;
    size_t data, data_size;
};

static unsigned
read_u16(struct reader *reader)
{
    unsigned value;

    if (reader->size - reader->at < 2) {
        reader->failed = true;
        return 0;
    }
    value = (unsigned)reader->bytes[reader->at] << 8 | reader->bytes[reader->at + 1];
    reader->at += 2;
    return value;
}

static uint32_t
read_u32(struct reader *reader)
{
    uint32_t high = read_u16(reader);

    return high << 16 | read_u16(reader);
}

/* Names. */

/* Neither what a zone file sets apart, nor what we put between names ourselves. */
static bool
is_plain(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f && !strchr(".\\\"();@$,/:", byte);
}

static bool
add_label(struct name *name, const uint8_t *label, size_t length)
{
    if (name->length + 4 * length + 2 > sizeof(name->text))
        return false;
    if (name->length)
        name->text[name->length++] = '.';
    for (size_t i = 0; i < length; i++) {
        if (is_plain(label[i])) {
            name->text[name->length++] = ascii_lower((char)label[i]);
            continue;
        }
        name->text[name->length++] = '\\';
        name->text[name->length++] = (char)('0' + label[i] / 100);
        name->text[name->length++] = (char)('0' + label[i] / 10 % 10);
        name->text[name->length++] = (char)('0' + label[i] % 10);
    }
    return true;
}

/* Reads a name, compressed or not; the reader goes on behind its first part. */
static void
read_name(struct reader *reader, struct name *name)
{
    size_t at = reader->at;
    size_t after = 0;
    unsigned pointers = 0;

    name->length = 0;
    for (;;) {
        uint8_t length;
        if (at >= reader->size)
            break;
        length = reader->bytes[at++];
        if (length == 0) {
            reader->at = after ? after : at;
            return;
        }
        if ((length & 0xc0) == 0xc0) {
            if (at >= reader->size || ++pointers > POINTERS_MAX)
                break;
            if (!after)
                after = at + 1;
            at = (size_t)(length & 0x3f) << 8 | reader->bytes[at];
            continue;
        }
        if (length & 0xc0 || reader->size - at < length ||
            !add_label(name, reader->bytes + at, length))
            break;
        at += length;
    }
    reader->failed = true;
}

static bool
names_equal(const struct name *a, const struct name *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

bool
dns_name_normalize(str name, char text[256])
{
    size_t label = 0;

    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > 253)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.ptr[i];
        if (byte == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_plain((uint8_t)byte) || ++label > 63) {
            return false;
        }
        text[i] = ascii_lower(byte);
    }
    text[name.len] = 0;
    return label > 0;
}

/* Records. */

static void
read_record(struct reader *reader, struct record *record)
{
    read_name(reader, &record->owner);
    record->type = read_u16(reader);
    record->class = read_u16(reader);
    record->ttl = read_u32(reader);
    record->data_size = read_u16(reader);
    record->data = reader->at;
    if (reader->failed || reader->size - reader->at < record->data_size)
        reader->failed = true;
    else
        reader->at += record->data_size;
}

/* The strings of a TXT record joined. */
static enum err
read_text(struct arena *arena, const struct reader *data, str *text)
{
    char *joined = arena_alloc(arena, data->size - data->at + 1);
    size_t length = 0;

    if (!joined)
        return ERR_LIMIT;
    for (size_t at = data->at; at < data->size;) {
        size_t part = data->bytes[at++];
        if (data->size - at < part)
            return ERR_SYNTAX;
        memcpy(joined + length, data->bytes + at, part);
        length += part;
        at += part;
    }
    *text = (str){ joined, length };
    return OK;
}

static enum err
read_data_name(struct arena *arena, struct reader *data, struct name *scratch, str *text)
{
    read_name(data, scratch);
    if (data->failed)
        return ERR_SYNTAX;
    return arena_copy(arena, (str){ scratch->text, scratch->length }, text) ? OK : ERR_LIMIT;
}

/* SCRATCH is lent, so that the stack stays small. */
static enum err
read_data(struct arena *arena, const struct reader *packet, const struct record *record,
          struct name *scratch, struct dns_record *out)
{
    /* Names in the data may point to anywhere before it. */
    struct reader data = { packet->bytes, record->data + record->data_size, record->data, false };
    const uint8_t *bytes = packet->bytes + record->data;

    switch ((enum dns_type)record->type) {
    case DNS_A:
        if (record->data_size != 4)
            return ERR_SYNTAX;
        out->addr = ipaddr_from_v4((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                                   (uint32_t)bytes[2] << 8 | bytes[3]);
        return OK;
    case DNS_AAAA:
        if (record->data_size != 16)
            return ERR_SYNTAX;
        out->addr = ipaddr_from_v6(bytes);
        return OK;
    case DNS_MX:
        out->preference = (uint16_t)read_u16(&data);
        return read_data_name(arena, &data, scratch, &out->name);
    case DNS_SRV: /* RFC 2782 */
        out->preference = (uint16_t)read_u16(&data);
        (void)read_u16(&data); /* The weight: we only look whether a record is there. */
        out->port = (uint16_t)read_u16(&data);
        return read_data_name(arena, &data, scratch, &out->name);
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        return read_data_name(arena, &data, scratch, &out->name);
    case DNS_TXT:
        return read_text(arena, &data, &out->data);
    case DNS_TLSA:
        return arena_copy(arena, (str){ (const char *)bytes, record->data_size }, &out->data)
                   ? OK
                   : ERR_LIMIT;
    }
    return ERR_UNSUPPORTED;
}

/* The walk. */

struct walk {
    struct reader packet;
    unsigned answers, authorities;
    size_t first_answer;
    struct name name; /* Whose records are looked for. */
    struct name scratch;
    struct record record;
};

static enum err
read_front(struct walk *walk)
{
    struct reader *packet = &walk->packet;
    unsigned questions;

    if (packet->size < HEADER_SIZE)
        return ERR_SYNTAX;
    packet->at = 4;
    questions = read_u16(packet);
    walk->answers = read_u16(packet);
    walk->authorities = read_u16(packet);
    packet->at = HEADER_SIZE;
    if (questions != 1)
        return ERR_SYNTAX;
    read_name(packet, &walk->name);
    (void)read_u32(packet);
    walk->first_answer = packet->at;
    return packet->failed ? ERR_SYNTAX : OK;
}

/* Follows one CNAME from the current name; FOUND says whether there was one. */
static enum err
follow_alias(struct walk *walk, uint32_t *ttl, bool *found)
{
    struct reader *packet = &walk->packet;

    *found = false;
    packet->at = walk->first_answer;
    for (unsigned i = 0; i < walk->answers; i++) {
        struct reader data;
        read_record(packet, &walk->record);
        if (packet->failed)
            return ERR_SYNTAX;
        if (walk->record.type != DNS_CNAME || walk->record.class != CLASS_IN ||
            !names_equal(&walk->record.owner, &walk->name))
            continue;
        data = (struct reader){ packet->bytes, packet->size, walk->record.data, false };
        read_name(&data, &walk->name);
        if (data.failed)
            return ERR_SYNTAX;
        *ttl = MIN(*ttl, walk->record.ttl);
        *found = true;
        return OK;
    }
    return OK;
}

static enum err
follow_aliases(struct walk *walk, enum dns_type type, uint32_t *ttl)
{
    bool found = type != DNS_CNAME;

    for (unsigned i = 0; found; i++) {
        enum err e = follow_alias(walk, ttl, &found);
        if (e)
            return e;
        if (i == ALIASES_MAX)
            return ERR_SYNTAX;
    }
    return OK;
}

/* Without RECORDS it only counts. */
static enum err
collect(struct walk *walk, struct arena *arena, enum dns_type type, struct dns_record *records,
        size_t *count, uint32_t *ttl)
{
    struct reader *packet = &walk->packet;

    *count = 0;
    packet->at = walk->first_answer;
    for (unsigned i = 0; i < walk->answers; i++) {
        enum err e;
        read_record(packet, &walk->record);
        if (packet->failed)
            return ERR_SYNTAX;
        if (walk->record.type != type || walk->record.class != CLASS_IN ||
            !names_equal(&walk->record.owner, &walk->name))
            continue;
        *ttl = MIN(*ttl, walk->record.ttl);
        if (records) {
            e = read_data(arena, packet, &walk->record, &walk->scratch, &records[*count]);
            if (e)
                return e;
        }
        ++*count;
    }
    return OK;
}

/* How long a negative answer holds: RFC 2308 section 5.  The packet stands behind the answers. */
static void
read_negative_ttl(struct walk *walk, uint32_t *ttl)
{
    struct reader *packet = &walk->packet;

    for (unsigned i = 0; i < walk->authorities; i++) {
        struct reader data;
        uint32_t minimum;
        read_record(packet, &walk->record);
        if (packet->failed)
            return;
        if (walk->record.type != TYPE_SOA || walk->record.data_size < 4)
            continue;
        data = (struct reader){ packet->bytes, packet->size,
                                walk->record.data + walk->record.data_size - 4, false };
        minimum = read_u32(&data);
        *ttl = MIN(*ttl, MIN(minimum, walk->record.ttl));
    }
}

static enum err
parse(struct walk *walk, struct arena *arena, enum dns_type type, struct dns_answer *answer)
{
    struct dns_answer made = { .ttl = UINT32_MAX };
    enum err e;

    e = read_front(walk);
    if (e)
        return e;
    e = follow_aliases(walk, type, &made.ttl);
    if (e)
        return e;
    e = collect(walk, arena, type, NULL, &made.count, &made.ttl);
    if (e)
        return e;
    if (made.count > DNS_RECORDS_MAX)
        return ERR_LIMIT;
    if (made.count) {
        made.records = arena_new_array(arena, struct dns_record, made.count);
        if (!made.records)
            return ERR_LIMIT;
        e = collect(walk, arena, type, made.records, &made.count, &made.ttl);
        if (e)
            return e;
        made.status = DNS_FOUND;
    } else {
        bool no_name = (walk->packet.bytes[3] & 15) == RCODE_NXDOMAIN;
        made.status = no_name ? DNS_NO_NAME : DNS_NO_DATA;
        read_negative_ttl(walk, &made.ttl);
    }
    if (made.ttl == UINT32_MAX)
        made.ttl = 0;
    if (!arena_copy(arena, (str){ walk->name.text, walk->name.length }, &made.canonical))
        return ERR_LIMIT;
    *answer = made;
    return OK;
}

enum err
dns_wire_parse(struct arena *arena, str packet, enum dns_type type, struct dns_answer *answer)
{
    struct arena work;
    struct walk *walk;
    enum err e = ERR_LIMIT;

    /* Three names are too much for a fiber's stack. */
    arena_init(&work, 4 * sizeof(struct walk));
    walk = arena_new(&work, struct walk);
    if (walk) {
        walk->packet = (struct reader){ (const uint8_t *)packet.ptr, packet.len, 0, false };
        e = parse(walk, arena, type, answer);
    }
    arena_done(&work);
    return e;
}
