/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_update.h: dynamic updates of a zone (RFC 2136), signed with a shared key (TSIG, RFC 8945).
 *
 * Of updates it knows what publishing a text needs: all TXT records of a name give way to one, or
 * to none.  Done twice it is the same as once, so that whoever does not know whether an update
 * arrived sends it again.  hmac-sha256 alone is spoken.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

enum {
    TSIG_MAC_SIZE = 32,
    TSIG_SECRET_MAX = 128,
    TSIG_FUDGE = 300, /* Seconds by which two clocks may differ. */
    DNS_UPDATE_TEXT_MAX = 4096,
};

struct tsig_key {
    char name[256]; /* As of dns_name_normalize(). */
    uint8_t secret[TSIG_SECRET_MAX];
    size_t secret_size;
};

/* The first line of PATH, in base64.  ERR_REFUSED when others can read the file; ERR_SYNTAX;
 * ERR_IO. Blocks. */
enum err tsig_key_load(const char *path, str name, struct tsig_key *key, struct why *why);
void tsig_key_done(struct tsig_key *key); /* Leaves no trace of the secret. */

struct dns_update {
    str zone;
    str name; /* In the zone. */
    str text; /* Empty: no TXT record at NAME from now on. */
    uint32_t ttl;
};

/* What a request leaves behind to judge its answer by. */
struct tsig_sent {
    uint16_t id;
    uint64_t time;
    uint8_t mac[TSIG_MAC_SIZE];
};

/* Writes the request with ID, signed at NOW (wall clock).  ERR_SYNTAX: not a name; ERR_LIMIT. */
enum err dns_update_encode(const struct dns_update *update, const struct tsig_key *key, uint16_t id,
                           instant now, struct buf *message, struct tsig_sent *sent);
/* Whether PACKET says that the update is done.  ERR_REFUSED: the server says no, and WHY tells;
 * ERR_CORRUPT: the answer is not signed by KEY, or not an answer to this; ERR_SYNTAX. */
enum err dns_update_check(str packet, const struct tsig_sent *sent, const struct tsig_key *key,
                          instant now, struct why *why);

/* Does UPDATE at SERVER.  Errors as above and of dns_exchange(). */
WAITS enum err dns_update_send(const struct dns_update *update, const struct tsig_key *key,
                               const struct endpoint *server, instant deadline, struct why *why);
