/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* db_test.c: transactions, batches, migrations, errors. */
#include "store/db.h"
#include "store/temp_dir.h"

#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

static const char *const migrations[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "ALTER TABLE item ADD COLUMN weight INTEGER NOT NULL DEFAULT 7",
};

static struct db *
open_at(struct temp_dir *dir, size_t migration_count)
{
    struct db *db = NULL;
    struct why why;

    CHECK(db_open(&(struct db_options){ .path = temp_dir_file(dir, "t.db"),
                                        .migrations = migrations,
                                        .migration_count = migration_count },
                  &db, &why) == OK);
    return db;
}

static enum err
add_item(void *arg, struct db_conn *conn)
{
    return db_run(conn, "INSERT INTO item (name) VALUES (?1)", db_text(str_from(arg)));
}

static enum err
add_then_refuse(void *arg, struct db_conn *conn)
{
    enum err e = add_item(arg, conn);

    return e ? e : ERR_REFUSED;
}

struct told_item {
    const char *name;
    struct why *why;
};

static enum err
add_and_tell(void *arg, struct db_conn *conn)
{
    const struct told_item *item = arg;
    enum err e = db_run(conn, "INSERT INTO item (name) VALUES (?1)", db_text(str_from(item->name)));

    return e ? err_why(item->why, e, "%s is there already", item->name) : OK;
}

static enum err
count_items(void *arg, struct db_conn *conn)
{
    struct db_stmt *stmt = db_query(conn, "SELECT count(*), sum(weight) FROM item");

    *(int64_t *)arg = db_step(stmt) ? db_column_int(stmt, 0) : -1;
    return db_error(conn);
}

static int64_t
count_of(struct db *db)
{
    int64_t count = -1;

    CHECK(db_read(db, count_items, &count, NULL) == OK);
    return count;
}

static void
what_was_written_is_there_after_reopening(void)
{
    struct temp_dir dir;
    struct db *db;
    struct stat info;

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    CHECK(db_write(db, add_item, "a", NULL) == OK);
    CHECK(db_write(db, add_item, "b", NULL) == OK);
    CHECK(stat(temp_dir_file(&dir, "t.db"), &info) == 0 && (info.st_mode & 0777) == 0600);
    db_close(db);
    db = open_at(&dir, 2);
    CHECK(count_of(db) == 2);
    db_close(db);
    temp_dir_remove(&dir);
}

static void
a_closure_that_fails_changes_nothing(void)
{
    struct temp_dir dir;
    struct db *db;
    struct why why = { "" };

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    CHECK(db_write(db, add_then_refuse, "a", NULL) == ERR_REFUSED);
    CHECK(count_of(db) == 0);
    CHECK(db_write(db, add_item, "a", NULL) == OK);
    CHECK(db_write(db, add_item, "a", &why) == ERR_EXISTS);
    CHECK(strstr(why.text, "UNIQUE") != NULL);
    CHECK(count_of(db) == 1);
    db_close(db);
    temp_dir_remove(&dir);
}

static void
a_closure_says_why_in_its_own_words(void)
{
    struct temp_dir dir;
    struct db *db;
    struct why why = { "left over from before" };
    struct told_item item = { "a", &why };

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    CHECK(db_write(db, add_and_tell, &item, &why) == OK);
    CHECK_STR(str_from(why.text), "");
    CHECK(db_write(db, add_and_tell, &item, &why) == ERR_EXISTS);
    CHECK_STR(str_from(why.text), "a is there already");
    db_close(db);
    temp_dir_remove(&dir);
}

static void
migrations_go_forward_and_a_newer_file_is_refused(void)
{
    struct temp_dir dir;
    struct db *db;
    struct why why;

    temp_dir_make(&dir);
    db = open_at(&dir, 1);
    CHECK(db_write(db, add_item, "a", NULL) == OK);
    db_close(db);
    db = open_at(&dir, 2);
    CHECK(count_of(db) == 1);
    db_close(db);
    CHECK(db_open(&(struct db_options){ .path = temp_dir_file(&dir, "t.db"),
                                        .migrations = migrations,
                                        .migration_count = 1 },
                  &db, &why) == ERR_UNSUPPORTED);
    temp_dir_remove(&dir);
}

static void
a_file_that_is_no_database_is_refused_with_its_name(void)
{
    struct temp_dir dir;
    struct db *db = NULL;
    struct why why = { "" };
    FILE *file;

    temp_dir_make(&dir);
    file = fopen(temp_dir_file(&dir, "t.db"), "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    CHECK(db_open(&(struct db_options){ .path = temp_dir_file(&dir, "t.db"),
                                        .migrations = migrations,
                                        .migration_count = 2 },
                  &db, &why) == ERR_CORRUPT);
    CHECK(strstr(why.text, "t.db") != NULL);
    temp_dir_remove(&dir);
}

static const char hostile[] = "'); DROP TABLE item; --";

static void
a_value_is_never_sql(void)
{
    struct temp_dir dir;
    struct db *db;

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    CHECK(db_write(db, add_item, (void *)hostile, NULL) == OK);
    CHECK(count_of(db) == 1);
    db_close(db);
    temp_dir_remove(&dir);
}

struct writer {
    struct db *db;
    int number;
    int failed;
};

enum {
    WRITERS = 8,
    WRITES = 50
};

static void *
write_many(void *arg)
{
    struct writer *writer = arg;
    char name[32];

    for (int i = 0; i < WRITES; i++) {
        snprintf(name, sizeof(name), "%d", writer->number * WRITES + i);
        if (db_write(writer->db, add_item, name, NULL))
            writer->failed++;
        /* A companion of the same batch that fails takes back only itself. */
        if (db_write(writer->db, add_then_refuse, "never", NULL) != ERR_REFUSED)
            writer->failed++;
    }
    return NULL;
}

static void
parallel_writers_share_batches_and_lose_nothing(void)
{
    struct temp_dir dir;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    struct db *db;

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .db = db, .number = i };
        pthread_create(&threads[i], NULL, write_many, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(writers[i].failed == 0);
    }
    CHECK(count_of(db) == WRITERS * WRITES);
    db_close(db);
    temp_dir_remove(&dir);
}

static enum err
limit_pages(void *arg, struct db_conn *conn)
{
    (void)arg;
    return db_run(conn, "PRAGMA max_page_count=6");
}

static enum err
add_large(void *arg, struct db_conn *conn)
{
    (void)arg;
    return db_run(conn, "INSERT INTO item (name) VALUES (hex(zeroblob(1000000)))");
}

static void
a_full_database_refuses_and_stays_usable(void)
{
    struct temp_dir dir;
    struct db *db;

    temp_dir_make(&dir);
    db = open_at(&dir, 2);
    CHECK(db_write(db, limit_pages, NULL, NULL) == OK);
    CHECK(db_write(db, add_item, "a", NULL) == OK);
    CHECK(db_write(db, add_large, NULL, NULL) == ERR_FULL);
    CHECK(db_write(db, add_item, "b", NULL) == OK);
    CHECK(count_of(db) == 2);
    db_close(db);
    temp_dir_remove(&dir);
}

int
main(void)
{
    RUN(what_was_written_is_there_after_reopening);
    RUN(a_closure_that_fails_changes_nothing);
    RUN(a_closure_says_why_in_its_own_words);
    RUN(migrations_go_forward_and_a_newer_file_is_refused);
    RUN(a_file_that_is_no_database_is_refused_with_its_name);
    RUN(a_value_is_never_sql);
    RUN(parallel_writers_share_batches_and_lose_nothing);
    RUN(a_full_database_refuses_and_stays_usable);
    return check_end();
}
