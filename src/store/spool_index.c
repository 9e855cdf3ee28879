/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_index.c: what is in a segment, without the bodies, so that a restart need not read them.
 *
 * While a segment is written to, heads, envelopes and notes are appended to DIR/index/NUMBER as
 * they are in the records, a mebibyte at a time; its header, without which it does not count, is
 * written when the segment is closed in order.  That file is a convenience: it is not synced, and
 * it counts only when its checksum is right and it is of this life and this end of the segment.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

#include <stdlib.h>
#include <string.h>

enum {
    INDEX_HEADER_SIZE = 64,
    INDEX_PIECE = 1 << 20, /* Written when so much has collected. */
    INDEX_VERSION = 1
};

static const char index_magic[8] = "OSIDX1\r\n";

struct index_header {
    char magic[8];
    uint64_t epoch;
    uint64_t salt;
    uint64_t end;
    uint64_t size;
    uint32_t version;
    uint32_t content_crc;
    char reserved[12];
    uint32_t crc;
};
static_assert(sizeof(struct index_header) == INDEX_HEADER_SIZE, "no padding");

void
index_begin(struct spool *spool)
{
    index_end(spool);
    if (!spool->index.text.max)
        buf_init(&spool->index.text, INDEX_PIECE + SPOOL_ENVELOPE_MAX + SPOOL_NOTE_MAX + 4096);
    spool->index.size = 0;
    spool->index.crc = 0;
    spool->index.failed = false;
}

static enum err
open_file(struct spool *spool, uint32_t slot, int *file)
{
    char path[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "/index/%08u", slot);
    e = spool->disk->open(spool->disk, path, DISK_WRITE, file);
    if (e == ERR_NOT_FOUND)
        e = spool->disk->open(spool->disk, path, DISK_WRITE | DISK_CREATE, file);
    return e;
}

/* What has collected goes to the file of the segment in SLOT. */
static enum err
write_piece(struct spool *spool, uint32_t slot)
{
    struct spool_index *index = &spool->index;
    str text = buf_str(&index->text);
    struct iovec part = { (void *)(uintptr_t)text.ptr, text.len };
    enum err e = buf_ok(&index->text) ? OK : ERR_LIMIT;

    if (!e && index->file < 0)
        e = open_file(spool, slot, &index->file);
    if (!e && text.len)
        e = spool->disk->write(spool->disk, index->file, &part, 1, INDEX_HEADER_SIZE + index->size);
    if (!e) {
        index->crc = crc32c(index->crc, text.ptr, text.len);
        index->size += text.len;
    } else {
        index->failed = true;
        log_debug("spool: no index for segment %u: %s", slot, err_name(e));
    }
    buf_clear(&index->text);
    return e;
}

void
index_add(struct spool *spool, const struct segment *segment, const char *head, str envelope,
          str note)
{
    struct spool_index *index = &spool->index;

    if (index->failed)
        return;
    buf_add(&index->text, (str){ head, RECORD_HEAD_SIZE });
    buf_add(&index->text, envelope);
    buf_add(&index->text, note);
    if (index->text.len >= INDEX_PIECE)
        (void)!write_piece(spool, segment->slot);
}

void
index_write(struct spool *spool, const struct segment *segment)
{
    struct spool_index *index = &spool->index;
    struct index_header header = { .epoch = segment->epoch, .salt = segment->salt };
    struct iovec part = { &header, sizeof(header) };

    if (index->failed || (!index->size && !index->text.len) || write_piece(spool, segment->slot))
        return;
    header.end = segment->end;
    header.size = index->size;
    header.version = INDEX_VERSION;
    header.content_crc = index->crc;
    memcpy(header.magic, index_magic, sizeof(header.magic));
    header.crc = crc32c(0, &header, offsetof(struct index_header, crc));
    if (spool->disk->write(spool->disk, index->file, &part, 1, 0))
        log_debug("spool: no index for segment %u", segment->slot);
}

void
index_end(struct spool *spool)
{
    if (spool->index.file >= 0)
        spool->disk->close(spool->disk, spool->index.file);
    spool->index.file = -1;
    buf_clear(&spool->index.text);
}

static bool
header_is_right(const struct index_header *header, const struct segment *segment, uint64_t end)
{
    return memcmp(header->magic, index_magic, sizeof(header->magic)) == 0 &&
           header->crc == crc32c(0, header, offsetof(struct index_header, crc)) &&
           header->version == INDEX_VERSION && header->epoch == segment->epoch &&
           header->salt == segment->salt && header->end == end && header->size < SEGMENT_BYTES_MAX;
}

bool
index_map(struct spool *spool, const struct segment *segment, uint64_t end, struct index_map *map)
{
    struct index_header header;
    char path[SPOOL_PATH_SIZE];
    int file;
    bool right;

    spool_path(spool, path, "/index/%08u", segment->slot);
    if (spool->disk->open(spool->disk, path, DISK_READ, &file))
        return false;
    right = spool_read(spool, file, &header, sizeof(header), 0, false) == OK &&
            header_is_right(&header, segment, end);
    if (right) {
        map->size = INDEX_HEADER_SIZE + (size_t)header.size;
        right = spool->disk->map(spool->disk, file, map->size, &map->file) == OK;
    }
    spool->disk->close(spool->disk, file);
    if (right) {
        map->bytes = map->file + INDEX_HEADER_SIZE;
        right = crc32c(0, map->bytes, (size_t)header.size) == header.content_crc;
    }
    if (!right)
        index_unmap(spool, map);
    return right;
}

void
index_unmap(struct spool *spool, struct index_map *map)
{
    if (map->file)
        spool->disk->unmap(spool->disk, map->file, map->size);
    *map = (struct index_map){};
}

void
index_remove(struct spool *spool, uint32_t slot)
{
    char path[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "/index/%08u", slot);
    e = spool->disk->unlink(spool->disk, path);
    if (e && e != ERR_NOT_FOUND)
        log_debug("spool: cannot remove %s: %s", path, err_name(e));
}
