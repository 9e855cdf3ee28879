/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_records.c: what a domain publishes so that its mail arrives, is believed and is encrypted.
 *
 * Where it goes (MX), the host (A, AAAA, PTR), who may send (SPF), signatures (DKIM), what to do
 * without them (DMARC), encryption (MTA-STS, TLS-RPT, TLSA), and where mail programs look (SRV).
 * Start reading at dns_wants_of().
 */
#include "ops/dns_records.h"

#include "config/config.h"
#include "trust/dkim_record.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SPF_ADDRS_MAX = 100,
    STS_MAX_AGE_TESTING = 86400,
    STS_MAX_AGE = 1209600, /* RFC 8461 3.2: weeks, so that one missed answer is no hole. */
};

struct making {
    const struct dns_facts *facts;
    const struct config *config;
    struct arena *arena;
    struct dns_wants *wants;
    struct dns_want nowhere; /* What is too much. */
    bool full;
};

static PRINTF_LIKE(2, 3) str text_of(struct making *m, const char *format, ...)
{
    char text[4000];
    va_list list;
    str copy = S("");

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    m->full = !arena_copy(m->arena, str_from(text), &copy) || m->full;
    return copy;
}

static struct dns_want *
add(struct making *m, str name, enum dns_type type, str value, const char *what)
{
    struct dns_want *want = &m->nowhere;

    if (m->wants->count == DNS_WANTS_MAX)
        m->full = true;
    else
        want = &m->wants->items[m->wants->count++];
    *want = (struct dns_want){ .name = name, .type = type, .value = value, .what = str_from(what) };
    return want;
}

/* --- Addresses. */

/* Those that others can reach or see: RFC 1918, 4193, 3927, 4291. */
static bool
is_public(ipaddr addr)
{
    const uint8_t *b = addr.bytes;

    if (ipaddr_is_loopback(addr) || ipaddr_is_any(addr))
        return false;
    if (ipaddr_is_v4(addr))
        return b[12] != 10 && b[12] != 127 && !(b[12] == 172 && (b[13] & 0xf0) == 16) &&
               !(b[12] == 192 && b[13] == 168) && !(b[12] == 169 && b[13] == 254);
    return (b[0] & 0xfe) != 0xfc && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

/* Calls FN for each public address that mail leaves from, with the name that is said there. */
static void
each_source(struct making *m, void (*fn)(struct making *, ipaddr, str helo))
{
    const struct config *config = m->config;

    for (size_t i = 0; i < config->delivery.source.count; i++)
        if (is_public(config->delivery.source.items[i]))
            fn(m, config->delivery.source.items[i], config->delivery.helo_name);
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        str helo = source->helo_name.len ? source->helo_name : config->delivery.helo_name;
        for (size_t k = 0; k < source->address.count; k++)
            if (is_public(source->address.items[k]))
                fn(m, source->address.items[k], helo);
    }
}

static void
each_door(struct making *m, void (*fn)(struct making *, ipaddr, str helo))
{
    const struct config *config = m->config;

    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_endpoints *at = &config->listeners[i].address;
        for (size_t k = 0; config->listeners[i].kind == LISTEN_SMTP && k < at->count; k++)
            if (is_public(at->items[k].addr))
                fn(m, at->items[k].addr, config->server.hostname);
    }
}

static bool
has(const struct making *m, str name, enum dns_type type, str value)
{
    for (size_t i = 0; i < m->wants->count; i++) {
        const struct dns_want *want = &m->wants->items[i];
        if (want->type == type && str_eq(want->name, name) && str_eq(want->value, value))
            return true;
    }
    return false;
}

static void
add_addr(struct making *m, ipaddr addr, str host)
{
    enum dns_type type = ipaddr_is_v4(addr) ? DNS_A : DNS_AAAA;
    char text[IPADDR_TEXT_MAX];

    ipaddr_format(addr, text);
    if (!has(m, host, type, str_from(text)))
        add(m, host, type, text_of(m, "%s", text), "where this host is");
}

static void
add_ptr(struct making *m, ipaddr addr, str host)
{
    char name[DNS_REVERSE_SIZE];
    str value = text_of(m, "%.*s.", STR_ARG(host));

    dns_reverse_name(addr, name);
    if (!has(m, str_from(name), DNS_PTR, value))
        add(m, text_of(m, "%s", name), DNS_PTR, value,
            "tells who connects: many refuse mail without it; whoever gave you the address sets "
            "it");
}

/* RFC 7208 2.3: reports have no sender, so that the name in EHLO is looked at. */
static void
add_helo(struct making *m, ipaddr addr, str host)
{
    add_addr(m, addr, host);
    add_ptr(m, addr, host);
    if (!str_eq(host, m->facts->domain) && !has(m, host, DNS_TXT, S("v=spf1 a -all")))
        add(m, host, DNS_TXT, S("v=spf1 a -all"), "SPF of the name that we say in EHLO (RFC 7208)");
}

static void
add_host(struct making *m)
{
    str host = m->config->server.hostname;
    size_t before = m->wants->count;

    each_door(m, add_addr);
    if (m->wants->count == before)
        add(m, host, DNS_A, S(""), "the address of this machine as others reach it")->loose = true;
    before = m->wants->count;
    each_source(m, add_helo);
    if (m->wants->count == before)
        each_door(m, add_helo);
}

/* --- Who may send: RFC 7208. */

static bool
leaves_by_relay(const struct config *config)
{
    enum relay_kind kind = config->relay.to.kind;

    return kind == RELAY_SMTP || kind == RELAY_SMTPS || relay_is_http(&config->relay.to);
}

static void
add_spf(struct making *m)
{
    const struct config *config = m->config;
    str value = text_of(m, "v=spf1 mx");
    size_t count = 0;

    for (size_t i = 0; i < m->wants->count; i++) {
        const struct dns_want *want = &m->wants->items[i];
        if ((want->type != DNS_A && want->type != DNS_AAAA) || !want->value.len ||
            count == SPF_ADDRS_MAX)
            continue;
        value = text_of(m, "%.*s ip%c:%.*s", STR_ARG(value), want->type == DNS_A ? '4' : '6',
                        STR_ARG(want->value));
        count++;
    }
    if (!count)
        value = text_of(m, "%.*s a:%.*s", STR_ARG(value), STR_ARG(config->server.hostname));
    if (leaves_by_relay(config))
        add(m, m->facts->domain, DNS_TXT, text_of(m, "%.*s ~all", STR_ARG(value)),
            text_of(m,
                    "who sends mail of this domain (RFC 7208); mail leaves by %.*s: before ~all, "
                    "add what its operator says (include:...)",
                    STR_ARG(config->relay.to.host))
                .ptr);
    else
        add(m, m->facts->domain, DNS_TXT, text_of(m, "%.*s -all", STR_ARG(value)),
            "only this server sends mail of this domain (RFC 7208)");
}

/* --- Signatures: RFC 6376, 7489. */

static void
add_keys(struct making *m)
{
    for (size_t i = 0; i < m->facts->key_count; i++) {
        const struct key_info *key = &m->facts->keys[i];
        str name = text_of(m, "%.*s._domainkey.%.*s", STR_ARG(key->selector), STR_ARG(key->domain));
        add(m, name, DNS_TXT, key->record,
            key->state == KEY_REVOKED ? "says that this key is not valid any more"
                                      : "lets others verify our signatures (RFC 6376)");
    }
}

static bool
is_within(str domain, str above)
{
    return str_eq(domain, above) || (domain.len > above.len && str_ends(domain, above) &&
                                     domain.ptr[domain.len - above.len - 1] == '.');
}

static void
add_dmarc(struct making *m)
{
    str postmaster = m->config->server.postmaster;
    str home = str_skip(postmaster, (size_t)(str_find_last(postmaster, '@') + 1));

    add(m, text_of(m, "_dmarc.%.*s", STR_ARG(m->facts->domain)), DNS_TXT,
        text_of(m, "v=DMARC1; p=none; rua=mailto:%.*s", STR_ARG(postmaster)),
        "asks for reports; p=quarantine, then p=reject, once they look well (RFC 7489)");
    /* RFC 7489 7.1: reports to another domain are sent when that domain wants them. */
    if (!is_within(home, m->facts->domain))
        add(m, text_of(m, "%.*s._report._dmarc.%.*s", STR_ARG(m->facts->domain), STR_ARG(home)),
            DNS_TXT, S("v=DMARC1"), "lets these reports be sent to another domain (RFC 7489 7.1)");
}

/* --- Encryption. */

bool
sts_wish_parse(str text, enum sts_wish *wish)
{
    if (!text.len || str_eq(text, S("testing")))
        *wish = STS_WISH_TESTING;
    else if (str_eq(text, S("enforce")))
        *wish = STS_WISH_ENFORCE;
    else if (str_eq(text, S("none")))
        *wish = STS_WISH_NONE;
    else
        return false;
    return true;
}

enum err
sts_policy_text(const struct config *config, enum sts_wish wish, struct arena *arena, str *text)
{
    static const char *const modes[] = {
        [STS_WISH_TESTING] = "testing",
        [STS_WISH_ENFORCE] = "enforce",
        [STS_WISH_NONE] = "none",
    };

    return arena_printf(arena, text, "version: STSv1\r\nmode: %s\r\nmx: %.*s\r\nmax_age: %d\r\n",
                        modes[wish], STR_ARG(config->server.hostname),
                        wish == STS_WISH_ENFORCE ? STS_MAX_AGE : STS_MAX_AGE_TESTING)
               ? OK
               : ERR_LIMIT;
}

static void
put_hex(const uint8_t *bytes, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void
sts_policy_id(str text, char id[STS_ID_SIZE + 1])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    id[0] = 0;
    if (EVP_Digest(text.ptr, text.len, digest, &length, EVP_sha256(), NULL))
        put_hex(digest, STS_ID_SIZE / 2, id);
}

static void
add_sts(struct making *m)
{
    str domain = m->facts->domain;
    char id[STS_ID_SIZE + 1] = "";
    str policy;

    if (sts_policy_text(m->config, m->facts->sts, m->arena, &policy)) {
        m->full = true;
        return;
    }
    sts_policy_id(policy, id);
    add(m, text_of(m, "_mta-sts.%.*s", STR_ARG(domain)), DNS_TXT, text_of(m, "v=STSv1; id=%s;", id),
        "announces the policy that 'outpost dns sts-policy' prints: mail to us is encrypted, to "
        "this host (RFC 8461)");
    add(m, text_of(m, "mta-sts.%.*s", STR_ARG(domain)), DNS_CNAME,
        text_of(m, "%.*s.", STR_ARG(m->config->server.hostname)),
        "the web server with /.well-known/mta-sts.txt; any that has a certificate for this name")
        ->loose = true;
}

static void
add_tlsa(struct making *m)
{
    str name = text_of(m, "_25._tcp.%.*s", STR_ARG(m->config->server.hostname));

    for (size_t i = 0; i < m->facts->tlsa_count; i++) {
        char hex[2 * TLSA_DIGEST_SIZE + 1];
        put_hex(m->facts->tlsa[i], TLSA_DIGEST_SIZE, hex);
        add(m, name, DNS_TLSA, text_of(m, "3 1 1 %s", hex),
            i ? "the same of tls.next_key: publish it before that key is used (RFC 7671 8.1)"
              : "ties the host to the key of its certificate (RFC 7672); only where the zone is "
                "signed (DNSSEC)")
            ->needs_dnssec = true;
    }
}

static void
add_encryption(struct making *m)
{
    if (m->config->tls.certificate.len)
        add_sts(m);
    add(m, text_of(m, "_smtp._tls.%.*s", STR_ARG(m->facts->domain)), DNS_TXT,
        text_of(m, "v=TLSRPTv1; rua=mailto:%.*s", STR_ARG(m->config->server.postmaster)),
        "asks for reports about encryption (RFC 8460)");
    add_tlsa(m);
}

/* --- Where mail programs look: RFC 6186, 8314 5.1. */

static void
add_services(struct making *m)
{
    static const struct {
        enum listen_kind kind;
        const char *service;
        unsigned priority; /* TLS from the first byte is preferred: RFC 8314 3. */
    } services[] = {
        { LISTEN_SUBMISSIONS, "submissions", 0 },
        { LISTEN_SUBMISSION, "submission", 10 },
        { LISTEN_POP3S, "pop3s", 0 },
        { LISTEN_POP3, "pop3", 10 },
    };

    for (size_t i = 0; i < COUNT_OF(services); i++)
        for (size_t k = 0; k < m->config->listener_count; k++) {
            const struct config_listen *listen = &m->config->listeners[k];
            if (listen->kind != services[i].kind || !listen->address.count)
                continue;
            add(m, text_of(m, "_%s._tcp.%.*s", services[i].service, STR_ARG(m->facts->domain)),
                DNS_SRV,
                text_of(m, "%u 1 %u %.*s.", services[i].priority, listen->address.items[0].port,
                        STR_ARG(m->config->server.hostname)),
                "lets mail programs find this server by the address alone (RFC 6186, 8314)");
            break;
        }
}

/* --- What comes back: domains of the senders that mail leaves with. */

static void
add_return_domain(struct making *m, str name)
{
    struct dns_want *spf = NULL;

    if (!is_within(name, m->facts->domain) || str_eq(name, m->facts->domain))
        return;
    for (size_t i = 0; i < m->wants->count && !spf; i++)
        if (m->wants->items[i].type == DNS_TXT &&
            str_eq(m->wants->items[i].name, m->facts->domain) &&
            str_starts(m->wants->items[i].value, S("v=spf1")))
            spf = &m->wants->items[i];
    add(m, name, DNS_MX, text_of(m, "10 %.*s.", STR_ARG(m->config->server.hostname)),
        "what comes back to the senders of bounces { } comes here");
    if (spf)
        add(m, name, DNS_TXT, spf->value, "who sends mail with such a sender (RFC 7208)");
}

enum err
dns_wants_of(const struct dns_facts *facts, struct arena *arena, struct dns_wants *wants)
{
    struct making making = {
        .facts = facts, .config = facts->config, .arena = arena, .wants = wants
    };

    wants->count = 0;
    wants->items = arena_new_array(arena, struct dns_want, DNS_WANTS_MAX);
    if (!wants->items)
        return ERR_LIMIT;
    add(&making, facts->domain, DNS_MX,
        text_of(&making, "10 %.*s.", STR_ARG(facts->config->server.hostname)),
        "mail for this domain comes here");
    add_host(&making);
    add_spf(&making);
    add_return_domain(&making, facts->config->bounces.domain);
    if (!str_eq(facts->config->bounces.srs_domain, facts->config->bounces.domain))
        add_return_domain(&making, facts->config->bounces.srs_domain);
    add_keys(&making);
    add_dmarc(&making);
    add_encryption(&making);
    add_services(&making);
    return making.full ? ERR_LIMIT : OK;
}

/* --- What is there. */

const char *
dns_sight_name(enum dns_sight sight)
{
    static const char *const names[] = {
        [DNS_SIGHT_UNKNOWN] = "unknown",
        [DNS_SIGHT_ABSENT] = "absent",
        [DNS_SIGHT_OTHER] = "other",
        [DNS_SIGHT_SEEN] = "seen",
    };

    return names[sight];
}

const char *
dns_type_name(enum dns_type type)
{
    switch (type) {
    case DNS_A:
        return "A";
    case DNS_NS:
        return "NS";
    case DNS_CNAME:
        return "CNAME";
    case DNS_PTR:
        return "PTR";
    case DNS_MX:
        return "MX";
    case DNS_TXT:
        return "TXT";
    case DNS_AAAA:
        return "AAAA";
    case DNS_SRV:
        return "SRV";
    case DNS_TLSA:
        return "TLSA";
    }
    return "";
}

static bool
format_tlsa(struct arena *arena, str rdata, str *text)
{
    char hex[2 * 64 + 1] = "";
    str data = str_head(str_skip(rdata, 3), 64);

    if (rdata.len < 3)
        return arena_copy(arena, S("malformed"), text);
    put_hex((const uint8_t *)data.ptr, data.len, hex);
    return arena_printf(arena, text, "%u %u %u %s", (uint8_t)rdata.ptr[0], (uint8_t)rdata.ptr[1],
                        (uint8_t)rdata.ptr[2], hex);
}

/* As struct dns_want has it. */
static bool
format_record(struct arena *arena, enum dns_type type, const struct dns_record *record, str *text)
{
    char addr[IPADDR_TEXT_MAX];

    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        ipaddr_format(record->addr, addr);
        return arena_copy(arena, str_from(addr), text);
    case DNS_MX:
        return arena_printf(arena, text, "%u %.*s.", record->preference, STR_ARG(record->name));
    case DNS_SRV:
        return arena_printf(arena, text, "%u 1 %u %.*s.", record->preference, record->port,
                            STR_ARG(record->name));
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        return arena_printf(arena, text, "%.*s.", STR_ARG(record->name));
    case DNS_TXT:
        *text = record->data;
        return true;
    case DNS_TLSA:
        return format_tlsa(arena, record->data, text);
    }
    return false;
}

static bool
next_solid(str *text, char *c)
{
    while (text->len) {
        *c = text->ptr[0];
        *text = str_skip(*text, 1);
        if (*c != ' ' && *c != '\t' && *c != ';')
            return true;
    }
    return false;
}

/* Blanks, and a semicolon at the end, make no difference to any of these. */
static bool
is_same_text(str a, str b)
{
    char x = 0, y = 0;

    for (;;) {
        bool more = next_solid(&a, &x);
        if (next_solid(&b, &y) != more)
            return false;
        if (!more)
            return true;
        if (x != y)
            return false;
    }
}

static bool
is_same(const struct dns_want *want, str there)
{
    if (want->type == DNS_MX) /* The preference is the operator's. */
        return str_eq(str_skip(want->value, (size_t)(str_find(want->value, ' ') + 1)),
                      str_skip(there, (size_t)(str_find(there, ' ') + 1)));
    if (want->type != DNS_TXT)
        return str_eq(want->value, there);
    return dkim_record_same(want->value, there) || is_same_text(want->value, there);
}

/* Whether it stands for the same: "v=spf1" beside what else is said of a domain. */
static bool
is_of_its_kind(const struct dns_want *want, str there)
{
    size_t end = 0;

    if (want->type != DNS_TXT)
        return true;
    while (end < want->value.len && want->value.ptr[end] != ' ' && want->value.ptr[end] != ';')
        end++;
    return str_starts_nocase(there, str_head(want->value, end));
}

enum dns_sight
dns_want_judge(const struct dns_want *want, const struct dns_answer *answer, struct arena *arena,
               str *other_text)
{
    enum dns_sight sight = DNS_SIGHT_ABSENT;

    if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS)
        return DNS_SIGHT_UNKNOWN;
    for (size_t i = 0; answer->status == DNS_FOUND && i < answer->count; i++) {
        str there;
        if (!format_record(arena, want->loose ? DNS_A : want->type, &answer->records[i], &there))
            return DNS_SIGHT_UNKNOWN;
        if (want->loose || is_same(want, there))
            return DNS_SIGHT_SEEN;
        if (is_of_its_kind(want, there)) {
            sight = DNS_SIGHT_OTHER;
            *other_text = there;
        }
    }
    return sight;
}
