/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_send.h: the daily reports about TLS, on their way.
 *
 * When the day of UTC is over, and a delay that differs from server to server, each domain that was
 * counted is asked for its record (RFC 8460 3).  One that has none is forgotten.  Each place that a
 * record names gets the report once: by mail, which is signed and goes through the queue like any
 * other, or by a POST.  What fails is tried again for a day and then dropped, with an event.
 *
 * A report is marked before it leaves and again when it has left.  After a crash between the two a
 * mail is looked for in the spool and in the events, by its id, so that it does not go twice; a
 * POST is done again, under the same report-id.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "delivery/secure/tls_reports.h"

struct config;
struct keyring;
struct queue;
struct stream;
struct tls_context;

/* Who reports. */
struct tls_identity {
    str from;      /* "tlsrpt@here.example" */
    str submitter; /* Its domain. */
    str organization;
    str contact;
    bool signs; /* A DKIM key signs for it: else nothing goes by mail (RFC 8460 3). */
};
/* In ARENA.  ERR_LIMIT. */
enum err tls_identity_of(const struct config *config, struct keyring *keyring, struct arena *arena,
                         struct tls_identity *identity);
/* The report of DOMAIN. */
WAITS enum err tls_report_format(struct tls_reports *reports, const struct tls_identity *identity,
                                 const struct tls_domain *domain, struct arena *arena,
                                 struct buf *json);

/* A fiber: does all that is due, until cancelled.  The queue outlives it. */
WAITS void tls_reports_send_run(void *queue);

/* tls_reports_post.c.  One report to a web server.  OK: it has it, and ANSWER says how; else ANSWER
 * says why not.  Addresses of private networks only with PRIVATE. */
struct tls_posting {
    const struct tlsrpt_rua *rua;
    str gzip;
    struct tls_context *context;
    bool private;
    duration timeout;
};
enum {
    TLS_POSTING_TEXT_MAX = 400
};
WAITS enum err tls_report_post(const struct tls_posting *posting, struct arena *arena,
                               char answer[TLS_POSTING_TEXT_MAX]);
