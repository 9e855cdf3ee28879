/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* setup_text.c: the words of setup: its flags, its outpost.conf, its card. */
#include "cli/setup_text.h"

#include "cli/devca.h"
#include "config/config.h"
#include "formats/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned port;
} usual[] = {
    { "smtp", 25 },  { "submission", 587 }, { "submissions", 465 },
    { "pop3", 110 }, { "pop3s", 995 },
};

static int
wrong(struct call *call, const char *flag, const char *value, const char *cure)
{
    return call_fail(call, EXIT_USAGE, "usage", cure, "%s cannot be \"%s\"", flag, value);
}

static int
read_address(struct call *call, struct setup_wishes *w)
{
    str address = str_from(call->args[0]);
    ssize_t at = str_find_last(address, '@');

    w->address = address;
    if (at > 0 && (size_t)at + 1 < address.len && address.len <= 320) {
        str spelled; /* As hosts and certificates have it: in A-labels. */

        if (!domain_to_alabel(str_skip(address, (size_t)at + 1), &call->arena, &spelled) &&
            arena_copy(&call->arena, spelled, &w->domain))
            return EXIT_OK;
    }
    return call_fail(call, EXIT_USAGE, "usage", "write it as ann@example.org",
                     "\"%s\" is not a mail address", call->args[0]);
}

/* The file whose first line is the password of HOP, from the flags; NULL: none was given. */
static const char *
given_password_file(struct call *call, const struct setup_hop *hop)
{
    const char *text;
    unsigned at = 0;

    if (!hop->domain.len)
        return call_text(call, "--relay-password-file");
    while ((text = call_each(call, "--route-password-file", &at))) {
        str domain, path;

        if (str_split(str_from(text), '=', &domain, &path) && str_eq_nocase(domain, hop->domain))
            return path.ptr;
    }
    return NULL;
}

static int
read_first_line(struct call *call, const char *path, str *password)
{
    char line[1024] = "";
    FILE *file = fopen(path, "re");
    bool kept;

    if (!file || !fgets(line, sizeof(line), file)) {
        if (file)
            fclose(file);
        return call_fail(call, EXIT_NOINPUT, "no_password",
                         "name a file whose first line is the password",
                         "cannot read a password from %s", path);
    }
    fclose(file);
    kept = arena_copy(&call->arena, (str){ line, strcspn(line, "\r\n") }, password);
    explicit_bzero(line, sizeof(line));
    return kept ? EXIT_OK : EXIT_INTERNAL;
}

static int
read_hop_password(struct call *call, struct setup_wishes *w, struct setup_hop *hop)
{
    const char *path = given_password_file(call, hop);
    char cure[200];
    str kept;

    if (!hop->target.user.len || hop->target.auth == RELAY_AUTH_NONE)
        return EXIT_OK;
    if (!arena_printf(&call->arena, &kept, "%s/secrets/%.*s.password", w->dir,
                      STR_ARG(hop->domain.len ? hop->domain : S("relay"))))
        return EXIT_INTERNAL;
    hop->password_file = kept.ptr;
    if (path)
        return read_first_line(call, path, &hop->password);
    if (access(kept.ptr, R_OK) == 0)
        return EXIT_OK; /* From an earlier run. */
    if (isatty(STDIN_FILENO) && !call_has(call, "--password-stdin")) {
        fprintf(stderr, "For %.*s at %.*s.  ", STR_ARG(hop->target.user),
                STR_ARG(hop->target.host));
        return call_ask_password(call, &hop->password);
    }
    snprintf(cure, sizeof(cure), "add %s%.*s%sFILE",
             hop->domain.len ? "--route-password-file " : "--relay-password-file ",
             STR_ARG(str_head(hop->domain, 100)), hop->domain.len ? "=" : "");
    return call_fail(call, EXIT_USAGE, "no_password", cure, "a password is needed for %.*s",
                     STR_ARG(hop->url));
}

static int
read_hop(struct call *call, struct setup_wishes *w, const char *flag, str domain, str url)
{
    struct setup_hop *hop = &w->hops[w->hop_count];
    struct why why = { "" };

    if (w->hop_count == SETUP_HOPS_MAX)
        return wrong(call, flag, url.ptr, "write more routes into outpost.conf itself");
    *hop = (struct setup_hop){ .domain = domain, .url = url };
    if (domain.len > 253 || str_find(domain, '/') >= 0)
        return wrong(call, flag, domain.ptr, "write it as example.org=smtp://mx.lan:25");
    if (relay_parse_url(&call->arena, url, &hop->target, &why))
        return wrong(call, flag, url.ptr, why.text);
    w->hop_count++;
    return read_hop_password(call, w, hop);
}

static int
read_hops(struct call *call, struct setup_wishes *w)
{
    const char *relay = call_text(call, "--relay");
    const char *text;
    unsigned at = 0;
    int exit = EXIT_OK;

    if (relay)
        exit = read_hop(call, w, "--relay", (str){ 0 }, str_from(relay));
    while (!exit && (text = call_each(call, "--route", &at))) {
        str domain, url;

        if (!str_split(str_from(text), '=', &domain, &url) || !domain.len)
            return wrong(call, "--route", text, "write it as example.org=smtp://mx.lan:25");
        exit = read_hop(call, w, "--route", domain, url);
    }
    return exit;
}

static int
read_listeners(struct call *call, struct setup_wishes *w)
{
    const char *text;
    unsigned at = 0;

    while ((text = call_each(call, "--listen", &at))) {
        struct endpoint endpoint;
        str name, address;

        if (!str_split(str_from(text), '=', &name, &address) || !name.len ||
            !endpoint_parse(address, &endpoint) || w->listener_count == SETUP_LISTENERS_MAX)
            return wrong(call, "--listen", text,
                         "write it as smtp=192.0.2.1:25 or submission=:587");
        w->listeners[w->listener_count++] = (struct setup_listener){ name, address };
    }
    return EXIT_OK;
}

static int
read_networks(struct call *call, struct setup_wishes *w)
{
    const char *text;
    unsigned at = 0;

    while ((text = call_each(call, "--trust", &at))) {
        struct network network;

        if (!network_parse(str_from(text), &network) || w->network_count == SETUP_NETWORKS_MAX)
            return wrong(call, "--trust", text, "write it as 192.0.2.0/24");
        w->networks[w->network_count++] = str_from(text);
    }
    at = 0;
    while ((text = call_each(call, "--dns", &at))) {
        struct endpoint endpoint;

        if (!endpoint_parse(str_from(text), &endpoint) || w->resolver_count == SETUP_NETWORKS_MAX)
            return wrong(call, "--dns", text, "write it as 127.0.0.1:53");
        w->resolvers[w->resolver_count++] = str_from(text);
    }
    return EXIT_OK;
}

/* --hostname, or the system's own name when it is a full one, or mail.DOMAIN. */
static int
choose_hostname(struct call *call, struct setup_wishes *w)
{
    char host[256] = "";
    str name;

    w->hostname = call_text(call, "--hostname");
    if (w->hostname)
        return domain_is_valid(str_from(w->hostname)) && str_is_ascii(str_from(w->hostname))
                   ? EXIT_OK
                   : wrong(call, "--hostname", w->hostname,
                           "write letters, digits, - and dots: mail.example.org");
    if (!w->dev && gethostname(host, sizeof(host) - 1) == 0 && strchr(host, '.')) {
        if (arena_copy(&call->arena, str_from(host), &name))
            w->hostname = name.ptr;
    } else if (arena_printf(&call->arena, &name, "mail.%.*s", STR_ARG(w->domain))) {
        w->hostname = name.ptr;
    }
    return EXIT_OK;
}

int
setup_read_wishes(struct call *call, struct setup_wishes *w)
{
    int exit = read_address(call, w);

    if (!exit)
        exit = read_listeners(call, w);
    if (!exit)
        exit = read_networks(call, w);
    if (!exit)
        exit = read_hops(call, w);
    return exit ? exit : choose_hostname(call, w);
}

size_t
setup_names(const struct setup_wishes *w, const char **names, size_t max)
{
    static const char *const local[] = { "localhost", "127.0.0.1", "::1" };
    size_t count = 0;

    names[count++] = w->hostname;
    if (count < max && strcmp(w->hostname, w->domain.ptr) != 0)
        names[count++] = w->domain.ptr;
    for (size_t i = 0; i < COUNT_OF(local) && count < max; i++)
        names[count++] = local[i];
    return count;
}

static bool
is_listed(const struct setup_wishes *w, str name)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        if (str_eq(w->listeners[i].name, name))
            return true;
    }
    return false;
}

/* With --dev every usual door has a block; without it only those that were asked for, and then the
 * usual ones beside them, since the defaults hold only while there is no block at all. */
static void
write_listeners(const struct setup_wishes *w, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(usual); i++) {
        bool listed = is_listed(w, str_from(usual[i].name));

        if (!w->dev && !w->listener_count)
            return;
        buf_addf(out, "listen %s {\n", usual[i].name);
        if (!listed && w->dev)
            buf_addf(out, "    address 127.0.0.1:%s%u;\n", usual[i].port < 100 ? "20" : "2",
                     usual[i].port);
        else if (!listed)
            buf_addf(out, "    address :%u;\n", usual[i].port);
        for (size_t k = 0; k < w->listener_count; k++) {
            if (str_eq(w->listeners[k].name, str_from(usual[i].name)))
                buf_addf(out, "    address %.*s;\n", STR_ARG(w->listeners[k].address));
        }
        buf_add(out, S("}\n"));
    }
    for (size_t k = 0; k < w->listener_count; k++) {
        bool is_usual = false;

        for (size_t i = 0; i < COUNT_OF(usual); i++)
            is_usual = is_usual || str_eq(w->listeners[k].name, str_from(usual[i].name));
        if (!is_usual)
            buf_addf(out, "listen %.*s {\n    address %.*s;\n}\n", STR_ARG(w->listeners[k].name),
                     STR_ARG(w->listeners[k].address));
    }
    buf_add(out, S("\n"));
}

static void
write_hops(const struct setup_wishes *w, struct buf *out)
{
    for (size_t i = 0; i < w->hop_count; i++) {
        const struct setup_hop *hop = &w->hops[i];

        if (hop->domain.len)
            buf_addf(out, "route %.*s {\n", STR_ARG(hop->domain));
        else
            buf_add(out,
                    S("# Everything that no route takes leaves by this smarthost.\nrelay {\n"));
        buf_addf(out, "    to %.*s;\n", STR_ARG(hop->url));
        if (hop->password_file)
            buf_addf(out, "    password_file \"%s\";\n", hop->password_file);
        buf_add(out, S("}\n\n"));
    }
}

static void
write_rest(const struct setup_wishes *w, struct buf *out)
{
    if (w->network_count) {
        buf_add(out, S("# These networks may send anywhere without login.\ntrust {\n"));
        for (size_t i = 0; i < w->network_count; i++)
            buf_addf(out, "    network %.*s;\n", STR_ARG(w->networks[i]));
        buf_add(out, S("}\n\n"));
    }
    if (w->resolver_count) {
        buf_add(out, S("dns {\n"));
        for (size_t i = 0; i < w->resolver_count; i++)
            buf_addf(out, "    forwarders %.*s;\n", STR_ARG(w->resolvers[i]));
        buf_add(out, S("}\n\n"));
    } else if (!w->dev && access("/usr/share/dns/root.key", R_OK) == 0) {
        buf_add(out, S("# DNSSEC is checked with the root's key.\ndns {\n"
                       "    trust_anchor_file /usr/share/dns/root.key;\n}\n\n"));
    }
}

void
setup_write_config(const struct setup_wishes *w, struct buf *out)
{
    buf_add(out, S("# Configuration of outpost.  What is not here has its default:\n"
                   "#   outpost config explain    lists all options and what they mean\n"
                   "#   outpost config check      after a change\n"
                   "# A reload (SIGHUP) applies most changes without dropping a session.\n\n"));
    buf_addf(out, "server {\n    hostname %s;\n    data_dir \"%s\";\n", w->hostname, w->dir);
    if (w->dev && geteuid() == 0)
        buf_add(out,
                S("    user \"\";    # A server for tests keeps the rights of who starts it.\n"));
    buf_add(out, S("}\n\n"));
    buf_addf(out,
             "# By the development CA beside it, until there is a real one.\n"
             "tls {\n    certificate \"%s\";\n    key \"%s\";\n}\n\n",
             w->certificate, w->key);
    write_listeners(w, out);
    write_hops(w, out);
    write_rest(w, out);
}

static const struct config_listen *
find_door(const struct config *config, enum listen_kind kind)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].kind == kind)
            return &config->listeners[i];
    }
    return NULL;
}

/* How a client here reaches DOOR. */
static void
door_host(const struct config *config, const struct config_listen *door, char text[256])
{
    const struct endpoint *endpoint = &door->address.items[0];
    char address[IPADDR_TEXT_MAX];

    ipaddr_format(endpoint->addr, address);
    if (ipaddr_is_any(endpoint->addr))
        snprintf(text, 256, "%s", config->server.hostname.ptr);
    else
        snprintf(text, 256, "%s", address);
}

static void
print_doors(struct call *call, const struct config *config)
{
    /* clang-format off */
    static const struct { enum listen_kind kind; const char *title; const char *type; } doors[] = {
        { LISTEN_SUBMISSIONS, "sending", "SMTPS (TLS), login" },
        { LISTEN_SUBMISSION, "sending", "SMTP with STARTTLS, login" },
        { LISTEN_SMTP, "from other servers", "SMTP" },
        { LISTEN_POP3S, "reading", "POP3S (TLS), login" },
        { LISTEN_POP3, "reading", "POP3 with STLS, login" },
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(doors); i++) {
        const struct config_listen *door = find_door(config, doors[i].kind);
        char host[256];

        if (!door)
            continue;
        door_host(config, door, host);
        output_line(call->out, "  %-19s %s port %u, %s", doors[i].title, host,
                    door->address.items[0].port, doors[i].type);
    }
}

static void
print_first_mail(struct call *call, const struct setup_card *card)
{
    const struct config_listen *door = find_door(card->config, LISTEN_SUBMISSIONS);
    const struct config_listen *pop3 = find_door(card->config, LISTEN_POP3S);
    str address = card->wishes->address;
    char host[256];

    if (!door)
        return;
    door_host(card->config, door, host);
    output_line(call->out, "\nA first mail, from another terminal%s:",
                card->password_file ? "" : " (it asks for the password)");
    output_line(call->out,
                "  %s test send --server %s --port %u --type smtps --ca %s \\\n"
                "      --from %.*s --to %.*s --user %.*s%s%s",
                call->program, host, door->address.items[0].port, card->ca, STR_ARG(address),
                STR_ARG(address), STR_ARG(address), card->password_file ? " --password-file " : "",
                card->password_file ? card->password_file : "");
    if (!pop3)
        return;
    door_host(card->config, pop3, host);
    output_line(call->out,
                "It shows up in the mailbox of %.*s, and in its trace:", STR_ARG(address));
    output_line(call->out,
                "  curl --cacert %s --user %.*s pop3s://%s:%u/1\n"
                "  %s trace search %.*s --config %s",
                card->ca, STR_ARG(address), host, pop3->address.items[0].port, call->program,
                STR_ARG(address), card->config_path);
}

static void
print_json(struct call *call, const struct setup_card *card)
{
    const struct config *config = card->config;
    struct json_writer writer;
    struct buf text;

    buf_init(&text, 1 << 20);
    json_writer_init(&writer, &text);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "config", str_from(card->config_path));
    json_put_text(&writer, "hostname", config->server.hostname);
    json_put_text(&writer, "data_dir", config->server.data_dir);
    json_put_text(&writer, "account", card->wishes->address);
    json_put_bool(&writer, "account_is_new", card->new_account);
    if (card->password.len)
        json_put_text(&writer, "password", card->password);
    json_put_text(&writer, "ca", str_from(card->ca));
    json_begin_array(&writer, "listen");
    for (size_t i = 0; i < config->listener_count; i++) {
        char endpoint[IPADDR_TEXT_MAX + 8];

        endpoint_format(&config->listeners[i].address.items[0], endpoint);
        json_begin_object(&writer, NULL);
        json_put_text(&writer, "name", config->listeners[i].name);
        json_put_text(&writer, "address", str_from(endpoint));
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    output_document_text(call->out, "outpost.setup/1", NULL, buf_str(&text));
    buf_done(&text);
}

void
setup_print_card(struct call *call, const struct setup_card *card)
{
    char fingerprint[DEVCA_FINGERPRINT_SIZE];

    if (call->out->format == OUTPUT_JSON) {
        print_json(call, card);
        return;
    }
    devca_fingerprint(card->ca, fingerprint);
    if (card->kept_config)
        output_line(call->out, "%s was there and stays as it is; --force writes it anew.\n",
                    card->config_path);
    output_line(call->out, "%s is set up.", card->config->server.hostname.ptr);
    print_doors(call, card->config);
    output_line(call->out, "  account             %.*s", STR_ARG(card->wishes->address));
    if (card->password.len)
        output_line(call->out, "  password            %.*s   (shown this once)",
                    STR_ARG(card->password));
    else
        output_line(call->out, "  password            %s",
                    card->new_account ? "the one that was given" : "as before");
    output_line(call->out, "  certificate by      %s\n                      SHA-256 %s", card->ca,
                fingerprint);
    output_line(call->out, "\nIt is started by:\n  %s serve --config %s", call->program, card->config_path);
    print_first_mail(call, card);
}
