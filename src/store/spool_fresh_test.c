/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_fresh_test.c: what was committed a moment ago is read from memory, and nothing else is. */
#include "base/arena.h"
#include "base/must.h"
#include "check.h"
#include "store/spool_log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SMALL = 9000,
    LARGE = 60000,
    MANY = FRESH_BYTES_MAX / LARGE * 5 / 4
};

static char bytes_of_body[LARGE];

static msgid
id_of(unsigned number)
{
    uint8_t entropy[10] = { (uint8_t)(number >> 8), (uint8_t)number };

    return msgid_make(MILLISECONDS(number), entropy);
}

static bool
put(struct spool *spool, unsigned number, size_t size)
{
    OWN(draft) draft = NULL;

    return draft_begin(spool, &draft) == OK &&
           draft_write(draft, (str){ bytes_of_body, size }) == OK &&
           draft_commit(&draft, id_of(number), S("envelope")) == OK;
}

static bool
can_be_read(struct spool *spool, unsigned number, size_t size)
{
    OWN(body) body = NULL;
    static char bytes[LARGE];
    struct arena arena;
    str envelope, note;
    size_t got = 0;
    bool right;

    arena_init(&arena, 1 << 20);
    right = spool_get(spool, id_of(number), &arena, &envelope, &note, NULL) == OK &&
            str_eq(envelope, S("envelope")) && str_eq(note, S("")) &&
            body_open(spool, id_of(number), &body) == OK && body_size(body) == size &&
            body_read(body, 0, bytes, sizeof(bytes), &got) == OK && got == size &&
            memcmp(bytes, bytes_of_body, size) == 0 &&
            str_eq(body_view(body), (str){ bytes_of_body, size });
    arena_done(&arena);
    return right;
}

static void
remove_file(void *dir, str name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%.*s", (const char *)dir, STR_ARG(name));
    CHECK(unlink(path) == 0);
}

static void
remove_spool(const char *dir)
{
    static const char *const parts[] = { "/segments", "/bodies", "/index", "/quarantine" };
    char path[128];

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        snprintf(path, sizeof(path), "%s%s", dir, parts[i]);
        CHECK(disk_real()->list(disk_real(), path, remove_file, path) == OK);
        CHECK(rmdir(path) == 0);
    }
    CHECK(disk_real()->list(disk_real(), dir, remove_file, (void *)(uintptr_t)dir) == OK);
    CHECK(rmdir(dir) == 0);
}

static struct spool *
open_in(const char *dir)
{
    struct spool_options options = { .dir = dir };
    struct spool *spool = NULL;
    struct why why = {};

    must(spool_open(&options, NULL, NULL, &spool, &why) == OK);
    return spool;
}

/* What is on the disk is not there any more: what can be read is in memory. */
static void
empty_first_segment(const char *dir)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/segments/00000001", dir);
    CHECK(truncate(path, SEGMENT_HEADER_SIZE) == 0);
}

static void
a_message_is_read_from_memory_until_it_is_noted_or_forgotten(void)
{
    char dir[] = "/tmp/spool_fresh_XXXXXX";
    struct spool *spool = open_in(mkdtemp(dir));

    CHECK(put(spool, 1, SMALL) && put(spool, 2, LARGE) && put(spool, 3, SMALL));
    empty_first_segment(dir);
    CHECK(can_be_read(spool, 1, SMALL));
    CHECK(can_be_read(spool, 2, LARGE));
    CHECK(spool_note(spool, id_of(2), S("noted")) == OK);
    CHECK(!can_be_read(spool, 2, LARGE));
    CHECK(spool_forget(spool, id_of(3)) == OK);
    CHECK(!can_be_read(spool, 3, SMALL));
    spool_close(spool);
    remove_spool(dir);
}

static void
the_oldest_leave_the_memory_when_there_are_many(void)
{
    char dir[] = "/tmp/spool_fresh_XXXXXX";
    struct spool *spool = open_in(mkdtemp(dir));

    CHECK(put(spool, 1, SMALL));
    empty_first_segment(dir);
    CHECK(can_be_read(spool, 1, SMALL));
    for (unsigned i = 2; i < 2 + MANY; i++)
        CHECK(put(spool, i, LARGE));
    CHECK(spool->fresh.bytes <= FRESH_BYTES_MAX);
    CHECK(!can_be_read(spool, 1, SMALL));
    CHECK(can_be_read(spool, 1 + MANY, LARGE));
    spool_close(spool);
    remove_spool(dir);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof(bytes_of_body); i++)
        bytes_of_body[i] = (char)(i * 31 + i / 251);
    RUN(a_message_is_read_from_memory_until_it_is_noted_or_forgotten);
    RUN(the_oldest_leave_the_memory_when_there_are_many);
    return check_end();
}
