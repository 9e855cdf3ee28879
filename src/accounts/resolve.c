/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* resolve.c: where an address leads, and who may send in its name.
 *
 * One address is looked for in this order: alias, account, the same two without "+detail",
 * postmaster, catch-all, the domain's route.  An alias is followed target by target; each
 * alias is entered once, so circles end, and an account that is among the targets of its
 * own forwarding keeps a copy.
 *
 * Start reading at accounts_resolve().
 */
#include "accounts/snapshot.h"

#include "base/must.h"

#include <string.h>

struct walk {
    const struct snapshot *snapshot;
    struct arena *arena;
    struct map seen;  /* Aliases that were entered. */
    struct map found; /* Targets, to name each once. */
    struct resolution_target *targets;
    size_t count;
    size_t capacity;
    bool looped; /* Too deep, or in a circle. */
};

static enum err
walk_add(struct walk *walk, const struct resolution_target *target)
{
    struct resolution_target *grown;

    if (map_get(&walk->found, target->address))
        return OK;
    if (walk->count == ALIAS_TARGETS_MAX)
        return OK;
    if (walk->count == walk->capacity) {
        size_t capacity = walk->capacity ? walk->capacity * 4 : 1;
        grown = arena_new_array(walk->arena, struct resolution_target, capacity);
        if (!grown)
            return ERR_LIMIT;
        if (walk->count)
            memcpy(grown, walk->targets, walk->count * sizeof(*grown));
        walk->targets = grown;
        walk->capacity = capacity;
    }
    walk->targets[walk->count++] = *target;
    return map_put(&walk->found, target->address, walk);
}

static enum err
walk_add_elsewhere(struct walk *walk, str address)
{
    return walk_add(walk,
                    &(struct resolution_target){ .kind = TARGET_ELSEWHERE, .address = address });
}

static enum err
walk_add_route(struct walk *walk, const struct domain *domain, str address)
{
    struct resolution_target target = { .kind = TARGET_ROUTE, .address = address };

    if (!arena_copy(walk->arena, domain->info.route, &target.route))
        return ERR_LIMIT;
    return walk_add(walk, &target);
}

static enum err
walk_add_account(struct walk *walk, const struct account *account, str detail)
{
    struct resolution_target target = {
        .kind = TARGET_MAILBOX,
        .account = account->info.id,
        .quota = account->info.quota,
        .detail = detail,
    };

    if (!arena_copy(walk->arena, account->info.address, &target.address))
        return ERR_LIMIT;
    if (account->domain->info.route.len)
        return walk_add_route(walk, account->domain, target.address);
    return walk_add(walk, &target);
}

static enum err walk_address(struct walk *walk, str text, unsigned depth, bool *known);

static enum err
walk_alias(struct walk *walk, struct alias *alias, unsigned depth)
{
    str key = { (char *)&alias, sizeof(alias) };
    bool known;
    enum err e;

    if (depth >= ALIAS_DEPTH_MAX || map_get(&walk->seen, key)) {
        walk->looped = true;
        return OK;
    }
    e = map_put(&walk->seen, key, alias);
    for (size_t i = 0; !e && i < alias->count && walk->count < ALIAS_TARGETS_MAX; i++)
        e = walk_address(walk, alias->targets[i], depth + 1, &known);
    return e;
}

/* ADDRESS is an alias or account, exactly as it is written. */
static enum err
walk_exact(struct walk *walk, str address, str detail, unsigned depth, bool *known)
{
    struct alias *alias = snapshot_alias(walk->snapshot, address);
    struct account *account = snapshot_account(walk->snapshot, address);

    *known = alias || account;
    if (alias && account && map_get(&walk->seen, (str){ (char *)&alias, sizeof(alias) }))
        return walk_add_account(walk, account, detail); /* Its own copy. */
    if (alias)
        return walk_alias(walk, alias, depth);
    return account ? walk_add_account(walk, account, detail) : OK;
}

static enum err
walk_postmaster(struct walk *walk, const struct domain *domain, bool *known)
{
    struct account *first = domain && domain->first ? domain->first : walk->snapshot->first;

    *known = first != NULL;
    return first ? walk_add_account(walk, first, S("")) : OK;
}

/* What is left when neither alias nor account is there. */
static enum err
walk_fallback(struct walk *walk, const struct domain *domain, const struct spelling *spelling,
              unsigned depth, bool *known)
{
    if (domain->info.route.len && !domain->info.accounts && !domain->info.aliases) {
        *known = true;
        return walk_add_route(walk, domain, spelling->address);
    }
    if (domain->info.catch_all.len && depth < ALIAS_DEPTH_MAX &&
        !str_eq(domain->info.catch_all, spelling->address))
        return walk_address(walk, domain->info.catch_all, depth + 1, known);
    if (str_eq(spelling->local, S("postmaster"))) {
        if (domain->info.route.len) {
            *known = true;
            return walk_add_route(walk, domain, spelling->address);
        }
        return walk_postmaster(walk, domain, known);
    }
    return OK;
}

static enum err
walk_local(struct walk *walk, const struct domain *domain, const struct spelling *written,
           unsigned depth, bool *known)
{
    struct spelling spelling;
    struct spelling plain;
    ssize_t plus;
    enum err e = spelling_in(written, domain->info.name, false, walk->arena, &spelling);

    if (e)
        return e;
    e = walk_exact(walk, spelling.address, S(""), depth, known);
    if (e || *known)
        return e;
    plus = spelling_plus(&spelling);
    if (plus > 0) {
        e = spelling_in(&spelling, domain->info.name, true, walk->arena, &plain);
        if (!e)
            e = walk_exact(walk, plain.address, str_skip(spelling.local, (size_t)plus + 1), depth,
                           known);
        if (e || *known)
            return e;
    }
    return walk_fallback(walk, domain, &spelling, depth, known);
}

static const struct domain *
real_domain(const struct snapshot *snapshot, str name)
{
    struct domain *domain = snapshot_domain(snapshot, name);

    return domain && domain->info.alias_of.len ? snapshot_domain(snapshot, domain->info.alias_of)
                                               : domain;
}

/* A target of an alias: here or elsewhere. */
static enum err
walk_address(struct walk *walk, str text, unsigned depth, bool *known)
{
    struct spelling spelling;
    const struct domain *domain;
    enum err e = spelling_of(text, walk->arena, &spelling);

    *known = false;
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    if (!spelling.domain.len)
        return walk_postmaster(walk, NULL, known);
    domain = real_domain(walk->snapshot, spelling.domain);
    if (domain)
        return walk_local(walk, domain, &spelling, depth, known);
    *known = true;
    return walk_add_elsewhere(walk, spelling.address);
}

static enum resolution_kind
kind_of(const struct walk *walk, bool known)
{
    if (!walk->count)
        return walk->looped ? RESOLUTION_LOOP : RESOLUTION_UNKNOWN;
    if (walk->count == ALIAS_TARGETS_MAX)
        return RESOLUTION_LOOP; /* Perhaps there would be more: nobody may be left out silently. */
    if (!known)
        return RESOLUTION_UNKNOWN;
    if (walk->count == 1 && !map_count(&walk->seen) && walk->targets[0].kind == TARGET_MAILBOX)
        return RESOLUTION_MAILBOX;
    if (walk->count == 1 && !map_count(&walk->seen) && walk->targets[0].kind == TARGET_ROUTE)
        return RESOLUTION_ROUTE;
    return RESOLUTION_ALIAS;
}

static enum err
resolve_in(const struct snapshot *snapshot, struct arena *arena, const struct spelling *spelling,
           struct resolution *resolution)
{
    const struct domain *domain = real_domain(snapshot, spelling->domain);
    struct walk walk = { .snapshot = snapshot, .arena = arena };
    bool known = false;
    enum err e;

    *resolution = (struct resolution){ .kind = RESOLUTION_NOT_OURS };
    if (spelling->domain.len && !domain)
        return OK;
    map_init(&walk.seen, 0);
    map_init(&walk.found, 0);
    if (domain)
        e = walk_local(&walk, domain, spelling, 0, &known);
    else
        e = walk_postmaster(&walk, NULL, &known);
    if (!e)
        *resolution = (struct resolution){ .kind = kind_of(&walk, known),
                                           .targets = walk.targets,
                                           .count = walk.count };
    map_done(&walk.seen);
    map_done(&walk.found);
    return e;
}

enum err
accounts_resolve(struct accounts *accounts, struct arena *arena, str address,
                 struct resolution *resolution)
{
    struct spelling spelling;
    enum err e = spelling_of(address, arena, &spelling);

    if (e == ERR_SYNTAX) {
        *resolution = (struct resolution){ .kind = RESOLUTION_NOT_OURS };
        return OK;
    }
    if (e)
        return e;
    pthread_rwlock_rdlock(&accounts->lock);
    e = resolve_in(accounts->snapshot, arena, &spelling, resolution);
    pthread_rwlock_unlock(&accounts->lock);
    return e;
}

/* Sending. */

static bool
is_own(const struct snapshot *snapshot, const struct account *account, str address)
{
    struct alias *alias = snapshot_alias(snapshot, address);

    if (str_eq(account->info.address, address))
        return true;
    if (alias && alias->count == 1 && str_eq(alias->targets[0], account->info.address))
        return true;
    return snapshot_has_sender(snapshot, account->info.id, address);
}

static bool
may_send_as(const struct snapshot *snapshot, const struct account *account,
            const struct spelling *written, struct arena *arena)
{
    const struct domain *domain = real_domain(snapshot, written->domain);
    str name = domain ? domain->info.name : written->domain;
    struct spelling exact;
    struct spelling plain;

    if (account->info.disabled || !written->domain.len)
        return false;
    if (spelling_in(written, name, false, arena, &exact) ||
        spelling_in(written, name, true, arena, &plain))
        return false;
    return is_own(snapshot, account, exact.address) || is_own(snapshot, account, plain.address) ||
           snapshot_has_sender(snapshot, account->info.id,
                               str_skip(exact.address, exact.local.len));
}

bool
accounts_may_send_as(struct accounts *accounts, int64_t account_id, str address)
{
    struct arena arena;
    struct spelling spelling;
    struct account *account;
    bool may = false;

    arena_init(&arena, 8 * ADDRESS_SIZE_MAX + 4096);
    if (spelling_of(address, &arena, &spelling) == OK) {
        pthread_rwlock_rdlock(&accounts->lock);
        account = snapshot_account_by_id(accounts->snapshot, account_id);
        may = account && may_send_as(accounts->snapshot, account, &spelling, &arena);
        pthread_rwlock_unlock(&accounts->lock);
    }
    arena_done(&arena);
    return may;
}
