/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_records.h: every record that a domain of ours needs, and whether an answer of the DNS is it.
 *
 * Pure: from the configuration, the keys and the digests that it is given.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/dns.h"
#include "trust/keyring.h"
#include "trust/tlsa.h"

struct config;

enum {
    DNS_WANTS_MAX = 2000, /* Records of one domain. */
    DNS_TLSA_MAX = 2,
    STS_ID_SIZE = 20,
};

/* What the policy says: RFC 8461 3.2. */
enum sts_wish {
    STS_WISH_TESTING,
    STS_WISH_ENFORCE,
    STS_WISH_NONE,
};
bool sts_wish_parse(str text, enum sts_wish *wish);

struct dns_facts {
    const struct config *config;
    str domain; /* A-labels, lower case. */
    const struct key_info *keys;
    size_t key_count;
    uint8_t tlsa[DNS_TLSA_MAX][TLSA_DIGEST_SIZE]; /* Of the key in use, of the next one. */
    size_t tlsa_count;
    enum sts_wish sts;
};

/* One record. */
struct dns_want {
    str name; /* Without the final dot. */
    enum dns_type type;
    str value;  /* As in a zone file, but texts without quotes.  Empty: only its owner knows it. */
    str what;   /* What it is for. */
    bool loose; /* Any record of this name and type will do. */
    bool needs_dnssec;
};

struct dns_wants {
    struct dns_want *items;
    size_t count;
};

/* In ARENA.  ERR_LIMIT: more than DNS_WANTS_MAX. */
enum err dns_wants_of(const struct dns_facts *facts, struct arena *arena, struct dns_wants *wants);

enum dns_sight {
    DNS_SIGHT_UNKNOWN, /* It was not asked, or there is no answer. */
    DNS_SIGHT_ABSENT,
    DNS_SIGHT_OTHER, /* There is one for the same purpose that says something else. */
    DNS_SIGHT_SEEN,
};
const char *dns_sight_name(enum dns_sight sight);
/* OTHER_TEXT: what is there instead, for DNS_SIGHT_OTHER. */
enum dns_sight dns_want_judge(const struct dns_want *want, const struct dns_answer *answer,
                              struct arena *arena, str *other_text);
const char *dns_type_name(enum dns_type type);

/* The file https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with CRLF. */
enum err sts_policy_text(const struct config *config, enum sts_wish wish, struct arena *arena,
                         str *text);
/* The id of its TXT record: it changes when the text does, and only then. */
void sts_policy_id(str text, char id[STS_ID_SIZE + 1]);
