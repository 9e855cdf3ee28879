/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* db.h: a thin layer over SQLite: one writer at a time, many readers, typed parameters.
 *
 * db_write() collects closures: while one batch is being committed the next gathers, and
 * each batch costs one fsync.  Closures of a batch stand behind savepoints, so that one
 * that fails takes back only itself.  A closure may be run twice (when its batch fails,
 * each is tried alone), so it sets its outputs afresh each time; it must not wait and runs
 * on a thread of the offload pool, while its caller is parked.
 *
 * Inside a closure errors are sticky, as in a cursor: bind, step, read, and return
 * db_error() at the end.  SQL is always static text; every value is a parameter.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct db;
struct db_conn;
struct db_stmt;

enum {
    DB_STATEMENTS_MAX = 64, /* Prepared and kept for each connection. */
    DB_BATCH_MAX = 128,     /* Closures in one transaction. */
    DB_IDLE_READERS = 4,
};

struct db_options {
    const char *path;              /* Made with mode 0600 when it is not there. */
    const char *const *migrations; /* SQL; after entry N ran, user_version is N + 1. */
    size_t migration_count;
    unsigned checkpoint_pages; /* 0: 1000 */
    bool small_pages;          /* 4 KiB instead of 16: for rows that spread over large indexes. */
    bool relaxed;              /* synchronous=NORMAL: a power cut may lose the last commits. */
    bool small;                /* One of many: little cache, few readers. */
};

/* Opens, migrates forward.  ERR_UNSUPPORTED: the file was written by a newer version.
 * Blocks the thread: call it at start, or in offload(). */
enum err db_open(const struct db_options *options, struct db **db, struct why *why);
/* Nobody may be in a call.  NULL is fine. */
void db_close(struct db *db);

typedef enum err (*db_fn)(void *arg, struct db_conn *conn);

/* Runs FN in a transaction; OK means that it is durable.  The error of FN, or of the commit
 * (ERR_FULL, ERR_IO, ERR_BUSY: another process holds it); nothing has changed then. */
WAITS enum err db_write(struct db *db, db_fn fn, void *arg, struct why *why);
/* Runs FN in a read transaction: one consistent view. */
WAITS enum err db_read(struct db *db, db_fn fn, void *arg, struct why *why);

/* Parameters. */
struct db_value {
    enum {
        DB_TYPE_NULL,
        DB_TYPE_INT,
        DB_TYPE_TEXT,
        DB_TYPE_BLOB
    } type;
    int64_t number;
    str bytes;
};

static inline struct db_value
db_int(int64_t number)
{
    return (struct db_value){ .type = DB_TYPE_INT, .number = number };
}

static inline struct db_value
db_text(str text)
{
    return (struct db_value){ .type = DB_TYPE_TEXT, .bytes = text };
}

/* NULL for the empty text. */
static inline struct db_value
db_text_or_null(str text)
{
    return (struct db_value){ .type = text.len ? DB_TYPE_TEXT : DB_TYPE_NULL, .bytes = text };
}

static inline struct db_value
db_blob(str bytes)
{
    return (struct db_value){ .type = DB_TYPE_BLOB, .bytes = bytes };
}

static inline struct db_value
db_null(void)
{
    return (struct db_value){ .type = DB_TYPE_NULL };
}

/* Binds the values to ?1, ?2, ... of SQL (static text).  The values' bytes must stay until the last
 * step. */
struct db_stmt *db_query_values(struct db_conn *conn, const char *sql,
                                const struct db_value *values, size_t count);
#define db_query(conn, sql, ...)                                                                   \
    db_query_values((conn), (sql), (const struct db_value[]){ db_null(), ##__VA_ARGS__ } + 1,      \
                    COUNT_OF(((const struct db_value[]){ db_null(), ##__VA_ARGS__ })) - 1)
/* The next row; false at the end and after an error, and then the statement is reset. */
bool db_step(struct db_stmt *stmt);
void db_reset(struct db_stmt *stmt); /* For leaving a loop early. */
/* Columns from 0.  Views last until the next step or reset. */
int64_t db_column_int(struct db_stmt *stmt, int column);
str db_column_text(struct db_stmt *stmt, int column);
str db_column_blob(struct db_stmt *stmt, int column);

/* Runs SQL that gives no rows, or whose rows do not matter. */
enum err db_run_values(struct db_conn *conn, const char *sql, const struct db_value *values,
                       size_t count);
#define db_run(conn, sql, ...)                                                                     \
    db_run_values((conn), (sql), (const struct db_value[]){ db_null(), ##__VA_ARGS__ } + 1,        \
                  COUNT_OF(((const struct db_value[]){ db_null(), ##__VA_ARGS__ })) - 1)
int64_t db_changes(struct db_conn *conn); /* Rows that the last db_run() changed. */
int64_t db_last_id(struct db_conn *conn);
/* The first error of this closure.  ERR_EXISTS stands for a violated UNIQUE or PRIMARY KEY. */
enum err db_error(struct db_conn *conn);
