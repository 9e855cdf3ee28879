/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route.c: from an address to a way.
 *
 * The rules of route_choose(), the first that fits:  an address for what comes back, an alias or a
 * mailbox here; the `route` blocks
 * that name recipients, in the order of the file; the route of the domain in the directory; the
 * other `route` blocks; the block `relay`; the MX records of the domain.  A domain of ours that a
 * route takes is a gateway: its aliases are still expanded here.
 *
 * Then the source, by weighted rendezvous hashing of message and destination: the same at each
 * retry, and a source more or less moves only its own share.  A source that is out at this
 * destination is passed over; when all are, or after enough failures, the way's fallback is taken.
 */
#include "delivery/route.h"

#include "config/config.h"
#include "delivery/returns/return_address.h"
#include "delivery/source_check.h"
#include "formats/address.h"
#include "mail/lane.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
route_answer_set(struct route_answer *to, unsigned code, const char *enhanced, const char *format,
                 ...)
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
    route_answer_set(&route->answer, 553, "5.1.3", "This is not an address");
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

/* An empty list holds for everybody. */
static bool
address_matches(const struct config_texts *list, str address)
{
    ssize_t at = str_find_last(address, '@');
    str domain = at < 0 ? S("") : str_skip(address, (size_t)at + 1);

    for (size_t i = 0; i < list->count; i++) {
        str wanted = list->items[i];
        if (str_eq_nocase(wanted, str_find(wanted, '@') < 0 ? domain : address))
            return true;
    }
    return list->count == 0;
}

static bool
word_matches(const struct config_texts *list, str word)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], word))
            return true;
    return list->count == 0;
}

static bool
network_matches(const struct config_networks *list, ipaddr client)
{
    for (size_t i = 0; i < list->count; i++)
        if (network_holds(&list->items[i], client))
            return true;
    return list->count == 0;
}

static str
door_word(enum door door)
{
    static const char *const words[] = {
        [DOOR_MX] = "mx",         [DOOR_SUBMISSION] = "submission", [DOOR_LOCAL] = "local",
        [DOOR_BOUNCE] = "bounce", [DOOR_REPORT] = "report",
    };

    return str_from(words[door]);
}

static bool
rule_holds(const struct config_route *rule, str domain, const struct route_facts *facts)
{
    return domain_matches(rule, domain) && address_matches(&rule->recipient, facts->recipient) &&
           address_matches(&rule->sender, facts->sender) &&
           address_matches(&rule->account, facts->account) &&
           network_matches(&rule->network, facts->client) &&
           word_matches(&rule->door, door_word(facts->door)) &&
           word_matches(&rule->lane, facts->lane) &&
           (!rule->size_over || facts->size > rule->size_over) &&
           (!rule->size_under || facts->size < rule->size_under);
}

/* The first rule that names recipients (BY_RECIPIENT), or that names none. */
static const struct config_route *
rule_for(const struct config *config, bool by_recipient, str domain,
         const struct route_facts *facts)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *rule = &config->routes[i];
        bool names_some = rule->domain.count > 0 || rule->recipient.count > 0;
        if (names_some == by_recipient && rule_holds(rule, domain, facts))
            return rule;
    }
    return NULL;
}

static void
go_by_rule(struct route *route, const struct config_route *rule, const char *kind, str domain,
           str because)
{
    route->rule = rule;
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
        route_answer_set(&route->answer, 451, "4.3.5", "The route \"%.*s\" (%.*s) cannot be read",
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
go_out(const struct config *config, struct route *route, str domain,
       const struct route_facts *facts)
{
    const struct config_route *rule = rule_for(config, false, domain, facts);

    if (rule)
        go_by_rule(route, rule, "route:", domain, rule->name);
    else if (config->relay.to.kind != RELAY_NONE)
        go_by_rule(route, &config->relay, "relay:", domain, S("the relay for everything"));
    else
        go_mx(route, domain, S("no route says otherwise"));
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

static enum err
choose_way(const struct config *config, struct accounts *accounts, struct arena *arena,
           const struct route_facts *facts, struct route *route)
{
    const struct config_route *rule;
    struct resolution resolution;
    struct address address;
    str domain;
    enum err e;

    *route = (struct route){};
    e = accounts_resolve(accounts, arena, facts->recipient, &resolution);
    if (e)
        return e;
    e = address_parse(facts->recipient, arena, &address);
    if (e == ERR_LIMIT)
        return e;
    domain = e ? S("") : domain_of(arena, &address);
    if (e && resolution.kind == RESOLUTION_NOT_OURS) {
        go_nowhere(route);
        return OK;
    }
    if (return_kind_of(config, accounts, facts->recipient) != RETURN_NONE) {
        go_local(route, domain, S("an address for what comes back"));
        return OK;
    }
    if (resolution.kind == RESOLUTION_ALIAS || resolution.kind == RESOLUTION_LOOP ||
        resolution.kind == RESOLUTION_UNKNOWN) {
        go_local(route, domain, S("an address of this server"));
        return OK;
    }
    rule = rule_for(config, true, domain, facts);
    if (rule)
        go_by_rule(route, rule, "route:", domain, rule->name);
    else if (resolution.kind == RESOLUTION_MAILBOX)
        go_local(route, domain, S("a mailbox of this server"));
    else if (resolution.kind == RESOLUTION_ROUTE && resolution.count > 0)
        return go_by_url(route, arena, resolution.targets[0].route, domain,
                         S("the domain's route"));
    else
        go_out(config, route, domain, facts);
    return OK;
}

/* --- Sources and fallbacks. */

static void
add_source(struct route *route, const struct config_source *source)
{
    size_t len = strlen(route->key);

    if (source && len + 1 + source->name.len < sizeof(route->key))
        (void)snprintf(route->key + len, sizeof(route->key) - len, "@%.*s", STR_ARG(source->name));
    route->source = source;
}

static uint64_t
mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

/* The larger, the sooner it is taken: -WEIGHT / ln(u) with u the hash as a number between 0 and 1
 * gives each source its share of all messages (weighted rendezvous hashing). */
static double
source_score(const struct config_source *source, const struct route *route, msgid id)
{
    uint64_t hash = str_hash((str){ (const char *)&id, sizeof(id) });

    hash = mix(hash ^ str_hash(route->domain));
    hash = mix(hash ^ str_hash(source->name));
    return (double)source->weight / -log(((double)(hash >> 11) + 0.5) / 9007199254740992.0);
}

static bool
is_out(const struct route_facts *facts, const struct route *way, const struct config_source *source)
{
    struct route tried;

    if (!facts->is_out)
        return false;
    tried = *way;
    add_source(&tried, source);
    return facts->is_out(facts->arg, tried.key);
}

/* The best source of POOL that is not out; the best of all, and *ALL_OUT, when all are. */
static const struct config_source *
choose_source(const struct config_pool *pool, const struct route_facts *facts,
              const struct route *route, bool *all_out)
{
    const struct config_source *best = NULL;
    const struct config_source *in = NULL;
    double best_score = -1;
    double in_score = -1;

    for (size_t i = 0; i < pool->count; i++) {
        const struct config_source *source = pool->items[i];
        double score = source_score(source, route, facts->id);
        if (score > best_score) {
            best = source;
            best_score = score;
        }
        if (score > in_score && !is_out(facts, route, source)) {
            in = source;
            in_score = score;
        }
    }
    *all_out = !in;
    return in ? in : best;
}

static bool
has_fallback(const struct route *route)
{
    return route->rule && route->rule->fallback.kind != RELAY_NONE;
}

static void
go_by_fallback(struct route *route)
{
    const struct config_route *rule = route->rule;

    route->kind = ROUTE_RELAY;
    route->relay = rule->fallback;
    route->is_fallback = true;
    set_key(route, "fallback:", rule->name.len ? rule->name : S("relay"));
}

static enum ip_wish
ip_of(const struct config *config, const struct config_route *rule)
{
    enum ip_wish ip = rule ? rule->ip : IP_AUTO;

    if (ip == IP_AUTO)
        ip = config->delivery.ip;
    if (ip == IP_AUTO)
        ip = config->delivery.prefer_ipv6 ? IP_PREFER_6 : IP_PREFER_4;
    return ip;
}

/* Where from, and whether by the fallback. */
static void
finish_way(const struct config *config, const struct route_facts *facts, struct route *route)
{
    const struct config_pool *pool = config_pool_of(config, route->rule);
    struct route first = *route;
    bool all_out = false;

    route->ip = ip_of(config, route->rule);
    if (has_fallback(route) && facts->attempts >= route->rule->fallback_after)
        go_by_fallback(route);
    if (pool->count) {
        add_source(route, choose_source(pool, facts, route, &all_out));
    } else if (has_fallback(route)) {
        all_out = is_out(facts, route, NULL);
    }
    route->all_out = all_out;
    if (!all_out || !has_fallback(route) || route->is_fallback)
        return;
    first.ip = route->ip;
    *route = first;
    go_by_fallback(route);
    if (pool->count)
        add_source(route, choose_source(pool, facts, route, &all_out));
    else
        all_out = is_out(facts, route, NULL);
    route->all_out = all_out;
}

/* What makes others of a domain wait, a certificate that does not fit, does not concern a message
 * with "TLS-Required: No" (RFC 8689): its way is another one. */
static void
go_on(const struct config *config, const struct route_facts *facts, struct route *route)
{
    if (route->kind == ROUTE_MX && facts->tls_wish == TLS_OPTIONAL)
        set_key(route, "mx-optional:", route->domain);
    if (route->kind == ROUTE_MX || route->kind == ROUTE_RELAY)
        finish_way(config, facts, route);
}

enum err
route_choose(const struct config *config, struct accounts *accounts, struct arena *arena,
             const struct route_facts *facts, struct route *route)
{
    enum err e = choose_way(config, accounts, arena, facts, route);

    if (!e)
        go_on(config, facts, route);
    return e;
}

enum err
route_by_url(const struct config *config, struct arena *arena, str url,
             const struct route_facts *facts, struct route *route)
{
    struct address address;
    enum err e = address_parse(facts->recipient, arena, &address);

    *route = (struct route){};
    if (e == ERR_LIMIT)
        return e;
    e = go_by_url(route, arena, url, e ? S("") : domain_of(arena, &address),
                  S("an operator's wish"));
    if (!e)
        go_on(config, facts, route);
    return e;
}

bool
route_another(const struct config *config, const struct route_facts *facts,
              const struct route *route, struct route *other)
{
    *other = *route;
    if (route->source)
        other->key[strlen(other->key) - route->source->name.len - 1] = '\0';
    other->source = NULL;
    if (!config_pool_of(config, route->rule)->count && !has_fallback(route))
        return false;
    finish_way(config, facts, other);
    return !other->all_out && strcmp(other->key, route->key) != 0;
}

void
route_facts_of(const struct envelope *envelope, struct route_facts *facts)
{
    *facts = (struct route_facts){
        .id = envelope->id,
        .sender = envelope->reverse_path,
        .account = envelope->account,
        .client = envelope->client.addr,
        .door = envelope->door,
        .size = envelope->size,
        .lane = str_from(lane_name(envelope->lane)),
        .tls_wish = envelope->tls_wish,
    };
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
explain_targets(const struct config *config, struct accounts *accounts, struct arena *arena,
                str recipient, struct buf *text)
{
    static const char *const texts[] = {
        [RETURN_REPORT] = "Reports of the message that left with this sender are read, and go on "
                          "to its sender.\n",
        [RETURN_SRS] = "It goes back to whose mail an alias has sent on.\n",
        [RETURN_COMPLAINT] = "Complaints are read here.\n",
        [RETURN_POSTMASTER] = "It goes to the postmaster.\n",
        [RETURN_UNKNOWN] = "Nobody has this address: 550 5.1.1\n",
    };
    enum return_kind kind = return_kind_of(config, accounts, recipient);
    struct resolution resolution;

    if (kind != RETURN_NONE)
        buf_add(text, str_from(texts[kind]));
    if (kind != RETURN_NONE && kind != RETURN_COMPLAINT)
        return kind != RETURN_UNKNOWN;
    if (accounts_resolve(accounts, arena, recipient, &resolution))
        return false;
    if (kind == RETURN_NONE && resolution.kind == RESOLUTION_UNKNOWN)
        buf_add(text, S("The domain is ours, but nobody has this address: 550 5.1.1\n"));
    if (resolution.kind == RESOLUTION_LOOP)
        buf_add(text, S("Its aliases lead in a circle: 554 5.4.6\n"));
    for (size_t i = 0; i < resolution.count; i++) {
        const struct resolution_target *target = &resolution.targets[i];
        buf_addf(text, "%s %.*s\n",
                 target->kind == TARGET_MAILBOX ? "To the mailbox" : "On to the address",
                 STR_ARG(target->address));
    }
    return resolution.count > 0 || kind == RETURN_COMPLAINT;
}

static const char *
relay_scheme(enum relay_kind kind)
{
    switch (kind) {
    case RELAY_LMTP:
        return "lmtp://";
    case RELAY_SMTPS:
        return "smtps://";
    case RELAY_HTTP:
        return "http://";
    case RELAY_HTTPS:
        return "https://";
    case RELAY_PIPE:
        return "pipe:";
    default:
        return "smtp://";
    }
}

WAITS static enum err
explain_source(const struct config *config, const struct route *route, struct arena *arena,
               struct buf *text)
{
    const struct config_source *source = route->source;
    const struct config_pool *pool = config_pool_of(config, route->rule);
    enum err e = source ? OK : source_check(config, NULL, arena, text);

    if (source && pool->count > 1)
        buf_addf(text, "It leaves from one of %zu sources, the same one at each attempt.\n",
                 pool->count);
    for (size_t i = 0; !e && source && i < pool->count; i++) {
        const struct config_source *one = pool->items[i];
        buf_addf(text, "From source %.*s, weight %u, as %.*s%s\n", STR_ARG(one->name), one->weight,
                 STR_ARG(one->helo_name),
                 one->socks5.count  ? ", through its SOCKS5 proxy"
                 : one->proxy.count ? ", through its proxy"
                                    : "");
        e = source_check(config, one, arena, text);
    }
    if (has_fallback(route) && !route->is_fallback)
        buf_addf(text, "After %u failed attempts, or when no host answers, it goes to %.*s%.*s.\n",
                 route->rule->fallback_after, STR_ARG(route->rule->fallback.host),
                 STR_ARG(route->rule->fallback.path));
    return e;
}

enum err
route_explain(const struct config *config, struct accounts *accounts, const struct route_self *self,
              struct arena *arena, const struct route_facts *facts, struct buf *text, bool *leads)
{
    struct route_hosts hosts;
    struct route route;
    enum err e = route_choose(config, accounts, arena, facts, &route);

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
        *leads = explain_targets(config, accounts, arena, facts->recipient, text);
        return OK;
    case ROUTE_RELAY:
        buf_addf(text, "Goes to the relay %s%.*s%.*s (%.*s).\n", relay_scheme(route.relay.kind),
                 STR_ARG(route.relay.host), STR_ARG(route.relay.path), STR_ARG(route.because));
        break;
    case ROUTE_MX:
        buf_addf(text, "Goes to the mail hosts of %.*s (%.*s).\n", STR_ARG(route.domain),
                 STR_ARG(route.because));
        break;
    }
    e = explain_source(config, &route, arena, text);
    if (!e)
        e = route_find_hosts(config, self, arena, &route, 1, &hosts);
    if (!e)
        *leads = explain_hosts(&hosts, text);
    return e;
}
