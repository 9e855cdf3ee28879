/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_dns_update.c: no bytes are taken for the signed answer to an update of ours. */
#include "fuzz.h"

#include "runtime/dns_ask.h"
#include "runtime/dns_update.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("\x12\x34\xa8\5\0\0\0\0\0\0\0\0"),
    S("\x12\x34\xa8\x09\0\0\0\0\0\0\0\1\1k\7example\0\0\xfa\0\xff\0\0\0\0\0\x1d"
      "\13hmac-sha256\0\0\0\x69\x27\x94\x80\1\x2c\0\0\x12\x34\0\x11\0\0"),
    S("\x12\x34\xa8\0\0\1\0\1\0\0\0\1\7example\3org\0\0\6\0\1\xc0\x0c\0\x10\0\1\0\0\0\0\0\4\3abc"
      "\1k\7example\0\0\xfa\0\xff\0\0\0\0\0\x3d\13hmac-sha256\0\0\0\x69\x27\x94\x80\1\x2c\0\x20"
      "0123456789abcdef0123456789abcdef\x12\x34\0\0\0\0"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tsig_key key = { .name = "k.example", .secret = "x", .secret_size = 1 };
    static const struct dns_update update = { S("example.org"), S("a.example.org"), S("text"), 60 };
    const instant now = SECONDS(1764201600LL);
    struct tsig_sent sent;
    struct buf message;
    struct why why = { "" };
    enum err e;

    buf_init(&message, DNS_MESSAGE_MAX);
    e = dns_update_encode(&update, &key, 0x1234, now, &message, &sent);
    must(!e);
    e = dns_update_check((str){ (const char *)data, size }, &sent, &key, now, &why);
    must(e && why.text[0]);
    buf_done(&message);
    return 0;
}
