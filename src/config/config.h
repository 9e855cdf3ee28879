/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* config.h: what the administrator wants, as one immutable snapshot.
 *
 * A snapshot is made once from outpost.conf and shared by reference between the loops; a reload
 * makes a new one, and a session that holds the old one keeps it until it ends.  Every field below
 * is one row of the table in options.c, from which the parser, `outpost config show`, `config
 * explain` and outpost.conf(5) come.  Every str here has a NUL behind its last byte, so that .ptr
 * serves system calls; a text that was not set has len 0, but hostname, postmaster and helo_name
 * are always filled.  Paths are absolute, or relative to the working directory only when the file's
 * own name was.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "config/relay.h"
#include "runtime/dns.h"
#include "runtime/log.h"

struct config_texts {
    str *items;
    size_t count;
};

struct config_networks {
    struct network *items;
    size_t count;
};

struct config_endpoints {
    struct endpoint *items;
    size_t count;
};

struct config_addrs {
    ipaddr *items;
    size_t count;
};

struct config_stubs {
    struct dns_stub *items;
    size_t count;
};

struct config_server {
    str hostname;
    str data_dir;
    str user;
    str postmaster;
    str program_user;
    unsigned loops; /* 0: one for each core. */
    bool sandbox;
};

enum listen_kind {
    LISTEN_AUTO, /* The block's name says it; never seen after loading. */
    LISTEN_SMTP,
    LISTEN_SUBMISSION,
    LISTEN_SUBMISSIONS,
    LISTEN_POP3,
    LISTEN_POP3S,
};

enum listen_tls {
    LISTEN_TLS_AUTO, /* The kind says it; never seen after loading. */
    LISTEN_TLS_NONE,
    LISTEN_TLS_STARTTLS,
    LISTEN_TLS_IMPLICIT,
};

struct config_listen {
    str name;
    enum listen_kind kind;
    enum listen_tls tls;
    struct config_endpoints address;
    struct config_networks proxy_protocol; /* Peers that must begin with a PROXY header. */
    unsigned connections_max;
};

struct config_tls {
    str certificate; /* Empty: no TLS is offered. */
    str key;
    str next_key; /* Of the certificate to come: only its TLSA record is made of it. */
    str ca_file;  /* Roots beside the system's, for connections that we make. */
};

struct config_dns {
    struct config_endpoints forwarders;
    struct config_stubs stub;
    str trust_anchor_file;
    struct config_texts trust_anchor;
    str hosts_file;
    duration timeout;
};

struct config_trust {
    struct config_networks network; /* May relay without login. */
};

/* The ceilings of what a client of SMTP can make us hold or wait for. */
struct config_smtp {
    uint64_t message_size_max;
    unsigned recipients_max;   /* Of one message. */
    unsigned command_line_max; /* Bytes, with CRLF. */
    unsigned auth_line_max;
    unsigned text_line_max; /* Of a message. */
    uint64_t header_size_max;
    unsigned header_fields_max;
    unsigned hops_max;     /* Received fields. */
    unsigned commands_max; /* In one session. */
    unsigned errors_max;
    unsigned unknown_recipients_max;
    unsigned auth_failures_max;
    unsigned messages_max;
    unsigned connections_per_address_max;
    uint64_t transaction_memory_max; /* The arena of one transaction. */
    duration command_timeout;
    duration data_timeout;      /* Between two blocks of a message. */
    duration message_timeout;   /* A whole message. */
    duration handshake_timeout; /* TLS. */
    duration session_timeout;
    str greeting;
    duration future_release_max; /* 0: not offered. */
    duration deliver_by_min;     /* The shortest BY=…;R. */
    unsigned priority_max;       /* Of logins. */
};

struct config_auth {
    struct config_texts mechanisms;
};

/* Which addresses of a host are used, and which come first. */
enum ip_wish {
    IP_AUTO, /* As delivery.ip, or there as delivery.prefer_ipv6. */
    IP_4,
    IP_6,
    IP_PREFER_4,
    IP_PREFER_6,
};

struct config_delivery {
    duration retry_min;
    duration retry_max;
    duration delay_warning; /* 0: none */
    duration expire;
    duration expire_bounce;
    duration connect_timeout;
    duration greeting_timeout;
    duration command_timeout;
    duration data_timeout;  /* Between two blocks of a message. */
    duration final_timeout; /* For the answer to the final dot. */
    duration program_timeout;
    duration idle_time; /* How long a connection is kept for the next message. */
    unsigned connections_max;
    unsigned site_connections_max;
    unsigned messages_per_connection;
    unsigned recipients_per_transaction;
    unsigned hosts_max; /* MX hosts and addresses that one attempt tries. */
    unsigned smtp_port;
    duration next_address_timeout; /* The same while another address is still to be tried. */
    duration busy_connect_timeout; /* The same while others wait for connections. */
    enum relay_tls tls;
    enum ip_wish ip;
    bool prefer_ipv6; /* What `ip` means where it is auto. */
    bool dane;
    bool sts;
    duration sts_timeout; /* For a policy, from its host. */
    bool sts_private_addresses;
    str helo_name;
    struct config_addrs source;
    str rules_file;              /* Of delivery/rules/shaping; empty: only those that we ship. */
    struct config_texts sources; /* Names of source blocks. */
};

/* What an HTTP server is sent. */
enum http_format {
    HTTP_JSON,
    HTTP_RAW
};

/* A place that mail leaves from. */
struct config_source {
    str name;
    struct config_addrs address;
    str helo_name;
    unsigned weight;                /* 0: only when every other one of its pool is out. */
    struct config_endpoints socks5; /* At most one of these two. */
    struct config_endpoints proxy;
    str username; /* At the SOCKS5 proxy. */
    str password_file;
    unsigned connections_max; /* From here to all sites together; 0 in these: no limit. */
    unsigned messages_per_minute;
    unsigned messages_per_hour;
    unsigned messages_per_day;
};

/* Sources to choose from. */
struct config_pool {
    const struct config_source **items;
    size_t count;
};

/* One way out that is not the MX: the block `relay`, and each block `route`. */
struct config_route {
    str name;
    struct config_texts domain; /* Recipient domains; ".example.org" holds for what is below it. */
    struct config_texts recipient; /* "ann@example.org" */
    struct config_texts sender;    /* "ann@example.org" or "example.org" */
    struct config_texts account;   /* The same, of whoever logged in. */
    struct config_networks network;
    struct config_texts door; /* "mx", "submission", "local", "bounce" */
    struct config_texts lane; /* Their names are in mail/lane.h. */
    uint64_t size_over;       /* Bytes; 0: any. */
    uint64_t size_under;
    struct relay_target to; /* kind is RELAY_NONE in an unset `relay`. */
    str username;           /* These four are merged into `to` after loading. */
    str password_file;
    enum relay_tls tls;
    enum relay_auth auth;
    enum relay_verify verify;
    enum http_format format;
    struct relay_target fallback; /* kind is RELAY_NONE: none. */
    str fallback_password_file;   /* Merged into `fallback`. */
    unsigned fallback_after;      /* Failed attempts. */
    struct config_texts sources;
    enum ip_wish ip;
};

enum limit_preset {
    LIMIT_UNLIMITED,
    LIMIT_GMAIL,
    LIMIT_WORKSPACE,
    LIMIT_SMALL_HOST
};

/* What one account may send, unless the directory says otherwise for it or its domain.
 * 0: what the preset says. */
struct config_limits {
    enum limit_preset preset;
    unsigned recipients_per_message;
    unsigned messages_per_day;
    unsigned new_recipients_per_day;
    unsigned system_messages_per_day; /* All accounts together; 0: no limit. */
};

enum dkim_form_choice {
    DKIM_FORM_AUTO, /* As in dkim; there: relaxed. */
    DKIM_FORM_SIMPLE,
    DKIM_FORM_RELAXED,
};

/* How one domain signs: RFC 6376. */
struct config_dkim_policy {
    str name; /* The domain. */
    enum dkim_form_choice header;
    enum dkim_form_choice body;
    struct config_texts fields;   /* Empty: the usual ones. */
    struct config_texts oversign; /* Empty: the usual ones; "none" alone: none. */
    duration expire;              /* x=; 0: none. */
};

/* A zone that we write ourselves: RFC 2136, RFC 8945. */
struct config_dns_update {
    str name;                       /* The zone. */
    struct config_endpoints server; /* One. */
    str key_name;
    str key_file;
    duration ttl;
};

/* Signatures on mail that begins its way here: RFC 6376. */
struct config_dkim {
    bool sign;
    duration settle;  /* How long a new record must have been seen before its key signs. */
    duration overlap; /* How long a retired key's record stays. */
    duration look_every;
    enum dkim_form_choice header; /* These five hold where no dkim_policy says otherwise. */
    enum dkim_form_choice body;
    struct config_texts fields;
    struct config_texts oversign;
    duration expire;
    struct config_endpoints resolvers; /* Must see a record as well. */
    bool ask_zone;                     /* And so must the servers of its zone. */
    duration rotate_every;             /* 0: never by itself. */
    bool seal;                         /* What aliases send on gets an ARC set. */
};

/* Reports about TLS: RFC 8460. */
struct config_tls_reports {
    bool send;
    str from;
    str organization;
    str contact;
    duration delay;
    duration period;
    bool private_addresses; /* Reports may be posted to them. */
};

/* With which sender our own mail leaves, and what is done with what comes back. */
enum return_path_mode {
    RETURN_PATHS_OFF,    /* The sender's own address. */
    RETURN_PATHS_DOMAIN, /* At bounces.domain. */
    RETURN_PATHS_SENDER, /* At the sender's domain, where it is ours. */
};

struct config_bounces {
    enum return_path_mode return_path;
    str domain;
    duration keep;
    bool forward;
    str complaints_to;
    str srs_domain; /* Empty: senders of forwarded mail stay as they are. */
};

/* To whom mail of ours is not sent: accounts/suppression.h. */
struct config_suppression {
    bool learn;
    bool for_all;
    unsigned bounces;
    duration bounce_expire;
    duration bounce_expire_max;
    duration complaint_expire; /* 0: never. */
};

/* Mail to many that people can leave: RFC 2369, RFC 8058. */
struct config_list {
    str name;
    struct config_texts sender; /* "news@example.org" or "example.org", of the envelope. */
    struct config_texts account;
    str unsubscribe_url; /* "https://example.org/u/": a token follows.  Empty: none. */
    str unsubscribe_to;  /* Empty: none. */
    str list_id;         /* "weekly.example.org"; empty: none. */
    bool one_recipient;  /* A second recipient has to come in a message of its own. */
};

struct config_store {
    uint64_t segment_size;
    uint64_t body_file_over; /* Larger messages get a file of their own. */
    uint64_t free_space_min; /* Below it new mail is put off with 452. */
    unsigned queue_max;      /* Recipients waiting; above it new mail is put off. */
};

struct config_events {
    duration retention;
};

struct config_pop3 {
    duration idle_timeout;
    unsigned command_line_max;
    unsigned commands_max;
    unsigned errors_max;
    unsigned auth_failures_max;
};

struct config_log {
    enum log_level level;
};

struct config {
    str path; /* Of the file; empty for config_default(). */
    struct config_server server;
    struct config_tls tls;
    struct config_dkim dkim;
    struct config_suppression suppression;
    struct config_dns dns;
    struct config_trust trust;
    struct config_smtp smtp;
    struct config_auth auth;
    struct config_delivery delivery;
    struct config_limits limits;
    struct config_tls_reports tls_reports;
    struct config_bounces bounces;
    struct config_store store;
    struct config_events events;
    struct config_pop3 pop3;
    struct config_log log;
    struct config_route relay; /* For everything that no route takes. */

    struct config_listen *listeners;
    size_t listener_count;
    struct config_route *routes;
    size_t route_count;
    struct config_source *sources;
    size_t source_count;
    struct config_dkim_policy *dkim_policies;
    size_t dkim_policy_count;
    struct config_dns_update *dns_updates;
    size_t dns_update_count;
    struct config_list *lists;
    size_t list_count;

    struct config_body *body; /* Memory, references, and where each value came from. */
};

/* One thing that is wrong with a file. */
struct config_problem {
    unsigned line; /* From 1; 0 when it concerns the whole file. */
    unsigned column;
    char text[256];
    char cure[256];
};

enum {
    CONFIG_PROBLEMS_MAX = 50
};

struct config_problems {
    struct config_problem *items;
    size_t count;
};

void config_problems_done(struct config_problems *problems);

/* Reads PATH.  On failure every problem is listed, up to the maximum: ERR_NOT_FOUND or ERR_IO when
 * the file cannot be read, ERR_SYNTAX when it says something wrong.  The reference is the caller's.
 */
enum err config_load(const char *path, struct config **config, struct config_problems *problems);
/* The data directory that a file names, though it be wrong elsewhere: by it a client finds the server
 * that runs since the file was right.  False when the file cannot be read or the name does not fit. */
bool config_find_data_dir(const char *path, char *dir, size_t size);
/* The same from TEXT, as if it stood in a file named PATH. */
enum err config_parse(str text, const char *path, struct config **config,
                      struct config_problems *problems);
/* What holds when the file is empty. */
struct config *config_default(void);

struct config *config_ref(const struct config *config);
void config_unref(const struct config *config); /* NULL is fine. */
void config_drop(struct config **config);

/* "gmail"; its figures are in accounts/limits. */
const char *config_preset_name(enum limit_preset preset);

/* The sources of ROUTE, NULL for mail that no route takes; count 0: none is named. */
const struct config_pool *config_pool_of(const struct config *config,
                                         const struct config_route *route);
const struct config_source *config_find_source(const struct config *config, str name);

/* How DOMAIN signs: by its own block, that of the nearest domain above it, or as `dkim` says. */
const struct config_dkim_policy *config_dkim_policy(const struct config *config, str domain);
/* The zone of ours that DOMAIN is in; NULL when it is none that we write. */
const struct config_dns_update *config_dns_update(const struct config *config, str domain);
/* The list that mail of SENDER (of the envelope) or ACCOUNT belongs to; NULL: none. */
const struct config_list *config_find_list(const struct config *config, str sender, str account);
const struct config_list *config_list_named(const struct config *config, str name);
/* The list that mail to ADDRESS leaves: its unsubscribe_to, perhaps with "+detail". */
const struct config_list *config_unsubscribe_list(const struct config *config, str address);

/* A file below the data directory, NUL-terminated: config_data_path(c, path, sizeof path,
 * "control.sock"). False when it does not fit. */
bool config_data_path(const struct config *config, char *path, size_t size, const char *name);
