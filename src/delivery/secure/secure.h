/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure.h: what a connection to a host must prove, and what it proved.
 *
 * Before a host is connected to, attempt_secure() makes a plan: what is demanded, by whom, and why.
 * Every attempt at a host then ends in one outcome, which secure_conclude() makes of the connection
 * or of its failure.  Nothing else decides about TLS; events, sentences and reports read these two.
 */
#pragma once

#include "base/base.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct sts_known;
struct tlsa_set;

enum {
    SECURE_WHY_MAX = 240
};

/* Who demands it.  A later one goes before an earlier one. */
enum secure_by {
    SECURE_BY_NOTHING, /* TLS where it is offered. */
    SECURE_BY_CONFIG,  /* delivery.tls */
    SECURE_BY_RELAY,   /* The URL of a relay. */
    SECURE_BY_STS,     /* The domain's policy (RFC 8461). */
    SECURE_BY_DANE,    /* TLSA records of the host (RFC 7672). */
    SECURE_BY_RULE,    /* An operator's rule for the domain. */
    SECURE_BY_MESSAGE, /* REQUIRETLS (RFC 8689). */
};

/* Each demands what those before it do. */
enum secure_demand {
    SECURE_PLAIN, /* No TLS at all: it is broken there. */
    SECURE_MAY,   /* TLS where it is offered and works. */
    SECURE_TLS,
    SECURE_NAME, /* A certificate for the host, by a root that we trust. */
    SECURE_TLSA, /* A certificate that the TLSA records name. */
};

/* Result types of RFC 8460 4.3, and two of our own at the ends. */
enum secure_result {
    SECURE_FINE, /* All that was demanded. */
    SECURE_STARTTLS_NOT_SUPPORTED,
    SECURE_CERTIFICATE_HOST_MISMATCH,
    SECURE_CERTIFICATE_EXPIRED,
    SECURE_CERTIFICATE_NOT_TRUSTED,
    SECURE_VALIDATION_FAILURE,
    SECURE_TLSA_INVALID,
    SECURE_DNSSEC_INVALID,
    SECURE_DANE_REQUIRED,
    SECURE_STS_POLICY_FETCH_ERROR,
    SECURE_STS_POLICY_INVALID,
    SECURE_STS_WEBPKI_INVALID,
    SECURE_NO_SESSION, /* It came to nothing before TLS was a matter: no host, no greeting. */
};

/* "certificate-expired"; "" of the two of our own. */
const char *secure_result_name(enum secure_result result);
const char *secure_by_name(enum secure_by by); /* "dane" */

/* Lives as long as the attempt. */
struct secure_plan {
    enum secure_demand demand;
    enum secure_by by;
    bool requires;               /* REQUIRETLS: the host must promise it for the rest of the way. */
    enum secure_demand enforced; /* DEMAND; less where what fails is only noted (STS testing). */
    bool observed;
    enum secure_result refused; /* Not FINE: the host must not even be connected to. */
    enum secure_result noted;   /* Not FINE: what failed already, without keeping mail back. */
    str domain;                 /* Next hop, as its MX records were asked for. */
    str host;
    str base;                    /* Where TLSA records are: HOST, or the name behind its CNAME. */
    const struct tlsa_set *tlsa; /* NULL: the host has none. */
    const struct sts_known *sts; /* The domain's policy, whoever decides; NULL: it has none. */
    char why[SECURE_WHY_MAX];    /* In words: of the demand, or of REFUSED. */
};

/* How the name was verified. */
enum secure_verified {
    SECURE_UNVERIFIED_CLEAR,         /* "none": there is no TLS. */
    SECURE_UNVERIFIED_OPPORTUNISTIC, /* TLS with whoever answered. */
    SECURE_VERIFIED_PKIX,            /* A root vouches for the name, though nothing asked for it. */
    SECURE_VERIFIED_RELAY,
    SECURE_VERIFIED_STS,
    SECURE_VERIFIED_DANE,
    SECURE_VERIFIED_RULE,
    SECURE_VERIFIED_MESSAGE,
};

const char *secure_verified_name(enum secure_verified verified);

/* Lives as long as the connection. */
struct secure_outcome {
    enum secure_result result; /* Of the plan; one that was only observed may have failed. */
    enum secure_verified verified;
    enum secure_demand demand;
    enum secure_by by;
    bool connected; /* Mail may go through this connection. */
    bool has_tls;
    bool named;     /* A root vouched for the host's name. */
    bool requires;  /* REQUIRETLS was promised, and which hosts are the domain's was proven. */
    bool by_dane;   /* A TLSA record did, */
    bool by_anchor; /* of an authority, so that the names of this domain alone were checked. */
    enum secure_demand records; /* What the host's TLSA records ask for; PLAIN: it has none. */
    char version[16];
    char cipher[64];
    struct endpoint peer;
    struct endpoint local;
    char domain[256];
    char host[256];
    char why[SECURE_WHY_MAX]; /* The plan's words, or what failed. */
};

/* The same connection under another plan for which it is enough. */
void secure_restate(struct secure_outcome *outcome, const struct secure_plan *plan);
/* Whether a connection that proved PROVED is enough for PLAN, with the same host. */
bool secure_is_enough(const struct secure_outcome *proved, const struct secure_plan *plan);
