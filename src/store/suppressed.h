/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppressed.h: the rows of the suppression list in directory.db.
 *
 * SQL only, no rules: accounts/suppression.c decides what a row means, and keeps in memory what is
 * needed to ask quickly.  Functions that take a db_conn are called in closures of db_write() or
 * db_read().
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "store/db.h"

/* One entry; (address, scope, reason, list) is its name.  Views last for the call. */
struct suppressed_row {
    int64_t id;
    str address; /* Canonical; "@example.net" is a whole domain. */
    str scope;   /* Whose mail: "" everybody's, "@example.org", or an account or sender. */
    int64_t reason;
    str list;
    str note;
    str source;
    str message; /* An id, or empty. */
    instant created;
    instant expires; /* 0: never. */
    int64_t count;   /* Refusals that were seen. */
    bool in_force;   /* Otherwise it is only remembered. */
};

/* Which rows; empty and zero: any. */
struct suppressed_filter {
    int64_t after_id;
    str address; /* Whole. */
    str domain;  /* Of the address: "example.net". */
    str scope;
    bool has_scope;
    int64_t reason; /* -1: any. */
    str list;
    str source;
    instant created_before;
    instant created_after;
    bool remembered; /* Also those that are not in force. */
};

/* In the order of ids, at most MAX; FN returns false to stop. */
enum err suppressed_find(struct db_conn *conn, const struct suppressed_filter *filter, size_t max,
                         bool (*fn)(void *arg, const struct suppressed_row *row), void *arg);
/* Adds or replaces; CREATED of a row that is in force already stays. */
enum err suppressed_put(struct db_conn *conn, const struct suppressed_row *row);
/* The row of that name; *FOUND. Only id, count, in_force, created and expires are set. */
enum err suppressed_get(struct db_conn *conn, const struct suppressed_row *name, bool *found,
                        struct suppressed_row *row);
/* FN, if the row was there, is told which it was. */
enum err suppressed_remove(struct db_conn *conn, int64_t id,
                           bool (*fn)(void *arg, const struct suppressed_row *row), void *arg);
/* What was learnt, of one reason and source, for ADDRESS in SCOPE. */
enum err suppressed_remove_learnt(struct db_conn *conn, str address, str scope, int64_t reason,
                                  str source);
/* Which reasons are in force for ADDRESS in SCOPE at NOW: a bit for each. */
enum err suppressed_mask(struct db_conn *conn, str address, str scope, instant now, unsigned *mask);
/* Takes out of force what has ended at NOW, and what ended before FORGET_BEFORE out of the table:
 * at most MAX rows, told to FN. */
enum err suppressed_expire(struct db_conn *conn, instant now, instant forget_before, size_t max,
                           bool (*fn)(void *arg, const struct suppressed_row *row), void *arg);
