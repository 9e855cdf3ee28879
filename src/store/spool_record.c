/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_record.c: the bytes of segment headers and record heads.  All integers are little-endian.
 *
 * A segment header fills one sector and stands there twice, so that a torn write leaves one good
 * copy.  A record is head, body, envelope, note, and zeros up to a multiple of 8.  Its head is
 * checked with the segment's salt, which nobody outside knows: bytes of a mail that look like a
 * record, and records of the segment's former life, are not taken for one.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "store/spool_crc.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_MAGIC = 0x3147534f,
    RECORD_MAGIC = 0x3143524f,
    FORMAT_VERSION = 1
};

static char *
put_u32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *at++ = (char)(value >> 8 * i & 255);
    return at;
}

static char *
put_u64(char *at, uint64_t value)
{
    at = put_u32(at, (uint32_t)value);
    return put_u32(at, (uint32_t)(value >> 32));
}

static uint32_t
get_u32(const char **at)
{
    uint32_t value;

    memcpy(&value, *at, sizeof(value));
    *at += sizeof(value);
    return le32toh(value);
}

static uint64_t
get_u64(const char **at)
{
    uint64_t value;

    memcpy(&value, *at, sizeof(value));
    *at += sizeof(value);
    return le64toh(value);
}

void
segment_header_encode(const struct segment_header *header, char sector[512])
{
    char *at = sector;

    memset(sector, 0, 512);
    at = put_u32(at, SEGMENT_MAGIC);
    at = put_u32(at, FORMAT_VERSION);
    at = put_u64(at, header->epoch);
    at = put_u64(at, header->salt);
    at = put_u64(at, header->slot);
    at = put_u64(at, header->tail_epoch);
    at = put_u64(at, header->prev_epoch);
    at = put_u64(at, header->prev_slot);
    at = put_u64(at, header->prev_salt);
    at = put_u64(at, header->prev_end);
    put_u64(at, header->prev_clean);
    put_u32(sector + 508, crc32c(0, sector, 508));
}

bool
segment_header_decode(const char sector[512], struct segment_header *header)
{
    const char *at = sector + 508;

    if (get_u32(&at) != crc32c(0, sector, 508))
        return false;
    at = sector;
    if (get_u32(&at) != SEGMENT_MAGIC || get_u32(&at) != FORMAT_VERSION)
        return false;
    header->epoch = get_u64(&at);
    header->salt = get_u64(&at);
    header->slot = get_u64(&at);
    header->tail_epoch = get_u64(&at);
    header->prev_epoch = get_u64(&at);
    header->prev_slot = get_u64(&at);
    header->prev_salt = get_u64(&at);
    header->prev_end = get_u64(&at);
    header->prev_clean = get_u64(&at);
    return true;
}

static uint32_t
head_crc(const char bytes[RECORD_HEAD_SIZE], uint64_t salt)
{
    char secret[8];

    put_u64(secret, salt);
    return crc32c(crc32c(0, secret, sizeof(secret)), bytes + 8, RECORD_HEAD_SIZE - 8);
}

void
record_head_encode(const struct record_head *head, uint64_t salt, char bytes[RECORD_HEAD_SIZE])
{
    char *at = put_u32(bytes, RECORD_MAGIC);

    at = put_u32(at, 0);
    at = put_u64(at, head->epoch);
    at = put_u32(at, head->at);
    at = put_u32(at, head->group);
    at = put_u32(at, (uint32_t)head->type | (uint32_t)head->flags << 8);
    at = put_u32(at, head->envelope_size);
    at = put_u32(at, head->note_size);
    at = put_u32(at, head->text_crc);
    at = put_u32(at, head->body_crc);
    at = put_u32(at, head->version);
    memcpy(at, head->id.bytes, sizeof(head->id.bytes));
    at = put_u64(at + sizeof(head->id.bytes), head->body_size);
    at = put_u64(at, head->file);
    must(at <= bytes + RECORD_HEAD_SIZE);
    memset(at, 0, (size_t)(bytes + RECORD_HEAD_SIZE - at));
    put_u32(bytes + 4, head_crc(bytes, salt));
}

bool
record_head_decode(const char bytes[RECORD_HEAD_SIZE], uint64_t epoch, uint64_t salt,
                   uint32_t place, struct record_head *head)
{
    const char *at = bytes;

    return get_u32(&at) == RECORD_MAGIC && get_u32(&at) == head_crc(bytes, salt) &&
           record_head_trust(bytes, epoch, place, head);
}

bool
record_head_trust(const char bytes[RECORD_HEAD_SIZE], uint64_t epoch, uint32_t place,
                  struct record_head *head)
{
    const char *at = bytes + 8;
    uint32_t type;

    head->epoch = get_u64(&at);
    head->at = get_u32(&at);
    head->group = get_u32(&at);
    type = get_u32(&at);
    head->type = (uint8_t)type;
    head->flags = (uint8_t)(type >> 8);
    head->envelope_size = get_u32(&at);
    head->note_size = get_u32(&at);
    head->text_crc = get_u32(&at);
    head->body_crc = get_u32(&at);
    head->version = get_u32(&at);
    memcpy(head->id.bytes, at, sizeof(head->id.bytes));
    at += sizeof(head->id.bytes);
    head->body_size = get_u64(&at);
    head->file = get_u64(&at);
    return head->epoch == epoch && head->at == place && head->group <= place &&
           head->type >= RECORD_MESSAGE && head->type <= RECORD_MARK &&
           head->envelope_size <= SPOOL_ENVELOPE_MAX && head->note_size <= SPOOL_NOTE_MAX &&
           record_inline_size(head) <= SEGMENT_BYTES_MAX;
}

bool
record_head_is_like(const char bytes[RECORD_HEAD_SIZE])
{
    const char *at = bytes;

    return get_u32(&at) == RECORD_MAGIC;
}

uint32_t
record_head_at(const char bytes[RECORD_HEAD_SIZE])
{
    const char *at = bytes + 16;

    return get_u32(&at);
}

uint64_t
record_inline_size(const struct record_head *head)
{
    return head->file || head->flags & RECORD_DAMAGED ? 0 : head->body_size;
}

uint64_t
record_size(const struct record_head *head)
{
    uint64_t size =
        RECORD_HEAD_SIZE + record_inline_size(head) + head->envelope_size + head->note_size;

    return (size + 7) & ~(uint64_t)7;
}

uint32_t
record_text_crc(str envelope, str note)
{
    return crc32c(crc32c(0, envelope.ptr, envelope.len), note.ptr, note.len);
}

struct record *
record_new(size_t extra)
{
    struct record *record = calloc(1, sizeof(*record));

    must(record);
    if (extra) {
        record->owned = malloc(extra);
        must(record->owned);
    }
    return record;
}

void
record_free(struct record *record)
{
    if (!record)
        return;
    free(record->owned);
    free(record->owned_text);
    free(record);
}

void
record_list_init(struct record_list *list)
{
    *list = (struct record_list){};
    list->last = &list->first;
}

void
record_list_add(struct record_list *list, struct record *record)
{
    record->next = NULL;
    *list->last = record;
    list->last = &record->next;
    list->bytes += record_size(&record->head);
    list->waited += record->waited;
}
