/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* reply.h: SMTP replies: reading a server's, line by line, and writing our own.
 *
 * What a server says is kept for humans and reports: cleaned of control characters, and
 * bounded; lines past the bound are counted and dropped.  RFC 5321 4.2, RFC 2034; the list of
 * extensions RFC 5321 4.1.1.1, RFC 9422 (LIMITS).
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/enhanced.h"

enum {
    SMTP_REPLY_LINES_KEPT = 100,
    SMTP_REPLY_BYTES_KEPT = 8192,
    SMTP_REPLY_LINES_MAX = 1000, /* A reply that does not end here never ends. */
    SMTP_REPLY_LINE_MAX = 2048,  /* For stream_read_line(); RFC 5321 4.5.3.1.5 has 512. */
    SMTP_REPLY_WIRE_LINE = 512,  /* Ours, with CRLF. */
};

struct smtp_reply {
    unsigned code; /* 0 until the first line. */
    struct enhanced enhanced;
    struct buf text; /* The lines without their codes, "\n" between them. */
    unsigned lines;
    bool complete;
    bool is_cut; /* Lines were dropped. */
};

void smtp_reply_init(struct smtp_reply *reply);
void smtp_reply_done(struct smtp_reply *reply);
/* Empty again, for the next reply. */
void smtp_reply_clear(struct smtp_reply *reply);

/* Takes one line, with or without its line end; `complete` is set by the last one.  ERR_SYNTAX when
 * it is no reply line, or its first digit is not that of the line before; ERR_LIMIT after
 * SMTP_REPLY_LINES_MAX. */
enum err smtp_reply_add_line(struct smtp_reply *reply, str line);
str smtp_reply_text(const struct smtp_reply *reply);
/* "550 5.1.1 No such user": in one line, for logs and Diagnostic-Code. */
void smtp_reply_format(const struct smtp_reply *reply, struct buf *buf);

/* Our reply on the wire: TEXT is broken at "\n" and at blanks, so that no line passes 512 bytes;
 * ENHANCED may be NULL.  Controls become "?", and so do bytes beyond ASCII unless UTF8. */
void smtp_reply_write(unsigned code, const char *enhanced, str text, bool utf8, struct buf *buf);

enum smtp_mechanism {
    SMTP_MECHANISM_PLAIN = 1 << 0,
    SMTP_MECHANISM_LOGIN = 1 << 1,
    SMTP_MECHANISM_CRAM_MD5 = 1 << 2,
    SMTP_MECHANISM_SCRAM_SHA_1 = 1 << 3,
    SMTP_MECHANISM_SCRAM_SHA_1_PLUS = 1 << 4,
    SMTP_MECHANISM_SCRAM_SHA_256 = 1 << 5,
    SMTP_MECHANISM_SCRAM_SHA_256_PLUS = 1 << 6,
    SMTP_MECHANISM_EXTERNAL = 1 << 7,
    SMTP_MECHANISM_XOAUTH2 = 1 << 8,
    SMTP_MECHANISM_OAUTHBEARER = 1 << 9,
    SMTP_MECHANISM_OTHER = 1 << 15,
};

/* What a server offers. */
struct smtp_capabilities {
    bool pipelining;
    bool eightbitmime;
    bool smtputf8;
    bool chunking;
    bool binarymime;
    bool dsn;
    bool starttls;
    bool enhancedstatuscodes;
    bool requiretls;
    bool mt_priority;
    bool deliverby;
    bool has_size;
    bool has_auth;
    uint64_t size;       /* 0: no fixed limit. */
    unsigned mechanisms; /* enum smtp_mechanism. */
    uint64_t rcpt_max;   /* LIMITS: 0 when unstated. */
    uint64_t mail_max;
    uint64_t rcptdomain_max;
    uint64_t deliverby_min; /* Seconds; 0 when unstated. */
    char name[256]; /* The server's name for itself. */
};

/* From the complete 250 of EHLO. */
void smtp_capabilities_parse(const struct smtp_reply *reply,
                             struct smtp_capabilities *capabilities);
/* The bit of a name such as "SCRAM-SHA-256", in any case; SMTP_MECHANISM_OTHER for an unknown one.
 */
unsigned smtp_mechanism_from_name(str name);
