/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_scan.c: reading the segments after a restart.
 *
 * A segment is walked from record to record.  Where there is none, the walk looks for the next one
 * in steps of 8 bytes; the salt keeps it from taking a mail's bytes for a record.  What it passes
 * is a hole.  A hole in the last group of a segment that was not closed in order is what a crash
 * leaves: nobody had been told that these records are durable.  Any other hole is damage: it
 * is counted, logged, and its bytes are kept in quarantine/.
 *
 * Segments are read in the order of their epochs, so messages come before their notes and
 * tombstones, and copies that were moved forward after their originals.  Start at scan_records().
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

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

/* One walk through the bytes of a segment. */
struct walk {
    const struct segment *segment;
    const char *bytes;
    uint64_t limit;
    uint64_t at;     /* Where to look next. */
    uint64_t hole;   /* Where the hole before the record began. */
    uint64_t record; /* Where the record is. */
    struct record_head head;
};

/* A segment whose records are being read. */
struct scan {
    struct spool *spool;
    struct segment *segment;
    const char *bytes;
    uint64_t limit;
    uint64_t torn_from; /* From here on holes are a crash's. */
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

/* The next record, or false at the limit; then [hole, limit) is the last hole. */
static bool
walk_next(struct walk *walk)
{
    const struct segment *segment = walk->segment;

    walk->hole = walk->at;
    for (uint64_t at = walk->at; at + RECORD_HEAD_SIZE <= walk->limit; at += 8) {
        if (!record_head_decode(walk->bytes + at, segment->epoch, segment->salt, (uint32_t)(at / 8),
                                &walk->head))
            continue;
        if (record_size(&walk->head) > walk->limit - at)
            continue;
        walk->record = at;
        walk->at = at + record_size(&walk->head);
        return true;
    }
    return false;
}

static bool
content_is_good(const char *record, const struct record_head *head, bool *text_is_good)
{
    uint64_t body = record_inline_size(head);
    const char *text = record + RECORD_HEAD_SIZE + body;

    *text_is_good =
        crc32c(0, text, (size_t)head->envelope_size + head->note_size) == head->text_crc;
    if (!*text_is_good)
        return false;
    return !body || crc32c(0, record + RECORD_HEAD_SIZE, (size_t)body) == head->body_crc;
}

static void
replay_message(struct scan *scan, const struct record_head *head, bool good)
{
    struct spool *spool = scan->spool;
    struct entry *entry = table_find(spool, head->id);
    bool damaged = !good || head->flags & RECORD_DAMAGED;

    if (entry && damaged && !entry->damaged && !good)
        return; /* A copy that got lost on its way forward; the original is still there. */
    if (!entry) {
        entry = table_insert(spool, head->id);
        entry->state = ENTRY_LIVE;
    }
    entry->damaged = damaged;
    entry->body_size = head->body_size;
    entry->file = head->file;
    entry->base = (struct place){ scan->segment->slot, head->at };
    entry->base_bytes = (uint32_t)record_size(head);
    if (head->version >= entry->note_version) {
        entry->note = (struct place){};
        entry->note_bytes = 0;
        entry->note_version = head->version;
    }
}

static void
replay(struct scan *scan, const struct record_head *head, bool good)
{
    struct spool *spool = scan->spool;
    struct entry *entry = table_find(spool, head->id);

    if (head->type == RECORD_MESSAGE) {
        replay_message(scan, head, good);
    } else if (head->type == RECORD_FORGET && entry) {
        table_remove(spool, entry);
    } else if (head->type == RECORD_NOTE && entry && good && head->version > entry->note_version) {
        entry->note = (struct place){ scan->segment->slot, head->at };
        entry->note_bytes = (uint32_t)record_size(head);
        entry->note_version = head->version;
    }
}

/* Bytes from START to END are not what was written. */
static void
report_hole(struct scan *scan, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (start >= scan->torn_from) {
        scan->spool->stats.torn++;
        return;
    }
    scan->spool->stats.damaged++;
    quarantine_bytes(scan->spool, scan->segment->epoch, start,
                     (str){ scan->bytes + start, (size_t)(end - start) });
}

/* Up to where the segment counts, and from where on a crash may have torn it. */
static void
find_limits(struct scan *scan, const struct findings *findings)
{
    const struct segment *segment = scan->segment;
    struct walk walk = { segment, scan->bytes, segment->size, SEGMENT_HEADER_SIZE, 0, 0, {} };
    bool clean = false;

    scan->limit = segment->size;
    for (size_t i = 0; i < findings->header_count; i++)
        if (findings->headers[i].prev_epoch == segment->epoch &&
            findings->headers[i].prev_slot == segment->slot) {
            scan->limit = MIN(scan->limit, findings->headers[i].prev_end);
            clean = findings->headers[i].prev_clean != 0;
        }
    walk.limit = scan->limit;
    scan->torn_from = clean ? scan->limit : SEGMENT_HEADER_SIZE;
    while (!clean && walk_next(&walk))
        scan->torn_from = MAX(scan->torn_from, (uint64_t)walk.head.group * 8);
    /* Behind the last record of a segment that was not closed there is nothing. */
    if (!clean)
        scan->limit = walk.hole;
}

static enum err
load(struct spool *spool, const struct segment *segment, char **bytes)
{
    size_t got;
    enum err e;

    *bytes = malloc((size_t)segment->size + 1);
    must(*bytes);
    e = spool->disk->read(spool->disk, segment->file, *bytes, (size_t)segment->size, 0, false,
                          &got);
    if (!e && got < segment->size)
        memset(*bytes + got, 0, (size_t)segment->size - got);
    return e;
}

/* A segment without a successor may hold records that were never synced: the process died, and they
 * are in the page cache.  They are made durable before anything is built on them. */
static enum err
settle(struct spool *spool, const struct findings *findings, const struct segment *segment)
{
    for (size_t i = 0; i < findings->header_count; i++)
        if (findings->headers[i].prev_epoch == segment->epoch &&
            findings->headers[i].prev_slot == segment->slot)
            return OK;
    return spool->disk->settle(spool->disk, segment->file);
}

enum err
scan_records(struct spool *spool, const struct findings *findings, struct segment *segment,
             struct why *why)
{
    struct scan scan = { .spool = spool, .segment = segment };
    char *bytes = NULL;
    enum err e;

    e = settle(spool, findings, segment);
    if (!e)
        e = load(spool, segment, &bytes);
    if (e) {
        free(bytes);
        return err_why(
            why, e,
            "cannot read %s/segments/%08u (%s); copy the spool to another disk, as far as "
            "it can be read, and start from there",
            spool->dir, segment->slot, err_name(e));
    }
    scan.bytes = bytes;
    find_limits(&scan, findings);
    struct walk walk = { segment, bytes, scan.limit, SEGMENT_HEADER_SIZE, 0, 0, {} };
    while (walk_next(&walk)) {
        bool text_is_good;
        bool good = content_is_good(bytes + walk.record, &walk.head, &text_is_good);
        report_hole(&scan, walk.hole, walk.record);
        if (!good)
            report_hole(&scan, walk.record, walk.at);
        if (good || walk.record < scan.torn_from)
            replay(&scan, &walk.head, good);
    }
    report_hole(&scan, walk.hole, scan.limit);
    segment->end = MAX(scan.limit, (uint64_t)SEGMENT_HEADER_SIZE);
    free(bytes);
    return OK;
}
