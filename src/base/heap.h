/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* heap.h: the earliest of many, for timers and schedules.
 *
 * Items embed a struct heap_item; the heap stores pointers to them and keeps each item's
 * place, so that an item can be moved or taken out from anywhere in O(log n).
 */
#pragma once

#include "base/base.h"

struct heap_item {
    int64_t key;
    size_t place; /* 1 and up while in a heap; 0 otherwise. */
};

struct heap {
    struct heap_item **items;
    size_t count;
    size_t capacity;
};

void heap_init(struct heap *heap);
void heap_done(struct heap *heap);
/* Inserts ITEM, or moves it when it is in already. */
void heap_set(struct heap *heap, struct heap_item *item, int64_t key);
void heap_remove(struct heap *heap, struct heap_item *item); /* Harmless when it is not in. */
struct heap_item *heap_first(const struct heap *heap);       /* The least key, or NULL. */
