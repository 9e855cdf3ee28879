/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* show.c: writes a snapshot as outpost.conf, and the table as outpost.conf(5). */
#include "config/show.h"

#include "config/body.h"
#include "config/value.h"
#include "runtime/dns.h"
#include "runtime/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
config_value(const struct config *config, const struct option *option, struct buf *out)
{
    value_format(option, (const char *)config + sections[option->section].offset, out);
}

unsigned
config_value_line(const struct config *config, const struct option *option)
{
    return config->body->lines[option - options];
}

/* LINES, where there are some, tell what the file sets; otherwise it is what differs from STANDARD.
 */
static void
show_block(enum section_id id, str label, const void *place, const void *standard,
           const unsigned *lines, bool all, struct buf *out)
{
    bool opened = false;

    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];

        bool set = lines && lines[i];
        bool empty = value_is_empty(option, place);

        if (option->section != id || (empty && !set))
            continue;
        if (!all && (lines ? !set : value_eq(option, place, standard)))
            continue;
        if (!opened)
            buf_addf(out, "%s%s%.*s {\n", sections[id].name, label.len ? " " : "", STR_ARG(label));
        opened = true;
        buf_addf(out, "    %s ", option->name);
        if (empty)
            buf_add(out, S("\"\""));
        else
            value_format(option, place, out);
        buf_add(out, S(";\n"));
    }
    if (opened)
        buf_add(out, S("}\n\n"));
}

/* A relay or route whose URL says everything shows only that. */
static void
show_route(enum section_id id, const struct config_route *route, const struct config *standard,
           bool all, struct buf *out)
{
    struct config_route written = *route;

    written.username = (str){ 0 };
    written.tls = RELAY_TLS_AUTO;
    written.auth = RELAY_AUTH_AUTO;
    written.verify = RELAY_VERIFY_AUTO;
    show_block(id, route->name, &written, &standard->relay, NULL, all, out);
}

void
config_show(const struct config *config, bool all, struct buf *out)
{
    OWN(config) standard = config_default();

    for (size_t i = 0; i < SECTION_COUNT; i++) {
        enum section_id id = (enum section_id)i;
        struct config_listen empty = { 0 };
        struct config_source no_source = { 0 };
        struct config_dkim_policy no_policy = { 0 };
        struct config_dns_update no_update = { 0 };
        struct config_list no_list = { 0 };

        for (size_t k = 0; id == SECTION_LISTEN && k < config->listener_count; k++)
            show_block(id, config->listeners[k].name, &config->listeners[k], &empty, NULL, true,
                       out);
        for (size_t k = 0; id == SECTION_ROUTE && k < config->route_count; k++)
            show_route(id, &config->routes[k], standard, all, out);
        for (size_t k = 0; id == SECTION_SOURCE && k < config->source_count; k++)
            show_block(id, config->sources[k].name, &config->sources[k], &no_source, NULL, all,
                       out);
        for (size_t k = 0; id == SECTION_DKIM_POLICY && k < config->dkim_policy_count; k++)
            show_block(id, config->dkim_policies[k].name, &config->dkim_policies[k], &no_policy,
                       NULL, all, out);
        for (size_t k = 0; id == SECTION_DNS_UPDATE && k < config->dns_update_count; k++)
            show_block(id, config->dns_updates[k].name, &config->dns_updates[k], &no_update, NULL,
                       all, out);
        for (size_t k = 0; id == SECTION_LIST && k < config->list_count; k++)
            show_block(id, config->lists[k].name, &config->lists[k], &no_list, NULL, all, out);
        if (id == SECTION_RELAY && config->relay.to.kind != RELAY_NONE)
            show_route(id, &config->relay, standard, all, out);
        if (!sections[i].repeated && id != SECTION_RELAY)
            show_block(id, (str){ 0 }, (const char *)config + sections[i].offset, NULL,
                       config->body->lines, all, out);
    }
}

static void
check_file(str path, const char *what, struct config_problems *problems)
{
    if (path.len && access(path.ptr, R_OK))
        problem_addf(problems, 0, 0, "correct the path, or let the server's user read it",
                     "%s %.*s: %s", what, STR_ARG(str_head(path, 150)), strerror(errno));
}

/* That both can be read is known already when this is asked. */
static void
check_pair(const struct config *config, struct config_problems *problems)
{
    struct tls_context *context = NULL;
    struct why why = { "" };

    if (!config->tls.certificate.len || !config->tls.key.len ||
        access(config->tls.certificate.ptr, R_OK) || access(config->tls.key.ptr, R_OK))
        return;
    if (tls_server_new(config->tls.certificate.ptr, config->tls.key.ptr, &context, &why))
        problem_addf(problems, 0, 0, "put a certificate and the key that belongs to it there", "%s",
                     why.text);
    else
        tls_context_unref(context);
}

static void
check_anchors(const struct config *config, struct config_problems *problems)
{
    for (size_t i = 0; i < config->dns.trust_anchor.count; i++) {
        str anchor = config->dns.trust_anchor.items[i];
        struct why why = { "" };
        if (dns_check_anchor(anchor.ptr, &why))
            problem_addf(problems, 0, 0,
                         "quote a whole record: \"example.org. DS 12345 13 2 1F98...\"",
                         "the trust_anchor \"%.*s\" is no DS or DNSKEY record",
                         STR_ARG(str_head(anchor, 100)));
    }
}

/* A source that changes nothing beside having no block. */
static void
check_source(const struct config *config, const struct config_source *source,
             struct config_problems *problems)
{
    if (!source->address.count && !source->socks5.count && !source->proxy.count &&
        source->weight == 1 && !source->connections_max && !source->messages_per_minute &&
        !source->messages_per_hour && !source->messages_per_day &&
        str_eq(source->helo_name, config->delivery.helo_name))
        problem_addf(problems, 0, 0, "add address ADDRESS; or a proxy, or take the block away",
                     "source %.*s is empty: it sends as if it were not there",
                     STR_ARG(str_head(source->name, 60)));
}

/* "pipe:/PROGRAM ARGUMENTS" */
static void
check_program(const struct relay_target *target, str route, struct config_problems *problems)
{
    char path[1024];
    str program, arguments;

    if (target->kind != RELAY_PIPE)
        return;
    (void)str_split(target->path, ' ', &program, &arguments);
    snprintf(path, sizeof(path), "%.*s", STR_ARG(program));
    if (access(path, X_OK))
        problem_addf(problems, 0, 0, "install the program, or correct its path",
                     "the program of route %.*s, %.*s, cannot be run: %s", STR_ARG(route),
                     STR_ARG(str_head(program, 150)), strerror(errno));
}

void
config_check_files(const struct config *config, struct config_problems *problems)
{
    check_file(config->tls.certificate, "the certificate", problems);
    check_file(config->tls.key, "the key", problems);
    check_file(config->tls.next_key, "the next key", problems);
    check_pair(config, problems);
    check_file(config->tls.ca_file, "the file of roots", problems);
    check_file(config->dns.trust_anchor_file, "the trust anchor", problems);
    check_anchors(config, problems);
    check_file(config->dns.hosts_file, "the hosts file", problems);
    check_file(config->relay.password_file, "the password of relay", problems);
    check_program(&config->relay.to, S("relay"), problems);
    for (size_t i = 0; i < config->route_count; i++) {
        check_file(config->routes[i].password_file, "the password of a route", problems);
        check_program(&config->routes[i].to, str_head(config->routes[i].name, 60), problems);
    }
    for (size_t i = 0; i < config->source_count; i++) {
        check_file(config->sources[i].password_file, "the password of a source", problems);
        check_source(config, &config->sources[i], problems);
    }
    for (size_t i = 0; i < config->dns_update_count; i++)
        check_file(config->dns_updates[i].key_file, "the key of a dns_update", problems);
    check_file(config->server.data_dir, "the data directory", problems);
}

/* For troff: nothing in TEXT is a command. */
static void
add_troff(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            buf_add(out, S("\\e"));
        else if (*c == '-')
            buf_add(out, S("\\-"));
        else if (c == text && (*c == '.' || *c == '\''))
            buf_addf(out, "\\&%c", *c);
        else
            buf_add_byte(out, *c);
    }
}

static void
manual_option(const struct option *option, struct buf *out)
{
    buf_addf(out, ".It Cm %s Ar value ;\n", option->name);
    add_troff(out, option->doc);
    buf_add(out, S("\nType: "));
    if (option->choices) {
        for (const struct option_choice *c = option->choices; c->name; c++) {
            buf_add(out, c == option->choices ? S("one of ") : S(", "));
            add_troff(out, c->name);
        }
    } else {
        add_troff(out, option_type_text(option));
    }
    buf_add(out, S(".\n"));
    if (option->standard[0]) {
        buf_add(out, S("Default: "));
        add_troff(out, option->standard);
        buf_add(out, S(".\n"));
    }
    buf_addf(out, "Applies %s.\n", option_reload_text(option));
}

void
config_manual(struct buf *out)
{
    buf_add(out,
            S(".Dd November 26, 2026\n.Dt OUTPOST.CONF 5\n.Os\n.Sh NAME\n.Nm outpost.conf\n"
              ".Nd configuration of the mail server outpost\n.Sh DESCRIPTION\n"
              "The file consists of sections, and a section of options:\n"
              ".Bd -literal -offset indent\n"
              "server {\n    hostname mail.example.org;   # to the end of the line\n}\n"
              "listen smtp {\n    address :25;\n}\n"
              "route example.net {\n    to smtps://ann@smtp.example.net;\n"
              "    password_file /etc/outpost/example.net.password;\n}\n.Ed\n.Pp\n"
              "A value with blanks, braces or semicolons stands in double quotes, within which "
              "a backslash goes before a quote or a backslash.\n"
              "A list takes several values, in one line or in several.\n"
              "Relative paths begin at the directory of the file.\n"
              "Durations have the units ms, s, m, h and d; bytes K, M, G and T.\n.Pp\n"
              ".Xr outpost 1\nchecks it with\n.Ql outpost config check .\n"));
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        buf_addf(out, ".Sh SECTION %s%s\n", sections[i].name, sections[i].repeated ? " LABEL" : "");
        add_troff(out, sections[i].doc);
        buf_add(out, S("\n.Bl -tag -width indent\n"));
        for (size_t k = 0; k < option_count; k++) {
            if (options[k].section == i)
                manual_option(&options[k], out);
        }
        buf_add(out, S(".El\n"));
    }
    buf_add(out, S(".Sh FILES\n.Pa /etc/outpost/outpost.conf\n.Sh SEE ALSO\n.Xr outpost 1\n"));
}
