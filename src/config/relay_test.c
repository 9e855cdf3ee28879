/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* relay_test.c: the URLs of next hops, read, refused and written. */
#include "config/relay.h"

#include "check.h"

struct url_case {
    const char *url;
    enum relay_kind kind;
    const char *host;
    unsigned port;
    const char *user;
    const char *path;
    enum relay_tls tls;
    enum relay_verify verify;
    const char *written; /* NULL: as `url` */
};

/* clang-format off */
static const struct url_case good[] = {
    { "mx", RELAY_MX, "", 0, "", "", RELAY_TLS_MAY, RELAY_VERIFY_OFF, NULL },
    { "local", RELAY_LOCAL, "", 0, "", "", RELAY_TLS_MAY, RELAY_VERIFY_OFF, NULL },
    { "smtp://mx.example.org", RELAY_SMTP, "mx.example.org", 25, "", "", RELAY_TLS_MAY,
      RELAY_VERIFY_OFF, "smtp://mx.example.org:25" },
    { "smtp://ann@mx.example.org", RELAY_SMTP, "mx.example.org", 587, "ann", "",
      RELAY_TLS_REQUIRE, RELAY_VERIFY_ON, "smtp://ann@mx.example.org:587" },
    { "smtp://ann@example.org@mx.example.org:25", RELAY_SMTP, "mx.example.org", 25,
      "ann@example.org", "", RELAY_TLS_REQUIRE, RELAY_VERIFY_ON, NULL },
    { "smtps://ann%40example.org@smtp.gmail.com", RELAY_SMTPS, "smtp.gmail.com", 465,
      "ann@example.org", "", RELAY_TLS_REQUIRE, RELAY_VERIFY_ON,
      "smtps://ann@example.org@smtp.gmail.com:465" },
    { "smtp://127.0.0.1:2525?tls=off", RELAY_SMTP, "127.0.0.1", 2525, "", "", RELAY_TLS_OFF,
      RELAY_VERIFY_OFF, NULL },
    { "smtp://[2001:db8::1]:26?tls=require&verify=off", RELAY_SMTP, "2001:db8::1", 26, "", "",
      RELAY_TLS_REQUIRE, RELAY_VERIFY_OFF, NULL },
    { "lmtp://dovecot.lan", RELAY_LMTP, "dovecot.lan", 24, "", "", RELAY_TLS_MAY, RELAY_VERIFY_OFF,
      "lmtp://dovecot.lan:24" },
    { "https://hook.example.org/in?tls=off&x=%20", RELAY_HTTPS, "hook.example.org", 443, "", "/in?tls=off&x=%20",
      RELAY_TLS_REQUIRE, RELAY_VERIFY_ON, "https://hook.example.org:443/in?tls=off&x=%20" },
    { "http://ann@[::1]:8080", RELAY_HTTP, "::1", 8080, "ann", "/", RELAY_TLS_OFF, RELAY_VERIFY_OFF,
      "http://ann@[::1]:8080/" },
    { "pipe:/usr/bin/program -a {recipient}", RELAY_PIPE, "", 0, "", "/usr/bin/program -a {recipient}",
      RELAY_TLS_OFF, RELAY_VERIFY_OFF, NULL },
    { "lmtp:///run/dovecot/lmtp", RELAY_LMTP, "", 0, "", "/run/dovecot/lmtp", RELAY_TLS_MAY,
      RELAY_VERIFY_OFF, NULL },
};

static const char *const bad[] = {
    "", "ftp://example.org", "http://", "https://example.org/a b", "https://example.org/#x", "https://a:b@example.org/",
    "pipe:", "pipe:program", "pipe:/a\tb", "smtp:example.org", "smtp://", "smtp://a:secret@example.org",
    "smtp://example.org:0", "smtp://example.org:65536", "smtp://example.org:", "smtp://@example.org",
    "smtp://example.org/inbox", "smtp://[::1", "smtp://[::1]x", "smtp://ex ample.org",
    "smtp://example.org?tls", "smtp://example.org?tls=maybe", "smtp://example.org?colour=red",
    "smtps://example.org?tls=off", "lmtp://example.org?mx=yes", "lmtp:///", "smtp://-example.org",
};
/* clang-format on */

static void
each_form_of_url_gives_its_target_and_comes_back(void)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        const struct url_case *c = &good[i];
        struct relay_target target = { 0 };
        struct arena arena;
        struct why why = { "" };
        str written = { 0 };

        arena_init(&arena, 65536);
        CHECK(relay_parse_url(&arena, str_from(c->url), &target, &why) == OK);
        CHECK(target.kind == c->kind && target.port == c->port);
        CHECK(target.tls == c->tls && target.verify == c->verify);
        CHECK_STR(target.host, c->host);
        CHECK_STR(target.user, c->user);
        CHECK_STR(target.path, c->path);
        CHECK(relay_format_url(&arena, &target, &written));
        CHECK_STR(written, c->written ? c->written : c->url);
        arena_done(&arena);
    }
}

static void
a_bad_url_is_refused_with_a_reason(void)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct relay_target target = { 0 };
        struct arena arena;
        struct why why = { "" };

        arena_init(&arena, 65536);
        CHECK(relay_parse_url(&arena, str_from(bad[i]), &target, &why) == ERR_SYNTAX);
        CHECK(why.text[0] != '\0');
        CHECK(target.kind == RELAY_NONE);
        arena_done(&arena);
    }
}

static void
a_parameter_sets_what_it_names(void)
{
    struct relay_target target;
    struct arena arena;

    arena_init(&arena, 65536);
    CHECK(relay_parse_url(&arena, S("smtp://example.org?mx=yes&auth=plain"), &target, NULL) == OK);
    CHECK(target.mx && target.auth == RELAY_AUTH_PLAIN);
    arena_done(&arena);
}

int
main(void)
{
    RUN(each_form_of_url_gives_its_target_and_comes_back);
    RUN(a_bad_url_is_refused_with_a_reason);
    RUN(a_parameter_sets_what_it_names);
    return check_end();
}
