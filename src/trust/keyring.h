/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* keyring.h: our DKIM keys: which there are for each domain, and what each is for at present.
 *
 *     KEY_NEW ───────> KEY_ACTIVE ───────> KEY_RETIRED ───────> KEY_REVOKED ──> (removed)
 *     made; its record  signs              signs no more; what   its private half is gone; an empty
 *     is not seen yet                      it signed may still   p= may stand in the DNS
 *                                          be on its way
 *
 * Each step has one back; that from KEY_REVOKED leads to KEY_RETIRED, with the record again, but
 * without a private half: such a key never signs again.  DIR/keyring lists the keys, one a line, and is
 * replaced as a whole; the private halves are DIR/SELECTOR@DOMAIN.pem, mode 0600.  A change is
 * durable when its call returns OK.
 *
 * Threads: any.  Changes block the thread (offload() them); keyring_signers() does not wait.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct dkim_key;
struct keyring;

enum {
    KEYRING_KEYS_MAX = 100000,
    KEYRING_SELECTOR_MAX = 63,
    KEYRING_RECORD_MAX = 1024,
    SIGNERS_MAX = 4, /* Keys that sign one message: one of each algorithm, in practice. */
};

enum key_state {
    KEY_NEW,
    KEY_ACTIVE,
    KEY_RETIRED,
    KEY_REVOKED,
};
const char *key_state_name(enum key_state state);
bool key_state_parse(str text, enum key_state *state);

struct key_info {
    str domain; /* A-labels, lower case. */
    str selector;
    str algorithm; /* "rsa" or "ed25519" */
    enum key_state state;
    instant created; /* Wall clock, whole seconds. */
    instant changed; /* Since when it is in this state. */
    str record;      /* "v=DKIM1; k=rsa; p=…"; of a revoked key with an empty p=. */
    str whole;       /* The same before it was revoked; an empty p= when that is not known. */
    bool can_sign;   /* Its private half is there. */
};

/* Makes DIR when it is not there.  ERR_CORRUPT, ERR_REFUSED (a private half that others can read).
 */
enum err keyring_open(const char *dir, struct keyring **keyring, struct why *why);
void keyring_close(struct keyring *keyring); /* NULL is fine. */

/* A new key in KEY_NEW.  ERR_EXISTS; ERR_SYNTAX: no domain or selector; ERR_UNSUPPORTED: no such
 * algorithm; ERR_LIMIT. */
enum err keyring_add(struct keyring *keyring, str domain, str selector, str algorithm, instant now,
                     struct why *why);
/* ERR_NOT_FOUND; ERR_REFUSED: the private half, or after KEY_REVOKED the record, is gone. */
enum err keyring_set_state(struct keyring *keyring, str domain, str selector, enum key_state state,
                           instant now, struct why *why);
/* Makes a key sign in place of those of its algorithm that sign for its domain: one change.  Errors
 * as above. */
enum err keyring_activate(struct keyring *keyring, str domain, str selector, instant now,
                          struct why *why);
/* Takes a key away with its file.  ERR_REFUSED while it is KEY_ACTIVE. */
enum err keyring_remove(struct keyring *keyring, str domain, str selector, struct why *why);

/* In order of domain, then selector.  FN must not call this module; its views last for the call.
 * False from FN ends the walk. */
void keyring_each(struct keyring *keyring, bool (*fn)(void *arg, const struct key_info *key),
                  void *arg);

/* The keys that sign for DOMAIN now, or for the nearest domain above it that has any: RFC
 * 6376 6.1.1 lets d= stand above the address, and DMARC's relaxed alignment (RFC 7489 3.1.1) takes
 * it. */
struct signer {
    str domain;
    str selector;
    const struct dkim_key *key;
};
struct signers {
    void *ring; /* A reference, for signers_done(). */
    struct signer items[SIGNERS_MAX];
    size_t count;
};
void keyring_signers(struct keyring *keyring, str domain, struct signers *signers);
void signers_done(struct signers *signers);
