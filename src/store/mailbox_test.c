/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mailbox_test.c: mail goes in once, stays, and goes out unchanged. */
#include "store/mailbox.h"
#include "runtime/clock.h"
#include "store/db.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>
#include <sys/stat.h>

static struct temp_dir dir;
static struct mailstore *store;

static void
begin_with(unsigned open_max)
{
    temp_dir_make(&dir);
    CHECK(mailstore_open(dir.path, open_max, &store, NULL) == OK);
}

static void
end(void)
{
    mailstore_close(store);
    temp_dir_remove(&dir);
}

static struct mailbox *
mailbox_of(int64_t account)
{
    struct mailbox *mailbox = NULL;
    struct why why = { "" };

    if (mailbox_open(store, account, &mailbox, &why))
        printf("%s\n", why.text);
    CHECK(mailbox != NULL);
    return mailbox;
}

/* A body of SIZE bytes, each told by its place; fails after FAIL_AT bytes if that is not 0. */
struct source {
    size_t size;
    size_t at;
    size_t fail_at;
};

static char
byte_at(size_t place)
{
    return (char)('a' + (place * 7 + place / 1000) % 26);
}

static enum err
read_source(void *arg, char *bytes, size_t size, size_t *got)
{
    struct source *source = arg;
    size_t count = MIN(MIN(size, source->size - source->at), (size_t)10000);

    if (source->fail_at && source->at >= source->fail_at)
        return ERR_IO;
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_at(source->at + i);
    source->at += count;
    *got = count;
    return OK;
}

static msgid
id_of(unsigned number)
{
    uint8_t entropy[10] = { (uint8_t)(number >> 8), (uint8_t)number };

    return msgid_make(SECONDS(1700000000), entropy);
}

static enum mailbox_verdict
append_quota(struct mailbox *mailbox, unsigned number, size_t size, uint64_t quota)
{
    struct source source = { .size = size };
    enum mailbox_verdict verdict = MAILBOX_STORED;

    CHECK(mailbox_append(mailbox,
                         &(struct mailbox_append){ .message = id_of(number),
                                                   .recipient = S("ann@example.org"),
                                                   .received = SECONDS(1700000000 + number),
                                                   .quota = quota,
                                                   .head = S("Head: 1\r\n"),
                                                   .read = read_source,
                                                   .arg = &source },
                         &verdict, NULL) == OK);
    return verdict;
}

static enum mailbox_verdict
append(struct mailbox *mailbox, unsigned number, size_t size)
{
    return append_quota(mailbox, number, size, 0);
}

enum {
    HEAD = 9
};

/* Whether message UID is the head and SIZE bytes of the source. */
static bool
is_whole(struct mailbox *mailbox, int64_t uid, size_t size)
{
    static char bytes[50000];
    uint64_t at = 0;
    size_t got = 1;

    while (got) {
        if (mailbox_read(mailbox, uid, at, bytes, sizeof(bytes), &got))
            return false;
        for (size_t i = 0; i < got; i++) {
            uint64_t place = at + i;
            char expected = place < HEAD ? "Head: 1\r\n"[place] : byte_at(place - HEAD);
            if (bytes[i] != expected)
                return false;
        }
        at += got;
    }
    return at == HEAD + size;
}

static void
messages_of_all_sizes_come_back_as_they_went_in(void)
{
    static const size_t sizes[] = { 0,
                                    1,
                                    100,
                                    MAILBOX_CHUNK - HEAD - 1,
                                    MAILBOX_CHUNK - HEAD,
                                    MAILBOX_CHUNK,
                                    4 * MAILBOX_CHUNK - HEAD,
                                    1000000,
                                    3333333 };
    struct mailbox_list list = { 0 };
    struct mailbox *mailbox;

    begin_with(4);
    mailbox = mailbox_of(1);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        CHECK(append(mailbox, i, sizes[i]) == MAILBOX_STORED);
    CHECK(mailbox_list(mailbox, S(""), &list) == OK);
    CHECK(list.count == COUNT_OF(sizes));
    for (size_t i = 0; i < list.count; i++) {
        CHECK(list.messages[i].size == sizes[i] + HEAD);
        CHECK(is_whole(mailbox, list.messages[i].uid, sizes[i]));
    }
    mailbox_list_done(&list);
    mailbox_close(mailbox);
    end();
}

static void
a_repeated_delivery_stores_nothing_even_after_deletion(void)
{
    struct mailbox_usage usage = { 0 };
    struct mailbox *mailbox;
    int64_t uid = 1;

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 1, 100) == MAILBOX_STORED);
    CHECK(append(mailbox, 1, 100) == MAILBOX_DUPLICATE);
    CHECK(append(mailbox, 2, 500000) == MAILBOX_STORED);
    CHECK(append(mailbox, 2, 500000) == MAILBOX_DUPLICATE);
    CHECK(mailbox_usage(mailbox, &usage) == OK);
    CHECK(usage.messages == 2 && usage.bytes == 500100 + 2 * HEAD);
    CHECK(mailbox_delete(mailbox, &uid, 1, NULL) == OK);
    CHECK(append(mailbox, 1, 100) == MAILBOX_DUPLICATE);
    CHECK(mailbox_usage(mailbox, &usage) == OK);
    CHECK(usage.messages == 1);
    mailbox_close(mailbox);
    end();
}

static void
uidls_are_stable_unique_and_never_used_again(void)
{
    struct mailbox_list before = { 0 };
    struct mailbox_list after = { 0 };
    struct mailbox *mailbox;
    int64_t gone[2];

    begin_with(4);
    mailbox = mailbox_of(1);
    for (unsigned i = 0; i < 10; i++)
        CHECK(append(mailbox, i, 10) == MAILBOX_STORED);
    CHECK(mailbox_list(mailbox, S(""), &before) == OK);
    gone[0] = before.messages[0].uid;
    gone[1] = before.messages[9].uid; /* The newest: its uid is the tempting one. */
    CHECK(mailbox_delete(mailbox, gone, 2, NULL) == OK);
    mailbox_close(mailbox);
    mailstore_close(store);
    CHECK(mailstore_open(dir.path, 4, &store, NULL) == OK);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 77, 10) == MAILBOX_STORED);
    CHECK(mailbox_list(mailbox, S(""), &after) == OK);
    CHECK(after.count == 9);
    for (size_t i = 0; i < 8; i++)
        CHECK_STR(str_from(after.messages[i].uidl), before.messages[i + 1].uidl);
    CHECK(after.messages[8].uid > before.messages[9].uid);
    for (size_t i = 0; i < before.count; i++)
        CHECK(!str_eq(str_from(after.messages[8].uidl), str_from(before.messages[i].uidl)));
    CHECK(str_is_printable(str_from(after.messages[8].uidl)));
    mailbox_list_done(&before);
    mailbox_list_done(&after);
    mailbox_close(mailbox);
    end();
}

static void
a_quota_holds_for_small_and_large(void)
{
    struct mailbox_usage usage;
    struct mailbox *mailbox;

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append_quota(mailbox, 1, 1000, 2000) == MAILBOX_STORED);
    CHECK(append_quota(mailbox, 2, 1000, 2000) == MAILBOX_OVER_QUOTA);
    CHECK(append_quota(mailbox, 3, 900, 2000) == MAILBOX_STORED);
    CHECK(append_quota(mailbox, 4, 2000000, 1000000) == MAILBOX_OVER_QUOTA);
    CHECK(append_quota(mailbox, 4, 900000, 1000000) == MAILBOX_STORED);
    CHECK(mailbox_usage(mailbox, &usage) == OK);
    CHECK(usage.messages == 3);
    mailbox_close(mailbox);
    end();
}

static void
a_body_that_breaks_off_leaves_nothing(void)
{
    struct mailbox_list list = { 0 };
    struct mailbox *mailbox;
    enum mailbox_verdict verdict;

    begin_with(4);
    mailbox = mailbox_of(1);
    for (unsigned i = 0; i < 2; i++) {
        struct source source = { .size = 1000000, .fail_at = i ? 700000 : 10000 };
        CHECK(mailbox_append(mailbox,
                             &(struct mailbox_append){ .message = id_of(1),
                                                       .recipient = S("ann@example.org"),
                                                       .read = read_source,
                                                       .arg = &source },
                             &verdict, NULL) == ERR_IO);
    }
    CHECK(mailbox_list(mailbox, S(""), &list) == OK);
    CHECK(list.count == 0);
    CHECK(append(mailbox, 1, 1000000) == MAILBOX_STORED);
    mailbox_close(mailbox);
    end();
}

static enum err
make_unfinished(void *arg, struct db_conn *conn)
{
    enum err e = db_run(conn, "INSERT INTO message (folder, complete, size, received, message)"
                              " VALUES (1, 0, 0, 0, zeroblob(16))");

    *(int64_t *)arg = db_last_id(conn);
    return e ? e
             : db_run(conn, "INSERT INTO chunk (id, data) VALUES (?1, zeroblob(1000))",
                      db_int(*(int64_t *)arg << 20));
}

static enum err
count_chunks(void *arg, struct db_conn *conn)
{
    struct db_stmt *stmt = db_query(conn, "SELECT count(*) FROM chunk");

    *(int64_t *)arg = db_step(stmt) ? db_column_int(stmt, 0) : -1;
    db_reset(stmt);
    return db_error(conn);
}

/* What a crash in the middle of a large message leaves. */
static void
an_unfinished_message_goes_when_the_file_is_opened(void)
{
    struct mailbox *mailbox;
    struct mailbox_list list = { 0 };
    struct db *db = NULL;
    int64_t value = 0;
    char name[32];

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 1, 100) == MAILBOX_STORED);
    mailbox_close(mailbox);
    mailstore_close(store);
    snprintf(name, sizeof(name), "1.db");
    CHECK(db_open(&(struct db_options){ .path = temp_dir_file(&dir, name),
                                        .migrations = (const char *const[]){ "" },
                                        .migration_count = 1 },
                  &db, NULL) == OK);
    CHECK(db_write(db, make_unfinished, &value, NULL) == OK);
    db_close(db);
    CHECK(mailstore_open(dir.path, 4, &store, NULL) == OK);
    mailbox = mailbox_of(1);
    CHECK(mailbox_list(mailbox, S(""), &list) == OK);
    CHECK(list.count == 1);
    mailbox_list_done(&list);
    mailbox_close(mailbox);
    mailstore_close(store);
    CHECK(db_open(&(struct db_options){ .path = temp_dir_file(&dir, name),
                                        .migrations = (const char *const[]){ "" },
                                        .migration_count = 1 },
                  &db, NULL) == OK);
    CHECK(db_read(db, count_chunks, &value, NULL) == OK);
    CHECK(value == 1);
    db_close(db);
    CHECK(mailstore_open(dir.path, 4, &store, NULL) == OK);
    end();
}

static void
the_lock_is_exclusive_and_ends_with_its_holder(void)
{
    struct mailbox *first;
    struct mailbox *second;

    begin_with(4);
    first = mailbox_of(1);
    second = mailbox_of(1);
    CHECK(mailbox_lock(first) == OK);
    CHECK(mailbox_lock(second) == ERR_BUSY);
    CHECK(append(second, 1, 10) == MAILBOX_STORED); /* Delivery goes on. */
    mailbox_unlock(second);                         /* Not its own. */
    CHECK(mailbox_lock(second) == ERR_BUSY);
    mailbox_close(first);
    CHECK(mailbox_lock(second) == OK);
    mailbox_close(second);
    end();
}

static void
open_files_are_bounded(void)
{
    struct mailbox *a;
    struct mailbox *b;
    struct mailbox *c = NULL;

    begin_with(2);
    a = mailbox_of(1);
    b = mailbox_of(2);
    CHECK(mailbox_open(store, 3, &c, NULL) == ERR_LIMIT);
    mailbox_close(b);
    c = mailbox_of(3);
    CHECK(append(c, 1, 10) == MAILBOX_STORED);
    mailbox_close(c);
    for (int64_t i = 4; i < 20; i++)
        mailbox_close(mailbox_of(i));
    mailbox_close(a);
    end();
}

static void
a_removed_mailbox_is_gone(void)
{
    struct mailbox *mailbox;
    struct mailbox_usage usage = { 0 };

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 1, 10) == MAILBOX_STORED);
    CHECK(mailbox_remove(store, 1) == ERR_BUSY);
    mailbox_close(mailbox);
    CHECK(mailbox_remove(store, 1) == OK);
    CHECK(mailbox_remove(store, 1) == ERR_NOT_FOUND);
    mailbox = mailbox_of(1);
    CHECK(mailbox_usage(mailbox, &usage) == OK && usage.messages == 0);
    mailbox_close(mailbox);
    end();
}

static void
reading_what_is_gone_is_told(void)
{
    struct mailbox *mailbox;
    char bytes[10];
    size_t got;
    int64_t uid = 1;

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 1, 100) == MAILBOX_STORED);
    CHECK(mailbox_set_flags(mailbox, 1, MAILBOX_SEEN) == OK);
    CHECK(mailbox_read(mailbox, 1, 5, bytes, sizeof(bytes), &got) == OK && got == 10);
    CHECK(mailbox_read(mailbox, 1, UINT64_MAX / 2, bytes, sizeof(bytes), &got) == OK && got == 0);
    CHECK(mailbox_delete(mailbox, &uid, 1, NULL) == OK);
    CHECK(mailbox_delete(mailbox, &uid, 1, NULL) == OK);
    CHECK(mailbox_read(mailbox, 1, 0, bytes, sizeof(bytes), &got) == ERR_NOT_FOUND);
    CHECK(mailbox_set_flags(mailbox, 1, 0) == ERR_NOT_FOUND);
    mailbox_close(mailbox);
    end();
}

/* Otherwise a full disk could not be cleaned up. */
static void
deleting_needs_little_room(void)
{
    struct mailbox *mailbox;
    struct stat before;
    struct stat after;
    int64_t uid = 1;

    begin_with(4);
    mailbox = mailbox_of(1);
    CHECK(append(mailbox, 1, 12000000) == MAILBOX_STORED);
    CHECK(stat(temp_dir_file(&dir, "1.db-wal"), &before) == 0);
    CHECK(mailbox_delete(mailbox, &uid, 1, NULL) == OK);
    CHECK(stat(temp_dir_file(&dir, "1.db-wal"), &after) == 0);
    CHECK(after.st_size - before.st_size < 1000000);
    mailbox_close(mailbox);
    end();
}

static void
several_thousand_messages_list_at_once(void)
{
    struct mailbox_list list = { 0 };
    struct mailbox *mailbox;
    int64_t *uids;
    instant start;

    begin_with(4);
    mailbox = mailbox_of(1);
    for (unsigned i = 0; i < 3000; i++)
        CHECK(append(mailbox, i, 2000) == MAILBOX_STORED);
    start = clock_steady();
    CHECK(mailbox_list(mailbox, S("INBOX"), &list) == OK);
    CHECK(list.count == 3000);
    CHECK(clock_steady() - start < MILLISECONDS(200));
    uids = calloc(list.count, sizeof(*uids));
    for (size_t i = 0; i < list.count; i++)
        uids[i] = list.messages[i].uid;
    CHECK(mailbox_delete(mailbox, uids, list.count, NULL) == OK);
    free(uids);
    mailbox_list_done(&list);
    CHECK(mailbox_list(mailbox, S("INBOX"), &list) == OK);
    CHECK(list.count == 0);
    mailbox_close(mailbox);
    end();
}

int
main(void)
{
    RUN(messages_of_all_sizes_come_back_as_they_went_in);
    RUN(a_repeated_delivery_stores_nothing_even_after_deletion);
    RUN(uidls_are_stable_unique_and_never_used_again);
    RUN(a_quota_holds_for_small_and_large);
    RUN(a_body_that_breaks_off_leaves_nothing);
    RUN(an_unfinished_message_goes_when_the_file_is_opened);
    RUN(the_lock_is_exclusive_and_ends_with_its_holder);
    RUN(open_files_are_bounded);
    RUN(a_removed_mailbox_is_gone);
    RUN(reading_what_is_gone_is_told);
    RUN(deleting_needs_little_room);
    RUN(several_thousand_messages_list_at_once);
    return check_end();
}
