/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route_hosts.c: from a way to hosts, in the order in which they are to be tried.
 *
 * RFC 5321 5.1, null MX RFC 7505, loops RFC 5321 5.1 (a host of ours and all that are not better).
 * Start reading at route_find_hosts().
 */
#include "base/must.h"
#include "base/rand.h"
#include "config/config.h"
#include "delivery/route.h"
#include "formats/address.h"
#include "runtime/clock.h"
#include "runtime/dns.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    SITE_DIGEST_SIZE = 32
};

struct search {
    const struct config *config;
    const struct route_self *self;
    struct arena *arena;
    struct route_hosts *hosts;
    struct rand rand;
    unsigned max;
    uint16_t port;
    bool four_first;
    bool without_four;
    bool without_six;
    bool temporary; /* A host's address could not be asked for now. */
    bool bogus;
    bool found_self;
    bool family_missing; /* A host was left out since its address is of the wrong family. */
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
    if (ipaddr_is_v4(addr) ? search->without_four : search->without_six) {
        search->family_missing = true;
        return;
    }
    hosts->hosts[hosts->count++] = (struct route_host){
        .name = name,
        .endpoint = { addr, search->port },
        .preference = preference,
        .secure = secure,
    };
}

static void
add_path(struct search *search, str path)
{
    search->hosts->hosts[search->hosts->count++] = (struct route_host){ .name = path };
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

/* The same, by an answer of the DNS. */
static void
add_found(struct search *search, str name, const struct dns_answer *found, size_t at,
          uint16_t preference, bool secure)
{
    size_t before = search->hosts->count;

    add_host(search, name, found->records[at].addr, preference, secure && found->secure);
    if (search->hosts->count > before && !str_eq_nocase(found->canonical, name))
        search->hosts->hosts[before].canonical = found->canonical;
}

/* The addresses of NAME, the two families in turn, so that one of them being broken costs one
 * attempt. */
WAITS static enum err
add_addresses(struct search *search, str name, uint16_t preference, bool secure)
{
    struct dns_answer six, four;
    struct dns_answer *first = search->four_first ? &four : &six;
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
            add_found(search, name, first, i, preference, secure);
        if (has_second)
            add_found(search, name, second, i, preference, secure);
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

/* Behind the name of a site: all marks together. */
enum {
    SITE_MARKS_MAX = sizeof("/dnssec/sts/require/optional")
};

void
route_mark_site(struct route_hosts *hosts, const char *mark)
{
    size_t len = strlen(hosts->site);
    size_t more = strlen(mark) + 1;

    must(len + more <= sizeof(hosts->site));
    memcpy(hosts->site + len, mark, more);
}

/* A connection that was made for a domain without DNSSEC is not proven enough for one that has it:
 * the same hosts are two sites then. */
static void
mark_secure(struct route_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->hosts[i].secure) {
            route_mark_site(hosts, "/dnssec");
            return;
        }
}

bool
route_site_has(str site, str name)
{
    str host;

    if (str_eq_nocase(site, name))
        return true;
    (void)str_split(site, '/', &site, &host); /* Its marks. */
    while (site.len > 0) {
        if (!str_split(site, ',', &host, &site))
            site = S("");
        if (str_eq_nocase(host, name))
            return true;
    }
    return false;
}

/* Whoever finds another list with the same name gets the connections that were made for this one.
 */
static void
shorten(struct buf *text, size_t max)
{
    uint8_t digest[SITE_DIGEST_SIZE];

    must(EVP_Digest(text->data, text->len, digest, NULL, EVP_sha256(), NULL) == 1);
    text->len = max - 3 - (size_t)2 * SITE_DIGEST_SIZE;
    buf_add(text, S("..."));
    for (size_t i = 0; i < SITE_DIGEST_SIZE; i++)
        buf_addf(text, "%02x", digest[i]);
}

/* The sorted names of the hosts; a long list ends in a digest of the whole. */
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
    if (text.len >= sizeof(search->hosts->site) - SITE_MARKS_MAX)
        shorten(&text, sizeof(search->hosts->site) - SITE_MARKS_MAX - 1);
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
        route_answer_set(to, 554, "5.4.6", "Mail for %.*s loops back to this server",
                         STR_ARG(domain));
    else if (search->bogus)
        route_answer_set(to, 451, "4.7.5",
                         "The DNS answers for the hosts of %.*s fail their DNSSEC check",
                         STR_ARG(domain));
    else if (search->temporary)
        route_answer_set(to, 451, "4.4.3", "The hosts of %.*s cannot be looked up at the moment",
                         STR_ARG(domain));
    else if (search->family_missing)
        route_answer_set(to, 451, "4.4.4",
                         "The hosts of %.*s have only %s addresses, which are not used here",
                         STR_ARG(domain), search->without_six ? "IPv6" : "IPv4");
    else if (search->hosts->has_mx)
        route_answer_set(to, 550, "5.4.4", "No mail host of %.*s has an address", STR_ARG(domain));
    else
        route_answer_set(to, 550, "5.1.2", "The domain %.*s has no mail host and no address",
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
        route_answer_set(to, 550, "5.1.2", "%.*s is not the name of a domain", STR_ARG(domain));
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    search->hosts->ttl = found.ttl;
    search->hosts->secure = found.secure;
    switch (found.status) {
    case DNS_FOUND:
        if (is_null_mx(&found)) {
            route_answer_set(to, 556, "5.1.10", "The domain %.*s takes no mail (null MX)",
                             STR_ARG(domain));
            return OK;
        }
        return use_exchangers(search, &found);
    case DNS_NO_DATA:
        return find_by_address(search, domain);
    case DNS_NO_NAME:
        route_answer_set(to, 550, "5.1.2", "The domain %.*s does not exist", STR_ARG(domain));
        return OK;
    case DNS_BOGUS:
        route_answer_set(to, 451, "4.7.5", "The DNS answer for %.*s fails its DNSSEC check",
                         STR_ARG(domain));
        return OK;
    default:
        route_answer_set(to, 451, "4.4.3", "The domain %.*s cannot be looked up at the moment",
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
    size_t key_len = strlen(route->key);
    ipaddr addr;
    enum err e = OK;

    search->self = &nobody;
    search->port = relay->port;
    if (!relay->host.len)
        add_path(search, relay->path);
    else if (ipaddr_parse(relay->host, &addr))
        add_host(search, relay->host, addr, 0, false);
    else if (relay->mx)
        e = find_by_mx(search, relay->host);
    else
        e = add_exchangers(search, &record, 1, true);
    /* Connections carry the credentials of their route: they are never shared between routes.  The
     * source is told apart beside the site. */
    key_len -= route->source ? route->source->name.len + 1 : 0;
    memcpy(search->hosts->site, route->key, MIN(key_len, sizeof(search->hosts->site) - 1));
    return e;
}

/* A source reaches the families of its own addresses; one that names none reaches both. */
static bool
source_reaches(const struct config_source *source, bool four)
{
    if (!source || !source->address.count)
        return true;
    for (size_t i = 0; i < source->address.count; i++)
        if (ipaddr_is_v4(source->address.items[i]) == four)
            return true;
    return false;
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
        .four_first = route->ip == IP_4 || route->ip == IP_PREFER_4,
        .without_four = route->ip == IP_6 || !source_reaches(route->source, true),
        .without_six = route->ip == IP_4 || !source_reaches(route->source, false),
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
    if (!e && config->delivery.dane && route->kind == ROUTE_MX)
        mark_secure(hosts);
    if (!e)
        explain_no_host(&search, name);
    return e;
}
