/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mailstore.c: the files of all mailboxes, a bounded number of them open.
 *
 * A handle is one open file with the number of those who use it.  Handles that nobody uses
 * stay open until room is needed, the longest unused goes first.  While a file is being
 * opened or removed its handle is not ready, and whoever wants it waits in a list.
 *
 * Start reading at mailbox_open().
 */
#include "store/mailbox_inside.h"

#include "base/map.h"
#include "base/must.h"
#include "runtime/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECKPOINT_PAGES = 256,
    PATH_SIZE = 1024,
};

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

enum found {
    FOUND_READY,
    FOUND_BUSY,
    FOUND_NONE,
    FOUND_NO_ROOM
};

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

void
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

const char *
mailstore_dir(const struct mailstore *store)
{
    return store->dir;
}
