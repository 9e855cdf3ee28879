/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_dsn.c: a report stays well-formed whatever stands in its parts.  "|" separates the fields of
 * the input. */
#include "fuzz.h"

#include "formats/dsn.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("ann@x|rfc822;b@x|b@x|5.1.1|mx [1.2.3.4]|No such user|QQ|Subject: x\r\nMessage-ID: <1@x>\r\n\r\n|body\r\n"),
    S("\"a\r\nX: y\"@x|utf-8;\xc3\xb6|\xc3\xb6@x|4.4.1||timeout|\xff|Subject: \xc3\xb6\n\n|a\0b\rc"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static str
next_field(str *input)
{
    str field;

    (void)str_split(*input, '|', &field, input);
    return field;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct dsn_recipient recipient = { .action = (enum dsn_action)(size % 5), .code = 550 };
    struct dsn dsn = { .reporting_mta = S("mx.example"),
                       .from = S("postmaster@mx.example"),
                       .message_id = S("id"),
                       .utf8 = size % 2,
                       .with_body = size % 3 == 0,
                       .recipients = &recipient,
                       .recipient_count = 1 };
    struct buf buf;

    dsn.to = next_field(&input);
    recipient.original = next_field(&input);
    recipient.address = next_field(&input);
    recipient.status = next_field(&input);
    recipient.remote = next_field(&input);
    recipient.text = next_field(&input);
    dsn.envid = next_field(&input);
    dsn.header = next_field(&input);
    dsn.body = input;
    buf_init(&buf, 1 << 24);
    must(dsn_format(&dsn, &buf) == OK);
    must(fuzz_is_crlf_only(buf_str(&buf)));
    must(str_find(buf_str(&buf), '\0') < 0);
    must(str_starts(buf_str(&buf), S("From: ")));
    must(str_ends(buf_str(&buf), S("\r\n--=_report_id--\r\n")));
    buf_done(&buf);
    return 0;
}
