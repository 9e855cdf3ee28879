/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* date_test.c: dates of both kinds, and the trace field that carries one. */
#include "formats/date.h"

#include "base/rand.h"
#include "formats/received.h"

#include "check.h"

struct date_case {
    const char *text;
    int64_t seconds; /* -1: refused. */
};

/* clang-format off */
static const struct date_case dates[] = {
    { "Thu, 26 Nov 2026 22:05:56 +0000", 1795730756 },
    { "26 Nov 2026 22:05:56 +0000", 1795730756 },
    { "Thu, 26 Nov 2026 23:05:56 +0100", 1795730756 },
    { "Thu, 26 Nov 2026 17:05:56 EST", 1795730756 },
    { "Thu, 26 Nov 2026 22:05:56 GMT (a \\) comment (in one))", 1795730756 },
    { "Thu 26 Nov 26 22 : 05 : 56 Z", 1795730756 },
    { "thu,\r\n\t26 nov 2026 22:05 UT", 1795730700 },
    { "1 Jan 1970 00:00:00 -0000", 0 },
    { "1 Jan 70 00:00:00 +0000", 0 },
    { "29 Feb 2000 12:00:00 +0000", 951825600 },
    { "31 Dec 2016 23:59:60 +0000", 1483228800 },
    { "1 Jan 2261 00:00:00 +0000", 9183110400 },
    { "29 Feb 1900 12:00:00 +0000", -1 },
    { "29 Feb 2023 12:00:00 +0000", -1 },
    { "31 Apr 2023 12:00:00 +0000", -1 },
    { "1 Jan 99999 00:00:00 +0000", -1 },
    { "1 Jan 9999 00:00:00 +0000", -1 },
    { "1 Jan 0 00:00:00 +0000", -1 },
    { "1 Jan 2023 24:00:00 +0000", -1 },
    { "1 Jan 2023 00:60:00 +0000", -1 },
    { "1 Jan 2023 00:00:00 +9999", -1 },
    { "1 Jan 2023 00:00:00", -1 },
    { "1 Jan 2023 00:00:00 +0000 x", -1 },
    { "1 Jan 2023 00:00:00 +0000 (open", -1 },
    { "Foo, 1 Jan 2023 00:00:00 +0000", -1 },
    { "99999999999999999999", -1 },
    { "", -1 },
};

static const struct date_case rfc3339[] = {
    { "2026-11-26T22:05:56Z", 1795730756 },
    { "2026-11-26t23:05:56.000+01:00", 1795730756 },
    { "2026-11-26 22:05:56.5z", 1795730756 },
    { "2026-11-26T22:05:56", -1 },
    { "2026-11-26T22:05:56.1234567890Z", -1 },
    { "2026-11-26T22:05:56.Z", -1 },
    { "2026-13-26T22:05:56Z", -1 },
    { "2026-11-26T22:05:56+24:00", -1 },
    { "26-11-26T22:05:56Z", -1 },
};
/* clang-format on */

static void
dates_are_read(void)
{
    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        instant when = 0;
        enum err e = date_parse(str_from(dates[i].text), &when);

        if (!e != (dates[i].seconds >= 0) || (!e && when != SECONDS(dates[i].seconds)))
            printf("%s: %lld\n", dates[i].text, (long long)(when / SECONDS(1)));
        CHECK(!e == (dates[i].seconds >= 0));
        CHECK(e || when == SECONDS(dates[i].seconds));
    }
    for (size_t i = 0; i < COUNT_OF(rfc3339); i++) {
        instant when = 0;
        enum err e = date_parse_rfc3339(str_from(rfc3339[i].text), &when);

        CHECK(!e == (rfc3339[i].seconds >= 0));
        CHECK(e || when / SECONDS(1) == rfc3339[i].seconds);
    }
}

static void
dates_are_written(void)
{
    char text[DATE_TEXT_MAX];

    date_format(SECONDS(1795730756), 0, text);
    CHECK_STR(str_from(text), "Thu, 26 Nov 2026 22:05:56 +0000");
    date_format(SECONDS(1795730756), -210, text);
    CHECK_STR(str_from(text), "Thu, 26 Nov 2026 18:35:56 -0330");
    date_format_rfc3339(SECONDS(1795730756) + MILLISECONDS(7), true, text);
    CHECK_STR(str_from(text), "2026-11-26T22:05:56.007Z");
    date_format_rfc3339(-1, false, text);
    CHECK_STR(str_from(text), "1969-12-31T23:59:59Z");
    date_format(INT64_MIN, 0, text);
    CHECK_STR(str_from(text), "Tue, 21 Sep 1677 00:12:43 +0000");
    date_format(INT64_MAX, 0, text);
    CHECK_STR(str_from(text), "Fri, 11 Apr 2262 23:47:16 +0000");
}

static void
what_is_written_is_read_again(void)
{
    struct rand rand;

    rand_init(&rand, 7);
    for (int i = 0; i < 10000; i++) {
        instant when = SECONDS((int64_t)rand_below(&rand, 9183110400)), again = 0;
        int zone = (int)rand_below(&rand, 1440) - 720;
        char text[DATE_TEXT_MAX];

        if (when < DAYS(1))
            continue;
        date_format(when, zone, text);
        CHECK(date_parse(str_from(text), &again) == OK && again == when);
        date_format_rfc3339(when, true, text);
        CHECK(date_parse_rfc3339(str_from(text), &again) == OK && again == when);
    }
}

static struct received
example(void)
{
    struct received r = {
        .helo = S("client.example"),
        .rdns = S("host.client.example"),
        .has_ip = true,
        .by = S("mx.example.org"),
        .protocol = S("ESMTPSA"),
        .tls = S("TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .id = S("01JDN"),
        .for_rcpt = S("ann@example.org"),
        .when = SECONDS(1795730756),
    };

    CHECK(ipaddr_parse(S("192.0.2.7"), &r.ip));
    return r;
}

static void
a_trace_field_has_all_its_parts(void)
{
    struct received r = example();
    struct buf buf;

    buf_init(&buf, 4000);
    received_format(&r, &buf);
    CHECK_STR(buf_str(&buf), "Received: from client.example (host.client.example [192.0.2.7])\r\n"
                             "\tby mx.example.org with ESMTPSA\r\n"
                             "\tid 01JDN\r\n"
                             "\tfor <ann@example.org>\r\n"
                             "\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"
                             "\tThu, 26 Nov 2026 22:05:56 +0000\r\n");
    buf_done(&buf);
}

static void
nothing_a_peer_said_breaks_the_trace_field(void)
{
    struct received r = example();
    struct buf buf;
    str rest;

    r.helo = S("a.test)\r\nX-Injected: y (\t;<\xff");
    r.rdns = S("evil\nname\"(");
    r.for_rcpt = S("\"a\r\nX: y\"@b");
    r.tls = S("");
    buf_init(&buf, 4000);
    received_format(&r, &buf);
    CHECK(
        str_starts(buf_str(&buf),
                   S("Received: from a.test???X-Injected:?y?????? (evil?name?? [192.0.2.7])\r\n")));
    CHECK(str_find_str(buf_str(&buf), S("for <\"a??X: y\"@b>")) > 0);
    rest = buf_str(&buf);
    CHECK(str_split(rest, '\n', &r.by, &rest));
    while (rest.len) {
        CHECK(rest.ptr[0] == '\t');
        CHECK(str_split(rest, '\n', &r.by, &rest));
    }
    buf_done(&buf);
}

static void
the_protocol_has_its_registered_name(void)
{
    CHECK_STR(str_from(received_protocol(false, false, true, false, false)), "SMTP");
    CHECK_STR(str_from(received_protocol(false, true, false, false, false)), "ESMTP");
    CHECK_STR(str_from(received_protocol(false, true, true, true, false)), "ESMTPSA");
    CHECK_STR(str_from(received_protocol(false, true, false, true, false)), "ESMTPA");
    CHECK_STR(str_from(received_protocol(true, true, true, false, false)), "LMTPS");
    CHECK_STR(str_from(received_protocol(false, true, true, true, true)), "UTF8SMTPSA");
    CHECK_STR(str_from(received_protocol(true, true, false, false, true)), "UTF8LMTP");
}

int
main(void)
{
    RUN(dates_are_read);
    RUN(dates_are_written);
    RUN(what_is_written_is_read_again);
    RUN(a_trace_field_has_all_its_parts);
    RUN(nothing_a_peer_said_breaks_the_trace_field);
    RUN(the_protocol_has_its_registered_name);
    return check_end();
}
