/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sasl.h: SASL exchanges, both sides, by libgsasl.  Lines in, lines out; no I/O here.
 *
 * The server side never sees a stored password: PLAIN and LOGIN give name and password
 * out for checking (SASL_CHECK), the SCRAM mechanisms are checked here against stored keys.
 */
#pragma once

#include "auth/password.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    SASL_LINE_MAX = 12288, /* RFC 4954 4: of base64 in one line. */
    SASL_NAME_MAX = 320,
    SASL_STEPS_MAX = 6,
};

enum sasl_mechanism {
    SASL_NONE,
    SASL_PLAIN,
    SASL_LOGIN,
    SASL_SCRAM_SHA_256,
    SASL_SCRAM_SHA_256_PLUS,
};

const char *sasl_mechanism_name(enum sasl_mechanism mechanism);
bool sasl_mechanism_parse(str name, enum sasl_mechanism *mechanism); /* Any case. */

struct sasl; /* The library; one for the process. */
struct sasl *sasl_new(void);
void sasl_free(struct sasl *sasl);

/* Server. */
struct sasl_server_options {
    enum sasl_mechanism mechanism;
    const uint8_t *exporter; /* 32 bytes of tls-exporter, or NULL without channel binding. */
    /* Keys of NAME into KEYS; an unknown name gets fake ones and false.  Must not wait. */
    bool (*find_keys)(void *arg, str name, struct scram_keys *keys);
    void *arg;
};

enum sasl_state {
    SASL_CONTINUE, /* Send the challenge, read a line, step again. */
    SASL_CHECK,    /* PLAIN, LOGIN: done; name and password wait to be checked. */
    SASL_PROVED, /* SCRAM: the peer has proved to be NAME.  The last challenge may hold the server's
                    proof. */
    SASL_FAILED, /* Wrong proof or unknown name. */
    SASL_BROKEN, /* Not base64, not the mechanism's grammar, too long, or too many steps. */
    SASL_ABORTED, /* The client sent "*". */
};

struct sasl_server;
enum err sasl_server_new(struct sasl *sasl, const struct sasl_server_options *options,
                         struct sasl_server **server);
void sasl_server_free(struct sasl_server *server); /* Wipes the secrets. */
/* LINE is base64 without CRLF, "=" for an empty response; NULL for no initial response.  CHALLENGE
 * gets base64. When SASL_PROVED comes with a challenge, it must be sent and the client's empty
 * answer read before success is told. */
enum sasl_state sasl_server_step(struct sasl_server *server, const str *line,
                                 struct buf *challenge);
/* Views into the session.  authorize_as is "" unless the client named somebody to act for. */
str sasl_server_name(const struct sasl_server *server);
str sasl_server_password(const struct sasl_server *server);
str sasl_server_authorize_as(const struct sasl_server *server);

/* Client. */
struct sasl_client_options {
    enum sasl_mechanism mechanism; /* PLAIN, LOGIN, SCRAM-SHA-256 */
    str name;
    str password;
};

struct sasl_client;
/* The best of the mechanisms in OFFERED (space-separated) that we speak; SASL_NONE when there is
 * none. */
enum sasl_mechanism sasl_client_choose(str offered);
enum err sasl_client_new(struct sasl *sasl, const struct sasl_client_options *options,
                         struct sasl_client **client);
void sasl_client_free(struct sasl_client *client);
/* True when the first response may go with the AUTH command: call sasl_client_step with CHALLENGE
 * "" for it. */
bool sasl_client_speaks_first(const struct sasl_client *client);
/* CHALLENGE is the base64 text after "334 ".  ERR_SYNTAX on a broken challenge, ERR_REFUSED when
 * the server could not prove that it knows the password (SCRAM) or asks for more than
 * SCRAM_ITERATIONS_CLIENT_MAX rounds. */
enum {
    SCRAM_ITERATIONS_CLIENT_MAX = 600000
};
enum err sasl_client_step(struct sasl_client *client, str challenge, struct buf *response);
/* Whether the server has proved that it knows the password; true for PLAIN and LOGIN, which prove
 * nothing. When it is false, a success told by the server is not to be believed. */
bool sasl_client_is_satisfied(const struct sasl_client *client);
