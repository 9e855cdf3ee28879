/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sasl_test.c: our client against our server, and lines that no client should send. */
#include "auth/sasl.h"

#include "check.h"

#include <sodium.h>
#include <string.h>

struct fixture {
    struct sasl *sasl;
    struct passwords *passwords;
    struct password_secret secret;
};

static struct fixture fixture;

static bool
find_keys(void *arg, str name, struct scram_keys *keys)
{
    (void)arg;
    if (str_eq(name, S("ann@example.org"))) {
        *keys = fixture.secret.scram;
        return true;
    }
    password_fake_scram(fixture.passwords, name, keys);
    return false;
}

static struct sasl_server *
server_for(enum sasl_mechanism mechanism, const uint8_t *exporter)
{
    struct sasl_server *server = NULL;

    CHECK(sasl_server_new(fixture.sasl,
                          &(struct sasl_server_options){ .mechanism = mechanism,
                                                         .exporter = exporter,
                                                         .find_keys = find_keys },
                          &server) == OK);
    return server;
}

/* One whole conversation; what the server says at its end. */
static enum sasl_state
converse(struct sasl_server *server, struct sasl_client *client)
{
    struct buf line;
    struct buf challenge;
    str text;
    bool first = sasl_client_speaks_first(client);
    enum sasl_state state = SASL_CONTINUE;
    enum err e = OK;

    buf_init(&line, SASL_LINE_MAX);
    buf_init(&challenge, SASL_LINE_MAX);
    if (first)
        e = sasl_client_step(client, S(""), &line);
    while (!e && state == SASL_CONTINUE) {
        text = buf_str(&line);
        buf_clear(&challenge);
        state = sasl_server_step(server, first ? &text : NULL, &challenge);
        first = true;
        buf_clear(&line);
        if (state == SASL_CONTINUE || (state == SASL_PROVED && challenge.len))
            e = sasl_client_step(client, buf_str(&challenge), &line);
    }
    CHECK(e == OK);
    buf_done(&line);
    buf_done(&challenge);
    return state;
}

static enum sasl_state
try_login(enum sasl_mechanism mechanism, str name, str password, struct sasl_server **kept)
{
    struct sasl_server *server = server_for(mechanism, NULL);
    struct sasl_client *client = NULL;
    enum sasl_state state;

    CHECK(sasl_client_new(fixture.sasl,
                          &(struct sasl_client_options){
                              .mechanism = mechanism, .name = name, .password = password },
                          &client) == OK);
    state = converse(server, client);
    CHECK((state == SASL_PROVED || state == SASL_CHECK) == sasl_client_is_satisfied(client) ||
          mechanism != SASL_SCRAM_SHA_256);
    sasl_client_free(client);
    if (kept)
        *kept = server;
    else
        sasl_server_free(server);
    return state;
}

static void
plain_and_login_give_name_and_password_out(void)
{
    static const enum sasl_mechanism mechanisms[] = { SASL_PLAIN, SASL_LOGIN };
    struct sasl_server *server;

    for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
        server = NULL;
        CHECK(try_login(mechanisms[i], S("ann@example.org"), S("s3cret word"), &server) ==
              SASL_CHECK);
        CHECK_STR(sasl_server_name(server), "ann@example.org");
        CHECK_STR(sasl_server_password(server), "s3cret word");
        CHECK_STR(sasl_server_authorize_as(server), "");
        sasl_server_free(server);
    }
}

static void
scram_proves_the_right_password_and_no_other(void)
{
    CHECK(try_login(SASL_SCRAM_SHA_256, S("ann@example.org"), S("s3cret word"), NULL) ==
          SASL_PROVED);
    CHECK(try_login(SASL_SCRAM_SHA_256, S("ann@example.org"), S("s3cret worD"), NULL) ==
          SASL_FAILED);
    CHECK(try_login(SASL_SCRAM_SHA_256, S("bob@example.org"), S("s3cret word"), NULL) ==
          SASL_FAILED);
}

static void
encode_line(str raw, char *text, size_t size, str *line)
{
    sodium_bin2base64(text, size, (const uint8_t *)raw.ptr, raw.len,
                      sodium_base64_VARIANT_ORIGINAL);
    *line = str_from(text);
}

static enum sasl_state
first_line(enum sasl_mechanism mechanism, const uint8_t *exporter, str raw)
{
    struct sasl_server *server = server_for(mechanism, exporter);
    struct buf challenge;
    char text[4096];
    str line;
    enum sasl_state state;

    buf_init(&challenge, SASL_LINE_MAX);
    encode_line(raw, text, sizeof(text), &line);
    state = sasl_server_step(server, &line, &challenge);
    buf_done(&challenge);
    sasl_server_free(server);
    return state;
}

static void
channel_binding_cannot_be_talked_away(void)
{
    static const uint8_t exporter[32] = { 1, 2, 3 };
    struct sasl_server *none = NULL;

    CHECK(first_line(SASL_SCRAM_SHA_256_PLUS, exporter,
                     S("p=tls-exporter,,n=ann@example.org,r=abcdefghijk")) == SASL_CONTINUE);
    /* "y": I could bind, but you do not offer it.  We did. */
    CHECK(first_line(SASL_SCRAM_SHA_256, exporter, S("y,,n=ann@example.org,r=abcdefghijk")) !=
          SASL_CONTINUE);
    CHECK(first_line(SASL_SCRAM_SHA_256, exporter, S("n,,n=ann@example.org,r=abcdefghijk")) ==
          SASL_CONTINUE);
    CHECK(sasl_server_new(fixture.sasl,
                          &(struct sasl_server_options){ .mechanism = SASL_SCRAM_SHA_256_PLUS },
                          &none) == ERR_UNSUPPORTED);
}

static void
somebody_to_act_for_is_told(void)
{
    struct sasl_server *server = server_for(SASL_PLAIN, NULL);
    struct buf challenge;
    char text[256];
    str line;

    buf_init(&challenge, SASL_LINE_MAX);
    encode_line(S("alice\0ann@example.org\0pw"), text, sizeof(text), &line);
    CHECK(sasl_server_step(server, &line, &challenge) == SASL_CHECK);
    CHECK_STR(sasl_server_authorize_as(server), "alice");
    buf_done(&challenge);
    sasl_server_free(server);
}

static void
strange_lines_are_broken_and_never_a_login(void)
{
    static char large[SASL_LINE_MAX + 2];
    static const struct {
        enum sasl_mechanism mechanism;
        str line;
        enum sasl_state state;
    } cases[] = {
        { SASL_PLAIN, S("*"), SASL_ABORTED },
        { SASL_PLAIN, S("!!!!"), SASL_BROKEN },
        { SASL_PLAIN, S("AGFubg"), SASL_BROKEN },   /* No second NUL. */
        { SASL_PLAIN, S("AAAA"), SASL_BROKEN },     /* Too many NULs. */
        { SASL_PLAIN, S("AABwdw=="), SASL_FAILED }, /* No name. */
        { SASL_PLAIN, S("AGE\0Yg=="), SASL_BROKEN },
        { SASL_SCRAM_SHA_256, S("eA=="), SASL_BROKEN },
        { SASL_SCRAM_SHA_256, S("biws"), SASL_BROKEN },
    };
    struct sasl_server *server;
    struct buf challenge;
    str line;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum sasl_state state;
        server = server_for(cases[i].mechanism, NULL);
        buf_init(&challenge, SASL_LINE_MAX);
        state = sasl_server_step(server, &cases[i].line, &challenge);
        if (state != cases[i].state)
            printf("case %zu: %d\n", i, state);
        CHECK(state == cases[i].state);
        buf_done(&challenge);
        sasl_server_free(server);
    }
    memset(large, 'A', sizeof(large));
    line = (str){ large, SASL_LINE_MAX + 1 };
    server = server_for(SASL_PLAIN, NULL);
    buf_init(&challenge, SASL_LINE_MAX);
    CHECK(sasl_server_step(server, &line, &challenge) == SASL_BROKEN);
    buf_done(&challenge);
    sasl_server_free(server);
}

static void
an_empty_start_asks_for_the_first_line(void)
{
    struct sasl_server *server = server_for(SASL_LOGIN, NULL);
    struct buf challenge;
    str name = S("YW5uQGV4YW1wbGUub3Jn");
    str password = S("cHc=");

    buf_init(&challenge, SASL_LINE_MAX);
    CHECK(sasl_server_step(server, NULL, &challenge) == SASL_CONTINUE);
    CHECK(challenge.len > 0);
    buf_clear(&challenge);
    CHECK(sasl_server_step(server, &name, &challenge) == SASL_CONTINUE);
    buf_clear(&challenge);
    CHECK(sasl_server_step(server, &password, &challenge) == SASL_CHECK);
    sasl_server_free(server);
    /* The name with the command: the next prompt is the password's. */
    server = server_for(SASL_LOGIN, NULL);
    buf_clear(&challenge);
    CHECK(sasl_server_step(server, &name, &challenge) == SASL_CONTINUE);
    buf_clear(&challenge);
    CHECK(sasl_server_step(server, &password, &challenge) == SASL_CHECK);
    CHECK_STR(sasl_server_name(server), "ann@example.org");
    CHECK_STR(sasl_server_password(server), "pw");
    buf_done(&challenge);
    sasl_server_free(server);
}

static void
the_client_takes_the_best_and_refuses_to_compute_for_ever(void)
{
    struct sasl_client *client = NULL;
    struct buf response;
    char text[256];
    str line;

    CHECK(sasl_client_choose(S("LOGIN PLAIN SCRAM-SHA-256")) == SASL_SCRAM_SHA_256);
    CHECK(sasl_client_choose(S("login plain")) == SASL_PLAIN);
    CHECK(sasl_client_choose(S("XOAUTH2 LOGIN")) == SASL_LOGIN);
    CHECK(sasl_client_choose(S("XOAUTH2")) == SASL_NONE);
    buf_init(&response, SASL_LINE_MAX);
    CHECK(sasl_client_new(fixture.sasl,
                          &(struct sasl_client_options){
                              .mechanism = SASL_SCRAM_SHA_256, .name = S("a"), .password = S("b") },
                          &client) == OK);
    CHECK(sasl_client_step(client, S(""), &response) == OK);
    CHECK(response.len > 0);
    encode_line(S("r=abc,s=QSXCR+Q6sek8bf92,i=2147483647"), text, sizeof(text), &line);
    CHECK(sasl_client_step(client, line, &response) == ERR_REFUSED);
    CHECK(!sasl_client_is_satisfied(client));
    buf_done(&response);
    sasl_client_free(client);
}

int
main(void)
{
    fixture.sasl = sasl_new();
    fixture.passwords = passwords_new(0, 0);
    CHECK(password_make(fixture.passwords, S("s3cret word"), &fixture.secret) == OK);
    RUN(plain_and_login_give_name_and_password_out);
    RUN(scram_proves_the_right_password_and_no_other);
    RUN(channel_binding_cannot_be_talked_away);
    RUN(somebody_to_act_for_is_told);
    RUN(strange_lines_are_broken_and_never_a_login);
    RUN(an_empty_start_asks_for_the_first_line);
    RUN(the_client_takes_the_best_and_refuses_to_compute_for_ever);
    passwords_free(fixture.passwords);
    sasl_free(fixture.sasl);
    return check_end();
}
