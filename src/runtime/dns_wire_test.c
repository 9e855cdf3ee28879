/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_wire_test.c: records out of the bytes of answers, good ones and broken ones. */
#include "runtime/dns_wire.h"

#include "base/buf.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

/* Messages are written by hand: 12 bytes of header, the question, then records. */

static void
add_u16(struct buf *buf, unsigned value)
{
    buf_add_byte(buf, (char)(value >> 8));
    buf_add_byte(buf, (char)value);
}

static void
add_name(struct buf *buf, const char *text)
{
    str rest = str_from(text), label;

    while (rest.len) {
        (void)str_split(rest, '.', &label, &rest);
        buf_add_byte(buf, (char)label.len);
        buf_add(buf, label);
    }
    buf_add_byte(buf, 0);
}

static void
start(struct buf *buf, const char *name, unsigned rcode, unsigned answers, unsigned authorities)
{
    buf_init(buf, 100000);
    add_u16(buf, 0x1234);
    add_u16(buf, 0x8180 | rcode);
    add_u16(buf, 1);
    add_u16(buf, answers);
    add_u16(buf, authorities);
    add_u16(buf, 0);
    add_name(buf, name);
    add_u16(buf, 1);
    add_u16(buf, 1);
}

/* OWNER NULL: a pointer to the question's name. */
static void
add_record(struct buf *buf, const char *owner, unsigned type, unsigned ttl, str data)
{
    if (owner)
        add_name(buf, owner);
    else
        add_u16(buf, 0xc00c);
    add_u16(buf, type);
    add_u16(buf, 1);
    add_u16(buf, 0);
    add_u16(buf, ttl);
    add_u16(buf, (unsigned)data.len);
    buf_add(buf, data);
}

static struct arena arena;

static enum err
parse(struct buf *buf, enum dns_type type, struct dns_answer *answer)
{
    enum err e;

    arena_clear(&arena);
    *answer = (struct dns_answer){};
    e = dns_wire_parse(&arena, buf_str(buf), type, answer);
    buf_done(buf);
    return e;
}

static void
addresses_are_read_through_aliases(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "WWW.Example.test", 0, 3, 0);
    add_record(&buf, "real.example.test", DNS_A, 60, S("\xc0\x00\x02\x02"));
    add_record(&buf, NULL, DNS_CNAME, 30, S("\x04REAL\xc0\x10"));
    add_record(&buf, "other.test", DNS_A, 1, S("\xc0\x00\x02\x63"));
    CHECK(parse(&buf, DNS_A, &answer) == OK);
    CHECK(answer.status == DNS_FOUND);
    CHECK(answer.count == 1);
    CHECK(ipaddr_eq(answer.records[0].addr, ipaddr_from_v4(0xc0000202)));
    CHECK(answer.ttl == 30);
    CHECK_STR(answer.canonical, "real.example.test");
}

static void
mail_exchangers_have_preference_and_name(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "example.test", 0, 2, 0);
    add_record(&buf, NULL, DNS_MX, 300, S("\x00\x0a\x02mx\xc0\x0c"));
    add_record(&buf, NULL, DNS_MX, 300, S("\x00\x00\x00"));
    CHECK(parse(&buf, DNS_MX, &answer) == OK);
    CHECK(answer.count == 2);
    CHECK(answer.records[0].preference == 10);
    CHECK_STR(answer.records[0].name, "mx.example.test");
    CHECK(answer.records[1].preference == 0);
    CHECK_STR(answer.records[1].name, "");
}

static void
services_have_priority_port_and_host(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "_pop3s._tcp.test", 0, 2, 0);
    add_record(&buf, NULL, DNS_SRV, 300, S("\x00\x0a\x00\x01\x03\xe3\x02mx\xc0\x18"));
    add_record(&buf, NULL, DNS_SRV, 300, S("\x00\x00\x00\x00\x00\x00\x00"));
    CHECK(parse(&buf, DNS_SRV, &answer) == OK);
    CHECK(answer.count == 2);
    CHECK(answer.records[0].preference == 10 && answer.records[0].port == 995);
    CHECK_STR(answer.records[0].name, "mx.test");
    CHECK_STR(answer.records[1].name, "");
    start(&buf, "_pop3s._tcp.test", 0, 1, 0);
    add_record(&buf, NULL, DNS_SRV, 300, S("\x00\x0a\x00\x01\x03"));
    CHECK(parse(&buf, DNS_SRV, &answer) == ERR_SYNTAX);
}

static void
texts_are_joined_and_tlsa_is_raw(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "example.test", 0, 1, 0);
    add_record(&buf, NULL, DNS_TXT, 300, S("\x03one\x00\x04 two"));
    CHECK(parse(&buf, DNS_TXT, &answer) == OK);
    CHECK_STR(answer.records[0].data, "one two");
    start(&buf, "_25._tcp.mx.example.test", 0, 1, 0);
    add_record(&buf, NULL, DNS_TLSA, 300, S("\x03\x01\x01xyz"));
    CHECK(parse(&buf, DNS_TLSA, &answer) == OK);
    CHECK_STR(answer.records[0].data, "\x03\x01\x01xyz");
}

static void
negative_answers_are_told_apart(void)
{
    struct dns_answer answer;
    struct buf buf;
    str soa = S("\x00\x00\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x2a");

    start(&buf, "example.test", 0, 0, 1);
    add_record(&buf, "test", 6, 900, soa);
    CHECK(parse(&buf, DNS_MX, &answer) == OK);
    CHECK(answer.status == DNS_NO_DATA);
    CHECK(answer.ttl == 42);
    start(&buf, "example.test", 3, 0, 1);
    add_record(&buf, "test", 6, 7, soa);
    CHECK(parse(&buf, DNS_MX, &answer) == OK);
    CHECK(answer.status == DNS_NO_NAME);
    CHECK(answer.ttl == 7);
    CHECK_STR(answer.canonical, "example.test");
}

static void
circles_end(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "a.test", 0, 2, 0);
    add_record(&buf, "a.test", DNS_CNAME, 1,
               S("\x01"
                 "b\x04test\x00"));
    add_record(&buf, "b.test", DNS_CNAME, 1,
               S("\x01"
                 "a\x04test\x00"));
    CHECK(parse(&buf, DNS_A, &answer) == ERR_SYNTAX);
    start(&buf, "a.test", 0, 1, 0);
    buf.data[12] = (char)0xc0; /* The question's name points to itself. */
    buf.data[13] = 12;
    CHECK(parse(&buf, DNS_A, &answer) == ERR_SYNTAX);
}

static void
too_many_records_are_refused(void)
{
    struct dns_answer answer;
    struct buf buf;

    for (unsigned count = 256; count <= 257; count++) {
        start(&buf, "a.test", 0, count, 0);
        for (unsigned i = 0; i < count; i++)
            add_record(&buf, NULL, DNS_A, 1, S("\1\2\3\4"));
        CHECK(parse(&buf, DNS_A, &answer) == (count == 256 ? OK : ERR_LIMIT));
    }
}

static void
odd_bytes_in_names_are_escaped(void)
{
    struct dns_answer answer;
    struct buf buf;

    start(&buf, "4.3.2.1.in-addr.arpa", 0, 1, 0);
    add_record(&buf, NULL, DNS_PTR, 1,
               S("\x04"
                 "a.\r\n\x04test\x00"));
    CHECK(parse(&buf, DNS_PTR, &answer) == OK);
    CHECK_STR(answer.records[0].name, "a\\046\\013\\010.test");
    /* And what stands between names of ours: nobody may look like two hosts, or like another key. */
    start(&buf, "4.3.2.1.in-addr.arpa", 0, 1, 0);
    add_record(&buf, NULL, DNS_PTR, 1,
               S("\x05"
                 "b,/:c\x04test\x00"));
    CHECK(parse(&buf, DNS_PTR, &answer) == OK);
    CHECK_STR(answer.records[0].name, "b\\044\\047\\058c.test");
}

static void
every_truncation_is_an_error_and_none_reads_past_the_end(void)
{
    struct dns_answer answer;
    struct buf buf;
    str whole;

    start(&buf, "example.test", 0, 2, 0);
    add_record(&buf, NULL, DNS_MX, 300, S("\x00\x0a\x02mx\xc0\x0c"));
    add_record(&buf, NULL, DNS_TXT, 300, S("\x03one"));
    whole = buf_str(&buf);
    for (size_t length = 0; length < whole.len; length++) {
        /* A copy of its own, so that AddressSanitizer sees a byte too many. */
        char *copy = str_dup(str_head(whole, length));
        arena_clear(&arena);
        CHECK(dns_wire_parse(&arena, (str){ copy, length }, DNS_MX, &answer) == ERR_SYNTAX);
        free(copy);
    }
    buf_done(&buf);
}

static void
names_are_normalized_or_refused(void)
{
    char text[256];
    char label[80] = {};

    CHECK(dns_name_normalize(S("MX.Example.TEST."), text));
    CHECK_STR(str_from(text), "mx.example.test");
    CHECK(dns_name_normalize(S("_25._tcp.mx"), text));
    CHECK(!dns_name_normalize(S(""), text));
    CHECK(!dns_name_normalize(S("."), text));
    CHECK(!dns_name_normalize(S("a..b"), text));
    CHECK(!dns_name_normalize(S(".a"), text));
    CHECK(!dns_name_normalize(S("a b"), text));
    CHECK(!dns_name_normalize(S("a\\b"), text));
    memset(label, 'a', 63);
    CHECK(dns_name_normalize(str_from(label), text));
    memset(label, 'a', 64);
    CHECK(!dns_name_normalize(str_from(label), text));
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(addresses_are_read_through_aliases);
    RUN(mail_exchangers_have_preference_and_name);
    RUN(services_have_priority_port_and_host);
    RUN(texts_are_joined_and_tlsa_is_raw);
    RUN(negative_answers_are_told_apart);
    RUN(circles_end);
    RUN(too_many_records_are_refused);
    RUN(odd_bytes_in_names_are_escaped);
    RUN(every_truncation_is_an_error_and_none_reads_past_the_end);
    RUN(names_are_normalized_or_refused);
    arena_done(&arena);
    return check_end();
}
