/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_file.h: standing rules as a file: a line with the version, then a line of JSON for each.
 *
 * The file is written beside its place and renamed, so that it is whole at any moment.  Members of
 * a line that are not known are passed over: a later version may add some without a new number.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "delivery/rules/standing.h"

struct disk;

enum {
    STANDING_FILE_VERSION = 2, /* 1 knew no TLS rules; it is read. */
    STANDING_FILE_MAX = 16 * 1024 * 1024
};

/* NEXT_ID: the id of the rule to come. */
void standing_encode(struct buf *buf, uint32_t next_id, struct standing_rule *const *rules,
                     size_t count);
/* The strings of RULES live in ARENA.  ERR_CORRUPT, ERR_UNSUPPORTED (a later version), ERR_LIMIT.
 */
enum err standing_decode(str bytes, struct arena *arena, uint32_t *next_id,
                         struct standing_rule **rules, size_t *count);

/* BYTES take the place of the file; they are durable then. */
enum err standing_file_write(const struct disk *disk, const char *path, str bytes);
/* Into BUF; nothing when there is no such file. */
enum err standing_file_read(const struct disk *disk, const char *path, struct buf *buf);
