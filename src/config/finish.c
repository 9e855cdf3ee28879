/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* finish.c: what one option cannot see alone.  Start reading at config_finish(). */
#include "config/body.h"

#include "base/must.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DOMAIN_OR_ADDRESS_MAX = 320
};

/* clang-format off */
static const struct kind_facts {
    const char *name;
    uint16_t port;
    enum listen_tls tls;
} kinds[] = {
    [LISTEN_SMTP]        = { "smtp",        25,  LISTEN_TLS_STARTTLS },
    [LISTEN_SUBMISSION]  = { "submission",  587, LISTEN_TLS_STARTTLS },
    [LISTEN_SUBMISSIONS] = { "submissions", 465, LISTEN_TLS_IMPLICIT },
    [LISTEN_POP3]        = { "pop3",        110, LISTEN_TLS_STARTTLS },
    [LISTEN_POP3S]       = { "pop3s",       995, LISTEN_TLS_IMPLICIT },
};
/* clang-format on */

static const char *const doors[] = { "mx", "submission", "local", "bounce" };
static const char *const lanes[] = { "code", "personal", "notice", "bulk" };

static void
finish_names(struct config *config)
{
    struct arena *arena = &config->body->arena;
    char host[256] = "";

    if (!config->server.hostname.len) {
        if (gethostname(host, sizeof(host) - 1) || !host[0])
            snprintf(host, sizeof(host), "localhost");
        must(arena_copy(arena, str_from(host), &config->server.hostname));
    }
    if (!config->server.postmaster.len)
        must(arena_printf(arena, &config->server.postmaster, "postmaster@%.*s",
                          STR_ARG(config->server.hostname)));
    if (!config->delivery.helo_name.len)
        config->delivery.helo_name = config->server.hostname;
}

static void
add_usual_listeners(struct config *config)
{
    bool has_tls = config->tls.certificate.len > 0;

    for (size_t i = LISTEN_SMTP; i <= LISTEN_POP3S; i++) {
        /* Logins need TLS: without a certificate only the MX has sense. */
        if (has_tls || i == LISTEN_SMTP)
            must(config_add_listen(config, str_from(kinds[i].name), 0));
    }
}

static void
finish_kind(struct config_listen *listen, unsigned line, struct config_problems *problems)
{
    for (size_t i = LISTEN_SMTP; i < COUNT_OF(kinds) && listen->kind == LISTEN_AUTO; i++) {
        if (str_eq(listen->name, str_from(kinds[i].name)))
            listen->kind = (enum listen_kind)i;
    }
    if (listen->kind == LISTEN_AUTO)
        problem_addf(problems, line, 1,
                     "name it smtp, submission, submissions, pop3 or pop3s, or add kind smtp; "
                     "(or another kind)",
                     "nothing says what is spoken at listen %.*s",
                     STR_ARG(str_head(listen->name, 60)));
}

static void
finish_listener(struct config *config, size_t i, struct config_problems *problems)
{
    struct config_listen *listen = &config->listeners[i];
    unsigned line = config->body->listen_lines[i];
    bool has_tls = config->tls.certificate.len > 0;

    for (size_t k = 0; k < i; k++) {
        if (str_eq(config->listeners[k].name, listen->name))
            problem_addf(problems, line, 1,
                         "give each its own name, such as smtp-2 with kind smtp;",
                         "there are two blocks listen %.*s", STR_ARG(str_head(listen->name, 60)));
    }
    finish_kind(listen, line, problems);
    if (listen->kind == LISTEN_AUTO)
        return;
    if (!listen->address.count) {
        listen->address.items = arena_new(&config->body->arena, struct endpoint);
        must(listen->address.items);
        listen->address.items[0].port = kinds[listen->kind].port; /* Zeroed: :: */
        listen->address.count = 1;
    }
    if (listen->tls == LISTEN_TLS_AUTO) {
        listen->tls = kinds[listen->kind].tls;
        if (!has_tls && listen->tls == LISTEN_TLS_STARTTLS)
            listen->tls = LISTEN_TLS_NONE;
    }
    if (!has_tls && listen->tls != LISTEN_TLS_NONE)
        problem_addf(problems, line, 1,
                     "add tls { certificate FILE; key FILE; }, or make one for tests with: "
                     "outpost setup --dev",
                     "listen %.*s needs TLS, and there is no certificate",
                     STR_ARG(str_head(listen->name, 60)));
}

/* What stands beside the URL goes into the target; what is open yet gets its usual value. */
static void
finish_target(struct config_route *route)
{
    struct relay_target *to = &route->to;

    if (route->username.len)
        to->user = route->username;
    to->password_file = route->password_file;
    route->fallback.password_file = route->fallback_password_file;
    if (route->fallback.kind != RELAY_NONE)
        relay_resolve(&route->fallback);
    if (route->tls != RELAY_TLS_AUTO && to->kind >= RELAY_SMTP && to->kind <= RELAY_LMTP &&
        to->kind != RELAY_SMTPS)
        to->tls = route->tls;
    if (route->auth != RELAY_AUTH_AUTO)
        to->auth = route->auth;
    if (route->verify != RELAY_VERIFY_AUTO)
        to->verify = route->verify;
    relay_resolve(to);
}

static bool
is_loopback(str host)
{
    return str_eq_nocase(host, S("localhost")) || str_starts(host, S("127.")) ||
           str_eq(host, S("::1"));
}

static void
check_login(const struct config_route *route, const char *what, unsigned line,
            struct config_problems *problems)
{
    const struct relay_target *to = &route->to;

    if ((route->fallback.user.len > 0) != (route->fallback_password_file.len > 0) &&
        route->fallback.auth != RELAY_AUTH_NONE)
        problem_addf(problems, line, 1,
                     "write fallback smtp://USER@HOST; and fallback_password_file FILE; together",
                     "the fallback of %s %.*s has a user or a password, but not both", what,
                     STR_ARG(str_head(route->name, 60)));
    if (route->fallback.kind == RELAY_LOCAL || route->fallback.kind == RELAY_MX)
        problem_addf(problems, line, 1, "write fallback smtp://HOST;",
                     "the fallback of %s %.*s names no host", what,
                     STR_ARG(str_head(route->name, 60)));
    if (to->kind == RELAY_HTTP && to->password_file.len && !is_loopback(to->host))
        problem_addf(problems, line, 1, "write https://, or leave the secret away",
                     "%s %.*s would send its secret in the clear", what,
                     STR_ARG(str_head(route->name, 60)));
    if (to->password_file.len && !to->user.len && !relay_is_http(to))
        problem_addf(problems, line, 1, "add username NAME; or write it into the URL before an @",
                     "%s %.*s has a password but no user", what,
                     STR_ARG(str_head(route->name, 60)));
    if (to->user.len && !to->password_file.len && to->auth != RELAY_AUTH_NONE)
        problem_addf(
            problems, line, 1, "add password_file FILE; with the password in the file's first line",
            "%s %.*s has a user but no password", what, STR_ARG(str_head(route->name, 60)));
}

/* As value.c takes it under `domain`. */
static void
use_name_as_domain(struct config *config, struct config_route *route, unsigned line,
                   struct config_problems *problems)
{
    char *lower;

    if (!route->name.len || route->name.len > DOMAIN_OR_ADDRESS_MAX || !str_is_utf8(route->name) ||
        str_find(route->name, ' ') >= 0) {
        problem_addf(
            problems, line, 1, "write route example.org {, or add domain example.org;",
            "the label of a route is a domain, unless the block says something of its mail");
        return;
    }
    route->domain.items = arena_new(&config->body->arena, str);
    lower = arena_alloc(&config->body->arena, route->name.len);
    must(route->domain.items && lower);
    for (size_t i = 0; i < route->name.len; i++)
        lower[i] = ascii_lower(route->name.ptr[i]);
    route->domain.items[0] = (str){ lower, route->name.len };
    route->domain.count = 1;
}

static bool
says_of_mail(const struct config_route *route)
{
    return route->domain.count || route->recipient.count || route->sender.count ||
           route->account.count || route->network.count || route->door.count || route->lane.count ||
           route->size_over || route->size_under;
}

static void
check_words(const struct config_texts *texts, const char *const *known, size_t count,
            const char *what, unsigned line, struct config_problems *problems)
{
    for (size_t i = 0; i < texts->count; i++) {
        size_t k = 0;
        while (k < count && !str_eq(texts->items[i], str_from(known[k])))
            k++;
        if (k == count)
            problem_addf(problems, line, 1, "outpost config explain route lists them",
                         "there is no %s \"%.*s\"", what, STR_ARG(str_head(texts->items[i], 60)));
    }
}

static void
finish_route(struct config *config, size_t i, struct config_problems *problems)
{
    struct config_route *route = &config->routes[i];
    unsigned line = config->body->route_lines[i];

    /* Connections and their credentials are kept under the name. */
    for (size_t k = 0; k < i; k++) {
        if (str_eq(config->routes[k].name, route->name))
            problem_addf(problems, line, 1,
                         "give each its own name, and say domain or sender in the block",
                         "there are two blocks route %.*s", STR_ARG(str_head(route->name, 60)));
    }
    if (route->size_under && route->size_over >= route->size_under)
        problem_addf(problems, line, 1, "let size_over be less than size_under",
                     "no mail is of the size that route %.*s wants",
                     STR_ARG(str_head(route->name, 60)));
    if (route->to.kind == RELAY_NONE) {
        problem_addf(problems, line, 1, "add to smtp://HOST; or another next hop",
                     "route %.*s does not say where its mail goes",
                     STR_ARG(str_head(route->name, 60)));
        return;
    }
    check_words(&route->door, doors, COUNT_OF(doors), "door", line, problems);
    check_words(&route->lane, lanes, COUNT_OF(lanes), "lane", line, problems);
    if (!says_of_mail(route))
        use_name_as_domain(config, route, line, problems);
    finish_target(route);
    check_login(route, "route", line, problems);
}

static void
finish_relay(struct config *config, struct config_problems *problems)
{
    struct config_route *relay = &config->relay;
    unsigned line = config->body->relay_line;

    if (relay->to.kind != RELAY_NONE) {
        finish_target(relay);
        check_login(relay, "relay", line, problems);
    } else if (line) {
        problem_addf(problems, line, 1, "add to smtp://HOST; or another next hop",
                     "relay does not say where mail goes");
    }
}

static unsigned
line_of(const struct config *config, const char *key)
{
    const struct option *option = option_find_key(str_from(key));

    must(option);
    return config->body->lines[option - options];
}

static void
check_pairs(struct config *config, struct config_problems *problems)
{
    if (config->tls.certificate.len && !config->tls.key.len)
        problem_addf(problems, line_of(config, "tls.certificate"), 1,
                     "add key FILE; to the section tls", "the certificate has no key");
    if (config->tls.key.len && !config->tls.certificate.len)
        problem_addf(problems, line_of(config, "tls.key"), 1,
                     "add certificate FILE; to the section tls", "the key has no certificate");
}

/* A value that was not set gives way to one that was. */
static void
finish_schedule(struct config *config, struct config_problems *problems)
{
    struct config_delivery *delivery = &config->delivery;
    unsigned min_line = line_of(config, "delivery.retry_min");
    unsigned max_line = line_of(config, "delivery.retry_max");
    unsigned warning_line = line_of(config, "delivery.delay_warning");
    unsigned expire_line = line_of(config, "delivery.expire");

    if (delivery->retry_min > delivery->retry_max && !max_line)
        delivery->retry_max = delivery->retry_min;
    if (delivery->retry_min > delivery->retry_max && !min_line)
        delivery->retry_min = delivery->retry_max;
    if (delivery->retry_min > delivery->retry_max)
        problem_addf(problems, MAX(min_line, max_line), 1, "make retry_min the smaller one",
                     "retry_min is longer than retry_max");
    if (delivery->delay_warning >= delivery->expire && !warning_line)
        delivery->delay_warning = 0;
    if (delivery->delay_warning >= delivery->expire)
        problem_addf(problems, MAX(warning_line, expire_line), 1,
                     "make delay_warning shorter than expire, or 0s for no warning",
                     "delay_warning would come after the message expired");
}

static void
check_bounces(struct config *config, struct config_problems *problems)
{
    const struct config_bounces *bounces = &config->bounces;

    if (bounces->return_path == RETURN_PATHS_DOMAIN && !bounces->domain.len)
        problem_addf(problems, line_of(config, "bounces.return_path"), 1,
                     "add domain bounces.example.org; whose MX leads here",
                     "return_path domain needs a domain");
    if (bounces->return_path != RETURN_PATHS_OFF && bounces->keep > config->events.retention)
        problem_addf(problems,
                     MAX(line_of(config, "bounces.keep"), line_of(config, "events.retention")), 1,
                     "make bounces.keep the shorter one",
                     "bounces.keep is longer than the events tell of whom a bounce speaks");
}

void
config_finish(struct config *config, struct config_problems *problems)
{
    finish_names(config);
    if (!config->listener_count)
        add_usual_listeners(config);
    for (size_t i = 0; i < config->listener_count; i++)
        finish_listener(config, i, problems);
    for (size_t i = 0; i < config->route_count; i++)
        finish_route(config, i, problems);
    finish_relay(config, problems);
    config_finish_sources(config, problems);
    config_finish_dkim(config, problems);
    config_finish_lists(config, problems);
    check_pairs(config, problems);
    finish_schedule(config, problems);
    check_bounces(config, problems);
}
