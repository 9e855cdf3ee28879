/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure.c: how well a connection to a host must be secured, before it is made.
 *
 * DANE (RFC 7672): where MX, address and TLSA records all come with DNSSEC, the records say which
 * certificate is the host's; then nothing less will do.  Whoever can forge our DNS answers, or keep
 * them from us, cannot take this away: an answer that fails to come is a failure of the host.
 */
#include "delivery/attempt.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "trust/tlsa.h"

/* Whether the DNS promised, with its signature, where this host is. */
static bool
can_promise(const struct attempt *a, const struct route_host *host)
{
    return a->route.kind == ROUTE_MX && host->secure && a->runner->config->delivery.dane &&
           a->runner->config->delivery.tls != RELAY_TLS_OFF;
}

static enum err
no_answer(struct attempt *a, str name, const struct dns_answer *answer)
{
    a->failure = (struct smtp_failure){ .stage = SMTP_STAGE_CONNECT };
    return err_why(
        &a->failure.why, ERR_TLS, "the TLSA records of %.*s cannot be had: %s", STR_ARG(name),
        answer->status == DNS_BOGUS ? "the answer fails its DNSSEC check" : "no answer came");
}

/* What the records ask for, into OPTIONS. */
static enum err
demand(struct attempt *a, const struct dns_answer *answer, struct smtp_client_options *options)
{
    struct tlsa_set *set = arena_new(&a->runner->arena, struct tlsa_set);

    if (!set)
        return ERR_LIMIT;
    tlsa_usable(answer->records, answer->count, set);
    options->tls = RELAY_TLS_REQUIRE;
    options->tlsa = set->items;
    options->tlsa_count = set->count;
    options->also_named = a->route.domain;
    return OK;
}

WAITS enum err
attempt_secure(struct attempt *a, const struct route_host *host,
               struct smtp_client_options *options)
{
    instant deadline = deadline_in(a->runner->config->dns.timeout);
    struct dns_answer answer;
    str name;
    enum err e;

    if (!can_promise(a, host))
        return OK;
    if (!arena_printf(&a->runner->arena, &name, "_%u._tcp.%.*s", host->endpoint.port,
                      STR_ARG(host->name)))
        return ERR_LIMIT;
    e = dns_lookup(&a->runner->arena, name, DNS_TLSA, deadline, &answer);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    if (answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS)
        return no_answer(a, host->name, &answer);
    if (answer.status != DNS_FOUND || !answer.secure)
        return OK;
    return demand(a, &answer, options);
}
