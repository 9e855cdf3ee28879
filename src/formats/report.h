/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report.h: what a message that came back says about one that we sent.
 *
 * Reports come as RFC 3464 has them (RFC 6533 for international mail), as plain words in the
 * fashion of each mail server, as complaints (ARF, RFC 5965), and between them lie answers of
 * programs that are no reports at all (RFC 3834).  report_read() takes the bytes of a message and
 * says which of these it is, what became of whom, and which of our messages it is about.
 *
 * It believes nothing about who wrote it: anybody can write such a message.  That a report is true
 * must come from elsewhere, such as a return path that only we could have made.
 *
 * Only REPORT_LOOKED_AT bytes are read, and each bound below is a number of things, so that the
 * work is linear in what is looked at.  Start reading at report_read() in report.c.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

enum {
    REPORT_LOOKED_AT = 512 * 1024,  /* Of the message. */
    REPORT_ARENA = 8 * 1024 * 1024, /* A ceiling that no message reaches. */
    REPORT_RECIPIENTS_MAX = 1000,
    REPORT_PARTS_MAX = 40,
    REPORT_DEPTH_MAX = 6,
    REPORT_TEXT_MAX = 1000, /* Of a diagnostic. */
    REPORT_IDS_MAX = 16,    /* Of Received: fields of the original. */
};

enum report_kind {
    REPORT_OTHER,      /* Nothing of all this: somebody wrote. */
    REPORT_FAILURE,    /* At least one recipient failed. */
    REPORT_DELAY,      /* It is being tried still. */
    REPORT_SUCCESS,    /* Delivered, relayed or expanded. */
    REPORT_FEEDBACK,   /* A complaint, or another ARF report. */
    REPORT_AUTO_REPLY, /* Out of the office and the like. */
    REPORT_CHALLENGE,  /* "Click here to prove that you are human." */
};

/* In which language it was said. */
enum report_form {
    REPORT_FORM_NONE,
    REPORT_FORM_FIELDS, /* message/delivery-status, message/global-delivery-status */
    REPORT_FORM_WORDS,  /* Plain words, or X-Failed-Recipients. */
    REPORT_FORM_ARF,    /* message/feedback-report */
};

enum report_action {
    REPORT_FAILED,
    REPORT_DELAYED,
    REPORT_DELIVERED,
    REPORT_RELAYED,
    REPORT_EXPANDED,
};

/* Texts are one line each, UTF-8 without controls. */
struct report_recipient {
    struct report_recipient *next;
    str original;      /* As we sent it (Original-Recipient), decoded; or empty. */
    str original_type; /* "rfc822", "utf-8"; or empty. */
    str final; /* Where it failed: an alias may have led there.  May be empty, may lack a domain. */
    enum report_action action;
    str status;    /* "5.1.1"; empty if none was said. */
    unsigned code; /* The SMTP reply, or 0. */
    str text;      /* The diagnostic; may be empty. */
    str remote;    /* Who said it: "mx.example.org"; may be empty. */
};

/* The fields of RFC 5965 3.1 and 3.2. */
struct report_feedback {
    str type;      /* "abuse", "not-spam", "opt-out"; lower case. */
    str mail_from; /* Original-Mail-From, without brackets. */
    str rcpt_to;   /* The first Original-Rcpt-To; all of them are among the recipients. */
    str user_agent;
    str reporting_mta;
    str reported_domain;
    str envid;
    bool has_source_ip;
    ipaddr source_ip;
    instant arrived_at; /* 0: not said. */
    uint64_t incidents; /* 1 if not said. */
};

struct report {
    enum report_kind kind;
    enum report_form form;
    struct report_recipient *recipients; /* In the order of the report. */
    size_t recipient_count;
    /* What ties it to a message; each may be empty. */
    str envid;               /* Original-Envelope-Id */
    str message_id;          /* "<1@example.org>" of the original, brackets and all. */
    str return_path;         /* The original's, without brackets. */
    str original_to;         /* The To: of the original, if it is one address. */
    str original_subject;    /* Decoded. */
    str ids[REPORT_IDS_MAX]; /* "id" of the original's Received: fields, the newest first. */
    size_t id_count;
    /* Of the report itself. */
    str subject; /* Decoded. */
    str from;    /* The address. */
    str to;      /* The address of the first To:. */
    str reporting_mta;
    struct report_feedback feedback; /* For REPORT_FEEDBACK. */
    bool is_cut;                     /* There was more than is looked at, or than a bound allows. */
};

/* Reads MESSAGE, header and all, lines ending in CRLF or LF; texts live in ARENA or in MESSAGE.
 * A message that cannot be read is REPORT_OTHER, not an error: ERR_LIMIT when ARENA (see
 * REPORT_ARENA) is too small. */
enum err report_read(str message, struct arena *arena, struct report *report);

/* The address that we sent to, as far as the report says: the original if it has a domain, else
 * the final. */
str report_address(const struct report_recipient *recipient);
const char *report_kind_name(enum report_kind kind);       /* "failure" */
const char *report_form_name(enum report_form form);       /* "fields" */
const char *report_action_name(enum report_action action); /* "failed" */
