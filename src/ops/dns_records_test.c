/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* Which records a domain needs, by the configuration, and which answers of the DNS are they. */
#include "config/config.h"
#include "ops/dns_records.h"

#include "check.h"
#include "runtime/test_cert.h"

#include <stdlib.h>
#include <string.h>

static struct arena arena;
static struct config *config;
static struct dns_wants wants;
static struct dns_facts facts;

/* What is wanted of example.org under the configuration TEXT. */
static void
want(const char *text)
{
    struct config_problems problems = {};
    enum err e = config_parse(str_from(text), "outpost.conf", &config, &problems);

    CHECK(!e);
    for (size_t i = 0; e && i < problems.count; i++)
        printf("%s\n", problems.items[i].text);
    config_problems_done(&problems);
    facts.config = config;
    facts.domain = S("example.org");
    CHECK(!dns_wants_of(&facts, &arena, &wants));
}

static void
done(void)
{
    config_drop(&config);
    arena_clear(&arena);
    facts = (struct dns_facts){};
}

static const struct dns_want *
find(const char *name, enum dns_type type)
{
    for (size_t i = 0; i < wants.count; i++)
        if (str_eq(wants.items[i].name, str_from(name)) && wants.items[i].type == type)
            return &wants.items[i];
    return NULL;
}

static str
value_of(const char *name, enum dns_type type)
{
    const struct dns_want *found = find(name, type);

    return found ? found->value : S("(none)");
}

static void
a_plain_server_is_named_by_mx_spf_dmarc_and_reports(void)
{
    want("server { hostname mail.example.org; }");
    CHECK_STR(value_of("example.org", DNS_MX), "10 mail.example.org.");
    CHECK_STR(value_of("example.org", DNS_TXT), "v=spf1 mx a:mail.example.org -all");
    CHECK_STR(value_of("mail.example.org", DNS_A), "");
    CHECK_STR(value_of("_dmarc.example.org", DNS_TXT),
              "v=DMARC1; p=none; rua=mailto:postmaster@mail.example.org");
    CHECK_STR(value_of("_smtp._tls.example.org", DNS_TXT),
              "v=TLSRPTv1; rua=mailto:postmaster@mail.example.org");
    CHECK(!find("_mta-sts.example.org", DNS_TXT));
    CHECK(!find("_submissions._tcp.example.org", DNS_SRV));
    CHECK(!find("example.org._report._dmarc.mail.example.org", DNS_TXT));
    done();
}

static void
addresses_of_listeners_and_sources_are_in_spf_and_have_ptr(void)
{
    want("server { hostname mail.example.org; }\n"
         "listen smtp { address 192.0.2.1:25 127.0.0.1:25; }\n"
         "delivery { sources a b; }\n"
         "source a { address 192.0.2.7 2001:db8::7; helo_name out.example.org; }\n"
         "source b { address 10.1.2.3; }\n");
    CHECK_STR(value_of("mail.example.org", DNS_A), "192.0.2.1");
    CHECK_STR(value_of("out.example.org", DNS_AAAA), "2001:db8::7");
    CHECK_STR(value_of("7.2.0.192.in-addr.arpa", DNS_PTR), "out.example.org.");
    CHECK_STR(value_of("out.example.org", DNS_TXT), "v=spf1 a -all");
    CHECK_STR(value_of("example.org", DNS_TXT),
              "v=spf1 mx ip4:192.0.2.1 ip4:192.0.2.7 ip6:2001:db8::7 -all");
    CHECK(!find("3.2.1.10.in-addr.arpa", DNS_PTR));
    done();
}

static void
what_comes_back_has_an_mx_and_an_spf_record_below_its_domain(void)
{
    want("server { hostname mail.example.org; }\n"
         "bounces { domain bounces.example.org; srs_domain srs.example.net; }\n");
    CHECK_STR(value_of("bounces.example.org", DNS_MX), "10 mail.example.org.");
    CHECK_STR(value_of("bounces.example.org", DNS_TXT), "v=spf1 mx a:mail.example.org -all");
    CHECK(!find("srs.example.net", DNS_MX));
    done();
}

static void
mail_by_a_relay_is_not_forbidden(void)
{
    want("server { hostname mail.example.org; }\nrelay { to smtp://smtp.example.net; }\n");
    CHECK_STR(value_of("example.org", DNS_TXT), "v=spf1 mx a:mail.example.org ~all");
    CHECK(str_find_str(wants.items[2].what, S("mail leaves by smtp.example.net")) >= 0);
    done();
}

static void
with_a_certificate_there_are_policies_keys_and_services(void)
{
    struct test_cert cert;
    char text[600];
    struct why why;
    str policy;
    char id[STS_ID_SIZE + 1], other[STS_ID_SIZE + 1];

    test_cert_new(&cert, "mail.example.org");
    snprintf(text, sizeof text,
             "server { hostname mail.example.org; postmaster pm@example.net; }\n"
             "tls { certificate %s; key %s; next_key %s; }\n"
             "listen submissions { address :2465; }\nlisten pop3 { }\n",
             cert.cert_file, cert.key_file, cert.key_file);
    CHECK(!tlsa_key_digest(cert.cert_file, facts.tlsa[0], &why));
    CHECK(!tlsa_key_digest(cert.key_file, facts.tlsa[1], &why));
    CHECK(memcmp(facts.tlsa[0], facts.tlsa[1], TLSA_DIGEST_SIZE) == 0);
    CHECK(tlsa_key_digest("/nowhere", facts.tlsa[1], &why) == ERR_NOT_FOUND);
    CHECK(tlsa_key_digest("/dev/null", facts.tlsa[1], &why) == ERR_SYNTAX);
    facts.tlsa_count = 1;
    want(text);
    CHECK_STR(value_of("_submissions._tcp.example.org", DNS_SRV), "0 1 2465 mail.example.org.");
    CHECK_STR(value_of("_pop3._tcp.example.org", DNS_SRV), "10 1 110 mail.example.org.");
    CHECK(!find("_submission._tcp.example.org", DNS_SRV));
    CHECK(str_starts(value_of("_25._tcp.mail.example.org", DNS_TLSA), S("3 1 1 ")));
    CHECK(find("_25._tcp.mail.example.org", DNS_TLSA)->needs_dnssec);
    CHECK_STR(value_of("example.org._report._dmarc.example.net", DNS_TXT), "v=DMARC1");
    CHECK(!sts_policy_text(config, STS_WISH_TESTING, &arena, &policy));
    CHECK_STR(policy,
              "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 86400\r\n");
    sts_policy_id(policy, id);
    CHECK(strlen(id) == STS_ID_SIZE);
    CHECK(str_find_str(value_of("_mta-sts.example.org", DNS_TXT), str_from(id)) > 0);
    CHECK(!sts_policy_text(config, STS_WISH_ENFORCE, &arena, &policy));
    sts_policy_id(policy, other);
    CHECK(strcmp(id, other) != 0);
    unlink(cert.cert_file);
    unlink(cert.key_file);
    done();
}

static void
more_records_than_the_ceiling_are_refused(void)
{
    struct key_info *keys = calloc(DNS_WANTS_MAX, sizeof *keys);

    want("server { hostname mail.example.org; }");
    for (size_t i = 0; i < DNS_WANTS_MAX; i++)
        keys[i] = (struct key_info){ .domain = S("example.org"), .selector = S("k") };
    facts.keys = keys;
    facts.key_count = DNS_WANTS_MAX;
    CHECK(dns_wants_of(&facts, &arena, &wants) == ERR_LIMIT);
    CHECK(wants.count == DNS_WANTS_MAX);
    free(keys);
    done();
}

static enum dns_sight
judge(enum dns_type type, const char *wanted, struct dns_record record, str *other)
{
    struct dns_want one = { .name = S("x"), .type = type, .value = str_from(wanted) };
    struct dns_answer answer = { .status = DNS_FOUND, .records = &record, .count = 1 };

    *other = S("");
    return dns_want_judge(&one, &answer, &arena, other);
}

static void
an_answer_is_seen_other_or_absent(void)
{
    struct dns_record mx = { .preference = 5, .name = S("mail.example.org") };
    struct dns_record srv = { .preference = 0, .port = 465, .name = S("mail.example.org") };
    struct dns_record text = { .data = S("v=spf1 mx  -all") };
    struct dns_record tlsa = { .data = S("\x03\x01\x01\xab\xcd") };
    str other;

    CHECK(judge(DNS_MX, "10 mail.example.org.", mx, &other) == DNS_SIGHT_SEEN);
    CHECK(judge(DNS_MX, "10 mx.example.org.", mx, &other) == DNS_SIGHT_OTHER);
    CHECK_STR(other, "5 mail.example.org.");
    CHECK(judge(DNS_SRV, "0 1 465 mail.example.org.", srv, &other) == DNS_SIGHT_SEEN);
    CHECK(judge(DNS_SRV, "0 1 587 mail.example.org.", srv, &other) == DNS_SIGHT_OTHER);
    CHECK(judge(DNS_TXT, "v=spf1 mx -all", text, &other) == DNS_SIGHT_SEEN);
    CHECK(judge(DNS_TXT, "v=spf1 -all", text, &other) == DNS_SIGHT_OTHER);
    CHECK(judge(DNS_TXT, "v=DMARC1; p=none", text, &other) == DNS_SIGHT_ABSENT);
    CHECK(judge(DNS_TLSA, "3 1 1 abcd", tlsa, &other) == DNS_SIGHT_SEEN);
    CHECK(judge(DNS_TLSA, "3 1 1 abce", tlsa, &other) == DNS_SIGHT_OTHER);
    CHECK_STR(other, "3 1 1 abcd");
    tlsa.data = S("\x03");
    CHECK(judge(DNS_TLSA, "3 1 1 abcd", tlsa, &other) == DNS_SIGHT_OTHER);
}

static void
no_answer_is_unknown_and_any_address_serves_a_web_server(void)
{
    struct dns_record record = { .addr = ipaddr_from_v4(0xc0000201) };
    struct dns_answer answer = { .status = DNS_BOGUS };
    struct dns_want one = { .name = S("x"), .type = DNS_CNAME, .value = S("y."), .loose = true };
    str other;

    CHECK(dns_want_judge(&one, &answer, &arena, &other) == DNS_SIGHT_UNKNOWN);
    answer = (struct dns_answer){ .status = DNS_NO_NAME };
    CHECK(dns_want_judge(&one, &answer, &arena, &other) == DNS_SIGHT_ABSENT);
    answer = (struct dns_answer){ .status = DNS_FOUND, .records = &record, .count = 1 };
    CHECK(dns_want_judge(&one, &answer, &arena, &other) == DNS_SIGHT_SEEN);
}

int
main(void)
{
    arena_init(&arena, 8 << 20);
    RUN(a_plain_server_is_named_by_mx_spf_dmarc_and_reports);
    RUN(addresses_of_listeners_and_sources_are_in_spf_and_have_ptr);
    RUN(what_comes_back_has_an_mx_and_an_spf_record_below_its_domain);
    RUN(mail_by_a_relay_is_not_forbidden);
    RUN(with_a_certificate_there_are_policies_keys_and_services);
    RUN(more_records_than_the_ceiling_are_refused);
    RUN(an_answer_is_seen_other_or_absent);
    RUN(no_answer_is_unknown_and_any_address_serves_a_web_server);
    arena_done(&arena);
    return check_end();
}
