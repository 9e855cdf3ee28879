/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_body.c: reading back: heads, envelopes, notes, bodies.
 *
 * What was committed a moment ago is still in memory (spool_fresh.c).
 * What is in the page cache is read at once; what is not, by offload(), so that no loop waits for
 * the device.  A small body is read and checked as a whole when it is opened and keeps nothing
 * busy. A larger one in the log is looked up anew for each piece, because it may have been moved
 * forward.
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "store/spool_crc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_CACHED_MAX = 32768,
    BODY_JOINED_MAX = 262144 /* Copied once more, so that it can be sent in one piece. */
};

struct body {
    struct spool *spool;
    msgid id;
    uint64_t size;
    str prefix;          /* Before the stored bytes, which SIZE counts. */
    char *joined;        /* Prefix and fresh body in one piece, or NULL. */
    struct fresh *fresh; /* The body in memory, or NULL. */
    char *cache;         /* Head and body, or NULL. */
    int file;            /* -1: in the log. */
    bool counted;        /* Among the readers of its entry. */
    uint32_t crc_wanted;
    uint32_t crc;
    uint64_t crc_at; /* Checked so far. */
};

enum err
spool_read(struct spool *spool, int file, void *bytes, size_t size, uint64_t offset, bool now)
{
    size_t got;
    enum err e;

    e = spool->disk->read(spool->disk, file, bytes, size, offset, now, &got);
    if (e)
        return e;
    return got == size ? OK : ERR_CORRUPT;
}

enum err
record_read_head(struct spool *spool, const struct segment *segment, struct place place, bool now,
                 struct record_head *head)
{
    char bytes[RECORD_HEAD_SIZE];
    struct record_head read;
    enum err e;

    e = spool_read(spool, segment->file, bytes, sizeof(bytes), (uint64_t)place.at * 8, now);
    if (e)
        return e;
    if (!record_head_decode(bytes, segment->epoch, segment->salt, place.at, &read))
        return ERR_CORRUPT;
    *head = read;
    return OK;
}

/* Envelope and note of the record with HEAD at PLACE, to BYTES. */
static enum err
read_text(struct spool *spool, const struct segment *segment, struct place place,
          const struct record_head *head, bool now, char *bytes)
{
    size_t size = (size_t)head->envelope_size + head->note_size;
    uint64_t offset = (uint64_t)place.at * 8 + RECORD_HEAD_SIZE + record_inline_size(head);
    enum err e;

    if (!size)
        return OK;
    e = spool_read(spool, segment->file, bytes, size, offset, now);
    if (e)
        return e;
    return crc32c(0, bytes, size) == head->text_crc ? OK : ERR_CORRUPT;
}

enum err
message_read_text(struct spool *spool, const struct segment *segment, struct place base,
                  const struct segment *note_segment, struct place note, bool now,
                  struct message_text *text)
{
    struct record_head head;
    struct record_head note_head = {};
    size_t size;
    char *block;
    enum err e;

    e = record_read_head(spool, segment, base, now, &head);
    if (!e && note_segment)
        e = record_read_head(spool, note_segment, note, now, &note_head);
    if (e)
        return e;
    size = (size_t)head.envelope_size + head.note_size;
    block = malloc(size + note_head.note_size + 1);
    must(block);
    e = read_text(spool, segment, base, &head, now, block);
    if (!e && note_segment)
        e = read_text(spool, note_segment, note, &note_head, now, block + size);
    if (e) {
        free(block);
        return e;
    }
    text->block = block;
    text->envelope = (str){ block, head.envelope_size };
    text->note = note_segment ? (str){ block + size, note_head.note_size }
                              : (str){ block + head.envelope_size, head.note_size };
    text->version = note_segment ? note_head.version : head.version;
    return OK;
}

/* A body in a file of its own. */
static enum err
open_file(struct body *body, uint64_t number)
{
    const struct disk *disk = body->spool->disk;
    char path[SPOOL_PATH_SIZE];
    uint64_t size;
    enum err e;

    spool_path(body->spool, path, "/bodies/%016" PRIx64, number);
    e = disk->open(disk, path, DISK_READ, &body->file);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    e = disk->size(disk, body->file, &size);
    if (e)
        return e;
    return size >= body->size ? OK : ERR_CORRUPT;
}

/* A small body: all of it at once. */
static enum err
fill_cache(struct body *body, const struct segment *segment, struct place base, bool now)
{
    size_t size = RECORD_HEAD_SIZE + (size_t)body->size;
    struct record_head head;
    enum err e;

    if (!body->cache)
        body->cache = malloc(size);
    must(body->cache);
    e = spool_read(body->spool, segment->file, body->cache, size, (uint64_t)base.at * 8, now);
    if (e)
        return e;
    if (!record_head_decode(body->cache, segment->epoch, segment->salt, base.at, &head) ||
        record_inline_size(&head) != body->size ||
        crc32c(0, body->cache + RECORD_HEAD_SIZE, (size_t)body->size) != head.body_crc)
        return ERR_CORRUPT;
    return OK;
}

/* A body that is being opened: where its record is. */
struct opening {
    struct body *body;
    const struct segment *segment;
    struct place base;
    uint64_t file;
    enum err result;
};

static enum err
open_at(const struct opening *o, bool now)
{
    struct body *body = o->body;
    struct record_head head;
    enum err e;

    if (!o->file && body->size <= BODY_CACHED_MAX)
        return fill_cache(body, o->segment, o->base, now);
    e = record_read_head(body->spool, o->segment, o->base, now, &head);
    if (e)
        return e;
    body->crc_wanted = head.body_crc;
    return o->file ? open_file(body, o->file) : OK;
}

static void
open_blocking(void *arg)
{
    struct opening *o = arg;

    o->result = open_at(o, false);
}

/* Lock held.  Whether and where the body can be opened. */
static enum err
find_body(struct spool *spool, struct opening *o)
{
    struct entry *entry = table_find(spool, o->body->id);

    if (!entry || entry->state != ENTRY_LIVE)
        return ERR_NOT_FOUND;
    if (entry->damaged)
        return ERR_CORRUPT;
    o->body->size = entry_body_size(entry);
    o->base = entry->base;
    o->file = entry_file_number(entry);
    if (!o->file && o->body->size > BODY_CACHED_MAX) {
        must(entry->readers < UINT16_MAX);
        entry->readers++;
        o->body->counted = true;
    }
    o->segment = segment_pin(spool, entry->base);
    return OK;
}

enum err
body_open(struct spool *spool, msgid id, struct body **opened)
{
    OWN(body) body = calloc(1, sizeof(*body));
    struct opening o = { .body = body };

    must(body);
    body->spool = spool;
    body->id = id;
    body->file = -1;
    pthread_mutex_lock(&spool->lock);
    o.result = find_body(spool, &o);
    pthread_mutex_unlock(&spool->lock);
    if (o.result)
        return o.result;
    body->fresh = fresh_take(spool, id, o.base);
    if (!body->fresh)
        o.result = open_at(&o, true);
    if (o.result == ERR_BUSY)
        offload(open_blocking, &o);
    segment_unpin(spool, o.segment);
    if (o.result)
        return o.result;
    *opened = take(body);
    return OK;
}

void
body_put_before(struct body *body, str prefix)
{
    must(!body->prefix.len);
    body->prefix = prefix;
    if (!prefix.len || !body->fresh || body->size > BODY_JOINED_MAX)
        return;
    body->joined = malloc(prefix.len + (size_t)body->size);
    must(body->joined);
    memcpy(body->joined, prefix.ptr, prefix.len);
    if (body->size)
        memcpy(body->joined + prefix.len, fresh_body(body->fresh).ptr, (size_t)body->size);
}

uint64_t
body_size(const struct body *body)
{
    return body->prefix.len + body->size;
}

/* A piece of a body on its way from a file. */
struct reading {
    struct spool *spool;
    int file;
    void *bytes;
    size_t size;
    uint64_t offset;
    enum err result;
};

static void
read_blocking(void *arg)
{
    struct reading *r = arg;

    r->result = spool_read(r->spool, r->file, r->bytes, r->size, r->offset, false);
}

WAITS static enum err
read_piece(struct spool *spool, int file, uint64_t offset, void *bytes, size_t size)
{
    struct reading r = { spool, file, bytes, size, offset, OK };

    r.result = spool_read(spool, file, bytes, size, offset, true);
    if (r.result == ERR_BUSY)
        offload(read_blocking, &r);
    return r.result;
}

/* A piece of a larger body in the log, wherever it is now. */
WAITS static enum err
read_from_log(struct body *body, uint64_t offset, void *bytes, size_t size)
{
    struct spool *spool = body->spool;
    const struct segment *segment;
    const struct entry *entry;
    uint64_t at;
    enum err e;

    pthread_mutex_lock(&spool->lock);
    entry = table_find(spool, body->id);
    must(entry && entry->readers);
    if (entry->damaged) {
        pthread_mutex_unlock(&spool->lock);
        return ERR_CORRUPT;
    }
    at = (uint64_t)entry->base.at * 8 + RECORD_HEAD_SIZE + offset;
    segment = segment_pin(spool, entry->base);
    pthread_mutex_unlock(&spool->lock);
    e = read_piece(spool, segment->file, at, bytes, size);
    segment_unpin(spool, segment);
    return e;
}

str
body_view(const struct body *body)
{
    if (body->joined)
        return (str){ body->joined, body->prefix.len + (size_t)body->size };
    return body->fresh && !body->prefix.len ? fresh_body(body->fresh) : (str){};
}

WAITS static enum err
read_stored(struct body *body, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    enum err e = OK;

    size = (size_t)MIN((uint64_t)size, body->size - MIN(offset, body->size));
    if (body->fresh && size)
        memcpy(bytes, fresh_body(body->fresh).ptr + offset, size);
    else if (size && body->cache)
        memcpy(bytes, body->cache + RECORD_HEAD_SIZE + offset, size);
    else if (size && body->file >= 0)
        e = read_piece(body->spool, body->file, offset, bytes, size);
    else if (size)
        e = read_from_log(body, offset, bytes, size);
    if (e)
        return e;
    if (offset == 0)
        body->crc = 0, body->crc_at = 0;
    if (size && !body->fresh && !body->cache && offset == body->crc_at) {
        body->crc = crc32c(body->crc, bytes, size);
        body->crc_at += size;
        if (body->crc_at == body->size && body->crc != body->crc_wanted)
            return ERR_CORRUPT;
    }
    *got = size;
    return OK;
}

enum err
body_read(struct body *body, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    size_t head = 0;
    size_t rest = 0;
    enum err e = OK;

    if (offset < body->prefix.len) {
        head = MIN(size, body->prefix.len - (size_t)offset);
        memcpy(bytes, body->prefix.ptr + offset, head);
    }
    if (size > head)
        e = read_stored(body, offset + head - body->prefix.len, (char *)bytes + head, size - head,
                        &rest);
    if (!e)
        *got = head + rest;
    return e;
}

void
body_close(struct body *body)
{
    struct spool *spool;
    struct entry *entry;

    if (!body)
        return;
    spool = body->spool;
    if (body->fresh)
        fresh_give_back(spool, body->fresh);
    if (body->counted) {
        pthread_mutex_lock(&spool->lock);
        entry = table_find(spool, body->id);
        must(entry && entry->readers);
        entry->readers--;
        if (!entry->readers && entry->state == ENTRY_GONE)
            entry_remove(spool, entry);
        pthread_mutex_unlock(&spool->lock);
    }
    if (body->file >= 0)
        spool->disk->close(spool->disk, body->file);
    free(body->joined);
    free(body->cache);
    free(body);
}

void
body_drop(struct body **body)
{
    body_close(*body);
    *body = NULL;
}
