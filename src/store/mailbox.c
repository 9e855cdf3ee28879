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
#include "store/mailbox_inside.h"

#include "base/must.h"
#include "runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    STAGE_SIZE = 4 * MAILBOX_CHUNK, /* Bytes of a large message in one transaction. */
    CHUNK_BITS = 20,
    DELIVERED_DAYS = 10, /* Longer than any message stays in the queue. */
    EXPIRE_EVERY = 256,  /* Appends. */
};
/* Appending stops before the disk is full, so that deleting can go on. */
#define DISK_KEPT_BACK ((uint64_t)16 << 20)

/* Appending. */

struct append {
    struct mailbox *mailbox;
    const struct mailbox_append *what;
    enum mailbox_verdict verdict;
    char *bytes;
    size_t len;
    size_t capacity;
    bool ended;  /* The body is read to its end. */
    int64_t uid; /* Of the staged row; 0: none. */
    int64_t next_chunk;
    uint64_t size; /* Staged so far. */
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

    if (statvfs(mailstore_dir(append->mailbox->store), &fs))
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
    return db_run(conn, "DELETE FROM chunk WHERE id >= ?1 AND id < ?2", db_int(uid << CHUNK_BITS),
                  db_int((uid + 1) << CHUNK_BITS));
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
    struct db_stmt *stmt = db_query(
        conn, "DELETE FROM message WHERE uid = ?1 AND complete RETURNING size", db_int(uid));
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
