/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_index.c: what is in a segment, without the bodies, so that a restart need not read them.
 *
 * While a segment is written to, heads, envelopes and notes collect in memory as they are in the
 * records; when the segment is closed in order they are written to DIR/index/NUMBER.  That file is
 * a convenience: it is not synced, and it counts only when its checksum is right and it is of this
 * life and this end of the segment.  When it would be more than an eighth of the segment there is
 * none.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

#include <stdlib.h>
#include <string.h>

enum {
    INDEX_HEADER_SIZE = 64,
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
    if (!spool->index.max)
        buf_init(&spool->index, (size_t)spool->segment_bytes / 4);
    buf_clear(&spool->index);
}

void
index_add(struct spool *spool, const struct record *record)
{
    buf_add(&spool->index, (str){ record->bytes, RECORD_HEAD_SIZE });
    buf_add(&spool->index, record->envelope);
    buf_add(&spool->index, record->note);
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

void
index_write(struct spool *spool, const struct segment *segment)
{
    str content = buf_str(&spool->index);
    struct index_header header = {
        .epoch = segment->epoch,
        .salt = segment->salt,
        .end = segment->end,
        .size = content.len,
        .version = INDEX_VERSION,
        .content_crc = crc32c(0, content.ptr, content.len),
    };
    struct iovec parts[2] = { { &header, sizeof(header) },
                              { (void *)(uintptr_t)content.ptr, content.len } };
    int file;
    enum err e;

    if (!buf_ok(&spool->index) || !content.len)
        return;
    memcpy(header.magic, index_magic, sizeof(header.magic));
    header.crc = crc32c(0, &header, offsetof(struct index_header, crc));
    e = open_file(spool, segment->slot, &file);
    if (!e) {
        e = spool->disk->write(spool->disk, file, parts, 2, 0);
        spool->disk->close(spool->disk, file);
    }
    if (e)
        log_debug("spool: no index for segment %u: %s", segment->slot, err_name(e));
}

static bool
header_is_right(const struct index_header *header, const struct segment *segment, uint64_t end)
{
    return memcmp(header->magic, index_magic, sizeof(header->magic)) == 0 &&
           header->crc == crc32c(0, header, offsetof(struct index_header, crc)) &&
           header->version == INDEX_VERSION && header->epoch == segment->epoch &&
           header->salt == segment->salt && header->end == end && header->size < segment->size;
}

bool
index_load(struct spool *spool, const struct segment *segment, uint64_t end, char **bytes,
           uint64_t *size)
{
    struct index_header header;
    char path[SPOOL_PATH_SIZE];
    char *content = NULL;
    bool right;
    int file;

    spool_path(spool, path, "/index/%08u", segment->slot);
    if (spool->disk->open(spool->disk, path, DISK_READ, &file))
        return false;
    right = spool_read(spool, file, &header, sizeof(header), 0, false) == OK &&
            header_is_right(&header, segment, end);
    if (right) {
        content = malloc((size_t)header.size + 1);
        must(content);
        right =
            spool_read(spool, file, content, (size_t)header.size, sizeof(header), false) == OK &&
            crc32c(0, content, (size_t)header.size) == header.content_crc;
    }
    spool->disk->close(spool->disk, file);
    if (!right) {
        free(content);
        return false;
    }
    *bytes = content;
    *size = header.size;
    return true;
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
