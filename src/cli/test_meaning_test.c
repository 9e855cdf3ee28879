/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_meaning_test.c: what people read when a test mail fails. */
#include "cli/test_meaning.h"

#include "check.h"

struct meaning_case {
    struct test_failure failure;
    const char *meaning; /* Its beginning. */
    const char *cure;    /* A part of it. */
};

/* clang-format off */
static const struct meaning_case cases[] = {
    { { TEST_MAIL, OK, 555, "5.5.4", "Unsupported option: REQUIRETLS", false }, "The server does not know REQUIRETLS", "--require-tls" },
    { { TEST_LOOKUP, ERR_NOT_FOUND, 0, "", "no such name", false }, "There is no host", "spelling" },
    { { TEST_CONNECT, ERR_TIMEOUT, 0, "", "", false }, "Nothing answers", "465" },
    { { TEST_CONNECT, ERR_REFUSED, 0, "", "", false }, "The host is there", "--port" },
    { { TEST_TLS, ERR_TLS, 0, "", "the handshake failed: wrong version number", true }, "This port does not begin with TLS", "--type smtp" },
    { { TEST_TLS, ERR_TLS, 0, "", "certificate verify failed: hostname mismatch", false }, "The certificate is for another name", "--sni" },
    { { TEST_TLS, ERR_TLS, 0, "", "certificate has expired", true }, "The server's certificate is not valid any more", "renew" },
    { { TEST_GREETING, ERR_TIMEOUT, 0, "", "", false }, "The server says nothing", "smtps" },
    { { TEST_GREETING, OK, 554, "5.7.1", "go away", false }, "The server does not talk", "blocklist" },
    { { TEST_EHLO, OK, 501, "", "bad name", false }, "The server does not like", "--helo" },
    { { TEST_STARTTLS, ERR_TLS, 0, "", "the server does not offer STARTTLS", false }, "The server offers no encryption", "smtps" },
    { { TEST_AUTH, OK, 535, "5.7.8", "bad credentials", true }, "The server is fine", "--user" },
    { { TEST_AUTH, OK, 534, "5.7.9", "application-specific password required", true }, "The server wants another way", "app password" },
    { { TEST_AUTH, OK, 454, "4.7.0", "later", true }, "The server cannot check logins now", "Wait" },
    { { TEST_AUTH, ERR_TLS, 0, "", "", false }, "Without encryption", "--tls" },
    { { TEST_MAIL, OK, 530, "5.7.0", "authentication required", false }, "The server wants a login", "--user" },
    { { TEST_MAIL, OK, 553, "5.7.1", "Sender address rejected: not owned by user", true }, "This user may not send", "--from" },
    { { TEST_MAIL, OK, 552, "5.3.4", "too big", true }, "The message is too large", "SIZE" },
    { { TEST_RCPT, OK, 554, "5.7.1", "Relay access denied", false }, "The server only forwards", "--user" },
    { { TEST_RCPT, OK, 550, "5.1.1", "no such user", false }, "There is no such recipient", "--to" },
    { { TEST_RCPT, OK, 451, "4.7.1", "greylisted", false }, "Not now", "10 minutes" },
    { { TEST_RCPT, OK, 550, "5.4.5", "daily limit", true }, "The account has sent all", "when" },
    { { TEST_ACCEPTED, OK, 554, "5.7.1", "spam", true }, "The server looked at the message", "SPF" },
    { { TEST_DATA, ERR_CLOSED, 0, "", "", true }, "The server hung up", "--verbose" },
    { { TEST_RCPT, OK, 421, "4.3.2", "closing", true }, "The server ended", "Try again" },
    { { TEST_RCPT, OK, 999, "", "what", true }, "The server answered what it must not", "--verbose" },
};
/* clang-format on */

static void
each_failure_has_its_meaning_and_its_cure(void)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct test_meaning meaning = test_meaning(&cases[i].failure);

        if (!str_starts(str_from(meaning.meaning), str_from(cases[i].meaning)))
            printf("case %zu: \"%s\"\n", i, meaning.meaning);
        CHECK(str_starts(str_from(meaning.meaning), str_from(cases[i].meaning)));
        CHECK(str_find_str(str_from(meaning.cure), str_from(cases[i].cure)) >= 0);
    }
}

static void
no_stage_is_without_words(void)
{
    for (int stage = 0; stage < TEST_STAGE_COUNT; stage++) {
        for (int e = OK; e <= ERR_UNSUPPORTED; e++) {
            struct test_failure failure = { (enum test_stage)stage, (enum err)e, 0, "", "", false };
            struct test_meaning meaning = test_meaning(&failure);

            CHECK(meaning.meaning && meaning.meaning[0] && meaning.cure && meaning.cure[0]);
        }
        CHECK(test_stage_name((enum test_stage)stage)[0]);
    }
}

int
main(void)
{
    RUN(each_failure_has_its_meaning_and_its_cure);
    RUN(no_stage_is_without_words);
    return check_end();
}
