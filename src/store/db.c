/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* db.c: SQLite with group commit.
 *
 * There is no thread for each database.  The first caller of db_write() that finds nobody
 * writing leads: it takes what is queued, its own closure first, runs it as one transaction
 * on a thread of the offload pool, and hands the lead to the first of those who queued
 * meanwhile.  So a database costs a thread only while it is written, and a commit waits for
 * at most one other.
 *
 * Start reading at db_write().
 */
#include "store/db.h"

#include "base/list.h"
#include "base/must.h"
#include "runtime/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BUSY_MS = 10000, /* For another process, such as a backup. */
    CHECKPOINT_PAGES = 1000,
};

struct db_stmt {
    struct db_conn *conn;
    const char *sql;
    sqlite3_stmt *handle;
    bool running;
};

struct db_conn {
    sqlite3 *handle;
    struct db_stmt statements[DB_STATEMENTS_MAX];
    size_t statement_count;
    struct db_stmt broken; /* Given out when a statement cannot be prepared: has no rows. */
    enum err error;
    struct why why;
};

struct db_job {
    struct link link;
    db_fn fn;
    void *arg;
    struct why *why;
    enum err error;
    bool done;
    struct latch latch; /* Opens when done, or when this caller shall lead. */
};

struct db {
    char *path;
    unsigned checkpoint_pages;
    bool relaxed;
    bool small;
    bool small_pages;
    pthread_mutex_t lock; /* For all below but the writer, which belongs to the leader. */
    struct link queue;
    bool led;
    struct db_conn *idle[DB_IDLE_READERS];
    size_t idle_count;
    struct db_conn *writer;
};

static enum err
error_of_code(sqlite3 *handle, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return OK;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? ERR_EXISTS
                   : ERR_REFUSED;
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ERR_REFUSED;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return handle && sqlite3_system_errno(handle) == ENOSPC ? ERR_FULL : ERR_IO;
    default:
        return ERR_CORRUPT;
    }
}

/* Keeps the first error of a closure, with its text. */
static void
conn_note(struct db_conn *conn, int code)
{
    enum err e = error_of_code(conn->handle, code);

    if (e && !conn->error)
        conn->error = err_why(&conn->why, e, "%s", sqlite3_errmsg(conn->handle));
}

static void
conn_close(struct db_conn *conn)
{
    if (!conn)
        return;
    for (size_t i = 0; i < conn->statement_count; i++)
        sqlite3_finalize(conn->statements[i].handle);
    sqlite3_close(conn->handle);
    free(conn);
}

static enum err
conn_exec(struct db_conn *conn, const char *sql)
{
    conn_note(conn, sqlite3_exec(conn->handle, sql, NULL, NULL, NULL));
    return conn->error;
}

static enum err
conn_pragma_int(struct db_conn *conn, const char *name, unsigned value)
{
    char sql[96];

    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA %s=%u", name, value);
    return conn_exec(conn, sql);
}

static enum err
conn_set_up(struct db *db, struct db_conn *conn)
{
    enum err e;

    sqlite3_extended_result_codes(conn->handle, 1);
    sqlite3_busy_timeout(conn->handle, BUSY_MS);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* The page size stands in a new file only; for an old one this changes nothing. */
    e = conn_pragma_int(conn, "page_size", db->small_pages ? 4096 : 16384);
    if (e)
        return e;
    /* Debian's SQLite overwrites freed pages, so that deleting would need as much room as it gives:
     * FAST does so only where it costs nothing. */
    e = conn_exec(conn, "PRAGMA journal_mode=WAL;"
                        "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=FAST;"
                        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON");
    if (e)
        return e;
    e = conn_exec(conn, db->relaxed ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
    if (e)
        return e;
    e = conn_exec(conn, db->small ? "PRAGMA cache_size=-1024" : "PRAGMA cache_size=-16384");
    if (e)
        return e;
    return conn_pragma_int(conn, "wal_autocheckpoint", db->checkpoint_pages);
}

static enum err
conn_open(struct db *db, struct db_conn **result, struct why *why)
{
    struct db_conn *conn = calloc(1, sizeof(*conn));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    enum err e;

    must(conn);
    conn->broken.conn = conn;
    conn_note(conn, sqlite3_open_v2(db->path, &conn->handle, flags, NULL));
    must(conn->handle);
    e = conn->error ? conn->error : conn_set_up(db, conn);
    if (e) {
        e = err_why(why, e, "%s: %s", db->path, conn->why.text);
        conn_close(conn);
        return e;
    }
    *result = conn;
    return OK;
}

/* Statements. */

static struct db_stmt *
conn_statement(struct db_conn *conn, const char *sql)
{
    struct db_stmt *stmt;

    for (size_t i = 0; i < conn->statement_count; i++)
        if (conn->statements[i].sql == sql)
            return &conn->statements[i];
    must(conn->statement_count < DB_STATEMENTS_MAX);
    stmt = &conn->statements[conn->statement_count];
    *stmt = (struct db_stmt){ .conn = conn, .sql = sql };
    conn_note(conn, sqlite3_prepare_v3(conn->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                       &stmt->handle, NULL));
    if (!stmt->handle)
        return &conn->broken;
    conn->statement_count++;
    return stmt;
}

static void
stmt_bind(struct db_stmt *stmt, int place, const struct db_value *value)
{
    int code = SQLITE_OK;
    const char *bytes = value->bytes.ptr ? value->bytes.ptr : "";

    switch (value->type) {
    case DB_TYPE_NULL:
        return; /* As db_reset() has left it. */
    case DB_TYPE_INT:
        code = sqlite3_bind_int64(stmt->handle, place, value->number);
        break;
    case DB_TYPE_TEXT:
        code = sqlite3_bind_text64(stmt->handle, place, bytes, value->bytes.len, SQLITE_STATIC,
                                   SQLITE_UTF8);
        break;
    case DB_TYPE_BLOB:
        code = sqlite3_bind_blob64(stmt->handle, place, bytes, value->bytes.len, SQLITE_STATIC);
        break;
    }
    conn_note(stmt->conn, code);
}

struct db_stmt *
db_query_values(struct db_conn *conn, const char *sql, const struct db_value *values, size_t count)
{
    struct db_stmt *stmt = conn->error ? &conn->broken : conn_statement(conn, sql);

    if (!stmt->handle)
        return stmt;
    must(!stmt->running);
    must(sqlite3_bind_parameter_count(stmt->handle) == (int)count);
    for (size_t i = 0; i < count; i++)
        stmt_bind(stmt, (int)i + 1, &values[i]);
    stmt->running = true;
    return stmt;
}

void
db_reset(struct db_stmt *stmt)
{
    if (!stmt->handle)
        return;
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    stmt->running = false;
}

bool
db_step(struct db_stmt *stmt)
{
    int code;

    if (!stmt->handle || !stmt->running)
        return false;
    if (!stmt->conn->error) {
        code = sqlite3_step(stmt->handle);
        if (code == SQLITE_ROW)
            return true;
        conn_note(stmt->conn, code);
    }
    db_reset(stmt);
    return false;
}

int64_t
db_column_int(struct db_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

str
db_column_blob(struct db_stmt *stmt, int column)
{
    const char *bytes = sqlite3_column_blob(stmt->handle, column);
    int len = sqlite3_column_bytes(stmt->handle, column);

    return bytes && len > 0 ? (str){ bytes, (size_t)len } : S("");
}

str
db_column_text(struct db_stmt *stmt, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(stmt->handle, column);
    int len = sqlite3_column_bytes(stmt->handle, column);

    return bytes && len > 0 ? (str){ bytes, (size_t)len } : S("");
}

enum err
db_run_values(struct db_conn *conn, const char *sql, const struct db_value *values, size_t count)
{
    struct db_stmt *stmt = db_query_values(conn, sql, values, count);

    while (db_step(stmt))
        ;
    return conn->error;
}

int64_t
db_changes(struct db_conn *conn)
{
    return sqlite3_changes64(conn->handle);
}

int64_t
db_last_id(struct db_conn *conn)
{
    return sqlite3_last_insert_rowid(conn->handle);
}

enum err
db_error(struct db_conn *conn)
{
    return conn->error;
}

/* Transactions. */

static void
conn_forget(struct db_conn *conn)
{
    conn->error = OK;
    conn->why.text[0] = '\0';
}

/* Runs the closure; what it left running ends here. */
static enum err
conn_call(struct db_conn *conn, db_fn fn, void *arg)
{
    enum err e;

    conn_forget(conn);
    e = fn(arg, conn);
    for (size_t i = 0; i < conn->statement_count; i++)
        if (conn->statements[i].running)
            db_reset(&conn->statements[i]);
    return conn->error ? conn->error : e;
}

/* The database's own words for E, unless the closure filled WHY itself. */
static enum err
conn_why(struct db_conn *conn, enum err e, struct why *why)
{
    bool filled = why && why->text[0];

    return conn->why.text[0] && !filled ? err_why(why, e, "%s", conn->why.text) : e;
}

static void
job_end(struct db_job *job, struct db_conn *conn, enum err e)
{
    job->error = e ? conn_why(conn, e, job->why) : OK;
}

static bool
conn_in_transaction(struct db_conn *conn)
{
    return sqlite3_get_autocommit(conn->handle) == 0;
}

static void
conn_rollback(struct db_conn *conn)
{
    struct why why = conn->why;
    enum err error = conn->error;

    if (conn_in_transaction(conn) && conn_exec(conn, "ROLLBACK"))
        must(!conn_in_transaction(conn));
    conn->why = why;
    conn->error = error;
}

static enum err
conn_begin(struct db_conn *conn)
{
    conn_forget(conn);
    return db_run(conn, "BEGIN IMMEDIATE");
}

static void
write_alone(struct db_conn *conn, struct db_job *job)
{
    enum err e = conn_begin(conn);

    if (!e)
        e = conn_call(conn, job->fn, job->arg);
    if (!e)
        e = db_run(conn, "COMMIT");
    if (e)
        conn_rollback(conn);
    job_end(job, conn, e);
}

/* False when the whole transaction is lost. */
static bool
write_with_savepoint(struct db_conn *conn, struct db_job *job)
{
    enum err e;

    conn_forget(conn);
    if (db_run(conn, "SAVEPOINT job"))
        return false;
    e = conn_call(conn, job->fn, job->arg);
    job_end(job, conn, e);
    if (!conn_in_transaction(conn))
        return false;
    conn_forget(conn);
    if (e && db_run(conn, "ROLLBACK TO job"))
        return false;
    return db_run(conn, "RELEASE job") == OK;
}

static bool
write_together(struct db_conn *conn, struct db_job **jobs, size_t count)
{
    bool good = conn_begin(conn) == OK;

    for (size_t i = 0; good && i < count; i++)
        good = write_with_savepoint(conn, jobs[i]);
    conn_forget(conn);
    if (good)
        good = db_run(conn, "COMMIT") == OK;
    if (!good)
        conn_rollback(conn);
    return good;
}

static size_t
take_batch(struct db *db, struct db_job **jobs)
{
    size_t count = 0;

    pthread_mutex_lock(&db->lock);
    while (count < DB_BATCH_MAX && !list_is_empty(&db->queue))
        jobs[count++] = CONTAINER_OF(list_pop(&db->queue), struct db_job, link);
    pthread_mutex_unlock(&db->lock);
    return count;
}

static struct db_job *
next_leader(struct db *db)
{
    struct db_job *next = NULL;

    pthread_mutex_lock(&db->lock);
    if (list_is_empty(&db->queue))
        db->led = false;
    else
        next = CONTAINER_OF(db->queue.next, struct db_job, link);
    pthread_mutex_unlock(&db->lock);
    return next;
}

/* On a thread of the pool.  The first job is the leader's own: it needs no waking. */
static void
write_batch(void *arg)
{
    struct db *db = arg;
    struct db_job *jobs[DB_BATCH_MAX];
    size_t count = take_batch(db, jobs);
    struct db_job *next;

    if (count == 1 || !write_together(db->writer, jobs, count))
        for (size_t i = 0; i < count; i++)
            write_alone(db->writer, jobs[i]);
    next = next_leader(db);
    for (size_t i = 0; i < count; i++)
        jobs[i]->done = true;
    for (size_t i = 1; i < count; i++)
        latch_open(&jobs[i]->latch);
    if (next)
        latch_open(&next->latch);
}

WAITS enum err
db_write(struct db *db, db_fn fn, void *arg, struct why *why)
{
    struct db_job job = { .fn = fn, .arg = arg, .why = why };
    bool lead;

    if (why)
        why->text[0] = '\0';
    pthread_mutex_lock(&db->lock);
    list_append(&db->queue, &job.link);
    lead = !db->led;
    db->led = true;
    pthread_mutex_unlock(&db->lock);

    if (!lead)
        latch_wait_always(&job.latch);
    if (!job.done)
        offload(write_batch, db);
    must(job.done);
    return job.error;
}

/* Reading. */

struct read_job {
    struct db *db;
    db_fn fn;
    void *arg;
    struct why *why;
    enum err error;
};

static struct db_conn *
reader_take(struct db *db)
{
    struct db_conn *conn = NULL;

    pthread_mutex_lock(&db->lock);
    if (db->idle_count)
        conn = db->idle[--db->idle_count];
    pthread_mutex_unlock(&db->lock);
    return conn;
}

static void
reader_give(struct db *db, struct db_conn *conn)
{
    size_t keep = db->small ? 1 : DB_IDLE_READERS;

    pthread_mutex_lock(&db->lock);
    if (db->idle_count < keep) {
        db->idle[db->idle_count++] = conn;
        conn = NULL;
    }
    pthread_mutex_unlock(&db->lock);
    conn_close(conn);
}

static void
read_once(void *arg)
{
    struct read_job *job = arg;
    struct db_conn *conn = reader_take(job->db);
    enum err e = OK;

    if (!conn)
        e = conn_open(job->db, &conn, job->why);
    if (e) {
        job->error = e;
        return;
    }
    conn_forget(conn);
    e = db_run(conn, "BEGIN");
    if (!e)
        e = conn_call(conn, job->fn, job->arg);
    job->error = e ? conn_why(conn, e, job->why) : OK;
    conn_rollback(conn);
    reader_give(job->db, conn);
}

WAITS enum err
db_read(struct db *db, db_fn fn, void *arg, struct why *why)
{
    struct read_job job = { .db = db, .fn = fn, .arg = arg, .why = why };

    if (why)
        why->text[0] = '\0';
    offload(read_once, &job);
    return job.error;
}

/* Opening. */

static enum err
sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd;
    enum err e = OK;

    must(parent);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (fd < 0 || fsync(fd))
        e = err_from_errno(errno);
    if (fd >= 0)
        close(fd);
    return e;
}

/* SQLite would make the file with the umask's mode. */
static enum err
make_file(const char *path, struct why *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err e;

    if (fd < 0)
        return errno == EEXIST
                   ? OK
                   : err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    close(fd);
    e = sync_parent(path);
    return e ? err_why(why, e, "%s: the directory cannot be synced", path) : OK;
}

static int64_t
schema_version(struct db_conn *conn)
{
    struct db_stmt *stmt = db_query(conn, "PRAGMA user_version");
    int64_t version = db_step(stmt) ? db_column_int(stmt, 0) : -1;

    db_reset(stmt);
    return version;
}

static enum err
migrate_one(struct db_conn *conn, const char *sql, unsigned version)
{
    enum err e = conn_exec(conn, sql);

    return e ? e : conn_pragma_int(conn, "user_version", version);
}

static enum err
migrate(struct db *db, const struct db_options *options, struct why *why)
{
    struct db_conn *conn = db->writer;
    enum err e = conn_begin(conn);
    int64_t version = e ? -1 : schema_version(conn);

    if (!e && version > (int64_t)options->migration_count) {
        conn_rollback(conn);
        return err_why(why, ERR_UNSUPPORTED,
                       "%s: written by a newer version (schema %lld, known up to %zu)", db->path,
                       (long long)version, options->migration_count);
    }
    for (size_t i = (size_t)version; !e && version >= 0 && i < options->migration_count; i++)
        e = migrate_one(conn, options->migrations[i], (unsigned)i + 1);
    if (!e)
        e = conn->error ? conn->error : db_run(conn, "COMMIT");
    if (e) {
        e = err_why(why, e, "%s: %s", db->path, conn->why.text);
        conn_rollback(conn);
    }
    return e;
}

enum err
db_open(const struct db_options *options, struct db **result, struct why *why)
{
    struct db *db;
    enum err e = make_file(options->path, why);

    if (e)
        return e;
    db = calloc(1, sizeof(*db));
    must(db);
    db->path = strdup(options->path);
    must(db->path);
    db->checkpoint_pages = options->checkpoint_pages ? options->checkpoint_pages : CHECKPOINT_PAGES;
    db->relaxed = options->relaxed;
    db->small = options->small;
    db->small_pages = options->small_pages;
    pthread_mutex_init(&db->lock, NULL);
    list_init(&db->queue);
    e = conn_open(db, &db->writer, why);
    if (!e)
        e = migrate(db, options, why);
    if (e) {
        db_close(db);
        return e;
    }
    *result = db;
    return OK;
}

void
db_close(struct db *db)
{
    if (!db)
        return;
    must(!db->led);
    while (db->idle_count)
        conn_close(db->idle[--db->idle_count]);
    conn_close(db->writer);
    pthread_mutex_destroy(&db->lock);
    free(db->path);
    free(db);
}
