/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_socks5.c: what a SOCKS5 proxy answers is measured before it is read, and read within that.
 */
#include "fuzz.h"

#include "runtime/egress.h"

#include <string.h>

/* clang-format off */
const str fuzz_seeds[] = {
    S("\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x19"), S("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"),
    S("\x05\x00\x00\x04" "\x20\x01\x0d\xb8" "\x00\x00\x00\x00" "\x00\x00\x00\x00" "\x00\x00\x00\x01" "\x12\x34"),
    S("\x05\x00\x00\x03\x09localhost\x00\x19"), S("\x04\x5a\x00\x00\x00"), S("\x05\x00\x00\x03\x00\x00\x00"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct endpoint bound;
    uint8_t code;
    size_t reply_size;
    enum err e;

    if (size < SOCKS5_REPLY_HEAD || socks5_reply_size(input, &reply_size))
        return 0;
    must(reply_size <= SOCKS5_REPLY_MAX);
    if (reply_size > size)
        return 0;
    socks5_reply_parse(str_head(input, reply_size), &code, &bound);
    must(socks5_reply_text(code, &e)[0]);
    must((e == OK) == (code == 0));
    return 0;
}
