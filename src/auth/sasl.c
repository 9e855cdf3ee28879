/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sasl.c: libgsasl's sessions, driven by lines.
 *
 * gsasl asks for what it needs by a callback that finds its session by a hook.  PLAIN and
 * LOGIN ask to validate a name and a password: both are kept and the answer is yes, as the
 * caller checks them afterwards, where waiting is allowed.  SCRAM asks for stored keys
 * (RFC 5802 3), which the caller gives from memory.
 *
 * Start reading at sasl_server_step().
 */
#include "auth/sasl.h"

#include "base/must.h"

#include <gsasl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXPORTER_SIZE = 32,
    BASE64_KEY_SIZE = 64,
    CLIENT_CHALLENGE_MAX = 4096
};

static const char *const names[] = {
    [SASL_NONE] = "",
    [SASL_PLAIN] = "PLAIN",
    [SASL_LOGIN] = "LOGIN",
    [SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
};

const char *
sasl_mechanism_name(enum sasl_mechanism mechanism)
{
    return names[mechanism];
}

bool
sasl_mechanism_parse(str name, enum sasl_mechanism *mechanism)
{
    for (enum sasl_mechanism m = SASL_PLAIN; m <= SASL_SCRAM_SHA_256_PLUS; m++)
        if (str_eq_nocase(name, str_from(names[m]))) {
            *mechanism = m;
            return true;
        }
    return false;
}

struct sasl {
    Gsasl *server;
    Gsasl *client;
};

struct sasl_server {
    struct sasl_server_options options;
    Gsasl_session *session;
    uint8_t exporter[EXPORTER_SIZE];
    char name[SASL_NAME_MAX + 1];
    char authorize_as[SASL_NAME_MAX + 1];
    char password[PASSWORD_SIZE_MAX + 1];
    size_t name_len;
    size_t authorize_as_len;
    size_t password_len;
    bool too_long;
    bool known; /* SCRAM: the name has keys. */
    bool asked; /* LOGIN: the first prompt is out. */
    unsigned steps;
};

static void
encode(const uint8_t *bytes, size_t size, char text[BASE64_KEY_SIZE])
{
    sodium_bin2base64(text, BASE64_KEY_SIZE, bytes, size, sodium_base64_VARIANT_ORIGINAL);
}

/* Server. */

static void
keep(struct sasl_server *server, Gsasl_property property, char *room, size_t max, size_t *len)
{
    const char *text = gsasl_property_fast(server->session, property);

    *len = text ? strlen(text) : 0;
    if (*len > max) {
        server->too_long = true;
        *len = 0;
    }
    if (*len)
        memcpy(room, text, *len);
    room[*len] = '\0';
}

static void
keep_names(struct sasl_server *server)
{
    keep(server, GSASL_AUTHID, server->name, SASL_NAME_MAX, &server->name_len);
    keep(server, GSASL_AUTHZID, server->authorize_as, SASL_NAME_MAX, &server->authorize_as_len);
    /* Without one gsasl puts the name there. */
    if (str_eq(sasl_server_authorize_as(server), sasl_server_name(server)))
        server->authorize_as_len = 0;
}

static int
set_property(Gsasl_session *session, Gsasl_property property, const uint8_t *bytes, size_t size)
{
    char text[BASE64_KEY_SIZE];

    encode(bytes, size, text);
    return gsasl_property_set(session, property, text);
}

static int
give_keys(struct sasl_server *server)
{
    struct scram_keys keys;
    char iterations[16];

    keep_names(server);
    if (server->too_long)
        return GSASL_AUTHENTICATION_ERROR;
    server->known = server->options.find_keys(server->options.arg, sasl_server_name(server), &keys);
    snprintf(iterations, sizeof(iterations), "%u", keys.iterations);
    gsasl_property_set(server->session, GSASL_SCRAM_ITER, iterations);
    set_property(server->session, GSASL_SCRAM_SALT, keys.salt, SCRAM_SALT_SIZE);
    set_property(server->session, GSASL_SCRAM_STOREDKEY, keys.stored_key, SCRAM_KEY_SIZE);
    set_property(server->session, GSASL_SCRAM_SERVERKEY, keys.server_key, SCRAM_KEY_SIZE);
    sodium_memzero(&keys, sizeof(keys));
    return GSASL_OK;
}

static int
server_callback(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
    struct sasl_server *server = gsasl_session_hook_get(session);

    (void)library;
    if (!server)
        return GSASL_NO_CALLBACK;
    switch (property) {
    case GSASL_VALIDATE_SIMPLE:
        keep_names(server);
        keep(server, GSASL_PASSWORD, server->password, PASSWORD_SIZE_MAX, &server->password_len);
        return GSASL_OK;
    case GSASL_SCRAM_ITER:
    case GSASL_SCRAM_SALT:
        return give_keys(server);
    case GSASL_CB_TLS_EXPORTER:
        return server->options.exporter
                   ? set_property(session, property, server->exporter, EXPORTER_SIZE)
                   : GSASL_NO_CALLBACK;
    default:
        return GSASL_NO_CALLBACK;
    }
}

void
sasl_server_free(struct sasl_server *server)
{
    if (!server)
        return;
    if (server->session)
        gsasl_finish(server->session);
    sodium_memzero(server, sizeof(*server));
    free(server);
}

/* SCRAM asks for the binding when it starts, before a hook can be set: so it is set as a property.
 */
static void
set_binding(struct sasl_server *server)
{
    bool scram = server->options.mechanism >= SASL_SCRAM_SHA_256;

    if (scram && server->options.exporter)
        set_property(server->session, GSASL_CB_TLS_EXPORTER, server->exporter, EXPORTER_SIZE);
}

enum err
sasl_server_new(struct sasl *sasl, const struct sasl_server_options *options,
                struct sasl_server **result)
{
    struct sasl_server *server;

    if (options->mechanism == SASL_SCRAM_SHA_256_PLUS && !options->exporter)
        return ERR_UNSUPPORTED;
    server = calloc(1, sizeof(*server));
    must(server);
    server->options = *options;
    if (options->exporter)
        memcpy(server->exporter, options->exporter, EXPORTER_SIZE);
    if (gsasl_server_start(sasl->server, names[options->mechanism], &server->session) != GSASL_OK) {
        sasl_server_free(server);
        return ERR_UNSUPPORTED;
    }
    gsasl_session_hook_set(server->session, server);
    set_binding(server);
    *result = server;
    return OK;
}

static bool
is_base64(str line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!ascii_is_alnum(line.ptr[i]) && line.ptr[i] != '+' && line.ptr[i] != '/' &&
            line.ptr[i] != '=')
            return false;
    return line.len <= SASL_LINE_MAX;
}

static int
step(Gsasl_session *session, str line, struct buf *out)
{
    char *text = str_dup(line);
    char *answer = NULL;
    int code;

    must(text);
    code = gsasl_step64(session, text, &answer);
    if ((code == GSASL_OK || code == GSASL_NEEDS_MORE) && answer)
        buf_add(out, str_from(answer));
    if (answer)
        gsasl_free(answer);
    sodium_memzero(text, line.len);
    free(text);
    return code;
}

/* LOGIN with an initial response: gsasl wants to have asked for the name first. */
static bool
skip_first_prompt(struct sasl_server *server, const str *line)
{
    struct buf unused;
    int code;

    if (server->options.mechanism != SASL_LOGIN || server->asked || !line)
        return true;
    buf_init(&unused, 256);
    code = step(server->session, S(""), &unused);
    buf_done(&unused);
    return code == GSASL_NEEDS_MORE;
}

static enum sasl_state
state_of(struct sasl_server *server, int code)
{
    bool scram = server->options.mechanism >= SASL_SCRAM_SHA_256;

    switch (code) {
    case GSASL_NEEDS_MORE:
        return SASL_CONTINUE;
    case GSASL_OK:
        if (server->too_long || !server->name_len)
            return SASL_FAILED;
        if (!scram)
            return SASL_CHECK;
        return server->known ? SASL_PROVED : SASL_FAILED;
    case GSASL_BASE64_ERROR:
    case GSASL_MECHANISM_PARSE_ERROR:
        return SASL_BROKEN;
    default:
        return SASL_FAILED;
    }
}

enum sasl_state
sasl_server_step(struct sasl_server *server, const str *line, struct buf *challenge)
{
    str input = line ? *line : S("");
    int code;

    if (str_eq(input, S("*")))
        return SASL_ABORTED;
    if (str_eq(input, S("=")))
        input = S("");
    if (!is_base64(input) || ++server->steps > SASL_STEPS_MAX)
        return SASL_BROKEN;
    if (!skip_first_prompt(server, line))
        return SASL_BROKEN;
    if (line && !input.len && server->options.mechanism == SASL_PLAIN)
        return SASL_BROKEN; /* RFC 4616 2: the one message is never empty. */
    server->asked = true;
    code = step(server->session, input, challenge);
    if (!buf_ok(challenge))
        return SASL_BROKEN;
    return state_of(server, code);
}

str
sasl_server_name(const struct sasl_server *server)
{
    return (str){ server->name, server->name_len };
}

str
sasl_server_password(const struct sasl_server *server)
{
    return (str){ server->password, server->password_len };
}

str
sasl_server_authorize_as(const struct sasl_server *server)
{
    return (str){ server->authorize_as, server->authorize_as_len };
}

/* Client. */

struct sasl_client {
    enum sasl_mechanism mechanism;
    Gsasl_session *session;
    bool satisfied;
};

bool
sasl_client_speaks_first(const struct sasl_client *client)
{
    return client->mechanism != SASL_LOGIN;
}

bool
sasl_client_is_satisfied(const struct sasl_client *client)
{
    return client->satisfied;
}

static bool
offers(str offered, enum sasl_mechanism mechanism)
{
    str word;
    bool more;

    do {
        more = str_split(offered, ' ', &word, &offered);
        if (str_eq_nocase(word, str_from(names[mechanism])))
            return true;
    } while (more);
    return false;
}

enum sasl_mechanism
sasl_client_choose(str offered)
{
    static const enum sasl_mechanism best_first[] = { SASL_SCRAM_SHA_256, SASL_PLAIN, SASL_LOGIN };

    for (size_t i = 0; i < COUNT_OF(best_first); i++)
        if (offers(offered, best_first[i]))
            return best_first[i];
    return SASL_NONE;
}

static void
set_text(Gsasl_session *session, Gsasl_property property, str text)
{
    char *copy = str_dup(text);

    must(copy);
    gsasl_property_set(session, property, copy);
    sodium_memzero(copy, text.len);
    free(copy);
}

enum err
sasl_client_new(struct sasl *sasl, const struct sasl_client_options *options,
                struct sasl_client **result)
{
    struct sasl_client *client;

    if (options->name.len > SASL_NAME_MAX || options->password.len > PASSWORD_SIZE_MAX ||
        options->mechanism == SASL_SCRAM_SHA_256_PLUS)
        return ERR_UNSUPPORTED;
    client = calloc(1, sizeof(*client));
    must(client);
    client->mechanism = options->mechanism;
    client->satisfied = options->mechanism != SASL_SCRAM_SHA_256;
    if (gsasl_client_start(sasl->client, names[options->mechanism], &client->session) != GSASL_OK) {
        sasl_client_free(client);
        return ERR_UNSUPPORTED;
    }
    set_text(client->session, GSASL_AUTHID, options->name);
    set_text(client->session, GSASL_PASSWORD, options->password);
    *result = client;
    return OK;
}

void
sasl_client_free(struct sasl_client *client)
{
    if (!client)
        return;
    if (client->session)
        gsasl_finish(client->session);
    free(client);
}

/* A server must not make us compute for minutes: i= in its first message.  RFC 5802 5.1. */
static bool
asks_too_much(const struct sasl_client *client, str challenge)
{
    char text[CLIENT_CHALLENGE_MAX];
    size_t len = 0;
    ssize_t at;
    uint64_t rounds;
    str number;
    str rest;

    if (client->mechanism != SASL_SCRAM_SHA_256)
        return false;
    if (sodium_base642bin((unsigned char *)text, sizeof(text), challenge.ptr, challenge.len, NULL,
                          &len, NULL, sodium_base64_VARIANT_ORIGINAL))
        return true;
    at = str_find_str((str){ text, len }, S(",i="));
    if (at < 0)
        return false;
    str_split(str_skip((str){ text, len }, (size_t)at + 3), ',', &number, &rest);
    return !str_to_u64(number, &rounds) || rounds > SCRAM_ITERATIONS_CLIENT_MAX;
}

enum err
sasl_client_step(struct sasl_client *client, str challenge, struct buf *response)
{
    int code;

    if (!is_base64(challenge) && client->mechanism != SASL_LOGIN)
        return ERR_SYNTAX;
    if (client->mechanism == SASL_LOGIN)
        challenge = S(""); /* Prompts are free text: "Username:", "User Name", ... */
    if (challenge.len && asks_too_much(client, challenge))
        return ERR_REFUSED;
    code = step(client->session, challenge, response);
    if (code == GSASL_OK)
        client->satisfied = true;
    if (code == GSASL_OK || code == GSASL_NEEDS_MORE)
        return buf_ok(response) ? OK : ERR_LIMIT;
    return code == GSASL_BASE64_ERROR || code == GSASL_MECHANISM_PARSE_ERROR ? ERR_SYNTAX
                                                                             : ERR_REFUSED;
}

struct sasl *
sasl_new(void)
{
    struct sasl *sasl = calloc(1, sizeof(*sasl));

    must(sasl);
    must(gsasl_init(&sasl->server) == GSASL_OK);
    must(gsasl_init(&sasl->client) == GSASL_OK);
    gsasl_callback_set(sasl->server, server_callback);
    return sasl;
}

void
sasl_free(struct sasl *sasl)
{
    if (!sasl)
        return;
    gsasl_done(sasl->server);
    gsasl_done(sasl->client);
    free(sasl);
}
