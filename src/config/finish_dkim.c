/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* finish_dkim.c: how each domain signs, and the zones that we write ourselves.  What a policy
 * leaves open is taken from `dkim`, which takes what it leaves open from the signer.  Start reading
 * at config_finish_dkim(). */
#include "base/must.h"
#include "config/body.h"

enum {
    FIELD_NAME_MAX = 76,
    FIELDS_MAX = 60,
};

/* They are changed on the way, or belong to whoever signs (RFC 6376 5.4). */
static const char *const never_signed[] = {
    "DKIM-Signature", "Return-Path",           "Received",
    "ARC-Seal",       "ARC-Message-Signature", "ARC-Authentication-Results",
};

/* NAME itself before what is above it; "" for none. */
static bool
is_at_or_below(str domain, str above)
{
    return str_eq_nocase(domain, above) ||
           (domain.len > above.len && str_ends_nocase(domain, above) &&
            domain.ptr[domain.len - above.len - 1] == '.');
}

const struct config_dkim_policy *
config_dkim_policy(const struct config *config, str domain)
{
    const struct config_dkim_policy *found = &config->body->dkim_policy;
    size_t longest = 0;

    for (size_t i = 0; i < config->dkim_policy_count; i++) {
        const struct config_dkim_policy *policy = &config->dkim_policies[i];
        if (policy->name.len > longest && is_at_or_below(domain, policy->name)) {
            found = policy;
            longest = policy->name.len;
        }
    }
    return found;
}

const struct config_dns_update *
config_dns_update(const struct config *config, str domain)
{
    const struct config_dns_update *found = NULL;

    for (size_t i = 0; i < config->dns_update_count; i++) {
        const struct config_dns_update *update = &config->dns_updates[i];
        if ((!found || update->name.len > found->name.len) && is_at_or_below(domain, update->name))
            found = update;
    }
    return found;
}

static bool
is_domain(str name)
{
    char before = '.';

    for (size_t i = 0; i < name.len; before = name.ptr[i++]) {
        char c = name.ptr[i];
        if (c == '.' ? before == '.' : !(ascii_is_alnum(c) || c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= 253 && before != '.';
}

static bool
names(const struct config_texts *list, str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq_nocase(list->items[i], name))
            return true;
    return false;
}

/* RFC 5322 3.6.8, and none that cannot hold. */
static void
check_field(str name, unsigned line, struct config_problems *problems)
{
    bool good = name.len && name.len <= FIELD_NAME_MAX;

    for (size_t i = 0; i < name.len; i++)
        good = good && name.ptr[i] > ' ' && name.ptr[i] < 0x7f && name.ptr[i] != ':' &&
               name.ptr[i] != ';';
    if (!good)
        problem_addf(problems, line, 1, "write names such as From Subject Date",
                     "\"%.*s\" is not the name of a header field", STR_ARG(str_head(name, 60)));
    for (size_t i = 0; i < COUNT_OF(never_signed); i++)
        if (str_eq_nocase(name, str_from(never_signed[i])))
            problem_addf(problems, line, 1, "leave it away",
                         "%s must not be signed: others change it on the way", never_signed[i]);
}

static void
check_fields(const struct config_texts *fields, const struct config_texts *oversign, unsigned line,
             struct config_problems *problems)
{
    if (fields->count && !names(fields, S("From")))
        problem_addf(problems, line, 1, "add From to the fields (RFC 6376 5.4)",
                     "From must be signed");
    if (fields->count > FIELDS_MAX || oversign->count > FIELDS_MAX)
        problem_addf(problems, line, 1, "name fewer", "more than %d fields cannot be signed",
                     FIELDS_MAX);
    for (size_t i = 0; i < fields->count; i++)
        check_field(fields->items[i], line, problems);
    if (oversign->count == 1 && str_eq(oversign->items[0], S("none")))
        return;
    for (size_t i = 0; i < oversign->count; i++)
        if (fields->count && !names(fields, oversign->items[i]))
            problem_addf(problems, line, 1, "name it among the fields, too",
                         "%.*s cannot be oversigned: it is not signed",
                         STR_ARG(str_head(oversign->items[i], 60)));
        else
            check_field(oversign->items[i], line, problems);
}

/* A signature must hold as long as its message may wait. */
static void
check_expiry(const struct config *config, duration expire, unsigned line,
             struct config_problems *problems)
{
    if (expire && expire <= config->delivery.expire)
        problem_addf(problems, line, 1, "make it longer than delivery.expire, or 0s for no end",
                     "signatures would expire while their mail still waits");
}

static void
finish_policy(struct config *config, size_t i, struct config_problems *problems)
{
    struct config_dkim_policy *policy = &config->dkim_policies[i];
    const struct config_dkim_policy *standard = &config->body->dkim_policy;
    unsigned line = config->body->dkim_policy_lines[i];

    if (!is_domain(policy->name))
        problem_addf(problems, line, 1, "write dkim_policy example.org {",
                     "\"%.*s\" is not a domain", STR_ARG(str_head(policy->name, 60)));
    for (size_t k = 0; k < i; k++)
        if (str_eq_nocase(config->dkim_policies[k].name, policy->name))
            problem_addf(problems, line, 1, "keep one of them",
                         "there are two blocks dkim_policy %.*s",
                         STR_ARG(str_head(policy->name, 60)));
    if (policy->header == DKIM_FORM_AUTO)
        policy->header = standard->header;
    if (policy->body == DKIM_FORM_AUTO)
        policy->body = standard->body;
    if (!policy->fields.count)
        policy->fields = standard->fields;
    if (!policy->oversign.count)
        policy->oversign = standard->oversign;
    if (!policy->expire)
        policy->expire = standard->expire;
    check_fields(&policy->fields, &policy->oversign, line, problems);
    check_expiry(config, policy->expire, line, problems);
}

static void
finish_update(struct config *config, size_t i, struct config_problems *problems)
{
    struct config_dns_update *update = &config->dns_updates[i];
    unsigned line = config->body->dns_update_lines[i];
    str name = str_head(update->name, 60);

    if (!is_domain(update->name))
        problem_addf(problems, line, 1, "write dns_update example.org {", "\"%.*s\" is not a zone",
                     STR_ARG(name));
    for (size_t k = 0; k < i; k++)
        if (str_eq_nocase(config->dns_updates[k].name, update->name))
            problem_addf(problems, line, 1, "keep one of them",
                         "there are two blocks dns_update %.*s", STR_ARG(name));
    if (update->server.count != 1)
        problem_addf(problems, line, 1, "add server ADDRESS:53; of the zone's primary",
                     "dns_update %.*s must name one server", STR_ARG(name));
    else if (!update->server.items[0].port)
        update->server.items[0].port = 53;
    if (!is_domain(update->key_name) || !update->key_file.len)
        problem_addf(
            problems, line, 1, "add key_name NAME; and key_file FILE; with the secret in base64",
            "dns_update %.*s has no key: the server could not know who writes", STR_ARG(name));
}

void
config_finish_dkim(struct config *config, struct config_problems *problems)
{
    const struct config_dkim *dkim = &config->dkim;
    const struct option *option = option_find_key(S("dkim.fields"));
    unsigned line;

    must(option);
    line = config->body->lines[option - options];
    config->body->dkim_policy = (struct config_dkim_policy){
        .header = dkim->header,
        .body = dkim->body,
        .fields = dkim->fields,
        .oversign = dkim->oversign,
        .expire = dkim->expire,
    };
    check_fields(&dkim->fields, &dkim->oversign, line, problems);
    option = option_find_key(S("dkim.expire"));
    must(option);
    check_expiry(config, dkim->expire, config->body->lines[option - options], problems);
    for (size_t i = 0; i < config->dkim_policy_count; i++)
        finish_policy(config, i, problems);
    for (size_t i = 0; i < config->dns_update_count; i++)
        finish_update(config, i, problems);
}
