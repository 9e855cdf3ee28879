/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_body.c: the hash of a body in canonical form.  RFC 6376 3.4.3 and 3.4.4.
 *
 * Both forms ignore empty lines at the end, so line ends are held back until text follows; the relaxed
 * form also folds blanks within a line and drops them at its end, so blanks are held back too.
 */
#include "trust/dkim_sign.h"

#include "base/must.h"

#include <openssl/evp.h>
#include <string.h>

void
dkim_body_init(struct dkim_body *body, enum dkim_form form)
{
    *body = (struct dkim_body){ .form = form, .left = UINT64_MAX, .digest = EVP_MD_CTX_new() };
    must(body->digest && EVP_DigestInit_ex(body->digest, EVP_sha256(), NULL) == 1);
}

void
dkim_body_done(struct dkim_body *body)
{
    EVP_MD_CTX_free(body->digest);
    body->digest = NULL;
}

void
dkim_body_limit(struct dkim_body *body, uint64_t limit)
{
    body->left = limit;
}

bool
dkim_body_is_short(const struct dkim_body *body)
{
    return body->left > 0;
}

static void
update(struct dkim_body *body, const char *bytes, size_t len)
{
    len = (size_t)MIN((uint64_t)len, body->left);
    must(EVP_DigestUpdate(body->digest, bytes, len) == 1);
    body->left -= len;
}

static void
flush(struct dkim_body *body)
{
    update(body, body->staged, body->staged_len);
    body->staged_len = 0;
}

/* A call of the digest costs more than a word of text: words are collected. */
static inline void
hash(struct dkim_body *body, const char *bytes, size_t len)
{
    if (len > DKIM_STAGED_MAX - body->staged_len)
        flush(body);
    if (len > DKIM_STAGED_MAX) {
        update(body, bytes, len);
        return;
    }
    memcpy(body->staged + body->staged_len, bytes, len);
    body->staged_len += len;
}

/* Text follows: what was held back counts after all. */
static inline void
release(struct dkim_body *body)
{
    for (; body->blank_lines; body->blank_lines--)
        hash(body, "\r\n", 2);
    if (body->blank)
        hash(body, " ", 1);
    body->blank = false;
    body->any = true;
    body->in_line = true;
}

static void
end_line(struct dkim_body *body)
{
    body->blank_lines++;
    body->in_line = false;
    body->blank = false;
}

/* What is not hashed as it is. */
static const bool specials[][256] = {
    [DKIM_SIMPLE] = { ['\r'] = true, ['\n'] = true },
    [DKIM_RELAXED] = { ['\r'] = true, ['\n'] = true, [' '] = true, ['\t'] = true },
};

/* Hashes plain text at the front, as much as is staged at once; returns its length.  What BODY has
 * is read before the loop: for the compiler each byte that is stored could change it. */
static inline size_t
add_plain(struct dkim_body *body, const bool *special, str bytes)
{
    char *staged;
    size_t room, len = 0;

    if (body->staged_len == DKIM_STAGED_MAX)
        flush(body);
    staged = body->staged + body->staged_len;
    room = MIN(bytes.len, DKIM_STAGED_MAX - body->staged_len);
    while (len < room && !special[(unsigned char)bytes.ptr[len]]) {
        staged[len] = bytes.ptr[len];
        len++;
    }
    body->staged_len += len;
    return len;
}

/* One byte that is no plain text. */
static inline void
add_special(struct dkim_body *body, char c)
{
    if (body->held_cr) {
        body->held_cr = false;
        if (c == '\n') {
            end_line(body);
            return;
        }
        release(body);
        hash(body, "\r", 1);
    }
    if (c == '\r') {
        body->held_cr = true;
    } else if (c == '\n') {
        release(body);
        hash(body, "\n", 1);
    } else {
        body->blank = true;
    }
}

void
dkim_body_add(struct dkim_body *body, str bytes)
{
    const bool *special = specials[body->form];

    while (bytes.len) {
        if (special[(unsigned char)bytes.ptr[0]]) {
            add_special(body, bytes.ptr[0]);
            bytes = str_skip(bytes, 1);
            continue;
        }
        if (body->held_cr) {
            body->held_cr = false;
            release(body);
            hash(body, "\r", 1);
        }
        release(body);
        bytes = str_skip(bytes, add_plain(body, special, bytes));
    }
}

void
dkim_body_end(struct dkim_body *body, uint8_t digest[DKIM_HASH_SIZE])
{
    /* An empty body is one CRLF in the simple form and nothing in the relaxed one; a last line without
     * its end gets one. */
    if (body->any || body->form == DKIM_SIMPLE)
        hash(body, "\r\n", 2);
    flush(body);
    must(EVP_DigestFinal_ex(body->digest, digest, NULL) == 1);
}
