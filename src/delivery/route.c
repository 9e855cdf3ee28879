/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route.c: from an address to a way, from a way to hosts.
 *
 * The rules of route_choose(), the first that fits:  an alias or a mailbox here; the `route` blocks
 * by recipient domain, in the order of the file; the route of the domain in the directory; the
 * `route` blocks by sender; the block `relay`; the MX records of the domain.  A domain of ours that
 * a route takes is a gateway: its aliases are still expanded here.
 *
 * Hosts: RFC 5321 5.1, null MX RFC 7505, loops RFC 5321 5.1 (a host of ours and all that are not
 * better).
 */
#include "delivery/route.h"

#include "base/rand.h"
#include "config/config.h"
#include "formats/address.h"
#include "runtime/clock.h"
#include "runtime/dns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Ways. */

PRINTF_LIKE(4, 5)
static void
answer(struct route_answer *to, unsigned code, const char *enhanced, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(to->text, sizeof(to->text), format, args);
    va_end(args);
    to->code = (uint16_t)code;
    (void)snprintf(to->enhanced, sizeof(to->enhanced), "%s", enhanced);
}

static void
set_key(struct route *route, const char *kind, str name)
{
    size_t kind_len = strlen(kind);
    size_t len = MIN(name.len, sizeof(route->key) - kind_len - 1);

    memcpy(route->key, kind, kind_len);
    for (size_t i = 0; i < len; i++)
        route->key[kind_len + i] = name.ptr[i];
    route->key[kind_len + len] = '\0';
}

static void
go_nowhere(struct route *route)
{
    route->kind = ROUTE_NONE;
    set_key(route, "none:", S(""));
    answer(&route->answer, 553, "5.1.3", "This is not an address");
}

static void
go_local(struct route *route, str domain, str because)
{
    route->kind = ROUTE_LOCAL;
    route->domain = domain;
    route->because = because;
    set_key(route, "local:", domain);
}

static void
go_mx(struct route *route, str domain, str because)
{
    route->kind = ROUTE_MX;
    route->domain = domain;
    route->because = because;
    set_key(route, "mx:", domain);
}

static bool
domain_matches(const struct config_route *rule, str domain)
{
    for (size_t i = 0; i < rule->domain.count; i++) {
        str wanted = rule->domain.items[i];
        if (str_eq(wanted, S("*")) || str_eq_nocase(wanted, domain))
            return true;
        if (str_starts(wanted, S(".")) && str_ends_nocase(domain, wanted))
            return true;
    }
    return rule->domain.count == 0;
}

static bool
sender_matches(const struct config_route *rule, str sender)
{
    ssize_t at = str_find_last(sender, '@');
    str domain = at < 0 ? S("") : str_skip(sender, (size_t)at + 1);

    for (size_t i = 0; i < rule->sender.count; i++) {
        str wanted = rule->sender.items[i];
        if (str_eq_nocase(wanted, str_find(wanted, '@') < 0 ? domain : sender))
            return true;
    }
    return rule->sender.count == 0;
}

/* The first rule that names DOMAIN (BY_DOMAIN) or only the sender. */
static const struct config_route *
rule_for(const struct config *config, bool by_domain, str domain, str sender)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *rule = &config->routes[i];
        if ((rule->domain.count > 0) == by_domain && (by_domain || rule->sender.count > 0) &&
            domain_matches(rule, domain) && sender_matches(rule, sender))
            return rule;
    }
    return NULL;
}

static void
go_by_rule(struct route *route, const struct config_route *rule, const char *kind, str domain,
           str because)
{
    if (rule->to.kind == RELAY_LOCAL) {
        go_local(route, domain, because);
        return;
    }
    if (rule->to.kind == RELAY_MX || rule->to.kind == RELAY_NONE) {
        go_mx(route, domain, because);
        return;
    }
    route->kind = ROUTE_RELAY;
    route->domain = domain;
    route->relay = rule->to;
    route->because = because;
    set_key(route, kind,
            rule->name.len      ? rule->name
            : rule->to.host.len ? rule->to.host
                                : rule->to.path);
}

static enum err
go_by_url(struct route *route, struct arena *arena, str url, str domain, str because)
{
    struct why why;
    struct relay_target target;
    enum err e = relay_parse_url(arena, url, &target, &why);

    if (e == ERR_LIMIT)
        return e;
    route->domain = domain;
    route->because = because;
    if (e) {
        go_nowhere(route);
        answer(&route->answer, 451, "4.3.5", "The route \"%.*s\" (%.*s) cannot be read",
               STR_ARG(url), STR_ARG(because));
        return OK;
    }
    if (target.kind == RELAY_LOCAL) {
        go_local(route, domain, route->because);
        return OK;
    }
    if (target.kind == RELAY_MX) {
        go_mx(route, domain, route->because);
        return OK;
    }
    route->kind = ROUTE_RELAY;
    route->relay = target;
    set_key(route, "url:", url);
    return OK;
}

static void
go_out(const struct config *config, struct route *route, str domain, str sender)
{
    const struct config_route *rule = rule_for(config, false, domain, sender);

    if (rule)
        go_by_rule(route, rule, "route:", domain, rule->name);
    else if (config->relay.to.kind != RELAY_NONE)
        go_by_rule(route, &config->relay, "relay:", domain, S("the relay for everything"));
    else
        go_mx(route, domain, S("no rule says otherwise"));
}

/* A-labels and lower case; what cannot be brought there stays as it is and fails in the DNS. */
static str
domain_of(struct arena *arena, const struct address *address)
{
    str domain = address->domain;
    str alabel;

    if (domain_literal_parse(domain, NULL) || domain_to_alabel(domain, arena, &alabel))
        return domain;
    return alabel;
}

enum err
route_choose(const struct config *config, struct accounts *accounts, struct arena *arena,
             str recipient, str sender, struct route *route)
{
    const struct config_route *rule;
    struct resolution resolution;
    struct address address;
    str domain;
    enum err e;

    *route = (struct route){};
    e = accounts_resolve(accounts, arena, recipient, &resolution);
    if (e)
        return e;
    e = address_parse(recipient, arena, &address);
    if (e == ERR_LIMIT)
        return e;
    domain = e ? S("") : domain_of(arena, &address);
    if (e && resolution.kind == RESOLUTION_NOT_OURS) {
        go_nowhere(route);
        return OK;
    }
    if (resolution.kind == RESOLUTION_ALIAS || resolution.kind == RESOLUTION_LOOP ||
        resolution.kind == RESOLUTION_UNKNOWN) {
        go_local(route, domain, S("an address of this server"));
        return OK;
    }
    rule = rule_for(config, true, domain, sender);
    if (rule)
        go_by_rule(route, rule, "route:", domain, rule->name);
    else if (resolution.kind == RESOLUTION_MAILBOX)
        go_local(route, domain, S("a mailbox of this server"));
    else if (resolution.kind == RESOLUTION_ROUTE && resolution.count > 0)
        return go_by_url(route, arena, resolution.targets[0].route, domain,
                         S("the domain's route"));
    else
        go_out(config, route, domain, sender);
    return OK;
}

enum err
route_by_url(struct arena *arena, str url, str recipient, struct route *route)
{
    struct address address;
    enum err e = address_parse(recipient, arena, &address);

    *route = (struct route){};
    if (e == ERR_LIMIT)
        return e;
    return go_by_url(route, arena, url, e ? S("") : domain_of(arena, &address),
                     S("an operator's wish"));
}

/* --- Hosts. */

struct search {
    const struct config *config;
    const struct route_self *self;
    struct arena *arena;
    struct route_hosts *hosts;
    struct rand rand;
    unsigned max;
    uint16_t port;
    bool temporary; /* A host's address could not be asked for now. */
    bool bogus;
    bool found_self;
    uint16_t self_preference;
};

static instant
dns_deadline(const struct search *search)
{
    return deadline_in(search->config->dns.timeout);
}

static bool
is_self(const struct search *search, ipaddr addr, uint16_t port)
{
    for (size_t i = 0; i < search->self->endpoint_count; i++)
        if (search->self->endpoints[i].port == port &&
            ipaddr_eq(search->self->endpoints[i].addr, addr))
            return true;
    return false;
}

static void
add_host(struct search *search, str name, ipaddr addr, uint16_t preference, bool secure)
{
    struct route_hosts *hosts = search->hosts;

    if (hosts->count >= search->max)
        return;
    hosts->hosts[hosts->count++] = (struct route_host){
        .name = name,
        .endpoint = { addr, search->port },
        .preference = preference,
        .secure = secure,
    };
}

static void
shuffle(struct search *search, struct dns_record *records, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rand_below(&search->rand, i);
        struct dns_record swapped = records[i - 1];
        records[i - 1] = records[other];
        records[other] = swapped;
    }
}

static void
note_failure(struct search *search, const struct dns_answer *found)
{
    if (found->status == DNS_TEMPORARY)
        search->temporary = true;
    if (found->status == DNS_BOGUS)
        search->temporary = search->bogus = true;
}

/* The addresses of NAME, the two families in turn, so that one of them being broken costs one
 * attempt. */
WAITS static enum err
add_addresses(struct search *search, str name, uint16_t preference, bool secure)
{
    struct dns_answer six, four;
    struct dns_answer *first = search->config->delivery.prefer_ipv6 ? &six : &four;
    struct dns_answer *second = first == &six ? &four : &six;
    enum err e;

    e = dns_lookup(search->arena, name, DNS_AAAA, dns_deadline(search), &six);
    if (!e)
        e = dns_lookup(search->arena, name, DNS_A, dns_deadline(search), &four);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    note_failure(search, &six);
    note_failure(search, &four);
    for (struct dns_answer *found = first;; found = second) {
        for (size_t i = 0; found->status == DNS_FOUND && i < found->count; i++)
            if (is_self(search, found->records[i].addr, search->port))
                return ERR_EXISTS;
        if (found == second)
            break;
    }
    shuffle(search, first->records, first->status == DNS_FOUND ? first->count : 0);
    shuffle(search, second->records, second->status == DNS_FOUND ? second->count : 0);
    for (size_t i = 0;; i++) {
        bool has_first = first->status == DNS_FOUND && i < first->count;
        bool has_second = second->status == DNS_FOUND && i < second->count;
        if (!has_first && !has_second)
            return OK;
        if (has_first)
            add_host(search, name, first->records[i].addr, preference, secure && first->secure);
        if (has_second)
            add_host(search, name, second->records[i].addr, preference, secure && second->secure);
    }
}

static int
compare_records(const void *a, const void *b)
{
    const struct dns_record *one = a;
    const struct dns_record *two = b;

    return (one->preference > two->preference) - (one->preference < two->preference);
}

static int
compare_names(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

/* The sorted names of the hosts; a long list ends in a hash of the whole. */
static enum err
name_site(struct search *search, const struct dns_record *records, size_t count)
{
    str *names = arena_new_array(search->arena, str, count);
    struct buf text;

    if (!names)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++)
        names[i] = records[i].name;
    qsort(names, count, sizeof(*names), compare_names);
    buf_init(&text, 64 * 1024);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !str_eq(names[i], names[i - 1]))
            buf_addf(&text, "%s%.*s", i ? "," : "", STR_ARG(names[i]));
    if (text.len >= sizeof(search->hosts->site)) {
        uint64_t hash = str_hash(buf_str(&text));
        text.len = sizeof(search->hosts->site) - 24;
        buf_addf(&text, "...%016llx", (unsigned long long)hash);
    }
    memcpy(search->hosts->site, buf_cstr(&text), text.len + 1);
    buf_done(&text);
    return OK;
}

/* The hosts of RECORDS, which are in order; stops at ourselves. */
WAITS static enum err
add_exchangers(struct search *search, struct dns_record *records, size_t count, bool secure)
{
    for (size_t i = 0; i < count && search->hosts->count < search->max; i++) {
        enum err e;
        if (search->found_self && records[i].preference >= search->self_preference)
            break;
        if (str_eq_nocase(records[i].name, search->self->hostname))
            e = ERR_EXISTS;
        else
            e = add_addresses(search, records[i].name, records[i].preference, secure);
        if (e == ERR_EXISTS) {
            search->found_self = true;
            search->self_preference = records[i].preference;
            continue;
        }
        if (e)
            return e;
    }
    /* Equals of ours that came before it are no better than we are. */
    while (search->found_self && search->hosts->count > 0 &&
           search->hosts->hosts[search->hosts->count - 1].preference >= search->self_preference)
        search->hosts->count--;
    return OK;
}

static void
explain_no_host(struct search *search, str domain)
{
    struct route_answer *to = &search->hosts->answer;

    if (search->hosts->count > 0 || to->code)
        return;
    if (search->found_self)
        answer(to, 554, "5.4.6", "Mail for %.*s loops back to this server", STR_ARG(domain));
    else if (search->bogus)
        answer(to, 451, "4.7.5", "The DNS answers for the hosts of %.*s fail their DNSSEC check",
               STR_ARG(domain));
    else if (search->temporary)
        answer(to, 451, "4.4.3", "The hosts of %.*s cannot be looked up at the moment",
               STR_ARG(domain));
    else if (search->hosts->has_mx)
        answer(to, 550, "5.4.4", "No mail host of %.*s has an address", STR_ARG(domain));
    else
        answer(to, 550, "5.1.2", "The domain %.*s has no mail host and no address",
               STR_ARG(domain));
}

WAITS static enum err
find_by_address(struct search *search, str domain)
{
    struct dns_record record = { .name = domain };
    enum err e = name_site(search, &record, 1);

    if (!e)
        e = add_exchangers(search, &record, 1, true);
    return e;
}

static bool
is_null_mx(const struct dns_answer *found)
{
    return found->count == 1 && found->records[0].name.len == 0;
}

static size_t
drop_empty_names(struct dns_record *records, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (records[i].name.len > 0)
            records[kept++] = records[i];
    return kept;
}

WAITS static enum err
use_exchangers(struct search *search, struct dns_answer *found)
{
    size_t count = drop_empty_names(found->records, found->count);
    enum err e = name_site(search, found->records, count);

    if (e)
        return e;
    search->hosts->has_mx = true;
    shuffle(search, found->records, count);
    qsort(found->records, count, sizeof(*found->records), compare_records);
    return add_exchangers(search, found->records, count, found->secure);
}

WAITS static enum err
find_by_mx(struct search *search, str domain)
{
    struct route_answer *to = &search->hosts->answer;
    struct dns_answer found;
    enum err e = dns_lookup(search->arena, domain, DNS_MX, dns_deadline(search), &found);

    if (e == ERR_SYNTAX)
        answer(to, 550, "5.1.2", "%.*s is not the name of a domain", STR_ARG(domain));
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    search->hosts->ttl = found.ttl;
    search->hosts->secure = found.secure;
    switch (found.status) {
    case DNS_FOUND:
        if (is_null_mx(&found)) {
            answer(to, 556, "5.1.10", "The domain %.*s takes no mail (null MX)", STR_ARG(domain));
            return OK;
        }
        return use_exchangers(search, &found);
    case DNS_NO_DATA:
        return find_by_address(search, domain);
    case DNS_NO_NAME:
        answer(to, 550, "5.1.2", "The domain %.*s does not exist", STR_ARG(domain));
        return OK;
    case DNS_BOGUS:
        answer(to, 451, "4.7.5", "The DNS answer for %.*s fails its DNSSEC check", STR_ARG(domain));
        return OK;
    default:
        answer(to, 451, "4.4.3", "The domain %.*s cannot be looked up at the moment",
               STR_ARG(domain));
        return OK;
    }
}

static enum err
find_literal(struct search *search, str domain, ipaddr addr)
{
    struct dns_record record = { .name = domain };
    char text[IPADDR_TEXT_MAX];
    str name;

    if (is_self(search, addr, search->port)) {
        search->found_self = true;
        return OK;
    }
    ipaddr_format(addr, text);
    if (!arena_printf(search->arena, &name, "%s", text))
        return ERR_LIMIT;
    add_host(search, name, addr, 0, false);
    return name_site(search, &record, 1);
}

/* A relay is named by the administrator: it may be ourselves under another port or name. */
WAITS static enum err
find_relay(struct search *search, const struct route *route)
{
    static const struct route_self nobody = {};
    const struct relay_target *relay = &route->relay;
    struct dns_record record = { .name = relay->host };
    ipaddr addr;
    enum err e = OK;

    search->self = &nobody;
    search->port = relay->port;
    if (relay->path.len)
        add_host(search, relay->path, (ipaddr){}, 0, false);
    else if (ipaddr_parse(relay->host, &addr))
        add_host(search, relay->host, addr, 0, false);
    else if (relay->mx)
        e = find_by_mx(search, relay->host);
    else
        e = add_exchangers(search, &record, 1, true);
    /* Connections carry the credentials of their route: they are never shared between routes. */
    memcpy(search->hosts->site, route->key,
           MIN(strlen(route->key) + 1, sizeof(search->hosts->site) - 1));
    return e;
}

enum err
route_find_hosts(const struct config *config, const struct route_self *self, struct arena *arena,
                 const struct route *route, uint64_t seed, struct route_hosts *hosts)
{
    struct search search = {
        .config = config,
        .self = self,
        .arena = arena,
        .hosts = hosts,
        .max = MIN(MAX(config->delivery.hosts_max, 1U), (unsigned)ROUTE_HOSTS_MAX),
        .port = (uint16_t)config->delivery.smtp_port,
    };
    str name = route->domain;
    ipaddr addr;
    enum err e;

    *hosts = (struct route_hosts){};
    hosts->hosts = arena_new_array(arena, struct route_host, search.max);
    if (!hosts->hosts)
        return ERR_LIMIT;
    rand_init(&search.rand, seed);
    if (route->kind == ROUTE_RELAY) {
        name = route->relay.host;
        e = find_relay(&search, route);
    } else if (domain_literal_parse(route->domain, &addr)) {
        e = find_literal(&search, route->domain, addr);
    } else {
        e = find_by_mx(&search, route->domain);
    }
    if (!e)
        explain_no_host(&search, name);
    return e;
}

/* --- In words. */

/* False when there is no host. */
static bool
explain_hosts(const struct route_hosts *hosts, struct buf *text)
{
    if (hosts->answer.code) {
        buf_addf(text, "It cannot go anywhere: %u %s %s\n", hosts->answer.code,
                 hosts->answer.enhanced, hosts->answer.text);
        return false;
    }
    for (size_t i = 0; i < hosts->count; i++) {
        const struct route_host *host = &hosts->hosts[i];
        char where[IPADDR_TEXT_MAX + 8];
        endpoint_format(&host->endpoint, where);
        buf_addf(text, "%zu. %.*s at %s", i + 1, STR_ARG(host->name), where);
        if (hosts->has_mx)
            buf_addf(text, ", preference %u", host->preference);
        buf_addf(text, "%s\n", host->secure ? ", signed with DNSSEC" : "");
    }
    return true;
}

/* False when nobody has the address. */
static bool
explain_targets(struct accounts *accounts, struct arena *arena, str recipient, struct buf *text)
{
    struct resolution resolution;

    if (accounts_resolve(accounts, arena, recipient, &resolution))
        return false;
    if (resolution.kind == RESOLUTION_UNKNOWN)
        buf_add(text, S("The domain is ours, but nobody has this address: 550 5.1.1\n"));
    if (resolution.kind == RESOLUTION_LOOP)
        buf_add(text, S("Its aliases lead in a circle: 554 5.4.6\n"));
    for (size_t i = 0; i < resolution.count; i++) {
        const struct resolution_target *target = &resolution.targets[i];
        buf_addf(text, "%s %.*s\n",
                 target->kind == TARGET_MAILBOX ? "To the mailbox" : "On to the address",
                 STR_ARG(target->address));
    }
    return resolution.count > 0;
}

enum err
route_explain(const struct config *config, struct accounts *accounts, const struct route_self *self,
              struct arena *arena, str recipient, str sender, struct buf *text, bool *leads)
{
    struct route_hosts hosts;
    struct route route;
    enum err e = route_choose(config, accounts, arena, recipient, sender, &route);

    if (e)
        return e;
    *leads = false;
    switch (route.kind) {
    case ROUTE_NONE:
        buf_addf(text, "Nowhere: %u %s %s\n", route.answer.code, route.answer.enhanced,
                 route.answer.text);
        return OK;
    case ROUTE_LOCAL:
        buf_addf(text, "Stays here (%.*s).\n", STR_ARG(route.because));
        *leads = explain_targets(accounts, arena, recipient, text);
        return OK;
    case ROUTE_RELAY:
        buf_addf(text, "Goes to the relay %s%.*s%.*s (%.*s).\n",
                 route.relay.kind == RELAY_LMTP    ? "lmtp://"
                 : route.relay.kind == RELAY_SMTPS ? "smtps://"
                                                   : "smtp://",
                 STR_ARG(route.relay.host), STR_ARG(route.relay.path), STR_ARG(route.because));
        break;
    case ROUTE_MX:
        buf_addf(text, "Goes to the mail hosts of %.*s (%.*s).\n", STR_ARG(route.domain),
                 STR_ARG(route.because));
        break;
    }
    e = route_find_hosts(config, self, arena, &route, 1, &hosts);
    if (!e)
        *leads = explain_hosts(&hosts, text);
    return e;
}
