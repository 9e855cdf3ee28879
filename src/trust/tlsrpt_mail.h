/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt_mail.h: a report about TLS as a message (RFC 8460 5.3), and what its file is called (5.1).
 * Pure. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct tlsrpt_mail {
    str from;       /* "tlsrpt@here.example" */
    str to;         /* As the record names it. */
    str domain;     /* Reported about. */
    str submitter;  /* Our domain. */
    str report_id;  /* "01JD…@here.example"; left of the "@" letters and digits only. */
    str message_id; /* "01JD…@mx.here.example" */
    instant begin;  /* Wall clock. */
    instant end;
    instant now;
    uint64_t succeeded; /* For the human who reads along. */
    uint64_t failed;
    str gzip;
};
enum {
    TLSRPT_MAIL_MAX = 8 << 20
};

/* "here.example!far.example!1780000000!1780086399!01JD….json.gz" */
void tlsrpt_file_name(const struct tlsrpt_mail *mail, struct buf *buf);
/* The message in CRLF lines, all of it ASCII.  ERR_LIMIT. */
enum err tlsrpt_mail_format(const struct tlsrpt_mail *mail, struct buf *buf);
