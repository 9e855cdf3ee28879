/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* account.h: who lives here: domains, accounts, aliases; and where an address leads.
 *
 * All of it stands in directory.db and, as one snapshot, in memory: accounts_resolve() and
 * the other calls without WAITS look there, cost about a microsecond and may be called
 * from any thread.  A change is durable and visible when its call returns OK.
 *
 * Addresses are "local@domain" with the domain in lower-case A-labels; case of the local part does
 * not matter.  "local+detail@domain" leads where "local@domain" does. Errors of changes:
 * ERR_EXISTS, ERR_NOT_FOUND, ERR_SYNTAX (not an address or name), ERR_REFUSED (in use, or not
 * sensible; WHY tells), ERR_LIMIT, and those of db_write().
 */
#pragma once

#include "auth/password.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct accounts;
struct db;

enum {
    ADDRESS_SIZE_MAX = 320,
    ALIAS_DEPTH_MAX = 10,
    ALIAS_TARGETS_MAX = 1000, /* As many or more are RESOLUTION_LOOP. */
};

WAITS enum err accounts_open(const char *path, struct accounts **accounts, struct why *why);
void accounts_close(struct accounts *accounts);
struct db *accounts_db(struct accounts *accounts); /* For limits.h. */
struct passwords *accounts_passwords(struct accounts *accounts);
/* Reads everything again: after another process has changed the file. */
WAITS enum err accounts_reload(struct accounts *accounts, struct why *why);

/* Domains. */
struct domain_info {
    str name;
    str alias_of;     /* The domain that it stands for, or "". */
    str catch_all;    /* Address that gets what nobody else gets, or "". */
    str route;        /* Where its mail goes instead of mailboxes ("smtp://..."), or "". */
    str limit_preset; /* For all its accounts together; "" for none. */
    size_t accounts;
    size_t aliases;
};

WAITS enum err accounts_add_domain(struct accounts *accounts, str name, struct why *why);
/* ERR_REFUSED while accounts, aliases or alias domains use it. */
WAITS enum err accounts_remove_domain(struct accounts *accounts, str name, struct why *why);
/* "" takes the setting away. */
WAITS enum err accounts_set_domain_alias(struct accounts *accounts, str name, str alias_of,
                                         struct why *why); /* Adds the domain if need be. */
WAITS enum err accounts_set_catch_all(struct accounts *accounts, str name, str address,
                                      struct why *why);
WAITS enum err accounts_set_domain_route(struct accounts *accounts, str name, str route,
                                         struct why *why);
WAITS enum err accounts_set_domain_limit(struct accounts *accounts, str name, str preset,
                                         struct why *why);
bool accounts_has_domain(struct accounts *accounts, str name); /* Ours, alias domains too. */

/* Accounts. */
struct account_info {
    int64_t id;
    str address;
    bool disabled; /* May not log in nor send; mail for it is still taken in. */
    bool has_password;
    str limit_preset; /* "" for the default of the system. */
    uint64_t quota;   /* Bytes; 0: none. */
    instant created;
};

/* Adds the account, and its domain if need be; the password may be empty: then nobody can log in.
 */
WAITS enum err accounts_add(struct accounts *accounts, str address, str password, int64_t *id,
                            struct why *why);
/* Also its aliases' targets.  The mailbox is the caller's to remove (mailbox_remove). */
WAITS enum err accounts_remove(struct accounts *accounts, str address, struct why *why);
WAITS enum err accounts_set_password(struct accounts *accounts, str address, str password,
                                     struct why *why);
WAITS enum err accounts_set_disabled(struct accounts *accounts, str address, bool disabled,
                                     struct why *why);
WAITS enum err accounts_set_limit(struct accounts *accounts, str address, str preset,
                                  struct why *why);
WAITS enum err accounts_set_quota(struct accounts *accounts, str address, uint64_t bytes,
                                  struct why *why);
/* Lets the account send as ADDRESS, beyond its own address and the aliases that lead to it alone.
 */
WAITS enum err accounts_allow_sender(struct accounts *accounts, str account, str address,
                                     struct why *why);
WAITS enum err accounts_deny_sender(struct accounts *accounts, str account, str address,
                                    struct why *why);

/* Aliases: one address, many targets, here or elsewhere.  The address may be that of an account:
 * then it is forwarding, and the account keeps a copy if it is one of the targets itself. */
WAITS enum err accounts_add_alias(struct accounts *accounts, str address, str target,
                                  struct why *why);
/* TARGET "": all of them. */
WAITS enum err accounts_remove_alias(struct accounts *accounts, str address, str target,
                                     struct why *why);
/* Replaces all targets at once: forwarding of an account, or an alias as a whole.  No targets:
 * none. */
WAITS enum err accounts_set_alias(struct accounts *accounts, str address, const str *targets,
                                  size_t count, bool keep_copy, struct why *why);

/* Lists: FN is called with views that last for the call, in order of names; it must not call this
 * module. */
void accounts_each_domain(struct accounts *accounts,
                          bool (*fn)(void *arg, const struct domain_info *domain), void *arg);
void accounts_each(struct accounts *accounts,
                   bool (*fn)(void *arg, const struct account_info *account), void *arg);
void accounts_each_alias(struct accounts *accounts, bool (*fn)(void *arg, str address, str target),
                         void *arg);
/* Copies into ARENA.  ERR_NOT_FOUND. */
enum err accounts_get(struct accounts *accounts, struct arena *arena, str address,
                      struct account_info *info);
enum err accounts_get_by_id(struct accounts *accounts, struct arena *arena, int64_t id,
                            struct account_info *info);
enum err accounts_get_domain(struct accounts *accounts, struct arena *arena, str name,
                             struct domain_info *info);
/* For login: what is stored of the password.  ERR_NOT_FOUND. */
enum err accounts_get_secret(struct accounts *accounts, str address, int64_t *id, bool *disabled,
                             struct password_secret *secret);

/* Where an address leads. */
enum resolution_kind {
    RESOLUTION_NOT_OURS, /* The domain is not ours. */
    RESOLUTION_UNKNOWN,  /* The domain is, the address is not. */
    RESOLUTION_MAILBOX,  /* One target: a mailbox here. */
    RESOLUTION_ALIAS,    /* The targets, flat and without repetition. */
    RESOLUTION_ROUTE,    /* The domain is ours, but its mail goes by its route. */
    RESOLUTION_LOOP,     /* Aliases too deep, or too many targets, or only circles. */
};

enum target_kind {
    TARGET_MAILBOX,
    TARGET_ROUTE,
    TARGET_ELSEWHERE
};

struct resolution_target {
    enum target_kind kind;
    int64_t account; /* MAILBOX */
    uint64_t quota;  /* MAILBOX */
    str address;     /* MAILBOX: of the account.  Otherwise: the recipient to send to. */
    str detail;      /* What followed '+', or "". */
    str route;       /* ROUTE */
};

struct resolution {
    enum resolution_kind kind;
    struct resolution_target *targets;
    size_t count;
};

/* Never waits.  Errors: ERR_LIMIT (the arena).  "postmaster" without domain is taken, and leads to
 * the first account. */
enum err accounts_resolve(struct accounts *accounts, struct arena *arena, str address,
                          struct resolution *resolution);
/* Whether the account may use ADDRESS as envelope sender and in From. */
bool accounts_may_send_as(struct accounts *accounts, int64_t account, str address);
