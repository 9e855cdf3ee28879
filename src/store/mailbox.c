/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mailbox.c: messages in rows, bodies in chunks of 64 KiB.
 *
 * A message that fits into one chunk goes in by one transaction.  A larger one is staged:
 * a row that is not complete yet, its chunks by several transactions, and one last that
 * makes it complete.  What a crash leaves half-way is removed when the file is opened next.
 * Chunk N of message UID has the row id UID * 2^20 + N, so a body is one run of the table.
 *
 * The table `delivered` remembers (message, recipient), also after the message was deleted:
 * a delivery that is repeated after a crash is found there.
 *
 * Start reading at mailbox_append().
 */
#include "store/mailbox.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/db.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    STAGE_SIZE = 4 * MAILBOX_CHUNK, /* Bytes of a large message in one transaction. */
    CHUNK_BITS = 20,
    CHECKPOINT_PAGES = 256,
    DELIVERED_DAYS = 10, /* Longer than any message stays in the queue. */
    EXPIRE_EVERY = 256,  /* Appends. */
    PATH_SIZE = 1024,
};
/* Appending stops before the disk is full, so that deleting can go on. */
#define DISK_KEPT_BACK ((uint64_t)16 << 20)

/* clang-format off */
static const char *const migrations[] = {
    "CREATE TABLE folder (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "INSERT INTO folder VALUES (1, 'INBOX');"
    "CREATE TABLE message ("
    "  uid INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  folder INTEGER NOT NULL REFERENCES folder (id),"
    "  complete INTEGER NOT NULL, size INTEGER NOT NULL, received INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL DEFAULT 0, message BLOB NOT NULL);"
    "CREATE INDEX message_folder ON message (folder, uid);"
    "CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE delivered ("
    "  message BLOB NOT NULL, recipient TEXT NOT NULL, at INTEGER NOT NULL,"
    "  PRIMARY KEY (message, recipient)) WITHOUT ROWID;"
    "CREATE TABLE usage (id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  messages INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "INSERT INTO usage VALUES (1, 0, 0);",
};
/* clang-format on */

/* One open file, shared by all who use the account's mailbox. */
struct handle {
    struct link idle; /* In the store's list while nobody uses it. */
    int64_t account;
    struct db *db;
    unsigned users;
    bool ready;    /* Otherwise somebody is opening or removing it. */
    bool locked;
    struct link waiting; /* Of struct ready_wait. */
};

struct ready_wait {
    struct link link;
    struct latch latch;
};

struct mailstore {
    char *dir;
    unsigned open_max;
    pthread_mutex_t lock; /* For all below and for the handles. */
    struct map handles;   /* By account. */
    struct link idle;     /* The longest unused first. */
};

struct mailbox {
    struct mailstore *store;
    struct handle *handle;
    bool holds_lock;
};

/* Files. */

static void
path_of(const struct mailstore *store, int64_t account, const char *suffix, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%lld.db%s", store->dir, (long long)account, suffix);
}

static enum err
sweep(void *arg, struct db_conn *conn)
{
    enum err e = db_run(conn, "DELETE FROM chunk WHERE (id >> 20) IN"
                              " (SELECT uid FROM message WHERE NOT complete)");

    (void)arg;
    return e ? e : db_run(conn, "DELETE FROM message WHERE NOT complete");
}

static enum err
needs_sweep(void *arg, struct db_conn *conn)
{
    struct db_stmt *stmt = db_query(conn, "SELECT 1 FROM message WHERE NOT complete LIMIT 1");

    *(bool *)arg = db_step(stmt);
    db_reset(stmt);
    return db_error(conn);
}

struct open_job {
    struct mailstore *store;
    struct handle *handle;
    struct why *why;
    enum err error;
};

static void
open_file(void *arg)
{
    struct open_job *job = arg;
    char path[PATH_SIZE];
    const struct db_options options = {
        .path = path,
        .migrations = migrations,
        .migration_count = COUNT_OF(migrations),
        .checkpoint_pages = CHECKPOINT_PAGES,
        .small = true,
    };

    path_of(job->store, job->handle->account, "", path);
    job->error = db_open(&options, &job->handle->db, job->why);
}

/* What a crash left half-way goes now: nobody can be appending. */
WAITS static enum err
open_and_sweep(struct mailstore *store, struct handle *handle, struct why *why)
{
    struct open_job job = { .store = store, .handle = handle, .why = why };
    bool needed = false;
    enum err e;

    offload(open_file, &job);
    if (job.error)
        return job.error;
    e = db_read(handle->db, needs_sweep, &needed, why);
    if (!e && needed)
        e = db_write(handle->db, sweep, NULL, why);
    return e;
}

static void
close_file(void *arg)
{
    db_close(arg);
}

/* Handles. */

static str
key_of(const int64_t *account)
{
    return (str){ (const char *)account, sizeof(*account) };
}

/* Under the lock: takes HANDLE out; its memory lives on. */
static void
forget(struct mailstore *store, struct handle *handle)
{
    map_remove(&store->handles, key_of(&handle->account));
    list_remove(&handle->idle);
}

static void
wake_all(struct link *waiting)
{
    struct link *link;

    while ((link = list_pop(waiting)))
        latch_open(&CONTAINER_OF(link, struct ready_wait, link)->latch);
}

/* HANDLE is ready now, or is no more. */
static void
set_ready(struct mailstore *store, struct handle *handle, bool good)
{
    struct link waiting;

    list_init(&waiting);
    pthread_mutex_lock(&store->lock);
    while (!list_is_empty(&handle->waiting))
        list_append(&waiting, list_pop(&handle->waiting));
    handle->ready = good;
    if (!good)
        forget(store, handle);
    pthread_mutex_unlock(&store->lock);
    wake_all(&waiting);
    if (!good) {
        must(!handle->db);
        free(handle);
    }
}

static struct handle *
handle_new(struct mailstore *store, int64_t account)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    must(handle);
    handle->account = account;
    handle->users = 1;
    list_init(&handle->waiting);
    must(map_put(&store->handles, key_of(&handle->account), handle) == OK);
    return handle;
}

enum found { FOUND_READY, FOUND_BUSY, FOUND_NONE, FOUND_NO_ROOM };

/* Under the lock.  EVICTED receives an idle file that must be closed to make room. */
static enum found
handle_take(struct mailstore *store, int64_t account, struct handle **handle,
            struct handle **evicted)
{
    *handle = map_get(&store->handles, key_of(&account));
    if (*handle && !(*handle)->ready)
        return FOUND_BUSY;
    if (*handle) {
        list_remove(&(*handle)->idle);
        (*handle)->users++;
        return FOUND_READY;
    }
    if (map_count(&store->handles) >= store->open_max) {
        if (list_is_empty(&store->idle))
            return FOUND_NO_ROOM;
        *evicted = CONTAINER_OF(store->idle.next, struct handle, idle);
        forget(store, *evicted);
    }
    *handle = handle_new(store, account);
    return FOUND_NONE;
}

/* Gets the handle of ACCOUNT; FOUND_NONE: the caller makes it ready. */
WAITS static enum found
handle_find(struct mailstore *store, int64_t account, struct handle **handle)
{
    enum found found;

    do {
        struct handle *evicted = NULL;
        struct ready_wait wait = { 0 };
        pthread_mutex_lock(&store->lock);
        found = handle_take(store, account, handle, &evicted);
        if (found == FOUND_BUSY)
            list_append(&(*handle)->waiting, &wait.link);
        pthread_mutex_unlock(&store->lock);
        if (found == FOUND_BUSY)
            latch_wait_always(&wait.latch);
        if (evicted) {
            offload(close_file, evicted->db);
            free(evicted);
        }
    } while (found == FOUND_BUSY);
    return found;
}

WAITS enum err
mailbox_open(struct mailstore *store, int64_t account, struct mailbox **result, struct why *why)
{
    struct mailbox *mailbox;
    struct handle *handle;
    enum found found = handle_find(store, account, &handle);
    enum err e;

    if (found == FOUND_NO_ROOM)
        return err_why(why, ERR_LIMIT, "%u mailboxes are open, the most that are allowed",
                       store->open_max);
    if (found == FOUND_NONE) {
        e = open_and_sweep(store, handle, why);
        if (e && handle->db)
            offload(close_file, take(handle->db));
        set_ready(store, handle, e == OK);
        if (e)
            return e;
    }
    mailbox = calloc(1, sizeof(*mailbox));
    must(mailbox);
    *mailbox = (struct mailbox){ .store = store, .handle = handle };
    *result = mailbox;
    return OK;
}

WAITS void
mailbox_close(struct mailbox *mailbox)
{
    struct handle *handle;

    if (!mailbox)
        return;
    mailbox_unlock(mailbox);
    handle = mailbox->handle;
    pthread_mutex_lock(&mailbox->store->lock);
    if (--handle->users == 0)
        list_append(&mailbox->store->idle, &handle->idle);
    pthread_mutex_unlock(&mailbox->store->lock);
    free(mailbox);
}

void
mailbox_drop(struct mailbox **mailbox)
{
    mailbox_close(take(*mailbox));
}

enum err
mailbox_lock(struct mailbox *mailbox)
{
    enum err e = OK;

    pthread_mutex_lock(&mailbox->store->lock);
    if (mailbox->handle->locked)
        e = ERR_BUSY;
    else
        mailbox->handle->locked = mailbox->holds_lock = true;
    pthread_mutex_unlock(&mailbox->store->lock);
    return e;
}

void
mailbox_unlock(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->store->lock);
    if (mailbox->holds_lock)
        mailbox->handle->locked = mailbox->holds_lock = false;
    pthread_mutex_unlock(&mailbox->store->lock);
}

struct remove_job {
    struct mailstore *store;
    struct handle *handle;
    enum err error;
};

static void
remove_files(void *arg)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    struct remove_job *job = arg;
    char path[PATH_SIZE];

    db_close(take(job->handle->db));
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        path_of(job->store, job->handle->account, suffixes[i], path);
        if (unlink(path) && (errno != ENOENT || i == 0))
            job->error = err_from_errno(errno);
    }
}

WAITS enum err
mailbox_remove(struct mailstore *store, int64_t account)
{
    struct remove_job job = { .store = store };
    enum found found = handle_find(store, account, &job.handle);

    if (found == FOUND_NO_ROOM)
        return ERR_BUSY;
    if (found == FOUND_READY) {
        bool alone;
        pthread_mutex_lock(&store->lock);
        alone = job.handle->users == 1;
        if (alone)
            job.handle->ready = false;
        else
            job.handle->users--;
        pthread_mutex_unlock(&store->lock);
        if (!alone)
            return ERR_BUSY;
    }
    offload(remove_files, &job);
    set_ready(store, job.handle, false);
    return job.error;
}

WAITS enum err
mailstore_open(const char *dir, unsigned open_max, struct mailstore **result, struct why *why)
{
    struct mailstore *store;

    if (strlen(dir) > PATH_SIZE - 64)
        return err_why(why, ERR_LIMIT, "the path is too long: %s", dir);
    if (mkdir(dir, 0700) && errno != EEXIST)
        return err_why(why, err_from_errno(errno), "%s: %s", dir, strerror(errno));
    store = calloc(1, sizeof(*store));
    must(store && open_max > 0);
    store->dir = str_dup(str_from(dir));
    must(store->dir);
    store->open_max = open_max;
    pthread_mutex_init(&store->lock, NULL);
    map_init(&store->handles, 0);
    list_init(&store->idle);
    *result = store;
    return OK;
}

void
mailstore_close(struct mailstore *store)
{
    struct link *link;

    if (!store)
        return;
    while ((link = list_pop(&store->idle))) {
        struct handle *handle = CONTAINER_OF(link, struct handle, idle);
        map_remove(&store->handles, key_of(&handle->account));
        db_close(handle->db);
        free(handle);
    }
    must(map_count(&store->handles) == 0);
    map_done(&store->handles);
    pthread_mutex_destroy(&store->lock);
    free(store->dir);
    free(store);
}

/* Appending. */

struct append {
    struct mailbox *mailbox;
    const struct mailbox_append *what;
    enum mailbox_verdict verdict;
    char *bytes;
    size_t len;
    size_t capacity;
    bool ended;       /* The body is read to its end. */
    int64_t uid;      /* Of the staged row; 0: none. */
    int64_t next_chunk;
    uint64_t size;    /* Staged so far. */
};

static str
msgid_bytes(const msgid *id)
{
    return (str){ (const char *)id->bytes, sizeof(id->bytes) };
}

static enum err
check_disk(const struct append *append)
{
    struct statvfs fs;

    if (statvfs(append->mailbox->store->dir, &fs))
        return err_from_errno(errno);
    return (uint64_t)fs.f_bavail * fs.f_frsize < DISK_KEPT_BACK + append->len ? ERR_FULL : OK;
}

/* Sets the verdict; SIZE is what will be added. */
static enum err
check_verdict(struct append *append, struct db_conn *conn, uint64_t size)
{
    struct db_stmt *stmt =
        db_query(conn, "SELECT 1 FROM delivered WHERE message = ?1 AND recipient = ?2",
                 db_blob(msgid_bytes(&append->what->message)), db_text(append->what->recipient));
    bool again = db_step(stmt);
    uint64_t used = 0;

    db_reset(stmt);
    stmt = db_query(conn, "SELECT bytes FROM usage");
    if (db_step(stmt))
        used = (uint64_t)db_column_int(stmt, 0);
    db_reset(stmt);
    append->verdict = MAILBOX_STORED;
    if (again)
        append->verdict = MAILBOX_DUPLICATE;
    else if (append->what->quota && used + size > append->what->quota)
        append->verdict = MAILBOX_OVER_QUOTA;
    return db_error(conn);
}

static enum err
need_folder(struct db_conn *conn, str name, int64_t *id)
{
    struct db_stmt *stmt;
    enum err e;

    *id = 1;
    if (!name.len)
        return OK;
    e = db_run(conn, "INSERT OR IGNORE INTO folder (name) VALUES (?1)", db_text(name));
    if (e)
        return e;
    stmt = db_query(conn, "SELECT id FROM folder WHERE name = ?1", db_text(name));
    if (db_step(stmt))
        *id = db_column_int(stmt, 0);
    db_reset(stmt);
    return db_error(conn);
}

static enum err
insert_row(struct append *append, struct db_conn *conn)
{
    int64_t folder;
    enum err e = need_folder(conn, append->what->folder, &folder);

    if (!e)
        e = db_run(conn,
                   "INSERT INTO message (folder, complete, size, received, message)"
                   " VALUES (?1, 0, 0, ?2, ?3)",
                   db_int(folder), db_int(append->what->received),
                   db_blob(msgid_bytes(&append->what->message)));
    append->uid = e ? 0 : db_last_id(conn);
    return e;
}

/* All that is in the buffer, from chunk FIRST on. */
static enum err
insert_chunks(const struct append *append, struct db_conn *conn, int64_t first)
{
    str rest = { append->bytes, append->len };
    enum err e = OK;

    for (int64_t i = first; !e && rest.len; i++) {
        str chunk = str_head(rest, MAILBOX_CHUNK);
        if (i >= (int64_t)1 << CHUNK_BITS)
            return ERR_LIMIT;
        e = db_run(conn, "INSERT INTO chunk (id, data) VALUES (?1, ?2)",
                   db_int(((int64_t)append->uid << CHUNK_BITS) + i), db_blob(chunk));
        rest = str_skip(rest, chunk.len);
    }
    return e;
}

static enum err
complete_row(struct append *append, struct db_conn *conn, uint64_t size)
{
    int64_t now = append->what->received;
    enum err e = db_run(conn, "UPDATE message SET complete = 1, size = ?2 WHERE uid = ?1",
                        db_int(append->uid), db_int((int64_t)size));

    if (!e)
        e = db_run(conn, "INSERT INTO delivered (message, recipient, at) VALUES (?1, ?2, ?3)",
                   db_blob(msgid_bytes(&append->what->message)), db_text(append->what->recipient),
                   db_int(now));
    if (!e)
        e = db_run(conn, "UPDATE usage SET messages = messages + 1, bytes = bytes + ?1",
                   db_int((int64_t)size));
    if (!e && append->uid % EXPIRE_EVERY == 0)
        e = db_run(conn, "DELETE FROM delivered WHERE at < ?1", db_int(now - DAYS(DELIVERED_DAYS)));
    return e;
}

/* The whole message at once. */
static enum err
append_small(void *arg, struct db_conn *conn)
{
    struct append *append = arg;
    enum err e = check_verdict(append, conn, append->len);

    if (e || append->verdict)
        return e;
    e = check_disk(append);
    if (!e)
        e = insert_row(append, conn);
    if (!e)
        e = insert_chunks(append, conn, 0);
    return e ? e : complete_row(append, conn, append->len);
}

static enum err
stage_begin(void *arg, struct db_conn *conn)
{
    struct append *append = arg;
    enum err e = check_verdict(append, conn, MAX(append->what->size_hint, append->len));

    append->uid = 0;
    return e || append->verdict ? e : insert_row(append, conn);
}

static enum err
stage_chunks(void *arg, struct db_conn *conn)
{
    const struct append *append = arg;
    enum err e = check_disk(append);

    return e ? e : insert_chunks(append, conn, append->next_chunk);
}

static enum err
stage_end(void *arg, struct db_conn *conn)
{
    struct append *append = arg;
    enum err e = check_verdict(append, conn, append->size);

    return e || append->verdict ? e : complete_row(append, conn, append->size);
}

static enum err
delete_body(struct db_conn *conn, int64_t uid)
{
    return db_run(conn, "DELETE FROM chunk WHERE id >= ?1 AND id < ?2",
                  db_int(uid << CHUNK_BITS), db_int((uid + 1) << CHUNK_BITS));
}

static enum err
stage_undo(void *arg, struct db_conn *conn)
{
    const struct append *append = arg;
    enum err e = delete_body(conn, append->uid);

    return e ? e : db_run(conn, "DELETE FROM message WHERE uid = ?1", db_int(append->uid));
}

/* Reads until the buffer is full or the body has ended. */
WAITS static enum err
fill(struct append *append)
{
    size_t got;
    enum err e;

    while (!append->ended && append->len < append->capacity) {
        got = 0;
        e = append->what->read(append->what->arg, append->bytes + append->len,
                               append->capacity - append->len, &got);
        if (e)
            return e;
        append->len += got;
        append->ended = got == 0;
    }
    return OK;
}

WAITS static enum err
stage_all(struct append *append, struct why *why)
{
    struct db *db = append->mailbox->handle->db;
    enum err e;

    for (;;) {
        e = db_write(db, stage_chunks, append, why);
        if (e)
            return e;
        append->size += append->len;
        append->next_chunk += (int64_t)((append->len + MAILBOX_CHUNK - 1) / MAILBOX_CHUNK);
        append->len = 0;
        if (append->ended)
            return db_write(db, stage_end, append, why);
        e = fill(append);
        if (e)
            return e;
        if (append->what->quota && append->size + append->len > append->what->quota) {
            append->verdict = MAILBOX_OVER_QUOTA;
            return OK;
        }
    }
}

WAITS static enum err
append_large(struct append *append, struct why *why)
{
    struct db *db = append->mailbox->handle->db;
    enum err e;

    append->bytes = realloc(append->bytes, STAGE_SIZE);
    must(append->bytes);
    append->capacity = STAGE_SIZE;
    e = fill(append);
    if (!e)
        e = db_write(db, stage_begin, append, why);
    if (e || append->verdict)
        return e;
    e = stage_all(append, why);
    if ((e || append->verdict) && db_write(db, stage_undo, append, NULL))
        log_warning("mailbox %lld: an unfinished message stays until the file is opened again",
                    (long long)append->mailbox->handle->account);
    return e;
}

WAITS enum err
mailbox_append(struct mailbox *mailbox, const struct mailbox_append *what,
               enum mailbox_verdict *verdict, struct why *why)
{
    struct append append = { .mailbox = mailbox, .what = what, .capacity = MAILBOX_CHUNK };
    enum err e;

    if (what->head.len > MAILBOX_CHUNK)
        return err_why(why, ERR_LIMIT, "the lines in front are too long");
    append.bytes = malloc(MAILBOX_CHUNK);
    must(append.bytes);
    if (what->head.len)
        memcpy(append.bytes, what->head.ptr, what->head.len);
    append.len = what->head.len;
    e = fill(&append);
    if (!e && append.ended)
        e = db_write(mailbox->handle->db, append_small, &append, why);
    else if (!e)
        e = append_large(&append, why);
    free(append.bytes);
    if (!e)
        *verdict = append.verdict;
    return e;
}

/* Listing and reading. */

struct list_job {
    str folder;
    struct mailbox_list list;
};

static void
read_message_row(struct db_stmt *stmt, struct mailbox_message *message)
{
    char text[MSGID_TEXT_SIZE + 1];
    str bytes = db_column_blob(stmt, 4);
    msgid id = { { 0 } };

    memcpy(id.bytes, bytes.ptr, MIN(bytes.len, sizeof(id.bytes)));
    msgid_format(id, text);
    *message = (struct mailbox_message){
        .uid = db_column_int(stmt, 0),
        .size = (uint64_t)db_column_int(stmt, 1),
        .received = db_column_int(stmt, 2),
        .flags = (uint32_t)db_column_int(stmt, 3),
    };
    snprintf(message->uidl, sizeof(message->uidl), "%s.%lld", text, (long long)message->uid);
}

static enum err
list_rows(void *arg, struct db_conn *conn)
{
    struct list_job *job = arg;
    struct mailbox_list *list = &job->list;
    size_t capacity = 0;
    struct db_stmt *stmt =
        db_query(conn,
                 "SELECT uid, size, received, flags, message FROM message"
                 " WHERE folder = (SELECT id FROM folder WHERE name = ?1) AND complete"
                 " ORDER BY uid LIMIT ?2",
                 db_text(job->folder), db_int(MAILBOX_MESSAGES_MAX));

    mailbox_list_done(list);
    while (db_step(stmt)) {
        if (list->count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            list->messages = realloc(list->messages, capacity * sizeof(*list->messages));
            must(list->messages);
        }
        read_message_row(stmt, &list->messages[list->count]);
        list->bytes += list->messages[list->count++].size;
    }
    return db_error(conn);
}

WAITS enum err
mailbox_list(struct mailbox *mailbox, str folder, struct mailbox_list *list)
{
    struct list_job job = { .folder = folder.len ? folder : S("INBOX") };
    enum err e = db_read(mailbox->handle->db, list_rows, &job, NULL);

    if (e)
        mailbox_list_done(&job.list);
    else
        *list = job.list;
    return e;
}

void
mailbox_list_done(struct mailbox_list *list)
{
    free(list->messages);
    *list = (struct mailbox_list){ 0 };
}

struct read_job {
    int64_t uid;
    uint64_t offset;
    char *bytes;
    size_t size;
    size_t got;
};

static enum err
check_there(struct db_conn *conn, int64_t uid)
{
    struct db_stmt *stmt =
        db_query(conn, "SELECT 1 FROM message WHERE uid = ?1 AND complete", db_int(uid));
    bool there = db_step(stmt);

    db_reset(stmt);
    if (db_error(conn))
        return db_error(conn);
    return there ? OK : ERR_NOT_FOUND;
}

static enum err
read_chunks(void *arg, struct db_conn *conn)
{
    struct read_job *job = arg;
    int64_t first = (job->uid << CHUNK_BITS) + (int64_t)(job->offset / MAILBOX_CHUNK);
    size_t skip = job->offset % MAILBOX_CHUNK;
    struct db_stmt *stmt;
    enum err e = check_there(conn, job->uid);

    job->got = 0;
    if (e || job->offset / MAILBOX_CHUNK >= (uint64_t)1 << CHUNK_BITS)
        return e;
    stmt = db_query(conn, "SELECT data FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id",
                    db_int(first), db_int((job->uid + 1) << CHUNK_BITS));
    while (job->got < job->size && db_step(stmt)) {
        str part = str_head(str_skip(db_column_blob(stmt, 0), skip), job->size - job->got);
        if (part.len)
            memcpy(job->bytes + job->got, part.ptr, part.len);
        job->got += part.len;
        skip = 0;
    }
    db_reset(stmt);
    return db_error(conn);
}

WAITS enum err
mailbox_read(struct mailbox *mailbox, int64_t uid, uint64_t offset, char *bytes, size_t size,
             size_t *got)
{
    struct read_job job = { .uid = uid, .offset = offset, .bytes = bytes, .size = size };
    enum err e = db_read(mailbox->handle->db, read_chunks, &job, NULL);

    if (!e)
        *got = job.got;
    return e;
}

/* Changing. */

struct delete_job {
    const int64_t *uids;
    size_t count;
};

static enum err
delete_one(struct db_conn *conn, int64_t uid)
{
    struct db_stmt *stmt =
        db_query(conn, "DELETE FROM message WHERE uid = ?1 AND complete RETURNING size", db_int(uid));
    bool there = db_step(stmt);
    int64_t size = there ? db_column_int(stmt, 0) : 0;
    enum err e;

    while (there && db_step(stmt))
        ;
    e = db_error(conn);
    if (e || !there)
        return e;
    e = db_run(conn, "UPDATE usage SET messages = messages - 1, bytes = bytes - ?1", db_int(size));
    return e ? e : delete_body(conn, uid);
}

static enum err
delete_rows(void *arg, struct db_conn *conn)
{
    const struct delete_job *job = arg;
    enum err e = OK;

    for (size_t i = 0; !e && i < job->count; i++)
        e = delete_one(conn, job->uids[i]);
    return e;
}

WAITS enum err
mailbox_delete(struct mailbox *mailbox, const int64_t *uids, size_t count, struct why *why)
{
    struct delete_job job = { .uids = uids, .count = count };

    return count ? db_write(mailbox->handle->db, delete_rows, &job, why) : OK;
}

struct flags_job {
    int64_t uid;
    uint32_t flags;
};

static enum err
set_flags(void *arg, struct db_conn *conn)
{
    const struct flags_job *job = arg;
    enum err e = db_run(conn, "UPDATE message SET flags = ?2 WHERE uid = ?1 AND complete",
                        db_int(job->uid), db_int(job->flags));

    if (e)
        return e;
    return db_changes(conn) ? OK : ERR_NOT_FOUND;
}

WAITS enum err
mailbox_set_flags(struct mailbox *mailbox, int64_t uid, uint32_t flags)
{
    struct flags_job job = { .uid = uid, .flags = flags };

    return db_write(mailbox->handle->db, set_flags, &job, NULL);
}

static enum err
read_usage(void *arg, struct db_conn *conn)
{
    struct mailbox_usage *usage = arg;
    struct db_stmt *stmt = db_query(conn, "SELECT messages, bytes FROM usage");

    if (db_step(stmt)) {
        usage->messages = (uint64_t)db_column_int(stmt, 0);
        usage->bytes = (uint64_t)db_column_int(stmt, 1);
    }
    db_reset(stmt);
    return db_error(conn);
}

WAITS enum err
mailbox_usage(struct mailbox *mailbox, struct mailbox_usage *usage)
{
    return db_read(mailbox->handle->db, read_usage, usage, NULL);
}
