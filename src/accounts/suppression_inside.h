/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_inside.h: what suppression.c, suppression_learn.c and suppression_query.c share. */
#pragma once

#include "accounts/suppression.h"
#include "accounts/suppression_table.h"
#include "store/suppressed.h"

struct suppression {
    struct db *db;
    struct suppression_table table;
    pthread_mutex_t lock; /* For the rules. */
    struct suppression_rules rules;
};

enum {
    SUPPRESSION_MEMORY_MAX = 2 << 20 /* Of one change, or one page of a walk. */
};

struct suppression_rules suppression_get_rules(struct suppression *list);
/* "local@domain", "@domain" or, for a scope, "": as the directory spells it.  ERR_SYNTAX,
 * ERR_LIMIT. */
enum err suppression_spell(str text, struct arena *arena, str *spelling);
/* The scopes that MAIL is in, at most TABLE_SCOPES_MAX, in ARENA. */
enum err suppression_scopes(const struct suppression_mail *mail, struct arena *arena,
                            str scopes[TABLE_SCOPES_MAX], size_t *count);
/* Copies into ARENA. */
bool suppression_copy(const struct suppression_entry *entry, struct arena *arena,
                      struct suppression_entry *copy);
void suppression_from_row(const struct suppressed_row *row, struct suppression_entry *entry);
void suppression_to_row(const struct suppression_entry *entry, struct suppressed_row *row);

/* A name whose reasons in memory are to become those of the database. */
struct suppression_fix {
    str address;
    str scope;
    unsigned mask;
};
/* Reads what is left of each, within the transaction. */
enum err suppression_read_masks(struct db_conn *conn, struct suppression_fix *fixes, size_t count,
                                instant now);
void suppression_fix_table(struct suppression *list, const struct suppression_fix *fixes,
                           size_t count, uint64_t epoch);
