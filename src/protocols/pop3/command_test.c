/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command_test.c: POP3 command lines. */
#include "protocols/pop3/command.h"

#include "check.h"

struct line_case {
    str line;
    bool fails;
    enum pop3_verb verb;
    const char *args;
    uint32_t number;
    uint32_t lines;
};

/* clang-format off */
static const struct line_case lines[] = {
    { S("USER ann@example.org"), false, POP3_USER, "ann@example.org" },
    { S("user  ann "), false, POP3_USER, "ann" },
    { S("PASS  two  blanks "), false, POP3_PASS, " two  blanks " },
    { S("PASS w\xc3\xb6rd"), false, POP3_PASS, "w\xc3\xb6rd" },
    { S("STAT"), false, POP3_STAT, "" },
    { S("STAT "), false, POP3_STAT, "" },
    { S("LIST"), false, POP3_LIST, "" },
    { S("LIST 2"), false, POP3_LIST, "2", 2 },
    { S("uidl 4294967295"), false, POP3_UIDL, "4294967295", 4294967295 },
    { S("RETR 1"), false, POP3_RETR, "1", 1 },
    { S("TOP 1 0"), false, POP3_TOP, "1 0", 1, 0 },
    { S("TOP 3  10"), false, POP3_TOP, "3  10", 3, 10 },
    { S("AUTH"), false, POP3_AUTH, "" },
    { S("AUTH PLAIN AGE="), false, POP3_AUTH, "PLAIN AGE=" },
    { S("GET / HTTP/1.1"), false, POP3_HTTP, "/ HTTP/1.1" },
    { S("XTND"), false, POP3_UNKNOWN, "" },
    { S(""), false, POP3_UNKNOWN, "" },
    { S("USER"), true, POP3_USER, "" },
    { S("PASS"), true, POP3_PASS, "" },
    { S("STAT 1"), true, POP3_STAT, "1" },
    { S("QUIT now"), true, POP3_QUIT, "now" },
    { S("RETR"), true, POP3_RETR, "" },
    { S("RETR 0"), true, POP3_RETR, "0" },
    { S("RETR -1"), true, POP3_RETR, "-1" },
    { S("RETR 4294967296"), true, POP3_RETR, "4294967296" },
    { S("RETR 1 2"), true, POP3_RETR, "1 2" },
    { S("RETR 1x"), true, POP3_RETR, "1x" },
    { S("TOP 1"), true, POP3_TOP, "1" },
    { S("TOP 1 -1"), true, POP3_TOP, "1 -1" },
    { S("TOP 1 2 3"), true, POP3_TOP, "1 2 3" },
    { S("LIST x"), true, POP3_LIST, "x" },
    { S("STAT\0"), true, POP3_UNKNOWN, "" },
    { S("USER a\tb"), true, POP3_UNKNOWN, "" },
    { S("USER a\r"), true, POP3_UNKNOWN, "" },
    { S("USER \xff"), true, POP3_UNKNOWN, "" },
};
/* clang-format on */

static void
a_line_becomes_verb_and_arguments(void)
{
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct pop3_command command;
        enum err e = pop3_command_parse(lines[i].line, &command);

        CHECK(!!e == lines[i].fails);
        CHECK(command.verb == lines[i].verb);
        CHECK_STR(command.args, lines[i].args);
        if (e)
            continue;
        CHECK(command.number == lines[i].number);
        CHECK(command.has_number == (lines[i].number > 0));
        CHECK(command.lines == lines[i].lines);
    }
    CHECK_STR(str_from(pop3_verb_name(POP3_UIDL)), "UIDL");
}

static void
auth_names_a_mechanism_or_asks(void)
{
    struct pop3_auth auth;

    CHECK(pop3_auth_parse(S(""), &auth) == OK && auth.mechanism.len == 0);
    CHECK(pop3_auth_parse(S("PLAIN"), &auth) == OK && !auth.has_initial);
    CHECK(pop3_auth_parse(S("PLAIN ="), &auth) == OK && auth.has_initial && !auth.initial.len);
    CHECK(pop3_auth_parse(S("PLAIN AGE="), &auth) == OK);
    CHECK_STR(auth.initial, "AGE=");
    CHECK(pop3_auth_parse(S("PLAIN a b"), &auth) == ERR_SYNTAX);
    CHECK(pop3_auth_parse(S("PL*IN"), &auth) == ERR_SYNTAX);
}

int
main(void)
{
    RUN(a_line_becomes_verb_and_arguments);
    RUN(auth_names_a_mechanism_or_asks);
    return check_end();
}
