/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_view.c: asks everybody who may be asked for the record of a key.
 *
 * The servers of the zone are those that the NS records of the nearest name above the record tell.
 * A server that is silent tells nobody anything, so that it is passed over while another one
 * answers; silence of a resolver that the operator named is not.  Start reading at
 * dkim_look_everywhere().
 */
#include "ops/dkim_view.h"

#include "config/config.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/dns_ask.h"
#include "trust/dkim_record.h"

enum {
    ASK_SECONDS = 6, /* For one server. */
    CUTS_MAX = 8,    /* Names above the record that are asked for their NS. */
};

const char *
dkim_sight_name(enum dkim_sight sight)
{
    static const char *const names[] = {
        [SIGHT_UNKNOWN] = "unknown",
        [SIGHT_ABSENT] = "absent",
        [SIGHT_OTHER] = "another key",
        [SIGHT_SEEN] = "seen",
    };

    return names[sight];
}

bool
dkim_record_name(struct arena *arena, const struct key_info *key, str *name)
{
    return arena_printf(arena, name, "%.*s._domainkey.%.*s", STR_ARG(key->selector),
                        STR_ARG(key->domain));
}

/* An empty p= is a record like others: of a revoked key it is what shall be seen. */
static bool
publishes(str record, const struct key_info *key)
{
    str p;

    if (dkim_record_same(record, key->record))
        return true;
    return key->state == KEY_REVOKED && dkim_record_key(record, &p) && !str_trim(p).len;
}

static enum dkim_sight
sight_of(const struct dns_answer *answer, const struct key_info *key)
{
    if (answer->status == DNS_NO_NAME || answer->status == DNS_NO_DATA)
        return SIGHT_ABSENT;
    if (answer->status != DNS_FOUND)
        return SIGHT_UNKNOWN;
    for (size_t i = 0; i < answer->count; i++)
        if (publishes(answer->records[i].data, key))
            return SIGHT_SEEN;
    return SIGHT_OTHER;
}

enum err
dkim_look(struct arena *arena, const struct key_info *key, instant deadline, enum dkim_sight *sight)
{
    struct dns_answer answer;
    str name;
    enum err e;

    *sight = SIGHT_UNKNOWN;
    if (!dkim_record_name(arena, key, &name))
        return ERR_LIMIT;
    e = dns_lookup(arena, name, DNS_TXT, deadline, &answer);
    if (!e)
        *sight = sight_of(&answer, key);
    return e;
}

/* OUR_OWN is what holds where the server only points to another name. */
WAITS static enum err
look_at_server(struct arena *arena, const struct endpoint *server, const struct key_info *key,
               instant deadline, enum dkim_sight our_own, enum dkim_sight *sight)
{
    struct dns_answer answer;
    str name;
    enum err e;

    *sight = SIGHT_UNKNOWN;
    if (!dkim_record_name(arena, key, &name))
        return ERR_LIMIT;
    e = dns_ask(arena, server, name, DNS_TXT, MIN(deadline, deadline_in(SECONDS(ASK_SECONDS))),
                &answer);
    if (e)
        return e;
    *sight = sight_of(&answer, key);
    if (answer.status != DNS_FOUND && answer.canonical.len &&
        !str_eq_nocase(answer.canonical, name))
        *sight = our_own;
    return OK;
}

enum err
dkim_look_primary(struct arena *arena, const struct config *config, const struct key_info *key,
                  instant deadline, enum dkim_sight *sight)
{
    const struct config_dns_update *update = config_dns_update(config, key->domain);

    *sight = SIGHT_UNKNOWN;
    if (!update)
        return OK;
    return look_at_server(arena, &update->server.items[0], key, deadline, SIGHT_UNKNOWN, sight);
}

/* --- The servers of the zone. */

/* Those of the nearest name at or above KEY's domain that has any. */
WAITS static enum err
find_zone(struct arena *arena, const struct key_info *key, instant deadline,
          struct dns_answer *servers)
{
    str name, label;
    enum err e =
        arena_printf(arena, &name, "_domainkey.%.*s", STR_ARG(key->domain)) ? OK : ERR_LIMIT;

    *servers = (struct dns_answer){ .status = DNS_NO_NAME };
    for (int cut = 0; !e && cut < CUTS_MAX; cut++) {
        e = dns_lookup(arena, name, DNS_NS, deadline, servers);
        if (e || servers->status == DNS_FOUND || servers->status == DNS_TEMPORARY ||
            servers->status == DNS_BOGUS || !str_split(name, '.', &label, &name))
            break;
    }
    return e;
}

static struct dkim_view *
add_view(struct dkim_views *views, struct arena *arena, str name, const struct endpoint *at)
{
    struct dkim_view *view = &views->items[views->count];
    char addr[IPADDR_TEXT_MAX];

    if (views->count == DKIM_VIEWS_MAX)
        return NULL;
    *view = (struct dkim_view){ .sight = SIGHT_UNKNOWN };
    ipaddr_format(at->addr, addr);
    if (!arena_printf(arena, &view->who, name.len ? "%.*s (%s)" : "%.*s%s", STR_ARG(name), addr))
        return NULL;
    views->count++;
    return view;
}

/* Every address of one server. */
WAITS static enum err
look_at_name(struct arena *arena, const struct key_info *key, str name, instant deadline,
             struct dkim_views *views)
{
    static const enum dns_type types[] = { DNS_A, DNS_AAAA };
    enum err e = OK;

    for (size_t t = 0; !e && t < COUNT_OF(types); t++) {
        struct dns_answer answer;
        e = dns_lookup(arena, name, types[t], deadline, &answer);
        for (size_t i = 0; !e && answer.status == DNS_FOUND && i < answer.count; i++) {
            struct endpoint server = { answer.records[i].addr, 0 };
            struct dkim_view *view = add_view(views, arena, name, &server);
            if (!view)
                return ERR_LIMIT;
            e = look_at_server(arena, &server, key, deadline, views->items[0].sight, &view->sight);
        }
    }
    return e;
}

/* --- Together. */

static void
object(struct dkim_views *views, enum dkim_sight sight, str who)
{
    views->together = sight;
    views->against = who;
}

/* The first who stands against it decides; of the zone's servers, from FIRST on, one must answer.
 */
static void
judge(struct dkim_views *views, size_t first, bool asks_zone)
{
    bool heard = false;

    views->together = SIGHT_SEEN;
    views->against = S("");
    for (size_t i = 0; i < views->count; i++) {
        const struct dkim_view *view = &views->items[i];
        if (i >= first && view->sight == SIGHT_UNKNOWN)
            continue;
        heard = heard || i >= first;
        if (view->sight != SIGHT_SEEN && views->together == SIGHT_SEEN)
            object(views, view->sight, view->who);
    }
    if (asks_zone && !heard && views->together == SIGHT_SEEN)
        object(views, SIGHT_UNKNOWN, S("the servers of the zone"));
}

enum err
dkim_look_everywhere(struct arena *arena, const struct config *config, const struct key_info *key,
                     instant deadline, struct dkim_views *views)
{
    const struct config_endpoints *resolvers = &config->dkim.resolvers;
    struct dns_answer servers = { .count = 0 };
    size_t first;
    enum err e;

    *views = (struct dkim_views){ .count = 1, .items = { { .who = S("our resolver") } } };
    e = dkim_look(arena, key, deadline, &views->items[0].sight);
    for (size_t i = 0; !e && i < resolvers->count; i++) {
        struct dkim_view *view = add_view(views, arena, S(""), &resolvers->items[i]);
        e = view ? look_at_server(arena, &resolvers->items[i], key, deadline, views->items[0].sight,
                                  &view->sight)
                 : ERR_LIMIT;
    }
    first = views->count;
    if (!e && config->dkim.ask_zone)
        e = find_zone(arena, key, deadline, &servers);
    for (size_t i = 0; !e && servers.status == DNS_FOUND && i < servers.count; i++)
        e = look_at_name(arena, key, servers.records[i].name, deadline, views);
    judge(views, first, config->dkim.ask_zone);
    return e;
}
