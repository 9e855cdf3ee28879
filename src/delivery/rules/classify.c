/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* classify.c: the names of the classes. */
#include "delivery/rules/classify.h"

static const char *const names[CLASS_COUNT] = {
    [CLASS_NONE] = "",
    [CLASS_INVALID_RECIPIENT] = "invalid_recipient",
    [CLASS_INACTIVE_MAILBOX] = "inactive_mailbox",
    [CLASS_BAD_DOMAIN] = "bad_domain",
    [CLASS_MAILBOX_FULL] = "mailbox_full",
    [CLASS_MESSAGE_TOO_LARGE] = "message_too_large",
    [CLASS_CONTENT_POLICY] = "content_policy",
    [CLASS_SPAM_BLOCK] = "spam_block",
    [CLASS_IP_OR_DOMAIN_BLOCK] = "ip_or_domain_block",
    [CLASS_AUTH_FAIL] = "auth_fail",
    [CLASS_RATE_LIMITED] = "rate_limited",
    [CLASS_GREYLISTED] = "greylisted",
    [CLASS_TLS_POLICY] = "tls_policy",
    [CLASS_DNS_FAILURE] = "dns_failure",
    [CLASS_NO_ANSWER] = "no_answer",
    [CLASS_PROTOCOL_ERROR] = "protocol_error",
    [CLASS_LOOP] = "loop",
    [CLASS_EXPIRED] = "expired",
};

const char *reply_class_name(enum reply_class class)
{
    return names[class];
}

bool
reply_class_is_dead(enum reply_class class)
{
    return class == CLASS_INVALID_RECIPIENT || class == CLASS_INACTIVE_MAILBOX;
}

bool
reply_class_parse(str name, enum reply_class *class)
{
    for (size_t i = 1; i < CLASS_COUNT; i++)
        if (str_eq(name, str_from(names[i]))) {
            *class = (enum reply_class)i;
            return true;
        }
    return false;
}
