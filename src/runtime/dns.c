/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns.c: libunbound on our own loops.
 *
 * Each loop has a resolver (cache and all) of its own, made at its first question; libunbound's
 * pluggable events become watches and timers of the loop (dns_events.c).  A question is asked on
 * the loop's own stack, which is deep enough for a validator; the fiber waits and is told.  It may
 * stop to wait (cancelled, deadline): the query then belongs to nobody and is freed when its answer
 * comes. Outside fibers one resolver for all threads is used, which blocks.  Start reading at
 * dns_lookup().
 */
#include "runtime/dns.h"

#include "base/buf.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/dns_inside.h"
#include "runtime/dns_wire.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unistd.h>
#include <unbound-event.h>

enum {
    ZONE_TEXT_MAX = 300,
    CLASS_IN = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3
};

struct stub {
    char *zone;
    struct endpoint server;
};

/* A copy of the options, which the loops read when they make their resolvers. */
static struct {
    bool set;
    char *trust_anchor_file;
    char *hosts_file;
    char **anchors;
    size_t anchor_count;
    struct endpoint *forwarders;
    size_t forwarder_count;
    struct stub *stubs;
    size_t stub_count;
    unsigned generation; /* Counts dns_configure(). */
} config;

static struct {
    pthread_mutex_t lock;
    struct ub_ctx *ctx;
    unsigned generation;
} blocking = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct dns_resolver {
    struct ub_ctx *ctx;
    struct dns_events *events;
    struct link queries;
};

/* Configuration. */

static char *
dup_text(const char *text)
{
    return text ? str_dup(str_from(text)) : NULL;
}

static void
forget_config(void)
{
    for (size_t i = 0; i < config.anchor_count; i++)
        free(config.anchors[i]);
    for (size_t i = 0; i < config.stub_count; i++)
        free(config.stubs[i].zone);
    free(config.trust_anchor_file);
    free(config.hosts_file);
    free(config.anchors);
    free(config.forwarders);
    free(config.stubs);
}

static void *
new_array(size_t count, size_t size)
{
    void *array = calloc(MAX(count, 1), size);

    must(array);
    return array;
}

static void
copy_config(const struct dns_options *options)
{
    unsigned generation = config.generation + 1;

    forget_config();
    memset(&config, 0, sizeof(config));
    config.set = true;
    config.generation = generation;
    config.trust_anchor_file = dup_text(options->trust_anchor_file);
    config.hosts_file = dup_text(options->hosts_file);
    config.anchor_count = options->trust_anchor_count;
    config.anchors = new_array(config.anchor_count, sizeof(char *));
    for (size_t i = 0; i < config.anchor_count; i++)
        config.anchors[i] = dup_text(options->trust_anchors[i]);
    config.forwarder_count = options->forwarder_count;
    config.forwarders = new_array(config.forwarder_count, sizeof(struct endpoint));
    for (size_t i = 0; i < config.forwarder_count; i++)
        config.forwarders[i] = options->forwarders[i];
    config.stub_count = options->stub_count;
    config.stubs = new_array(config.stub_count, sizeof(struct stub));
    for (size_t i = 0; i < config.stub_count; i++)
        config.stubs[i] =
            (struct stub){ dup_text(options->stubs[i].zone), options->stubs[i].server };
}

/* What libunbound says about a setting that it does not take. */
static enum err
check(int result, const char *what, const char *value, struct why *why)
{
    if (result == 0)
        return OK;
    return err_why(why, ERR_SYNTAX, "DNS: %s \"%s\": %s", what, value, ub_strerror(result));
}

static void
server_text(const struct endpoint *server, char text[IPADDR_TEXT_MAX + 8])
{
    char addr[IPADDR_TEXT_MAX];

    ipaddr_format(server->addr, addr);
    snprintf(text, IPADDR_TEXT_MAX + 8, "%s@%u", addr, server->port ? server->port : 53U);
}

/* Zones that the root says do not exist, so that validation could only call them bogus. */
static bool
is_private_zone(str zone)
{
    static const char *const tops[] = {
        "test", "internal", "local", "lan", "home.arpa", "invalid"
    };

    for (size_t i = 0; i < COUNT_OF(tops); i++) {
        str top = str_from(tops[i]);
        if (str_eq_nocase(zone, top))
            return true;
        if (zone.len > top.len && str_ends_nocase(zone, top) &&
            zone.ptr[zone.len - top.len - 1] == '.')
            return true;
    }
    return false;
}

/* Whether a trust anchor for ZONE, or for one below or above it, is set: then validation stays on.
 */
static bool
has_anchor(str zone)
{
    for (size_t i = 0; i < config.anchor_count; i++) {
        str owner, rest;
        (void)str_split(str_from(config.anchors[i]), ' ', &owner, &rest);
        if (owner.len > 1 && owner.ptr[owner.len - 1] == '.')
            owner.len--;
        if (str_ends_nocase(zone, owner) || str_ends_nocase(owner, zone))
            return true;
    }
    return false;
}

static enum err
set_zone(struct ub_ctx *ctx, const char *option, str zone, const char *rest, struct why *why)
{
    char text[ZONE_TEXT_MAX];

    snprintf(text, sizeof(text), "%.*s%s", STR_ARG(str_head(zone, 255)), rest);
    return check(ub_ctx_set_option(ctx, option, text), option, text, why);
}

static enum err
add_stub(struct ub_ctx *ctx, const struct stub *stub, struct why *why)
{
    char server[IPADDR_TEXT_MAX + 8];
    str zone = str_from(stub->zone);
    enum err e;

    if (zone.len > 1 && zone.ptr[zone.len - 1] == '.')
        zone.len--;
    server_text(&stub->server, server);
    /* Not "prime": that would ask port 53 for the zone's servers first. */
    e = check(ub_ctx_set_stub(ctx, stub->zone, server, 0), "stub", stub->zone, why);
    if (!e) /* Some names, test. among them, are answered from built-in zones otherwise. */
        e = set_zone(ctx, "local-zone:", zone, ". transparent", why);
    if (!e && is_private_zone(zone) && !has_anchor(zone))
        e = set_zone(ctx, "domain-insecure:", zone, ".", why);
    return e;
}

/* With forwarders, what exists is for them to say. */
static enum err
add_forwarders(struct ub_ctx *ctx, struct why *why)
{
    enum err e = OK;

    for (size_t i = 0; i < config.forwarder_count && !e; i++) {
        char server[IPADDR_TEXT_MAX + 8];
        server_text(&config.forwarders[i], server);
        e = check(ub_ctx_set_fwd(ctx, server), "forwarder", server, why);
    }
    if (e || config.forwarder_count == 0)
        return e;
    e = set_zone(ctx, "unblock-lan-zones:", S("yes"), "", why);
    if (!e)
        e = set_zone(ctx, "insecure-lan-zones:", S("yes"), "", why);
    if (!e)
        e = set_zone(ctx, "local-zone:", S("test."), " nodefault", why);
    if (!e && !has_anchor(S("test")))
        e = set_zone(ctx, "domain-insecure:", S("test."), "", why);
    return e;
}

static bool
asks_loopback(void)
{
    for (size_t i = 0; i < config.forwarder_count; i++)
        if (ipaddr_is_loopback(config.forwarders[i].addr))
            return true;
    for (size_t i = 0; i < config.stub_count; i++)
        if (ipaddr_is_loopback(config.stubs[i].server.addr))
            return true;
    return false;
}

static enum err
set_sizes(struct ub_ctx *ctx, struct why *why)
{
    /* clang-format off */
    static const char *const settings[][2] = {
        { "msg-cache-size:",      "8m" },
        { "rrset-cache-size:",    "16m" },
        { "key-cache-size:",      "2m" },
        { "neg-cache-size:",      "1m" },
        { "outgoing-range:",      "1024" },
        { "num-queries-per-thread:", "1024" },
        { "edns-buffer-size:",    "1232" },
        { "aggressive-nsec:",     "yes" },
        { "cache-max-ttl:",       "86400" },
        { "cache-max-negative-ttl:", "900" },
    };
    /* clang-format on */
    enum err e = OK;

    for (size_t i = 0; i < COUNT_OF(settings) && !e; i++)
        e = check(ub_ctx_set_option(ctx, settings[i][0], settings[i][1]), settings[i][0],
                  settings[i][1], why);
    if (!e && asks_loopback())
        e = check(ub_ctx_set_option(ctx, "do-not-query-localhost:", "no"), "localhost", "no", why);
    return e;
}

static enum err
configure_ctx(struct ub_ctx *ctx, struct why *why)
{
    enum err e = set_sizes(ctx, why);

    ub_ctx_debugout(ctx, NULL);
    ub_ctx_debuglevel(ctx, 0);
    if (!e && config.trust_anchor_file)
        e = check(ub_ctx_add_ta_file(ctx, config.trust_anchor_file), "trust anchor file",
                  config.trust_anchor_file, why);
    for (size_t i = 0; i < config.anchor_count && !e; i++)
        e = check(ub_ctx_add_ta(ctx, config.anchors[i]), "trust anchor", config.anchors[i], why);
    if (!e && config.hosts_file)
        e = check(ub_ctx_hosts(ctx, config.hosts_file), "hosts file", config.hosts_file, why);
    if (!e)
        e = add_forwarders(ctx, why);
    for (size_t i = 0; i < config.stub_count && !e; i++)
        e = add_stub(ctx, &config.stubs[i], why);
    return e;
}

/* libunbound reads most of its settings at the first question.  This one it answers by itself. */
static enum err
try_configuration(struct ub_ctx *ctx, struct why *why)
{
    struct ub_result *result = NULL;
    int status = ub_resolve(ctx, "localhost", DNS_A, CLASS_IN, &result);

    ub_resolve_free(result);
    if (status == 0)
        return OK;
    return err_why(why, ERR_SYNTAX,
                   "DNS: a trust anchor, or the zone of a stub, is malformed (libunbound: %s)",
                   ub_strerror(status));
}

enum err
dns_configure(const struct dns_options *options, struct why *why)
{
    struct ub_ctx *trial;
    enum err e;

    if (sim_is_on())
        return OK;
    if (options->trust_anchor_file && access(options->trust_anchor_file, R_OK))
        return err_why(why, ERR_NOT_FOUND,
                       "DNS: cannot read the trust anchor %s (Debian: apt install dns-root-data)",
                       options->trust_anchor_file);
    copy_config(options);
    trial = ub_ctx_create();
    if (!trial)
        return err_why(why, ERR_LIMIT, "DNS: no memory for a resolver");
    e = configure_ctx(trial, why);
    if (!e)
        e = try_configuration(trial, why);
    ub_ctx_delete(trial);
    return e;
}

enum err
dns_check_anchor(const char *anchor, struct why *why)
{
    struct ub_ctx *trial = ub_ctx_create();
    enum err e;

    if (!trial)
        return err_why(why, ERR_LIMIT, "DNS: no memory for a resolver");
    ub_ctx_debugout(trial, NULL);
    ub_ctx_debuglevel(trial, 0);
    e = check(ub_ctx_add_ta(trial, anchor), "trust anchor", anchor, why);
    if (!e)
        e = try_configuration(trial, why);
    ub_ctx_delete(trial);
    return e;
}

/* Answers. */

static void
set_failure(struct dns_answer *answer, enum dns_status status, const char *text)
{
    *answer = (struct dns_answer){ .status = status };
    snprintf(answer->why, sizeof(answer->why), "%s", text ? text : "");
}

/* From what libunbound told: RCODE, and the packet when there is one. */
static enum err
make_answer(struct arena *arena, enum dns_type type, int rcode, str packet, bool secure, bool bogus,
            const char *why_bogus, struct dns_answer *answer)
{
    enum err e;

    if (bogus) {
        set_failure(answer, DNS_BOGUS, why_bogus ? why_bogus : "DNSSEC validation failed");
        return OK;
    }
    if (rcode != 0 && rcode != RCODE_NXDOMAIN) {
        set_failure(answer, DNS_TEMPORARY,
                    rcode == RCODE_SERVFAIL ? "no server gives an answer (SERVFAIL)"
                                            : "a server refuses to answer");
        return OK;
    }
    e = dns_wire_parse(arena, packet, type, answer);
    if (e == ERR_SYNTAX) {
        set_failure(answer, DNS_TEMPORARY, "the answer is malformed");
        return OK;
    }
    if (!e)
        answer->secure = secure;
    return e;
}

/* On a loop. */

struct query {
    struct link in_resolver;
    struct fiber *fiber; /* NULL when it has stopped to wait. */
    struct loop *loop;
    char name[256];
    enum dns_type type;
    bool asked;
    bool done;
    int rcode;
    int security; /* 0 insecure, 1 bogus, 2 secure */
    char *packet;
    size_t size;
    char why_bogus[128];
};

static void
query_free(struct query *query)
{
    list_remove(&query->in_resolver);
    free(query->packet);
    free(query);
}

static void
answered(void *arg, int rcode, void *packet, int size, int security, char *why_bogus,
         int was_ratelimited)
{
    struct query *query = arg;

    (void)was_ratelimited;
    if (!query->fiber) {
        query_free(query);
        return;
    }
    query->done = true;
    query->rcode = rcode;
    query->security = security;
    if (packet && size > 0) {
        query->packet = malloc((size_t)size);
        must(query->packet);
        memcpy(query->packet, packet, (size_t)size);
        query->size = (size_t)size;
        if ((rcode == 0) && size > 3)
            query->rcode = query->packet[3] & 15;
    }
    snprintf(query->why_bogus, sizeof(query->why_bogus), "%s", why_bogus ? why_bogus : "");
    fiber_wake(query->fiber, OK);
}

static struct dns_resolver *
resolver_new(struct loop *loop)
{
    struct dns_resolver *resolver = calloc(1, sizeof(*resolver));
    struct why why;

    must(resolver);
    list_init(&resolver->queries);
    resolver->events = dns_events_new(loop);
    resolver->ctx = ub_ctx_create_ub_event(dns_events_base(resolver->events));
    must(resolver->ctx);
    if (configure_ctx(resolver->ctx, &why))
        log_error("%s", why.text);
    return resolver;
}

static void
ask(void *arg)
{
    struct query *query = arg;
    struct loop *loop = query->loop;
    int result;

    if (!loop->dns)
        loop->dns = resolver_new(loop);
    list_append(&loop->dns->queries, &query->in_resolver);
    result = ub_resolve_event(loop->dns->ctx, query->name, (int)query->type, CLASS_IN, query,
                              answered, NULL);
    if (result) {
        query->done = true;
        query->rcode = RCODE_SERVFAIL;
    }
}

void
dns_loop_done(struct loop *loop)
{
    struct dns_resolver *resolver = loop->dns;

    if (!resolver)
        return;
    ub_ctx_delete(resolver->ctx);
    while (!list_is_empty(&resolver->queries))
        query_free(CONTAINER_OF(resolver->queries.next, struct query, in_resolver));
    dns_events_free(resolver->events);
    free(resolver);
    loop->dns = NULL;
}

static enum err
lookup_on_loop(struct arena *arena, const char *name, enum dns_type type, instant deadline,
               struct dns_answer *answer)
{
    struct query *query = calloc(1, sizeof(*query));
    enum err e = OK;

    must(query);
    *query = (struct query){ .fiber = fiber_self(), .loop = loop_self(), .type = type };
    snprintf(query->name, sizeof(query->name), "%s", name);
    fiber_call_on_loop(ask, query);
    while (!e && !query->done)
        e = fiber_park(deadline, false);
    if (!query->done) {
        query->fiber = NULL;
        if (e != ERR_TIMEOUT)
            return e;
        set_failure(answer, DNS_TEMPORARY, "no answer in time");
        return OK;
    }
    e = make_answer(arena, type, query->rcode, (str){ query->packet, query->size },
                    query->security == 2, query->security == 1, query->why_bogus, answer);
    query_free(query);
    return e;
}

/* In a thread. */

static struct ub_ctx *
blocking_ctx(void)
{
    struct why why;

    if (blocking.ctx && blocking.generation != config.generation) {
        ub_ctx_delete(blocking.ctx);
        blocking.ctx = NULL;
    }
    if (!blocking.ctx) {
        blocking.ctx = ub_ctx_create();
        must(blocking.ctx);
        blocking.generation = config.generation;
        if (configure_ctx(blocking.ctx, &why))
            log_error("%s", why.text);
    }
    return blocking.ctx;
}

static enum err
lookup_blocking(struct arena *arena, const char *name, enum dns_type type,
                struct dns_answer *answer)
{
    struct ub_result *result = NULL;
    enum err e = OK;
    int status;

    pthread_mutex_lock(&blocking.lock);
    status = ub_resolve(blocking_ctx(), name, (int)type, CLASS_IN, &result);
    pthread_mutex_unlock(&blocking.lock);
    if (status) {
        set_failure(answer, DNS_TEMPORARY, ub_strerror(status));
        return OK;
    }
    e = make_answer(arena, type, result->rcode,
                    (str){ result->answer_packet, (size_t)result->answer_len }, result->secure,
                    result->bogus, result->why_bogus, answer);
    ub_resolve_free(result);
    return e;
}

/* The story. */

enum err
dns_lookup(struct arena *arena, str name, enum dns_type type, instant deadline,
           struct dns_answer *answer)
{
    char normal[256];

    if (sim_is_on())
        return sim_dns_lookup(arena, name, type, deadline, answer);
    if (!dns_name_normalize(name, normal))
        return ERR_SYNTAX;
    if (fiber_self())
        return lookup_on_loop(arena, normal, type, deadline, answer);
    must(!loop_self());
    return lookup_blocking(arena, normal, type, answer);
}

void
dns_reverse_name(ipaddr addr, char name[DNS_REVERSE_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = addr.bytes;
    size_t at = 0;

    if (ipaddr_is_v4(addr)) {
        snprintf(name, DNS_REVERSE_SIZE, "%u.%u.%u.%u.in-addr.arpa", bytes[15], bytes[14],
                 bytes[13], bytes[12]);
        return;
    }
    for (int i = 15; i >= 0; i--) {
        name[at++] = digits[bytes[i] & 15];
        name[at++] = '.';
        name[at++] = digits[bytes[i] >> 4];
        name[at++] = '.';
    }
    memcpy(name + at, "ip6.arpa", sizeof("ip6.arpa"));
}

enum err
dns_reverse(struct arena *arena, ipaddr addr, instant deadline, struct dns_answer *answer)
{
    char name[DNS_REVERSE_SIZE];

    dns_reverse_name(addr, name);
    return dns_lookup(arena, str_from(name), DNS_PTR, deadline, answer);
}
