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
    RUN(progress_is_done_when_nobody_waits);
    return check_end();
}
