/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_wire.h: from the bytes of a DNS answer to records.  Pure; for files of this room only. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/dns.h"

enum {
    DNS_NAME_TEXT_MAX = 1024,
    DNS_RECORDS_MAX = 256
};

/* Whether NAME can be asked for; without the final dot and in lower case into TEXT. */
bool dns_name_normalize(str name, char text[256]);

/* Reads an answer to the question for TYPE: status, TTL, canonical name, records.  ERR_SYNTAX when
 * it is no well-formed DNS message, ERR_LIMIT when the arena or DNS_RECORDS_MAX is too small. */
enum err dns_wire_parse(struct arena *arena, str packet, enum dns_type type,
                        struct dns_answer *answer);
