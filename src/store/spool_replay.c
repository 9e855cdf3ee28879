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
 * First replay_segment() for each segment in the order of epochs, so that messages come before
 * their notes and tombstones, and copies that were moved forward after their originals.  When it is
 * known what is live, tell_segment() for each in the opposite order, so that notes are there before
 * their messages, and envelopes need not be looked for one by one.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"
#include "store/spool_crc.h"

#include <stdlib.h>
#include <string.h>

/* A segment, or its index, in memory, and a walk through it. */
struct source {
    struct spool *spool;
    const struct segment *segment;
    char *bytes;
    bool indexed;
    uint64_t limit;     /* Of BYTES. */
    uint64_t end;       /* Of an indexed segment. */
    uint64_t torn_from; /* From here on holes are a crash's. */
    bool check;         /* Bodies too. */
    /* The walk: */
    uint64_t at;     /* Where to look next. */
    uint64_t hole;   /* Where the hole before the record began. */
    uint64_t record; /* Where the record is. */
    struct record_head head;
    str envelope;
    str note;
    bool good;
};

static void
source_done(struct source *source)
{
    free(source->bytes);
    source->bytes = NULL;
}

static void
source_set_text(struct source *source, const char *text)
{
    const struct record_head *head = &source->head;

    source->envelope = (str){ text, head->envelope_size };
    source->note = (str){ text + head->envelope_size, head->note_size };
    source->good = record_text_crc(source->envelope, source->note) == head->text_crc;
}

/* The next record of an index: heads and texts without holes. */
static bool
index_next(struct source *source)
{
    const char *bytes = source->bytes + source->at;
    const struct segment *segment = source->segment;
    uint64_t left = source->limit - source->at;

    if (left < RECORD_HEAD_SIZE ||
        !record_head_decode(bytes, segment->epoch, segment->salt, record_head_at(bytes),
                            &source->head) ||
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
        const char *bytes = source->bytes + at;
        uint64_t body;
        if (!record_head_decode(bytes, segment->epoch, segment->salt, (uint32_t)(at / 8),
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
    while (source_next(source))
        source->torn_from = MAX(source->torn_from, (uint64_t)source->head.group * 8);
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
    if (successor && successor->prev_clean &&
        index_load(spool, segment, successor->prev_end, &source->bytes, &source->limit)) {
        source->indexed = true;
        source->end = successor->prev_end;
        return OK;
    }
    /* Without a successor it may hold records that were never synced: the process died, and they
     * are in the page cache.  They are made durable before anything is built on them. */
    e = successor || !first ? OK : spool->disk->settle(spool->disk, segment->file);
    if (!e)
        e = load(spool, segment, &source->bytes);
    if (e) {
        source_done(source);
        return e;
    }
    find_limits(source, successor);
    source->at = SEGMENT_HEADER_SIZE;
    return OK;
}

static void
replay_message(struct source *source)
{
    struct spool *spool = source->spool;
    const struct record_head *head = &source->head;
    struct entry *entry = table_find(spool, head->id);

    if (entry && !source->good && !entry->damaged)
        return; /* A copy that got lost on its way forward; the original is still there. */
    if (!entry) {
        entry = table_insert(spool, head->id);
        entry->state = ENTRY_LIVE;
    }
    entry->damaged = !source->good || head->flags & RECORD_DAMAGED;
    entry->body_size = head->body_size;
    entry->file = head->file;
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
        replay_message(source);
    } else if (head->type == RECORD_FORGET && entry) {
        table_remove(spool, entry);
    } else if (head->type == RECORD_NOTE && entry && source->good &&
               head->version > entry->note_version) {
        entry->note = (struct place){ source->segment->slot, head->at };
        entry->note_bytes = (uint32_t)record_size(head);
        entry->note_version = head->version;
    }
}

/* Bytes from START to END are not what was written. */
static void
report_hole(struct source *source, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (start >= source->torn_from) {
        source->spool->stats.torn++;
        return;
    }
    source->spool->stats.damaged++;
    quarantine_bytes(source->spool, source->segment->epoch, start,
                     (str){ source->bytes + start, (size_t)(end - start) });
}

enum err
replay_segment(struct spool *spool, const struct findings *findings, struct segment *segment,
               struct why *why)
{
    struct source source;
    enum err e;

    e = source_open(spool, findings, segment, true, &source);
    if (e)
        return err_why(why, e,
                       "cannot read %s/segments/%08u (%s); copy the spool to another disk, as far "
                       "as it can be read, and start from there",
                       spool->dir, segment->slot, err_name(e));
    source.check = true;
    while (source_next(&source)) {
        if (source.indexed) {
            replay_record(&source);
            continue;
        }
        report_hole(&source, source.hole, source.record);
        if (!source.good)
            report_hole(&source, source.record, source.at);
        if (source.good || source.record < source.torn_from)
            replay_record(&source);
    }
    if (source.indexed) {
        segment->end = source.end;
    } else {
        report_hole(&source, source.hole, source.limit);
        segment->end = MAX(source.limit, (uint64_t)SEGMENT_HEADER_SIZE);
    }
    source_done(&source);
    return OK;
}

/* Keeps the record when it is the latest note of a message. */
static void
keep_note(const struct source *source, struct map *notes)
{
    const struct record_head *head = &source->head;
    const struct entry *entry = table_find(source->spool, head->id);
    struct place place = { source->segment->slot, head->at };
    str *note;

    if (!entry || !place_eq(entry->note, place) || !source->good)
        return;
    note = malloc(sizeof(*note) + source->note.len);
    must(note);
    *note = (str){ (char *)(note + 1), source->note.len };
    if (note->len)
        memcpy(note + 1, source->note.ptr, note->len);
    must(map_put(notes, (str){ (const char *)head->id.bytes, sizeof(head->id.bytes) }, note) == OK);
}

/* Tells of the message when this record is where it stands. */
static void
tell_message(const struct source *source, const struct telling *telling)
{
    const struct record_head *head = &source->head;
    struct entry *entry = table_find(source->spool, head->id);
    struct place place = { source->segment->slot, head->at };
    struct spool_entry told = { .id = head->id };
    str *note = NULL;

    if (!entry || !place_eq(entry->base, place) || !source->good)
        return;
    told.envelope = source->envelope;
    told.note = source->note;
    told.body_size = entry->body_size;
    told.damaged = entry->damaged;
    if (entry->note.slot) {
        note = map_remove(telling->notes,
                          (str){ (const char *)head->id.bytes, sizeof(head->id.bytes) });
        if (!note)
            return; /* It is told one by one. */
        told.note = *note;
    }
    telling->found(telling->arg, &told);
    entry->told = true;
    free(note);
}

enum err
tell_segment(struct spool *spool, const struct findings *findings, const struct segment *segment,
             const struct telling *telling)
{
    struct source source;
    uint64_t start;
    enum err e;

    e = source_open(spool, findings, segment, false, &source);
    if (e)
        return e;
    start = source.at;
    while (source_next(&source))
        if (source.head.type == RECORD_NOTE)
            keep_note(&source, telling->notes);
    source.at = start;
    while (source_next(&source))
        if (source.head.type == RECORD_MESSAGE)
            tell_message(&source, telling);
    source_done(&source);
    return OK;
}
