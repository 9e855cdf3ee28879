/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arc.c: validates a chain, in the order of RFC 8617 5.2.
 *
 * The structure is checked first, since what a seal covers can only be said of a sound one.  Then
 * the newest message signature and all seals must hold; older message signatures are history, which
 * every later hop may have changed.  Start reading at arc_begin().
 */
#include "trust/arc.h"

#include "runtime/wait.h"
#include "trust/dkim_canon.h"

#include <stdio.h>

const char *
arc_status_name(enum arc_status status)
{
    static const char *const names[] = {
        [ARC_PENDING] = "pending", [ARC_NONE] = "none",           [ARC_PASS] = "pass",
        [ARC_FAIL] = "fail",       [ARC_TEMPERROR] = "temperror",
    };

    return names[status];
}

static void
decide(struct arc_chain *chain, enum arc_status status, const char *why)
{
    if (chain->status != ARC_PENDING)
        return;
    chain->status = status;
    snprintf(chain->why, sizeof(chain->why), "%s", why);
}

/* --- Structure. */

/* The number of a set from the value of i=; 0 when it is none. */
static unsigned
read_instance(str text)
{
    uint64_t number;

    return str_to_u64(text, &number) && number <= ARC_SETS_MAX ? (unsigned)number : 0;
}

/* The results begin with "i=", the others have it among their tags. */
static unsigned
instance_of(const struct header_field *field, bool is_results)
{
    struct dkim_tags tags;
    str first, name, value;

    if (!is_results)
        return dkim_tags_parse(field->value, &tags) ? read_instance(dkim_tag_value(&tags, S("i")))
                                                    : 0;
    if (!str_split(field->value, ';', &first, &value) || !str_split(first, '=', &name, &value) ||
        !str_eq(str_trim(name), S("i")))
        return 0;
    return read_instance(str_trim(value));
}

static void
place(struct arc_chain *chain, const struct header_field *field, size_t kind)
{
    unsigned instance = instance_of(field, kind == 0);
    struct arc_set *set = &chain->sets[instance ? instance - 1 : 0];
    const struct header_field **slot = kind == 0   ? &set->results
                                       : kind == 1 ? &set->message
                                                   : &set->seal;

    if (!instance) {
        decide(chain, ARC_FAIL, "a field of the chain has no number (i=)");
        return;
    }
    chain->count = MAX(chain->count, instance);
    if (*slot)
        decide(chain, ARC_FAIL, "two fields of the chain have the same number");
    *slot = field;
}

static void
collect(struct arc_chain *chain)
{
    static const str names[] = {
        { "ARC-Authentication-Results", 26 },
        { "ARC-Message-Signature", 21 },
        { "ARC-Seal", 8 },
    };
    bool any = false;

    for (size_t i = 0; i < chain->fields->count; i++)
        for (size_t kind = 0; kind < COUNT_OF(names); kind++)
            if (header_is(&chain->fields->items[i].field, names[kind])) {
                place(chain, &chain->fields->items[i].field, kind);
                any = true;
            }
    if (!any)
        decide(chain, ARC_NONE, "");
}

/* RFC 8617 5.2, step 2: somebody saw it broken before us. */
static bool
says_fail(const struct arc_set *set)
{
    struct dkim_tags tags;

    return set->seal && dkim_tags_parse(set->seal->value, &tags) &&
           str_eq_nocase(dkim_tag_value(&tags, S("cv")), S("fail"));
}

static void
read_seal(struct arc_chain *chain, unsigned instance, struct arena *arena)
{
    struct arc_set *set = &chain->sets[instance - 1];
    char why[DKIM_WHY_MAX];
    struct dkim_tags tags;

    if (!set->results || !set->message || !set->seal) {
        decide(chain, ARC_FAIL, "a set of the chain is not complete");
        return;
    }
    if (set->seal->raw.len > DKIM_SIGNATURE_FIELD_MAX ||
        !dkim_tags_parse(set->seal->value, &tags) || dkim_tag_find(&tags, S("h"))) {
        decide(chain, ARC_FAIL, "a seal cannot be read");
        return;
    }
    if (!str_eq_nocase(dkim_tag_value(&tags, S("cv")), instance == 1 ? S("none") : S("pass"))) {
        decide(chain, ARC_FAIL, "a seal says something else of the chain (cv=) than its place");
        return;
    }
    if (dkim_signature_common(set->seal, &tags, arena, &set->signature, why)) {
        snprintf(chain->why, sizeof(chain->why), "seal %u: %.100s", instance, why);
        chain->status = chain->status == ARC_PENDING ? ARC_FAIL : chain->status;
    }
}

enum err
arc_begin(struct dkim_fields *fields, struct dkim_hashes *hashes, instant now, struct arena *arena,
          struct arc_chain *chain)
{
    *chain = (struct arc_chain){ .fields = fields };
    chain->sets = arena_new_array(arena, struct arc_set, ARC_SETS_MAX);
    if (!chain->sets)
        return ERR_LIMIT;
    collect(chain);
    if (chain->count && says_fail(&chain->sets[chain->count - 1])) {
        chain->is_closed = true;
        decide(chain, ARC_FAIL, "the chain was found broken before");
    }
    for (unsigned i = 1; i <= chain->count && chain->status == ARC_PENDING; i++)
        read_seal(chain, i, arena);
    if (chain->status != ARC_PENDING)
        return OK;
    dkim_check_begin(chain->sets[chain->count - 1].message, ARC_MESSAGE_SIGNATURE, now, hashes,
                     arena, &chain->newest);
    return OK;
}

/* --- Keys and arithmetic. */

/* A key that was asked for already: of the newest message signature, or of a newer seal. */
static const struct dkim_public *
known_key(const struct arc_chain *chain, unsigned instance)
{
    const struct dkim_signature *wanted = &chain->sets[instance - 1].signature;
    const struct dkim_signature *other = &chain->newest.signature;
    const struct dkim_public *key = &chain->newest.key;

    for (unsigned i = chain->count + 1; i > instance; i--) {
        if (i <= chain->count) {
            other = &chain->sets[i - 1].signature;
            key = &chain->sets[i - 1].key;
        }
        if (key->bytes.len && other->algorithm == wanted->algorithm &&
            str_eq(other->domain, wanted->domain) && str_eq(other->selector, wanted->selector))
            return key;
    }
    return NULL;
}

static void
blame(struct arc_chain *chain, const char *what, unsigned instance, enum dkim_result result,
      const char *why)
{
    char text[DKIM_WHY_MAX];

    snprintf(text, sizeof(text), "%s %u: %.90s", what, instance, why);
    decide(chain, result == DKIM_TEMPERROR ? ARC_TEMPERROR : ARC_FAIL, text);
}

WAITS static enum err
ask_for_keys(struct arc_chain *chain, const struct dkim_hashes *hashes,
             const struct dkim_lookup *lookup, struct arena *arena)
{
    enum err e = dkim_check_ask(&chain->newest, hashes, lookup, arena);

    if (!e && chain->newest.result)
        blame(chain, "message signature", chain->count, chain->newest.result, chain->newest.why);
    for (unsigned i = chain->count; !e && i > 0 && chain->status == ARC_PENDING; i--) {
        struct arc_set *set = &chain->sets[i - 1];
        const struct dkim_public *known = known_key(chain, i);
        char why[DKIM_WHY_MAX] = "";
        if (known) {
            set->key = *known;
            continue;
        }
        e = dkim_public_ask(lookup, arena, set->signature.domain, set->signature.selector,
                            set->signature.algorithm, &set->key, &set->result, why);
        if (!e && set->result)
            blame(chain, "seal", i, set->result, why);
    }
    return e;
}

static void
compute(void *arg)
{
    struct arc_chain *chain = arg;
    struct dkim_canon so_far;

    dkim_check_compute(&chain->newest, chain->fields);
    if (chain->newest.result != DKIM_PASS)
        blame(chain, "message signature", chain->count, chain->newest.result, chain->newest.why);
    dkim_canon_init(&so_far, DKIM_RELAXED);
    for (unsigned i = 1; i <= chain->count && chain->status == ARC_PENDING; i++) {
        struct arc_set *set = &chain->sets[i - 1];
        uint8_t hash[DKIM_HASH_SIZE];
        char why[DKIM_WHY_MAX];
        struct dkim_canon canon;
        unsigned bits;
        dkim_canon_field(&so_far, set->results);
        dkim_canon_field(&so_far, set->message);
        dkim_canon_copy(&canon, &so_far);
        dkim_canon_last(&canon, set->signature.unsigned_field);
        dkim_canon_end(&canon, hash);
        dkim_canon_done(&canon);
        dkim_canon_field(&so_far, set->seal);
        set->result = dkim_public_verify(&set->key, hash, set->signature.bytes, &bits, why);
        if (set->result != DKIM_PASS)
            blame(chain, "seal", i, set->result, why);
    }
    dkim_canon_done(&so_far);
    decide(chain, ARC_PASS, "the chain holds");
}

WAITS enum err
arc_end(struct arc_chain *chain, const struct dkim_hashes *hashes, const struct dkim_lookup *lookup,
        struct arena *arena)
{
    enum err e = OK;

    if (chain->status == ARC_PENDING)
        e = ask_for_keys(chain, hashes, lookup, arena);
    if (!e && chain->status == ARC_PENDING)
        offload(compute, chain);
    return e;
}
