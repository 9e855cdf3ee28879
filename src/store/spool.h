/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool.h: messages that we have promised to deliver.
 *
 * A message is in the spool from the moment draft_commit() returned OK until it is forgotten:
 * it is on the disk, fdatasync has returned, and it survives a crash, a power cut and a full
 * disk.  Before that it is a draft, of which nothing survives.  Beside its body a message has
 * an envelope (fixed, opaque bytes) and a note (opaque bytes that are replaced as its delivery
 * goes on: which recipients are done, when to try again).  The spool understands neither.
 *
 * The disk is written in groups: whatever arrives while one group is being written and synced
 * is the next group, so that a commit waits for at most one other.  spool_log.c tells how the
 * log is laid out, what is trusted after a crash, and when space is used again.
 *
 * Threads: any.  Fibers: calls marked WAITS may park; none of them is cut short by cancellation,
 * so that the answer is always known.  One draft or body is used by one fiber at a time.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/msgid.h"
#include "base/str.h"

struct arena;
struct disk;
struct spool;
struct draft;
struct body;

/* clang-format off */
enum {
    SPOOL_NOTE_MAX = 1024 * 1024,
    SPOOL_ENVELOPE_MAX = 4 * 1024 * 1024,
    SPOOL_DELAY_MS_MAX = 50,     /* After which a ..._later() is on its way to the disk. */
};
/* clang-format on */

struct spool_options {
    const char *dir;      /* Made when it is missing; its parent must exist. */
    size_t segment_bytes; /* 0: 64 MiB.  A commit larger than one segment is ERR_LIMIT. */
    size_t inline_max;    /* 0: 256 KiB.  Larger bodies go to a file of their own. */
    void (*expect)(void *arg, uint64_t messages); /* NULL, or called before FOUND. */
    unsigned found_threads;  /* 0: one.  Threads that may be in FOUND at once. */
    size_t opening_memory;   /* 0: 512 MiB.  For envelopes and notes while opening: with less than
                              * they need it takes longer. */
    uint64_t free_bytes_min; /* Below it new drafts are refused with ERR_FULL. */
    bool inline_flush;       /* No thread of its own: the caller of a WAITS function does the work.
                              * For the simulated world and for tools; always so with a DISK. */
    const struct disk *disk; /* NULL: the real one. */
};

/* One live message as found at opening.  The views last as long as the call that gets them. */
struct spool_entry {
    msgid id;
    str envelope;
    str note; /* The latest one, or empty. */
    uint64_t body_size;
    bool damaged; /* Envelope, note or body cannot be read back (what can be, is given):
                   * for a human, or for a notice to the sender.  Forget it to be rid of it. */
};

/* Opens, repairs what a crash left, and calls FOUND for the live messages, some at a time, about in
 * the order in which they came; from several threads at once if found_threads says so.
 * ERR_BUSY: another process has it open; ERR_CORRUPT, ERR_IO, ERR_FULL: WHY tells more.
 * Damage of single messages is no error: see spool_stats and spool_entry.damaged. */
WAITS enum err spool_open(const struct spool_options *options,
                          void (*found)(void *arg, const struct spool_entry *entries, size_t count),
                          void *arg, struct spool **spool, struct why *why);
/* Writes what is pending and frees.  No call may be under way, and all drafts and bodies closed. */
WAITS void spool_close(struct spool *spool);

/* A draft collects a body.  ERR_FULL: too little space on the disk. */
WAITS enum err draft_begin(struct spool *spool, struct draft **draft);
/* Appends to the body.  Memory stays below inline_max, whatever the size.  The error is sticky. */
WAITS enum err draft_write(struct draft *draft, str bytes);
uint64_t draft_size(const struct draft *draft);
/* On OK the message is durable, and not before.  Any error: it is not in the spool, and will not
 * be after a restart (but see spool_log.c on a disk that takes nothing at all any more).  The
 * draft is consumed in either case.  ID must be new: ERR_EXISTS. */
WAITS enum err draft_commit(struct draft **draft, msgid id, str envelope);
/* Forgets a draft that was not committed; *draft = NULL.  For OWN(draft). */
void draft_drop(struct draft **draft);

/* Replaces the note of a live message; ERR_NOT_FOUND when it is not (or no longer) in the spool,
 * ERR_LIMIT above SPOOL_NOTE_MAX.  spool_note() returns when the note is durable; with
 * spool_note_later() it becomes so with the next group.  After a crash the latest durable one
 * counts; a later one that was on its way may be there as well. */
WAITS enum err spool_note(struct spool *spool, msgid id, str note);
enum err spool_note_later(struct spool *spool, msgid id, str note);

/* The message is done with.  From the call on it is not found any more.  Its body is gone when the
 * last reader has closed.  After a crash before the group is durable it is there again. */
WAITS enum err spool_forget(struct spool *spool, msgid id);
enum err spool_forget_later(struct spool *spool, msgid id);

/* Waits until all that was asked for before this call is durable. */
WAITS enum err spool_sync(struct spool *spool);

/* Copies of envelope and note of a live message, in ARENA.  ERR_NOT_FOUND, ERR_CORRUPT (the disk
 * does not give back what was written), ERR_LIMIT (arena).  Any of the outputs may be NULL. */
WAITS enum err spool_get(struct spool *spool, msgid id, struct arena *arena, str *envelope,
                         str *note, uint64_t *body_size);
bool spool_has(struct spool *spool, msgid id);

/* Reads bodies.  ERR_NOT_FOUND, ERR_CORRUPT.  An open body stays readable when it is forgotten. */
WAITS enum err body_open(struct spool *spool, msgid id, struct body **body);
/* PREFIX, which lives as long as the body, stands before the stored bytes from now on: it counts in
 * offsets, sizes and views.  Before the first read, and once. */
void body_put_before(struct body *body, str prefix);
uint64_t body_size(const struct body *body); /* Prefix and all. */
/* All of it, where it is still in memory; else empty. */
str body_view(const struct body *body);
/* Up to SIZE bytes from OFFSET; *GOT is less only at the end of the body.  A body that is read from
 * 0 to its end in order is checked against its checksum: ERR_CORRUPT comes with the last piece. */
WAITS enum err body_read(struct body *body, uint64_t offset, void *bytes, size_t size, size_t *got);
void body_close(struct body *body); /* NULL is fine. */
void body_drop(struct body **body); /* For OWN(body). */

struct spool_stats {
    uint64_t messages;      /* Live now. */
    uint64_t live_bytes;    /* Of their records in the log, without bodies in files of their own. */
    uint64_t segments;      /* In use, that is not free. */
    uint64_t segments_free; /* Ready to be used (again). */
    uint64_t groups;        /* Written and synced since opening. */
    uint64_t records;       /* In those groups. */
    uint64_t bytes_written;
    uint64_t bytes_moved;   /* Of these, records that were moved forward to free a segment. */
    uint64_t groups_failed; /* Write or sync failed: none of their records counts. */
    /* What opening found: */
    uint64_t torn;           /* Places where the last group before a crash was incomplete. */
    uint64_t damaged;        /* Places whose bytes are not what had been synced; see quarantine/. */
    uint64_t bodies_missing; /* Messages whose body file is gone or too short. */
    uint64_t bodies_orphaned; /* Body files of drafts that were never committed; removed. */
    bool full;                /* Drafts are refused: no space for another segment. */
};
void spool_stats(struct spool *spool, struct spool_stats *stats);
