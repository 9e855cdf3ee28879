/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_canon.h: header fields in canonical form, on their way into a digest.  RFC
 * 6376 3.4.1, 3.4.2.
 *
 * Signers and verifiers, of DKIM and of ARC, give the fields in the order in which they are signed
 * and last the field that holds the signature, whose b= is empty and whose line end does not count.
 * A call of the digest costs more than a word of text, so words are collected.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "formats/header.h"
#include "trust/dkim_sign.h"

struct dkim_canon {
    void *digest; /* EVP_MD_CTX, of SHA-256 */
    enum dkim_form form;
    size_t staged_len;
    char staged[DKIM_STAGED_MAX];
};

void dkim_canon_init(struct dkim_canon *canon, enum dkim_form form);
/* Goes on from where FROM stands, which stays as it is. */
void dkim_canon_copy(struct dkim_canon *canon, const struct dkim_canon *from);
void dkim_canon_done(struct dkim_canon *canon); /* A zeroed one is fine. */
void dkim_canon_field(struct dkim_canon *canon, const struct header_field *field);
/* The signature's own field, WRITTEN up to its b= or with what follows that; without its line end.
 */
void dkim_canon_last(struct dkim_canon *canon, str written);
void dkim_canon_end(struct dkim_canon *canon, uint8_t hash[DKIM_HASH_SIZE]);
