/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_unsubscribe.c: no bytes are a token but those that we made, and a body says one click only
 * if the words stand in it. */
#include "fuzz.h"

#include "accounts/unsubscribe.h"
#include "runtime/clock.h"
#include "trust/token.h"

#include <stdlib.h>
#include <unistd.h>

/* clang-format off */
const str fuzz_seeds[] = {
    S("application/x-www-form-urlencoded\nList-Unsubscribe=One-Click"),
    S("multipart/form-data; boundary=\"X1\"\n--X1\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\""
      "\r\n\r\nOne-Click\r\n--X1--\r\n"),
    S("multipart/form-data; boundary=\n--\r\n"), S("\na=b&List-Unsubscribe=One-Click"),
    S("aeqgaeqgaeqgaeqgaeqgaeqgaeqgaeqgaeqgaeqgaeqgaeqg"), S(""),
};
FUZZ_SEEDS_END;
/* clang-format on */

static struct secrets *
make_secrets(void)
{
    static struct secrets *secrets;
    char path[] = "/tmp/fuzz-secrets-XXXXXX";
    int fd;

    if (secrets)
        return secrets;
    fd = mkstemp(path);
    must(fd >= 0);
    close(fd);
    (void)unlink(path);
    must(secrets_open(path, clock_now(), &secrets, NULL) == OK);
    (void)unlink(path);
    return secrets;
}

static void
check_own_token(str input, struct arena *arena)
{
    struct unsubscribe what = { .scope = S("news@here.example"), .list = str_head(input, 40) };
    struct unsubscribe read;
    struct buf token;

    what.recipient = str_skip(input, 40);
    buf_init(&token, 2 * UNSUBSCRIBE_TOKEN_MAX);
    if (str_find(input, '\0') < 0 &&
        unsubscribe_token(make_secrets(), &what, clock_now(), &token) == OK) {
        must(token.len <= UNSUBSCRIBE_TOKEN_MAX && str_is_printable(buf_str(&token)));
        must(unsubscribe_read(make_secrets(), buf_str(&token), clock_now(), arena, &read) == OK);
        must(str_eq(read.list, what.list) && str_eq(read.recipient, what.recipient));
    }
    buf_done(&token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct unsubscribe what;
    struct arena arena;
    str type, body;

    arena_init(&arena, 1 << 20);
    if (str_split(input, '\n', &type, &body) && unsubscribe_is_one_click(type, body))
        must(str_find_str(body, S("One-Click")) >= 0 && body.len <= UNSUBSCRIBE_BODY_MAX);
    must(unsubscribe_read(make_secrets(), input, clock_now(), &arena, &what) != OK);
    check_own_token(input, &arena);
    arena_done(&arena);
    return 0;
}
