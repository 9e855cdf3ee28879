/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* signing.h: the signatures of one message, made while its body streams by.
 *
 * Its fields stand before all others, and are known only when the last byte of the body has been
 * seen: the caller keeps them apart and sends them first.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct config;
struct keyring;
struct signing;

enum {
    /* All signatures of one message. */
    SIGNING_FIELDS_MAX = 16 * 1024,
};

/* The domain of the first author in the header section SECTION, in A-labels and in ARENA: the name
 * that a reader sees and that DMARC compares.  Empty when there is none.  ERR_LIMIT. */
enum err signing_domain(str section, struct arena *arena, str *domain);

/* For a message from FROM_DOMAIN (of its From field, A-labels, lower case) whose header section,
 * with its empty line, is HEADER, as it will leave; copied.  It is signed as CONFIG, of which a
 * reference is kept, wants of that domain.  NULL in *SIGNING when no key signs for it: the other
 * calls take that.  ERR_LIMIT. */
enum err signing_begin(struct keyring *keyring, const struct config *config, str from_domain,
                       str header, struct signing **signing);
/* The body, in any pieces. */
void signing_add(struct signing *signing, str bytes);
/* Appends the DKIM-Signature fields to FIELDS.  ERR_LIMIT when the section repeats more fields than
 * a signature can name; ERR_SYNTAX when there is no From.  FIELDS is unchanged then.  Blocks for a
 * millisecond: offload() it. */
enum err signing_end(struct signing *signing, instant now, struct buf *fields);
/* Which key it is made with: "d=example.org s=2026a", for records; empty for NULL. */
str signing_name(const struct signing *signing);
void signing_free(struct signing *signing); /* NULL is fine. */

/* The signatures of MESSAGE, whole and with CRLF, by the domain of its author, appended to FIELDS:
 * for what is written here (a report of delivery).  They stand before it, as its envelope's prefix.
 * None when no key signs for that domain, or CONFIG has signing off.  Blocks for a millisecond:
 * offload() it.  Errors as of signing_begin() and signing_end(); FIELDS is unchanged then. */
enum err signing_message(struct keyring *keyring, const struct config *config, str message,
                         instant now, struct buf *fields);
