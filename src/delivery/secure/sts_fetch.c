/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_fetch.c: see sts_fetch.h; start reading at sts_fetch_policy().
 *
 * The policy host is mta-sts.DOMAIN, whose certificate must be for that name.  What it says counts
 * with 200 and as text/plain alone: whoever redirects us elsewhere is not obeyed.
 */
#include "delivery/secure/sts_fetch.h"

#include "delivery/secure/https.h"
#include "protocols/http/get.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/stream.h"

#include <stdio.h>
#include <string.h>

enum {
    HTTPS_PORT = 443
};

static void
no_record(struct sts_record *record, const char *why)
{
    (void)snprintf(record->why, sizeof(record->why), "%s", why);
}

/* Exactly one of the records is to be ours. */
static void
choose_record(const struct dns_answer *answer, struct sts_record *record)
{
    size_t count = 0;
    str id = S("");
    bool good = false;

    for (size_t i = 0; i < answer->count; i++)
        if (sts_record_is_ours(answer->records[i].data)) {
            good = sts_record_parse(answer->records[i].data, &id);
            count++;
        }
    if (count == 0)
        no_record(record, "it has no MTA-STS record");
    else if (count > 1)
        no_record(record, "it has several MTA-STS records, so that none counts");
    else if (!good)
        no_record(record, "its MTA-STS record cannot be understood");
    else
        memcpy(record->id, id.ptr, id.len);
}

enum err
sts_ask_record(const struct sts_ways *ways, struct arena *arena, str domain,
               struct sts_record *record)
{
    struct dns_answer answer;
    str name;
    enum err e;

    *record = (struct sts_record){};
    if (!arena_printf(arena, &name, "_mta-sts.%.*s", STR_ARG(domain)))
        return ERR_LIMIT;
    e = dns_lookup(arena, name, DNS_TXT, deadline_in(ways->dns_timeout), &answer);
    if (e == ERR_SYNTAX)
        no_record(record, "its name has no room for an MTA-STS record");
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    record->ttl = SECONDS((duration)answer.ttl);
    record->temporary = answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS;
    if (record->temporary)
        no_record(record, "its MTA-STS record cannot be looked up");
    else if (answer.status != DNS_FOUND)
        no_record(record, "it has no MTA-STS record");
    else
        choose_record(&answer, record);
    return OK;
}

static enum err
failed(enum secure_result *result, enum secure_result is, struct why *why, str host,
       const char *what)
{
    struct why before = {}; /* WHAT may stand in WHY. */

    (void)err_why(&before, OK, "%s", what);
    *result = is;
    (void)err_why(why, OK, "the policy host %.*s: %s", STR_ARG(str_head(host, 100)), before.text);
    return OK;
}

/* The answer of the policy host; *RESULT stays FINE when it may be read. */
static void
judge_answer(const struct http_head *head, str host, enum secure_result *result, struct why *why)
{
    char text[120];

    if (head->status / 100 == 3) {
        (void)snprintf(text, sizeof(text), "it answers with a redirect (%u), which is not followed",
                       head->status);
    } else if (head->status != 200) {
        (void)snprintf(text, sizeof(text), "it answers %u", head->status);
    } else if (!str_eq_nocase(str_from(head->content_type), S("text/plain"))) {
        (void)snprintf(text, sizeof(text), "what it sends is not text/plain, but \"%.60s\"",
                       head->content_type);
    } else {
        return;
    }
    (void)failed(result, SECURE_STS_POLICY_FETCH_ERROR, why, host, text);
}

WAITS static enum err
get_text(const struct sts_ways *ways, struct arena *arena, str host, struct buf *text,
         enum secure_result *result, struct why *why)
{
    instant deadline = deadline_in(ways->timeout);
    OWN(stream) stream = NULL;
    struct http_head *head = arena_new(arena, struct http_head);
    enum tls_fault fault;
    enum err e;

    if (!head)
        return ERR_LIMIT;
    e = https_connect(ways->tls_context, arena, host, HTTPS_PORT, ways->private, deadline, &stream,
                      &fault, why);
    if (e == ERR_CANCELLED)
        return e;
    if (e)
        return failed(result,
                      fault == TLS_FAULT_NONE || fault == TLS_FAULT_HANDSHAKE
                          ? SECURE_STS_POLICY_FETCH_ERROR
                          : SECURE_STS_WEBPKI_INVALID,
                      why, host, why->text);
    e = http_get(stream, host, S("/.well-known/mta-sts.txt"), head, text);
    if (e == ERR_CANCELLED)
        return e;
    if (head->complete && (head->status != 200 || !e))
        judge_answer(head, host, result, why);
    if (e && *result == SECURE_FINE)
        return failed(result, SECURE_STS_POLICY_FETCH_ERROR, why, host,
                      e == ERR_LIMIT     ? "what it sends is longer than 64 KiB"
                      : e == ERR_TIMEOUT ? "it did not answer in time"
                      : e == ERR_CLOSED  ? "it closed the connection too early"
                                         : "it does not speak HTTP as it should");
    return OK;
}

enum err
sts_fetch_policy(const struct sts_ways *ways, struct arena *arena, str domain,
                 struct sts_policy *policy, enum secure_result *result, struct why *why)
{
    struct buf text;
    enum err e;
    str host;

    *result = SECURE_FINE;
    if (!arena_printf(arena, &host, "mta-sts.%.*s", STR_ARG(domain)))
        return ERR_LIMIT;
    buf_init(&text, STS_POLICY_SIZE_MAX);
    e = get_text(ways, arena, host, &text, result, why);
    if (!e && *result == SECURE_FINE && sts_policy_parse(buf_str(&text), arena, policy, why))
        *result = SECURE_STS_POLICY_INVALID;
    buf_done(&text);
    return e;
}
