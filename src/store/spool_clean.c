/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_clean.c: housekeeping between two groups, by the flusher.
 *
 * The oldest segment becomes free when nothing in it is live.  When live records keep it, and the
 * log is longer than twice what is live, they are written again at the front: a message together
 * with its latest note, as one record.  A message that is damaged goes along without its body,
 * marked; its bytes are kept in quarantine/.  Start at clean_work().
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLEAN_STRIDE = 4096
};

/* A message to be moved, as it stood when it was found. */
struct candidate {
    msgid id;
    struct place base;
    struct place note;
    uint64_t body_size;
    uint64_t file;
    uint32_t base_bytes;
    uint32_t note_version;
};

void
quarantine_bytes(struct spool *spool, uint64_t epoch, uint64_t offset, str bytes)
{
    const struct disk *disk = spool->disk;
    struct iovec part = { (void *)(uintptr_t)bytes.ptr, bytes.len };
    char path[SPOOL_PATH_SIZE];
    int file;
    enum err e;

    spool_path(spool, path, "/quarantine/%016" PRIx64 "-%08" PRIx64, epoch, offset);
    e = disk->open(disk, path, DISK_WRITE | DISK_CREATE, &file);
    if (e == ERR_EXISTS)
        return;
    if (!e) {
        e = disk->write(disk, file, &part, 1, 0);
        if (!e)
            e = disk->sync(disk, file);
        disk->close(disk, file);
    }
    log_error("spool: %zu damaged bytes at %" PRIu64 " of segment life %" PRIu64 ": %s %s",
              bytes.len, offset, epoch, e ? "could not be kept in" : "kept in", path);
}

/* Body files of messages that are done with. */
static void
unlink_bodies(struct spool *spool)
{
    char path[SPOOL_PATH_SIZE];
    uint64_t *files;
    size_t count;

    pthread_mutex_lock(&spool->lock);
    files = take(spool->unlinks);
    count = spool->unlink_count;
    spool->unlink_count = spool->unlink_capacity = 0;
    pthread_mutex_unlock(&spool->lock);
    for (size_t i = 0; i < count; i++) {
        enum err e;
        spool_path(spool, path, "/bodies/%016" PRIx64, files[i]);
        e = spool->disk->unlink(spool->disk, path);
        if (e && e != ERR_NOT_FOUND)
            log_warning("spool: cannot remove %s: %s", path, err_name(e));
    }
    free(files);
}

/* The oldest segments in which nothing is live. */
static void
recycle(struct spool *spool)
{
    struct segment *segment;

    pthread_mutex_lock(&spool->lock);
    for (;;) {
        segment = spool->used.first;
        if (!segment || segment == spool->active || segment->live || segment->pins)
            break;
        segment_list_add(&spool->free, segment_list_pop(&spool->used));
    }
    pthread_mutex_unlock(&spool->lock);
}

/* Gives back what is more than enough, once a header on the disk says that all in it is dead. */
static void
release_surplus(struct spool *spool)
{
    for (;;) {
        struct segment *segment = NULL;
        pthread_mutex_lock(&spool->lock);
        if (spool->free.count > SEGMENTS_FREE_MAX && spool->free.first->epoch < spool->tail_durable)
            segment = segment_list_pop(&spool->free);
        pthread_mutex_unlock(&spool->lock);
        if (!segment)
            return;
        segment_discard(spool, segment);
    }
}

/* One free segment, or drafts are refused. */
static void
keep_reserve(struct spool *spool)
{
    struct segment *segment;
    bool has = false;
    enum err e;

    pthread_mutex_lock(&spool->lock);
    for (segment = spool->free.first; segment && !has; segment = segment->next)
        has = segment_is_usable(spool, segment);
    if (has)
        spool->full = false;
    pthread_mutex_unlock(&spool->lock);
    if (has || (spool->full && clock_steady() - spool->spare_tried < SECONDS(1)))
        return;
    e = segment_create(spool, spool->segment_bytes, &segment);
    spool->spare_tried = clock_steady();
    pthread_mutex_lock(&spool->lock);
    if (!e)
        segment_list_add(&spool->free, segment);
    if (e && !spool->full)
        log_error("spool: no room for another segment (%s): new mail is refused", err_name(e));
    spool->full = e != OK;
    pthread_mutex_unlock(&spool->lock);
}

static bool
touches(const struct entry *entry, uint32_t slot)
{
    return entry->state == ENTRY_LIVE && !entry->moving &&
           (entry->base.slot == slot || entry->note.slot == slot);
}

/* Up to CLEAN_STEP_RECORDS messages with something in the segment SLOT, from where it stopped last.
 */
static size_t
find_candidates(struct spool *spool, uint32_t slot, struct candidate *candidates)
{
    size_t count = 0;
    uint64_t bytes = 0;
    uint32_t left;

    pthread_mutex_lock(&spool->lock);
    left = table_end(spool);
    for (; left && count < CLEAN_STEP_RECORDS && bytes < CLEAN_STEP_BYTES; left--) {
        const struct entry *entry;
        if (left % CLEAN_STRIDE == 0) { /* Others want it too. */
            pthread_mutex_unlock(&spool->lock);
            pthread_mutex_lock(&spool->lock);
        }
        entry = table_at(spool, spool->clean_at);
        spool->clean_at = spool->clean_at + 1 < table_end(spool) ? spool->clean_at + 1 : 0;
        if (!entry || !touches(entry, slot))
            continue;
        candidates[count++] = (struct candidate){ entry->id,
                                                  entry->base,
                                                  entry->note,
                                                  entry_body_size(entry),
                                                  entry_file_number(entry),
                                                  entry->base_bytes,
                                                  entry->note_version };
        bytes += entry->base_bytes + entry->note_bytes;
    }
    pthread_mutex_unlock(&spool->lock);
    return count;
}

static void
quarantine_record(struct spool *spool, const struct segment *segment, struct place place,
                  uint32_t bytes)
{
    char *raw = malloc(bytes);

    must(raw);
    if (spool_read(spool, segment->file, raw, bytes, (uint64_t)place.at * 8, false) == OK)
        quarantine_bytes(spool, segment->epoch, (uint64_t)place.at * 8, (str){ raw, bytes });
    free(raw);
}

/* The inline body of the message at BASE, checked. */
static enum err
read_body(struct spool *spool, const struct segment *segment, struct place base,
          const struct record_head *head, char *body)
{
    size_t size = (size_t)record_inline_size(head);
    enum err e;

    if (!size)
        return OK;
    e = spool_read(spool, segment->file, body, size, (uint64_t)base.at * 8 + RECORD_HEAD_SIZE,
                   false);
    if (e)
        return e;
    return crc32c(0, body, size) == head->body_crc ? OK : ERR_CORRUPT;
}

/* The record by which the message of C stands at the front, or ERR_IO: try another time. */
static enum err
make_record(struct spool *spool, const struct candidate *c, struct record **made)
{
    const struct segment *segment = spool->by_slot[c->base.slot];
    const struct segment *note_segment = c->note.slot ? spool->by_slot[c->note.slot] : NULL;
    struct record_head head = { .body_size = c->body_size, .file = c->file };
    struct message_text text = { .version = c->note_version };
    struct record *record;
    enum err e;
    enum err body;

    e = record_read_head(spool, segment, c->base, false, &head);
    if (e == ERR_IO)
        return e;
    record = record_new(e ? 0 : (size_t)record_inline_size(&head));
    body = e ? e : read_body(spool, segment, c->base, &head, record->owned);
    if (!e)
        e = message_read_text(spool, segment, c->base, note_segment, c->note, false, &text);
    record->owned_text = text.block;
    if (body == ERR_IO || e == ERR_IO) {
        record_free(record);
        return ERR_IO;
    }
    if (body || e) {
        quarantine_record(spool, segment, c->base, c->base_bytes);
        head.flags |= RECORD_DAMAGED;
    }
    head.type = RECORD_MESSAGE;
    head.id = c->id;
    head.version = text.version;
    head.envelope_size = (uint32_t)text.envelope.len;
    head.note_size = (uint32_t)text.note.len;
    head.text_crc = record_text_crc(text.envelope, text.note);
    record->head = head;
    record->body = record->owned;
    record->envelope = text.envelope;
    record->note = text.note;
    record->moved = true;
    record->from_base = c->base;
    record->from_note = c->note;
    *made = record;
    return OK;
}

static void
move_candidate(struct spool *spool, const struct candidate *c)
{
    struct record *record;
    struct entry *entry;

    if (make_record(spool, c, &record))
        return;
    pthread_mutex_lock(&spool->lock);
    entry = table_find(spool, c->id);
    /* Meanwhile forgotten?  Then its tombstone is queued, and no copy may come behind that. */
    if (entry && entry->state == ENTRY_LIVE && place_eq(entry->base, c->base)) {
        entry->moving = true;
        log_append(spool, take(record));
        log_hurry(spool);
    }
    pthread_mutex_unlock(&spool->lock);
    record_free(record);
}

/* One step of emptying the oldest segment, when the log is longer than it need be. */
static void
move_forward(struct spool *spool)
{
    struct candidate *candidates;
    const struct segment *oldest;
    uint64_t needed;
    bool wanted;
    size_t count;

    pthread_mutex_lock(&spool->lock);
    oldest = spool->used.first;
    needed = spool->stats.live_bytes / (spool->segment_bytes - SEGMENT_HEADER_SIZE) + 1;
    wanted = oldest && oldest != spool->active && spool->active && oldest->live &&
             spool->used.count > MAX((uint64_t)SEGMENTS_USED_MIN, 2 * needed + 1);
    pthread_mutex_unlock(&spool->lock);
    if (!wanted)
        return;
    candidates = calloc(CLEAN_STEP_RECORDS, sizeof(*candidates));
    must(candidates);
    count = find_candidates(spool, oldest->slot, candidates);
    for (size_t i = 0; i < count; i++)
        move_candidate(spool, &candidates[i]);
    free(candidates);
}

void
clean_work(struct spool *spool)
{
    if (spool->unlink_count)
        unlink_bodies(spool);
    recycle(spool);
    release_surplus(spool);
    keep_reserve(spool);
    if (!spool->failing)
        move_forward(spool);
}
