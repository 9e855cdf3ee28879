/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* disk_sim.h: a disk in memory that does everything that a real one is allowed to do.
 *
 * It keeps what was written apart from what was synced.  disk_sim_power_cut() decides from its
 * seed, for each sector of 512 bytes and each change of a directory that was not synced, whether
 * it reached the disk: so writes are lost, torn and reordered.  Operations that change the disk
 * are counted; one of them can be made to fail, or to be the last.  One thread at a time.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "store/disk.h"

struct disk_sim;

struct disk_sim *disk_sim_new(uint64_t seed);
void disk_sim_free(struct disk_sim *sim);
const struct disk *disk_sim_disk(struct disk_sim *sim);

/* The changing operations so far. */
uint64_t disk_sim_operations(const struct disk_sim *sim);
/* From operation number AT on (the first is 1) nothing works any more, ERR_IO; 0: never. */
void disk_sim_crash_at(struct disk_sim *sim, uint64_t at);
bool disk_sim_has_crashed(const struct disk_sim *sim);
/* Operation number AT, and COUNT - 1 more, fail with E.  A sync that fails loses some of what it
 * should have synced for good, though it can still be read until the power is cut. */
void disk_sim_fail_at(struct disk_sim *sim, uint64_t at, uint64_t count, enum err e);
/* sync() and sync_dir() say OK and do nothing: what a test must be able to find out. */
void disk_sim_ignore_syncs(struct disk_sim *sim, bool ignore);
void disk_sim_set_capacity(struct disk_sim *sim, uint64_t bytes);

/* All files are closed, what was not synced is decided; then the disk works again. */
void disk_sim_power_cut(struct disk_sim *sim);

/* Only the process died: all files are closed, what was written can be read, and is still not
 * synced. */
void disk_sim_kill(struct disk_sim *sim);

/* For damage: flips the bits MASK of one byte, as if it always had been so. */
bool disk_sim_flip(struct disk_sim *sim, const char *path, uint64_t offset, uint8_t mask);
