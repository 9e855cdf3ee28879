/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* list.h: a doubly linked list whose links live in the members.  A head is a link too. */
#pragma once

#include "base/base.h"

struct link {
    struct link *prev;
    struct link *next;
};

static inline void
list_init(struct link *head)
{
    head->prev = head->next = head;
}

static inline bool
list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline void
list_append(struct link *head, struct link *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void
list_prepend(struct link *head, struct link *item)
{
    list_append(head->next, item);
}

/* Takes ITEM out of its list; harmless on an item that is in none (zeroed or removed). */
static inline void
list_remove(struct link *item)
{
    if (!item->next)
        return;
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->prev = item->next = NULL;
}

static inline bool
list_holds(const struct link *item)
{
    return item->next != NULL;
}

/* The first item, taken out, or NULL. */
static inline struct link *
list_pop(struct link *head)
{
    struct link *item = head->next;

    if (item == head)
        return NULL;
    list_remove(item);
    return item;
}

/* Safe against removal of the current item. */
#define list_each(item, head)                                                                      \
    for (struct link *item = (head)->next, *next_##item = item->next; item != (head);              \
         item = next_##item, next_##item = item->next)
