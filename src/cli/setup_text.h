/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* setup_text.h: what setup was asked for, the outpost.conf that says so, and the card at the end. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "cli/command.h"
#include "config/relay.h"

struct config;

enum { SETUP_HOPS_MAX = 64, SETUP_LISTENERS_MAX = 32, SETUP_NETWORKS_MAX = 64 };

/* A smarthost or a route. */
struct setup_hop {
    str domain; /* Empty: the smarthost. */
    str url;    /* As it was given. */
    struct relay_target target;
    str password;
    const char *password_file; /* Where it is to be kept; NULL: none is needed. */
};

struct setup_listener {
    str name;
    str address;
};

struct setup_wishes {
    str address;
    str domain;
    const char *dir;
    const char *certificate;
    const char *key;
    const char *hostname;
    bool dev;
    struct setup_hop hops[SETUP_HOPS_MAX];
    size_t hop_count;
    struct setup_listener listeners[SETUP_LISTENERS_MAX];
    size_t listener_count;
    str networks[SETUP_NETWORKS_MAX];
    size_t network_count;
    str resolvers[SETUP_NETWORKS_MAX];
    size_t resolver_count;
};

/* Reads the flags of CALL; dir, dev and the like are filled before.  0 or an exit code. */
int setup_read_wishes(struct call *call, struct setup_wishes *wishes);
/* outpost.conf: short, with comments, and only what differs from the defaults. */
void setup_write_config(const struct setup_wishes *wishes, struct buf *out);
/* The names of the certificate, the host's first; their count. */
size_t setup_names(const struct setup_wishes *wishes, const char **names, size_t max);

struct setup_card {
    const struct setup_wishes *wishes;
    const struct config *config;
    const char *config_path;
    const char *ca;
    str password;              /* When it was generated; otherwise empty. */
    const char *password_file; /* When it came from one. */
    bool new_account;
    bool kept_config;
};

void setup_print_card(struct call *call, const struct setup_card *card);
