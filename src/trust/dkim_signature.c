/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_signature.c: fields with signatures.  Start reading at dkim_signature_parse(). */
#include "trust/dkim_signature.h"

#include "formats/address.h"
#include "trust/dkim_canon.h"

#include <stdio.h>
#include <string.h>

enum {
    SKEW_SECONDS = 6 * 3600, /* Clocks of signers that run ahead. */
    SELECTOR_MAX = 253,
    BLANKS_PER_HASH = 16, /* bh= may be folded. */
};

static enum dkim_result
say(char why[DKIM_WHY_MAX], enum dkim_result result, const char *text)
{
    snprintf(why, DKIM_WHY_MAX, "%s", text);
    return result;
}

/* --- Sections. */

enum err
dkim_fields_read(str header, struct arena *arena, struct dkim_fields *fields)
{
    struct header_field field;
    size_t count = 0;

    for (str rest = header; header_next(&rest, &field);)
        if (++count > DKIM_FIELDS_MAX)
            return ERR_LIMIT;
    *fields = (struct dkim_fields){};
    fields->items = arena_new_array(arena, struct dkim_field, count + 1);
    if (!fields->items)
        return ERR_LIMIT;
    while (header_next(&header, &field)) {
        struct dkim_field *next = &fields->items[fields->count++];
        next->field = field;
        next->hash = (uint32_t)str_hash_nocase(field.name);
    }
    return OK;
}

static struct dkim_field *
last_unused(struct dkim_fields *fields, str name)
{
    uint32_t hash = (uint32_t)str_hash_nocase(name);

    for (size_t i = fields->count; i-- > 0;) {
        struct dkim_field *field = &fields->items[i];
        if (field->hash == hash && field->stamp != fields->stamp && header_is(&field->field, name))
            return field;
    }
    return NULL;
}

void
dkim_fields_hash(struct dkim_fields *fields, enum dkim_form form, str names,
                 const struct header_field *own, str last, uint8_t hash[DKIM_HASH_SIZE])
{
    struct dkim_canon canon;
    str name;

    fields->stamp++;
    for (size_t i = 0; i < fields->count; i++)
        if (&fields->items[i].field == own)
            fields->items[i].stamp = fields->stamp;
    dkim_canon_init(&canon, form);
    while (dkim_list_next(&names, &name)) {
        struct dkim_field *field = name.len ? last_unused(fields, name) : NULL;
        if (!field)
            continue;
        field->stamp = fields->stamp;
        dkim_canon_field(&canon, &field->field);
    }
    dkim_canon_last(&canon, last);
    dkim_canon_end(&canon, hash);
    dkim_canon_done(&canon);
}

/* --- Tags. */

static enum dkim_result
read_algorithm(str value, enum dkim_algorithm *algorithm, char why[DKIM_WHY_MAX])
{
    if (str_eq_nocase(value, S("rsa-sha256")))
        *algorithm = DKIM_RSA_SHA256;
    else if (str_eq_nocase(value, S("ed25519-sha256")))
        *algorithm = DKIM_ED25519_SHA256;
    else if (str_eq_nocase(value, S("rsa-sha1")))
        return say(why, DKIM_FAIL, "rsa-sha1 proves nothing any more");
    else
        return say(why, DKIM_NEUTRAL, "the algorithm (a=) is not known");
    return DKIM_PENDING;
}

static bool
read_form(str word, enum dkim_form *form)
{
    *form = str_eq_nocase(word, S("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
    return *form == DKIM_RELAXED || str_eq_nocase(word, S("simple"));
}

/* RFC 6376 3.5: "simple/simple" without c=, and "simple" for a part that is not named. */
static bool
read_forms(const struct dkim_tag *tag, struct dkim_signature *signature)
{
    str header, body;

    signature->header = signature->body = DKIM_SIMPLE;
    if (!tag)
        return true;
    if (!str_split(tag->value, '/', &header, &body))
        body = S("simple");
    return read_form(header, &signature->header) && read_form(body, &signature->body);
}

static bool
read_number(const struct dkim_tags *tags, str name, uint64_t max, uint64_t *number)
{
    const struct dkim_tag *tag = dkim_tag_find(tags, name);

    *number = 0;
    return !tag || (str_to_u64(tag->value, number) && *number <= max);
}

static bool
is_selector(str selector)
{
    str label;

    if (!selector.len || selector.len > SELECTOR_MAX)
        return false;
    while (selector.len) {
        bool more = str_split(selector, '.', &label, &selector);
        if (!label.len || label.len > DOMAIN_LABEL_MAX || (more && !selector.len))
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
                return false;
        if (!more)
            break;
    }
    return true;
}

static bool
read_domain(str text, struct arena *arena, str *domain)
{
    return domain_is_valid(text) && !domain_to_alabel(text, arena, domain);
}

/* RFC 6376 3.7: the field as it was when b= was still empty. */
static bool
empty_b(const struct header_field *field, const struct dkim_tag *b, struct arena *arena,
        str *result)
{
    str raw = field->raw;
    size_t front = (size_t)(b->raw.ptr - raw.ptr);
    char *room = arena_alloc(arena, raw.len + 1);
    str back;

    if (!room)
        return false;
    if (raw.len && raw.ptr[raw.len - 1] == '\n')
        raw.len--;
    if (raw.len && raw.ptr[raw.len - 1] == '\r')
        raw.len--;
    back = str_skip(raw, front + b->raw.len);
    if (!str_trim(back).len)
        back = S("");
    memcpy(room, raw.ptr, front);
    memcpy(room + front, back.ptr, back.len);
    *result = (str){ room, front + back.len };
    return true;
}

enum dkim_result
dkim_signature_common(const struct header_field *field, const struct dkim_tags *tags,
                      struct arena *arena, struct dkim_signature *signature, char why[DKIM_WHY_MAX])
{
    const struct dkim_tag *b = dkim_tag_find(tags, S("b"));
    enum dkim_result result;
    uint64_t number;

    if (!b || !b->value.len)
        return say(why, DKIM_NEUTRAL, "it holds no signature (b=)");
    signature->selector = dkim_tag_value(tags, S("s"));
    if (!is_selector(signature->selector))
        return say(why, DKIM_NEUTRAL, "it names no key (s=)");
    if (!read_domain(dkim_tag_value(tags, S("d")), arena, &signature->domain))
        return say(why, DKIM_NEUTRAL, "it names no domain (d=)");
    result = read_algorithm(dkim_tag_value(tags, S("a")), &signature->algorithm, why);
    if (result)
        return result;
    if (!read_number(tags, S("t"), INT64_MAX / 2, &number))
        return say(why, DKIM_NEUTRAL, "the time (t=) cannot be read");
    signature->signed_at = (int64_t)number;
    signature->text = b->value;
    if (dkim_base64(b->value, DKIM_SIGNATURE_BYTES_MAX, arena, &signature->bytes) ||
        !empty_b(field, b, arena, &signature->unsigned_field))
        return say(why, DKIM_NEUTRAL, "the signature (b=) cannot be read");
    return DKIM_PENDING;
}

static bool
read_body_hash(str text, struct arena *arena, uint8_t hash[DKIM_HASH_SIZE])
{
    str bytes;

    if (dkim_base64(text, DKIM_HASH_SIZE + BLANKS_PER_HASH, arena, &bytes) ||
        bytes.len != DKIM_HASH_SIZE)
        return false;
    memcpy(hash, bytes.ptr, DKIM_HASH_SIZE);
    return true;
}

/* RFC 6376 5.4, 6.1.1; RFC 8617 4.1.2: seals are not signed by message signatures. */
static enum dkim_result
judge_names(str names, enum dkim_kind kind, char why[DKIM_WHY_MAX])
{
    size_t count = 0;
    str name;

    for (str rest = names; dkim_list_next(&rest, &name);)
        if (++count > DKIM_NAMES_MAX)
            return say(why, DKIM_NEUTRAL, "it names too many fields (h=)");
    if (!count)
        return say(why, DKIM_NEUTRAL, "it names no fields (h=)");
    if (!dkim_list_has(names, S("From")))
        return say(why, DKIM_PERMERROR, "it does not sign From");
    if (kind == ARC_MESSAGE_SIGNATURE && dkim_list_has(names, S("ARC-Seal")))
        return say(why, DKIM_PERMERROR, "it signs a seal");
    return DKIM_PENDING;
}

/* i= is in d=, or in a domain below it. */
static enum dkim_result
read_identity(const struct dkim_tags *tags, struct arena *arena, struct dkim_signature *signature,
              char why[DKIM_WHY_MAX])
{
    const struct dkim_tag *tag = dkim_tag_find(tags, S("i"));
    size_t tail = signature->domain.len;
    ssize_t at;
    str domain;

    if (!tag)
        return arena_printf(arena, &signature->identity, "@%.*s", STR_ARG(signature->domain))
                   ? DKIM_PENDING
                   : say(why, DKIM_NEUTRAL, "no memory");
    at = str_find_last(tag->value, '@');
    if (at < 0 || !read_domain(str_skip(tag->value, (size_t)at + 1), arena, &domain))
        return say(why, DKIM_NEUTRAL, "the identity (i=) is no address");
    signature->identity = tag->value;
    signature->is_below = domain.len > tail;
    if (!str_ends(domain, signature->domain) ||
        (domain.len > tail && domain.ptr[domain.len - tail - 1] != '.'))
        return say(why, DKIM_PERMERROR, "the identity (i=) is not in the domain (d=)");
    return DKIM_PENDING;
}

static enum dkim_result
judge_times(const struct dkim_tags *tags, int64_t now, struct dkim_signature *signature,
            char why[DKIM_WHY_MAX])
{
    uint64_t number;

    if (!read_number(tags, S("x"), INT64_MAX / 2, &number))
        return say(why, DKIM_NEUTRAL, "the end (x=) cannot be read");
    signature->expires_at = (int64_t)number;
    if (number && signature->expires_at < signature->signed_at)
        return say(why, DKIM_PERMERROR, "it ends (x=) before it begins (t=)");
    if (number && signature->expires_at < now)
        return say(why, DKIM_FAIL, "the signature has expired");
    if (signature->signed_at > now + SKEW_SECONDS)
        return say(why, DKIM_FAIL, "the signature is from the future");
    return DKIM_PENDING;
}

static enum dkim_result
read_kind(const struct dkim_tags *tags, enum dkim_kind kind, struct arena *arena,
          struct dkim_signature *signature, char why[DKIM_WHY_MAX])
{
    const struct dkim_tag *queries = dkim_tag_find(tags, S("q"));

    if (queries && !dkim_list_has(queries->value, S("dns/txt")))
        return say(why, DKIM_NEUTRAL, "its key is not in the DNS (q=)");
    if (kind == ARC_MESSAGE_SIGNATURE) {
        signature->identity = dkim_tag_value(tags, S("i"));
        return dkim_tag_find(tags, S("v")) ? say(why, DKIM_PERMERROR, "it has a version (v=)")
                                           : DKIM_PENDING;
    }
    if (!str_eq(dkim_tag_value(tags, S("v")), S("1")))
        return say(why, DKIM_NEUTRAL, "it is of another version (v=)");
    return read_identity(tags, arena, signature, why);
}

enum dkim_result
dkim_signature_parse(const struct header_field *field, enum dkim_kind kind, int64_t now,
                     struct arena *arena, struct dkim_signature *signature, char why[DKIM_WHY_MAX])
{
    struct dkim_tags tags;
    enum dkim_result result;

    *signature = (struct dkim_signature){ .field = field };
    if (field->raw.len > DKIM_SIGNATURE_FIELD_MAX)
        return say(why, DKIM_NEUTRAL, "its field is too long");
    if (!dkim_tags_parse(field->value, &tags))
        return say(why, DKIM_NEUTRAL, "its tags cannot be read");
    result = dkim_signature_common(field, &tags, arena, signature, why);
    if (!result)
        result = read_kind(&tags, kind, arena, signature, why);
    if (result)
        return result;
    if (!read_forms(dkim_tag_find(&tags, S("c")), signature))
        return say(why, DKIM_NEUTRAL, "the canonical form (c=) is not known");
    signature->has_limit = dkim_tag_find(&tags, S("l")) != NULL;
    if (!read_number(&tags, S("l"), INT64_MAX, &signature->limit))
        return say(why, DKIM_NEUTRAL, "the length (l=) cannot be read");
    if (!read_body_hash(dkim_tag_value(&tags, S("bh")), arena, signature->body_hash))
        return say(why, DKIM_NEUTRAL, "the hash of the body (bh=) cannot be read");
    signature->names = dkim_tag_value(&tags, S("h"));
    result = judge_names(signature->names, kind, why);
    return result ? result : judge_times(&tags, now, signature, why);
}
