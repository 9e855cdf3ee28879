/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_meaning.h: what a failed test mail means, and what to change, in plain words. */
#pragma once

#include "base/base.h"
#include "base/err.h"

/* Where it failed, in the order of the conversation. */
enum test_stage {
    TEST_LOOKUP,
    TEST_CONNECT,
    TEST_GREETING,
    TEST_EHLO,
    TEST_STARTTLS,
    TEST_TLS,
    TEST_CERTIFICATE,
    TEST_AUTH,
    TEST_MAIL,
    TEST_RCPT,
    TEST_DATA,
    TEST_ACCEPTED,
    TEST_STAGE_COUNT,
};

/* "look up", "connect", ... */
const char *test_stage_name(enum test_stage stage);

struct test_failure {
    enum test_stage stage;
    enum err e;           /* OK when the server said no. */
    unsigned code;        /* Of the server's reply; 0: none came. */
    const char *enhanced; /* "5.7.8", or "" */
    const char *text;     /* Of the reply, or our own reason. */
    bool implicit_tls;    /* --type smtps */
};

struct test_meaning {
    const char *meaning;
    const char *cure;
};

/* The first rule that fits; there is always one. */
struct test_meaning test_meaning(const struct test_failure *failure);
