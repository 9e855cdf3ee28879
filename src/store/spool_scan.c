/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_scan.c: which segments there are after a restart, and in what order they count.
 *
 * A segment's header stands in it twice, and what matters of it once more in its successor's.  A
 * segment of which nothing is known any more is put aside.  Start at scan_segments(); the records
 * in them are read by spool_replay.c.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_MAX = 1 << 24,
    HEADERS_MAX = 1 << 20
};

struct slots {
    uint32_t *slots;
    size_t count;
    size_t capacity;
};

static void
add_slot(void *arg, str name)
{
    struct slots *slots = arg;
    uint64_t slot;

    if (!str_to_u64(name, &slot) || slot == 0 || slot > SLOT_MAX) {
        log_warning("spool: segments/%.*s is not ours", STR_ARG(str_head(name, 64)));
        return;
    }
    if (slots->count == slots->capacity) {
        slots->capacity = slots->capacity ? slots->capacity * 2 : 64;
        slots->slots = realloc(slots->slots, slots->capacity * sizeof(*slots->slots));
        must(slots->slots);
    }
    slots->slots[slots->count++] = (uint32_t)slot;
}

static bool
is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Of the two copies, the good one of the higher epoch: a torn write leaves the old or the new. */
static bool
choose_header(const char sectors[1024], uint32_t slot, struct segment_header *header)
{
    struct segment_header second;
    bool good = segment_header_decode(sectors, header) && header->slot == slot;

    if (!segment_header_decode(sectors + 512, &second) || second.slot != slot)
        return good;
    if (!good || second.epoch > header->epoch)
        *header = second;
    return true;
}

/* Opens one segment; its epoch stays 0 when it was never used, and UINT64_MAX when that is unknown.
 */
static enum err
open_segment(struct spool *spool, struct findings *findings, uint32_t slot)
{
    const struct disk *disk = spool->disk;
    struct segment_header header;
    struct segment *segment;
    char path[SPOOL_PATH_SIZE];
    char sectors[1024] = {};
    uint64_t size;
    size_t got;
    int file;
    enum err e;

    spool_path(spool, path, "/segments/%08u", slot);
    e = disk->open(disk, path, DISK_WRITE, &file);
    if (e)
        return e;
    e = disk->size(disk, file, &size);
    if (!e)
        e = disk->read(disk, file, sectors, sizeof(sectors), 0, false, &got);
    if (e) {
        disk->close(disk, file);
        return e;
    }
    segment = segment_new(spool, slot, file, MIN(size, (uint64_t)SEGMENT_BYTES_MAX));
    segment->zeroed = segment->size; /* Not known; it is only slower where that is wrong. */
    if (choose_header(sectors, slot, &header)) {
        segment->epoch = header.epoch;
        segment->salt = header.salt;
        findings->headers[findings->header_count++] = header;
    } else if (!is_zero(sectors, sizeof(sectors))) {
        segment->epoch = UINT64_MAX;
    }
    return OK;
}

/* What SEGMENT's lost header said, as far as a successor remembers. */
static void
restore_header(struct spool *spool, const struct findings *findings, struct segment *segment)
{
    uint64_t best = 0;

    for (size_t i = 0; i < findings->header_count; i++) {
        const struct segment_header *header = &findings->headers[i];
        if (header->prev_slot != segment->slot || header->prev_epoch <= best)
            continue;
        best = segment->epoch = header->prev_epoch;
        segment->salt = header->prev_salt;
    }
    spool->stats.damaged++;
    log_error("spool: the header of segment %u is damaged; %s", segment->slot,
              best ? "its successor knows what it said" : "the file is moved to quarantine/");
}

static void
quarantine_segment(struct spool *spool, struct segment *segment)
{
    char from[SPOOL_PATH_SIZE];
    char to[SPOOL_PATH_SIZE];

    spool_path(spool, from, "/segments/%08u", segment->slot);
    spool_path(spool, to, "/quarantine/segment-%08u-%08" PRIx64, segment->slot, spool->epoch);
    spool->disk->close(spool->disk, segment->file);
    if (spool->disk->rename(spool->disk, from, to))
        log_error("spool: cannot move %s", from);
    spool->by_slot[segment->slot] = NULL;
    free(segment);
}

static int
by_epoch(const void *a, const void *b)
{
    const struct segment *const *x = a;
    const struct segment *const *y = b;

    return (*x)->epoch < (*y)->epoch ? -1 : (*x)->epoch > (*y)->epoch;
}

/* Sorts the opened segments into the two lists. */
static void
sort_segments(struct spool *spool, const struct findings *findings)
{
    struct segment **sorted = calloc(spool->slot_count + 1, sizeof(struct segment *));
    size_t count = 0;

    must(sorted);
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct segment *segment = spool->by_slot[slot];
        if (segment && segment->epoch == UINT64_MAX)
            restore_header(spool, findings, segment);
        if (segment && segment->epoch == UINT64_MAX)
            quarantine_segment(spool, segment);
        else if (segment)
            sorted[count++] = segment;
    }
    qsort(sorted, count, sizeof(*sorted), by_epoch);
    for (size_t i = 0; i < count; i++)
        segment_list_add(sorted[i]->epoch < findings->tail_epoch || !sorted[i]->epoch
                             ? &spool->free
                             : &spool->used,
                         sorted[i]);
    free(sorted);
}

enum err
scan_segments(struct spool *spool, struct findings *findings, struct why *why)
{
    char path[SPOOL_PATH_SIZE];
    struct slots slots = {};
    enum err e;

    spool_path(spool, path, "/segments");
    e = spool->disk->list(spool->disk, path, add_slot, &slots);
    findings->headers = calloc(slots.count + 1, sizeof(*findings->headers));
    must(findings->headers);
    for (size_t i = 0; !e && i < slots.count; i++)
        e = open_segment(spool, findings, slots.slots[i]);
    free(slots.slots);
    if (e)
        return err_why(why, e, "cannot read the segments in %s: %s", path, err_name(e));
    for (size_t i = 0; i < findings->header_count; i++) {
        const struct segment_header *header = &findings->headers[i];
        spool->epoch = MAX(spool->epoch, header->epoch);
        findings->tail_epoch = MAX(findings->tail_epoch, header->tail_epoch);
    }
    sort_segments(spool, findings);
    return OK;
}
