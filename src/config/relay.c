/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* relay.c: reads and writes the URLs of next hops.  Start reading at relay_parse_url(). */
#include "config/relay.h"

#include "base/ipaddr.h"

#include <string.h>

enum {
    HOST_SIZE_MAX = 255,
    USER_SIZE_MAX = 320,
    PATH_SIZE_MAX = 1000
};

struct word {
    const char *name;
    int value;
};

/* clang-format off */
static const struct word tls_words[] = {
    { "off", RELAY_TLS_OFF }, { "may", RELAY_TLS_MAY }, { "require", RELAY_TLS_REQUIRE },
};
static const struct word auth_words[] = {
    { "auto", RELAY_AUTH_AUTO }, { "none", RELAY_AUTH_NONE }, { "plain", RELAY_AUTH_PLAIN },
    { "login", RELAY_AUTH_LOGIN }, { "scram-sha-256", RELAY_AUTH_SCRAM_SHA_256 },
};
static const struct word verify_words[] = {
    { "on", RELAY_VERIFY_ON }, { "off", RELAY_VERIFY_OFF },
};
static const struct word mx_words[] = { { "yes", 1 }, { "no", 0 } };
/* clang-format on */

static bool
find_word(const struct word *words, size_t count, str text, int *value)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(text, str_from(words[i].name))) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

static const char *
word_name(const struct word *words, size_t count, int value)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].value == value)
            return words[i].name;
    }
    return NULL;
}

static enum err
parse_parameter(str parameter, struct relay_target *target, struct why *why)
{
    str name, value;
    int found;

    if (!str_split(parameter, '=', &name, &value))
        return err_why(why, ERR_SYNTAX, "\"%.*s\" has no value; write tls=require, for example",
                       STR_ARG(str_head(parameter, 60)));
    if (str_eq_nocase(name, S("tls")) && find_word(tls_words, COUNT_OF(tls_words), value, &found))
        target->tls = (enum relay_tls)found;
    else if (str_eq_nocase(name, S("auth")) &&
             find_word(auth_words, COUNT_OF(auth_words), value, &found))
        target->auth = (enum relay_auth)found;
    else if (str_eq_nocase(name, S("verify")) &&
             find_word(verify_words, COUNT_OF(verify_words), value, &found))
        target->verify = (enum relay_verify)found;
    else if (str_eq_nocase(name, S("mx")) && find_word(mx_words, COUNT_OF(mx_words), value, &found))
        target->mx = found != 0;
    else
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" is not known here; there are tls=off|may|require, verify=on|off, "
                       "auth=auto|none|plain|login|scram-sha-256 and mx=yes|no",
                       STR_ARG(str_head(parameter, 60)));
    return OK;
}

static enum err
parse_parameters(str query, struct relay_target *target, struct why *why)
{
    while (query.len) {
        str parameter, rest;
        enum err e;

        if (!str_split(query, '&', &parameter, &rest))
            rest = (str){ 0 };
        e = parse_parameter(parameter, target, why);
        if (e)
            return e;
        query = rest;
    }
    return OK;
}

/* Undoes %XX, so that a user may hold an `@`. */
static bool
unescape(struct arena *arena, str text, str *plain)
{
    char *bytes = arena_alloc(arena, text.len + 1);
    size_t size = 0;

    if (!bytes)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool escaped = text.ptr[i] == '%' && i + 2 < text.len && ascii_hex(text.ptr[i + 1]) >= 0 &&
                       ascii_hex(text.ptr[i + 2]) >= 0;

        bytes[size++] = text.ptr[i];
        if (escaped) {
            bytes[size - 1] = (char)(ascii_hex(text.ptr[i + 1]) * 16 + ascii_hex(text.ptr[i + 2]));
            i += 2;
        }
    }
    *plain = (str){ bytes, size };
    return true;
}

static enum err
parse_user(struct arena *arena, str text, struct relay_target *target, struct why *why)
{
    if (str_find(text, ':') >= 0)
        return err_why(why, ERR_SYNTAX,
                       "a password does not belong in a URL, where every log shows it; put it into "
                       "a file and name that with password_file");
    if (text.len == 0 || text.len > USER_SIZE_MAX)
        return err_why(why, ERR_SYNTAX, "the user before the @ has no sensible length");
    if (!unescape(arena, text, &target->user))
        return err_why(why, ERR_LIMIT, "the URL is too long");
    if (!str_is_printable(target->user) && !str_is_utf8(target->user))
        return err_why(why, ERR_SYNTAX, "the user before the @ is not text");
    return OK;
}

static bool
host_is_sensible(str host)
{
    ipaddr addr;

    if (host.len == 0 || host.len > HOST_SIZE_MAX)
        return false;
    if (ipaddr_parse(host, &addr))
        return true;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        if (!ascii_is_alnum(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return host.ptr[0] != '.' && host.ptr[0] != '-';
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; the port stays 0 when none is given. */
static enum err
parse_host(struct arena *arena, str text, struct relay_target *target, struct why *why)
{
    str host = text;
    str port = { 0 };
    bool has_port;
    uint64_t number;

    if (str_starts(text, S("["))) {
        ssize_t end = str_find(text, ']');

        if (end < 0)
            return err_why(why, ERR_SYNTAX, "the [ of the address has no ]");
        host = (str){ text.ptr + 1, (size_t)end - 1 };
        port = str_skip(text, (size_t)end + 1);
        has_port = str_starts(port, S(":"));
        if (port.len && !has_port)
            return err_why(why, ERR_SYNTAX, "after ] comes :PORT or nothing");
        port = str_skip(port, 1);
    } else {
        has_port = str_split(text, ':', &host, &port);
    }
    if (!host_is_sensible(host))
        return err_why(why, ERR_SYNTAX, "\"%.*s\" is not a host name or address",
                       STR_ARG(str_head(host, 60)));
    if (has_port) {
        if (!str_to_u64(port, &number) || number < 1 || number > 65535)
            return err_why(why, ERR_SYNTAX, "\"%.*s\" is not a port; ports are 1 to 65535",
                           STR_ARG(str_head(port, 20)));
        target->port = (uint16_t)number;
    }
    if (!arena_copy(arena, host, &target->host))
        return err_why(why, ERR_LIMIT, "the URL is too long");
    return OK;
}

static enum err
parse_authority(struct arena *arena, str rest, struct relay_target *target, struct why *why)
{
    str authority = rest;
    str path;
    ssize_t at;
    enum err e;

    if (str_split(rest, '/', &authority, &path) && path.len)
        return err_why(why, ERR_SYNTAX,
                       "nothing stands after the host; only lmtp:///PATH has a path");
    at = str_find_last(authority, '@');
    if (at >= 0) {
        e = parse_user(arena, str_head(authority, (size_t)at), target, why);
        if (e)
            return e;
        authority = str_skip(authority, (size_t)at + 1);
    }
    return parse_host(arena, authority, target, why);
}

static bool
parse_scheme(str url, struct relay_target *target, str *rest)
{
    /* clang-format off */
    static const struct word schemes[] = {
        { "smtp://", RELAY_SMTP }, { "smtps://", RELAY_SMTPS }, { "lmtp://", RELAY_LMTP },
        { "http://", RELAY_HTTP }, { "https://", RELAY_HTTPS }, { "pipe:", RELAY_PIPE },
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (str_starts_nocase(url, str_from(schemes[i].name))) {
            target->kind = (enum relay_kind)schemes[i].value;
            *rest = str_skip(url, strlen(schemes[i].name));
            return true;
        }
    }
    return false;
}

static uint16_t
usual_port(const struct relay_target *target)
{
    if (!target->host.len)
        return 0;
    if (target->kind == RELAY_SMTPS)
        return 465;
    if (target->kind == RELAY_LMTP)
        return 24;
    if (relay_is_http(target))
        return target->kind == RELAY_HTTPS ? 443 : 80;
    return target->user.len ? 587 : 25;
}

void
relay_resolve(struct relay_target *target)
{
    if (target->port == 0)
        target->port = usual_port(target);
    if (relay_is_http(target) || target->kind == RELAY_PIPE)
        target->tls = target->kind == RELAY_HTTPS ? RELAY_TLS_REQUIRE : RELAY_TLS_OFF;
    if (target->tls == RELAY_TLS_AUTO)
        target->tls =
            target->kind == RELAY_SMTPS || target->user.len ? RELAY_TLS_REQUIRE : RELAY_TLS_MAY;
    if (target->verify == RELAY_VERIFY_AUTO)
        target->verify = target->tls == RELAY_TLS_REQUIRE ? RELAY_VERIFY_ON : RELAY_VERIFY_OFF;
}

static enum err
copy_path(struct arena *arena, str path, struct relay_target *target, struct why *why)
{
    if (path.len > PATH_SIZE_MAX || !str_is_printable(path))
        return err_why(why, ERR_SYNTAX, "a path has at most 1000 bytes, all of them printable");
    if (!arena_copy(arena, path, &target->path))
        return err_why(why, ERR_LIMIT, "the URL is too long");
    return OK;
}

/* HOST/PATH?QUERY: what follows the host is the server's affair. */
static enum err
parse_http(struct arena *arena, str rest, struct relay_target *target, struct why *why)
{
    ssize_t slash = str_find(rest, '/');
    str authority = slash < 0 ? rest : str_head(rest, (size_t)slash);
    str path = slash < 0 ? S("/") : str_skip(rest, (size_t)slash);
    enum err e;

    if (str_find(path, ' ') >= 0 || str_find(path, '#') >= 0)
        return err_why(why, ERR_SYNTAX,
                       "a blank or # does not belong in a URL; write %%20 or %%23");
    e = copy_path(arena, path, target, why);
    if (e)
        return e;
    return parse_authority(arena, authority, target, why);
}

static enum err
parse_command(struct arena *arena, str rest, struct relay_target *target, struct why *why)
{
    str command = str_trim(rest);

    if (!str_starts(command, S("/")))
        return err_why(why, ERR_SYNTAX,
                       "after pipe: comes the path of a program from / on, then its arguments, all "
                       "in one pair of quotes");
    return copy_path(arena, command, target, why);
}

static enum err
parse_parts(struct arena *arena, str url, struct relay_target *found, struct why *why)
{
    str rest;
    str query = { 0 };
    enum err e = OK;

    if (str_eq_nocase(url, S("mx")) || str_eq_nocase(url, S("local"))) {
        found->kind = ascii_lower(url.ptr[0]) == 'm' ? RELAY_MX : RELAY_LOCAL;
        return OK;
    }
    if (!parse_scheme(url, found, &rest))
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" is no next hop; write smtp://HOST, smtps://USER@HOST, "
                       "lmtp://HOST:PORT, lmtp:///PATH, https://HOST/PATH, pipe:/PROGRAM, mx or "
                       "local",
                       STR_ARG(str_head(url, 60)));
    if (relay_is_http(found))
        return parse_http(arena, rest, found, why);
    if (found->kind == RELAY_PIPE)
        return parse_command(arena, rest, found, why);
    if (str_split(rest, '?', &rest, &query)) {
        e = parse_parameters(query, found, why);
        if (e)
            return e;
    }
    if (found->kind == RELAY_LMTP && str_starts(rest, S("/"))) {
        if (rest.len < 2 || rest.len > 100)
            return err_why(why, ERR_SYNTAX, "a socket's path has 2 to 100 bytes");
        if (!arena_copy(arena, rest, &found->path))
            return err_why(why, ERR_LIMIT, "the URL is too long");
        return OK;
    }
    return parse_authority(arena, rest, found, why);
}

enum err
relay_parse_unresolved(struct arena *arena, str url, struct relay_target *target, struct why *why)
{
    struct relay_target found = { 0 };
    enum err e = parse_parts(arena, str_trim(url), &found, why);

    if (e)
        return e;
    if (found.kind == RELAY_SMTPS && found.tls && found.tls != RELAY_TLS_REQUIRE)
        return err_why(why, ERR_SYNTAX,
                       "smtps:// is always encrypted; for tls=off or may write smtp://");
    if (found.mx && found.kind == RELAY_LMTP)
        return err_why(why, ERR_SYNTAX,
                       "mx=yes belongs to smtp://; LMTP servers have no MX records");
    *target = found;
    return OK;
}

enum err
relay_parse_url(struct arena *arena, str url, struct relay_target *target, struct why *why)
{
    enum err e = relay_parse_unresolved(arena, url, target, why);

    if (e)
        return e;
    relay_resolve(target);
    return OK;
}

/* The user with everything but letters, digits and - . _ + as %XX. */
static bool
escape_user(struct arena *arena, str user, str *escaped)
{
    static const char hex[] = "0123456789ABCDEF";
    char *bytes = arena_alloc(arena, user.len * 3 + 2);
    size_t size = 0;

    if (!bytes)
        return false;
    for (size_t i = 0; i < user.len; i++) {
        unsigned char c = (unsigned char)user.ptr[i];

        if (ascii_is_alnum((char)c) || (c && strchr("-._+@", c))) {
            bytes[size++] = (char)c;
        } else {
            bytes[size++] = '%';
            bytes[size++] = hex[c >> 4];
            bytes[size++] = hex[c & 15];
        }
    }
    if (user.len)
        bytes[size++] = '@';
    *escaped = (str){ bytes, size };
    return true;
}

bool
relay_format_url(struct arena *arena, const struct relay_target *target, str *url)
{
    static const char *const schemes[] = { "none",    "mx",      "local",    "smtp://", "smtps://",
                                           "lmtp://", "http://", "https://", "pipe:" };
    struct relay_target plain = { .kind = target->kind, .user = target->user };
    const char *tls = word_name(tls_words, COUNT_OF(tls_words), target->tls);
    const char *verify = word_name(verify_words, COUNT_OF(verify_words), target->verify);
    const char *auth = word_name(auth_words, COUNT_OF(auth_words), target->auth);
    bool v6 = str_find(target->host, ':') >= 0;
    str user, place;

    if (target->kind <= RELAY_LOCAL)
        return arena_copy(arena, str_from(schemes[target->kind]), url);
    if (!escape_user(arena, target->user, &user))
        return false;
    if (!target->host.len)
        return arena_printf(arena, url, "%s%.*s", schemes[target->kind], STR_ARG(target->path));
    if (relay_is_http(target))
        return arena_printf(arena, url, "%s%.*s%s%.*s%s:%u%.*s", schemes[target->kind],
                            STR_ARG(user), v6 ? "[" : "", STR_ARG(target->host), v6 ? "]" : "",
                            target->port, STR_ARG(target->path));
    if (!arena_printf(arena, &place, "%s%.*s%s%.*s%s:%u", schemes[target->kind], STR_ARG(user),
                      v6 ? "[" : "", STR_ARG(target->host), v6 ? "]" : "", target->port))
        return false;

    /* What the rest implies is left away. */
    relay_resolve(&plain);
    if (plain.tls == target->tls)
        tls = NULL;
    plain.tls = target->tls;
    plain.verify = RELAY_VERIFY_AUTO;
    relay_resolve(&plain);
    if (plain.verify == target->verify)
        verify = NULL;
    if (target->auth == RELAY_AUTH_AUTO)
        auth = NULL;
    if (!arena_printf(arena, url, "%.*s%s%s%s%s%s%s%s", STR_ARG(place), tls ? "&tls=" : "",
                      tls ? tls : "", verify ? "&verify=" : "", verify ? verify : "",
                      auth ? "&auth=" : "", auth ? auth : "", target->mx ? "&mx=yes" : ""))
        return false;
    if (url->len > place.len)
        ((char *)(uintptr_t)url->ptr)[place.len] = '?';
    return true;
}
