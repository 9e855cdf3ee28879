/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mailbox_inside.h: what mailstore.c and mailbox.c share; for these two only. */
#pragma once

#include "base/list.h"
#include "store/db.h"
#include "store/mailbox.h"

/* One open file, shared by all who use the account's mailbox. */
struct handle {
    struct link idle; /* In the store's list while nobody uses it. */
    int64_t account;
    struct db *db;
    unsigned users;
    bool ready; /* Otherwise somebody is opening or removing it. */
    bool locked;
    struct link waiting; /* Of struct ready_wait. */
};

struct mailbox {
    struct mailstore *store;
    struct handle *handle;
    bool holds_lock;
};

/* The folder of the files. */
const char *mailstore_dir(const struct mailstore *store);
