/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_table.h: the suppression list in memory: eight bytes for each address and scope.
 *
 * A slot holds 56 bits of a keyed hash of (address, scope) and a bit for each reason.  So the table
 * may say "perhaps" of an address that is not on the list, once in many millions of millions, and
 * after a change for a while; it never says "no" of one that is.  Whoever hears "perhaps" asks the
 * database.  A million entries take 16 MiB, two million 32.
 *
 * Who adds says so before the change is durable and after it (suppression_table_begin(),
 * suppression_table_end()); who takes out does it afterwards, and only if nobody has added
 * meanwhile (suppression_table_correct()).  Threads: any; nothing waits.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

#include <pthread.h>

struct suppression_table {
    pthread_rwlock_t lock;
    uint64_t *slots; /* 0: empty. */
    size_t capacity;
    size_t count;
    uint64_t secret[2];
    uint64_t adds;     /* That have begun, */
    uint64_t underway; /* and not yet ended. */
};

enum {
    TABLE_SCOPES_MAX = 8,
    TABLE_ADDRESSES_MAX = 2
};

void suppression_table_init(struct suppression_table *table);
void suppression_table_done(struct suppression_table *table);

uint64_t suppression_table_key(const struct suppression_table *table, str address, str scope);

/* One that is about to be added. */
void suppression_table_begin(struct suppression_table *table, uint64_t key, unsigned mask);
void suppression_table_end(struct suppression_table *table);
/* Before what is about to be taken out. */
uint64_t suppression_table_epoch(struct suppression_table *table);
/* Only these reasons are left.  False: somebody has added since EPOCH, and nothing is changed. */
bool suppression_table_correct(struct suppression_table *table, uint64_t key, unsigned mask,
                               uint64_t epoch);

/* The reasons for any of the addresses in any of the scopes. */
unsigned suppression_table_find(struct suppression_table *table, const str *addresses,
                                size_t address_count, const str *scopes, size_t scope_count);
size_t suppression_table_count(struct suppression_table *table);
size_t suppression_table_bytes(struct suppression_table *table);
