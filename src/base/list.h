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

/* All items of FROM, which keeps none, to the new head TO; FROM may have been copied to TO. */
static inline void
list_move(struct link *to, struct link *from)
{
    if (list_is_empty(from)) {
        list_init(to);
        return;
    }
    *to = (struct link){ from->prev, from->next };
    to->prev->next = to->next->prev = to;
    list_init(from);
}

/* Safe against removal of the current item. */
#define list_each(item, head)                                                                      \
    for (struct link *item = (head)->next, *next_##item = item->next; item != (head);              \
         item = next_##item, next_##item = item->next)
