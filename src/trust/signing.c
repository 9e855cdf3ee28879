/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* signing.c: one hash of the body, and a signature by each key that is active.
 *
 * RSA and Ed25519 both sign (RFC 8463 3): a verifier that knows only the older one still finds it.
 * The canonical form is relaxed for both parts where no policy says otherwise, since hosts on the
 * way fold fields again and trim lines.
 */
#include "trust/signing.h"

#include "base/must.h"
#include "config/config.h"
#include "formats/header.h"
#include "formats/header_address.h"
#include "trust/dkim_sign.h"
#include "trust/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AUTHORS_MAX = 20,
    AUTHORS_MEMORY_MAX = 64 * 1024,
};

struct signing {
    const struct config *config;
    const struct config_dkim_policy *policy; /* In CONFIG. */
    struct signers signers;
    struct dkim_body body;
    char name[400];
    size_t header_size;
    char header[];
};

enum err
signing_domain(str section, struct arena *arena, str *domain)
{
    struct header_field field;
    struct header_address *from;
    struct address canonical;
    enum err e;

    *domain = S("");
    if (!header_find(section, S("From"), &field))
        return OK;
    e = header_addresses_parse(field.value, AUTHORS_MAX, arena, &from);
    if (e == ERR_SYNTAX || (!e && !from))
        return OK;
    if (!e)
        e = address_canonical(&from->address, arena, &canonical);
    if (!e)
        *domain = canonical.domain;
    return e == ERR_SYNTAX ? OK : e;
}

static enum dkim_form
form_of(enum dkim_form_choice choice)
{
    return choice == DKIM_FORM_SIMPLE ? DKIM_SIMPLE : DKIM_RELAXED;
}

enum err
signing_begin(struct keyring *keyring, const struct config *config, str from_domain, str header,
              struct signing **result)
{
    const struct config_dkim_policy *policy = config_dkim_policy(config, from_domain);
    struct signers signers;
    struct signing *signing;

    *result = NULL;
    keyring_signers(keyring, from_domain, &signers);
    if (!signers.count) {
        signers_done(&signers);
        return OK;
    }
    signing = malloc(sizeof(*signing) + header.len);
    if (!signing) {
        signers_done(&signers);
        return ERR_LIMIT;
    }
    signing->signers = signers;
    signing->header_size = header.len;
    memcpy(signing->header, header.ptr, header.len);
    snprintf(signing->name, sizeof(signing->name), "d=%.*s s=%.*s",
             STR_ARG(signers.items[0].domain), STR_ARG(signers.items[0].selector));
    signing->config = config_ref(config);
    signing->policy = policy;
    dkim_body_init(&signing->body, form_of(policy->body));
    *result = signing;
    return OK;
}

void
signing_add(struct signing *signing, str bytes)
{
    if (signing)
        dkim_body_add(&signing->body, bytes);
}

/* What all signatures of a message have in common. */
static struct dkim_options
options_of(const struct config_dkim_policy *policy, instant now)
{
    const struct config_texts *over = &policy->oversign;
    bool none = over->count == 1 && str_eq(over->items[0], S("none"));

    return (struct dkim_options){
        .header = form_of(policy->header),
        .body = form_of(policy->body),
        .signed_at = now,
        .expires_at = policy->expire ? now + policy->expire : 0,
        .fields = policy->fields.count ? policy->fields.items : NULL,
        .field_count = policy->fields.count,
        .oversigned = over->count ? over->items : NULL,
        .oversigned_count = none ? 0 : over->count,
    };
}

enum err
signing_end(struct signing *signing, instant now, struct buf *fields)
{
    struct dkim_section *section = NULL;
    struct dkim_options options;
    uint8_t hash[DKIM_HASH_SIZE];
    size_t before = fields->len;
    enum err e;

    if (!signing)
        return OK;
    dkim_body_end(&signing->body, hash);
    options = options_of(signing->policy, now);
    e = dkim_section_new(&options, (str){ signing->header, signing->header_size }, &section);
    for (size_t i = 0; !e && i < signing->signers.count; i++) {
        options.domain = signing->signers.items[i].domain;
        options.selector = signing->signers.items[i].selector;
        e = dkim_sign_section(signing->signers.items[i].key, &options, section, hash, fields);
    }
    dkim_section_free(section);
    if (e)
        fields->len = before;
    return e;
}

str
signing_name(const struct signing *signing)
{
    return signing ? str_from(signing->name) : S("");
}

void
signing_free(struct signing *signing)
{
    if (!signing)
        return;
    dkim_body_done(&signing->body);
    signers_done(&signing->signers);
    config_unref(signing->config);
    free(signing);
}

enum err
signing_message(struct keyring *keyring, const struct config *config, str message, instant now,
                struct buf *fields)
{
    struct signing *signing = NULL;
    struct arena arena;
    size_t scanned = 0, size = message.len;
    str domain;
    enum err e;

    if (!config->dkim.sign)
        return OK;
    if (!header_find_end(message, &scanned, &size))
        size = message.len;
    arena_init(&arena, AUTHORS_MEMORY_MAX);
    e = signing_domain(str_head(message, size), &arena, &domain);
    if (!e)
        e = signing_begin(keyring, config, domain, str_head(message, size), &signing);
    arena_done(&arena);
    if (e)
        return e;
    signing_add(signing, str_skip(message, size));
    e = signing_end(signing, now, fields);
    signing_free(signing);
    return e;
}
