/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* token.h: proofs that we wrote something which went out and comes back: a return path, a forwarded
 * sender, a link to unsubscribe.
 *
 * A token is a payload and a MAC: HMAC-SHA-256 under a key of this installation, cut to
 * TOKEN_MAC_SIZE bytes (80 bits), with another key for each purpose, so that a token of one is no
 * token of another.  A payload is not secret.  Texts are base32 in lower case, for local-parts may
 * be folded on their way.
 *
 * The keys stand in one file, mode 0600, made at the first start:
 *
 *     outpost-secrets 1
 *     1764201600 6b…        when it was made, and 32 bytes in hex; the newest last
 *
 * The newest key makes, all check.  A rotation adds one and forgets those whose successor is older
 * than a time to keep.  The file is replaced as a whole; a change is durable when its call returns
 * OK.
 *
 * Threads: any.  Changes block the thread (offload() them); making and checking do not wait.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct secrets;

enum {
    SECRETS_MAX = 16,    /* Keys at a time: each costs whoever checks a forged token one HMAC. */
    TOKEN_MAC_SIZE = 10, /* Bytes. */
    TOKEN_MAC_LETTERS = 16,
    TOKEN_PAYLOAD_MAX = 1024,
};

#define SECRETS_KEEP_MAX DAYS(3650)
#define SECRETS_KEEP     DAYS(365) /* How long a key still checks after the next was made. */

enum token_purpose {
    TOKEN_RETURN,      /* Return paths: delivery/returns/return_path. */
    TOKEN_FORWARD,     /* SRS: delivery/returns/srs. */
    TOKEN_UNSUBSCRIBE, /* RFC 8058. */
};
enum {
    TOKEN_PURPOSES = TOKEN_UNSUBSCRIBE + 1
};

/* Makes the file with a first key when there is none.  ERR_CORRUPT; ERR_REFUSED: others may read
 * it.
 */
enum err secrets_open(const char *path, instant now, struct secrets **secrets, struct why *why);
void secrets_close(struct secrets *secrets); /* NULL is fine. */
/* A new key makes from now on; FORGOTTEN of the old ones are gone: those whose successor is older
 * than KEEP, and with 0 all.  ERR_LIMIT: SECRETS_MAX of them are still kept. */
enum err secrets_rotate(struct secrets *secrets, instant now, duration keep, size_t *forgotten,
                        struct why *why);
/* What secrets_rotate() would answer; nothing changes. */
enum err secrets_foresee_rotation(struct secrets *secrets, instant now, duration keep,
                                  size_t *forgotten, struct why *why);
/* The oldest first.  NAME tells keys apart and says nothing about them.  FN must not call this
 * module. */
void secrets_each(struct secrets *secrets, void (*fn)(void *arg, instant created, str name),
                  void *arg);

/* The MAC of PAYLOAD by the newest key. */
void token_mac(struct secrets *secrets, enum token_purpose purpose, str payload,
               uint8_t mac[TOKEN_MAC_SIZE]);
/* Whether one of the keys made MAC.  A shorter one is held against as many bytes, at least five:
 * for SRS, whose addresses have room for no more. */
bool token_check(struct secrets *secrets, enum token_purpose purpose, str payload, str mac);

/* PAYLOAD and its MAC as one text.  ERR_LIMIT: the payload, or TEXT, is too long. */
enum err token_seal(struct secrets *secrets, enum token_purpose purpose, str payload,
                    struct buf *text);
/* Back again.  ERR_SYNTAX: no text of token_seal(); ERR_LIMIT: more than MAX; ERR_REFUSED: no key
 * of ours made it. */
enum err token_open(struct secrets *secrets, enum token_purpose purpose, str text, uint8_t *payload,
                    size_t max, size_t *len);

/* Days since 1970, for what expires: two bytes last until 2149. */
uint16_t token_day(instant now);
