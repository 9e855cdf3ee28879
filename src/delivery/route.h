/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route.h: where mail for an address goes, and why.
 *
 * In two steps.  route_choose() decides from what is known here (accounts, aliases, configured
 * routes): it does not wait, and its key tells which recipients go the same way. route_find_hosts()
 * asks the DNS for the hosts of such a way, in the order in which they are to be tried.
 */
#pragma once

#include "accounts/account.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "base/msgid.h"
#include "config/config.h"
#include "config/relay.h"
#include "mail/envelope.h"

struct accounts;

enum {
    ROUTE_KEY_MAX = 640,
    ROUTE_HOSTS_MAX = 64
};

enum route_kind {
    ROUTE_LOCAL, /* A mailbox here, or an alias to be expanded here. */
    ROUTE_MX,    /* By the MX records of DOMAIN. */
    ROUTE_RELAY, /* To `relay`, by SMTP or LMTP. */
    ROUTE_NONE,  /* Nowhere: ANSWER says why. */
};

struct route_answer {
    uint16_t code; /* 550, 451, ...; 0: none. */
    char enhanced[12];
    char text[200];
};

struct route {
    enum route_kind kind;
    char key[ROUTE_KEY_MAX]; /* NUL-terminated: "local:example.org", "mx:example.org",
                                "route:gateway"; behind an @, the source. */
    str domain;              /* MX: A-labels, lower case, or an address literal. */
    struct relay_target relay;
    str because;                        /* Which rule decided: "route gateway", "no rule". */
    const struct config_route *rule;    /* NULL: none. */
    const struct config_source *source; /* NULL: as delivery.source and helo_name say. */
    enum ip_wish ip;                    /* Never IP_AUTO. */
    bool is_fallback;
    bool all_out; /* This way and all that could stand in for it are out. */
    struct route_answer answer;
};

/* What is known of a recipient when its way is chosen. */
struct route_facts {
    str recipient; /* "local@domain", as the next two. */
    str sender;
    str account; /* Empty: nobody logged in. */
    str lane;
    ipaddr client;
    enum door door;
    uint64_t size;
    enum tls_wish tls_wish;
    msgid id;
    unsigned attempts;
    /* Whether the way of this key is known not to answer now; NULL: none is. */
    bool (*is_out)(void *arg, const char *key);
    void *arg;
};

/* All but the recipient and the attempts. */
void route_facts_of(const struct envelope *envelope, struct route_facts *facts);

/* Strings of ROUTE point into CONFIG, FACTS, or ARENA.  ERR_LIMIT (arena). */
enum err route_choose(const struct config *config, struct accounts *accounts, struct arena *arena,
                      const struct route_facts *facts, struct route *route);
/* The way that URL names, as an operator wants it for a recipient; "mx" is one, too.  ERR_LIMIT. */
enum err route_by_url(const struct config *config, struct arena *arena, str url,
                      const struct route_facts *facts, struct route *route);
/* Another source or the fallback of ROUTE, which was chosen before, now that FACTS (without addresses)
 * tell which ways are out; false when there is none that is in. */
bool route_another(const struct config *config, const struct route_facts *facts,
                   const struct route *route, struct route *other);
void route_answer_set(struct route_answer *to, unsigned code, const char *enhanced,
                      const char *format, ...) PRINTF_LIKE(4, 5);

struct route_host {
    str name; /* Of the host; for an address literal, the address. */
    struct endpoint endpoint;
    uint16_t preference;
    bool secure;   /* MX and address came with DNSSEC. */
    str canonical; /* The name behind CNAMEs; empty: there are none. */
};

struct route_hosts {
    struct route_host *hosts;
    size_t count;
    char site[176]; /* Equal for ways with the same set of hosts. */
    uint32_t ttl;   /* Seconds. */
    bool has_mx;    /* Otherwise the domain's own address records served. */
    bool secure;
    struct route_answer answer; /* code != 0: there is no host, for this reason. */
};

/* Behind the name of a site whose hosts must prove more than the same hosts without it: "/sts". */
void route_mark_site(struct route_hosts *hosts, const char *mark);
/* Whether NAME names SITE, as it stands in route_hosts.site: by all its hosts, or by one of them. */
bool route_site_has(str site, str name);

/* Who we are: a way must not lead back here. */
struct route_self {
    str hostname;
    const struct endpoint *endpoints; /* Where we listen for SMTP ourselves. */
    size_t endpoint_count;
};

/* The hosts of a way by MX or relay.  That there is none is an answer; errors: ERR_CANCELLED,
 * ERR_LIMIT. */
WAITS enum err route_find_hosts(const struct config *config, const struct route_self *self,
                                struct arena *arena, const struct route *route, uint64_t seed,
                                struct route_hosts *hosts);

/* One line for each step, for `outpost test route ADDRESS`; nothing is sent.  LEADS: mail for
 * RECIPIENT would go somewhere. */
WAITS enum err route_explain(const struct config *config, struct accounts *accounts,
                             const struct route_self *self, struct arena *arena,
                             const struct route_facts *facts, struct buf *text, bool *leads);
