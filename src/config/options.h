/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* options.h: the table of all options: one row each, and everything else is derived from it. */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* server.data_dir, where nothing else is named. */
#define DATA_DIR_STANDARD "/var/lib/outpost"

enum option_type {
    OPTION_BOOL,
    OPTION_INTEGER,  /* unsigned */
    OPTION_BYTES,    /* uint64_t: 25M */
    OPTION_DURATION, /* duration: 5d, 30m */
    OPTION_TEXT,     /* str */
    OPTION_HOSTNAME, /* str, lower case */
    OPTION_PATH,     /* str, made absolute */
    OPTION_ADDRESS,  /* str: a mail address */
    OPTION_ENUM,     /* an enum, by its choices */
    OPTION_URL,      /* struct relay_target */
    OPTION_TEXTS, /* struct config_texts; this and the rest are lists, and may be written in several
                     lines */
    OPTION_DOMAINS,   /* struct config_texts, lower case */
    OPTION_NETWORKS,  /* struct config_networks */
    OPTION_ENDPOINTS, /* struct config_endpoints */
    OPTION_ADDRS,     /* struct config_addrs */
    OPTION_STUBS,     /* struct config_stubs: pairs of zone and endpoint */
};

enum option_reload {
    RELOAD_LIVE,    /* A reload applies it to sessions and messages that begin later. */
    RELOAD_RESTART, /* Only a restart does. */
};

struct option_choice {
    const char *name; /* NULL ends the list. */
    unsigned value;
};

/* clang-format off */
enum section_id {
    SECTION_SERVER, SECTION_LISTEN, SECTION_TLS, SECTION_TRUST, SECTION_RELAY, SECTION_ROUTE,
    SECTION_SOURCE, SECTION_SMTP, SECTION_AUTH, SECTION_LIMITS, SECTION_DELIVERY, SECTION_DKIM,
    SECTION_DKIM_POLICY, SECTION_DNS_UPDATE, SECTION_TLS_REPORTS,
    SECTION_SUPPRESSION, SECTION_LIST,
    SECTION_DNS, SECTION_BOUNCES, SECTION_STORE,
    SECTION_EVENTS, SECTION_POP3, SECTION_LOG, SECTION_COUNT,
};
/* clang-format on */

struct section {
    const char *name;
    const char *doc;
    bool repeated; /* `name LABEL { ... }`, any number of times */
    size_t offset; /* In struct config; of no meaning when repeated. */
    size_t size;   /* Of its struct. */
};

struct option {
    enum section_id section;
    const char *name;
    enum option_type type;
    const char *standard; /* The default, written as in a file; "" for none. */
    enum option_reload reload;
    size_t offset;     /* In the section's struct. */
    uint64_t min, max; /* Of a number; max 0: no bounds. */
    const struct option_choice *choices;
    const char *doc;
};

extern const struct section sections[SECTION_COUNT];
extern const struct option options[];
extern const size_t option_count;

/* NULL when there is none. */
const struct section *section_find(str name);
const struct option *option_find(enum section_id section, str name);
/* "delivery.expire"; NULL when there is none. */
const struct option *option_find_key(str key);
static inline enum section_id
section_id(const struct section *section)
{
    return (enum section_id)(section - sections);
}
bool option_is_list(const struct option *option);
/* How a value looks: "duration, such as 30m or 5d". */
const char *option_type_text(const struct option *option);
const char *option_reload_text(const struct option *option);

/* The names nearest to WORD, for "did you mean": NULL when nothing is near. */
const char *section_nearest(str word);
const char *option_nearest(enum section_id section, str word);
/* Some section that has an option of this name, or NULL. */
const struct section *section_with_option(str name);
