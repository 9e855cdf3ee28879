/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* maildrop.h: a directory into which any program of this machine may drop a message.
 *
 * DATA/maildrop is like /tmp, but cannot be listed: everybody may add, only the owner of a file
 * and the server may remove it.  A message is one file: the body, then its envelope, so that it
 * can be written before the recipients are known.  It is fsynced before it gets its final name,
 * whether the server runs or not; the server takes it in (maildrop_door.h) as soon as it can.
 *
 * Blocks the thread: for the command line.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "mail/envelope.h"

struct config;
struct maildrop;

#define MAILDROP_DIR    "maildrop"
#define MAILDROP_SOCKET "maildrop.sock" /* Whoever connects has dropped something. */
#define MAILDROP_SUFFIX ".mail"
enum {
    MAILDROP_ENVELOPE_MAX = 4 << 20
};

/* Makes the directory if need be.  ERR_IO, ERR_FULL; WHY tells. */
enum err maildrop_make_dir(const struct config *config, struct why *why);

enum err maildrop_begin(const struct config *config, struct maildrop **drop, struct why *why);
/* The error is sticky and comes again at the commit. */
void maildrop_write(struct maildrop *drop, str bytes);
uint64_t maildrop_size(const struct maildrop *drop);
/* On OK the message is durable, and the server, if there is one, has been told.  Consumes DROP. */
enum err maildrop_commit(struct maildrop **drop, const struct envelope *envelope, struct why *why);
void maildrop_drop(struct maildrop **drop); /* For OWN(maildrop): nothing is left. */

/* The envelope at the end of the open file FD of SIZE bytes, and the size of the body before it.
 * ERR_CORRUPT when it is no such file. */
enum err maildrop_read_envelope(int fd, uint64_t size, struct arena *arena,
                                struct envelope *envelope, uint64_t *body_size);
