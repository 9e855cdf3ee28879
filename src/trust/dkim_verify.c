/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_verify.c: the story of a verification, in the order of RFC 6376 6.1.
 *
 * A signature whose body hash is wrong costs no question to the DNS, and one whose key is missing
 * no arithmetic.  Start reading at dkim_verify_begin().
 */
#include "trust/dkim_verify.h"

#include "runtime/wait.h"

#include <stdio.h>
#include <string.h>

static void
decide(struct dkim_check *check, enum dkim_result result, const char *why)
{
    check->result = result;
    snprintf(check->why, sizeof(check->why), "%s", why);
}

void
dkim_check_begin(const struct header_field *field, enum dkim_kind kind, instant now,
                 struct dkim_hashes *hashes, struct arena *arena, struct dkim_check *check)
{
    *check = (struct dkim_check){};
    check->result =
        dkim_signature_parse(field, kind, now / SECONDS(1), arena, &check->signature, check->why);
    check->covers_all = !check->signature.has_limit;
    if (!check->result &&
        dkim_hashes_want(hashes, check->signature.body, check->signature.has_limit,
                         check->signature.limit, &check->hash_index))
        decide(check, DKIM_NEUTRAL, "its message has too many kinds of signatures");
}

/* RFC 6376 6.1.3, the steps that need no key. */
static void
compare_body(struct dkim_check *check, const struct dkim_hash *hash)
{
    if (hash->is_short)
        decide(check, DKIM_FAIL, "the body is shorter than what was signed");
    else if (memcmp(hash->value, check->signature.body_hash, DKIM_HASH_SIZE) != 0)
        decide(check, DKIM_FAIL, "the body was changed");
}

WAITS enum err
dkim_check_ask(struct dkim_check *check, const struct dkim_hashes *hashes,
               const struct dkim_lookup *lookup, struct arena *arena)
{
    const struct dkim_signature *signature = &check->signature;
    enum err e;

    if (!check->result)
        compare_body(check, &hashes->items[check->hash_index]);
    if (check->result)
        return OK;
    e = dkim_public_ask(lookup, arena, signature->domain, signature->selector, signature->algorithm,
                        &check->key, &check->result, check->why);
    if (e || check->result)
        return e;
    check->is_testing = check->key.is_testing;
    if (check->key.is_strict && signature->is_below)
        decide(check, DKIM_PERMERROR, "the key is not for names below its domain (t=s)");
    return OK;
}

void
dkim_check_compute(struct dkim_check *check, struct dkim_fields *fields)
{
    const struct dkim_signature *signature = &check->signature;
    uint8_t hash[DKIM_HASH_SIZE];

    if (check->result)
        return;
    dkim_fields_hash(fields, signature->header, signature->names, signature->field,
                     signature->unsigned_field, hash);
    check->result =
        dkim_public_verify(&check->key, hash, signature->bytes, &check->key_bits, check->why);
}

enum err
dkim_verify_begin(struct dkim_fields *fields, struct dkim_hashes *hashes, instant now,
                  struct arena *arena, struct dkim_verify *verify)
{
    *verify = (struct dkim_verify){ .fields = fields };
    verify->checks = arena_new_array(arena, struct dkim_check, DKIM_SIGNATURES_MAX);
    if (!verify->checks)
        return ERR_LIMIT;
    for (size_t i = 0; i < fields->count; i++) {
        const struct header_field *field = &fields->items[i].field;
        if (!header_is(field, S("DKIM-Signature")))
            continue;
        if (verify->count == DKIM_SIGNATURES_MAX)
            verify->skipped++;
        else
            dkim_check_begin(field, DKIM_SIGNATURE, now, hashes, arena,
                             &verify->checks[verify->count++]);
    }
    return OK;
}

static void
compute_all(void *arg)
{
    struct dkim_verify *verify = arg;

    for (size_t i = 0; i < verify->count; i++)
        dkim_check_compute(&verify->checks[i], verify->fields);
}

WAITS enum err
dkim_verify_end(struct dkim_verify *verify, const struct dkim_hashes *hashes,
                const struct dkim_lookup *lookup, struct arena *arena)
{
    bool open = false;
    enum err e = OK;

    for (size_t i = 0; !e && i < verify->count; i++) {
        e = dkim_check_ask(&verify->checks[i], hashes, lookup, arena);
        open |= !verify->checks[i].result;
    }
    if (!e && open)
        offload(compute_all, verify);
    return e;
}
