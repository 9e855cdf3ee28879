/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_tlsrpt.c: any TXT record gives places that can be written to, or none. */
#include "fuzz.h"

#include "formats/address.h"
#include "trust/tlsrpt.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("v=TLSRPTv1;rua=mailto:reports@example.com"),
    S("v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt,mailto:a%21b@example.com ; x=y;"),
    S("v=TLSRPTv1;rua=https://a.example:8443?q#f,https://,mailto:,mailto:%,,;"),
    S("v=TLSRPTv1 ;rua=mailto:a@[192.0.2.1]?subject=x"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_place(const struct tlsrpt_rua *rua, struct arena *arena)
{
    struct address address;

    must(rua->uri.len <= TLSRPT_URI_MAX);
    must(!rua->address.len != !rua->host.len);
    if (rua->address.len) {
        must(address_parse(rua->address, arena, &address) == OK && address.domain.len);
    } else {
        must(domain_is_valid(rua->host) && rua->port);
        must(str_starts(rua->target, S("/")) && str_is_printable(rua->target));
        must(str_find(rua->target, ' ') < 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct tlsrpt_record record;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    if (!tlsrpt_parse(input, &arena, &record)) {
        must(tlsrpt_is_record(input) && record.count <= TLSRPT_RUA_MAX);
        for (size_t i = 0; i < record.count; i++)
            check_place(&record.rua[i], &arena);
    }
    arena_done(&arena);
    return 0;
}
