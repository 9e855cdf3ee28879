/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_log.c: the log itself: segments, groups, and the flusher that writes them.
 *
 *   DIR/lock              held by the one process that has the spool open
 *   DIR/segments/NUMBER   segments: a header, then records, one after the other
 *   DIR/bodies/NUMBER     bodies too large for a record, named in their message's record
 *   DIR/index/NUMBER      what is in a segment, to make restarts quick (spool_index.c)
 *   DIR/quarantine/       copies of what was found damaged
 *
 * A segment has a life for each time that it is used; each life has an epoch, higher than all
 * before, and a secret salt.  The log is the sequence of the segments in use, by epoch.  Only the
 * newest is written to, at its end only.  Records: a message (envelope, body or its file, note), a
 * note (a newer version of it), and a tombstone.
 *
 * Groups.  Callers queue records; the flusher takes all that wait, writes them behind each other,
 * calls fdatasync once, and lets the callers go.  While it does, the next group collects.  In a new
 * file the blocks ahead are filled with zeros first, 256 KiB at a time (zero_ahead()).
 *
 * When a write or an fdatasync fails, nobody knows what is on the disk, and asking again is no
 * help (the kernel may have dropped the pages and call them clean).  So the segment ends where the
 * last good group ended: the next segment's header says so (prev_end), and is synced, before the
 * callers of the failed group learn of the failure.  What that group left behind the end is never
 * read, so a message that was refused does not come back at a restart.  Only when the disk takes
 * neither that header nor zeros in place of the group, and the power fails before a later header
 * got through, it may: refused, and there all the same; twice then, never lost.
 *
 * Space.  Segments become free from the oldest end only: then the tombstone of a message is always
 * in a segment at least as new as every copy of it, and no dead message comes back because its
 * tombstone went first.  (tail_epoch in each header says below which epoch all is dead, so free
 * segments need not be read at all, whatever their order.)  When live records of old segments keep
 * the log longer than twice what is live, they are written once more at the front (spool_clean.c).
 * One free segment is kept in reserve; without it drafts are refused, so that tombstones still have
 * room.
 *
 * Start reading at log_work(); spool_open.c tells what is made of all this after a crash.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PARTS_PER_RECORD = 5,
    ZERO_AHEAD = 256 << 10,
    ZERO_BELOW = 64 << 10
};

void
spool_path(const struct spool *spool, char path[SPOOL_PATH_SIZE], const char *format, ...)
{
    va_list args;
    int length = snprintf(path, SPOOL_PATH_SIZE, "%s", spool->dir);

    must(length > 0 && length < SPOOL_PATH_SIZE);
    va_start(args, format);
    length += vsnprintf(path + length, (size_t)(SPOOL_PATH_SIZE - length), format, args);
    va_end(args);
    must(length < SPOOL_PATH_SIZE);
}

void
segment_list_add(struct segment_list *list, struct segment *segment)
{
    segment->next = NULL;
    if (list->last)
        list->last->next = segment;
    else
        list->first = segment;
    list->last = segment;
    list->count++;
}

struct segment *
segment_list_pop(struct segment_list *list)
{
    struct segment *segment = list->first;

    if (!segment)
        return NULL;
    list->first = segment->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    segment->next = NULL;
    return segment;
}

/* Lock held. */
struct segment *
segment_new(struct spool *spool, uint32_t slot, int file, uint64_t size)
{
    struct segment *segment = calloc(1, sizeof(*segment));

    must(segment);
    segment->slot = slot;
    segment->file = file;
    segment->size = size;
    segment->end = segment->zeroed = SEGMENT_HEADER_SIZE;
    if (slot >= spool->slot_count) {
        spool->by_slot = realloc(spool->by_slot, (slot + 1) * sizeof(struct segment *));
        must(spool->by_slot);
        while (spool->slot_count <= slot)
            spool->by_slot[spool->slot_count++] = NULL;
    }
    must(!spool->by_slot[slot]);
    spool->by_slot[slot] = segment;
    return segment;
}

/* Removes the file, as well as it can: what is in it is dead or was never promised.  Synced, so
 * that no older segment outlives a newer one with its tombstones. */
void
segment_discard(struct spool *spool, struct segment *segment)
{
    char path[SPOOL_PATH_SIZE];
    enum err e;

    pthread_mutex_lock(&spool->lock);
    must(!segment->live && !segment->pins);
    spool->by_slot[segment->slot] = NULL;
    pthread_mutex_unlock(&spool->lock);
    spool->disk->close(spool->disk, segment->file);
    spool_path(spool, path, "/segments/%08u", segment->slot);
    e = spool->disk->unlink(spool->disk, path);
    if (!e) {
        spool_path(spool, path, "/segments");
        e = spool->disk->sync_dir(spool->disk, path);
    }
    if (e)
        log_warning("spool: cannot remove segment %u: %s", segment->slot, err_name(e));
    index_remove(spool, segment->slot);
    free(segment);
}

void
segment_count(struct spool *spool, struct place place, uint32_t bytes, int change)
{
    struct segment *segment;

    if (!place.slot)
        return;
    segment = spool->by_slot[place.slot];
    must(segment);
    if (change > 0) {
        segment->live++;
        segment->live_bytes += bytes;
        spool->stats.live_bytes += bytes;
        return;
    }
    must(segment->live && segment->live_bytes >= bytes);
    segment->live--;
    segment->live_bytes -= bytes;
    spool->stats.live_bytes -= bytes;
}

void
log_append(struct spool *spool, struct record *record)
{
    bool first = !spool->pending.first || (record->waited && !spool->pending.waited);

    record_list_add(&spool->pending, record);
    if (first && !spool->inline_flush)
        pthread_cond_signal(&spool->wake);
}

void
log_hurry(struct spool *spool)
{
    spool->hurry = true;
    if (!spool->inline_flush)
        pthread_cond_signal(&spool->wake);
}

/* Lock held. */
static void
unlink_add(struct spool *spool, uint64_t file)
{
    if (spool->unlink_count == spool->unlink_capacity) {
        spool->unlink_capacity = spool->unlink_capacity ? spool->unlink_capacity * 2 : 16;
        spool->unlinks = realloc(spool->unlinks, spool->unlink_capacity * sizeof(*spool->unlinks));
        must(spool->unlinks);
    }
    spool->unlinks[spool->unlink_count++] = file;
}

void
unlink_later(struct spool *spool, uint64_t file)
{
    pthread_mutex_lock(&spool->lock);
    unlink_add(spool, file);
    log_hurry(spool);
    pthread_mutex_unlock(&spool->lock);
}

void
entry_remove(struct spool *spool, struct entry *entry)
{
    if (entry->state != ENTRY_GONE)
        spool->stats.messages--;
    if (entry->readers) {
        entry->state = ENTRY_GONE;
        return;
    }
    segment_count(spool, entry->base, entry->base_bytes, -1);
    segment_count(spool, entry->note, entry->note_bytes, -1);
    if (entry->has_file)
        unlink_add(spool, entry_file_number(entry));
    table_remove(spool, entry);
}

struct segment *
segment_pin(struct spool *spool, struct place place)
{
    struct segment *segment = spool->by_slot[place.slot];

    must(segment);
    segment->pins++;
    return segment;
}

void
segment_unpin(struct spool *spool, const struct segment *segment)
{
    pthread_mutex_lock(&spool->lock);
    must(segment->pins);
    spool->by_slot[segment->slot]->pins--;
    pthread_mutex_unlock(&spool->lock);
}

/* A file of SIZE bytes, known to the disk under its name.  BURNT: after a failure the name may
 * still be taken. */
static enum err
segment_file_make(struct spool *spool, uint32_t slot, uint64_t size, int *file, bool *burnt)
{
    const struct disk *disk = spool->disk;
    char path[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "/segments/%08u", slot);
    e = disk->open(disk, path, DISK_WRITE | DISK_CREATE, file);
    *burnt = e == ERR_EXISTS;
    if (e)
        return e;
    e = disk->allocate(disk, *file, size);
    if (!e)
        e = disk->sync(disk, *file);
    if (!e) {
        spool_path(spool, path, "/segments");
        e = disk->sync_dir(disk, path);
    }
    if (!e)
        return OK;
    disk->close(disk, *file);
    spool_path(spool, path, "/segments/%08u", slot);
    *burnt = disk->unlink(disk, path) != OK;
    if (*burnt)
        log_warning("spool: cannot remove %s", path);
    return e;
}

enum err
segment_create(struct spool *spool, uint64_t size, struct segment **segment)
{
    uint32_t slot = 1;
    bool burnt;
    int file;
    enum err e;

    /* Only the flusher adds and removes segments, so the number stays ours without the lock. */
    while (slot < spool->slot_count && spool->by_slot[slot])
        slot++;
    slot = MAX(slot, spool->slot_burnt + 1);
    while ((e = segment_file_make(spool, slot, size, &file, &burnt)) == ERR_EXISTS)
        spool->slot_burnt = slot++;
    if (burnt)
        spool->slot_burnt = slot;
    if (e)
        return e;
    pthread_mutex_lock(&spool->lock);
    *segment = segment_new(spool, slot, file, size);
    pthread_mutex_unlock(&spool->lock);
    return OK;
}

/* Begins a new life of SEGMENT.  When it returns OK its predecessor's end is durable. */
static enum err
segment_begin(struct spool *spool, struct segment *segment, uint64_t tail_epoch)
{
    struct segment_header header = spool->prev;
    char sectors[1024];
    struct iovec part = { sectors, sizeof(sectors) };
    enum err e;

    segment->epoch = header.epoch = ++spool->epoch;
    random_bytes(&segment->salt, sizeof(segment->salt));
    header.salt = segment->salt;
    header.slot = segment->slot;
    header.tail_epoch = tail_epoch ? tail_epoch : segment->epoch;
    segment_header_encode(&header, sectors);
    segment_header_encode(&header, sectors + 512);
    e = spool->disk->write(spool->disk, segment->file, &part, 1, 0);
    if (e)
        return e;
    e = spool->disk->sync(spool->disk, segment->file);
    if (e)
        return e;
    spool->tail_durable = header.tail_epoch;
    segment->end = SEGMENT_HEADER_SIZE;
    return OK;
}

/* Takes leave of the active segment: its end is what the next header will say. */
static void
active_close(struct spool *spool, bool broken)
{
    struct segment *active = spool->active;

    if (!active)
        return;
    spool->prev.prev_epoch = active->epoch;
    spool->prev.prev_slot = active->slot;
    spool->prev.prev_salt = active->salt;
    spool->prev.prev_end = active->end;
    spool->prev.prev_clean = 1;
    active->broken = broken;
    spool->active = NULL;
    if (!broken)
        index_write(spool, active);
}

bool
segment_is_usable(const struct spool *spool, const struct segment *segment)
{
    return segment->size == spool->segment_bytes && !segment->broken;
}

/* A new segment; on a full disk a smaller one, for the tombstones that will make room. */
static enum err
segment_squeeze(struct spool *spool, struct segment **segment)
{
    enum err e = segment_create(spool, spool->segment_bytes, segment);

    for (uint64_t size = spool->segment_bytes / 8; e == ERR_FULL && size >= SEGMENT_BYTES_SMALLEST;
         size /= 8)
        e = segment_create(spool, size & ~(uint64_t)4095, segment);
    return e;
}

/* A free segment of the right size, or a new one. */
static enum err
segment_obtain(struct spool *spool, struct segment **segment)
{
    for (;;) {
        pthread_mutex_lock(&spool->lock);
        *segment = segment_list_pop(&spool->free);
        pthread_mutex_unlock(&spool->lock);
        if (!*segment)
            return segment_squeeze(spool, segment);
        if (segment_is_usable(spool, *segment))
            return OK;
        segment_discard(spool, *segment);
    }
}

enum err
log_rotate(struct spool *spool)
{
    struct segment *segment;
    uint64_t tail;
    enum err e;

    e = segment_obtain(spool, &segment);
    if (e)
        return e;
    active_close(spool, spool->active && spool->active->broken);
    pthread_mutex_lock(&spool->lock);
    tail = spool->used.first ? spool->used.first->epoch : 0;
    pthread_mutex_unlock(&spool->lock);
    e = segment_begin(spool, segment, tail);
    if (e) {
        segment_discard(spool, segment);
        return e;
    }
    pthread_mutex_lock(&spool->lock);
    segment_list_add(&spool->used, segment);
    pthread_mutex_unlock(&spool->lock);
    spool->active = segment;
    index_begin(spool);
    return OK;
}

/* Moves records from LEFT to GROUP as long as they fit, and gives them their places. */
static void
group_fill(struct spool *spool, struct record_list *left, struct record_list *group)
{
    const struct segment *segment = spool->active;
    uint64_t at;

    record_list_init(group);
    if (!segment)
        return;
    at = segment->end;
    for (size_t count = 0; left->first && count < GROUP_RECORDS_MAX; count++) {
        struct record *record = left->first;
        uint64_t size = record_size(&record->head);
        if (at + size > segment->size || (count && at + size - segment->end > GROUP_BYTES_MAX))
            break;
        left->first = record->next;
        if (!left->first)
            left->last = &left->first;
        left->bytes -= size;
        left->waited -= record->waited;
        record->head.epoch = segment->epoch;
        record->head.at = (uint32_t)(at / 8);
        record->head.group = (uint32_t)(segment->end / 8);
        record->place = (struct place){ segment->slot, record->head.at };
        record_head_encode(&record->head, segment->salt, record->bytes);
        record_list_add(group, record);
        at += size;
    }
}

static size_t
parts_add(struct iovec *parts, size_t count, const char *bytes, size_t size)
{
    if (!size)
        return count;
    parts[count] = (struct iovec){ (void *)(uintptr_t)bytes, size };
    return count + 1;
}

static size_t
parts_add_record(struct iovec *parts, size_t count, const struct record *record)
{
    static const char zeros[8];
    size_t body = (size_t)record_inline_size(&record->head);
    size_t size = RECORD_HEAD_SIZE + body + record->envelope.len + record->note.len;

    count = parts_add(parts, count, record->bytes, RECORD_HEAD_SIZE);
    count = parts_add(parts, count, record->body, body);
    count = parts_add(parts, count, record->envelope.ptr, record->envelope.len);
    count = parts_add(parts, count, record->note.ptr, record->note.len);
    return parts_add(parts, count, zeros, (size_t)record_size(&record->head) - size);
}

/* The names of body files must be durable before the records that name them. */
static enum err
group_sync_bodies(struct spool *spool, const struct record_list *group)
{
    char path[SPOOL_PATH_SIZE];

    for (const struct record *record = group->first; record; record = record->next)
        if (record->head.file && record->head.type == RECORD_MESSAGE && !record->moved) {
            spool_path(spool, path, "/bodies");
            return spool->disk->sync_dir(spool->disk, path);
        }
    return OK;
}

/* Zeros for the next COUNT bytes and more, in a file that is new.  Allocated blocks that were never
 * written cost the sync a change of the file's extents: a write of its own, or a journal's.  That is
 * dearer than zeros where little is written at once, and cheaper where much is. */
static enum err
zero_ahead(struct spool *spool, struct segment *segment, uint64_t count)
{
    static const char zeros[65536];
    uint64_t until = segment->end + count;
    enum err e = OK;

    if (until <= segment->zeroed)
        return OK;
    if (count >= ZERO_BELOW) {
        segment->zeroed = until;
        return OK;
    }
    until = MIN(until + ZERO_AHEAD, segment->size);
    while (!e && segment->zeroed < until) {
        size_t size = (size_t)MIN(until - segment->zeroed, (uint64_t)sizeof(zeros));
        struct iovec part = { (void *)(uintptr_t)zeros, size };
        e = spool->disk->write(spool->disk, segment->file, &part, 1, segment->zeroed);
        segment->zeroed += size;
    }
    return e;
}

static enum err
group_write(struct spool *spool, const struct record_list *group)
{
    const struct disk *disk = spool->disk;
    size_t count = 0;
    enum err e = zero_ahead(spool, spool->active, group->bytes);

    if (e)
        return e;
    for (const struct record *record = group->first; record; record = record->next)
        count = parts_add_record(spool->parts, count, record);
    must(count <= GROUP_RECORDS_MAX * PARTS_PER_RECORD);
    e = disk->write(disk, spool->active->file, spool->parts, count, spool->active->end);
    if (e)
        return e;
    return disk->sync(disk, spool->active->file);
}

static void
apply_message(struct spool *spool, const struct record *record)
{
    uint32_t bytes = (uint32_t)record_size(&record->head);
    struct entry *entry = table_find(spool, record->head.id);

    if (record->moved && !entry)
        return; /* Forgotten on the way: a dead copy, older than its tombstone. */
    if (!record->moved) {
        must(!entry);
        entry = table_insert(spool, record->head.id);
        entry->state = ENTRY_LIVE;
        entry_set_body(entry, record->head.file, record->head.body_size);
        spool->stats.messages++;
    } else {
        segment_count(spool, entry->base, entry->base_bytes, -1);
        if (entry->note.slot && place_eq(entry->note, record->from_note)) {
            segment_count(spool, entry->note, entry->note_bytes, -1);
            entry->note = (struct place){};
        }
        entry->damaged |= (record->head.flags & RECORD_DAMAGED) != 0;
        entry->moving = false;
        spool->stats.bytes_moved += bytes;
    }
    entry->base = record->place;
    entry->base_bytes = bytes;
    segment_count(spool, entry->base, bytes, 1);
}

static void
apply_note(struct spool *spool, const struct record *record)
{
    struct entry *entry = table_find(spool, record->head.id);

    if (!entry || entry->state == ENTRY_GONE)
        return;
    segment_count(spool, entry->note, entry->note_bytes, -1);
    entry->note = record->place;
    entry->note_bytes = (uint32_t)record_size(&record->head);
    segment_count(spool, entry->note, entry->note_bytes, 1);
}

static void
apply_forget(struct spool *spool, const struct record *record)
{
    struct entry *entry = table_find(spool, record->head.id);

    must(entry && entry->state == ENTRY_LEAVING);
    entry_remove(spool, entry);
}

/* Lock held.  The group is durable: memory follows. */
static void
group_apply(struct spool *spool, const struct record_list *group)
{
    for (const struct record *record = group->first; record; record = record->next) {
        spool->stats.records++;
        if (record->head.type == RECORD_MESSAGE)
            apply_message(spool, record);
        else if (record->head.type == RECORD_NOTE)
            apply_note(spool, record);
        else if (record->head.type == RECORD_FORGET)
            apply_forget(spool, record);
    }
    spool->active->end += group->bytes;
    spool->stats.groups++;
    spool->stats.bytes_written += group->bytes;
}

/* Lock held.  RECORD is not on the disk and will not be by itself. */
static void
record_undo(struct spool *spool, const struct record *record)
{
    struct entry *entry = table_find(spool, record->head.id);

    if (!entry)
        return;
    if (record->moved)
        entry->moving = false;
    else if (record->head.type == RECORD_FORGET && entry->state == ENTRY_LEAVING)
        entry->state = ENTRY_LIVE;
}

static void
records_release(struct record *first, enum err e)
{
    for (struct record *next; first; first = next) {
        next = first->next;
        if (!first->waited) {
            record_free(first);
            continue;
        }
        first->result = e;
        latch_open(&first->latch); /* From here on the record is its owner's. */
    }
}

/* Lock held.  What nobody waits for is tried again, before anything newer; the rest is returned. */
static struct record *
records_sort_out(struct spool *spool, struct record *first, struct record_list *again)
{
    struct record *failed = NULL;
    struct record **last = &failed;

    for (struct record *next; first; first = next) {
        next = first->next;
        if (!first->waited && !first->moved) {
            record_list_add(again, first);
            continue;
        }
        record_undo(spool, first);
        first->next = NULL;
        *last = first;
        last = &first->next;
    }
    return failed;
}

static void
list_join(struct record_list *list, struct record_list *tail)
{
    if (!tail->first)
        return;
    *list->last = tail->first;
    list->last = tail->last;
    list->bytes += tail->bytes;
    list->waited += tail->waited;
    record_list_init(tail);
}

/* FAILED did not get to the disk; LEFT was not tried. */
static void
group_fail(struct spool *spool, struct record *failed, struct record_list *left, enum err e)
{
    struct record_list again;

    record_list_init(&again);
    if (!spool->failing)
        log_error("spool: cannot write: %s", err_name(e));
    spool->failing = true;
    pthread_mutex_lock(&spool->lock);
    spool->stats.groups_failed++;
    failed = records_sort_out(spool, failed, &again);
    list_join(&again, left);
    list_join(&again, &spool->pending);
    spool->pending = again;
    if (!again.first)
        record_list_init(&spool->pending);
    pthread_mutex_unlock(&spool->lock);
    records_release(failed, e);
}

/* What the failed group may have left on the disk must not count after a restart.  The next header
 * takes it out of the log; only then may anybody know of the failure.  If there is no room for
 * another segment, zeros are written over it. */
static void
group_disown(struct spool *spool, uint64_t bytes)
{
    static const char zeros[65536];
    const struct segment *segment = spool->active;
    size_t count = 0;
    enum err e;

    active_close(spool, true);
    if (log_rotate(spool) == OK)
        return;
    for (uint64_t left = bytes; left; left -= spool->parts[count++].iov_len)
        spool->parts[count] =
            (struct iovec){ (void *)(uintptr_t)zeros, (size_t)MIN(left, (uint64_t)sizeof(zeros)) };
    must(count <= GROUP_RECORDS_MAX * PARTS_PER_RECORD);
    e = spool->disk->write(spool->disk, segment->file, spool->parts, count, segment->end);
    if (!e)
        e = spool->disk->sync(spool->disk, segment->file);
    if (e && !spool->failing)
        log_error(
            "spool: the disk takes nothing at all: refused mail may be there after a restart");
}

/* One group: as many records of LEFT as fit into the active segment. */
static enum err
flush_group(struct spool *spool, struct record_list *left)
{
    struct record_list group;
    enum err e;

    group_fill(spool, left, &group);
    if (!group.first) {
        /* A record that does not fit an empty segment: that is a small one, and the disk is full.
         */
        bool empty = spool->active && spool->active->end == SEGMENT_HEADER_SIZE;
        e = empty ? ERR_FULL : log_rotate(spool);
        if (!e)
            return OK;
        group = *left;
        record_list_init(left);
        group_fail(spool, group.first, left, e);
        return e;
    }
    e = group_sync_bodies(spool, &group);
    if (!e) {
        e = group_write(spool, &group);
        if (e)
            group_disown(spool, group.bytes);
    }
    if (e) {
        group_fail(spool, group.first, left, e);
        return e;
    }
    spool->failing = false;
    pthread_mutex_lock(&spool->lock);
    group_apply(spool, &group);
    pthread_mutex_unlock(&spool->lock);
    for (const struct record *record = group.first; record; record = record->next)
        index_add(spool, spool->active, record->bytes, record->envelope, record->note);
    records_release(group.first, OK);
    return OK;
}

void
log_work(struct spool *spool)
{
    struct record_list left;

    pthread_mutex_lock(&spool->work_lock);
    pthread_mutex_lock(&spool->lock);
    left = spool->pending;
    record_list_init(&spool->pending);
    spool->hurry = false;
    pthread_mutex_unlock(&spool->lock);
    while (left.first)
        if (flush_group(spool, &left))
            break;
    clean_work(spool);
    pthread_mutex_unlock(&spool->work_lock);
}

enum err
log_wait(struct spool *spool, struct record *record)
{
    if (!spool->inline_flush)
        latch_wait_always(&record->latch);
    while (!latch_is_open(&record->latch))
        log_work(spool);
    return record->result;
}

/* Lock held.  Gives records that nobody waits for a while to become more. */
static void
flusher_linger(struct spool *spool)
{
    instant until = clock_steady() + MILLISECONDS(SPOOL_DELAY_MS_MAX);
    struct timespec time = { .tv_sec = until / SECONDS(1), .tv_nsec = until % SECONDS(1) };

    while (!spool->pending.waited && !spool->hurry && !spool->stopping)
        if (pthread_cond_timedwait(&spool->wake, &spool->lock, &time))
            break;
}

static void *
flusher_run(void *arg)
{
    struct spool *spool = arg;

    pthread_mutex_lock(&spool->lock);
    for (;;) {
        while (!spool->pending.first && !spool->hurry && !spool->stopping)
            pthread_cond_wait(&spool->wake, &spool->lock);
        if (spool->stopping)
            break;
        flusher_linger(spool);
        pthread_mutex_unlock(&spool->lock);
        log_work(spool);
        pthread_mutex_lock(&spool->lock);
    }
    pthread_mutex_unlock(&spool->lock);
    return NULL;
}

enum err
log_start(struct spool *spool)
{
    pthread_condattr_t attributes;
    sigset_t all;
    sigset_t before;
    bool failed;

    spool->parts = calloc((size_t)GROUP_RECORDS_MAX * PARTS_PER_RECORD, sizeof(*spool->parts));
    must(spool->parts);
    if (spool->inline_flush)
        return OK;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&spool->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Signals are for the threads that expect them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&spool->flusher, NULL, flusher_run, spool) != 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        spool->inline_flush = true;
    return failed ? ERR_LIMIT : OK;
}

void
log_stop(struct spool *spool)
{
    struct record *lost;

    if (!spool->inline_flush) {
        pthread_mutex_lock(&spool->lock);
        spool->stopping = true;
        pthread_cond_signal(&spool->wake);
        pthread_mutex_unlock(&spool->lock);
        pthread_join(spool->flusher, NULL);
        pthread_cond_destroy(&spool->wake);
    }
    if (spool->pending.first || spool->unlink_count)
        log_work(spool);
    /* What the disk does not take now is lost: notes and tombstones that nobody was promised. */
    lost = spool->pending.first;
    record_list_init(&spool->pending);
    for (struct record *next; lost; lost = next) {
        next = lost->next;
        must(!lost->waited);
        record_free(lost);
    }
    free(spool->parts);
}
