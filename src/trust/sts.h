/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts.h: what a domain says of the TLS of its mail hosts.  RFC 8461 3 and 4.1; pure.
 *
 * Two texts: a TXT record that says that there is a policy, and which one (its id), and the policy
 * itself, which comes over HTTPS.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    STS_ID_MAX = 32,
    STS_POLICY_SIZE_MAX = 64 * 1024,
    STS_LINES_MAX = 512,
    STS_LINE_MAX = 1024,
    STS_PATTERNS_MAX = 64, /* Lines of mx; nobody has more hosts. */
};
/* RFC 8461 3.2: about a year. */
#define STS_MAX_AGE_MAX SECONDS(31557600)

enum sts_mode {
    STS_NONE,
    STS_TESTING,
    STS_ENFORCE,
};

struct sts_policy {
    enum sts_mode mode;
    duration max_age; /* At most STS_MAX_AGE_MAX. */
    str *patterns;    /* "mx.example.org", "*.example.org"; lower case. */
    size_t pattern_count;
};

const char *sts_mode_name(enum sts_mode mode);

/* The ID of a record of _mta-sts.DOMAIN, as a view.  False: it is none, or not right. */
bool sts_record_parse(str record, str *id);
/* Whether RECORD says that it is one: others of the name do not count. */
bool sts_record_is_ours(str record);

/* The text of a policy, into ARENA.  ERR_SYNTAX, ERR_LIMIT; WHY names the line. */
enum err sts_policy_parse(str text, struct arena *arena, struct sts_policy *policy,
                          struct why *why);
/* The same with known fields only, which sts_policy_parse() reads. */
void sts_policy_format(const struct sts_policy *policy, struct buf *text);

/* Whether HOST is one that PATTERN names; a "*." stands for one label. */
bool sts_pattern_matches(str pattern, str host);
bool sts_policy_names(const struct sts_policy *policy, str host);
