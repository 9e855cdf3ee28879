/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_log.h: what the files of the spool share; nobody else includes it.
 *
 * spool_record.c: bytes of headers and records     spool_table.c: the live messages in memory
 * spool_log.c: segments, groups, the flusher       spool_clean.c: making segments free
 * spool_fresh.c: what was committed a moment ago
 * spool_index.c: what is in a segment, in short
 * spool_open.c, spool_scan.c, spool_replay.c, spool_tell.c: restart
 * spool_draft.c, spool_body.c, spool.c: the calls
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/list.h"
#include "base/msgid.h"
#include "base/str.h"
#include "runtime/wait.h"
#include "store/disk.h"
#include "store/spool.h"

#include <pthread.h>

/* clang-format off */
enum {
    SEGMENT_HEADER_SIZE = 4096,          /* Two copies in the first two sectors, then nothing. */
    SEGMENT_BYTES_DEFAULT = 64 << 20,
    SEGMENT_BYTES_MIN = 16 << 10,
    SEGMENT_BYTES_MAX = 1 << 30,
    SEGMENT_BYTES_SMALLEST = 8 << 10,    /* Of those that are squeezed onto a full disk. */
    INLINE_MAX_DEFAULT = 256 << 10,
    OPENING_MEMORY_DEFAULT = 512 << 20,
    RECORD_HEAD_SIZE = 88,
    GROUP_RECORDS_MAX = 512,
    GROUP_BYTES_MAX = 16 << 20,
    PENDING_BYTES_MAX = 256 << 20,       /* Of records that wait for their group. */
    SEGMENTS_FREE_MAX = 4,               /* More free ones than that are given back to the system. */
    SEGMENTS_USED_MIN = 4,               /* Below that nothing is moved to make segments free. */
    CLEAN_STEP_RECORDS = 128,            /* Moved with one group. */
    CLEAN_STEP_BYTES = 4 << 20,
    SPOOL_PATH_SIZE = 512,
    SHARDS = 256,
    CHUNK_ENTRIES = 4096,
    FRESH_SLOTS = 4096,
    FRESH_BYTES_MAX = 16 << 20,          /* Of messages kept in memory after their commit. */
};
/* clang-format on */

/* Where a record stands: segment and offset in units of 8 bytes.  Slot 0: nowhere. */
struct place {
    uint32_t slot;
    uint32_t at;
};

static inline bool
place_eq(struct place a, struct place b)
{
    return a.slot == b.slot && a.at == b.at;
}

enum entry_state {
    ENTRY_LIVE = 1,
    ENTRY_LEAVING, /* Its tombstone is on the way to the disk. */
    ENTRY_GONE,    /* Forgotten; somebody still reads its body. */
};

/* Of a body in a file of its own. */
struct entry_file {
    uint64_t number;
    uint64_t size;
};

/* One message in memory, 56 bytes. */
struct entry {
    msgid id;
    struct place base;
    struct place note;
    union {
        struct entry_file *file; /* When has_file. */
        uint64_t inline_size;    /* The body is in the record. */
    };
    uint32_t base_bytes;
    uint32_t note_bytes;
    uint32_t note_version;
    uint16_t readers;
    uint8_t state; /* enum entry_state; 0: a free place. */
    bool damaged : 1;
    bool moving : 1;
    bool has_file : 1;
};
static_assert(sizeof(struct entry) == 56, "the memory budget of a message");

struct shard_slot {
    uint32_t tag;   /* Of the id's hash. */
    uint32_t entry; /* Its number, and one more; 0: an empty slot. */
};

struct shard {
    struct shard_slot *slots;
    uint32_t capacity;
    uint32_t count;
};

struct segment {
    struct segment *next; /* In order of epochs. */
    uint32_t slot;
    int file;
    uint64_t epoch; /* Of its life: never used twice. */
    uint64_t salt;
    uint64_t size;   /* Of the file. */
    uint64_t end;    /* Behind the last record that counts. */
    uint64_t zeroed; /* Up to here the file's blocks have been written before. */
    uint64_t live_bytes;
    uint32_t live; /* Records in it that are somebody's base or note. */
    uint32_t pins; /* Reads under way. */
    bool broken;   /* A write failed: never to be used again. */
};

struct segment_list {
    struct segment *first;
    struct segment *last;
    uint32_t count;
};

/* Facts of a segment's header on the disk. */
struct segment_header {
    uint64_t epoch;
    uint64_t salt;
    uint64_t slot;
    uint64_t tail_epoch; /* All segments of lower epochs hold nothing any more. */
    uint64_t prev_epoch; /* The segment before this one, where it ends, */
    uint64_t prev_slot;
    uint64_t prev_salt;
    uint64_t prev_end;
    uint64_t prev_clean; /* and whether all before that end was synced. */
};

enum record_type {
    RECORD_MESSAGE = 1,
    RECORD_NOTE = 2,
    RECORD_FORGET = 3,
    RECORD_MARK = 4, /* Means nothing: it is durable when all before it is. */
};
enum {
    RECORD_DAMAGED = 1
}; /* Flag: moved although its body could not be read; has none. */

/* Facts of a record's head on the disk. */
struct record_head {
    uint64_t epoch;
    uint32_t at;    /* Its own place, in units of 8 bytes. */
    uint32_t group; /* The first record of its group. */
    uint8_t type;
    uint8_t flags;
    uint32_t envelope_size;
    uint32_t note_size;
    uint32_t text_crc; /* Of envelope and note. */
    uint32_t body_crc; /* Of the whole body, wherever it is. */
    msgid id;
    uint32_t version; /* Of the note. */
    uint64_t body_size;
    uint64_t file;
};

/* A record on its way to the disk: head, body (when inline), envelope, note. */
struct record {
    struct record *next;
    struct record_head head;
    const char *body;
    str envelope;
    str note;
    struct place place;
    bool waited;            /* Somebody waits: the record is his. */
    bool moved;             /* By cleaning. */
    struct place from_base; /* Where moved ones stood. */
    struct place from_note;
    void *owned;      /* Freed with the record, */
    char *owned_text; /* and this. */
    struct latch latch;
    enum err result;
    char bytes[RECORD_HEAD_SIZE];
};

struct record_list {
    struct record *first;
    struct record **last;
    uint64_t bytes;
    uint32_t waited; /* How many of them somebody waits for. */
};

struct fresh;

struct fresh_table {
    pthread_mutex_t lock; /* Taken last. */
    struct fresh *slots[FRESH_SLOTS];
    size_t bytes;
    struct link by_age;
};

/* Of the active segment. */
struct spool_index {
    struct buf text; /* Not yet in the file. */
    int file;        /* -1: none. */
    uint32_t crc;    /* Of what is in the file, */
    uint64_t size;   /* and how much that is. */
    bool failed;
};

struct spool {
    const struct disk *disk;
    char dir[SPOOL_PATH_SIZE];
    uint64_t segment_bytes;
    size_t inline_max;
    size_t opening_memory;
    uint64_t free_bytes_min;
    int lock_file;
    bool inline_flush;

    pthread_mutex_t lock; /* Of all that follows, down to the next comment. */
    pthread_cond_t wake;  /* Of the flusher. */
    struct record_list pending;
    bool hurry; /* Pending records are not to wait for company. */
    bool stopping;
    bool full;
    struct shard shards[SHARDS];
    struct chunk **chunks; /* Of entries; NULL where one was given back. */
    uint32_t chunk_count;
    uint32_t chunk_room; /* Before this one all are full. */
    uint32_t chunks_empty;
    struct segment **by_slot;
    uint32_t slot_count;
    struct segment_list used; /* The last one is written to, unless it is closed. */
    struct segment_list free; /* In the order in which they became free. */
    uint64_t *unlinks;        /* Body files to be removed. */
    size_t unlink_count;
    size_t unlink_capacity;
    uint64_t free_bytes;
    instant free_bytes_asked;
    uint32_t file_counter;
    uint64_t file_epoch;
    struct spool_stats stats;

    /* Of the flusher alone (in inline mode: of whoever holds work_lock). */
    pthread_mutex_t work_lock;
    pthread_t flusher;
    struct segment *active;     /* NULL: the next group must open one. */
    uint64_t epoch;             /* The highest that was ever used. */
    struct segment_header prev; /* What the next header says of its predecessor. */
    uint64_t tail_durable;
    uint32_t
        slot_burnt; /* Numbers up to this one may be taken by files that could not be removed. */
    instant spare_tried;
    uint32_t clean_at; /* Number of the entry where cleaning goes on. */
    bool failing;      /* The last group failed, and was logged. */
    struct iovec *parts;
    struct spool_index index;

    struct fresh_table fresh;
};

/* spool_record.c */
void segment_header_encode(const struct segment_header *header, char sector[512]);
bool segment_header_decode(const char sector[512], struct segment_header *header);
void record_head_encode(const struct record_head *head, uint64_t salt,
                        char bytes[RECORD_HEAD_SIZE]);
/* False when these bytes are not a head of the segment with EPOCH and SALT at AT. */
bool record_head_decode(const char bytes[RECORD_HEAD_SIZE], uint64_t epoch, uint64_t salt,
                        uint32_t at, struct record_head *head);
/* The same of bytes whose checksum is known to be right. */
bool record_head_trust(const char bytes[RECORD_HEAD_SIZE], uint64_t epoch, uint32_t place,
                       struct record_head *head);
/* A glance, for those who search. */
bool record_head_is_like(const char bytes[RECORD_HEAD_SIZE]);
/* The place that a head claims to be at. */
uint32_t record_head_at(const char bytes[RECORD_HEAD_SIZE]);
uint64_t record_inline_size(const struct record_head *head);
/* With head and padding. */
uint64_t record_size(const struct record_head *head);
uint32_t record_text_crc(str envelope, str note);
struct record *record_new(size_t extra); /* With EXTRA owned bytes. */
void record_free(struct record *record);
void record_list_init(struct record_list *list);
void record_list_add(struct record_list *list, struct record *record);

/* spool_table.c: called with the lock held; pointers are valid until the entry is removed. */
struct entry *table_find(struct spool *spool, msgid id);
struct entry *table_insert(struct spool *spool, msgid id); /* State is set by the caller. */
void table_remove(struct spool *spool, struct entry *entry);
/* Walks: numbers below table_end(), NULL where there is none. */
/* The body of an entry: FILE 0 means that it is in the record. */
void entry_set_body(struct entry *entry, uint64_t file, uint64_t size);
uint64_t entry_file_number(const struct entry *entry);
uint64_t entry_body_size(const struct entry *entry);
uint32_t table_end(const struct spool *spool);
struct entry *table_at(struct spool *spool, uint32_t number);
void table_done(struct spool *spool);

/* spool_log.c */
void spool_path(const struct spool *spool, char path[SPOOL_PATH_SIZE], const char *format, ...)
    PRINTF_LIKE(3, 4);
void segment_list_add(struct segment_list *list, struct segment *segment);
struct segment *segment_list_pop(struct segment_list *list);
struct segment *segment_new(struct spool *spool, uint32_t slot, int file, uint64_t size);
void segment_discard(struct spool *spool, struct segment *segment);
/* Lock held.  Adjusts the live counts of the segment in which PLACE is. */
void segment_count(struct spool *spool, struct place place, uint32_t bytes, int change);
/* Lock held.  Takes the entry's records out of the counts, and it out of the table (now or when its
 * readers are done). */
void entry_remove(struct spool *spool, struct entry *entry);
/* The body file of this number is removed with the next group. */
void unlink_later(struct spool *spool, uint64_t file);
/* Lock held.  The segment that holds PLACE, pinned. */
struct segment *segment_pin(struct spool *spool, struct place place);
void segment_unpin(struct spool *spool, const struct segment *segment);
/* Not a small one of a full disk, not one that failed, not one of another configuration. */
bool segment_is_usable(const struct spool *spool, const struct segment *segment);
enum err segment_create(struct spool *spool, uint64_t size, struct segment **segment);
enum err log_rotate(struct spool *spool);
/* Lock held.  Queues RECORD for the next group and wakes the flusher. */
void log_append(struct spool *spool, struct record *record);
/* Lock held.  There is something to be done for the flusher, with or without a record. */
void log_hurry(struct spool *spool);
/* Waits until RECORD, which was appended with waited = true, is durable or failed. */
WAITS enum err log_wait(struct spool *spool, struct record *record);
/* One turn: a group or more for all that is pending, then housekeeping. */
void log_work(struct spool *spool);
enum err log_start(struct spool *spool);
void log_stop(struct spool *spool);

/* spool_clean.c */
/* Makes segments free, keeps one in reserve, moves records forward out of the oldest one. */
void clean_work(struct spool *spool);
/* Keeps a copy of damaged bytes for a human; failures are only logged. */
void quarantine_bytes(struct spool *spool, uint64_t epoch, uint64_t offset, str bytes);

/* spool_scan.c */
/* The headers that were found at opening. */
struct findings {
    struct segment_header *headers;
    size_t header_count;
    uint64_t tail_epoch;
};
/* Opens the segments: those that may hold something to USED, in order, the others to FREE. */
enum err scan_segments(struct spool *spool, struct findings *findings, struct why *why);

/* spool_fresh.c */
void fresh_init(struct spool *spool);
/* RECORD is durable; its envelope is copied, *BODY (malloc'ed) taken, if it is kept at all. */
void fresh_put(struct spool *spool, const struct record *record, char **body);
/* The message as it was written at PLACE, until it is given back; NULL when it is not kept. */
struct fresh *fresh_take(struct spool *spool, msgid id, struct place place);
void fresh_give_back(struct spool *spool, struct fresh *fresh);
str fresh_body(const struct fresh *fresh);
str fresh_envelope(const struct fresh *fresh);
void fresh_forget(struct spool *spool, msgid id);
void fresh_done(struct spool *spool);

/* spool_index.c */
void index_begin(struct spool *spool);
void index_add(struct spool *spool, const struct segment *segment, const char *head, str envelope,
               str note);
/* SEGMENT was closed in order. */
void index_write(struct spool *spool, const struct segment *segment);
/* An index, or a segment, as it is in its file; BYTES are what matters. */
struct index_map {
    const char *file; /* NULL: nothing. */
    const char *bytes;
    size_t size; /* Of the file. */
};
/* The index of SEGMENT, which ends at END; false when there is no good one. */
bool index_map(struct spool *spool, const struct segment *segment, uint64_t end,
               struct index_map *map);
void index_unmap(struct spool *spool, struct index_map *map);
/* Closes the file. */
void index_end(struct spool *spool);
void index_remove(struct spool *spool, uint32_t slot);

/* spool_replay.c */
/* Where the texts of a record are in the bytes of its segment's struct kept. */
struct kept_record {
    uint32_t at;
    uint32_t offset;
    uint32_t envelope_size;
    uint32_t note_size;
};
/* Envelopes and notes of a segment, kept while opening. */
struct kept {
    uint64_t since;       /* Of the keeping's clock; 0: nothing is kept. */
    struct index_map map; /* They are there, or */
    char *bytes;          /* here, copied. */
    size_t size;
    size_t bytes_capacity;
    struct kept_record *records; /* By AT. */
    size_t count;
    size_t capacity;
};
struct keeping {
    struct kept *slots;
    uint32_t slot_count;
    uint64_t clock;
    uint64_t max; /* Bytes in all; about. */
    bool let_go;  /* Not all could be kept. */
    uint64_t reads_left;
};
/* Reads the records of all segments into the table, and sets their ends; KEEPING may be NULL. */
enum err replay_segments(struct spool *spool, const struct findings *findings,
                         struct keeping *keeping, struct why *why);
/* Reads SEGMENT once more, for its texts. */
enum err keep_segment(struct spool *spool, const struct findings *findings,
                      const struct segment *segment, struct kept *kept);
void kept_done(struct spool *spool, struct kept *kept);

/* spool_tell.c */
void keeping_init(struct keeping *keeping, const struct spool *spool);
void keeping_done(struct keeping *keeping, struct spool *spool);
/* Empty, for the texts of SLOT; others than SPARED may have to go. */
struct kept *keeping_room(struct keeping *keeping, struct spool *spool, uint32_t slot,
                          uint32_t spared);
/* Who is to be told what is live. */
struct telling {
    void (*expect)(void *arg, uint64_t messages);
    void (*found)(void *arg, const struct spool_entry *entries, size_t count);
    void *arg;
    unsigned threads;
};
void tell_all(struct spool *spool, const struct findings *findings, struct keeping *keeping,
              const struct telling *telling);

/* spool_body.c: none of these parks.  With NOW they return ERR_BUSY rather than wait for the
 * device; a fiber then does the same by offload(). */
/* Exactly SIZE bytes, or ERR_IO, or ERR_CORRUPT at the end of the file. */
enum err spool_read(struct spool *spool, int file, void *bytes, size_t size, uint64_t offset,
                    bool now);
/* The record's head at PLACE in SEGMENT, which is pinned. */
enum err record_read_head(struct spool *spool, const struct segment *segment, struct place place,
                          bool now, struct record_head *head);
/* Envelope and note of a message, as they are on the disk. */
struct message_text {
    char *block; /* malloc'ed; holds both. */
    str envelope;
    str note;
    uint32_t version; /* Of the note. */
};
/* Of the message at BASE in SEGMENT, with the note at NOTE in NOTE_SEGMENT when that is not NULL.
 * Both segments are pinned. */
enum err message_read_text(struct spool *spool, const struct segment *segment, struct place base,
                           const struct segment *note_segment, struct place note, bool now,
                           struct message_text *text);

/* spool_draft.c */
/* ERR_FULL when new mail is to be refused. */
enum err spool_check_space(struct spool *spool);
void spool_ask_free_bytes(struct spool *spool);
