/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_address.c: what is taken as an address can be written and taken again, and names one
 * mailbox. */
#include "fuzz.h"

#include "formats/address.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("<ann@example.org> SIZE=1"), S("<@a,@b.c:\"q \\\" x\"@d>"), S("<>"), S("<postmaster>"),
    S("<x@[IPv6:2001:db8::1]>"), S("j\xc3\xb6rg@b\xc3\xbc" "cher.example"), S("a.b+c@[192.0.2.1]"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
examine(const struct address *address, struct arena *arena)
{
    struct address again, canonical, twice;
    str text;

    must(address->local.len <= ADDRESS_LOCAL_MAX && address->domain.len <= DOMAIN_MAX);
    must(address_text(address, arena, &text));
    must(!fuzz_has_line_end(text) && text.len <= ADDRESS_TEXT_MAX && str_is_utf8(text));
    if (address->domain.len == 0)
        return;
    must(address_parse(text, arena, &again) == OK);
    must(str_eq(again.local, address->local) && address_eq(&again, address));
    if (address_canonical(address, arena, &canonical))
        return;
    must(str_is_ascii(canonical.domain));
    must(address_canonical(&canonical, arena, &twice) == OK);
    must(str_eq(twice.local, canonical.local) && str_eq(twice.domain, canonical.domain));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct address address;
    struct arena arena;
    str rest;

    arena_init(&arena, 1 << 16);
    if (!address_parse(input, &arena, &address))
        examine(&address, &arena);
    for (int kind = ADDRESS_REVERSE_PATH; kind <= ADDRESS_FORWARD_PATH; kind++) {
        if (address_parse_path(input, (enum address_path)kind, &arena, &address, &rest))
            continue;
        must(rest.len < size && (rest.len == 0 || rest.ptr[0] == ' '));
        examine(&address, &arena);
    }
    (void)domain_is_valid(input);
    arena_done(&arena);
    return 0;
}
