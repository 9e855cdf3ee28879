/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cluster_test.c: which answers are one cluster. */
#include "delivery/queue/cluster.h"

#include "check.h"

static void
what_differs_is_left_out(void)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        { "", "" },
        { "Mailbox full", "mailbox full" },
        { "4.7.28 [192.0.2.7      15] Our system has detected an unusual rate of "
          "unsolicited mail originating from your IP address. "
          "https://support.google.com/mail/?p=Unsolicited "
          "d9443c01a7336-23e4ab12cd5si1234567ejc.12 - gsmtp",
          "4.7.28 * 15 our system has detected an unusual rate of unsolicited mail originating "
          "from "
          "your ip address * - gsmtp" },
        { "5.7.1 Unfortunately, messages from [192.0.2.9] weren't sent. Please contact your "
          "Internet "
          "service provider since part of their network is on our block list (S3150).",
          "5.7.1 unfortunately messages from * weren't sent please contact your internet service "
          "provider since part of their network is on our block list s3150" },
        { "[TSS04] Messages from 203.0.113.5 temporarily deferred due to unexpected volume or user "
          "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
          "tss04 messages from * temporarily deferred due to unexpected volume or user complaints "
          "- "
          "* see *" },
        { "Service unavailable; Client host [198.51.100.3] blocked using zen.spamhaus.org",
          "service unavailable client host * blocked using zen.spamhaus.org" },
        { "<bob@example.org>: Recipient address rejected: Greylisted, retry in 300 seconds",
          "* recipient address rejected greylisted retry in * seconds" },
        { "Greylisted until 2026-11-27T10:41:02Z at 10:41:02", "greylisted until * at *" },
        { "message 01JD7Z3K9Q8M5N2P4R6S8T0V1W deadbeef01 queue id 4XyZ12 refused",
          "message * queue id 4xyz12 refused" },
        { "user \"Bob Builder\" unknown at mx1.example.org", "user * unknown at *" },
        { "connect to [2001:db8::1]:25: refused", "connect to * refused" },
        { "try port 25 on day 7", "try port 25 on day 7" },
        { "a  \t b\r\nc\x7f", "a b c" },
    };
    char room[CLUSTER_TEXT_MAX + 1];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK_STR(cluster_text(str_from(rows[i].text), room), rows[i].expected);
}

static void
the_same_reason_has_the_same_id(void)
{
    CHECK(cluster_id(421, S("4.7.28"), S("rate of mail from 192.0.2.1")) ==
          cluster_id(421, S("4.7.28"), S("Rate of mail from 198.51.100.77")));
    CHECK(cluster_id(421, S("4.7.28"), S("rate of mail")) !=
          cluster_id(450, S("4.7.28"), S("rate of mail")));
    CHECK(cluster_id(421, S("4.7.28"), S("rate of mail")) !=
          cluster_id(421, S("4.7.0"), S("rate of mail")));
    CHECK(cluster_id(554, S(""), S("block list (S3150)")) !=
          cluster_id(554, S(""), S("block list (S3140)")));
}

static void
a_text_without_end_is_cut(void)
{
    char room[CLUSTER_TEXT_MAX + 1], text[4000];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 7 ? 'a' : ' ';
    CHECK(cluster_text((str){ text, sizeof(text) }, room).len <= CLUSTER_TEXT_MAX);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = '<';
    CHECK(cluster_text((str){ text, sizeof(text) }, room).len <= CLUSTER_TEXT_MAX);
}

static void
names_are_read_back(void)
{
    char name[CLUSTER_NAME_SIZE];
    uint32_t id = 0;

    cluster_format(0x0f2c1a7b, name);
    CHECK_STR(str_from(name), "0f2c1a7b");
    CHECK(cluster_parse(str_from(name), &id) && id == 0x0f2c1a7b);
    CHECK(!cluster_parse(S("0f2c1a7"), &id) && !cluster_parse(S("0f2c1a7g"), &id));
}

int
main(void)
{
    RUN(what_differs_is_left_out);
    RUN(the_same_reason_has_the_same_id);
    RUN(a_text_without_end_is_cut);
    RUN(names_are_read_back);
    return check_end();
}
