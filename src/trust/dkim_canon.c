/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_canon.c: the simple form is the bytes as they stand, the relaxed one is made here. */
#include "trust/dkim_canon.h"

#include "base/must.h"

#include <openssl/evp.h>
#include <string.h>

void
dkim_canon_init(struct dkim_canon *canon, enum dkim_form form)
{
    canon->form = form;
    canon->staged_len = 0;
    canon->digest = EVP_MD_CTX_new();
    must(canon->digest && EVP_DigestInit_ex(canon->digest, EVP_sha256(), NULL) == 1);
}

void
dkim_canon_copy(struct dkim_canon *canon, const struct dkim_canon *from)
{
    canon->form = from->form;
    canon->staged_len = from->staged_len;
    memcpy(canon->staged, from->staged, from->staged_len);
    canon->digest = EVP_MD_CTX_new();
    must(canon->digest && EVP_MD_CTX_copy_ex(canon->digest, from->digest) == 1);
}

void
dkim_canon_done(struct dkim_canon *canon)
{
    EVP_MD_CTX_free(canon->digest);
    canon->digest = NULL;
}

static void
flush(struct dkim_canon *canon)
{
    must(EVP_DigestUpdate(canon->digest, canon->staged, canon->staged_len) == 1);
    canon->staged_len = 0;
}

static inline void
feed(struct dkim_canon *canon, str bytes)
{
    if (bytes.len > DKIM_STAGED_MAX - canon->staged_len)
        flush(canon);
    if (bytes.len > DKIM_STAGED_MAX) {
        must(EVP_DigestUpdate(canon->digest, bytes.ptr, bytes.len) == 1);
        return;
    }
    memcpy(canon->staged + canon->staged_len, bytes.ptr, bytes.len);
    canon->staged_len += bytes.len;
}

static inline bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 6376 3.4.2: lower-case name, unfolded value, runs of blanks as one, none at the ends. */
static void
feed_relaxed(struct dkim_canon *canon, str name, str value, bool end_line)
{
    bool blank = false;

    name = str_trim(name);
    for (size_t i = 0; i < name.len; i++)
        feed(canon, (str){ &(char){ ascii_lower(name.ptr[i]) }, 1 });
    feed(canon, S(":"));
    value = str_trim(value);
    for (size_t i = 0; i < value.len;) {
        size_t run = i;
        while (run < value.len && !is_blank(value.ptr[run]))
            run++;
        if (run > i) {
            if (blank)
                feed(canon, S(" "));
            feed(canon, (str){ value.ptr + i, run - i });
            blank = false;
            i = run;
        } else {
            blank = true;
            i++;
        }
    }
    if (end_line)
        feed(canon, S("\r\n"));
}

void
dkim_canon_field(struct dkim_canon *canon, const struct header_field *field)
{
    if (canon->form == DKIM_SIMPLE)
        feed(canon, field->raw);
    else
        feed_relaxed(canon, field->name, field->value, true);
}

void
dkim_canon_last(struct dkim_canon *canon, str written)
{
    str name, value;

    if (canon->form == DKIM_SIMPLE) {
        feed(canon, written);
        return;
    }
    str_split(written, ':', &name, &value);
    feed_relaxed(canon, name, value, false);
}

void
dkim_canon_end(struct dkim_canon *canon, uint8_t hash[DKIM_HASH_SIZE])
{
    flush(canon);
    must(EVP_DigestFinal_ex(canon->digest, hash, NULL) == 1);
}
