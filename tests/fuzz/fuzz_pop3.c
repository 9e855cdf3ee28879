/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_pop3.c: command lines of POP3. */
#include "fuzz.h"

#include "protocols/pop3/command.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("USER ann@example.org"), S("PASS  a b "), S("TOP 1 10"), S("RETR 4294967295"), S("LIST"),
    S("AUTH SCRAM-SHA-256 biws"), S("UIDL 7"), S("GET / HTTP/1.1"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pop3_command command;
    struct pop3_auth auth;

    if (pop3_command_parse((str){ (const char *)data, size }, &command))
        return 0;
    must(!fuzz_has_line_end(command.args) && command.args.len <= size);
    must(!command.has_number || command.number > 0);
    if (command.verb == POP3_RETR || command.verb == POP3_DELE || command.verb == POP3_TOP)
        must(command.has_number);
    must(pop3_verb_name(command.verb));
    if (!pop3_auth_parse(command.args, &auth))
        must(auth.mechanism.len <= 20);
    return 0;
}
