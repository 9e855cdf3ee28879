/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_key.h: the inside of a key, for the files of DKIM alone. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "trust/dkim_sign.h"

#include <openssl/evp.h>

struct dkim_key {
    EVP_PKEY *pkey;
    bool is_rsa;
};

void dkim_add_base64(struct buf *buf, str bytes);
