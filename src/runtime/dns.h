/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns.h: typed answers of the DNS, each with what DNSSEC says of it.
 *
 * libunbound does the resolving and validating on our own loop.  Names are given and returned in
 * presentation form without the final dot, lower case, A-labels.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_TLSA = 52,
};

enum dns_status {
    DNS_FOUND,
    DNS_NO_DATA,   /* The name exists, without records of this type. */
    DNS_NO_NAME,   /* NXDOMAIN. */
    DNS_TEMPORARY, /* SERVFAIL, no server answers, time is over. */
    DNS_BOGUS,     /* DNSSEC says that somebody lies.  Treat as temporary, and say so. */
};

struct dns_record {
    ipaddr addr;         /* A, AAAA */
    uint16_t preference; /* MX; SRV: the priority */
    uint16_t port;       /* SRV */
    str name;            /* MX, CNAME, NS, PTR, SRV; "" for the root: null MX, no such service */
    str data;            /* TXT: the strings joined.  TLSA: RDATA. */
};

struct dns_answer {
    enum dns_status status;
    bool secure;   /* Validated by DNSSEC. */
    uint32_t ttl;  /* Seconds. */
    str canonical; /* The name after CNAMEs. */
    struct dns_record *records;
    size_t count;
    char why[128]; /* For TEMPORARY and BOGUS. */
};

struct dns_stub {
    const char *zone;
    struct endpoint server;
};

struct dns_options {
    const char *trust_anchor_file;    /* NULL: no validation. */
    const char *const *trust_anchors; /* DS or DNSKEY records as text. */
    size_t trust_anchor_count;
    const struct endpoint *forwarders; /* None: resolve from the roots. */
    size_t forwarder_count;
    const struct dns_stub *stubs; /* Zones asked at a server of their own. */
    size_t stub_count;
    const char *hosts_file; /* NULL: none */
};

/* Once, before runtime_run(), or by offload(): libunbound has frames as large as a fiber's stack. */
enum err dns_configure(const struct dns_options *options, struct why *why);
/* Whether dns_configure() takes ANCHOR; changes nothing. */
enum err dns_check_anchor(const char *anchor, struct why *why);

/* Asks for NAME.  ERR_TIMEOUT and failures of servers are an answer (DNS_TEMPORARY); errors are
 * ERR_CANCELLED, ERR_LIMIT (arena, or more than 256 records) and ERR_SYNTAX (not a domain name). */
WAITS enum err dns_lookup(struct arena *arena, str name, enum dns_type type, instant deadline,
                          struct dns_answer *answer);
/* The name whose PTR record tells of ADDR. */
enum { DNS_REVERSE_SIZE = 80 };
void dns_reverse_name(ipaddr addr, char name[DNS_REVERSE_SIZE]);
/* The PTR name for ADDR; OK with DNS_FOUND only. */
WAITS enum err dns_reverse(struct arena *arena, ipaddr addr, instant deadline,
                           struct dns_answer *answer);
