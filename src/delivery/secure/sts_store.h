/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_store.h: the file behind sts_cache.h: one row for each policy. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct db;

struct sts_row {
    str domain;
    str id;
    str text; /* As sts_policy_format() writes it. */
    instant fetched;
    instant expires;
};

/* Blocks the thread. */
enum err sts_store_open(const char *path, struct db **db, struct why *why);
/* Calls FN with each row that has not expired at NOW, the latest first, MAX of them; the others go.
 */
WAITS enum err sts_store_read(struct db *db, instant now, size_t max,
                              void (*fn)(void *arg, const struct sts_row *row), void *arg,
                              struct why *why);
/* In the place of what was there; no more than MAX rows stay. */
WAITS enum err sts_store_put(struct db *db, const struct sts_row *row, size_t max, struct why *why);
WAITS enum err sts_store_remove(struct db *db, str domain, struct why *why);
