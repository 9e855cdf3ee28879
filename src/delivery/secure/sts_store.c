/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_store.c: the table of policies. */
#include "delivery/secure/sts_store.h"

#include "store/db.h"

static const char *const migrations[] = {
    "CREATE TABLE policies (domain TEXT PRIMARY KEY, id TEXT NOT NULL, text TEXT NOT NULL,"
    "  fetched INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX policies_fetched ON policies (fetched);",
};

enum err
sts_store_open(const char *path, struct db **db, struct why *why)
{
    struct db_options options = {
        .path = path,
        .migrations = migrations,
        .migration_count = COUNT_OF(migrations),
        .small = true,
    };

    return db_open(&options, db, why);
}

struct reading {
    instant now;
    size_t max;
    void (*fn)(void *arg, const struct sts_row *row);
    void *arg;
};

static enum err
read_rows(void *arg, struct db_conn *conn)
{
    struct reading *r = arg;
    struct db_stmt *stmt = db_query(conn,
                                    "SELECT domain, id, text, fetched, expires FROM policies"
                                    " WHERE expires > ?1 ORDER BY fetched DESC LIMIT ?2",
                                    db_int(r->now), db_int((int64_t)r->max));

    while (db_step(stmt)) {
        struct sts_row row = {
            .domain = db_column_text(stmt, 0),
            .id = db_column_text(stmt, 1),
            .text = db_column_text(stmt, 2),
            .fetched = db_column_int(stmt, 3),
            .expires = db_column_int(stmt, 4),
        };
        r->fn(r->arg, &row);
    }
    return db_error(conn);
}

static enum err
drop_ended(void *arg, struct db_conn *conn)
{
    const struct reading *r = arg;

    return db_run(conn, "DELETE FROM policies WHERE expires <= ?1", db_int(r->now));
}

enum err
sts_store_read(struct db *db, instant now, size_t max,
               void (*fn)(void *arg, const struct sts_row *row), void *arg, struct why *why)
{
    struct reading reading = { now, max, fn, arg };
    enum err e = db_write(db, drop_ended, &reading, why);

    return e ? e : db_read(db, read_rows, &reading, why);
}

struct putting {
    const struct sts_row *row;
    size_t max;
};

static enum err
put_row(void *arg, struct db_conn *conn)
{
    const struct putting *p = arg;
    enum err e = db_run(conn, "INSERT OR REPLACE INTO policies VALUES (?1, ?2, ?3, ?4, ?5)",
                        db_text(p->row->domain), db_text(p->row->id), db_text(p->row->text),
                        db_int(p->row->fetched), db_int(p->row->expires));

    if (!e)
        e = db_run(conn,
                   "DELETE FROM policies WHERE rowid IN (SELECT rowid FROM policies"
                   " ORDER BY fetched LIMIT max(0, (SELECT count(*) FROM policies) - ?1))",
                   db_int((int64_t)p->max));
    return e;
}

enum err
sts_store_put(struct db *db, const struct sts_row *row, size_t max, struct why *why)
{
    struct putting putting = { row, max };

    return db_write(db, put_row, &putting, why);
}

static enum err
remove_row(void *arg, struct db_conn *conn)
{
    const str *domain = arg;

    return db_run(conn, "DELETE FROM policies WHERE domain = ?1", db_text(*domain));
}

enum err
sts_store_remove(struct db *db, str domain, struct why *why)
{
    return db_write(db, remove_row, &domain, why);
}
