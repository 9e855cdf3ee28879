/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_return_address.c: local parts of what comes back: of any bytes none is taken that we did not
 * make, and what we make of any sender leads back to him. */
#include "fuzz.h"

#include "delivery/returns/return_path.h"
#include "delivery/returns/srs.h"
#include "formats/address.h"
#include "formats/base32.h"
#include "store/temp_dir.h"
#include "trust/token.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    S("BOUNCE-ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLM"),
    S("SRS0=abcdefgh=AB=example.net=ann"), S("SRS1=abcdefgh=first.example==ABCD=EF=a.example=bob"),
    S("SRS0+ABCD=EF=a.example=bob"), S("ann@example.net"), S("SRS0=x=y=a.example=b@first.example"),
    S("SRS1=x=first.example==y=z=a.example=b@second.example"), S("\"a b\"@example.net"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static const instant now = SECONDS(1764201600LL);

/* Keys that no input knows. */
static struct secrets *
open_keys(void)
{
    static struct secrets *secrets;
    struct temp_dir dir;
    struct why why;

    if (secrets)
        return secrets;
    temp_dir_make(&dir);
    must(secrets_open(temp_dir_file(&dir, "secrets"), now, &secrets, &why) == OK);
    temp_dir_remove(&dir);
    return secrets;
}

static void
there_and_back(struct secrets *secrets, str input, struct arena *arena)
{
    struct address sender, made;
    str text, original, back;

    if (address_parse(input, arena, &sender) ||
        srs_rewrite(secrets, &sender, S("here.example"), now, arena, &text))
        return;
    must(!fuzz_has_line_end(text) && address_parse(text, arena, &made) == OK);
    must(made.local.len <= SRS_LOCAL_MAX && srs_is_one(made.local));
    if (srs_is_one(sender.local))
        return; /* Perhaps of no address that we could write. */
    must(srs_back(secrets, made.local, now, arena, &back) == OK);
    must(address_text(&sender, arena, &original) && str_eq(back, original));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secrets *secrets = open_keys();
    str input = { (const char *)data, size };
    struct return_path path;
    uint8_t bytes[64];
    struct arena arena;
    str original;
    size_t len;

    arena_init(&arena, 1 << 16);
    must(return_path_read(secrets, input, now, DAYS(14), &path) != OK);
    must(srs_back(secrets, input, now, &arena, &original) != OK);
    must(token_open(secrets, TOKEN_UNSUBSCRIBE, input, bytes, sizeof(bytes), &len) != OK);
    if (!base32_decode(input, bytes, sizeof(bytes), &len)) {
        struct buf again;
        buf_init(&again, 2 * size + 8);
        base32_encode((str){ (const char *)bytes, len }, &again);
        must(str_eq_nocase(buf_str(&again), input));
        buf_done(&again);
    }
    there_and_back(secrets, input, &arena);
    arena_done(&arena);
    return 0;
}
