/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_signature.h: one signature of a message, read; and the hash of the fields that it signs.
 *
 * DKIM-Signature (RFC 6376 3.5) and ARC-Message-Signature (RFC 8617 4.1.2) are the same but for i=,
 * which is an identity in one and the number of an ARC set in the other, and for v=.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "formats/header.h"
#include "trust/dkim_public.h"
#include "trust/dkim_sign.h"
#include "trust/dkim_tags.h"

enum {
    DKIM_FIELDS_MAX = 5000,               /* Of a header section that is looked at. */
    DKIM_SIGNATURE_FIELD_MAX = 16 * 1024, /* Bytes of one signature's field. */
    DKIM_NAMES_MAX = 200,                 /* Names in h=. */
};

/* A header section, its fields found once. */
struct dkim_fields {
    struct dkim_field {
        struct header_field field;
        uint32_t hash;  /* Of the name, in any case of letters. */
        uint32_t stamp; /* The last hash that took this field: dkim_fields_hash(). */
    } * items;
    size_t count;
    uint32_t stamp;
};

/* HEADER must stay where it is.  ERR_LIMIT. */
enum err dkim_fields_read(str header, struct arena *arena, struct dkim_fields *fields);
/* The signed fields in the order of NAMES (h=), from the bottom up for each name (RFC 6376 5.4.2),
 * then LAST.  OWN, which LAST was made of and may be NULL, is not among those fields (3.5).  Not
 * for two threads at once. */
void dkim_fields_hash(struct dkim_fields *fields, enum dkim_form form, str names,
                      const struct header_field *own, str last, uint8_t hash[DKIM_HASH_SIZE]);

enum dkim_kind {
    DKIM_SIGNATURE,
    ARC_MESSAGE_SIGNATURE,
};

struct dkim_signature {
    const struct header_field *field;
    enum dkim_algorithm algorithm;
    enum dkim_form header;
    enum dkim_form body;
    str domain;    /* d=, A-labels, lower case. */
    str selector;  /* s= */
    str identity;  /* i=, "@d" where it is not said; of ARC the number. */
    bool is_below; /* i= is of a domain below d=. */
    str names;     /* h= */
    str bytes;     /* b=, decoded. */
    str text;      /* b=, as it stands, at most its first blank. */
    uint8_t body_hash[DKIM_HASH_SIZE];
    bool has_limit;
    uint64_t limit;
    int64_t signed_at;  /* Seconds; 0: not said. */
    int64_t expires_at; /* Seconds; 0: never. */
    str unsigned_field; /* The field with an empty b=, without its line end: what is signed last. */
};

/* DKIM_PENDING when SIGNATURE could be read; otherwise a verdict, with WHY.  NOW is in seconds. */
enum dkim_result dkim_signature_parse(const struct header_field *field, enum dkim_kind kind,
                                      int64_t now, struct arena *arena,
                                      struct dkim_signature *signature, char why[DKIM_WHY_MAX]);
/* What ARC-Seal has, too: a=, b=, d=, s=, t=.  The rest is untouched. */
enum dkim_result dkim_signature_common(const struct header_field *field,
                                       const struct dkim_tags *tags, struct arena *arena,
                                       struct dkim_signature *signature, char why[DKIM_WHY_MAX]);
