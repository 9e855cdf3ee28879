/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* directory.h: the rows of directory.db: domains, accounts, aliases, what was sent.
 *
 * SQL only, no rules: accounts/account.c decides what may be changed and keeps all of it in
 * memory.  Functions that take a db_conn are called in closures of db_write() or db_read().
 * Every change raises the generation, by which a reader knows which of two views is newer.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "store/db.h"

/* Blocks the thread: at start. */
enum err directory_open(const char *path, struct db **db, struct why *why);

struct directory_domain {
    str name;
    str alias_of;
    str catch_all;
    str route;
    str limit_preset;
};

struct directory_account {
    int64_t id;
    str address;
    str domain;
    str password_hash;
    uint32_t scram_iterations;
    str scram_salt;
    str scram_stored_key;
    str scram_server_key;
    bool disabled;
    str limit_preset;
    uint64_t quota;
    instant created;
};

/* Each is called for every row, in order of names; views last for the call.  False ends the walk
 * with ERR_LIMIT. */
struct directory_visitor {
    bool (*domain)(void *arg, const struct directory_domain *row);
    bool (*account)(void *arg, const struct directory_account *row);
    bool (*alias)(void *arg, str address, str target);
    bool (*sender)(void *arg, int64_t account, str address);
};

struct directory_counts {
    int64_t generation;
    size_t domains;
    size_t accounts;
    size_t aliases;
};

enum err directory_count(struct db_conn *conn, struct directory_counts *counts);
enum err directory_walk(struct db_conn *conn, const struct directory_visitor *visitor, void *arg);
enum err directory_raise_generation(struct db_conn *conn);

/* Domains.  ERR_NOT_FOUND when there is no such row; ERR_EXISTS. */
enum err directory_find_domain(struct db_conn *conn, str name, bool *found, bool *is_alias);
enum err directory_add_domain(struct db_conn *conn, str name);
enum err directory_remove_domain(struct db_conn *conn, str name);
/* How many accounts, aliases and alias domains belong to it. */
enum err directory_domain_uses(struct db_conn *conn, str name, int64_t *uses);
enum directory_setting {
    DIRECTORY_ALIAS_OF,
    DIRECTORY_CATCH_ALL,
    DIRECTORY_ROUTE,
    DIRECTORY_LIMIT
};
enum err directory_set_domain(struct db_conn *conn, str name, enum directory_setting setting,
                              str value);

/* Accounts. */
enum err directory_find_account(struct db_conn *conn, str address, int64_t *id); /* 0: none. */
enum err directory_add_account(struct db_conn *conn, const struct directory_account *row,
                               int64_t *id);
enum err directory_remove_account(struct db_conn *conn, str address);
enum err directory_set_password(struct db_conn *conn, const struct directory_account *row);
enum err directory_set_disabled(struct db_conn *conn, str address, bool disabled);
enum err directory_set_limit(struct db_conn *conn, str address, str preset);
enum err directory_set_quota(struct db_conn *conn, str address, uint64_t bytes);
enum err directory_add_sender(struct db_conn *conn, int64_t account, str address);
enum err directory_remove_sender(struct db_conn *conn, int64_t account, str address);

/* Aliases. */
enum err directory_count_alias(struct db_conn *conn, str address, int64_t *targets);
enum err directory_add_alias(struct db_conn *conn, str address, str domain, str target);
enum err directory_remove_alias(struct db_conn *conn, str address, str target); /* "": all. */
enum err directory_remove_target(struct db_conn *conn, str target);

/* What was sent, by scope ("account:7", "domain:example.org", "system") and piece of time. */
struct directory_usage {
    str scope;
    int64_t piece;
    uint32_t messages;
    uint32_t recipients;
    uint32_t first_time;
};

enum err directory_add_usage(struct db_conn *conn, const struct directory_usage *usage);
enum err directory_walk_usage(struct db_conn *conn, int64_t since_piece,
                              bool (*fn)(void *arg, const struct directory_usage *usage),
                              void *arg);
enum err directory_expire_usage(struct db_conn *conn, int64_t before_piece);
/* Recipients that an account has sent to before, as keyed numbers. */
enum err directory_add_known(struct db_conn *conn, int64_t account, int64_t recipient);
enum err directory_walk_known(struct db_conn *conn, int64_t account, size_t max,
                              bool (*fn)(void *arg, int64_t recipient), void *arg);
