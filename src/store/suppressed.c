/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppressed.c: one function for each statement; the schema is in directory.c. */
#include "store/suppressed.h"

#define COLUMNS                                                                                    \
    "id, address, scope, reason, list, note, source, message, created, expires, count, in_force"

/* What the parameters of a filter mean, from ?2 on; ?1 is the id to go on after. */
#define CONDITIONS                                                                                 \
    " id > ?1 AND (?2 IS NULL OR substr(address, -length(?2)) = ?2)"                               \
    " AND (?3 IS NULL OR scope = ?3) AND (?4 < 0 OR reason = ?4) AND (?5 IS NULL OR list = ?5)"    \
    " AND (?6 IS NULL OR source = ?6) AND (?7 = 0 OR created < ?7) AND (?8 = 0 OR created >= ?8)"  \
    " AND (in_force OR ?9)"

static void
read_row(struct db_stmt *stmt, struct suppressed_row *row)
{
    *row = (struct suppressed_row){
        .id = db_column_int(stmt, 0),
        .address = db_column_text(stmt, 1),
        .scope = db_column_text(stmt, 2),
        .reason = db_column_int(stmt, 3),
        .list = db_column_text(stmt, 4),
        .note = db_column_text(stmt, 5),
        .source = db_column_text(stmt, 6),
        .message = db_column_text(stmt, 7),
        .created = db_column_int(stmt, 8),
        .expires = db_column_int(stmt, 9),
        .count = db_column_int(stmt, 10),
        .in_force = db_column_int(stmt, 11) != 0,
    };
}

static enum err
walk(struct db_conn *conn, struct db_stmt *stmt,
     bool (*fn)(void *arg, const struct suppressed_row *row), void *arg)
{
    struct suppressed_row row;

    while (db_step(stmt)) {
        read_row(stmt, &row);
        if (!fn(arg, &row)) {
            db_reset(stmt);
            break;
        }
    }
    return db_error(conn);
}

enum err
suppressed_find(struct db_conn *conn, const struct suppressed_filter *filter, size_t max,
                bool (*fn)(void *arg, const struct suppressed_row *row), void *arg)
{
    const struct db_value values[] = {
        db_int(filter->after_id),
        db_text_or_null(filter->domain),
        filter->has_scope ? db_text(filter->scope) : db_null(),
        db_int(filter->reason),
        db_text_or_null(filter->list),
        db_text_or_null(filter->source),
        db_int(filter->created_before),
        db_int(filter->created_after),
        db_int(filter->remembered),
        db_int((int64_t)max),
        db_text(filter->address),
    };
    struct db_stmt *stmt =
        filter->address.len ? db_query_values(conn,
                                              "SELECT " COLUMNS
                                              " FROM suppression WHERE address = ?11 AND" CONDITIONS
                                              " ORDER BY id LIMIT ?10",
                                              values, COUNT_OF(values))
                            : db_query_values(conn,
                                              "SELECT " COLUMNS " FROM suppression WHERE" CONDITIONS
                                              " ORDER BY id LIMIT ?10",
                                              values, COUNT_OF(values) - 1);

    return walk(conn, stmt, fn, arg);
}

enum err
suppressed_put(struct db_conn *conn, const struct suppressed_row *row)
{
    return db_run(conn,
                  "INSERT INTO suppression (address, scope, reason, list, note, source, message,"
                  " created, expires, count, in_force)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                  " ON CONFLICT (address, scope, reason, list) DO UPDATE SET note = ?5,"
                  " source = ?6, message = ?7, expires = ?9, count = ?10,"
                  " created = CASE WHEN in_force AND ?11 THEN created ELSE ?8 END, in_force = ?11",
                  db_text(row->address), db_text(row->scope), db_int(row->reason),
                  db_text(row->list), db_text(row->note), db_text(row->source),
                  db_text(row->message), db_int(row->created), db_int(row->expires),
                  db_int(row->count), db_int(row->in_force));
}

enum err
suppressed_get(struct db_conn *conn, const struct suppressed_row *name, bool *found,
               struct suppressed_row *row)
{
    struct db_stmt *stmt = db_query(conn,
                                    "SELECT id, count, in_force, created, expires FROM suppression"
                                    " WHERE address = ?1 AND scope = ?2 AND reason = ?3"
                                    " AND list = ?4",
                                    db_text(name->address), db_text(name->scope),
                                    db_int(name->reason), db_text(name->list));

    *row = (struct suppressed_row){ 0 };
    *found = db_step(stmt);
    if (*found) {
        row->id = db_column_int(stmt, 0);
        row->count = db_column_int(stmt, 1);
        row->in_force = db_column_int(stmt, 2) != 0;
        row->created = db_column_int(stmt, 3);
        row->expires = db_column_int(stmt, 4);
    }
    db_reset(stmt);
    return db_error(conn);
}

enum err
suppressed_remove(struct db_conn *conn, int64_t id,
                  bool (*fn)(void *arg, const struct suppressed_row *row), void *arg)
{
    return walk(
        conn,
        db_query(conn, "DELETE FROM suppression WHERE id = ?1 RETURNING " COLUMNS, db_int(id)), fn,
        arg);
}

enum err
suppressed_remove_learnt(struct db_conn *conn, str address, str scope, int64_t reason, str source)
{
    return db_run(conn,
                  "DELETE FROM suppression WHERE address = ?1 AND scope = ?2 AND reason = ?3"
                  " AND count > 0 AND source = ?4",
                  db_text(address), db_text(scope), db_int(reason), db_text(source));
}

enum err
suppressed_mask(struct db_conn *conn, str address, str scope, instant now, unsigned *mask)
{
    struct db_stmt *stmt = db_query(conn,
                                    "SELECT reason FROM suppression WHERE address = ?1"
                                    " AND scope = ?2 AND in_force"
                                    " AND (expires = 0 OR expires > ?3)",
                                    db_text(address), db_text(scope), db_int(now));

    *mask = 0;
    while (db_step(stmt))
        *mask |= 1U << (db_column_int(stmt, 0) & 7);
    return db_error(conn);
}

enum err
suppressed_expire(struct db_conn *conn, instant now, instant forget_before, size_t max,
                  bool (*fn)(void *arg, const struct suppressed_row *row), void *arg)
{
    enum err e = walk(conn,
                      db_query(conn,
                               "UPDATE suppression SET in_force = 0 WHERE id IN (SELECT id"
                               " FROM suppression WHERE in_force AND expires > 0"
                               " AND expires <= ?1 LIMIT ?2) RETURNING " COLUMNS,
                               db_int(now), db_int((int64_t)max)),
                      fn, arg);

    if (e)
        return e;
    return db_run(conn,
                  "DELETE FROM suppression WHERE id IN (SELECT id FROM suppression"
                  " WHERE NOT in_force AND expires > 0 AND expires <= ?1 LIMIT ?2)",
                  db_int(forget_before), db_int((int64_t)max));
}
