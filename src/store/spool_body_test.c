/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_body_test.c: a large body is checked each time that it is read from its start. */
#include "store/spool.h"

#include "runtime/clock.h"
#include "store/disk_sim.h"

#include "check.h"

enum {
    BODY_SIZE = 100000,
    PIECE = 32768
};

static struct spool *
open_with_body(struct disk_sim *sim, msgid id)
{
    struct spool_options options = {
        .dir = "/disk/spool",
        .segment_bytes = 64 << 10,
        .inline_max = 4096,
        .disk = disk_sim_disk(sim),
    };
    struct spool *spool = NULL;
    struct draft *draft = NULL;
    struct why why = {};

    CHECK(spool_open(&options, NULL, NULL, &spool, &why) == OK);
    CHECK(draft_begin(spool, &draft) == OK);
    for (size_t i = 0; i < BODY_SIZE / 100; i++) {
        char line[101] = "";
        (void)snprintf(line, sizeof(line), "%98zu\r\n", i);
        CHECK(draft_write(draft, (str){ line, 100 }) == OK);
    }
    CHECK(draft_commit(&draft, id, S("envelope")) == OK);
    return spool;
}

/* From the start to the end, as a delivery reads it. */
static enum err
read_all(struct body *body)
{
    static char bytes[PIECE];
    uint64_t at = 0;
    size_t got = 1;
    enum err e = OK;

    while (!e && at < BODY_SIZE) {
        e = body_read(body, at, bytes, sizeof(bytes), &got);
        at += got;
    }
    return e;
}

static void
rot_is_found_at_every_reading_and_after_a_look_at_the_header(void)
{
    struct disk_sim *sim = disk_sim_new(1);
    uint8_t entropy[10] = { 1 };
    msgid id = msgid_make(MILLISECONDS(1), entropy);
    struct spool *spool = open_with_body(sim, id);
    struct body *body = NULL;
    char header[1000];
    size_t got;

    CHECK(body_open(spool, id, &body) == OK);
    CHECK(body_read(body, 0, header, sizeof(header), &got) == OK);
    CHECK(read_all(body) == OK && read_all(body) == OK);
    CHECK(disk_sim_flip(sim, "/disk/spool/bodies/0000000100000001", 50000, 1));
    CHECK(read_all(body) == ERR_CORRUPT && read_all(body) == ERR_CORRUPT);
    CHECK(body_read(body, 0, header, sizeof(header), &got) == OK);
    CHECK(read_all(body) == ERR_CORRUPT);
    body_close(body);
    spool_close(spool);
    disk_sim_free(sim);
}

/* From the start to the end, in pieces that meet neither the prefix's end nor the body's. */
static void
check_with_prefix(struct spool *spool, msgid id, str prefix, size_t size)
{
    static char bytes[BODY_SIZE + 1000];
    struct body *body = NULL;
    size_t at = 0;
    size_t got = 1;

    CHECK(body_open(spool, id, &body) == OK);
    body_put_before(body, prefix);
    CHECK(body_size(body) == prefix.len + size);
    while (got > 0 && at < sizeof(bytes)) {
        CHECK(body_read(body, at, bytes + at, MIN((size_t)37, sizeof(bytes) - at), &got) == OK);
        at += got;
    }
    CHECK(at == prefix.len + size && str_starts((str){ bytes, at }, prefix));
    CHECK(str_eq((str){ bytes + prefix.len + 91, 9 }, S("      0\r\n")));
    CHECK(body_view(body).len == 0 || str_eq(body_view(body), (str){ bytes, at }));
    CHECK(body_read(body, at, bytes, 1, &got) == OK && got == 0);
    body_close(body);
}

static void
a_prefix_is_read_as_if_it_were_stored(void)
{
    struct disk_sim *sim = disk_sim_new(1);
    uint8_t entropy[10] = { 1 };
    msgid id = msgid_make(MILLISECONDS(1), entropy);
    msgid small = msgid_make(MILLISECONDS(2), entropy);
    struct spool *spool = open_with_body(sim, id);
    struct draft *draft = NULL;
    char line[101] = "";

    (void)snprintf(line, sizeof(line), "%98u\r\n", 0);
    CHECK(draft_begin(spool, &draft) == OK && draft_write(draft, (str){ line, 100 }) == OK);
    CHECK(draft_commit(&draft, small, S("envelope")) == OK);
    check_with_prefix(spool, id, S("X-Signed: by us\r\n"), BODY_SIZE);
    check_with_prefix(spool, id, S(""), BODY_SIZE);
    check_with_prefix(spool, small, S("X-Signed: by us\r\n"), 100);
    check_with_prefix(spool, small, S(""), 100);
    spool_close(spool);
    disk_sim_free(sim);
}

int
main(void)
{
    RUN(rot_is_found_at_every_reading_and_after_a_look_at_the_header);
    RUN(a_prefix_is_read_as_if_it_were_stored);
    return check_end();
}
