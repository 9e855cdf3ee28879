/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* source_check.c: address, PTR, EHLO name and back; start reading at source_check(). */
#include "delivery/source_check.h"

#include "config/config.h"
#include "runtime/clock.h"
#include "runtime/dns.h"

/* Whether HELO has ADDR among its addresses. */
WAITS static enum err
leads_back(const struct config *config, struct arena *arena, str helo, ipaddr addr, bool *does)
{
    struct dns_answer answer;
    enum err e = dns_lookup(arena, helo, ipaddr_is_v4(addr) ? DNS_A : DNS_AAAA,
                            deadline_in(config->dns.timeout), &answer);

    *does = false;
    for (size_t i = 0; !e && answer.status == DNS_FOUND && i < answer.count; i++)
        if (ipaddr_eq(answer.records[i].addr, addr))
            *does = true;
    return e == ERR_SYNTAX ? OK : e;
}

static bool
names(const struct dns_answer *answer, str helo)
{
    for (size_t i = 0; i < answer->count; i++)
        if (str_eq_nocase(answer->records[i].name, helo))
            return true;
    return false;
}

WAITS static enum err
check_address(const struct config *config, struct arena *arena, str helo, ipaddr addr,
              struct buf *text)
{
    char shown[IPADDR_TEXT_MAX];
    struct dns_answer answer;
    bool back = false;
    enum err e = dns_reverse(arena, addr, deadline_in(config->dns.timeout), &answer);

    if (!e)
        e = leads_back(config, arena, helo, addr, &back);
    if (e)
        return e;
    ipaddr_format(addr, shown);
    if (answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS)
        buf_addf(text, "Warning: the PTR record of %s cannot be looked up: %s\n", shown,
                 answer.why);
    else if (answer.status != DNS_FOUND || answer.count == 0)
        buf_addf(text,
                 "Warning: %s has no PTR record, and many receivers refuse it; let whoever gave "
                 "you the address set it to %.*s\n",
                 shown, STR_ARG(helo));
    else if (!names(&answer, helo))
        buf_addf(text, "Warning: the PTR record of %s names %.*s, but we say %.*s in EHLO\n", shown,
                 STR_ARG(answer.records[0].name), STR_ARG(helo));
    else if (!back)
        buf_addf(text, "Warning: %.*s, named by the PTR record of %s, has not that address\n",
                 STR_ARG(helo), shown);
    else
        buf_addf(text, "%s is %.*s, and the DNS says so both ways\n", shown, STR_ARG(helo));
    return OK;
}

enum err
source_check(const struct config *config, const struct config_source *source, struct arena *arena,
             struct buf *text)
{
    const struct config_addrs *addrs = source ? &source->address : &config->delivery.source;
    str helo = source ? source->helo_name : config->delivery.helo_name;
    enum err e = OK;

    for (size_t i = 0; !e && i < addrs->count; i++)
        if (!ipaddr_is_loopback(addrs->items[i]))
            e = check_address(config, arena, helo, addrs->items[i], text);
    return e;
}
