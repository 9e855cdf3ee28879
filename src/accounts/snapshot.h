/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* snapshot.h: the whole directory in memory, read-only; for this folder only.
 *
 * Made from one consistent view of directory.db and replaced as a whole after each change.
 * Readers hold the lock of struct accounts for reading while they look; they never wait meanwhile.
 */
#pragma once

#include "accounts/account.h"
#include "base/map.h"
#include "store/directory.h"

#include <pthread.h>

struct domain {
    struct domain_info info;
    struct account *first; /* Of its accounts: the oldest.  For postmaster. */
};

struct account {
    struct account_info info;
    struct domain *domain;
    struct password_secret secret;
};

struct alias {
    str address;
    struct domain *domain;
    str *targets;
    size_t count;
};

struct snapshot {
    int64_t generation;
    struct arena memory;
    struct map domains;  /* name */
    struct map accounts; /* address */
    struct map ids;      /* bytes of the id */
    struct map aliases;  /* address */
    struct map senders;  /* bytes of the id, then the address */
    struct domain *domain_list;
    struct account *account_list;
    struct alias *alias_list;
    size_t domain_count;
    size_t account_count;
    size_t alias_count;
    struct account *first; /* The oldest account of all. */
};

struct accounts {
    struct db *db;
    struct passwords *passwords;
    pthread_rwlock_t lock; /* For the pointer and for what it points to. */
    struct snapshot *snapshot;
};

/* Reads all of it; for db_read(). */
enum err snapshot_load(struct db_conn *conn, struct snapshot **snapshot);
void snapshot_free(struct snapshot *snapshot);

struct domain *snapshot_domain(const struct snapshot *snapshot, str name);
struct account *snapshot_account(const struct snapshot *snapshot, str address);
struct account *snapshot_account_by_id(const struct snapshot *snapshot, int64_t id);
struct alias *snapshot_alias(const struct snapshot *snapshot, str address);
bool snapshot_has_sender(const struct snapshot *snapshot, int64_t account, str address);

/* An address as the directory spells it: lower case, the domain in A-labels, the local part without
 * quotes, "local@domain"; LOCAL and DOMAIN are slices of it.  ERR_SYNTAX, ERR_LIMIT. */
struct spelling {
    str address;
    str local;
    str domain; /* "" for a bare "postmaster". */
};
enum err spelling_of(str text, struct arena *arena, struct spelling *spelling);
/* The same address in DOMAIN, without what follows '+' if PLAIN. */
enum err spelling_in(const struct spelling *spelling, str domain, bool plain, struct arena *arena,
                     struct spelling *result);
/* Where the detail begins ('+' at 1 or later), or -1. */
ssize_t spelling_plus(const struct spelling *spelling);
