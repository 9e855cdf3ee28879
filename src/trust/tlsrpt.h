/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt.h: reports about TLS (RFC 8460): where a domain wants them, and what stands in one.
 *
 * Pure: the DNS, the counting and the sending are delivery/secure/tls_reports.h.  Start reading at
 * tlsrpt_find() for the record, at tlsrpt_format() for the report.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "runtime/dns.h"

enum {
    TLSRPT_RECORD_MAX = 8192, /* Of the TXT record. */
    TLSRPT_RUA_MAX = 8,       /* Places that one domain is reported to; more are left out. */
    TLSRPT_URI_MAX = 1024,    /* A longer one is left out. */
    TLSRPT_JSON_MAX = 4 << 20,
};

/* --- What happened: RFC 8460 4.3.  Numbers are stored: append only. */

enum tlsrpt_result {
    TLSRPT_OK = 0,
    TLSRPT_STARTTLS_NOT_SUPPORTED = 1,
    TLSRPT_CERTIFICATE_HOST_MISMATCH = 2,
    TLSRPT_CERTIFICATE_EXPIRED = 3,
    TLSRPT_CERTIFICATE_NOT_TRUSTED = 4,
    TLSRPT_VALIDATION_FAILURE = 5, /* Any other failure of TLS. */
    TLSRPT_TLSA_INVALID = 6,
    TLSRPT_DNSSEC_INVALID = 7,
    TLSRPT_DANE_REQUIRED = 8,
    TLSRPT_STS_POLICY_FETCH_ERROR = 9,
    TLSRPT_STS_POLICY_INVALID = 10,
    TLSRPT_STS_WEBPKI_INVALID = 11,
    TLSRPT_RESULT_COUNT
};
/* "starttls-not-supported"; "" for TLSRPT_OK. */
const char *tlsrpt_result_name(enum tlsrpt_result result);

/* Which policy was found.  Numbers are stored: append only. */
enum tlsrpt_policy_type {
    TLSRPT_NO_POLICY = 0,
    TLSRPT_TLSA = 1,
    TLSRPT_STS = 2,
};
/* "no-policy-found", "tlsa", "sts" */
const char *tlsrpt_policy_name(enum tlsrpt_policy_type type);

/* --- The record at _smtp._tls.DOMAIN: RFC 8460 3. */

struct tlsrpt_rua {
    str uri;     /* As it stands there. */
    str address; /* mailto: "reports@example.org"; empty: https. */
    str host;    /* https: */
    uint16_t port;
    str target; /* "/v1/tlsrpt?a=b" */
};
struct tlsrpt_record {
    struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
    size_t count; /* 0: nothing there that can be used. */
};

/* One place.  False: nothing that we could send to. */
bool tlsrpt_read_uri(str uri, struct arena *arena, struct tlsrpt_rua *rua);
/* "v=TLSRPTv1;" stands at its front; other records at the name mean something else. */
bool tlsrpt_is_record(str text);
/* ERR_SYNTAX: no record by the grammar, which is as if there were none; ERR_LIMIT.  Views into TEXT
 * and ARENA. */
enum err tlsrpt_parse(str text, struct arena *arena, struct tlsrpt_record *record);
/* Of the TXT records at the name: ERR_NOT_FOUND unless exactly one is one of ours. */
enum err tlsrpt_find(const struct dns_record *records, size_t count, struct arena *arena,
                     struct tlsrpt_record *record);

/* --- The report: RFC 8460 4. */

struct tlsrpt_failure {
    enum tlsrpt_result result;
    str sending_ip; /* Empty strs are left out. */
    str mx;
    str helo;
    str receiving_ip;
    str reason; /* "self-signed certificate" */
    uint64_t count;
};
struct tlsrpt_policy {
    enum tlsrpt_policy_type type;
    str domain;
    str lines; /* Of the policy, each but the last with a "\n" behind it. */
    str mx;    /* Patterns of host names, in the same way. */
    uint64_t succeeded;
    uint64_t failed;
    const struct tlsrpt_failure *failures;
    size_t failure_count;
};
struct tlsrpt_report {
    str organization;
    str contact;
    str id;
    instant begin; /* Wall clock. */
    instant end;   /* The first moment that does not belong to it. */
    const struct tlsrpt_policy *policies;
    size_t policy_count;
};
/* One JSON object.  ERR_LIMIT: it does not fit into BUF. */
enum err tlsrpt_format(const struct tlsrpt_report *report, struct buf *buf);
/* TEXT in the format of gzip (RFC 1952).  ERR_LIMIT.  Takes milliseconds for a megabyte. */
enum err tlsrpt_compress(str text, struct buf *buf);
