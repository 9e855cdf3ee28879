/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* classify.h: what a reply means, in one of seventeen words.
 *
 * Which reply has which class, say the rules of delivery/rules/shaping.h.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum reply_class {
    CLASS_NONE,               /* A success, or nothing is known. */
    CLASS_INVALID_RECIPIENT,
    CLASS_INACTIVE_MAILBOX,
    CLASS_BAD_DOMAIN,
    CLASS_MAILBOX_FULL,
    CLASS_MESSAGE_TOO_LARGE,
    CLASS_CONTENT_POLICY,
    CLASS_SPAM_BLOCK,
    CLASS_IP_OR_DOMAIN_BLOCK,
    CLASS_AUTH_FAIL,          /* SPF, DKIM, DMARC. */
    CLASS_RATE_LIMITED,
    CLASS_GREYLISTED,
    CLASS_TLS_POLICY,
    CLASS_DNS_FAILURE,
    CLASS_NO_ANSWER,
    CLASS_PROTOCOL_ERROR,
    CLASS_LOOP,
    CLASS_EXPIRED,
    CLASS_COUNT
};

const char *reply_class_name(enum reply_class class); /* "invalid_recipient"; "" for CLASS_NONE. */
/* There is no such mailbox, or it is shut for good.  Nothing that is about us, or passes. */
bool reply_class_is_dead(enum reply_class class);
bool reply_class_parse(str name, enum reply_class *class);
