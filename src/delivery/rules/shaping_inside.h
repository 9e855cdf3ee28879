/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* shaping_inside.h: what shaping.c (judging) and shaping_parse.c (reading) share. */
#pragma once

#include "base/arena.h"
#include "delivery/rules/shaping.h"

struct shaping_pattern {
    struct shaping_pattern *next;
    str text; /* Lower case. */
};

/* "5.7.606-649": a range for each number. */
struct enhanced_pattern {
    uint16_t least[3], most[3];
};

enum recipient_action {
    RECIPIENT_BY_CODE, /* 4xx is tried again, 5xx has failed. */
    RECIPIENT_RETRY,
    RECIPIENT_BOUNCE,
};

/* Actions, of a rule or of a class. */
struct effect {
    bool is_said;
    bool next_host;
    enum recipient_action recipient;
    duration retry_after;
    enum shaping_site_action site;
    duration site_for;
};

struct shaping_rule {
    struct shaping_rule *next;
    bool is_own; /* Of the user's file. */
    bool is_providers;
    bool has_enhanced;
    unsigned line;
    uint16_t code_least, code_most;
    struct enhanced_pattern enhanced;
    str words;                      /* Of the statement, as written. */
    str pieces[SHAPING_PIECES_MAX]; /* Of the phrase, lower case; in this order. */
    unsigned piece_count;
    uint16_t probe; /* Of the last two bytes of a piece. */
    bool has_probe;
    enum reply_class class;
    struct effect effect;
};

/* Rules in the order in which they are tried. */
struct rule_list {
    struct shaping_rule *first;
    struct shaping_rule **end;
};

enum rule_layer {
    LAYER_OWN,
    LAYER_SHIPPED,
    LAYER_COUNT
};

struct shaping_provider_body {
    struct shaping_provider *next;
    struct shaping_pattern *mx[LAYER_COUNT];
    struct shaping_pattern *domains[LAYER_COUNT];
    struct rule_list rules[LAYER_COUNT];
};

struct shaping {
    unsigned refs;
    struct arena arena;
    struct shaping_provider *providers;
    struct rule_list rules[LAYER_COUNT]; /* For everybody. */
    struct effect classes[CLASS_COUNT];
    unsigned rule_count, provider_count, pattern_count;
};

/* A text has a set of PROBE_COUNT bits, one for each two bytes that stand together in it: a piece
 * whose bit is not there is not in the text. */
enum {
    PROBE_COUNT = 1024
};
static inline uint16_t
shaping_probe(const char *two)
{
    unsigned a = (unsigned char)two[0], b = (unsigned char)two[1];

    return (uint16_t)((a * 33 + b * 7) % PROBE_COUNT);
}

/* Whether TEXT is like PATTERN, in which a star is any bytes; both lower case. */
bool shaping_glob(str pattern, str text);

/* Reads TEXT into SHAPING. */
enum err shaping_read(struct shaping *shaping, str text, enum rule_layer layer,
                      struct config_problems *problems);
/* A time, a rate as they are written. */
bool shaping_rate_parse(str word, struct rate *rate);
