/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* classify.c: two tables, phrases and codes, and the walk through them.  Start at reply_classify(). */
#include "delivery/classify.h"

struct code_rule {
    str enhanced; /* Without the class digit: "1.1" of 4.1.1 and 5.1.1. */
    enum reply_class class;
};

struct phrase_rule {
    str phrase;   /* Anywhere in the text, any case. */
    enum reply_class class;
    char kind;    /* '4', '5', or 0 for both. */
};

/* clang-format off */
static const struct code_rule code_rules[] = {
    { { "1.1", 3 },  CLASS_INVALID_RECIPIENT },  /* Bad destination mailbox address. */
    { { "1.2", 3 },  CLASS_BAD_DOMAIN },         /* Bad destination system address. */
    { { "1.3", 3 },  CLASS_INVALID_RECIPIENT },  /* Bad syntax. */
    { { "1.4", 3 },  CLASS_INVALID_RECIPIENT },  /* Ambiguous. */
    { { "1.6", 3 },  CLASS_INACTIVE_MAILBOX },   /* Has moved. */
    { { "1.7", 3 },  CLASS_AUTH_FAIL },          /* Bad sender's address syntax. */
    { { "1.8", 3 },  CLASS_AUTH_FAIL },          /* Bad sender's system address. */
    { { "1.10", 4 }, CLASS_BAD_DOMAIN },         /* Null MX. */
    { { "2.0", 3 },  CLASS_INACTIVE_MAILBOX },
    { { "2.1", 3 },  CLASS_INACTIVE_MAILBOX },   /* Disabled. */
    { { "2.2", 3 },  CLASS_MAILBOX_FULL },
    { { "2.3", 3 },  CLASS_MESSAGE_TOO_LARGE },
    { { "3.1", 3 },  CLASS_NO_ANSWER },          /* System full. */
    { { "3.2", 3 },  CLASS_RATE_LIMITED },       /* System not accepting. */
    { { "3.4", 3 },  CLASS_MESSAGE_TOO_LARGE },
    { { "4.1", 3 },  CLASS_NO_ANSWER },
    { { "4.2", 3 },  CLASS_NO_ANSWER },
    { { "4.3", 3 },  CLASS_DNS_FAILURE },
    { { "4.4", 3 },  CLASS_DNS_FAILURE },
    { { "4.5", 3 },  CLASS_RATE_LIMITED },
    { { "4.6", 3 },  CLASS_LOOP },
    { { "4.7", 3 },  CLASS_EXPIRED },
    { { "5.0", 3 },  CLASS_PROTOCOL_ERROR },
    { { "5.1", 3 },  CLASS_PROTOCOL_ERROR },
    { { "5.2", 3 },  CLASS_PROTOCOL_ERROR },
    { { "5.3", 3 },  CLASS_RATE_LIMITED },       /* Too many recipients. */
    { { "5.4", 3 },  CLASS_PROTOCOL_ERROR },
    { { "6.0", 3 },  CLASS_CONTENT_POLICY },
    { { "6.1", 3 },  CLASS_CONTENT_POLICY },
    { { "6.7", 3 },  CLASS_PROTOCOL_ERROR },     /* Non-ASCII addresses are not taken. */
    { { "7.0", 3 },  CLASS_SPAM_BLOCK },
    { { "7.1", 3 },  CLASS_CONTENT_POLICY },
    { { "7.7", 3 },  CLASS_AUTH_FAIL },          /* Integrity. */
    { { "7.10", 4 }, CLASS_TLS_POLICY },
    { { "7.20", 4 }, CLASS_AUTH_FAIL },          /* RFC 7372: no passing DKIM. */
    { { "7.21", 4 }, CLASS_AUTH_FAIL },
    { { "7.22", 4 }, CLASS_AUTH_FAIL },
    { { "7.23", 4 }, CLASS_AUTH_FAIL },          /* SPF. */
    { { "7.24", 4 }, CLASS_AUTH_FAIL },
    { { "7.25", 4 }, CLASS_IP_OR_DOMAIN_BLOCK }, /* Reverse DNS. */
    { { "7.26", 4 }, CLASS_AUTH_FAIL },          /* Several checks failed; Google: unauthenticated. */
    { { "7.27", 4 }, CLASS_BAD_DOMAIN },         /* The sender's domain has a null MX. */
    { { "7.28", 4 }, CLASS_RATE_LIMITED },       /* Mail flood. */
    { { "7.29", 4 }, CLASS_AUTH_FAIL },          /* ARC. */
    { { "7.30", 4 }, CLASS_TLS_POLICY },         /* REQUIRETLS. */
    { { "7.606", 5 }, CLASS_IP_OR_DOMAIN_BLOCK },/* Microsoft: banned sending IP, 5.7.606 to 5.7.649. */
    { { "7.511", 5 }, CLASS_IP_OR_DOMAIN_BLOCK },
    { { "7.705", 5 }, CLASS_SPAM_BLOCK },        /* Microsoft: tenant over its limit. */
    { { "7.708", 5 }, CLASS_IP_OR_DOMAIN_BLOCK },
    { { "7.509", 5 }, CLASS_AUTH_FAIL },         /* Microsoft: DMARC. */
};

/* The first that holds wins: narrow ones stand before wide ones. */
static const struct phrase_rule phrase_rules[] = {
    /* Throttling. */
    { { "unusual rate", 12 },                   CLASS_RATE_LIMITED, 0 },       /* Google 4.7.28. */
    { { "rate limit", 10 },                     CLASS_RATE_LIMITED, 0 },
    { { "rate that prevents", 18 },             CLASS_RATE_LIMITED, 0 },       /* Google 4.2.1. */
    { { "too many messages", 17 },              CLASS_RATE_LIMITED, 0 },
    { { "too many connections", 20 },           CLASS_RATE_LIMITED, 0 },
    { { "too many concurrent", 19 },            CLASS_RATE_LIMITED, 0 },
    { { "too many recipients", 19 },            CLASS_RATE_LIMITED, 0 },
    { { "too many emails", 15 },                CLASS_RATE_LIMITED, 0 },
    { { "[TSS04]", 7 },                         CLASS_RATE_LIMITED, 0 },       /* Yahoo: unexpected volume. */
    { { "[TSS05]", 7 },                         CLASS_RATE_LIMITED, 0 },
    { { "TSS09", 5 },                           CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "TSS11", 5 },                           CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "exceeded the rate", 17 },              CLASS_RATE_LIMITED, 0 },
    { { "(S77714)", 8 },                        CLASS_RATE_LIMITED, 0 },       /* Microsoft. */
    { { "AS(4810)", 8 },                        CLASS_RATE_LIMITED, 0 },
    { { "has been temporarily rate limited", 33 }, CLASS_RATE_LIMITED, 0 },
    { { "quota exceeded for sending", 26 },     CLASS_RATE_LIMITED, 0 },
    { { "daily message quota", 19 },            CLASS_RATE_LIMITED, 0 },
    { { "throttl", 7 },                         CLASS_RATE_LIMITED, 0 },
    { { "slow down", 9 },                       CLASS_RATE_LIMITED, 0 },
    /* Greylisting. */
    { { "greylist", 8 },                        CLASS_GREYLISTED, '4' },
    { { "graylist", 8 },                        CLASS_GREYLISTED, '4' },
    { { "grey listed", 11 },                    CLASS_GREYLISTED, '4' },
    { { "postgrey", 8 },                        CLASS_GREYLISTED, '4' },
    /* Signatures and policies of the sender. */
    { { "dmarc", 5 },                           CLASS_AUTH_FAIL, 0 },
    { { "spf check", 9 },                       CLASS_AUTH_FAIL, 0 },
    { { "spf fail", 8 },                        CLASS_AUTH_FAIL, 0 },
    { { "does not pass spf", 17 },              CLASS_AUTH_FAIL, 0 },
    { { "unauthenticated", 15 },                CLASS_AUTH_FAIL, 0 },
    { { "authentication checks", 21 },          CLASS_AUTH_FAIL, 0 },
    { { "dkim", 4 },                            CLASS_AUTH_FAIL, 0 },
    /* Lists of addresses and names. */
    { { "S3150", 5 },                           CLASS_IP_OR_DOMAIN_BLOCK, 0 }, /* Microsoft block list. */
    { { "S3140", 5 },                           CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "spamhaus", 8 },                        CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "spamcop", 7 },                         CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "barracudacentral", 16 },               CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "[CS01]", 6 },                          CLASS_IP_OR_DOMAIN_BLOCK, 0 }, /* Apple. */
    { { "[HM07]", 6 },                          CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "proofpoint.com/", 15 },                CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "dnsbl", 5 },                           CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "block list", 10 },                     CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "blocklist", 9 },                       CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "blocked using", 13 },                  CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "poor reputation", 15 },                CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "low reputation", 14 },                 CLASS_IP_OR_DOMAIN_BLOCK, 0 }, /* Google 5.7.1. */
    { { "bad reputation", 14 },                 CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "ptr record", 10 },                     CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "reverse dns", 11 },                    CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "reverse hostname", 16 },               CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    { { "banned sending ip", 17 },              CLASS_IP_OR_DOMAIN_BLOCK, 0 },
    /* What the message is. */
    { { "likely unsolicited", 18 },             CLASS_SPAM_BLOCK, 0 },         /* Google 5.7.1. */
    { { "unsolicited", 11 },                    CLASS_SPAM_BLOCK, 0 },
    { { "spam", 4 },                            CLASS_SPAM_BLOCK, 0 },
    { { "user complaints", 15 },                CLASS_SPAM_BLOCK, 0 },         /* Yahoo. */
    { { "virus", 5 },                           CLASS_CONTENT_POLICY, 0 },
    { { "malware", 7 },                         CLASS_CONTENT_POLICY, 0 },
    { { "security issue", 14 },                 CLASS_CONTENT_POLICY, 0 },     /* Google 5.7.0: attachment. */
    { { "content rejected", 16 },               CLASS_CONTENT_POLICY, 0 },
    { { "attachment", 10 },                     CLASS_CONTENT_POLICY, '5' },
    /* The mailbox. */
    { { "mailbox full", 12 },                   CLASS_MAILBOX_FULL, 0 },
    { { "mailbox is full", 15 },                CLASS_MAILBOX_FULL, 0 },
    { { "over quota", 10 },                     CLASS_MAILBOX_FULL, 0 },
    { { "overquota", 9 },                       CLASS_MAILBOX_FULL, 0 },
    { { "out of storage", 14 },                 CLASS_MAILBOX_FULL, 0 },
    { { "quota exceeded", 14 },                 CLASS_MAILBOX_FULL, 0 },
    { { "inactive", 8 },                        CLASS_INACTIVE_MAILBOX, 0 },
    { { "account is disabled", 19 },            CLASS_INACTIVE_MAILBOX, 0 },
    { { "has been disabled", 17 },              CLASS_INACTIVE_MAILBOX, 0 },
    { { "suspended", 9 },                       CLASS_INACTIVE_MAILBOX, 0 },
    { { "user unknown", 12 },                   CLASS_INVALID_RECIPIENT, 0 },
    { { "unknown user", 12 },                   CLASS_INVALID_RECIPIENT, 0 },
    { { "no such user", 12 },                   CLASS_INVALID_RECIPIENT, 0 },
    { { "does not exist", 14 },                 CLASS_INVALID_RECIPIENT, '5' },
    { { "doesn't have a", 14 },                 CLASS_INVALID_RECIPIENT, '5' },/* Yahoo. */
    { { "mailbox unavailable", 19 },            CLASS_INVALID_RECIPIENT, '5' },
    { { "recipient rejected", 18 },             CLASS_INVALID_RECIPIENT, '5' },
    { { "recipient address rejected", 26 },     CLASS_INVALID_RECIPIENT, '5' },
    { { "message too large", 17 },              CLASS_MESSAGE_TOO_LARGE, 0 },
    { { "size limit", 10 },                     CLASS_MESSAGE_TOO_LARGE, 0 },
    { { "exceeds maximum", 15 },                CLASS_MESSAGE_TOO_LARGE, 0 },
    /* The road. */
    { { "too many hops", 13 },                  CLASS_LOOP, 0 },
    { { "mail loop", 9 },                       CLASS_LOOP, 0 },
    { { "loops back", 10 },                     CLASS_LOOP, 0 },
    { { "starttls", 8 },                        CLASS_TLS_POLICY, 0 },
    { { "tls required", 12 },                   CLASS_TLS_POLICY, 0 },
    { { "certificate", 11 },                    CLASS_TLS_POLICY, 0 },
    { { "relay", 5 },                           CLASS_CONTENT_POLICY, '5' },
};
/* clang-format on */

static enum reply_class
by_phrase(char kind, str text)
{
    for (size_t i = 0; i < COUNT_OF(phrase_rules); i++) {
        const struct phrase_rule *rule = &phrase_rules[i];
        if ((!rule->kind || rule->kind == kind) && str_find_nocase(text, rule->phrase) >= 0)
            return rule->class;
    }
    return CLASS_NONE;
}

static enum reply_class
by_enhanced(str enhanced)
{
    str detail = str_skip(enhanced, 2);

    for (size_t i = 0; i < COUNT_OF(code_rules); i++)
        if (str_eq(code_rules[i].enhanced, detail))
            return code_rules[i].class;
    return CLASS_NONE;
}

/* What is left when neither a phrase nor an enhanced code is known.  RFC 5321 4.2.3. */
static enum reply_class
by_code(uint16_t code)
{
    switch (code) {
    case 0:
    case 421:
        return CLASS_NO_ANSWER;
    case 450:
        return CLASS_GREYLISTED;
    case 452:
        return CLASS_RATE_LIMITED;
    case 550:
    case 551:
    case 553:
        return CLASS_INVALID_RECIPIENT;
    case 552:
        return CLASS_MAILBOX_FULL;
    case 556:
        return CLASS_BAD_DOMAIN;
    default:
        return code >= 500 && code < 510 ? CLASS_PROTOCOL_ERROR : CLASS_NO_ANSWER;
    }
}

enum reply_class
reply_classify(uint16_t code, str enhanced, str text)
{
    enum reply_class class;
    char kind = code >= 500 ? '5' : '4';

    if (code >= 200 && code < 400)
        return CLASS_NONE;
    class = by_phrase(kind, text);
    if (class == CLASS_NONE)
        class = by_enhanced(enhanced);
    return class == CLASS_NONE ? by_code(code) : class;
}

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

const char *
reply_class_name(enum reply_class class)
{
    return names[class];
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
