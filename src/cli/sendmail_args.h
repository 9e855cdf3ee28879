/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_args.h: the command line that cron, mailx and PHP have used for forty years.
 *
 * Pure: words in, meaning out.  Flags that have no meaning here are taken and ignored, flags that
 * ask for something that we do not do are refused, so that nobody believes that it happened.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "mail/envelope.h"

enum sendmail_mode {
    SENDMAIL_SEND,       /* A message on stdin. */
    SENDMAIL_SMTP,       /* -bs: SMTP on stdin and stdout. */
    SENDMAIL_LIST_QUEUE, /* -bp, mailq */
    SENDMAIL_FLUSH,      /* -q */
    SENDMAIL_ALIASES,    /* -bi, -I, newaliases */
};

enum {
    SENDMAIL_RECIPIENTS_MAX = 10000
};

struct sendmail_args {
    enum sendmail_mode mode;
    bool from_headers; /* -t: recipients stand in To, Cc and Bcc. */
    bool keep_dots;    /* -i: a lone dot does not end the message. */
    bool has_from;     /* -f was given; from may be empty then: the null reverse-path. */
    str from;
    str full_name;          /* -F */
    str envid;              /* -V */
    enum body_type body;    /* -B */
    enum dsn_return ret;    /* -R */
    bool require_tls;       /* -O RequireTLS: RFC 8689. */
    uint8_t notify;         /* -N; NOTIFY_* */
    const char *config;     /* -C, or NULL */
    const char *queue_word; /* What follows -q: "Rexample.org", or "". */
    str *recipients;        /* As given: lists with commas are one. */
    size_t recipient_count;
};

/* ARGV[0] says what is meant too: "mailq", "newaliases".  ERR_SYNTAX: WHY tells (exit EX_USAGE). */
enum err sendmail_parse(int argc, char **argv, struct arena *arena, struct sendmail_args *args,
                        struct why *why);
