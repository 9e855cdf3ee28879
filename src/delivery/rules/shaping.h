/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* shaping.h: what receivers are known to want, and what their replies make us do.
 *
 * The rules are text: those that we ship (receivers.conf beside shaping.c, inside the binary) and
 * those of delivery.rules_file, which have the last word.  They name providers (by MX host or by
 * recipient domain) with their pace, and rules for replies: from code, enhanced code and phrase to
 * a class, and from there to what is done.  The grammar is in shaping_parse.c and in
 * outpost-rules(5).
 *
 * A snapshot is immutable and shared by reference, as a configuration is.  Judging costs at most
 * SHAPING_RULES_MAX looks at SHAPING_TEXT_MAX bytes, and waits for nothing.  Start reading at
 * shaping_judge().
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "delivery/rules/classify.h"
#include "delivery/schedule/pace.h"

struct config;
struct config_problems;
struct shaping;

/* clang-format off */
enum {
    SHAPING_FILE_MAX = 1 << 20,   /* Bytes of a rules file. */
    SHAPING_RULES_MAX = 4096,     /* Rules for replies, of both files together. */
    SHAPING_PROVIDERS_MAX = 1024,
    SHAPING_PATTERNS_MAX = 8192,  /* MX patterns and domains of all providers. */
    SHAPING_PHRASE_MAX = 200,     /* Bytes. */
    SHAPING_PIECES_MAX = 6,       /* Of a phrase, between its stars. */
    SHAPING_TEXT_MAX = 512,       /* More of a reply is not looked at. */
};
/* clang-format on */

/* The shortest and the longest time that a reply may name. */
#define SHAPING_NAMED_MIN SECONDS(30)
#define SHAPING_NAMED_MAX HOURS(6)

enum shaping_site_action {
    SITE_NOTHING,
    SITE_SLOW,           /* Fewer connections, a lower rate. */
    SITE_BACK_OFF,       /* Nothing at all for a while. */
    SITE_SUSPEND_SENDER, /* Nothing of this sender to this provider for a while. */
};
const char *shaping_site_action_name(enum shaping_site_action action); /* "back_off"; "" */

/* Read only. */
struct shaping_provider {
    str name; /* With a NUL behind. */
    struct pace pace;
    struct shaping_provider_body *body;
};

struct shaping_rule;

/* What a reply means, and what is done about it. */
struct shaping_verdict {
    enum reply_class class;
    const struct shaping_rule *rule; /* NULL: none fits, the code alone decided. */
    bool is_providers;               /* The rule is the provider's, not everybody's. */
    bool bounces;                    /* The recipient has failed; otherwise it is tried again: */
    bool bounce_said;                /* By a rule or a class, not by the code. */
    duration retry_after;            /* not before this time; 0: when the schedule says. */
    bool retry_named;                /* The reply itself named that time. */
    bool next_host;                  /* The next host may know better, now. */
    enum shaping_site_action site;
    duration site_for; /* SLOW: 0, unless the reply named a time. */
};

/* The shipped rules and those of the file at PATH; "" or NULL: no file.  Reads it, and so blocks.
 * What is wrong stands in PROBLEMS, as for config_load(). */
enum err shaping_load(const char *path, struct shaping **shaping, struct config_problems *problems);
/* Those of CONFIG, with the first problem in WHY. */
enum err shaping_of(const struct config *config, struct shaping **shaping, struct why *why);
/* The same from OWN, a text that would stand in a file. */
enum err shaping_parse(str own, struct shaping **shaping, struct config_problems *problems);
/* The shipped text. */
str shaping_shipped(void);
struct shaping *shaping_ref(const struct shaping *shaping);
void shaping_unref(const struct shaping *shaping); /* NULL is fine. */

/* Whose the hosts are, the best first, that take mail for DOMAIN (either may be unknown); NULL:
 * nobody's whom the rules know. */
const struct shaping_provider *shaping_provider_of(const struct shaping *shaping, const str *hosts,
                                                   size_t count, str domain);
const struct shaping_provider *shaping_provider_find(const struct shaping *shaping, str name);
/* Walks all: NULL begins. */
const struct shaping_provider *shaping_provider_next(const struct shaping *shaping,
                                                     const struct shaping_provider *at);

/* A reply that is not a success: CODE 0 when none came and TEXT is our own; ENHANCED like "5.1.1",
 * or empty; PROVIDER may be NULL. */
void shaping_judge(const struct shaping *shaping, const struct shaping_provider *provider,
                   uint16_t code, str enhanced, str text, struct shaping_verdict *verdict);

/* Where the rule stands: "receivers.conf:120", or "rules_file:7"; "" for NULL. */
void shaping_rule_place(const struct shaping_rule *rule, struct buf *out);
/* Its words, as in the file. */
void shaping_rule_format(const struct shaping_rule *rule, struct buf *out);

/* A time that TEXT says to wait ("try again in 300 seconds", "come back in 00:05:00"), within
 * SHAPING_NAMED_MIN and SHAPING_NAMED_MAX; 0: it names none. */
duration shaping_named_wait(str text);
