/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_sign.h: DKIM signatures, made.  RFC 6376, RFC 8463.
 *
 * The body is hashed as it streams by, once for all signatures with the same canonicalization; a
 * signature is then a function of that hash and the header section.  Fields that must not be added behind
 * the signer's back are signed once more often than they occur (oversigning, RFC 6376 8.15).
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum dkim_form { DKIM_SIMPLE, DKIM_RELAXED };
enum { DKIM_HASH_SIZE = 32, DKIM_FIELD_MAX = 4096, DKIM_STAGED_MAX = 1024 };

/* The body's hash, streamed.  The struct may be copied only before the first byte. */
struct dkim_body {
    void *digest;         /* EVP_MD_CTX */
    enum dkim_form form;
    uint64_t left;        /* Bytes in canonical form that still count. */
    uint64_t blank_lines; /* CRLFs held back: only those before more text count. */
    bool any;             /* Something that counts was hashed. */
    bool in_line;         /* The current line has text. */
    bool blank;           /* Relaxed: blanks held back. */
    bool held_cr;
    size_t staged_len;    /* Short pieces on their way to the digest. */
    char staged[DKIM_STAGED_MAX];
};

void dkim_body_init(struct dkim_body *body, enum dkim_form form);
void dkim_body_done(struct dkim_body *body);
/* Before the first byte: only LIMIT bytes of the canonical form count (l=). */
void dkim_body_limit(struct dkim_body *body, uint64_t limit);
/* After the end: the body has fewer bytes than the limit. */
bool dkim_body_is_short(const struct dkim_body *body);
/* BYTES after the empty line that ends the header section, in any pieces. */
void dkim_body_add(struct dkim_body *body, str bytes);
void dkim_body_end(struct dkim_body *body, uint8_t hash[DKIM_HASH_SIZE]);

struct dkim_key;

/* Makes a key: "rsa" (2048 bits) or "ed25519".  The caller writes it with dkim_key_save(). */
enum err dkim_key_new(str algorithm, struct dkim_key **key, struct why *why);
/* PEM files; a file that others can read is refused with ERR_REFUSED. */
enum err dkim_key_load(const char *path, struct dkim_key **key, struct why *why);
enum err dkim_key_save(const struct dkim_key *key, const char *path, struct why *why); /* 0600, new files only. */
void dkim_key_free(struct dkim_key *key);
const char *dkim_key_algorithm(const struct dkim_key *key); /* "rsa" or "ed25519" */
/* The TXT record's text: "v=DKIM1; k=rsa; p=...". */
enum err dkim_key_record(const struct dkim_key *key, struct buf *record);

struct dkim_options {
    str domain;             /* d=, A-labels. */
    str selector;           /* s= */
    enum dkim_form header;
    enum dkim_form body;
    instant signed_at;      /* t=; 0: none. */
    instant expires_at;     /* x=; 0: none. */
    const str *fields;      /* Names to sign where they occur; NULL: the usual ones. */
    size_t field_count;
    const str *oversigned;  /* Names to sign once more than they occur; NULL: the usual ones. */
    size_t oversigned_count;
};

/* The fields of a message that are signed, chosen and hashed: for all signatures of it that differ
 * in nothing but their keys.  ERR_SYNTAX when HEADER, the section as it will leave, without or with
 * its empty line, has no From, or From is not among the fields; ERR_LIMIT when it repeats too many.
 * The section holds no view of HEADER, but of the names in OPTIONS. */
struct dkim_section;
enum err dkim_section_new(const struct dkim_options *options, str header,
                          struct dkim_section **section);
void dkim_section_free(struct dkim_section *section); /* NULL is fine. */
/* As dkim_sign(). */
enum err dkim_sign_section(const struct dkim_key *key, const struct dkim_options *options,
                           const struct dkim_section *section,
                           const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field);

/* Appends one "DKIM-Signature: ..." field, folded, with its CRLF.  HEADER is the section as it will leave, without
 * or with its empty line.  ERR_SYNTAX when it has no From; ERR_LIMIT; ERR_IO when OpenSSL fails. */
enum err dkim_sign(const struct dkim_key *key, const struct dkim_options *options, str header,
                   const uint8_t body_hash[DKIM_HASH_SIZE], struct buf *field);
