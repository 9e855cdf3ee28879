/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* account.c: changes of the directory, and looking at it.
 *
 * A change is one closure in one transaction: it checks the rules on the rows themselves,
 * so that two changes at once cannot break them together.  Then the snapshot is read anew
 * and takes the old one's place, unless a later change has put a newer one there already.
 *
 * Start reading at accounts_change(), then any of the changes.
 */
#include "accounts/account.h"

#include "accounts/limits.h"
#include "accounts/snapshot.h"
#include "base/must.h"
#include "formats/address.h"
#include "runtime/clock.h"
#include "store/directory.h"

#include <stdlib.h>

enum {
    CHANGE_MEMORY_MAX = 1 << 20,
    ROUTE_SIZE_MAX = 2048,
};

/* Snapshots. */

static enum err
load(void *arg, struct db_conn *conn)
{
    struct snapshot **snapshot = arg;

    snapshot_free(take(*snapshot));
    return snapshot_load(conn, snapshot);
}

static void
replace_snapshot(struct accounts *accounts, struct snapshot *snapshot)
{
    struct snapshot *old = snapshot;

    pthread_rwlock_wrlock(&accounts->lock);
    if (!accounts->snapshot || snapshot->generation >= accounts->snapshot->generation) {
        old = accounts->snapshot;
        accounts->snapshot = snapshot;
    }
    pthread_rwlock_unlock(&accounts->lock);
    snapshot_free(old);
}

WAITS enum err
accounts_reload(struct accounts *accounts, struct why *why)
{
    struct snapshot *snapshot = NULL;
    enum err e = db_read(accounts->db, load, &snapshot, why);

    if (!e)
        replace_snapshot(accounts, snapshot);
    return e;
}

WAITS enum err
accounts_open(const char *path, struct accounts **result, struct why *why)
{
    struct accounts *accounts = calloc(1, sizeof(*accounts));
    enum err e;

    must(accounts);
    pthread_rwlock_init(&accounts->lock, NULL);
    accounts->passwords = passwords_new(0, 0);
    e = directory_open(path, &accounts->db, why);
    if (!e)
        e = accounts_reload(accounts, why);
    if (e) {
        accounts_close(accounts);
        return e;
    }
    *result = accounts;
    return OK;
}

void
accounts_close(struct accounts *accounts)
{
    if (!accounts)
        return;
    snapshot_free(accounts->snapshot);
    db_close(accounts->db);
    passwords_free(accounts->passwords);
    pthread_rwlock_destroy(&accounts->lock);
    free(accounts);
}

struct db *
accounts_db(struct accounts *accounts)
{
    return accounts->db;
}

struct passwords *
accounts_passwords(struct accounts *accounts)
{
    return accounts->passwords;
}

/* One change: what it is about, and the rule that makes it. */
struct change {
    struct accounts *accounts;
    enum err (*make)(struct change *change, struct db_conn *conn);
    struct why *why;
    struct arena memory;
    struct spelling address; /* Of the account or alias; its domain may be all there is. */
    str value;               /* Target, route, preset, other domain. */
    enum directory_setting setting;
    bool flag;
    uint64_t number;
    int64_t id;
    struct password_secret secret;
    const str *targets;
    size_t target_count;
};

static enum err
run_change(void *arg, struct db_conn *conn)
{
    struct change *change = arg;
    enum err e = change->make(change, conn);

    return e ? e : directory_raise_generation(conn);
}

/* Ends CHANGE, whose setting up gave E. */
WAITS static enum err
accounts_change(struct accounts *accounts, struct change *change, enum err e, struct why *why)
{
    if (!e)
        e = db_write(accounts->db, run_change, change, why);
    arena_done(&change->memory);
    return e ? e : accounts_reload(accounts, why);
}

static void
change_init(struct change *change, enum err (*make)(struct change *, struct db_conn *),
            struct why *why)
{
    *change = (struct change){ .make = make, .why = why };
    arena_init(&change->memory, CHANGE_MEMORY_MAX);
}

static enum err
change_address(struct change *change, str text)
{
    enum err e = spelling_of(text, &change->memory, &change->address);

    if (e || !change->address.domain.len)
        return err_why(change->why, ERR_SYNTAX, "%.*s is not a mail address", STR_ARG(text));
    return OK;
}

static enum err
spell_domain(struct change *change, str name, str *result)
{
    if (!domain_is_valid(name) || domain_to_alabel(name, &change->memory, result))
        return err_why(change->why, ERR_SYNTAX, "%.*s is not a domain name", STR_ARG(name));
    return OK;
}

static enum err
change_domain(struct change *change, str name)
{
    return spell_domain(change, name, &change->address.domain);
}

/* The value is an address too. */
static enum err
change_value_address(struct change *change, str text)
{
    struct spelling spelling;

    if (spelling_of(text, &change->memory, &spelling) || !spelling.domain.len)
        return err_why(change->why, ERR_SYNTAX, "%.*s is not a mail address", STR_ARG(text));
    change->value = spelling.address;
    return OK;
}

static enum err
check_preset(struct change *change, str preset)
{
    if (preset.len && !limits_preset(preset))
        return err_why(change->why, ERR_SYNTAX, "there is no limit preset \"%.*s\"",
                       STR_ARG(preset));
    change->value = preset;
    return OK;
}

static enum err
no_such(struct change *change, enum err e, const char *what, str name)
{
    return e == ERR_NOT_FOUND ? err_why(change->why, e, "no such %s: %.*s", what, STR_ARG(name))
                              : e;
}

/* Domains. */

static enum err
make_domain(struct change *change, struct db_conn *conn)
{
    str name = change->address.domain;
    bool found;
    bool is_alias;
    enum err e = directory_find_domain(conn, name, &found, &is_alias);

    if (e)
        return e;
    if (found)
        return err_why(change->why, ERR_EXISTS, "the domain %.*s is there already", STR_ARG(name));
    return directory_add_domain(conn, name);
}

WAITS enum err
accounts_add_domain(struct accounts *accounts, str name, struct why *why)
{
    struct change change;

    change_init(&change, make_domain, why);
    return accounts_change(accounts, &change, change_domain(&change, name), why);
}

static enum err
make_no_domain(struct change *change, struct db_conn *conn)
{
    str name = change->address.domain;
    int64_t uses = 0;
    enum err e = directory_domain_uses(conn, name, &uses);

    if (e)
        return e;
    if (uses)
        return err_why(change->why, ERR_REFUSED,
                       "%.*s still has %lld accounts, aliases or alias domains", STR_ARG(name),
                       (long long)uses);
    return no_such(change, directory_remove_domain(conn, name), "domain", name);
}

WAITS enum err
accounts_remove_domain(struct accounts *accounts, str name, struct why *why)
{
    struct change change;

    change_init(&change, make_no_domain, why);
    return accounts_change(accounts, &change, change_domain(&change, name), why);
}

/* An alias domain stands for a real one, and has nothing of its own. */
static enum err
make_domain_alias(struct change *change, struct db_conn *conn)
{
    str name = change->address.domain;
    bool found;
    bool is_alias = false;
    int64_t uses = 0;
    enum err e = directory_find_domain(conn, change->value, &found, &is_alias);

    if (e)
        return e;
    if (change->value.len && (!found || is_alias || str_eq(name, change->value)))
        return err_why(change->why, found ? ERR_REFUSED : ERR_NOT_FOUND,
                       found ? "%.*s is an alias domain itself" : "no such domain: %.*s",
                       STR_ARG(change->value));
    e = directory_domain_uses(conn, name, &uses);
    if (!e && change->value.len && uses)
        return err_why(change->why, ERR_REFUSED,
                       "%.*s has accounts, aliases or alias domains of its own", STR_ARG(name));
    if (!e)
        e = directory_find_domain(conn, name, &found, &is_alias);
    if (!e && !found)
        e = directory_add_domain(conn, name);
    return e ? e : directory_set_domain(conn, name, DIRECTORY_ALIAS_OF, change->value);
}

WAITS enum err
accounts_set_domain_alias(struct accounts *accounts, str name, str alias_of, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_domain_alias, why);
    e = change_domain(&change, name);
    if (!e && alias_of.len)
        e = spell_domain(&change, alias_of, &change.value);
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_domain_setting(struct change *change, struct db_conn *conn)
{
    str name = change->address.domain;

    return no_such(change, directory_set_domain(conn, name, change->setting, change->value),
                   "domain", name);
}

WAITS static enum err
set_domain(struct accounts *accounts, struct change *change, str name,
           enum directory_setting setting, enum err e)
{
    change->setting = setting;
    if (!e)
        e = change_domain(change, name);
    return accounts_change(accounts, change, e, change->why);
}

WAITS enum err
accounts_set_catch_all(struct accounts *accounts, str name, str address, struct why *why)
{
    struct change change;

    change_init(&change, make_domain_setting, why);
    return set_domain(accounts, &change, name, DIRECTORY_CATCH_ALL,
                      address.len ? change_value_address(&change, address) : OK);
}

WAITS enum err
accounts_set_domain_route(struct accounts *accounts, str name, str route, struct why *why)
{
    struct change change;
    enum err e = OK;

    change_init(&change, make_domain_setting, why);
    change.value = route;
    if (route.len > ROUTE_SIZE_MAX || !str_is_printable(route))
        e = err_why(why, ERR_SYNTAX, "that is not a route");
    return set_domain(accounts, &change, name, DIRECTORY_ROUTE, e);
}

WAITS enum err
accounts_set_domain_limit(struct accounts *accounts, str name, str preset, struct why *why)
{
    struct change change;

    change_init(&change, make_domain_setting, why);
    return set_domain(accounts, &change, name, DIRECTORY_LIMIT, check_preset(&change, preset));
}

/* Accounts. */

/* The domain for an account or alias is there, or is added; it is no alias domain. */
static enum err
need_domain(struct change *change, struct db_conn *conn)
{
    str name = change->address.domain;
    bool found;
    bool is_alias;
    enum err e = directory_find_domain(conn, name, &found, &is_alias);

    if (e)
        return e;
    if (is_alias)
        return err_why(change->why, ERR_REFUSED,
                       "%.*s only stands for another domain: use that one", STR_ARG(name));
    return found ? OK : directory_add_domain(conn, name);
}

static void
row_of_secret(struct directory_account *row, const struct password_secret *secret)
{
    const struct scram_keys *scram = &secret->scram;

    row->password_hash = str_from(secret->hash);
    row->scram_iterations = scram->iterations;
    row->scram_salt = (str){ (const char *)scram->salt, SCRAM_SALT_SIZE };
    row->scram_stored_key = (str){ (const char *)scram->stored_key, SCRAM_KEY_SIZE };
    row->scram_server_key = (str){ (const char *)scram->server_key, SCRAM_KEY_SIZE };
}

static enum err
make_account(struct change *change, struct db_conn *conn)
{
    struct directory_account row = {
        .address = change->address.address,
        .domain = change->address.domain,
        .created = clock_now(),
    };
    int64_t id = 0;
    int64_t targets = 0;
    enum err e = directory_find_account(conn, row.address, &id);

    if (!e)
        e = directory_count_alias(conn, row.address, &targets);
    if (e)
        return e;
    if (id || targets)
        return err_why(change->why, ERR_EXISTS, "%.*s is %s already", STR_ARG(row.address),
                       id ? "an account" : "an alias");
    e = need_domain(change, conn);
    row_of_secret(&row, &change->secret);
    return e ? e : directory_add_account(conn, &row, &change->id);
}

WAITS static enum err
change_password(struct accounts *accounts, struct change *change, str password)
{
    enum err e = password_make(accounts->passwords, password, &change->secret);

    if (e == ERR_LIMIT)
        return err_why(change->why, e, "the password is longer than %d bytes", PASSWORD_SIZE_MAX);
    if (e == ERR_SYNTAX)
        return err_why(change->why, e, "that cannot be a password");
    return e;
}

WAITS enum err
accounts_add(struct accounts *accounts, str address, str password, int64_t *id, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_account, why);
    e = change_address(&change, address);
    if (!e && password.len)
        e = change_password(accounts, &change, password);
    e = accounts_change(accounts, &change, e, why);
    if (!e && id)
        *id = change.id;
    return e;
}

static enum err
make_no_account(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;
    enum err e = directory_remove_account(conn, address);

    if (e)
        return no_such(change, e, "account", address);
    e = directory_remove_target(conn, address);
    if (!e)
        e = directory_remove_alias(conn, address, S(""));
    return e == ERR_NOT_FOUND ? OK : e;
}

WAITS enum err
accounts_remove(struct accounts *accounts, str address, struct why *why)
{
    struct change change;

    change_init(&change, make_no_account, why);
    return accounts_change(accounts, &change, change_address(&change, address), why);
}

static enum err
make_password(struct change *change, struct db_conn *conn)
{
    struct directory_account row = { .address = change->address.address };

    row_of_secret(&row, &change->secret);
    return no_such(change, directory_set_password(conn, &row), "account", row.address);
}

WAITS enum err
accounts_set_password(struct accounts *accounts, str address, str password, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_password, why);
    e = change_address(&change, address);
    if (!e)
        e = change_password(accounts, &change, password);
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_disabled(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;

    return no_such(change, directory_set_disabled(conn, address, change->flag), "account", address);
}

WAITS enum err
accounts_set_disabled(struct accounts *accounts, str address, bool disabled, struct why *why)
{
    struct change change;

    change_init(&change, make_disabled, why);
    change.flag = disabled;
    return accounts_change(accounts, &change, change_address(&change, address), why);
}

static enum err
make_limit(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;

    return no_such(change, directory_set_limit(conn, address, change->value), "account", address);
}

WAITS enum err
accounts_set_limit(struct accounts *accounts, str address, str preset, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_limit, why);
    e = check_preset(&change, preset);
    if (!e)
        e = change_address(&change, address);
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_quota(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;

    return no_such(change, directory_set_quota(conn, address, change->number), "account", address);
}

WAITS enum err
accounts_set_quota(struct accounts *accounts, str address, uint64_t bytes, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_quota, why);
    change.number = bytes;
    e = change_address(&change, address);
    if (!e && bytes > INT64_MAX)
        e = err_why(why, ERR_SYNTAX, "the quota is too large");
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_sender(struct change *change, struct db_conn *conn)
{
    int64_t id = 0;
    enum err e = directory_find_account(conn, change->address.address, &id);

    if (!e && !id)
        e = no_such(change, ERR_NOT_FOUND, "account", change->address.address);
    if (e)
        return e;
    if (!change->flag)
        return no_such(change, directory_remove_sender(conn, id, change->value), "sender",
                       change->value);
    e = directory_add_sender(conn, id, change->value);
    return e == ERR_EXISTS
               ? err_why(change->why, e, "it may send as %.*s already", STR_ARG(change->value))
               : e;
}

WAITS static enum err
set_sender(struct accounts *accounts, str account, str address, bool allow, struct why *why)
{
    struct change change;
    str domain;
    enum err e;

    change_init(&change, make_sender, why);
    change.flag = allow;
    e = change_address(&change, account);
    if (!e && str_starts(address, S("@"))) {
        e = spell_domain(&change, str_skip(address, 1), &domain);
        if (!e && !arena_printf(&change.memory, &change.value, "@%.*s", STR_ARG(domain)))
            e = ERR_LIMIT;
    } else if (!e) {
        e = change_value_address(&change, address);
    }
    return accounts_change(accounts, &change, e, why);
}

WAITS enum err
accounts_allow_sender(struct accounts *accounts, str account, str address, struct why *why)
{
    return set_sender(accounts, account, address, true, why);
}

WAITS enum err
accounts_deny_sender(struct accounts *accounts, str account, str address, struct why *why)
{
    return set_sender(accounts, account, address, false, why);
}

/* Aliases. */

static enum err
make_alias(struct change *change, struct db_conn *conn)
{
    int64_t targets = 0;
    enum err e = need_domain(change, conn);

    if (!e)
        e = directory_count_alias(conn, change->address.address, &targets);
    if (e)
        return e;
    if (targets >= ALIAS_TARGETS_MAX - 1)
        return err_why(change->why, ERR_LIMIT, "%.*s has %d targets, the most that are possible",
                       STR_ARG(change->address.address), ALIAS_TARGETS_MAX - 1);
    e = directory_add_alias(conn, change->address.address, change->address.domain, change->value);
    return e == ERR_EXISTS ? err_why(change->why, e, "%.*s leads to %.*s already",
                                     STR_ARG(change->address.address), STR_ARG(change->value))
                           : e;
}

WAITS enum err
accounts_add_alias(struct accounts *accounts, str address, str target, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_alias, why);
    e = change_address(&change, address);
    if (!e)
        e = change_value_address(&change, target);
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_no_alias(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;

    return no_such(change, directory_remove_alias(conn, address, change->value), "alias", address);
}

WAITS enum err
accounts_remove_alias(struct accounts *accounts, str address, str target, struct why *why)
{
    struct change change;
    enum err e;

    change_init(&change, make_no_alias, why);
    e = change_address(&change, address);
    if (!e && target.len)
        e = change_value_address(&change, target);
    return accounts_change(accounts, &change, e, why);
}

static enum err
make_alias_anew(struct change *change, struct db_conn *conn)
{
    str address = change->address.address;
    enum err e = need_domain(change, conn);

    if (!e)
        e = directory_remove_alias(conn, address, S(""));
    if (e && e != ERR_NOT_FOUND)
        return e;
    e = OK;
    if (change->flag && change->target_count)
        e = directory_add_alias(conn, address, change->address.domain, address);
    for (size_t i = 0; !e && i < change->target_count; i++) {
        e = directory_add_alias(conn, address, change->address.domain, change->targets[i]);
        if (e == ERR_EXISTS)
            return err_why(change->why, e, "%.*s is named twice", STR_ARG(change->targets[i]));
    }
    return e;
}

WAITS enum err
accounts_set_alias(struct accounts *accounts, str address, const str *targets, size_t count,
                   bool keep_copy, struct why *why)
{
    struct change change;
    str *spelt = NULL;
    enum err e;

    change_init(&change, make_alias_anew, why);
    change.flag = keep_copy;
    e = change_address(&change, address);
    if (!e && count >= ALIAS_TARGETS_MAX)
        e = err_why(why, ERR_LIMIT, "more than %d targets", ALIAS_TARGETS_MAX - 1);
    if (!e)
        spelt = arena_new_array(&change.memory, str, count + 1);
    for (size_t i = 0; !e && i < count; i++) {
        e = change_value_address(&change, targets[i]);
        spelt[i] = change.value;
    }
    change.targets = spelt;
    change.target_count = count;
    return accounts_change(accounts, &change, e, why);
}

/* Looking. */

bool
accounts_has_domain(struct accounts *accounts, str name)
{
    struct arena arena;
    str spelt;
    bool has = false;

    arena_init(&arena, 4096);
    if (domain_to_alabel(name, &arena, &spelt) == OK) {
        pthread_rwlock_rdlock(&accounts->lock);
        has = snapshot_domain(accounts->snapshot, spelt) != NULL;
        pthread_rwlock_unlock(&accounts->lock);
    }
    arena_done(&arena);
    return has;
}

void
accounts_each_domain(struct accounts *accounts,
                     bool (*fn)(void *arg, const struct domain_info *domain), void *arg)
{
    const struct snapshot *s;

    pthread_rwlock_rdlock(&accounts->lock);
    s = accounts->snapshot;
    for (size_t i = 0; i < s->domain_count && fn(arg, &s->domain_list[i].info); i++)
        ;
    pthread_rwlock_unlock(&accounts->lock);
}

void
accounts_each(struct accounts *accounts, bool (*fn)(void *arg, const struct account_info *account),
              void *arg)
{
    const struct snapshot *s;

    pthread_rwlock_rdlock(&accounts->lock);
    s = accounts->snapshot;
    for (size_t i = 0; i < s->account_count && fn(arg, &s->account_list[i].info); i++)
        ;
    pthread_rwlock_unlock(&accounts->lock);
}

static bool
each_target(const struct alias *alias, bool (*fn)(void *arg, str address, str target), void *arg)
{
    for (size_t i = 0; i < alias->count; i++)
        if (!fn(arg, alias->address, alias->targets[i]))
            return false;
    return true;
}

void
accounts_each_alias(struct accounts *accounts, bool (*fn)(void *arg, str address, str target),
                    void *arg)
{
    const struct snapshot *s;

    pthread_rwlock_rdlock(&accounts->lock);
    s = accounts->snapshot;
    for (size_t i = 0; i < s->alias_count && each_target(&s->alias_list[i], fn, arg); i++)
        ;
    pthread_rwlock_unlock(&accounts->lock);
}

static enum err
copy_info(const struct account *account, struct arena *arena, struct account_info *info)
{
    struct account_info copy;

    if (!account)
        return ERR_NOT_FOUND;
    copy = account->info;
    if (!arena_copy(arena, account->info.address, &copy.address) ||
        !arena_copy(arena, account->info.limit_preset, &copy.limit_preset))
        return ERR_LIMIT;
    *info = copy;
    return OK;
}

enum err
accounts_get(struct accounts *accounts, struct arena *arena, str address, struct account_info *info)
{
    struct spelling spelling;
    enum err e = spelling_of(address, arena, &spelling);

    if (e)
        return e == ERR_SYNTAX ? ERR_NOT_FOUND : e;
    pthread_rwlock_rdlock(&accounts->lock);
    e = copy_info(snapshot_account(accounts->snapshot, spelling.address), arena, info);
    pthread_rwlock_unlock(&accounts->lock);
    return e;
}

enum err
accounts_get_by_id(struct accounts *accounts, struct arena *arena, int64_t id,
                   struct account_info *info)
{
    enum err e;

    pthread_rwlock_rdlock(&accounts->lock);
    e = copy_info(snapshot_account_by_id(accounts->snapshot, id), arena, info);
    pthread_rwlock_unlock(&accounts->lock);
    return e;
}

static enum err
copy_domain_info(const struct domain *domain, struct arena *arena, struct domain_info *info)
{
    struct domain_info copy;

    if (!domain)
        return ERR_NOT_FOUND;
    copy = domain->info;
    if (!arena_copy(arena, domain->info.name, &copy.name) ||
        !arena_copy(arena, domain->info.alias_of, &copy.alias_of) ||
        !arena_copy(arena, domain->info.catch_all, &copy.catch_all) ||
        !arena_copy(arena, domain->info.route, &copy.route) ||
        !arena_copy(arena, domain->info.limit_preset, &copy.limit_preset))
        return ERR_LIMIT;
    *info = copy;
    return OK;
}

enum err
accounts_get_domain(struct accounts *accounts, struct arena *arena, str name,
                    struct domain_info *info)
{
    str spelt;
    enum err e;

    if (domain_to_alabel(name, arena, &spelt))
        return ERR_NOT_FOUND;
    pthread_rwlock_rdlock(&accounts->lock);
    e = copy_domain_info(snapshot_domain(accounts->snapshot, spelt), arena, info);
    pthread_rwlock_unlock(&accounts->lock);
    return e;
}

enum err
accounts_get_secret(struct accounts *accounts, str address, int64_t *id, bool *disabled,
                    struct password_secret *secret)
{
    struct arena arena;
    struct spelling spelling;
    const struct account *account = NULL;

    arena_init(&arena, 4 * ADDRESS_SIZE_MAX + 4096);
    if (spelling_of(address, &arena, &spelling) == OK) {
        pthread_rwlock_rdlock(&accounts->lock);
        account = snapshot_account(accounts->snapshot, spelling.address);
        if (account) {
            *id = account->info.id;
            *disabled = account->info.disabled;
            *secret = account->secret;
        }
        pthread_rwlock_unlock(&accounts->lock);
    }
    arena_done(&arena);
    return account ? OK : ERR_NOT_FOUND;
}
