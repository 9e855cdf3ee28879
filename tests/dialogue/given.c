/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* given.c: what a dialogue assumes: domains, accounts, names in the DNS, configuration. */
#include "stage.h"

#include "accounts/account.h"
#include "accounts/suppression.h"
#include "delivery/queue/queue.h"
#include "delivery/rules/standing.h"
#include "intake/intake.h"
#include "ops/server.h"
#include "runtime/dns.h"
#include "runtime/sim.h"
#include "runtime/clock.h"
#include "store/mailbox.h"
#include "trust/keyring.h"

#include <stdio.h>
#include <string.h>

enum {
    WORDS_MAX = 12
};

static size_t
split_words(str text, str words[WORDS_MAX])
{
    size_t count = 0;
    str rest;

    while (text.len && count < WORDS_MAX) {
        rest = S("");
        str_split(text, ' ', &words[count++], &rest);
        text = str_trim(rest);
    }
    return count;
}

/* "proxy 192.0.2.9": listeners take a PROXY header from there. */
static void
configure_proxy(struct stage *stage, str network)
{
    char mark[256];
    struct buf grown;
    str config = buf_str(&stage->config);

    buf_init(&grown, stage->config.max);
    snprintf(mark, sizeof(mark), " proxy_protocol %.*s; }", STR_ARG(network));
    while (config.len) {
        ssize_t at = str_find_str(config, S(" @"));

        if (at < 0)
            break;
        buf_add(&grown, str_head(config, (size_t)at));
        buf_add(&grown, str_from(mark));
        config = str_skip(config, (size_t)at);
        config = str_skip(config, (size_t)str_find(config, '}') + 1);
    }
    buf_add(&grown, config);
    buf_done(&stage->config);
    stage->config = grown;
}

enum err
given_configure(struct stage *stage, str item, struct why *why)
{
    str words[WORDS_MAX];
    size_t count = split_words(item, words);

    (void)why;
    if (count < 2)
        return OK;
    if (str_eq(words[0], S("config")))
        buf_addf(&stage->config, "%.*s\n", STR_ARG(str_skip(item, 7)));
    else if (str_eq(words[0], S("trust")))
        buf_addf(&stage->config, "trust { network %.*s; }\n", STR_ARG(words[1]));
    else if (str_eq(words[0], S("proxy")))
        configure_proxy(stage, words[1]);
    return OK;
}

static enum err
add_dns(const str *words, size_t count, struct why *why)
{
    char name[256], target[256];
    struct dns_record record = { 0 };
    uint64_t preference = 0;

    snprintf(name, sizeof(name), "%.*s", STR_ARG(words[1]));
    if (count == 3 && str_eq(words[2], S("fails"))) {
        sim_dns_fail(name, DNS_TEMPORARY);
        return OK;
    }
    if (count == 4 && ipaddr_parse(words[3], &record.addr)) {
        sim_dns_add(name, str_eq(words[2], S("A")) ? DNS_A : DNS_AAAA, &record, false);
        return OK;
    }
    if (count == 5 && str_eq(words[2], S("MX")) && str_to_u64(words[3], &preference)) {
        snprintf(target, sizeof(target), "%.*s", STR_ARG(words[4]));
        record.preference = (uint16_t)preference;
        record.name = str_eq(words[4], S(".")) ? S("") : str_from(target);
        sim_dns_add(name, DNS_MX, &record, false);
        return OK;
    }
    return err_why(why, ERR_SYNTAX, "dns NAME A ADDRESS | MX NUMBER HOST | fails");
}

static enum err
add_account(struct stage *stage, str address, const str *words, size_t count, struct why *why)
{
    char password[128];
    int64_t id;

    snprintf(password, sizeof(password), "secret-%.*s", STR_ARG(words[1]));
    if (count == 4 && str_eq(words[2], S("password")))
        snprintf(password, sizeof(password), "%.*s", STR_ARG(words[3]));
    return accounts_add(server_accounts(stage->server), address, str_from(password), &id, why);
}

static enum err
read_text(void *arg, char *bytes, size_t size, size_t *got)
{
    str *left = arg;

    *got = MIN(size, left->len);
    memcpy(bytes, left->ptr, *got);
    *left = str_skip(*left, *got);
    return OK;
}

static enum err
fill_mailbox(struct stage *stage, int64_t account, uint64_t count, struct why *why)
{
    struct mailbox *mailbox;
    enum mailbox_verdict verdict;
    enum err e;

    e = mailbox_open(server_services(stage->server)->mailboxes, account, &mailbox, why);
    for (uint64_t i = 1; i <= count && !e; i++) {
        char text[256];
        str left = { text, 0 };
        struct mailbox_append append = {
            .message = { { (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i } },
            .recipient = S("somebody"),
            .received = SECONDS(i),
            .read = read_text,
            .arg = &left,
        };

        left.len = (size_t)snprintf(text, sizeof(text),
                                    "Subject: number %llu\r\n\r\nbody %llu\r\n.dot\r\n",
                                    (unsigned long long)i, (unsigned long long)i);
        e = mailbox_append(mailbox, &append, &verdict, why);
    }
    mailbox_close(mailbox);
    return e;
}

static enum err
add_mail(struct stage *stage, str address, str number, struct why *why)
{
    struct password_secret secret;
    uint64_t count;
    bool disabled;
    int64_t id;
    enum err e;

    if (!str_to_u64(number, &count))
        return err_why(why, ERR_SYNTAX, "mail for NAME COUNT");
    e = accounts_get_secret(server_accounts(stage->server), address, &id, &disabled, &secret);
    if (e)
        return err_why(why, e, "no such account");
    return fill_mailbox(stage, id, count, why);
}

static enum err
listen_remote(struct stage *stage, const str *words, struct why *why)
{
    struct endpoint endpoint = { .port = 25 };
    struct actor *actor = stage_actor(stage, words[0]);

    if (!ipaddr_parse(words[3], &endpoint.addr) && !endpoint_parse(words[3], &endpoint))
        return err_why(why, ERR_SYNTAX, "M listens at ADDRESS");
    return actor_listen(actor, &endpoint);
}

/* "key DOMAIN SELECTOR ALGORITHM [STATE]" */
static enum err
add_key(struct stage *stage, const str *words, size_t count, struct why *why)
{
    struct keyring *keyring = server_services(stage->server)->keyring;
    enum key_state state = KEY_ACTIVE;
    enum err e;

    if (count < 4 || (count > 4 && !key_state_parse(words[4], &state)))
        return err_why(why, ERR_SYNTAX, "key DOMAIN SELECTOR ALGORITHM [STATE]");
    e = keyring_add(keyring, words[1], words[2], words[3], clock_now(), why);
    if (e)
        return e;
    return keyring_set_state(keyring, words[1], words[2], state, clock_now(), why);
}

/* "suppressed ADDRESS REASON [SCOPE [LIST]]" */
static enum err
add_suppressed(struct stage *stage, const str *words, size_t count, struct why *why)
{
    struct suppression_entry entry = { .address = words[1],
                                       .note = S("by the script"),
                                       .source = S("script"),
                                       .created = clock_now() };

    if (count < 3 || !suppression_reason_parse(words[2], &entry.reason))
        return err_why(why, ERR_SYNTAX, "suppressed ADDRESS REASON [SCOPE [LIST]]");
    if (count > 3 && !str_eq(words[3], S("all")))
        entry.scope = words[3];
    if (count > 4)
        entry.list = words[4];
    return suppression_add(server_services(stage->server)->suppression, &entry, 1, why);
}

/* "tls DOMAIN LEVEL": an operator's rule. */
static enum err
add_tls_rule(struct stage *stage, const str *words, size_t count, struct why *why)
{
    struct standing_rule rule = { .kind = STANDING_TLS,
                                  .reason = S("by the script"),
                                  .actor = S("script"),
                                  .until = clock_now() + DAYS(1) };
    uint32_t id;

    if (count != 3 || !standing_level_parse(words[2], &rule.level))
        return err_why(why, ERR_SYNTAX, "tls DOMAIN require|verify|plain");
    rule.values[FACT_DOMAIN] = words[1];
    return queue_rule_add(server_services(stage->server)->queue, &rule, &id, why);
}

/* Those whose second word names an account or address. */
static enum err
apply_named(struct stage *stage, str address, const str *words, size_t count, struct why *why)
{
    struct accounts *accounts = server_accounts(stage->server);
    struct buf target;
    uint64_t number;
    enum err e = OK;

    if (str_eq(words[0], S("account")))
        return add_account(stage, address, words, count, why);
    if (str_eq(words[0], S("disabled")))
        return accounts_set_disabled(accounts, address, true, why);
    if (count < 3)
        return err_why(why, ERR_SYNTAX, "a word is missing");
    if (str_eq(words[0], S("limit")))
        return accounts_set_limit(accounts, address, words[2], why);
    if (str_eq(words[0], S("quota")) && str_to_u64(words[2], &number))
        return accounts_set_quota(accounts, address, number, why);
    if (str_eq(words[0], S("mail")))
        return add_mail(stage, address, words[2], why);
    buf_init(&target, 400);
    stage_address(stage, words[count - 1], &target);
    if (str_eq(words[0], S("alias")))
        e = accounts_add_alias(accounts, address, buf_str(&target), why);
    else if (str_eq(words[0], S("sender")))
        e = accounts_allow_sender(accounts, buf_str(&target), address, why);
    else
        e = err_why(why, ERR_SYNTAX, "unknown: given %.*s", STR_ARG(words[0]));
    buf_done(&target);
    return e;
}

enum err
given_apply(struct stage *stage, str item, struct why *why)
{
    str words[WORDS_MAX];
    size_t count = split_words(item, words);
    struct buf address;
    enum err e;

    if (count < 2)
        return err_why(why, ERR_SYNTAX, "unknown: given %.*s", STR_ARG(item));
    if (str_eq(words[0], S("config")) || str_eq(words[0], S("trust")) ||
        str_eq(words[0], S("proxy")))
        return OK;
    if (str_eq(words[0], S("dns")))
        return add_dns(words, count, why);
    if (str_eq(words[0], S("domain"))) {
        if (!stage->domain[0])
            snprintf(stage->domain, sizeof(stage->domain), "%.*s", STR_ARG(words[1]));
        return accounts_add_domain(server_accounts(stage->server), words[1], why);
    }
    if (str_eq(words[0], S("suppressed")))
        return add_suppressed(stage, words, count, why);
    if (str_eq(words[0], S("tls")))
        return add_tls_rule(stage, words, count, why);
    if (str_eq(words[0], S("key")))
        return add_key(stage, words, count, why);
    if (str_eq(words[0], S("route")) && count == 3)
        return accounts_set_domain_route(server_accounts(stage->server), words[1], words[2], why);
    if (count == 4 && str_eq(words[1], S("listens")))
        return listen_remote(stage, words, why);
    buf_init(&address, 400);
    stage_address(stage, words[1], &address);
    e = apply_named(stage, buf_str(&address), words, count, why);
    buf_done(&address);
    return e;
}
