/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route_test.c: which way, and which hosts, with a configuration, accounts and a simulated DNS. */
#include "delivery/route.h"

#include "config/config.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>

static struct config *config;
static struct accounts *accounts;
static struct arena arena;

static const char settings[] =
    "server { hostname mx.here.example; }\n"
    "route gateway { domain inside.example .sub.example; to lmtp://198.51.100.9:24; }\n"
    "route boss { sender boss@here.example; to smtps://smtp.provider.example; }\n"
    "route straight { domain direct.example; to mx; }\n";

static void
dns(const char *name, enum dns_type type, uint16_t preference, const char *value)
{
    struct dns_record record = { .preference = preference };

    if (type == DNS_MX)
        record.name = str_from(value);
    else
        CHECK(ipaddr_parse(str_from(value), &record.addr));
    sim_dns_add(name, type, &record, false);
}

static struct route
choose(const char *recipient, const char *sender)
{
    struct route route = {};
    struct route_facts facts = { .recipient = str_from(recipient), .sender = str_from(sender) };

    CHECK(route_choose(config, accounts, &arena, &facts, &route) == OK);
    return route;
}

static str
key(const char *recipient, const char *sender)
{
    static struct route route;

    route = choose(recipient, sender);
    return str_from(route.key);
}

static struct route_hosts
hosts_of(const char *recipient)
{
    static struct endpoint own;
    struct route_self self = { config->server.hostname, &own, 1 };
    struct route route = choose(recipient, "me@else.example");
    struct route_hosts hosts = {};

    own.port = 25;
    CHECK(ipaddr_parse(S("198.51.100.200"), &own.addr));
    CHECK(route_find_hosts(config, &self, &arena, &route, 1, &hosts) == OK);
    return hosts;
}

static str
addr_text(const struct route_host *host)
{
    static char text[IPADDR_TEXT_MAX];

    ipaddr_format(host->endpoint.addr, text);
    return str_from(text);
}

/* --- Ways. */

static void
what_lives_here_stays_here(void)
{
    CHECK_STR(key("ann@here.example", "me@else.example"), "local:here.example");
    CHECK_STR(key("ann+detail@Here.Example", "me@else.example"), "local:here.example");
    CHECK_STR(key("nobody@here.example", "me@else.example"), "local:here.example");
    CHECK_STR(key("all@inside.example", "me@else.example"), "local:inside.example");
}

static void
a_route_by_domain_takes_even_what_is_ours(void)
{
    CHECK_STR(key("tom@inside.example", "me@else.example"), "route:gateway");
    CHECK_STR(key("x@deep.sub.example", "me@else.example"), "route:gateway");
    CHECK_STR(key("x@sub.example", "me@else.example"), "mx:sub.example");
}

static void
a_route_by_sender_takes_what_goes_out(void)
{
    struct route route = choose("x@far.example", "Boss@here.example");

    CHECK(route.kind == ROUTE_RELAY && route.relay.kind == RELAY_SMTPS);
    CHECK_STR(str_from(route.key), "route:boss");
    CHECK_STR(key("ann@here.example", "boss@here.example"), "local:here.example");
    CHECK_STR(key("x@direct.example", "boss@here.example"), "mx:direct.example");
}

static void
what_needs_no_tls_does_not_wait_with_what_does(void)
{
    struct route_facts facts = { .recipient = S("x@Far.Example"),
                                 .sender = S("me@else.example"),
                                 .lane = S("personal"),
                                 .tls_wish = TLS_OPTIONAL };
    struct route route;

    CHECK(route_choose(config, accounts, &arena, &facts, &route) == OK);
    CHECK_STR(str_from(route.key), "mx-optional:far.example");
    CHECK_STR(route.domain, "far.example");
    facts.tls_wish = TLS_REQUIRED;
    CHECK(route_choose(config, accounts, &arena, &facts, &route) == OK);
    CHECK_STR(str_from(route.key), "mx:far.example");
}

static void
everything_else_goes_by_its_mx(void)
{
    CHECK_STR(key("x@Far.Example", "me@else.example"), "mx:far.example");
    CHECK_STR(key("x@b\xc3\xbc\x63her.example", "me@else.example"), "mx:xn--bcher-kva.example");
    CHECK_STR(key("x@[198.51.100.1]", "me@else.example"), "mx:[198.51.100.1]");
}

/* --- Hosts. */

static void
hosts_come_by_preference_with_both_families_in_turn(void)
{
    struct route_hosts hosts;

    dns("far.example", DNS_MX, 20, "b.far.example");
    dns("far.example", DNS_MX, 10, "a.far.example");
    dns("a.far.example", DNS_A, 0, "198.51.100.1");
    dns("a.far.example", DNS_A, 0, "198.51.100.2");
    dns("a.far.example", DNS_AAAA, 0, "2001:db8::1");
    dns("b.far.example", DNS_A, 0, "198.51.100.3");
    hosts = hosts_of("x@far.example");
    CHECK(hosts.count == 4 && hosts.has_mx && hosts.answer.code == 0);
    CHECK_STR(addr_text(&hosts.hosts[0]), "2001:db8::1");
    CHECK(ipaddr_is_v4(hosts.hosts[1].endpoint.addr) && ipaddr_is_v4(hosts.hosts[2].endpoint.addr));
    CHECK_STR(addr_text(&hosts.hosts[3]), "198.51.100.3");
    CHECK(hosts.hosts[0].endpoint.port == 25 && hosts.hosts[3].preference == 20);
    CHECK_STR(str_from(hosts.site), "a.far.example,b.far.example");
}

static void
without_mx_the_domains_own_address_serves(void)
{
    struct route_hosts hosts;

    dns("plain.example", DNS_A, 0, "198.51.100.5");
    hosts = hosts_of("x@plain.example");
    CHECK(hosts.count == 1 && !hosts.has_mx);
    CHECK_STR(addr_text(&hosts.hosts[0]), "198.51.100.5");
    hosts = hosts_of("x@[IPv6:2001:db8::7]");
    CHECK(hosts.count == 1);
    CHECK_STR(addr_text(&hosts.hosts[0]), "2001:db8::7");
}

static void
what_takes_no_mail_is_told_apart_from_what_fails_now(void)
{
    dns("null.example", DNS_MX, 0, "");
    dns("empty.example", DNS_TXT, 0, "198.51.100.1");
    dns("homeless.example", DNS_MX, 10, "nohost.example");
    sim_dns_fail("broken.example", DNS_TEMPORARY);
    sim_dns_fail("forged.example", DNS_BOGUS);
    dns("half.example", DNS_MX, 10, "broken.example");
    CHECK(hosts_of("x@null.example").answer.code == 556);
    CHECK_STR(str_from(hosts_of("x@null.example").answer.enhanced), "5.1.10");
    CHECK(hosts_of("x@nxdomain.example").answer.code == 550);
    CHECK_STR(str_from(hosts_of("x@nxdomain.example").answer.enhanced), "5.1.2");
    CHECK_STR(str_from(hosts_of("x@empty.example").answer.enhanced), "5.1.2");
    CHECK_STR(str_from(hosts_of("x@homeless.example").answer.enhanced), "5.4.4");
    CHECK_STR(str_from(hosts_of("x@broken.example").answer.enhanced), "4.4.3");
    CHECK_STR(str_from(hosts_of("x@half.example").answer.enhanced), "4.4.3");
    CHECK(hosts_of("x@forged.example").answer.code == 451);
    CHECK_STR(str_from(hosts_of("x@forged.example").answer.enhanced), "4.7.5");
}

static void
mail_never_loops_back_to_us(void)
{
    struct route_hosts hosts;

    dns("backup.example", DNS_MX, 10, "main.backup.example");
    dns("backup.example", DNS_MX, 20, "MX.here.example");
    dns("backup.example", DNS_MX, 30, "last.backup.example");
    dns("main.backup.example", DNS_A, 0, "198.51.100.11");
    dns("last.backup.example", DNS_A, 0, "198.51.100.12");
    hosts = hosts_of("x@backup.example");
    CHECK(hosts.count == 1);
    CHECK_STR(hosts.hosts[0].name, "main.backup.example");
    dns("ours.example", DNS_MX, 10, "alias-of-us.example");
    dns("alias-of-us.example", DNS_A, 0, "198.51.100.200");
    hosts = hosts_of("x@ours.example");
    CHECK(hosts.count == 0 && hosts.answer.code == 554);
    CHECK_STR(str_from(hosts.answer.enhanced), "5.4.6");
    CHECK(hosts_of("x@[198.51.100.200]").answer.code == 554);
}

/* Beyond the room for names a digest tells lists apart that begin alike. */
static void
long_lists_of_hosts_are_told_apart_by_a_digest(void)
{
    char *one, *two;

    for (unsigned i = 0; i < 10; i++) {
        char host[64];
        (void)snprintf(host, sizeof(host), "a-host-with-a-long-name-%u.provider.example", i);
        dns("long.example", DNS_MX, 10, host);
        if (i < 9)
            dns("other.example", DNS_MX, 10, host);
        dns(host, DNS_A, 0, "198.51.100.31");
    }
    one = str_dup(str_from(hosts_of("x@long.example").site));
    two = str_dup(str_from(hosts_of("x@other.example").site));
    CHECK(strlen(one) > 130 && strlen(one) < sizeof(((struct route_hosts *)0)->site) - 8);
    CHECK(strncmp(one, two, 60) == 0 && strcmp(one, two) != 0);
    CHECK(strspn(strrchr(one, '.') + 1, "0123456789abcdef") == 64);
    free(one);
    free(two);
}

static void
a_site_is_named_by_any_of_its_hosts_also_when_the_dns_is_signed(void)
{
    CHECK(route_site_has(S("a.example,b.example"), S("B.example")));
    CHECK(route_site_has(S("a.example,b.example/dnssec"), S("b.example")));
    CHECK(route_site_has(S("a.example,b.example/dnssec"), S("a.example")));
    CHECK(route_site_has(S("a.example/dnssec"), S("a.example/dnssec")));
    CHECK(!route_site_has(S("a.example,b.example/dnssec"), S("c.example")));
}

static void
domains_of_one_provider_share_their_site(void)
{
    dns("one.example", DNS_MX, 10, "m1.provider.example");
    dns("one.example", DNS_MX, 20, "m2.provider.example");
    dns("two.example", DNS_MX, 5, "m2.provider.example");
    dns("two.example", DNS_MX, 1, "m1.provider.example");
    dns("m1.provider.example", DNS_A, 0, "198.51.100.21");
    dns("m2.provider.example", DNS_A, 0, "198.51.100.22");
    CHECK(strcmp(hosts_of("x@one.example").site, hosts_of("x@two.example").site) == 0);
    CHECK(strcmp(hosts_of("x@one.example").site, hosts_of("x@far.example").site) != 0);
}

static void
a_relay_is_where_it_was_told_to_be(void)
{
    struct route_hosts hosts = hosts_of("tom@inside.example");

    CHECK(hosts.count == 1 && hosts.hosts[0].endpoint.port == 24);
    CHECK_STR(str_from(hosts.site), "route:gateway");
}

static enum err
explain(const char *recipient, const struct route_self *self, struct buf *text, bool *leads)
{
    struct route_facts facts = { .recipient = str_from(recipient), .sender = S("me@else.example") };

    return route_explain(config, accounts, self, &arena, &facts, text, leads);
}

static void
a_way_is_explained_in_words(void)
{
    struct route_self self = { .hostname = config->server.hostname };
    struct buf text;
    bool leads = false;

    buf_init(&text, 10000);
    CHECK(explain("x@far.example", &self, &text, &leads) == OK);
    CHECK(leads);
    CHECK(str_find_str(buf_str(&text), S("a.far.example at ")) > 0);
    buf_clear(&text);
    CHECK(explain("all@here.example", &self, &text, &leads) == OK);
    CHECK(str_find_str(buf_str(&text), S("ann@here.example")) > 0);
    buf_clear(&text);
    CHECK(explain("x@null.example", &self, &text, &leads) == OK);
    CHECK(!leads);
    CHECK(str_find_str(buf_str(&text), S("556 5.1.10")) > 0);
    buf_done(&text);
}

/* --- Sources, fallbacks, facts. */

static const char pools[] =
    "server { hostname mx.here.example; }\n"
    "source a { address 192.0.2.1; weight 1; }\n"
    "source b { address 192.0.2.2 2001:db8::2; weight 3; helo_name b.here.example; }\n"
    "source spare { weight 0; }\n"
    "delivery { sources a b spare; ip prefer-4; }\n"
    "route big { size_over 1M; account ann@here.example; to smtp://big.example; sources a; ip 4; "
    "}\n"
    "route list { lane bulk; door submission; to mx; sources b; ip 6; }\n"
    "route net { network 198.51.100.0/24; to smtp://net.example; }\n"
    "route one { recipient one@far.example; to smtp://one.example; }\n"
    "route fb.example { to smtp://first.example; fallback smtp://second.example:2525;\n"
    "                   fallback_after 2; sources a; }\n";

static struct config *
parse(const char *text)
{
    struct config_problems problems = {};
    struct config *parsed = NULL;

    CHECK(config_parse(str_from(text), "test.conf", &parsed, &problems) == OK);
    for (size_t i = 0; i < problems.count; i++)
        printf("%s\n", problems.items[i].text);
    config_problems_done(&problems);
    return parsed;
}

static struct route
choose_by(const struct config *by, struct route_facts facts)
{
    struct route route = {};

    if (!facts.recipient.len)
        facts.recipient = S("x@far.example");
    if (!facts.lane.len)
        facts.lane = S("personal");
    CHECK(route_choose(by, accounts, &arena, &facts, &route) == OK);
    return route;
}

static msgid
message(uint8_t n)
{
    msgid id = {};

    memcpy(&id, &n, 1);
    return id;
}

static void
every_fact_of_a_block_must_hold(void)
{
    OWN(config) by = parse(pools);
    struct route route;
    ipaddr client;

    CHECK(ipaddr_parse(S("198.51.100.7"), &client));
    route =
        choose_by(by, (struct route_facts){ .size = 2 << 20, .account = S("ann@here.example") });
    CHECK_STR(str_from(route.key), "route:big@a");
    CHECK(route.ip == IP_4);
    route = choose_by(by, (struct route_facts){ .size = 1000, .account = S("ann@here.example") });
    CHECK(str_starts(str_from(route.key), S("mx:far.example@")));
    route = choose_by(by, (struct route_facts){ .lane = S("bulk"), .door = DOOR_SUBMISSION });
    CHECK_STR(str_from(route.key), "mx:far.example@b");
    CHECK(route.ip == IP_6);
    route = choose_by(by, (struct route_facts){ .lane = S("bulk"), .door = DOOR_MX });
    CHECK(route.rule == NULL);
    route = choose_by(by, (struct route_facts){ .client = client });
    CHECK(str_starts(str_from(route.key), S("route:net@")));
    route =
        choose_by(by, (struct route_facts){ .recipient = S("One@far.example"), .client = client });
    CHECK(str_starts(str_from(route.key), S("route:one@")));
}

static void
a_pool_gives_each_source_its_share_and_keeps_to_it(void)
{
    OWN(config) by = parse(pools);
    unsigned of_b = 0;

    for (unsigned i = 0; i < 200; i++) {
        struct route_facts facts = { .id = message((uint8_t)i) };
        struct route route = choose_by(by, facts);
        struct route again;
        facts.attempts = 1;
        again = choose_by(by, facts);
        CHECK(route.source && again.source == route.source);
        CHECK(!str_eq(route.source->name, S("spare")));
        of_b += str_eq(route.source->name, S("b"));
        arena_clear(&arena);
    }
    CHECK(of_b > 120 && of_b < 180); /* Three in four of 200. */
}

static bool
key_is_out(void *arg, const char *key)
{
    const char *const *out = arg;

    for (size_t i = 0; out[i]; i++)
        if (str_ends(str_from(key), str_from(out[i])))
            return true;
    return false;
}

static void
a_source_that_is_out_is_passed_over(void)
{
    OWN(config) by = parse(pools);
    const char *b[] = { "@b", NULL };
    const char *ab[] = { "@a", "@b", NULL };
    const char *every[] = { "@a", "@b", "@spare", NULL };

    for (unsigned i = 0; i < 50; i++) {
        struct route_facts facts = { .id = message((uint8_t)i), .is_out = key_is_out };
        struct route usual = choose_by(by, (struct route_facts){ .id = facts.id });
        struct route route;
        facts.arg = b;
        route = choose_by(by, facts);
        CHECK_STR(route.source->name, "a");
        facts.arg = ab;
        route = choose_by(by, facts);
        CHECK_STR(route.source->name, "spare");
        CHECK(!route.all_out);
        facts.arg = every;
        route = choose_by(by, facts);
        CHECK(route.all_out && route.source == usual.source);
        arena_clear(&arena);
    }
}

static void
a_source_less_moves_only_its_own_share(void)
{
    OWN(config)
    three = parse("source a {}\nsource b {}\nsource c {}\ndelivery { sources a b c; }\n");
    OWN(config) two = parse("source a {}\nsource c {}\ndelivery { sources a c; }\n");

    for (unsigned i = 0; i < 100; i++) {
        struct route_facts facts = { .id = message((uint8_t)i) };
        struct route before = choose_by(three, facts);
        struct route after = choose_by(two, facts);
        CHECK(str_eq(before.source->name, S("b")) ||
              str_eq(before.source->name, after.source->name));
        arena_clear(&arena);
    }
}

static void
a_fallback_stands_in_after_failures_and_outages(void)
{
    OWN(config) by = parse(pools);
    const char *first[] = { "route:fb.example@a", NULL };
    const char *both[] = { "fb.example@a", NULL };
    struct route_facts facts = { .recipient = S("x@fb.example"), .attempts = 1 };

    CHECK_STR(str_from(choose_by(by, facts).key), "route:fb.example@a");
    facts.attempts = 2;
    CHECK_STR(str_from(choose_by(by, facts).key), "fallback:fb.example@a");
    CHECK_STR(choose_by(by, facts).relay.host, "second.example");
    facts.attempts = 0;
    facts.is_out = key_is_out;
    facts.arg = first;
    CHECK_STR(str_from(choose_by(by, facts).key), "fallback:fb.example@a");
    CHECK(!choose_by(by, facts).all_out);
    facts.arg = both;
    CHECK(choose_by(by, facts).all_out);
}

static void
a_source_reaches_only_its_own_families(void)
{
    OWN(config) by = parse("source four { address 192.0.2.1; }\ndelivery { sources four; }\n");
    struct route_self self = { .hostname = S("mx.here.example") };
    struct route_hosts hosts;
    struct route route;

    dns("dual.example", DNS_A, 0, "198.51.100.44");
    dns("dual.example", DNS_AAAA, 0, "2001:db8::44");
    dns("six.example", DNS_AAAA, 0, "2001:db8::66");
    route = choose_by(by, (struct route_facts){ .recipient = S("x@dual.example") });
    CHECK(route_find_hosts(by, &self, &arena, &route, 1, &hosts) == OK);
    CHECK(hosts.count == 1 && ipaddr_is_v4(hosts.hosts[0].endpoint.addr));
    route = choose_by(by, (struct route_facts){ .recipient = S("x@six.example") });
    CHECK(route_find_hosts(by, &self, &arena, &route, 1, &hosts) == OK);
    CHECK(hosts.count == 0 && hosts.answer.code == 451);
    CHECK_STR(str_from(hosts.answer.enhanced), "4.4.4");
}

static void
a_source_without_matching_records_is_warned_of(void)
{
    OWN(config)
    by = parse("source good { address 192.0.2.1; helo_name good.example; }\n"
               "source none { address 192.0.2.2; helo_name none.example; }\n"
               "source other { address 192.0.2.3; helo_name other.example; }\n"
               "source oneway { address 192.0.2.4; helo_name oneway.example; }\n"
               "delivery { sources good none other oneway; }\n");
    struct route_self self = { .hostname = S("mx.here.example") };
    struct route_facts facts = { .recipient = S("x@far.example") };
    struct dns_record record = { .name = S("good.example") };
    struct buf text;
    bool leads;

    sim_dns_add("1.2.0.192.in-addr.arpa", DNS_PTR, &record, false);
    record.name = S("somebody.example");
    sim_dns_add("3.2.0.192.in-addr.arpa", DNS_PTR, &record, false);
    record.name = S("oneway.example");
    sim_dns_add("4.2.0.192.in-addr.arpa", DNS_PTR, &record, false);
    dns("good.example", DNS_A, 0, "192.0.2.1");
    dns("oneway.example", DNS_A, 0, "192.0.2.99");
    buf_init(&text, 10000);
    CHECK(route_explain(by, accounts, &self, &arena, &facts, &text, &leads) == OK);
    CHECK(str_find_str(buf_str(&text), S("192.0.2.1 is good.example, and the DNS says so")) > 0);
    CHECK(str_find_str(buf_str(&text), S("Warning: 192.0.2.2 has no PTR record")) > 0);
    CHECK(str_find_str(buf_str(&text), S("192.0.2.3 names somebody.example, but we say")) > 0);
    CHECK(str_find_str(buf_str(&text), S("PTR record of 192.0.2.4, has not that address")) > 0);
    buf_done(&text);
}

static void
all(void *)
{
    struct config_problems problems = {};
    struct temp_dir dir;
    struct why why = {};
    int64_t id;

    temp_dir_make(&dir);
    arena_init(&arena, 10 * 1024 * 1024);
    CHECK(config_parse(str_from(settings), "test.conf", &config, &problems) == OK);
    for (size_t i = 0; i < problems.count; i++)
        printf("%s\n", problems.items[i].text);
    config_problems_done(&problems);
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, &why) == OK);
    CHECK(accounts_add(accounts, S("ann@here.example"), S(""), &id, &why) == OK);
    CHECK(accounts_add(accounts, S("tom@inside.example"), S(""), &id, &why) == OK);
    CHECK(accounts_add_alias(accounts, S("all@here.example"), S("ann@here.example"), &why) == OK);
    CHECK(accounts_add_alias(accounts, S("all@inside.example"), S("tom@inside.example"), &why) ==
          OK);
    RUN(what_lives_here_stays_here);
    RUN(a_route_by_domain_takes_even_what_is_ours);
    RUN(a_route_by_sender_takes_what_goes_out);
    RUN(everything_else_goes_by_its_mx);
    RUN(what_needs_no_tls_does_not_wait_with_what_does);
    RUN(hosts_come_by_preference_with_both_families_in_turn);
    RUN(without_mx_the_domains_own_address_serves);
    RUN(what_takes_no_mail_is_told_apart_from_what_fails_now);
    RUN(mail_never_loops_back_to_us);
    RUN(domains_of_one_provider_share_their_site);
    RUN(a_site_is_named_by_any_of_its_hosts_also_when_the_dns_is_signed);
    RUN(long_lists_of_hosts_are_told_apart_by_a_digest);
    RUN(a_relay_is_where_it_was_told_to_be);
    RUN(a_way_is_explained_in_words);
    RUN(every_fact_of_a_block_must_hold);
    RUN(a_pool_gives_each_source_its_share_and_keeps_to_it);
    RUN(a_source_that_is_out_is_passed_over);
    RUN(a_source_less_moves_only_its_own_share);
    RUN(a_fallback_stands_in_after_failures_and_outages);
    RUN(a_source_reaches_only_its_own_families);
    RUN(a_source_without_matching_records_is_warned_of);
    accounts_close(accounts);
    config_unref(config);
    arena_done(&arena);
    temp_dir_remove(&dir);
}

int
main(void)
{
    struct runtime_options options = { .simulated = true, .seed = 5 };

    CHECK(runtime_run(&options, all, NULL) == OK);
    return check_end();
}
