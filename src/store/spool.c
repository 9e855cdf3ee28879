/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool.c: what is asked of messages that are in the spool: notes, the end, and what is known. */
#include "store/spool.h"

#include "base/arena.h"
#include "base/must.h"
#include "store/spool_log.h"

#include <stdlib.h>
#include <string.h>

/* Lock held.  The entry when it is live. */
static struct entry *
find_live(struct spool *spool, msgid id)
{
    struct entry *entry = table_find(spool, id);

    return entry && entry->state == ENTRY_LIVE ? entry : NULL;
}

static void
record_set_note(struct record *record, msgid id, str note)
{
    record->head = (struct record_head){
        .type = RECORD_NOTE,
        .id = id,
        .note_size = (uint32_t)note.len,
        .text_crc = record_text_crc((str){}, note),
    };
    record->note = note;
}

static enum err
append_note(struct spool *spool, struct record *record)
{
    struct entry *entry;
    enum err e = OK;

    if (record_size(&record->head) > spool->segment_bytes - SEGMENT_HEADER_SIZE)
        return ERR_LIMIT;
    pthread_mutex_lock(&spool->lock);
    entry = find_live(spool, record->head.id);
    if (!entry) {
        e = ERR_NOT_FOUND;
    } else if (spool->pending.bytes > PENDING_BYTES_MAX) {
        e = ERR_FULL;
    } else {
        record->head.version = ++entry->note_version;
        log_append(spool, record);
    }
    pthread_mutex_unlock(&spool->lock);
    return e;
}

enum err
spool_note(struct spool *spool, msgid id, str note)
{
    struct record record = { .waited = true };
    enum err e;

    if (note.len > SPOOL_NOTE_MAX)
        return ERR_LIMIT;
    record_set_note(&record, id, note);
    e = append_note(spool, &record);
    if (e)
        return e;
    return log_wait(spool, &record);
}

enum err
spool_note_later(struct spool *spool, msgid id, str note)
{
    struct record *record;
    enum err e;

    if (note.len > SPOOL_NOTE_MAX)
        return ERR_LIMIT;
    record = record_new(note.len);
    if (note.len)
        memcpy(record->owned, note.ptr, note.len);
    record_set_note(record, id, (str){ record->owned, note.len });
    e = append_note(spool, record);
    if (e)
        record_free(record);
    return e;
}

static enum err
append_forget(struct spool *spool, struct record *record, msgid id)
{
    struct entry *entry;
    enum err e = OK;

    record->head = (struct record_head){ .type = RECORD_FORGET, .id = id };
    pthread_mutex_lock(&spool->lock);
    entry = find_live(spool, id);
    if (!entry) {
        e = ERR_NOT_FOUND;
    } else {
        entry->state = ENTRY_LEAVING;
        log_append(spool, record);
    }
    pthread_mutex_unlock(&spool->lock);
    if (!e)
        fresh_forget(spool, id);
    return e;
}

enum err
spool_forget(struct spool *spool, msgid id)
{
    struct record record = { .waited = true };
    enum err e;

    e = append_forget(spool, &record, id);
    if (e)
        return e;
    return log_wait(spool, &record);
}

enum err
spool_forget_later(struct spool *spool, msgid id)
{
    struct record *record = record_new(0);
    enum err e;

    e = append_forget(spool, record, id);
    if (e)
        record_free(record);
    return e;
}

enum err
spool_sync(struct spool *spool)
{
    struct record record = { .waited = true, .head.type = RECORD_MARK };

    pthread_mutex_lock(&spool->lock);
    log_append(spool, &record);
    pthread_mutex_unlock(&spool->lock);
    return log_wait(spool, &record);
}

/* A message whose envelope and note are being read. */
struct getting {
    struct spool *spool;
    struct entry entry;
    const struct segment *segment;
    const struct segment *note_segment;
    uint64_t body_size;
    struct fresh *fresh;
    struct message_text text;
    enum err result;
};

static enum err
get_text(struct getting *g, bool now)
{
    return message_read_text(g->spool, g->segment, g->entry.base, g->note_segment, g->entry.note,
                             now, &g->text);
}

static void
get_blocking(void *arg)
{
    struct getting *g = arg;

    g->result = get_text(g, false);
}

/* Copies the entry and pins where its records are. */
static bool
get_begin(struct getting *g, msgid id)
{
    const struct entry *entry;

    pthread_mutex_lock(&g->spool->lock);
    entry = find_live(g->spool, id);
    if (entry) {
        g->entry = *entry;
        g->body_size = entry_body_size(entry);
        g->segment = segment_pin(g->spool, entry->base);
        g->note_segment = entry->note.slot ? segment_pin(g->spool, entry->note) : NULL;
    }
    pthread_mutex_unlock(&g->spool->lock);
    return entry != NULL;
}

enum err
spool_get(struct spool *spool, msgid id, struct arena *arena, str *envelope, str *note,
          uint64_t *body_size)
{
    struct getting g = { .spool = spool };

    if (!get_begin(&g, id))
        return ERR_NOT_FOUND;
    g.fresh = g.note_segment ? NULL : fresh_take(spool, id, g.entry.base);
    if (g.fresh)
        g.text.envelope = fresh_envelope(g.fresh);
    else
        g.result = get_text(&g, true);
    if (g.result == ERR_BUSY)
        offload(get_blocking, &g);
    segment_unpin(spool, g.segment);
    if (g.note_segment)
        segment_unpin(spool, g.note_segment);
    if (g.result)
        return g.result;
    if ((envelope && !arena_copy(arena, g.text.envelope, envelope)) ||
        (note && !arena_copy(arena, g.text.note, note)))
        g.result = ERR_LIMIT;
    else if (body_size)
        *body_size = g.body_size;
    if (g.fresh)
        fresh_give_back(spool, g.fresh);
    free(g.text.block);
    return g.result;
}

bool
spool_has(struct spool *spool, msgid id)
{
    bool has;

    pthread_mutex_lock(&spool->lock);
    has = find_live(spool, id) != NULL;
    pthread_mutex_unlock(&spool->lock);
    return has;
}

void
spool_stats(struct spool *spool, struct spool_stats *stats)
{
    if (spool->inline_flush)
        spool_ask_free_bytes(spool); /* Without the work that a check may do. */
    else
        (void)spool_check_space(spool);
    pthread_mutex_lock(&spool->lock);
    *stats = spool->stats;
    stats->segments = spool->used.count;
    stats->segments_free = spool->free.count;
    stats->full =
        spool->full || (spool->free_bytes_min && spool->free_bytes < spool->free_bytes_min);
    pthread_mutex_unlock(&spool->lock);
}
