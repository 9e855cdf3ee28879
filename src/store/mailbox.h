/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* mailbox.h: the mail of an account: one SQLite file, DIR/<account-id>.db.
 *
 * When mailbox_append() says OK the message is on disk.  Its uid and uidl never change and
 * are never used again.  Bodies go in and out by pieces; no message is held whole.
 * The store keeps a bounded number of files open; a struct mailbox is a reference.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/msgid.h"
#include "base/str.h"

struct mailstore;
struct mailbox;

enum {
    MAILBOX_UIDL_SIZE = 48, /* With its NUL; at most 47 printable characters. */
    MAILBOX_CHUNK = 64 * 1024,
    MAILBOX_MESSAGES_MAX = 1000000, /* In one list. */
};

WAITS enum err mailstore_open(const char *dir, unsigned open_max, struct mailstore **store,
                              struct why *why);
/* All mailboxes must have been closed. */
void mailstore_close(struct mailstore *store);

/* Makes the file at its first use.  ERR_LIMIT when open_max files are in use. */
WAITS enum err mailbox_open(struct mailstore *store, int64_t account, struct mailbox **mailbox,
                            struct why *why);
void mailbox_close(struct mailbox *mailbox); /* NULL is fine; gives a lock back. */
void mailbox_drop(struct mailbox **mailbox); /* For OWN(mailbox). */
/* Removes an account's mail for ever.  ERR_BUSY while it is open; ERR_NOT_FOUND. */
WAITS enum err mailbox_remove(struct mailstore *store, int64_t account);

struct mailbox_append {
    msgid message; /* With recipient: a second append of the same pair stores nothing. */
    str recipient;
    str folder;         /* "" for INBOX. */
    instant received;   /* Wall time. */
    uint64_t quota;     /* Bytes of the whole mailbox; 0: none. */
    uint64_t size_hint; /* Expected size, for the quota before reading; 0: unknown. */
    str head;           /* Put in front: Return-Path, Delivered-To. */
    /* Up to SIZE bytes of the body into BYTES; *GOT is 0 at its end.  May wait. */
    WAITS enum err (*read)(void *arg, char *bytes, size_t size, size_t *got);
    void *arg;
};

enum mailbox_verdict {
    MAILBOX_STORED,
    MAILBOX_DUPLICATE,
    MAILBOX_OVER_QUOTA
};

/* ERR_FULL when the disk has no room (some is kept back so that deletion stays possible); errors of
 * read. */
WAITS enum err mailbox_append(struct mailbox *mailbox, const struct mailbox_append *append,
                              enum mailbox_verdict *verdict, struct why *why);

enum mailbox_flag {
    MAILBOX_SEEN = 1,
    MAILBOX_ANSWERED = 2,
    MAILBOX_FLAGGED = 4,
    MAILBOX_DELETED = 8,
    MAILBOX_DRAFT = 16,
};

struct mailbox_message {
    int64_t uid;
    uint64_t size;
    instant received;
    uint32_t flags;
    char uidl[MAILBOX_UIDL_SIZE];
};

struct mailbox_list {
    struct mailbox_message *messages; /* By uid. */
    size_t count;
    uint64_t bytes;
};

/* The messages of FOLDER ("" for INBOX); at most MAILBOX_MESSAGES_MAX, the oldest. */
WAITS enum err mailbox_list(struct mailbox *mailbox, str folder, struct mailbox_list *list);
void mailbox_list_done(struct mailbox_list *list);
/* Bytes of message UID from OFFSET on; *GOT is 0 at its end.  ERR_NOT_FOUND when it is gone. */
WAITS enum err mailbox_read(struct mailbox *mailbox, int64_t uid, uint64_t offset, char *bytes,
                            size_t size, size_t *got);
/* All in one transaction; uids that are gone already do not matter. */
WAITS enum err mailbox_delete(struct mailbox *mailbox, const int64_t *uids, size_t count,
                              struct why *why);
WAITS enum err mailbox_set_flags(struct mailbox *mailbox, int64_t uid, uint32_t flags);

struct mailbox_usage {
    uint64_t messages;
    uint64_t bytes;
};
WAITS enum err mailbox_usage(struct mailbox *mailbox, struct mailbox_usage *usage);

/* Exclusive access, for POP3.  ERR_BUSY while somebody else holds it; delivery goes on meanwhile.
 */
enum err mailbox_lock(struct mailbox *mailbox);
void mailbox_unlock(struct mailbox *mailbox);
