/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_hashes.c: several hashes side by side. */
#include "trust/dkim_hashes.h"

void
dkim_hashes_done(struct dkim_hashes *hashes)
{
    for (size_t i = 0; i < hashes->count; i++)
        dkim_body_done(&hashes->items[i].body);
    hashes->count = 0;
}

enum err
dkim_hashes_want(struct dkim_hashes *hashes, enum dkim_form form, bool has_limit, uint64_t limit,
                 size_t *index)
{
    struct dkim_hash *hash;

    limit = has_limit ? limit : 0;
    for (size_t i = 0; i < hashes->count; i++) {
        hash = &hashes->items[i];
        if (hash->form == form && hash->has_limit == has_limit && hash->limit == limit) {
            *index = i;
            return OK;
        }
    }
    if (hashes->count == DKIM_HASHES_MAX)
        return ERR_LIMIT;
    *index = hashes->count++;
    hash = &hashes->items[*index];
    hash->form = form;
    hash->has_limit = has_limit;
    hash->limit = limit;
    hash->is_short = false;
    dkim_body_init(&hash->body, form);
    if (has_limit)
        dkim_body_limit(&hash->body, limit);
    return OK;
}

void
dkim_hashes_add(struct dkim_hashes *hashes, str bytes)
{
    for (size_t i = 0; i < hashes->count; i++)
        dkim_body_add(&hashes->items[i].body, bytes);
}

void
dkim_hashes_end(struct dkim_hashes *hashes)
{
    for (size_t i = 0; i < hashes->count; i++) {
        struct dkim_hash *hash = &hashes->items[i];
        dkim_body_end(&hash->body, hash->value);
        hash->is_short = hash->has_limit && dkim_body_is_short(&hash->body);
    }
}
