/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_key.h: the inside of a key, for the files of DKIM alone. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "trust/dkim_sign.h"

#include <openssl/evp.h>

enum {
    DKIM_KEY_SIGNATURE_MAX = 1024
};

struct dkim_key {
    EVP_PKEY *pkey;
    bool is_rsa;
};

/* Blocks the thread: an RSA-2048 signature takes 0.3 ms, with 4096 bits 5 ms.  ERR_IO when OpenSSL
 * fails. */
enum err dkim_key_sign(const struct dkim_key *key, const uint8_t hash[DKIM_HASH_SIZE],
                       unsigned char signature[DKIM_KEY_SIGNATURE_MAX], size_t *size);
void dkim_add_base64(struct buf *buf, str bytes);
