/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_commands.c: the records of a domain, each with whether it is there.  What they are is in
 * dns_records.h.  The commands stand in the table at the end. */
#include "accounts/account.h"
#include "config/config.h"
#include "ops/control_call.h"
#include "ops/dkim_rotate.h"
#include "ops/dns_records.h"
#include "runtime/clock.h"
#include "runtime/wait.h"

enum {
    LOOK_SECONDS = 20, /* For all records together. */
};

/* The digests of our keys, made by a thread of the pool: files are read. */
struct digests {
    const struct config *config;
    struct dns_facts *facts;
    enum err result;
    struct why why;
};

static void
make_digests(void *arg)
{
    struct digests *work = arg;
    const str paths[DNS_TLSA_MAX] = { work->config->tls.certificate, work->config->tls.next_key };

    for (size_t i = 0; i < COUNT_OF(paths) && paths[i].len && !work->result; i++) {
        work->result = tlsa_key_digest(paths[i].ptr, work->facts->tlsa[i], &work->why);
        work->facts->tlsa_count = i + 1;
    }
}

/* For DOMAIN of the arguments, which must be ours. */
static enum err
need_our_domain(struct control_call *call, str *domain)
{
    enum err e = control_need_domain(call, domain);

    if (!e && !accounts_has_domain(call->context->accounts, *domain))
        return control_fail(call, ERR_NOT_FOUND, "no_such_domain",
                            "'outpost domain add' makes it ours", "%.*s is not one of our domains",
                            STR_ARG(*domain));
    return e;
}

static enum err
need_mode(struct control_call *call, enum sts_wish *wish)
{
    str mode = json_get_text(call->args, "mode");

    if (sts_wish_parse(mode, wish))
        return OK;
    return control_fail(call, ERR_SYNTAX, "no_such_mode", "testing, enforce or none",
                        "%.*s is no mode of MTA-STS", STR_ARG(mode));
}

WAITS static enum err
collect_facts(struct control_call *call, struct dns_facts *facts)
{
    struct digests work = { .config = call->context->config, .facts = facts };
    struct key_info *keys = NULL;
    enum err e = need_our_domain(call, &facts->domain);

    if (!e)
        e = need_mode(call, &facts->sts);
    if (e)
        return e;
    facts->config = call->context->config;
    e = dkim_copy_keys(call->context->keyring, facts->domain, &call->arena, &keys,
                       &facts->key_count);
    facts->keys = keys;
    if (e)
        return control_failed(call, e);
    offload(make_digests, &work);
    if (work.result)
        return control_fail(call, work.result, "no_key", "see tls.certificate and tls.next_key",
                            "%s", work.why.text);
    return OK;
}

struct sighting {
    enum dns_sight sight;
    bool secure; /* Said by DNSSEC. */
    str other;
};

/* What any record of a name will do for, an address shows best: a CNAME leads to one. */
WAITS static enum err
look(struct control_call *call, const struct dns_want *want, instant deadline,
     struct sighting *sighting)
{
    struct dns_answer answer;
    enum err e =
        dns_lookup(&call->arena, want->name, want->loose ? DNS_A : want->type, deadline, &answer);

    *sighting = (struct sighting){ .sight = DNS_SIGHT_UNKNOWN };
    if (e == ERR_SYNTAX)
        return OK;
    if (e)
        return control_failed(call, e);
    sighting->sight = dns_want_judge(want, &answer, &call->arena, &sighting->other);
    sighting->secure = answer.secure;
    return OK;
}

WAITS static enum err
put_want(struct control_call *call, const struct dns_want *want, const struct sighting *sighting)
{
    struct json_writer *writer = control_row(call);

    json_put_text(writer, "name", want->name);
    json_put_text(writer, "type", str_from(dns_type_name(want->type)));
    json_put_text(writer, "value", want->value);
    json_put_text(writer, "what", want->what);
    if (sighting) {
        json_put_text(writer, "now", str_from(dns_sight_name(sighting->sight)));
        if (sighting->other.len)
            json_put_text(writer, "other", sighting->other);
        json_put_bool(writer, "dnssec", sighting->secure);
    }
    if (want->needs_dnssec)
        json_put_bool(writer, "needs_dnssec", true);
    return control_row_end(call);
}

WAITS static enum err
dns_records(struct control_call *call)
{
    bool looks = call->context->server && !json_get_bool(call->args, "offline");
    instant deadline = deadline_in(SECONDS(LOOK_SECONDS));
    struct dns_facts facts = {};
    struct dns_wants wants;
    enum err e = collect_facts(call, &facts);

    if (e)
        return e;
    e = dns_wants_of(&facts, &call->arena, &wants);
    if (e)
        return control_fail(call, e, "too_many", "remove revoked keys: 'outpost dkim rm'",
                            "%.*s needs more records than can be listed", STR_ARG(facts.domain));
    for (size_t i = 0; !e && i < wants.count; i++) {
        struct sighting sighting;
        if (looks)
            e = look(call, &wants.items[i], deadline, &sighting);
        if (!e)
            e = put_want(call, &wants.items[i], looks ? &sighting : NULL);
    }
    return e;
}

static enum err
dns_sts_policy(struct control_call *call)
{
    char id[STS_ID_SIZE + 1];
    struct json_writer *writer;
    enum sts_wish wish;
    str domain, text, place;
    enum err e = need_our_domain(call, &domain);

    if (!e)
        e = need_mode(call, &wish);
    if (!e)
        e = sts_policy_text(call->context->config, wish, &call->arena, &text);
    if (!e && !arena_printf(&call->arena, &place, "https://mta-sts.%.*s/.well-known/mta-sts.txt",
                            STR_ARG(domain)))
        e = ERR_LIMIT;
    if (e)
        return e;
    sts_policy_id(text, id);
    writer = control_document_begin(call);
    json_put_text(writer, "domain", domain);
    json_put_text(writer, "url", place);
    json_put_text(writer, "id", str_from(id));
    json_put_text(writer, "policy", text);
    control_document_end(call);
    return OK;
}

/* clang-format off */
const struct control_command control_dns[] = {
    /* name             what it does     needs                         arguments */
    { "dns.records",    dns_records,     CONTROL_NEEDS_ACCOUNTS }, /* domain offline mode */
    { "dns.sts_policy", dns_sts_policy,  CONTROL_NEEDS_ACCOUNTS }, /* domain mode */
    { NULL, NULL, 0 },
};
/* clang-format on */
