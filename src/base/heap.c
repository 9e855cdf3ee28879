/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* heap.c: a binary heap of pointers, counted from 1. */
#include "base/heap.h"

#include "base/must.h"

#include <stdlib.h>

void
heap_init(struct heap *heap)
{
    *heap = (struct heap){};
}

void
heap_done(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++)
        heap->items[i]->place = 0;
    free(heap->items);
    heap_init(heap);
}

static void
put(struct heap *heap, size_t place, struct heap_item *item)
{
    heap->items[place - 1] = item;
    item->place = place;
}

static void
sift_up(struct heap *heap, struct heap_item *item)
{
    size_t place = item->place;

    while (place > 1 && heap->items[place / 2 - 1]->key > item->key) {
        put(heap, place, heap->items[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, item);
}

static void
sift_down(struct heap *heap, struct heap_item *item)
{
    size_t place = item->place;

    for (;;) {
        size_t child = place * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->items[child]->key < heap->items[child - 1]->key)
            child++;
        if (heap->items[child - 1]->key >= item->key)
            break;
        put(heap, place, heap->items[child - 1]);
        place = child;
    }
    put(heap, place, item);
}

void
heap_set(struct heap *heap, struct heap_item *item, int64_t key)
{
    item->key = key;
    if (item->place == 0) {
        if (heap->count == heap->capacity) {
            heap->capacity = MAX(16, heap->capacity * 2);
            heap->items = realloc(heap->items, heap->capacity * sizeof(struct heap_item *));
            must(heap->items);
        }
        put(heap, ++heap->count, item);
    }
    sift_up(heap, item);
    sift_down(heap, item);
}

void
heap_remove(struct heap *heap, struct heap_item *item)
{
    struct heap_item *last;
    size_t place = item->place;

    if (place == 0)
        return;
    must(place <= heap->count && heap->items[place - 1] == item);
    item->place = 0;
    last = heap->items[--heap->count];
    if (last == item)
        return;
    put(heap, place, last);
    sift_up(heap, last);
    sift_down(heap, last);
}

struct heap_item *
heap_first(const struct heap *heap)
{
    return heap->count ? heap->items[0] : NULL;
}
