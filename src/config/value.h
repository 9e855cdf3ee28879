/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* value.h: the types of options: from words to fields, and back. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"
#include "config/options.h"

struct config_problem;

enum {
    VALUE_ITEMS_MAX = 4096
};

/* Sets OPTION in the struct of its section from COUNT words.  False, with text and cure in PROBLEM
 * and the number of the bad word in BAD, when they are no such value.  Relative paths are taken
 * from BASE_DIR; lists grow. */
bool value_set(const struct option *option, struct arena *arena, str base_dir, const str *words,
               size_t count, void *section, struct config_problem *problem, size_t *bad);

/* Writes the value as it would stand in a file, quoted where needed; nothing for an empty one. */
void value_format(const struct option *option, const void *section, struct buf *out);
bool value_is_empty(const struct option *option, const void *section);
bool value_eq(const struct option *option, const void *a, const void *b);

/* "30m", "64K": for files, flags and the directory. */
bool duration_parse(str text, duration *time);
bool bytes_parse(str text, uint64_t *bytes);
void duration_format(duration time, struct buf *out);
void bytes_format(uint64_t bytes, struct buf *out);
