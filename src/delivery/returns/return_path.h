/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_path.h: addresses that mail of ours leaves with, so that what comes back is known.
 *
 *     bounce-abcdefghijklmnopqrstuvwxyz234567abcdefghijklm@bounces.example.org
 *
 * Behind the prefix stands a token (trust/token.h) of the message's id and the index of a
 * recipient. The id holds the time at which the message was taken in, so that the address is dated,
 * expires, and is the same at each retry: a receiver who greylists sees the same sender again.
 *
 * Pure but for the keys.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/msgid.h"
#include "base/str.h"

struct secrets;

#define RETURN_PATH_PREFIX "bounce-"

enum {
    RETURN_PATH_LETTERS = 45,
    RETURN_PATH_LOCAL_SIZE = sizeof(RETURN_PATH_PREFIX) - 1 + RETURN_PATH_LETTERS,
    RETURN_PATH_NOBODY = 0xffff, /* As an index: the message as a whole is named. */
};

struct return_path {
    msgid message;
    uint32_t index; /* Of the recipient, or RETURN_PATH_NOBODY. */
};

/* Appends the local part. */
void return_path_write(struct secrets *secrets, const struct return_path *path, struct buf *local);
/* Whether LOCAL has the form of one, whoever made it. */
bool return_path_is_one(str local);
/* ERR_SYNTAX: not the form; ERR_REFUSED: not by a key of ours; ERR_TIMEOUT: the message is older
 * than KEEP. */
enum err return_path_read(struct secrets *secrets, str local, instant now, duration keep,
                          struct return_path *path);
