/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* connections_test.c: the ceiling of conversations for each client address. */
#include "servers/connections.h"

#include "check.h"

static ipaddr
addr(const char *text)
{
    ipaddr parsed = { 0 };

    CHECK(ipaddr_parse(str_from(text), &parsed));
    return parsed;
}

static void
an_address_may_have_no_more_than_its_ceiling(void)
{
    struct connections *c = connections_new();

    CHECK(connections_enter(c, addr("192.0.2.1"), 2));
    CHECK(connections_enter(c, addr("192.0.2.1"), 2));
    CHECK(!connections_enter(c, addr("192.0.2.1"), 2));
    CHECK(connections_enter(c, addr("192.0.2.2"), 2));
    connections_leave(c, addr("192.0.2.1"));
    CHECK(connections_enter(c, addr("192.0.2.1"), 2));
    CHECK(connections_count(c, addr("192.0.2.1")) == 2);
    connections_free(c);
}

static void
a_network_of_ipv6_counts_as_one_client(void)
{
    struct connections *c = connections_new();

    CHECK(connections_enter(c, addr("2001:db8::1"), 1));
    CHECK(!connections_enter(c, addr("2001:db8::2"), 1));
    CHECK(connections_enter(c, addr("2001:db8:0:1::1"), 1));
    connections_leave(c, addr("2001:db8::7"));
    CHECK(connections_count(c, addr("2001:db8::1")) == 0);
    connections_free(c);
}

int
main(void)
{
    RUN(an_address_may_have_no_more_than_its_ceiling);
    RUN(a_network_of_ipv6_counts_as_one_client);
    return check_end();
}
