/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_message.h: the message that `outpost test send` sends. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"

struct test_message_options {
    str from;
    const str *to;
    size_t to_count;
    str subject;
    str body;      /* Empty: a text of our own. */
    str helo_name; /* For the Message-ID. */
    str server;
    uint64_t size; /* The message is filled up to it; 0: as it is. */
    instant now;
    uint64_t unique;
};

/* A whole message with CRLF. */
void test_message_write(const struct test_message_options *options, struct buf *out);
/* TEXT with every line end as CRLF, and one at its end. */
void test_message_crlf(str text, struct buf *out);
