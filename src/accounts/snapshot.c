/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* snapshot.c: reads the directory into memory, and spells addresses its way.
 *
 * Rows come in order of names, so the arrays are sorted and the targets of one alias stand
 * together.  Start reading at snapshot_load().
 */
#include "accounts/snapshot.h"

#include "base/must.h"
#include "formats/address.h"

#include <stdlib.h>
#include <string.h>

/* A million accounts fit. */
#define SNAPSHOT_MEMORY_MAX ((size_t)4 << 30)

static bool
copy(struct snapshot *s, str text, str *result)
{
    return arena_copy(&s->memory, text, result);
}

static bool
add_domain(void *arg, const struct directory_domain *row)
{
    struct snapshot *s = arg;
    struct domain *domain = &s->domain_list[s->domain_count++];

    return copy(s, row->name, &domain->info.name) &&
           copy(s, row->alias_of, &domain->info.alias_of) &&
           copy(s, row->catch_all, &domain->info.catch_all) &&
           copy(s, row->route, &domain->info.route) &&
           copy(s, row->limit_preset, &domain->info.limit_preset) &&
           map_put(&s->domains, domain->info.name, domain) == OK;
}

static void
copy_bytes(uint8_t *to, size_t size, str from)
{
    memcpy(to, from.ptr, MIN(size, from.len));
}

static void
copy_secret(struct password_secret *secret, const struct directory_account *row)
{
    size_t len = MIN(row->password_hash.len, sizeof(secret->hash) - 1);

    memcpy(secret->hash, row->password_hash.ptr, len);
    secret->scram.iterations = row->scram_iterations;
    copy_bytes(secret->scram.salt, SCRAM_SALT_SIZE, row->scram_salt);
    copy_bytes(secret->scram.stored_key, SCRAM_KEY_SIZE, row->scram_stored_key);
    copy_bytes(secret->scram.server_key, SCRAM_KEY_SIZE, row->scram_server_key);
}

static struct account *
older(struct account *a, struct account *b)
{
    return !a || b->info.id < a->info.id ? b : a;
}

static bool
add_account(void *arg, const struct directory_account *row)
{
    struct snapshot *s = arg;
    struct account *account = &s->account_list[s->account_count++];
    struct account_info *info = &account->info;

    info->id = row->id;
    info->disabled = row->disabled;
    info->has_password = row->password_hash.len > 0;
    info->quota = row->quota;
    info->created = row->created;
    copy_secret(&account->secret, row);
    account->domain = snapshot_domain(s, row->domain);
    must(account->domain); /* A foreign key. */
    account->domain->info.accounts++;
    account->domain->first = older(account->domain->first, account);
    s->first = older(s->first, account);
    return copy(s, row->address, &info->address) &&
           copy(s, row->limit_preset, &info->limit_preset) &&
           map_put(&s->accounts, info->address, account) == OK &&
           map_put(&s->ids, (str){ (char *)&info->id, sizeof(info->id) }, account) == OK;
}

static struct alias *
new_alias(struct snapshot *s, str address)
{
    struct alias *alias = &s->alias_list[s->alias_count++];
    ssize_t at = str_find_last(address, '@');

    alias->domain = snapshot_domain(s, str_skip(address, (size_t)(at + 1)));
    must(alias->domain);
    alias->domain->info.aliases++;
    if (!copy(s, address, &alias->address) || map_put(&s->aliases, alias->address, alias))
        return NULL;
    return alias;
}

/* Targets of one alias come one after the other and grow by doubling. */
static bool
add_target(struct snapshot *s, struct alias *alias, str target)
{
    bool full = (alias->count & (alias->count - 1)) == 0;
    str *targets;

    if (full) {
        targets = arena_new_array(&s->memory, str, alias->count ? alias->count * 2 : 1);
        if (!targets)
            return false;
        if (alias->count)
            memcpy(targets, alias->targets, alias->count * sizeof(*targets));
        alias->targets = targets;
    }
    return copy(s, target, &alias->targets[alias->count++]);
}

static bool
add_alias(void *arg, str address, str target)
{
    struct snapshot *s = arg;
    struct alias *last = s->alias_count ? &s->alias_list[s->alias_count - 1] : NULL;

    if (!last || !str_eq(last->address, address))
        last = new_alias(s, address);
    return last && add_target(s, last, target);
}

enum {
    SENDER_KEY_MAX = sizeof(int64_t) + ADDRESS_SIZE_MAX
};

static bool
sender_key(char key[SENDER_KEY_MAX], int64_t account, str address, str *result)
{
    if (address.len > ADDRESS_SIZE_MAX)
        return false;
    memcpy(key, &account, sizeof(account));
    memcpy(key + sizeof(account), address.ptr, address.len);
    *result = (str){ key, sizeof(account) + address.len };
    return true;
}

static bool
add_sender(void *arg, int64_t account, str address)
{
    struct snapshot *s = arg;
    char bytes[SENDER_KEY_MAX];
    str key;

    return sender_key(bytes, account, address, &key) && map_put(&s->senders, key, s) == OK;
}

static struct snapshot *
snapshot_new(const struct directory_counts *counts)
{
    struct snapshot *s = calloc(1, sizeof(*s));

    must(s);
    s->generation = counts->generation;
    arena_init(&s->memory, SNAPSHOT_MEMORY_MAX);
    map_init(&s->domains, 0);
    map_init(&s->accounts, 0);
    map_init(&s->ids, 0);
    map_init(&s->aliases, 0);
    map_init(&s->senders, 0);
    s->domain_list = calloc(counts->domains + 1, sizeof(*s->domain_list));
    s->account_list = calloc(counts->accounts + 1, sizeof(*s->account_list));
    s->alias_list = calloc(counts->aliases + 1, sizeof(*s->alias_list));
    must(s->domain_list && s->account_list && s->alias_list);
    return s;
}

void
snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    map_done(&s->domains);
    map_done(&s->accounts);
    map_done(&s->ids);
    map_done(&s->aliases);
    map_done(&s->senders);
    free(s->domain_list);
    free(s->account_list);
    free(s->alias_list);
    arena_done(&s->memory);
    free(s);
}

enum err
snapshot_load(struct db_conn *conn, struct snapshot **result)
{
    static const struct directory_visitor visitor = {
        .domain = add_domain,
        .account = add_account,
        .alias = add_alias,
        .sender = add_sender,
    };
    struct directory_counts counts = { 0 };
    struct snapshot *s;
    enum err e = directory_count(conn, &counts);

    if (e)
        return e;
    s = snapshot_new(&counts);
    e = directory_walk(conn, &visitor, s);
    if (e) {
        snapshot_free(s);
        return e;
    }
    *result = s;
    return OK;
}

/* Looking up. */

struct domain *
snapshot_domain(const struct snapshot *s, str name)
{
    return map_get(&s->domains, name);
}

struct account *
snapshot_account(const struct snapshot *s, str address)
{
    return map_get(&s->accounts, address);
}

struct account *
snapshot_account_by_id(const struct snapshot *s, int64_t id)
{
    return map_get(&s->ids, (str){ (char *)&id, sizeof(id) });
}

struct alias *
snapshot_alias(const struct snapshot *s, str address)
{
    return map_get(&s->aliases, address);
}

bool
snapshot_has_sender(const struct snapshot *s, int64_t account, str address)
{
    char bytes[SENDER_KEY_MAX];
    str key;

    return sender_key(bytes, account, address, &key) && map_get(&s->senders, key);
}

/* Spelling. */

static enum err
spelling_join(str local, str domain, struct arena *arena, struct spelling *spelling)
{
    char *bytes = arena_alloc(arena, local.len + domain.len + 2);

    if (!bytes)
        return ERR_LIMIT;
    memcpy(bytes, local.ptr, local.len);
    spelling->local = (str){ bytes, local.len };
    spelling->address = spelling->local;
    spelling->domain = S("");
    if (!domain.len)
        return OK;
    bytes[local.len] = '@';
    memcpy(bytes + local.len + 1, domain.ptr, domain.len);
    spelling->domain = (str){ bytes + local.len + 1, domain.len };
    spelling->address = (str){ bytes, local.len + 1 + domain.len };
    return OK;
}

/* Lower-case letters, digits and a few signs need no parser: nearly all addresses. */
static bool
is_plain(str text)
{
    ssize_t at = str_find(text, '@');

    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.ptr[i]) && text.ptr[i] != '.' && text.ptr[i] != '-' &&
            text.ptr[i] != '_' && text.ptr[i] != '+' && (ssize_t)i != at)
            return false;
    return at > 0 && (size_t)at + 1 < text.len;
}

static void
lower_case(str text)
{
    char *bytes = (char *)text.ptr; /* In the arena, made a moment ago. */

    for (size_t i = 0; i < text.len; i++)
        bytes[i] = ascii_lower(bytes[i]);
}

enum err
spelling_of(str text, struct arena *arena, struct spelling *spelling)
{
    struct address address;
    struct address canonical;
    enum err e;

    if (text.len > ADDRESS_SIZE_MAX)
        return ERR_SYNTAX;
    if (str_eq_nocase(text, S("postmaster")))
        return spelling_join(S("postmaster"), S(""), arena, spelling);
    if (is_plain(text)) {
        size_t at = (size_t)str_find(text, '@');
        e = spelling_join(str_head(text, at), str_skip(text, at + 1), arena, spelling);
        if (!e)
            lower_case(spelling->address);
        return e;
    }
    e = address_parse(text, arena, &address);
    if (e)
        return e;
    e = address_canonical(&address, arena, &canonical);
    if (e)
        return e;
    return spelling_join(canonical.local, canonical.domain, arena, spelling);
}

ssize_t
spelling_plus(const struct spelling *spelling)
{
    ssize_t at = str_find(spelling->local, '+');

    return at > 0 ? at : -1;
}

enum err
spelling_in(const struct spelling *spelling, str domain, bool plain, struct arena *arena,
            struct spelling *result)
{
    ssize_t plus = plain ? spelling_plus(spelling) : -1;
    str local = plus < 0 ? spelling->local : str_head(spelling->local, (size_t)plus);

    return spelling_join(local, domain, arena, result);
}
