/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* disk.h: the file operations on which the spool stands, as a table, so that a test can put a
 * disk below it that fails (disk_sim.h).
 *
 * Paths are plain paths, files are small numbers.  All calls block; none is interrupted.
 * What is promised after a loss of power is what POSIX promises and nothing more: bytes of a
 * file after sync(), names in a directory after sync_dir() of it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#include <sys/uio.h>

enum {
    DISK_READ = 0,
    DISK_WRITE = 1,  /* And read. */
    DISK_CREATE = 2, /* With DISK_WRITE: the file must not exist. */
};

struct disk {
    void *state;
    enum err (*open)(const struct disk *disk, const char *path, unsigned flags, int *file);
    void (*close)(const struct disk *disk, int file);
    /* *GOT is less than SIZE at the end of the file only.  With NOW: ERR_BUSY rather than waiting
     * for the device (a wrong ERR_BUSY is allowed). */
    enum err (*read)(const struct disk *disk, int file, void *bytes, size_t size, uint64_t offset,
                     bool now, size_t *got);
    /* The first SIZE bytes, read and without a copy, until unmap(); SIZE is not 0, and nobody writes
     * to the file.  Not for long: a page that the system let go meanwhile and the device does not
     * give again ends the process at the touch. */
    enum err (*map)(const struct disk *disk, int file, size_t size, const char **bytes);
    void (*unmap)(const struct disk *disk, const char *bytes, size_t size);
    /* All of it, or an error and nobody knows how much.  PARTS is used up. */
    enum err (*write)(const struct disk *disk, int file, struct iovec *parts, size_t count,
                      uint64_t offset);
    /* fdatasync.  After a failure, what was written since the last success must be given up. */
    enum err (*sync)(const struct disk *disk, int file);
    /* For a file that somebody may have left unsynced: syncs it and forgets what is cached, so that
     * what is read afterwards is what is on the device. */
    enum err (*settle)(const struct disk *disk, int file);
    /* The file has SIZE bytes then, and writing them cannot fail for want of space. */
    enum err (*allocate)(const struct disk *disk, int file, uint64_t size);
    enum err (*size)(const struct disk *disk, int file, uint64_t *size);
    enum err (*unlink)(const struct disk *disk, const char *path);
    enum err (*rename)(const struct disk *disk, const char *from, const char *to);
    enum err (*mkdir)(const struct disk *disk, const char *path); /* ERR_EXISTS. */
    /* Names without "." and "..". */
    enum err (*list)(const struct disk *disk, const char *path, void (*each)(void *arg, str name),
                     void *arg);
    enum err (*sync_dir)(const struct disk *disk, const char *path);
    enum err (*free_bytes)(const struct disk *disk, const char *path, uint64_t *bytes);
    /* Held until closed; made when missing.  ERR_BUSY when somebody else has it. */
    enum err (*lock)(const struct disk *disk, const char *path, int *file);
};

/* The disk of this machine. */
const struct disk *disk_real(void);
