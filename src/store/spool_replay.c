/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_replay.c: reading the records after a restart.
 *
 * A segment is walked from record to record.  Where there is none, the walk looks for the next one
 * in steps of 8 bytes; the salt keeps it from taking a mail's bytes for a record.  What it passes
 * is a hole.  A hole in the last group of a segment that was not closed in order is what a crash
 * leaves: nobody had been told that these records are durable.  Any other hole is damage: it
 * is counted, logged, and its bytes are kept in quarantine/.  A segment that was closed in order
 * and has a good index (spool_index.c) is not read itself.
 *
 * replay_segment() is called for each segment in the order of epochs, so that messages come before
 * their notes and tombstones, and copies that were moved forward after their originals.  While the
 * main thread does that, another one reads and checks the next segments: reader_start().  Envelopes
 * and notes are kept for spool_tell.c.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_AHEAD = 2
};

/* A segment, or its index, in memory, and a walk through it. */
struct source {
    struct spool *spool;
    const struct segment *segment;
    struct index_map map;
    bool indexed;
    uint64_t limit;     /* Of its bytes. */
    uint64_t end;       /* Of an indexed segment. */
    uint64_t torn_from; /* From here on holes are a crash's. */
    bool skim;          /* Check no texts, */
    bool check;         /* or bodies too. */
    /* The walk: */
    uint64_t at;     /* Where to look next. */
    uint64_t hole;   /* Where the hole before the record began. */
    uint64_t record; /* Where the record is. */
    struct record_head head;
    str envelope;
    str note;
    bool good;
    bool text_good; /* Envelope and note; the body may be bad. */
};

static void
source_done(struct source *source)
{
    index_unmap(source->spool, &source->map);
}

static void
source_set_text(struct source *source, const char *text)
{
    const struct record_head *head = &source->head;

    source->envelope = (str){ text, head->envelope_size };
    source->note = (str){ text + head->envelope_size, head->note_size };
    /* The checksum of an index covers its texts. */
    source->text_good = source->indexed || source->skim ||
                        record_text_crc(source->envelope, source->note) == head->text_crc;
    source->good = source->text_good;
}

/* The next record of an index: heads and texts without holes. */
static bool
index_next(struct source *source)
{
    const char *bytes = source->map.bytes + source->at;
    const struct segment *segment = source->segment;
    uint64_t left = source->limit - source->at;

    if (left < RECORD_HEAD_SIZE ||
        !record_head_trust(bytes, segment->epoch, record_head_at(bytes), &source->head) ||
        (uint64_t)source->head.envelope_size + source->head.note_size > left - RECORD_HEAD_SIZE)
        return false;
    source_set_text(source, bytes + RECORD_HEAD_SIZE);
    source->at += RECORD_HEAD_SIZE + source->head.envelope_size + source->head.note_size;
    return true;
}

/* The next record, or false at the limit; then [hole, limit) is the last hole. */
static bool
source_next(struct source *source)
{
    const struct segment *segment = source->segment;
    const struct record_head *head = &source->head;

    if (source->indexed)
        return index_next(source);
    source->hole = source->at;
    for (uint64_t at = source->at; at + RECORD_HEAD_SIZE <= source->limit; at += 8) {
        const char *bytes = source->map.bytes + at;
        uint64_t body;
        if (!record_head_is_like(bytes) ||
            !record_head_decode(bytes, segment->epoch, segment->salt, (uint32_t)(at / 8),
                                &source->head) ||
            record_size(head) > source->limit - at)
            continue;
        body = record_inline_size(head);
        source_set_text(source, bytes + RECORD_HEAD_SIZE + body);
        if (source->check && source->good && body)
            source->good = crc32c(0, bytes + RECORD_HEAD_SIZE, (size_t)body) == head->body_crc;
        source->record = at;
        source->at = at + record_size(head);
        return true;
    }
    return false;
}

/* All of the segment. */
static enum err
load(struct spool *spool, const struct segment *segment, struct index_map *map)
{
    size_t size = (size_t)segment->size;
    enum err e = size ? spool->disk->map(spool->disk, segment->file, size, &map->file) : OK;

    map->bytes = map->file;
    map->size = size;
    return e;
}

/* What SEGMENT's successor says of it; NULL: it has none. */
static const struct segment_header *
successor_of(const struct findings *findings, const struct segment *segment)
{
    for (size_t i = 0; i < findings->header_count; i++)
        if (findings->headers[i].prev_epoch == segment->epoch &&
            findings->headers[i].prev_slot == segment->slot)
            return &findings->headers[i];
    return NULL;
}

/* Up to where the segment counts, and from where on a crash may have torn it. */
static void
find_limits(struct source *source, const struct segment_header *successor)
{
    bool clean = successor && successor->prev_clean;

    source->limit = source->segment->size;
    if (successor)
        source->limit = MIN(source->limit, successor->prev_end);
    source->torn_from = clean ? source->limit : SEGMENT_HEADER_SIZE;
    if (clean)
        return;
    source->at = SEGMENT_HEADER_SIZE;
    source->skim = true;
    while (source_next(source))
        source->torn_from = MAX(source->torn_from, (uint64_t)source->head.group * 8);
    source->skim = false;
    /* Behind the last record of a segment that was not closed there is nothing. */
    source->limit = source->hole;
}

/* SOURCE is filled from the segment's index, or else from the segment, which is settled when this
 * is the FIRST time. */
static enum err
source_open(struct spool *spool, const struct findings *findings, const struct segment *segment,
            bool first, struct source *source)
{
    const struct segment_header *successor = successor_of(findings, segment);
    enum err e;

    *source = (struct source){ .spool = spool, .segment = segment };
    if (successor && index_map(spool, segment, successor->prev_end, &source->map)) {
        source->limit = source->map.size - (size_t)(source->map.bytes - source->map.file);
        source->indexed = true;
        source->end = successor->prev_end;
        return OK;
    }
    /* Without a successor it may hold records that were never synced: the process died, and they
     * are in the page cache.  They are made durable before anything is built on them. */
    e = successor || !first ? OK : spool->disk->settle(spool->disk, segment->file);
    if (!e)
        e = load(spool, segment, &source->map);
    if (e) {
        source_done(source);
        return e;
    }
    find_limits(source, successor);
    source->at = SEGMENT_HEADER_SIZE;
    return OK;
}

static void
replay_message(struct source *source, struct entry *entry)
{
    const struct record_head *head = &source->head;

    if (entry && !source->good && !entry->damaged)
        return; /* A copy that got lost on its way forward; the original is still there. */
    if (!entry) {
        entry = table_insert(source->spool, head->id);
        entry->state = ENTRY_LIVE;
    }
    entry->damaged = !source->good || head->flags & RECORD_DAMAGED;
    entry_set_body(entry, head->file, head->body_size);
    entry->base = (struct place){ source->segment->slot, head->at };
    entry->base_bytes = (uint32_t)record_size(head);
    if (head->version >= entry->note_version) {
        entry->note = (struct place){};
        entry->note_bytes = 0;
        entry->note_version = head->version;
    }
}

static void
replay_record(struct source *source)
{
    struct spool *spool = source->spool;
    const struct record_head *head = &source->head;
    struct entry *entry = table_find(spool, head->id);

    if (head->type == RECORD_MESSAGE) {
        replay_message(source, entry);
    } else if (head->type == RECORD_FORGET && entry) {
        table_remove(spool, entry);
    } else if (head->type == RECORD_NOTE && entry && source->good &&
               head->version > entry->note_version) {
        entry->note = (struct place){ source->segment->slot, head->at };
        entry->note_bytes = (uint32_t)record_size(head);
        entry->note_version = head->version;
    }
}

/* --- What is kept. */

/* Where the texts of the record are found again: in the index, or copied out of the segment. */
static void
keep_record(struct source *source, struct kept *kept)
{
    const struct record_head *head = &source->head;
    size_t size = source->envelope.len + source->note.len;
    size_t offset = kept->size;

    if (!source->text_good || (head->type != RECORD_MESSAGE && head->type != RECORD_NOTE))
        return;
    if (kept->count == kept->capacity) {
        kept->capacity = kept->capacity ? kept->capacity * 2 : 1024;
        kept->records = realloc(kept->records, kept->capacity * sizeof(*kept->records));
        must(kept->records);
    }
    if (source->indexed) {
        offset = (size_t)(source->envelope.ptr - source->map.bytes);
    } else {
        if (kept->size + size > kept->bytes_capacity) {
            kept->bytes_capacity = MAX((size_t)65536, (kept->size + size) * 2);
            kept->bytes = realloc(kept->bytes, kept->bytes_capacity);
            must(kept->bytes);
        }
        if (size)
            memcpy(kept->bytes + kept->size, source->envelope.ptr, size);
        kept->size += size;
    }
    kept->records[kept->count++] =
        (struct kept_record){ head->at, (uint32_t)offset, head->envelope_size, head->note_size };
}

static struct index_map
take_map(struct source *source)
{
    struct index_map map = source->map;

    source->map = (struct index_map){};
    return map;
}

static void
keep_end(struct source *source, struct kept *kept)
{
    if (source->indexed)
        kept->map = take_map(source);
}

void
kept_done(struct spool *spool, struct kept *kept)
{
    index_unmap(spool, &kept->map);
    free(kept->bytes);
    free(kept->records);
    *kept = (struct kept){};
}

enum err
keep_segment(struct spool *spool, const struct findings *findings, const struct segment *segment,
             struct kept *kept)
{
    struct source source;
    enum err e;

    e = source_open(spool, findings, segment, false, &source);
    if (e)
        return e;
    while (source_next(&source))
        keep_record(&source, kept);
    keep_end(&source, kept);
    source_done(&source);
    return OK;
}

/* --- Replaying. */

/* Bytes from START to END are not what was written. */
static void
report_hole(struct source *source, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    source->spool->index.failed = true; /* Who comes next shall see it, too. */
    if (start >= source->torn_from) {
        source->spool->stats.torn++;
        return;
    }
    source->spool->stats.damaged++;
    quarantine_bytes(source->spool, source->segment->epoch, start,
                     (str){ source->map.bytes + start, (size_t)(end - start) });
}

/* Record by record, out of an index. */
static void
replay_index(struct source *source, struct segment *segment, struct kept *kept)
{
    while (source_next(source)) {
        replay_record(source);
        if (kept)
            keep_record(source, kept);
    }
    segment->end = source->end;
}

/* Out of the segment itself, which has an index afterwards, unless something is wrong in it. */
static void
replay_raw(struct source *source, struct segment *segment, struct kept *kept)
{
    struct spool *spool = source->spool;

    index_begin(spool);
    source->check = true;
    while (source_next(source)) {
        report_hole(source, source->hole, source->record);
        if (!source->good)
            report_hole(source, source->record, source->at);
        if (!source->good && source->record >= source->torn_from)
            continue;
        replay_record(source);
        index_add(spool, segment, source->map.bytes + source->record, source->envelope,
                  source->note);
        if (kept)
            keep_record(source, kept);
    }
    report_hole(source, source->hole, source->limit);
    segment->end = MAX(source->limit, (uint64_t)SEGMENT_HEADER_SIZE);
    index_write(spool, segment);
    index_end(spool);
}

/* Reads SOURCE's records into the table, and sets the SEGMENT's end. */
static void
replay_source(struct source *source, struct segment *segment, struct kept *kept)
{
    if (source->indexed)
        replay_index(source, segment, kept);
    else
        replay_raw(source, segment, kept);
    if (kept)
        keep_end(source, kept);
}

/* --- Reading ahead. */

/* The segments, and their sources as far as they were read. */
struct reader {
    struct spool *spool;
    const struct findings *findings;
    struct segment **segments;
    struct source *sources;
    enum err *results;
    size_t count;
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t read;     /* Sources that are ready. */
    size_t replayed; /* Sources that are done with. */
    bool stop;
};

static void
read_one(struct reader *reader, size_t i)
{
    reader->results[i] = source_open(reader->spool, reader->findings, reader->segments[i], true,
                                     &reader->sources[i]);
}

static void *
reader_run(void *arg)
{
    struct reader *reader = arg;

    for (size_t i = 0; i < reader->count; i++) {
        pthread_mutex_lock(&reader->lock);
        while (!reader->stop && i >= reader->replayed + READ_AHEAD)
            pthread_cond_wait(&reader->changed, &reader->lock);
        bool stop = reader->stop;
        pthread_mutex_unlock(&reader->lock);
        if (stop)
            break;
        read_one(reader, i);
        pthread_mutex_lock(&reader->lock);
        reader->read = i + 1;
        pthread_cond_broadcast(&reader->changed);
        pthread_mutex_unlock(&reader->lock);
    }
    return NULL;
}

static void
reader_start(struct reader *reader, struct spool *spool, const struct findings *findings)
{
    size_t count = spool->used.count;

    *reader = (struct reader){ .spool = spool, .findings = findings };
    reader->segments = calloc(count + 1, sizeof(struct segment *));
    reader->sources = calloc(count + 1, sizeof(struct source));
    reader->results = calloc(count + 1, sizeof(enum err));
    must(reader->segments && reader->sources && reader->results);
    for (struct segment *segment = spool->used.first; segment; segment = segment->next)
        reader->segments[reader->count++] = segment;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    reader->threaded = !spool->inline_flush && count > 1 &&
                       pthread_create(&reader->thread, NULL, reader_run, reader) == 0;
}

/* The next source: the one before is done with. */
static enum err
reader_next(struct reader *reader, size_t i)
{
    if (!reader->threaded) {
        read_one(reader, i);
        return reader->results[i];
    }
    pthread_mutex_lock(&reader->lock);
    reader->replayed = i;
    pthread_cond_broadcast(&reader->changed);
    while (reader->read <= i)
        pthread_cond_wait(&reader->changed, &reader->lock);
    pthread_mutex_unlock(&reader->lock);
    return reader->results[i];
}

static void
reader_stop(struct reader *reader)
{
    if (reader->threaded) {
        pthread_mutex_lock(&reader->lock);
        reader->stop = true;
        pthread_cond_broadcast(&reader->changed);
        pthread_mutex_unlock(&reader->lock);
        pthread_join(reader->thread, NULL);
    }
    for (size_t i = 0; i < reader->count; i++)
        source_done(&reader->sources[i]);
    pthread_mutex_destroy(&reader->lock);
    pthread_cond_destroy(&reader->changed);
    free(reader->segments);
    free(reader->sources);
    free(reader->results);
}

enum err
replay_segments(struct spool *spool, const struct findings *findings, struct keeping *keeping,
                struct why *why)
{
    struct reader reader;
    enum err e = OK;

    reader_start(&reader, spool, findings);
    for (size_t i = 0; !e && i < reader.count; i++) {
        struct segment *segment = reader.segments[i];
        struct kept *kept = keeping ? keeping_room(keeping, spool, segment->slot, 0) : NULL;
        e = reader_next(&reader, i);
        if (e) {
            (void)err_why(why, e,
                          "cannot read %s/segments/%08u (%s); copy the spool to another disk, as "
                          "far as it can be read, and start from there",
                          spool->dir, segment->slot, err_name(e));
            break;
        }
        replay_source(&reader.sources[i], segment, kept);
        source_done(&reader.sources[i]);
    }
    reader_stop(&reader);
    return e;
}
