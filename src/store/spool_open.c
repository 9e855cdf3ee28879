/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_open.c: opening and closing.
 *
 * Opening reads the segments (spool_scan.c, spool_replay.c), compares the messages with the body
 * files, tells the caller what there is (spool_tell.c), and begins a new segment: the one that was
 * written to at the crash is never continued.  Whatever is done here can be interrupted by a crash
 * and done again. Start at spool_open().
 */
#include "store/spool_log.h"

#include "base/must.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct numbers {
    uint64_t *numbers;
    size_t count;
    size_t capacity;
};

static void
numbers_add(struct numbers *list, uint64_t number)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->numbers = realloc(list->numbers, list->capacity * sizeof(*list->numbers));
        must(list->numbers);
    }
    list->numbers[list->count++] = number;
}

static int
by_value(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool
numbers_have(const struct numbers *sorted, uint64_t number)
{
    return sorted->count &&
           bsearch(&number, sorted->numbers, sorted->count, sizeof(number), by_value);
}

/* The files in bodies/: names of 16 hexadecimal digits. */
static void
add_body(void *arg, str name)
{
    uint64_t number = 0;

    for (size_t i = 0; i < name.len; i++) {
        int digit = ascii_hex(name.ptr[i]);
        if (digit < 0 || name.len != 16)
            return;
        number = number << 4 | (uint64_t)digit;
    }
    if (number)
        numbers_add(arg, number);
}

static enum err
make_dir(struct spool *spool, const char *name)
{
    char path[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "%s", name);
    e = spool->disk->mkdir(spool->disk, path);
    return e == ERR_EXISTS ? OK : e;
}

static enum err
sync_dir(struct spool *spool, const char *name)
{
    char path[SPOOL_PATH_SIZE];

    spool_path(spool, path, "%s", name);
    return spool->disk->sync_dir(spool->disk, path);
}

/* The directories are there, and known to the disk.  They, and segments in them, may be there from
 * a process that died before it synced them, so that is done in any case. */
static enum err
make_dirs(struct spool *spool, struct why *why)
{
    char parent[SPOOL_PATH_SIZE];
    char *slash;
    enum err e;

    spool_path(spool, parent, "%s", "");
    slash = strrchr(parent, '/');
    if (!slash)
        memcpy(parent, ".", 2);
    else if (slash == parent)
        parent[1] = '\0';
    else
        *slash = '\0';
    e = make_dir(spool, "");
    if (!e)
        e = make_dir(spool, "/segments");
    if (!e)
        e = make_dir(spool, "/bodies");
    if (!e)
        e = make_dir(spool, "/index");
    if (!e)
        e = make_dir(spool, "/quarantine");
    if (!e)
        e = spool->disk->sync_dir(spool->disk, parent);
    if (!e)
        e = sync_dir(spool, "");
    if (!e)
        e = sync_dir(spool, "/segments");
    if (!e)
        e = sync_dir(spool, "/bodies");
    return e ? err_why(why, e, "cannot make the directory %s: %s", spool->dir, err_name(e)) : OK;
}

static enum err
take_lock(struct spool *spool, struct why *why)
{
    char path[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "/lock");
    e = spool->disk->lock(spool->disk, path, &spool->lock_file);
    if (e == ERR_BUSY)
        return err_why(why, e, "another process uses %s", spool->dir);
    return e ? err_why(why, e, "cannot lock %s: %s", path, err_name(e)) : OK;
}

/* Calls EACH for all live entries. */
static void
each_entry(struct spool *spool, void (*each)(struct spool *spool, struct entry *entry, void *arg),
           void *arg)
{
    for (uint32_t number = 0; number < table_end(spool); number++) {
        struct entry *entry = table_at(spool, number);
        if (entry)
            each(spool, entry, arg);
    }
}

static void
count_entry(struct spool *spool, struct entry *entry, void *arg)
{
    segment_count(spool, entry->base, entry->base_bytes, 1);
    segment_count(spool, entry->note, entry->note_bytes, 1);
    spool->stats.messages++;
    if (entry->has_file)
        numbers_add(arg, entry_file_number(entry));
}

static bool
body_is_whole(struct spool *spool, const struct entry *entry)
{
    char path[SPOOL_PATH_SIZE];
    uint64_t size = 0;
    int file;

    spool_path(spool, path, "/bodies/%016" PRIx64, entry_file_number(entry));
    if (spool->disk->open(spool->disk, path, DISK_READ, &file))
        return false;
    if (spool->disk->size(spool->disk, file, &size))
        size = 0;
    spool->disk->close(spool->disk, file);
    return size >= entry_body_size(entry);
}

static void
check_body(struct spool *spool, struct entry *entry, void *)
{
    char text[MSGID_TEXT_SIZE + 1];

    if (!entry->has_file || body_is_whole(spool, entry))
        return;
    msgid_format(entry->id, text);
    log_error("spool: the body of message %s is missing (bodies/%016" PRIx64 ")", text,
              entry_file_number(entry));
    entry->damaged = true;
    spool->stats.bodies_missing++;
}

/* A body that no message names: of a draft, unless the message's record was damaged. */
static void
remove_orphan(struct spool *spool, uint64_t number)
{
    char path[SPOOL_PATH_SIZE];
    char kept[SPOOL_PATH_SIZE];
    enum err e;

    spool_path(spool, path, "/bodies/%016" PRIx64, number);
    spool_path(spool, kept, "/quarantine/body-%016" PRIx64, number);
    e = spool->stats.damaged ? spool->disk->rename(spool->disk, path, kept)
                             : spool->disk->unlink(spool->disk, path);
    if (e)
        log_warning("spool: cannot remove %s: %s", path, err_name(e));
    spool->stats.bodies_orphaned++;
}

/* Counts what is live, and compares the messages with the body files. */
static enum err
take_stock(struct spool *spool, struct why *why)
{
    struct numbers named = {};
    struct numbers files = {};
    char path[SPOOL_PATH_SIZE];
    enum err e;

    each_entry(spool, count_entry, &named);
    if (named.count)
        qsort(named.numbers, named.count, sizeof(*named.numbers), by_value);
    each_entry(spool, check_body, NULL);
    spool_path(spool, path, "/bodies");
    e = spool->disk->list(spool->disk, path, add_body, &files);
    for (size_t i = 0; !e && i < files.count; i++)
        if (!numbers_have(&named, files.numbers[i]))
            remove_orphan(spool, files.numbers[i]);
    free(named.numbers);
    free(files.numbers);
    return e ? err_why(why, e, "cannot read %s: %s", path, err_name(e)) : OK;
}

static const struct segment_header *
header_of(const struct findings *findings, const struct segment *segment)
{
    for (size_t i = 0; i < findings->header_count; i++)
        if (findings->headers[i].epoch == segment->epoch)
            return &findings->headers[i];
    return NULL;
}

/* Nothing is in SEGMENT, and what its header says of its predecessor a later one says, too. */
static bool
is_needless(const struct findings *findings, const struct segment *segment)
{
    const struct segment_header *own = header_of(findings, segment);

    if (!own || segment->end > SEGMENT_HEADER_SIZE || segment->live)
        return false;
    for (size_t i = 0; i < findings->header_count; i++) {
        const struct segment_header *other = &findings->headers[i];
        if (other->epoch > own->epoch && other->prev_epoch == own->prev_epoch &&
            other->prev_slot == own->prev_slot)
            return true;
    }
    return false;
}

/* Segments that processes began and wrote nothing to before they died; else each such death would
 * leave one that every opening reads. */
static void
drop_needless(struct spool *spool, const struct findings *findings)
{
    struct segment_list rest = {};
    struct segment *segment;

    while ((segment = segment_list_pop(&spool->used)))
        if (spool->used.first && is_needless(findings, segment))
            segment_discard(spool, segment);
        else
            segment_list_add(&rest, segment);
    spool->used = rest;
}

/* The segment that was written to last: its end becomes known to the next header.  If nothing is in
 * it, it is free, and what it said of its predecessor is said again. */
static void
close_last(struct spool *spool, const struct findings *findings)
{
    struct segment *last = spool->used.last;
    const struct segment_header *header;

    if (!last)
        return;
    if (last->end > SEGMENT_HEADER_SIZE) {
        spool->prev.prev_epoch = last->epoch;
        spool->prev.prev_slot = last->slot;
        spool->prev.prev_salt = last->salt;
        spool->prev.prev_end = last->end;
        spool->prev.prev_clean = 0;
        return;
    }
    header = header_of(findings, last);
    if (header)
        spool->prev = *header;
    /* To the free ones, as the newest of them. */
    struct segment_list rest = {};
    while (spool->used.first != last)
        segment_list_add(&rest, segment_list_pop(&spool->used));
    spool->used = rest;
    segment_list_add(&spool->free, last);
}

static enum err
read_log(struct spool *spool, const struct telling *telling, struct why *why)
{
    struct findings findings = {};
    struct keeping keeping = {};
    enum err e;

    e = scan_segments(spool, &findings, why);
    if (!e && telling->found)
        keeping_init(&keeping, spool);
    if (!e)
        e = replay_segments(spool, &findings, telling->found ? &keeping : NULL, why);
    if (!e)
        e = take_stock(spool, why);
    if (!e && telling->expect)
        telling->expect(telling->arg, spool->stats.messages);
    if (!e && telling->found)
        tell_all(spool, &findings, &keeping, telling);
    if (!e) {
        drop_needless(spool, &findings);
        close_last(spool, &findings);
    }
    keeping_done(&keeping, spool);
    free(findings.headers);
    return e;
}

/* A new segment; a full disk is no reason not to start, there is only nothing taken in. */
static enum err
begin_segment(struct spool *spool, struct why *why)
{
    enum err e;

    spool->file_epoch = spool->epoch + 1;
    e = log_rotate(spool);
    if (e == ERR_FULL) {
        spool->full = true;
        log_error("spool: the disk is full; nothing is taken in");
        return OK;
    }
    return e ? err_why(why, e, "cannot begin a segment in %s: %s", spool->dir, err_name(e)) : OK;
}

static void
list_free(struct spool *spool, struct segment_list *list)
{
    struct segment *segment;

    while ((segment = segment_list_pop(list))) {
        spool->disk->close(spool->disk, segment->file);
        spool->by_slot[segment->slot] = NULL;
        free(segment);
    }
}

static void
spool_free(struct spool *spool)
{
    list_free(spool, &spool->used);
    list_free(spool, &spool->free);
    /* Those that opening found and had not sorted yet. */
    for (uint32_t slot = 0; slot < spool->slot_count; slot++)
        if (spool->by_slot[slot]) {
            spool->disk->close(spool->disk, spool->by_slot[slot]->file);
            free(spool->by_slot[slot]);
        }
    if (spool->lock_file >= 0)
        spool->disk->close(spool->disk, spool->lock_file);
    table_done(spool);
    index_end(spool);
    buf_done(&spool->index.text);
    free(spool->by_slot);
    free(spool->unlinks);
    fresh_done(spool);
    pthread_mutex_destroy(&spool->lock);
    pthread_mutex_destroy(&spool->work_lock);
    free(spool);
}

static struct spool *
spool_new(const struct spool_options *options)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    size_t length = strlen(options->dir);

    must(spool);
    must(length < SPOOL_PATH_SIZE / 2);
    memcpy(spool->dir, options->dir, length);
    spool->disk = options->disk ? options->disk : disk_real();
    spool->inline_flush = options->inline_flush || options->disk;
    spool->segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES_DEFAULT;
    spool->segment_bytes =
        MIN(MAX(spool->segment_bytes, (uint64_t)SEGMENT_BYTES_MIN), (uint64_t)SEGMENT_BYTES_MAX) &
        ~(uint64_t)4095;
    spool->inline_max = options->inline_max ? options->inline_max : INLINE_MAX_DEFAULT;
    spool->inline_max = MIN(spool->inline_max, (size_t)spool->segment_bytes / 2);
    spool->opening_memory =
        options->opening_memory ? options->opening_memory : OPENING_MEMORY_DEFAULT;
    spool->free_bytes_min = options->free_bytes_min;
    spool->free_bytes = UINT64_MAX;
    spool->free_bytes_asked = INT64_MIN / 2;
    spool->lock_file = -1;
    spool->index.file = -1;
    spool->slot_count = 1; /* Slot 0 is nowhere. */
    spool->by_slot = calloc(1, sizeof(struct segment *));
    must(spool->by_slot);
    pthread_mutex_init(&spool->lock, NULL);
    pthread_mutex_init(&spool->work_lock, NULL);
    fresh_init(spool);
    record_list_init(&spool->pending);
    return spool;
}

enum err
spool_open(const struct spool_options *options,
           void (*found)(void *arg, const struct spool_entry *entries, size_t count), void *arg,
           struct spool **opened, struct why *why)
{
    struct telling telling = { options->expect, found, arg, options->found_threads };
    struct spool *spool;
    enum err e;

    if (strlen(options->dir) >= SPOOL_PATH_SIZE / 2)
        return err_why(why, ERR_LIMIT, "the path of the spool is too long");
    spool = spool_new(options);
    e = make_dirs(spool, why);
    if (!e)
        e = take_lock(spool, why);
    if (!e)
        e = read_log(spool, &telling, why);
    if (!e)
        e = begin_segment(spool, why);
    if (e) {
        spool_free(spool);
        return e;
    }
    clean_work(spool);
    if (spool->stats.torn || spool->stats.damaged || spool->stats.bodies_missing)
        log_warning("spool: %" PRIu64 " messages; %" PRIu64 " places torn by a crash, %" PRIu64
                    " damaged, %" PRIu64 " bodies missing",
                    spool->stats.messages, spool->stats.torn, spool->stats.damaged,
                    spool->stats.bodies_missing);
    e = log_start(spool);
    if (e)
        log_warning("spool: no thread of its own");
    *opened = spool;
    return OK;
}

void
spool_close(struct spool *spool)
{
    if (!spool)
        return;
    log_stop(spool);
    spool_free(spool);
}
