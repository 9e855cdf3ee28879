/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command_test.c: command lines, and the answers that broken ones get. */
#include "protocols/smtp/command.h"

#include "check.h"

static struct arena arena;

struct line_case {
    str line;
    enum smtp_verb verb;
    const char *args; /* NULL: the line is refused. */
    bool fits;
};

/* clang-format off */
static const struct line_case lines[] = {
    { S("EHLO client.example"), SMTP_EHLO, "client.example", true },
    { S("ehlo client.example  "), SMTP_EHLO, "client.example", true },
    { S("EHLO"), SMTP_EHLO, "", false },
    { S("MAIL FROM:<a@b>"), SMTP_MAIL, "FROM:<a@b>", true },
    { S("DATA"), SMTP_DATA, "", true },
    { S("DATA "), SMTP_DATA, "", true },
    { S("DATA x"), SMTP_DATA, "x", false },
    { S("RSET x"), SMTP_RSET, "x", false },
    { S("QUIT"), SMTP_QUIT, "", true },
    { S("NOOP some words"), SMTP_NOOP, "some words", true },
    { S("BDAT 10 LAST"), SMTP_BDAT, "10 LAST", true },
    { S("BDAT"), SMTP_BDAT, "", false },
    { S("STARTTLS now"), SMTP_STARTTLS, "now", false },
    { S("POST / HTTP/1.1"), SMTP_HTTP, "/ HTTP/1.1", true },
    { S("Host: 192.0.2.1"), SMTP_HTTP, "192.0.2.1", true },
    { S("XCLIENT ADDR=127.0.0.1"), SMTP_UNKNOWN, "ADDR=127.0.0.1", true },
    { S("DEBUG"), SMTP_UNKNOWN, "", true },
    { S(" QUIT"), SMTP_UNKNOWN, "QUIT", true },
    { S("MAILFROM:<a@b>"), SMTP_UNKNOWN, "", true },
    { S(""), SMTP_UNKNOWN, "", true },
    { S("RCPT TO:<alice@local\0@evil>"), 0, NULL },
    { S("MAIL FROM:<a>\rRCPT TO:<b>"), 0, NULL },
    { S("MAIL FROM:<a>\nRCPT TO:<b>"), 0, NULL },
    { S("EHLO a.test\tX: y"), 0, NULL },
    { S("EHLO \x01\x7f\xff"), 0, NULL },
    { S("NOOP \x7f"), 0, NULL },
    { S("NOOP \xc0\xaf"), 0, NULL },
};
/* clang-format on */

static void
a_line_becomes_verb_and_arguments(void)
{
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct smtp_command command;
        enum err e = smtp_command_parse(lines[i].line, &command);

        CHECK(!e == !!lines[i].args);
        if (e || !lines[i].args)
            continue;
        CHECK(command.verb == lines[i].verb);
        CHECK_STR(command.args, lines[i].args);
        CHECK(smtp_command_args_fit(&command) == lines[i].fits);
    }
    CHECK_STR(str_from(smtp_verb_name(SMTP_STARTTLS)), "STARTTLS");
    CHECK_STR(str_from(smtp_verb_name(SMTP_UNKNOWN)), "?");
}

struct fault_case {
    const char *args;
    unsigned code; /* 0: accepted. */
    const char *enhanced;
};

/* clang-format off */
static const struct fault_case mail_cases[] = {
    { "FROM:<>" },
    { "from:<ann@example.org>" },
    { "FROM: <ann@example.org>" },
    { "FROM:<ann@example.org>  SIZE=1000  BODY=8bitmime " },
    { "FROM:<ann@example.org> SIZE=18446744073709551615" },
    { "FROM:<ann@example.org> RET=HDRS ENVID=QQ314+2B159" },
    { "FROM:<ann@example.org> AUTH=<> SMTPUTF8" },
    { "FROM:<ann@example.org> AUTH=e+3Dmc2@example.com" },
    { "FROM:<j\xc3\xb6rg@example.org> SMTPUTF8" },
    { "FROM:<j\xc3\xb6rg@example.org>", 553, "5.6.7" },
    { "FROM:<ann@example.org> MT-PRIORITY=-9 BY=120;R HOLDFOR=1" },
    { "FROM:<ann@example.org> mt-priority=0 by=-120;nt holduntil=2026-11-26T22:05:56Z" },
    { "FROM:<ann@example.org> MT-PRIORITY=9 BY=+999999999;RT HOLDUNTIL=2026-11-26T22:05:56+01:00" },
    { "FROM:<ann@example.org> RequireTLS" },
    { "FROM:<ann@example.org> REQUIRETLS=", 501, "5.5.4" },
    { "FROM:<ann@example.org> REQUIRETLS=1", 501, "5.5.4" },
    { "FROM:<ann@example.org> REQUIRETLS REQUIRETLS", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=10", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=-0", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=+3", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=03", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=-", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY", 501, "5.5.4" },
    { "FROM:<ann@example.org> MT-PRIORITY=1 MT-PRIORITY=1", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=0;R", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=-5;R", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=120", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=;R", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=120;X", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=120;T", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=120;RTT", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=120;RN", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=1000000000;N", 501, "5.5.4" },
    { "FROM:<ann@example.org> BY=+-1;N", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=0", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=060", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=-60", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=1000000000", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=1h", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDUNTIL=tomorrow", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDUNTIL=2026-11-26", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDUNTIL=2026-13-26T22:05:56Z", 501, "5.5.4" },
    { "FROM:<ann@example.org> HOLDFOR=60 HOLDUNTIL=2026-11-26T22:05:56Z", 501, "5.5.4" },
    { "FROM:<ann@example.org> FOO=1", 555, "5.5.4" },
    { "FROM:<ann@example.org> NOTIFY=NEVER", 555, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=1 SIZE=2", 501, "5.5.4" },
    { "FROM:<ann@example.org> BODY=7BIT BODY=8BITMIME", 501, "5.5.4" },
    { "FROM:<ann@example.org> SMTPUTF8 smtputf8", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=-1", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=18446744073709551617", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=100000000000000000000000000", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=abc", 501, "5.5.4" },
    { "FROM:<ann@example.org> BODY=9BIT", 501, "5.5.4" },
    { "FROM:<ann@example.org> SMTPUTF8=1", 501, "5.5.4" },
    { "FROM:<ann@example.org> RET=X", 501, "5.5.4" },
    { "FROM:<ann@example.org> ENVID=a+0Ab", 501, "5.5.4" },
    { "FROM:<ann@example.org> ENVID=a+ZZ", 501, "5.5.4" },
    { "FROM:<ann@example.org> AUTH=a+0A@b", 501, "5.5.4" },
    { "FROM:<ann@example.org> AUTH=ann", 501, "5.5.4" },
    { "FROM:<ann@example.org> =1", 501, "5.5.4" },
    { "FROM:<ann@example.org> SIZE=1=2", 501, "5.5.4" },
    { "FROM:<ann@example.org>SIZE=1", 501, "5.1.7" },
    { "FROM:ann@example.org", 501, "5.1.7" },
    { "FROM:<ann@example.org", 501, "5.1.7" },
    { "FROM:", 501, "5.1.7" },
    { "FROM<ann@example.org>", 501, "5.5.4" },
    { "TO:<ann@example.org>", 501, "5.5.4" },
    { "", 501, "5.5.4" },
};

static const struct fault_case rcpt_cases[] = {
    { "TO:<ann@example.org>" },
    { "TO:<postmaster>" },
    { "TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;ann+2Bx@example.org" },
    { "TO:<ann@example.org> NOTIFY=NEVER" },
    { "TO:<>", 501, "5.1.3" },
    { "TO:<a@l>,<b@l>", 501, "5.1.3" },
    { "TO:<ann@example.org> NOTIFY=NEVER,SUCCESS", 501, "5.5.4" },
    { "TO:<ann@example.org> NOTIFY=SUCCESS,SUCCESS", 501, "5.5.4" },
    { "TO:<ann@example.org> NOTIFY=SUCCESS,", 501, "5.5.4" },
    { "TO:<ann@example.org> NOTIFY=", 501, "5.5.4" },
    { "TO:<ann@example.org> ORCPT=+ZZ", 501, "5.5.4" },
    { "TO:<ann@example.org> ORCPT=rfc822;a+0D+0AX-Inj:+20x", 501, "5.5.4" },
    { "TO:<ann@example.org> ORCPT=rfc822;", 501, "5.5.4" },
    { "TO:<ann@example.org> ORCPT=ann@example.org", 501, "5.5.4" },
    { "TO:<ann@example.org> SIZE=1", 555, "5.5.4" },
    { "TO:<ann@example.org> ORCPT=utf-8;j\xc3\xb6rg@example.org", 553, "5.6.7" },
    { "TO:<ann@b\xc3\xbc" "cher.example>", 553, "5.6.7" },
};
/* clang-format on */

static void
check_fault(const struct fault_case *c, enum err e, const struct smtp_fault *fault)
{
    if (!e != !c->code)
        printf("%s\n", c->args);
    CHECK(!e == !c->code);
    if (!e || !c->code)
        return;
    if (fault->code != c->code)
        printf("%s: %u\n", c->args, fault->code);
    CHECK(fault->code == c->code);
    CHECK_STR(str_from(fault->enhanced), c->enhanced);
    CHECK(fault->text && *fault->text);
}

static void
broken_mail_and_rcpt_get_their_answers(void)
{
    for (size_t i = 0; i < COUNT_OF(mail_cases); i++) {
        struct smtp_mail mail;
        struct smtp_fault fault = {};

        check_fault(&mail_cases[i],
                    smtp_mail_parse(str_from(mail_cases[i].args), &arena, &mail, &fault), &fault);
    }
    for (size_t i = 0; i < COUNT_OF(rcpt_cases); i++) {
        struct smtp_rcpt rcpt;
        struct smtp_fault fault = {};

        check_fault(&rcpt_cases[i],
                    smtp_rcpt_parse(str_from(rcpt_cases[i].args), false, &arena, &rcpt, &fault),
                    &fault);
    }
}

static void
parameters_are_read(void)
{
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct smtp_fault fault;

    CHECK(smtp_mail_parse(S("FROM:<a@b> SIZE=1234 BODY=8BITMIME RET=FULL ENVID=x+2By AUTH=c@d"),
                          &arena, &mail, &fault) == OK);
    CHECK_STR(mail.from.local, "a");
    CHECK(mail.has_size && mail.size == 1234);
    CHECK(mail.body == SMTP_BODY_8BITMIME && mail.ret == RETURN_FULL && !mail.smtputf8);
    CHECK_STR(mail.envid, "x+y");
    CHECK(mail.has_auth && mail.has_parameters);
    CHECK_STR(mail.auth.domain, "d");
    CHECK(smtp_mail_parse(S("FROM:<a@b> MT-PRIORITY=-4 BY=-30;NT HOLDFOR=3600"), &arena, &mail,
                          &fault) == OK);
    CHECK(mail.has_priority && mail.priority == -4 && mail.hold_for == HOURS(1));
    CHECK(mail.by.mode == SMTP_BY_NOTIFY && mail.by.trace && mail.by.seconds == -30);
    CHECK(smtp_mail_parse(S("FROM:<a@b> HOLDUNTIL=1970-01-02T00:00:01Z"), &arena, &mail, &fault) ==
          OK);
    CHECK(mail.hold_until == DAYS(1) + SECONDS(1) && !mail.by.mode && !mail.has_priority);
    CHECK(smtp_mail_parse(S("FROM:<>"), &arena, &mail, &fault) == OK);
    CHECK(address_is_null(&mail.from) && !mail.has_parameters && !mail.has_size);

    CHECK(smtp_rcpt_parse(S("TO:<a@b> NOTIFY=delay,FAILURE ORCPT=rfc822;A@B"), false, &arena, &rcpt,
                          &fault) == OK);
    CHECK(rcpt.notify == (NOTIFY_DELAY | NOTIFY_FAILURE));
    CHECK_STR(rcpt.orcpt, "rfc822;A@B");
    CHECK(smtp_rcpt_parse(S("TO:<j\xc3\xb6@b> ORCPT=utf-8;j\\x{F6}@b"), true, &arena, &rcpt,
                          &fault) == OK);
    CHECK(rcpt.to.is_utf8);
}

static void
memory_for_a_transaction_is_bounded(void)
{
    struct arena small;
    struct smtp_mail mail;
    struct smtp_fault fault;

    arena_init(&small, 48);
    CHECK(smtp_mail_parse(S("FROM:<a@b> ENVID=12345678901234567890"), &small, &mail, &fault) ==
          ERR_LIMIT);
    CHECK(fault.code == 452);
    arena_done(&small);
}

static void
a_chunk_size_is_a_plain_number(void)
{
    struct smtp_bdat bdat;

    CHECK(smtp_bdat_parse(S("1000"), &bdat) == OK && bdat.size == 1000 && !bdat.last);
    CHECK(smtp_bdat_parse(S("0 LAST"), &bdat) == OK && bdat.size == 0 && bdat.last);
    CHECK(smtp_bdat_parse(S("5  last"), &bdat) == OK && bdat.last);
    CHECK(smtp_bdat_parse(S(""), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("-1"), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("abc"), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("18446744073709551615"), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("0x10"), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("5 LASTX"), &bdat) == ERR_SYNTAX);
    CHECK(smtp_bdat_parse(S("5 LAST LAST"), &bdat) == ERR_SYNTAX);
}

static void
auth_names_a_mechanism_and_may_answer_at_once(void)
{
    struct smtp_auth auth;

    CHECK(smtp_auth_parse(S("PLAIN"), &auth) == OK && !auth.has_initial);
    CHECK_STR(auth.mechanism, "PLAIN");
    CHECK(smtp_auth_parse(S("SCRAM-SHA-256 biws"), &auth) == OK && auth.has_initial);
    CHECK_STR(auth.initial, "biws");
    CHECK(smtp_auth_parse(S("EXTERNAL ="), &auth) == OK && auth.has_initial);
    CHECK_STR(auth.initial, "");
    CHECK(smtp_auth_parse(S(""), &auth) == ERR_SYNTAX);
    CHECK(smtp_auth_parse(S("PLAIN=x"), &auth) == ERR_SYNTAX);
    CHECK(smtp_auth_parse(S("PLAIN a b"), &auth) == ERR_SYNTAX);
    CHECK(smtp_auth_parse(S("A-NAME-OF-21-LETTERS-X"), &auth) == ERR_SYNTAX);
}

static void
a_sloppy_helo_name_is_taken_and_told(void)
{
    str name;
    bool proper;

    CHECK(smtp_helo_parse(S("mx.example.org"), &name, &proper) == OK && proper);
    CHECK(smtp_helo_parse(S("[192.0.2.1]"), &name, &proper) == OK && proper);
    CHECK(smtp_helo_parse(S("192.0.2.1"), &name, &proper) == OK && !proper);
    CHECK(smtp_helo_parse(S("my(pc)"), &name, &proper) == OK && !proper);
    CHECK(smtp_helo_parse(S("b\xc3\xbc"
                            "cher.example"),
                          &name, &proper) == OK &&
          proper);
    CHECK(smtp_helo_parse(S("a b"), &name, &proper) == ERR_SYNTAX);
    CHECK(smtp_helo_parse(S(""), &name, &proper) == ERR_SYNTAX);
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(a_line_becomes_verb_and_arguments);
    RUN(broken_mail_and_rcpt_get_their_answers);
    RUN(parameters_are_read);
    RUN(memory_for_a_transaction_is_bounded);
    RUN(a_chunk_size_is_a_plain_number);
    RUN(auth_names_a_mechanism_and_may_answer_at_once);
    RUN(a_sloppy_helo_name_is_taken_and_told);
    arena_done(&arena);
    return check_end();
}
