/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt_test.c: which records ask for reports, and what stands in one. */
#include "trust/tlsrpt.h"

#include "check.h"
#include "formats/json.h"

#include <string.h>
#include <zlib.h>

static struct arena arena;

static void
open_arena(void)
{
    arena_done(&arena);
    arena_init(&arena, 16 << 20);
}

static enum err
parse(const char *text, struct tlsrpt_record *record)
{
    open_arena();
    return tlsrpt_parse(str_from(text), &arena, record);
}

static void
the_examples_of_the_rfc_are_read(void)
{
    struct tlsrpt_record record;

    CHECK(parse("v=TLSRPTv1;rua=mailto:reports@example.com", &record) == OK && record.count == 1);
    CHECK_STR(record.rua[0].address, "reports@example.com");
    CHECK(parse("v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", &record) == OK);
    CHECK(record.count == 1 && !record.rua[0].address.len && record.rua[0].port == 443);
    CHECK_STR(record.rua[0].host, "reporting.example.com");
    CHECK_STR(record.rua[0].target, "/v1/tlsrpt");
}

static void
several_places_are_read_in_their_order(void)
{
    struct tlsrpt_record record;

    CHECK(parse("v=TLSRPTv1 ;\t rua=mailto:a@example.com , HTTPS://r.example:8443?x=%2C#top,"
                "ftp://example.com,mailto:a@example.com; next=1;",
                &record) == OK);
    CHECK(record.count == 2);
    CHECK_STR(record.rua[0].address, "a@example.com");
    CHECK_STR(record.rua[1].host, "r.example");
    CHECK_STR(record.rua[1].target, "/?x=%2C");
    CHECK(record.rua[1].port == 8443);
}

static void
an_address_is_decoded(void)
{
    struct tlsrpt_record record;

    CHECK(parse("v=TLSRPTv1;rua=mailto:a%21b@example.com?subject=x,mailto:%22a%2Cb%22@example.com",
                &record) == OK);
    CHECK(record.count == 2);
    CHECK_STR(record.rua[0].address, "a!b@example.com");
    CHECK_STR(record.rua[1].address, "\"a,b\"@example.com");
    CHECK(parse("v=TLSRPTv1;rua=mailto:a%2@example.com", &record) == OK && record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=mailto:a%0d%0aX:b@example.com", &record) == OK &&
          record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=mailto:alone", &record) == OK && record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=https://user@example.com/", &record) == OK && record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=https://192.0.2.1/", &record) == OK && record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=https://example.com:0/", &record) == OK && record.count == 0);
    CHECK(parse("v=TLSRPTv1;rua=https://example.com:65536/", &record) == OK && record.count == 0);
}

static void
what_does_not_follow_the_grammar_is_no_record(void)
{
    struct tlsrpt_record record;

    CHECK(parse("v=TLSRPTv2;rua=mailto:a@example.com", &record) == ERR_SYNTAX);
    CHECK(parse("V=TLSRPTv1;rua=mailto:a@example.com", &record) == ERR_SYNTAX);
    CHECK(parse("v=TLSRPTv1", &record) == ERR_SYNTAX);
    CHECK(parse("v=TLSRPTv1;", &record) == ERR_SYNTAX);
    CHECK(parse("v=TLSRPTv1;x=1", &record) == ERR_SYNTAX);
    CHECK(parse("v=TLSRPTv1;rua", &record) == ERR_SYNTAX);
    CHECK(parse("v=TLSRPTv1;;rua=mailto:a@example.com", &record) == ERR_SYNTAX);
    CHECK(parse("rua=mailto:a@example.com;v=TLSRPTv1", &record) == ERR_SYNTAX);
}

static void
ceilings_of_a_record_are_kept(void)
{
    static char text[TLSRPT_RECORD_MAX + 100];
    struct tlsrpt_record record;
    size_t len = (size_t)snprintf(text, sizeof(text), "v=TLSRPTv1;rua=");

    for (unsigned i = 0; i < 3 * TLSRPT_RUA_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "mailto:a%u@example.com,", i);
    CHECK(parse(text, &record) == OK && record.count == TLSRPT_RUA_MAX);
    len = (size_t)snprintf(text, sizeof(text), "v=TLSRPTv1;rua=https://example.com/");
    memset(text + len, 'x', TLSRPT_URI_MAX);
    text[len + TLSRPT_URI_MAX] = '\0';
    CHECK(parse(text, &record) == OK && record.count == 0);
    memset(text + len, 'x', sizeof(text) - len);
    open_arena();
    CHECK(tlsrpt_parse((str){ text, TLSRPT_RECORD_MAX + 1 }, &arena, &record) == ERR_LIMIT);
}

static void
exactly_one_record_counts(void)
{
    struct dns_record records[3] = {
        { .data = S("hello") },
        { .data = S("v=TLSRPTv1;rua=mailto:a@example.com") },
        { .data = S("v=TLSRPTv1;rua=mailto:b@example.com") },
    };
    struct tlsrpt_record record;

    open_arena();
    CHECK(tlsrpt_find(records, 1, &arena, &record) == ERR_NOT_FOUND);
    CHECK(tlsrpt_find(records, 2, &arena, &record) == OK && record.count == 1);
    CHECK(tlsrpt_find(records, 3, &arena, &record) == ERR_NOT_FOUND);
}

/* The one of RFC 8460, appendix B, as far as we say it. */
static const struct tlsrpt_failure failures[] = {
    { TLSRPT_CERTIFICATE_EXPIRED, S("2001:db8:abcd:12::1"), S("mx1.mail.company-y.example"), S(""),
      S(""), S(""), 100 },
    { TLSRPT_VALIDATION_FAILURE, S("198.51.100.62"), S("mx-backup.mail.company-y.example"),
      S("mx.y.example"), S("203.0.113.58"), S("X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"), 3 },
};
static const struct tlsrpt_policy policies[] = {
    { TLSRPT_STS, S("company-y.example"), S("version: STSv1\nmode: testing\nmax_age: 86400"),
      S("*.mail.company-y.example"), 5326, 103, failures, COUNT_OF(failures) },
    { TLSRPT_NO_POLICY, S("company-y.example"), S(""), S(""), 7, 0, NULL, 0 },
};
static const struct tlsrpt_report report = {
    S("Company-X"),      S("sts-reporting@company-x.example"),
    S("5065427c"),       SECONDS(1459468800),
    SECONDS(1459555200), policies,
    COUNT_OF(policies),
};

static void
a_report_says_what_was_counted(void)
{
    const struct json *policy, *detail;
    struct json *value;
    struct buf buf;

    open_arena();
    buf_init(&buf, TLSRPT_JSON_MAX);
    CHECK(tlsrpt_format(&report, &buf) == OK);
    CHECK(json_parse(buf_str(&buf), &arena, &value) == OK);
    CHECK_STR(json_get_text(value, "organization-name"), "Company-X");
    CHECK_STR(json_get_text(json_get(value, "date-range"), "start-datetime"),
              "2016-04-01T00:00:00Z");
    CHECK_STR(json_get_text(json_get(value, "date-range"), "end-datetime"), "2016-04-01T23:59:59Z");
    CHECK_STR(json_get_text(value, "report-id"), "5065427c");
    policy = json_get(value, "policies")->first;
    CHECK_STR(json_get_text(json_get(policy, "policy"), "policy-type"), "sts");
    CHECK_STR(json_get(json_get(policy, "policy"), "policy-string")->first->next->text,
              "mode: testing");
    CHECK_STR(json_get(json_get(policy, "policy"), "mx-host")->first->text,
              "*.mail.company-y.example");
    CHECK(json_get_int(json_get(policy, "summary"), "total-successful-session-count") == 5326);
    CHECK(json_get_int(json_get(policy, "summary"), "total-failure-session-count") == 103);
    detail = json_get(policy, "failure-details")->first;
    CHECK_STR(json_get_text(detail, "result-type"), "certificate-expired");
    CHECK(!json_get(detail, "receiving-ip"));
    detail = detail->next;
    CHECK_STR(json_get_text(detail, "receiving-mx-helo"), "mx.y.example");
    CHECK(json_get_int(detail, "failed-session-count") == 3);
    CHECK_STR(json_get_text(detail, "failure-reason-code"),
              "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
    CHECK_STR(json_get_text(json_get(policy->next, "policy"), "policy-type"), "no-policy-found");
    CHECK(!json_get(policy->next, "failure-details"));
    buf_done(&buf);
}

static void
a_report_that_does_not_fit_is_refused(void)
{
    struct buf buf;

    buf_init(&buf, 300);
    CHECK(tlsrpt_format(&report, &buf) == ERR_LIMIT);
    buf_done(&buf);
}

static void
what_is_compressed_comes_back(void)
{
    static char text[100000], back[100001];
    z_stream stream = {};
    struct buf buf;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * i / 7);
    buf_init(&buf, TLSRPT_JSON_MAX);
    CHECK(tlsrpt_compress((str){ text, sizeof(text) }, &buf) == OK);
    stream.next_in = (Bytef *)buf.data;
    stream.avail_in = (uInt)buf.len;
    stream.next_out = (Bytef *)back;
    stream.avail_out = sizeof(back);
    CHECK(inflateInit2(&stream, 15 + 16) == Z_OK && inflate(&stream, Z_FINISH) == Z_STREAM_END);
    CHECK(stream.total_out == sizeof(text) && memcmp(text, back, sizeof(text)) == 0);
    (void)inflateEnd(&stream);
    buf_done(&buf);
    buf_init(&buf, 100);
    CHECK(tlsrpt_compress((str){ text, sizeof(text) }, &buf) == ERR_LIMIT);
    buf_done(&buf);
}

int
main(void)
{
    RUN(the_examples_of_the_rfc_are_read);
    RUN(several_places_are_read_in_their_order);
    RUN(an_address_is_decoded);
    RUN(what_does_not_follow_the_grammar_is_no_record);
    RUN(ceilings_of_a_record_are_kept);
    RUN(exactly_one_record_counts);
    RUN(a_report_says_what_was_counted);
    RUN(a_report_that_does_not_fit_is_refused);
    RUN(what_is_compressed_comes_back);
    arena_done(&arena);
    return check_end();
}
