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

    CHECK(route_choose(config, accounts, &arena, str_from(recipient), str_from(sender), &route) ==
          OK);
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

static void
a_way_is_explained_in_words(void)
{
    struct route_self self = { .hostname = config->server.hostname };
    struct buf text;
    bool leads = false;

    buf_init(&text, 10000);
    CHECK(route_explain(config, accounts, &self, &arena, S("x@far.example"), S("me@else.example"),
                        &text, &leads) == OK);
    CHECK(leads);
    CHECK(str_find_str(buf_str(&text), S("a.far.example at ")) > 0);
    buf_clear(&text);
    CHECK(route_explain(config, accounts, &self, &arena, S("all@here.example"),
                        S("me@else.example"), &text, &leads) == OK);
    CHECK(str_find_str(buf_str(&text), S("ann@here.example")) > 0);
    buf_clear(&text);
    CHECK(route_explain(config, accounts, &self, &arena, S("x@null.example"), S(""), &text,
                        &leads) == OK);
    CHECK(!leads);
    CHECK(str_find_str(buf_str(&text), S("556 5.1.10")) > 0);
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
    RUN(hosts_come_by_preference_with_both_families_in_turn);
    RUN(without_mx_the_domains_own_address_serves);
    RUN(what_takes_no_mail_is_told_apart_from_what_fails_now);
    RUN(mail_never_loops_back_to_us);
    RUN(domains_of_one_provider_share_their_site);
    RUN(a_relay_is_where_it_was_told_to_be);
    RUN(a_way_is_explained_in_words);
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
