/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_address.c: which addresses lead back here, and with which ones mail leaves.
 *
 * The form decides whose an address is, so that a way can be chosen without keys; a mailbox with
 * such a name at one of our domains would be hidden by it, and none has 45 letters of base32 behind
 * "bounce-".  Start reading at return_address_check() and return_address_leaving().
 */
#include "delivery/returns/return_address.h"

#include "accounts/account.h"
#include "config/config.h"
#include "delivery/returns/srs.h"
#include "formats/address.h"
#include "mail/envelope.h"

#include <string.h>

enum {
    NEIGHBOURS_MAX = 100, /* Recipients of a message of which one may still be named. */
};

static str
domain_part(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at + 1);
}

static str
local_part(str address)
{
    ssize_t at = str_find_last(address, '@');

    return str_head(address, at < 0 ? 0 : (size_t)at);
}

/* DOMAIN as others wrote it. */
static bool
is_our_domain(struct accounts *accounts, str domain)
{
    char lower[DOMAIN_MAX];

    if (!domain.len || domain.len > sizeof(lower))
        return false;
    for (size_t i = 0; i < domain.len; i++)
        lower[i] = ascii_lower(domain.ptr[i]);
    return accounts_has_domain(accounts, (str){ lower, domain.len });
}

static bool
is_domain_of(const struct config *config, str domain)
{
    const struct config_bounces *bounces = &config->bounces;

    return domain.len &&
           (str_eq_nocase(domain, bounces->domain) || str_eq_nocase(domain, bounces->srs_domain));
}

/* RFC 5321 4.5.1 and RFC 2142: whatever names this host, as its DMARC record, its reports of
 * delivery and its greeting do, has to be reachable, also where no mailbox is at the name. */
static bool
is_role_of_host(const struct config *config, str local, str domain)
{
    return str_eq_nocase(domain, config->server.hostname) &&
           (str_eq_nocase(local, S("postmaster")) || str_eq_nocase(local, S("abuse")));
}

enum return_kind
return_kind_of(const struct config *config, struct accounts *accounts, str address)
{
    const struct config_bounces *bounces = &config->bounces;
    str local = local_part(address), domain = domain_part(address);
    bool bounce_domain = domain.len && str_eq_nocase(domain, bounces->domain);
    bool srs_domain = domain.len && str_eq_nocase(domain, bounces->srs_domain);

    if (address.len && str_eq_nocase(address, bounces->complaints_to))
        return RETURN_COMPLAINT;
    if (config_unsubscribe_list(config, address))
        return RETURN_UNSUBSCRIBE;
    if (return_path_is_one(local) && (bounce_domain || is_our_domain(accounts, domain)))
        return RETURN_REPORT;
    if (is_role_of_host(config, local, domain) && !is_our_domain(accounts, domain))
        return RETURN_POSTMASTER;
    if (!bounce_domain && !srs_domain)
        return RETURN_NONE;
    if (srs_domain && (srs_is_one(local) || (local.len > 1 && srs_is_one(str_skip(local, 1)))))
        return RETURN_SRS;
    if (is_our_domain(accounts, domain))
        return RETURN_NONE;
    return str_eq_nocase(local, S("postmaster")) ? RETURN_POSTMASTER : RETURN_UNKNOWN;
}

/* The local part without quotes, which an SRS of a quoted address has. */
static enum err
check_srs(struct secrets *secrets, str text, instant now, struct arena *arena, str *original)
{
    struct address address;
    enum err e = address_parse(text, arena, &address);

    return e ? e : srs_back(secrets, address.local, now, arena, original);
}

enum err
return_address_check(const struct config *config, struct accounts *accounts,
                     struct secrets *secrets, str address, instant now, struct arena *arena,
                     struct return_address *found)
{
    enum err e = OK;

    *found = (struct return_address){ .kind = return_kind_of(config, accounts, address) };
    if (found->kind == RETURN_UNKNOWN)
        return ERR_REFUSED;
    if (found->kind != RETURN_REPORT && found->kind != RETURN_SRS)
        return OK;
    if (!secrets)
        return ERR_REFUSED;
    if (found->kind == RETURN_REPORT)
        e = return_path_read(secrets, local_part(address), now, config->bounces.keep, &found->path);
    else
        e = check_srs(secrets, address, now, arena, &found->original);
    return e && e != ERR_LIMIT ? ERR_REFUSED : e;
}

/* --- Leaving. */

/* Only what begins its way here: a bounce of forwarded mail is not ours to read. */
static bool
is_of_ours(const struct config *config, const struct envelope *envelope)
{
    const struct config_networks *trusted = &config->trust.network;

    if (!envelope->reverse_path.len || envelope->door == DOOR_BOUNCE)
        return false;
    if (envelope->account.len || envelope->door != DOOR_MX)
        return true;
    for (size_t i = 0; i < trusted->count; i++)
        if (network_holds(&trusted->items[i], envelope->client.addr))
            return true;
    return false;
}

/* A recipient is named where no other of the message is at the same domain: with one that is, a
 * retry might have to do with both or with one, and be a stranger to whoever greylists. */
static bool
stands_alone(const struct envelope *envelope, uint32_t index)
{
    str domain = domain_part(envelope->recipients[index].address);

    if (envelope->recipient_count > NEIGHBOURS_MAX)
        return false;
    for (size_t i = 0; i < envelope->recipient_count; i++)
        if (i != index && str_eq_nocase(domain, domain_part(envelope->recipients[i].address)))
            return false;
    return true;
}

static str
leaving_domain(const struct config *config, struct accounts *accounts,
               const struct envelope *envelope)
{
    str domain = domain_part(envelope->reverse_path);

    switch (config->bounces.return_path) {
    case RETURN_PATHS_DOMAIN:
        return config->bounces.domain;
    case RETURN_PATHS_SENDER:
        return is_our_domain(accounts, domain) ? domain : S("");
    case RETURN_PATHS_OFF:
        break;
    }
    return S("");
}

enum err
return_address_leaving(const struct config *config, struct accounts *accounts,
                       struct secrets *secrets, const struct envelope *envelope, uint32_t index,
                       size_t count, struct arena *arena, str *address)
{
    struct return_path path = { .message = envelope->id, .index = RETURN_PATH_NOBODY };
    str domain = leaving_domain(config, accounts, envelope);
    enum return_kind kind = return_kind_of(config, accounts, envelope->reverse_path);
    struct buf local;
    enum err e;

    *address = envelope->reverse_path;
    if (!domain.len || !secrets || !is_of_ours(config, envelope) ||
        (kind != RETURN_NONE && kind != RETURN_POSTMASTER))
        return OK;
    if (count == 1 && stands_alone(envelope, index))
        path.index = index;
    buf_init(&local, RETURN_PATH_LOCAL_SIZE);
    return_path_write(secrets, &path, &local);
    e = arena_printf(arena, address, "%.*s@%.*s", STR_ARG(buf_str(&local)), STR_ARG(domain))
            ? OK
            : ERR_LIMIT;
    buf_done(&local);
    return e;
}

enum err
return_address_forwarding(const struct config *config, struct accounts *accounts,
                          struct secrets *secrets, str reverse_path, instant now,
                          struct arena *arena, str *address, bool *too_long)
{
    str srs_domain = config->bounces.srs_domain;
    struct address sender;
    enum err e;

    *address = reverse_path;
    *too_long = false;
    if (!reverse_path.len || !srs_domain.len || !secrets ||
        is_our_domain(accounts, domain_part(reverse_path)) ||
        is_domain_of(config, domain_part(reverse_path)))
        return OK;
    e = address_parse(reverse_path, arena, &sender);
    if (e == ERR_SYNTAX)
        return OK;
    if (e)
        return e;
    e = srs_rewrite(secrets, &sender, srs_domain, now, arena, address);
    *too_long = e == ERR_LIMIT;
    return OK;
}
