/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_draft.c: how a body comes in.
 *
 * Up to inline_max bytes it collects in memory and becomes part of the message's record.  Beyond
 * that it goes, piece by piece, to a file of its own, which is synced before the record that names
 * it is written; without that record the file is an orphan and removed.  Start at draft_commit().
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "store/spool_crc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRAFT_CAPACITY_MIN = 8192,
    FREE_BYTES_ASK_MS = 250
};

struct draft {
    struct spool *spool;
    char *data;
    size_t length;
    size_t capacity;
    uint64_t spilled; /* Bytes already in the file. */
    uint64_t number;  /* Of the file; 0: none. */
    int file;
    uint32_t crc;
    enum err failed;
    struct record record;
};

/* Asks the disk how much is free, when that was not done just now. */
void
spool_ask_free_bytes(struct spool *spool)
{
    instant now = clock_steady();
    uint64_t bytes;
    bool ask;

    pthread_mutex_lock(&spool->lock);
    ask = spool->free_bytes_min && now - spool->free_bytes_asked > MILLISECONDS(FREE_BYTES_ASK_MS);
    if (ask)
        spool->free_bytes_asked = now;
    pthread_mutex_unlock(&spool->lock);
    if (!ask || spool->disk->free_bytes(spool->disk, spool->dir, &bytes) != OK)
        return;
    pthread_mutex_lock(&spool->lock);
    spool->free_bytes = bytes;
    pthread_mutex_unlock(&spool->lock);
}

enum err
spool_check_space(struct spool *spool)
{
    bool full;

    pthread_mutex_lock(&spool->lock);
    if (spool->full)
        log_hurry(spool); /* Perhaps there is room again. */
    full = spool->full;
    pthread_mutex_unlock(&spool->lock);
    spool_ask_free_bytes(spool);
    if (full && spool->inline_flush)
        log_work(spool);
    pthread_mutex_lock(&spool->lock);
    full = spool->full || (spool->free_bytes_min && spool->free_bytes < spool->free_bytes_min);
    pthread_mutex_unlock(&spool->lock);
    return full ? ERR_FULL : OK;
}

enum err
draft_begin(struct spool *spool, struct draft **draft)
{
    enum err e = spool_check_space(spool);

    if (e)
        return e;
    *draft = calloc(1, sizeof(**draft));
    must(*draft);
    (*draft)->spool = spool;
    (*draft)->file = -1;
    return OK;
}

static void
body_path(const struct draft *draft, char path[SPOOL_PATH_SIZE])
{
    spool_path(draft->spool, path, "/bodies/%016" PRIx64, draft->number);
}

static enum err
open_file(struct draft *draft)
{
    struct spool *spool = draft->spool;
    char path[SPOOL_PATH_SIZE];

    /* The epoch of this opening of the spool makes the number one that was never used before. */
    pthread_mutex_lock(&spool->lock);
    draft->number = spool->file_epoch << 32 | ++spool->file_counter;
    pthread_mutex_unlock(&spool->lock);
    body_path(draft, path);
    return spool->disk->open(spool->disk, path, DISK_WRITE | DISK_CREATE, &draft->file);
}

/* Offloaded: what is in memory goes to the file. */
static void
spill(void *arg)
{
    struct draft *draft = arg;
    const struct disk *disk = draft->spool->disk;
    struct iovec part = { draft->data, draft->length };

    if (!draft->number)
        draft->failed = open_file(draft);
    if (!draft->failed)
        draft->failed = disk->write(disk, draft->file, &part, 1, draft->spilled);
    if (draft->failed)
        return;
    draft->spilled += draft->length;
    draft->length = 0;
}

/* Offloaded: the last of it, and durable. */
static void
spill_and_sync(void *arg)
{
    struct draft *draft = arg;

    if (draft->length)
        spill(draft);
    if (!draft->failed)
        draft->failed = draft->spool->disk->sync(draft->spool->disk, draft->file);
}

static void
draft_reserve(struct draft *draft, size_t count)
{
    size_t wanted = MIN(draft->length + count, draft->spool->inline_max);

    if (wanted <= draft->capacity)
        return;
    wanted = MAX(wanted, MIN(draft->capacity * 2, draft->spool->inline_max));
    wanted = MAX(wanted, MIN((size_t)DRAFT_CAPACITY_MIN, draft->spool->inline_max));
    draft->data = realloc(draft->data, wanted);
    must(draft->data);
    draft->capacity = wanted;
}

enum err
draft_write(struct draft *draft, str bytes)
{
    if (draft->failed)
        return draft->failed;
    draft->crc = crc32c(draft->crc, bytes.ptr, bytes.len);
    while (bytes.len) {
        size_t piece;
        draft_reserve(draft, bytes.len);
        piece = MIN(bytes.len, draft->capacity - draft->length);
        if (!piece) {
            draft->failed = spool_check_space(draft->spool);
            if (!draft->failed)
                offload(spill, draft);
            if (draft->failed)
                return draft->failed;
            continue;
        }
        memcpy(draft->data + draft->length, bytes.ptr, piece);
        draft->length += piece;
        bytes = str_skip(bytes, piece);
    }
    return OK;
}

uint64_t
draft_size(const struct draft *draft)
{
    return draft->spilled + draft->length;
}

/* Queues the record, unless there is a reason against it. */
static enum err
draft_append(struct draft *draft)
{
    struct spool *spool = draft->spool;
    struct record *record = &draft->record;
    enum err e = OK;

    if (record_size(&record->head) > spool->segment_bytes - SEGMENT_HEADER_SIZE)
        return ERR_LIMIT;
    pthread_mutex_lock(&spool->lock);
    if (spool->full || spool->pending.bytes > PENDING_BYTES_MAX)
        e = ERR_FULL;
    else if (table_find(spool, record->head.id))
        e = ERR_EXISTS;
    else
        log_append(spool, record);
    pthread_mutex_unlock(&spool->lock);
    return e;
}

enum err
draft_commit(struct draft **taken, msgid id, str envelope)
{
    OWN(draft) draft = take(*taken);
    struct record *record = &draft->record;
    enum err e;

    if (envelope.len > SPOOL_ENVELOPE_MAX)
        return ERR_LIMIT;
    if (draft->number)
        offload(spill_and_sync, draft);
    if (draft->failed)
        return draft->failed;
    record->head = (struct record_head){
        .type = RECORD_MESSAGE,
        .id = id,
        .envelope_size = (uint32_t)envelope.len,
        .text_crc = record_text_crc(envelope, (str){}),
        .body_crc = draft->crc,
        .body_size = draft_size(draft),
        .file = draft->number,
    };
    record->envelope = envelope;
    record->body = draft->data;
    record->waited = true;
    e = draft_append(draft);
    if (!e)
        e = log_wait(draft->spool, record);
    if (e)
        return e;
    draft->number = 0; /* The file belongs to the message now. */
    fresh_put(draft->spool, record, &draft->data);
    return OK;
}

void
draft_drop(struct draft **dropped)
{
    struct draft *draft = take(*dropped);

    if (!draft)
        return;
    if (draft->file >= 0)
        draft->spool->disk->close(draft->spool->disk, draft->file);
    if (draft->number)
        unlink_later(draft->spool, draft->number);
    free(draft->data);
    free(draft);
}
