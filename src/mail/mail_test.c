/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mail_test.c: envelopes and progress are read as they were written. */
#include "mail/envelope.h"
#include "mail/progress.h"

#include "check.h"

static void
an_envelope_survives_the_spool(void)
{
    struct recipient recipients[] = {
        { S("ann@example.org"), S("rfc822;ann@example.org"), NOTIFY_SUCCESS | NOTIFY_DELAY },
        { S("bob@example.net"), S(""), NOTIFY_DEFAULT },
    };
    struct envelope written = {
        .received_at = SECONDS(1700000000), .door = DOOR_SUBMISSION, .account = S("eve@example.org"),
        .helo = S("client.example"), .protocol = S("ESMTPSA"), .reverse_path = S("eve@example.org"),
        .smtputf8 = true, .body = BODY_8BITMIME, .ret = RETURN_HEADERS, .envid = S("42"),
        .size = 1234567890123, .header_size = 300, .recipients = recipients, .recipient_count = 2,
    };
    struct envelope read;
    struct arena arena;
    struct buf buf;

    arena_init(&arena, 1000000);
    buf_init(&buf, 100000);
    envelope_encode(&written, &buf);
    CHECK(envelope_decode(buf_str(&buf), &arena, &read) == OK);
    CHECK(read.recipient_count == 2 && read.size == written.size && read.smtputf8);
    CHECK_STR(read.recipients[0].original, "rfc822;ann@example.org");
    CHECK_STR(read.recipients[1].address, "bob@example.net");
    CHECK(read.recipients[0].notify == (NOTIFY_SUCCESS | NOTIFY_DELAY));
    CHECK_STR(read.account, "eve@example.org");
    CHECK(read.received_at == written.received_at && read.body == BODY_8BITMIME);
    for (size_t len = 0; len < buf.len; len++)
        CHECK(envelope_decode(str_head(buf_str(&buf), len), &arena, &read) != OK);
    buf_done(&buf);
    arena_done(&arena);
}

/* As version 1 wrote it. */
static const char version_1[] =
    "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x2a\x36\xfe\x9c\x97\x17\x01\x0f\x00\x00\x00\x65\x76"
    "\x65\x40\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x0e\x00\x00\x00\x63\x6c\x69\x65\x6e\x74\x2e\x65\x78\x61\x6d"
    "\x70\x6c\x65\x07\x00\x00\x00\x45\x53\x4d\x54\x50\x53\x41\x0f\x00"
    "\x00\x00\x65\x76\x65\x40\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72"
    "\x67\x01\x01\x02\x02\x00\x00\x00\x34\x32\x00\x10\x00\x00\x00\x00"
    "\x00\x00\x2c\x01\x00\x00\x00\x00\x00\x00\x0f\x00\x00\x00\x3c\x31"
    "\x40\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x3e\x07\x00\x00"
    "\x00\x54\x4c\x53\x76\x31\x2e\x33\x02\x00\x00\x00\x0f\x00\x00\x00"
    "\x61\x6e\x6e\x40\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x16"
    "\x00\x00\x00\x72\x66\x63\x38\x32\x32\x3b\x61\x6e\x6e\x40\x65\x78"
    "\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x0a\x0f\x00\x00\x00\x62\x6f"
    "\x62\x40\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6e\x65\x74\x00\x00\x00"
    "\x00\x00";

static void
an_envelope_of_an_older_version_is_read(void)
{
    str bytes = { version_1, sizeof(version_1) - 1 };
    struct envelope read;
    struct arena arena;

    arena_init(&arena, 1000000);
    CHECK(envelope_decode(bytes, &arena, &read) == OK);
    CHECK(read.received_at == SECONDS(1700000000) && read.size == 4096 && read.header_size == 300);
    CHECK(read.door == DOOR_SUBMISSION && read.ret == RETURN_HEADERS && read.recipient_count == 2);
    CHECK_STR(read.tls, "TLSv1.3");
    CHECK_STR(read.recipients[0].original, "rfc822;ann@example.org");
    CHECK(read.lane == LANE_PERSONAL && read.priority == 0 && read.by == BY_NONE);
    CHECK(read.by_deadline == 0 && read.release_at == 0 && read.prefix.len == 0);
    for (size_t len = 0; len < bytes.len; len++)
        CHECK(envelope_decode(str_head(bytes, len), &arena, &read) != OK);
    arena_done(&arena);
}

/* Versions 2 and 3 differ by a byte behind the prefix. */
static void
an_envelope_of_version_2_has_no_wish_for_tls(void)
{
    struct envelope written = { .prefix = S("X: y\r\n"), .size = 300, .header_size = 200,
                                .tls_wish = TLS_OPTIONAL };
    struct envelope read;
    struct arena arena;
    struct buf buf, old;
    ssize_t end;

    arena_init(&arena, 1000000);
    buf_init(&buf, 100000);
    buf_init(&old, 100000);
    envelope_encode(&written, &buf);
    CHECK(envelope_decode(buf_str(&buf), &arena, &read) == OK && read.tls_wish == TLS_OPTIONAL);
    end = str_find_str(buf_str(&buf), S("X: y\r\n")) + 6;
    buf_add_u8(&old, 2);
    buf_add(&old, str_head(str_skip(buf_str(&buf), 1), (size_t)end - 1));
    buf_add(&old, str_skip(buf_str(&buf), (size_t)end + 1));
    CHECK(envelope_decode(buf_str(&old), &arena, &read) == OK && read.tls_wish == TLS_AS_USUAL);
    CHECK_STR(read.prefix, "X: y\r\n");
    written.tls_wish = (enum tls_wish)3;
    buf_clear(&buf);
    envelope_encode(&written, &buf);
    CHECK(envelope_decode(buf_str(&buf), &arena, &read) == ERR_CORRUPT);
    buf_done(&old);
    buf_done(&buf);
    arena_done(&arena);
}

static void
an_envelope_keeps_how_it_is_to_be_handled(void)
{
    struct recipient recipient = { S("ann@example.org"), S(""), NOTIFY_DEFAULT };
    struct envelope written = {
        .lane = LANE_BULK, .lane_why = S("it has a List-Id field"), .priority = PRIORITY_MIN,
        .by = BY_NOTIFY, .by_deadline = SECONDS(1700000060), .by_trace = true,
        .release_at = SECONDS(1700000030), .prefix = S("X: y\r\n"), .size = 300,
        .header_size = 200, .recipients = &recipient, .recipient_count = 1,
    };
    struct envelope read;
    struct arena arena;
    struct buf buf;

    arena_init(&arena, 1000000);
    buf_init(&buf, 100000);
    envelope_encode(&written, &buf);
    CHECK(envelope_decode(buf_str(&buf), &arena, &read) == OK);
    CHECK(read.lane == LANE_BULK && read.priority == PRIORITY_MIN && read.by == BY_NOTIFY);
    CHECK(read.by_deadline == written.by_deadline && read.by_trace);
    CHECK(read.release_at == written.release_at);
    CHECK_STR(read.prefix, "X: y\r\n");
    CHECK_STR(read.lane_why, "it has a List-Id field");
    for (size_t len = 0; len < buf.len; len++)
        CHECK(envelope_decode(str_head(buf_str(&buf), len), &arena, &read) != OK);
    written.header_size = 2; /* Less than the prefix alone. */
    buf_clear(&buf);
    envelope_encode(&written, &buf);
    CHECK(envelope_decode(buf_str(&buf), &arena, &read) == ERR_CORRUPT);
    buf_done(&buf);
    arena_done(&arena);
}

static void
lanes_have_names(void)
{
    enum lane lane;

    for (unsigned i = 0; i < LANE_COUNT; i++)
        CHECK(lane_parse(str_from(lane_name((enum lane)i)), &lane) && lane == (enum lane)i);
    CHECK(!lane_parse(S("fast"), &lane) && !lane_parse(S(""), &lane));
}

static void
progress_of_the_first_version_is_read(void)
{
    struct progress written, read;
    struct arena arena;
    struct buf buf, old;

    arena_init(&arena, 100000);
    buf_init(&buf, 10000);
    buf_init(&old, 10000);
    CHECK(progress_init(&written, &arena, 1, SECONDS(5)) == OK);
    written.recipients[0].text = S("come back later");
    written.recipients[0].attempts = 3;
    progress_encode(&written, &buf);
    /* The same without the route, which is the last, and empty. */
    buf_add_u8(&old, 1);
    buf_add(&old, str_head(str_skip(buf_str(&buf), 1), buf.len - 1 - 4));
    CHECK(progress_decode(buf_str(&old), &arena, &read) == OK);
    CHECK(read.recipient_count == 1 && read.recipients[0].attempts == 3);
    CHECK_STR(read.recipients[0].text, "come back later");
    CHECK(read.recipients[0].route.len == 0);
    written.recipients[0].route = S("smtp://relay.example.net");
    buf_clear(&buf);
    progress_encode(&written, &buf);
    CHECK(progress_decode(buf_str(&buf), &arena, &read) == OK);
    CHECK_STR(read.recipients[0].route, "smtp://relay.example.net");
    buf_done(&buf);
    buf_done(&old);
    arena_done(&arena);
}

static void
progress_is_done_when_nobody_waits(void)
{
    struct progress written, read;
    struct arena arena;
    struct buf buf;

    arena_init(&arena, 100000);
    buf_init(&buf, 100000);
    CHECK(progress_init(&written, &arena, 2, SECONDS(5)) == OK);
    CHECK(!progress_is_done(&written));
    written.recipients[0].state = RECIPIENT_DELIVERED;
    written.recipients[1].text = S("try again later");
    written.recipients[1].held = true;
    written.recipients[1].attempts = 3;
    progress_encode(&written, &buf);
    CHECK(progress_decode(buf_str(&buf), &arena, &read) == OK);
    CHECK(read.recipients[1].attempts == 3 && read.recipients[1].held);
    CHECK(read.recipients[1].next_attempt == SECONDS(5));
    CHECK_STR(read.recipients[1].text, "try again later");
    CHECK(!progress_is_done(&read));
    read.recipients[1].state = RECIPIENT_EXPIRED;
    CHECK(progress_is_done(&read));
    for (size_t len = 0; len < buf.len; len++)
        CHECK(progress_decode(str_head(buf_str(&buf), len), &arena, &read) != OK);
    buf_done(&buf);
    arena_done(&arena);
}

int
main(void)
{
    RUN(an_envelope_survives_the_spool);
    RUN(an_envelope_of_an_older_version_is_read);
    RUN(an_envelope_of_version_2_has_no_wish_for_tls);
    RUN(an_envelope_keeps_how_it_is_to_be_handled);
    RUN(lanes_have_names);
    RUN(progress_of_the_first_version_is_read);
    RUN(progress_is_done_when_nobody_waits);
    return check_end();
}
