/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* config_test.c: outpost.conf read, refused with place and cure, and written again. */
#include "config/config.h"

#include "config/nearest.h"
#include "config/options.h"
#include "config/show.h"
#include "config/value.h"

#include "check.h"

#include <string.h>

struct error_case {
    const char *text;
    unsigned line;
    unsigned column;
    const char *says; /* Parts of what is told. */
    const char *cure;
};

#define TLS_BLOCK "tls { certificate a; key b; } "

/* clang-format off */
static const struct error_case errors[] = {
    { "servr { }", 1, 1, "no section \"servr\"", "did you mean server?" },
    { "\n\n  zzz { }", 3, 3, "no section \"zzz\"", "outpost config explain" },
    { "hostname a.b;", 1, 1, "outside of every section", "server { hostname" },
    { "server;", 1, 1, "has no {", "server { ... }" },
    { "server {\n hostnam a.b;\n}", 2, 2, "no option \"hostnam\"", "did you mean hostname?" },
    { "server { expire 5d; }", 1, 10, "no option \"expire\"", "delivery { ... }" },
    { "server { hostname a.b }", 1, 22, "; after hostname is missing", "add ;" },
    { "server {\n hostname a.b\n loops 2;\n}", 2, 14, "; after hostname is missing", "add ;" },
    { "server {\n hostname a.b;\n", 3, 1, "opened in line 1, is not closed", "add }" },
    { "server {\n hostname a.b;\ntls { key x; }", 3, 1, "tls { cannot stand inside of server", "close server, opened in line 1" },
    { "}", 1, 1, "closes nothing", "delete it" },
    { "{ }", 1, 1, "without a name", "SECTION { ... }" },
    { "server { { } }", 1, 10, "without a name", "NAME VALUE;" },
    { "server x { }", 1, 1, "has no label", "delete" },
    { TLS_BLOCK "listen { }", 1, 31, "needs a label", "listen smtp {" },
    { "server { hostname a.b; hostname c.d; }", 1, 24, "already set in line 1", "keep one" },
    { "server { hostname a_b; }", 1, 19, "not a host name", "mail.example.org" },
    { "server { hostname; }", 1, 10, "has no value", "host name" },
    { "server { loops 2 3; }", 1, 18, "takes one value", "quotes" },
    { "server { loops two; }", 1, 16, "not a number", "digits" },
    { "server { loops 999; }", 1, 16, "out of range", "0 to 256" },
    { "server { sandbox maybe; }", 1, 18, "not on or off", "on or off" },
    { "server { postmaster ann; }", 1, 21, "not a mail address", "name@example.org" },
    { "server { data_dir \"\"; }", 1, 19, "not a path", "path" },
    { "smtp { command_timeout 30; }", 1, 24, "has no unit", "30s" },
    { "smtp { command_timeout 5y; }", 1, 24, "not a duration", "30m" },
    { "smtp { message_size_max 5Q; }", 1, 25, "not a number of bytes", "25M" },
    { "smtp { message_size_max 99999999999999999999; }", 1, 25, "not a number of bytes", "25M" },
    { "log { level loud; }", 1, 13, "level cannot be \"loud\"", "error, warning, info, debug" },
    { "trust { network 10.0.0.1/8; }", 1, 17, "not a network", "10.0.0.0/8" },
    { "listen smtp { address 192.0.2.1; }", 1, 23, "not an address and a port", "192.0.2.1:25" },
    { "delivery { source here; }", 1, 19, "not an IP address", "192.0.2.1" },
    { "dns { stub example.org; }", 1, 12, "takes a zone and an address", "stub example.org" },
    { "route a.b { to http://x/; password_file t; }", 1, 1, "in the clear", "https" },
    { "route a.b { to smtp://x; sources z; }", 1, 1, "no source", "add source" },
    { "route a.b { to smtp://x; lane fast; }", 1, 1, "no lane", "explain" },
    { "route a.b { to smtp://x; fallback mx; }", 1, 1, "names no host", "smtp://" },
    { "source a { proxy 192.0.2.1:25; }", 1, 1, "from which address", "address" },
    { "source a { socks5 192.0.2.1:25; username u; }", 1, 1, "not whole", "both" },
    { "list \"a b\" { sender a@b.c; }", 1, 1, "name of a list", "letters" },
    { "list a { sender x.y; } list a { sender x.y; }", 1, 1, "two blocks", "own name" },
    { "list a { }", 1, 1, "whose mail", "sender" },
    { "list a { sender x.y; unsubscribe_url http://x.y/; unsubscribe_to a@x.y; }", 1, 1, "no https URL", "https" },
    { "list a { sender x.y; unsubscribe_url https://x.y/; }", 1, 1, "web alone", "unsubscribe_to" },
    { "list a { sender x.y; unsubscribe_to a+b@x.y; }", 1, 1, "cannot stand", "letters" },
    { "list a { sender x.y; list_id \"a b\"; }", 1, 1, "no name", "weekly" },
    { "dkim { fields From; } list a { sender x.y; unsubscribe_url https://x.y/; unsubscribe_to a@x.y; }", 1, 1,
      "leave out the links", "List-Unsubscribe-Post" },
    { "source \"a b\" { }", 1, 1, "name of a source", "letters" },
    { "route a.b { to ftp://x; }", 1, 16, "no next hop", "smtp" },
    { "route a.b { }", 1, 1, "does not say where", "smtp://" },
    { "route a { sender b@c.d; to mx; }\nroute a { sender e@f.g; to smtp://h; }", 2, 1,
      "two blocks", "its own name" },
    { "relay { }", 1, 1, "does not say where", "smtp://" },
    { "relay { to smtp://u@h; }", 1, 1, "a user but no password", "password_file" },
    { "relay { to smtp://h; password_file p; }", 1, 1, "a password but no user", "username" },
    { "listen foo { }", 1, 1, "what is spoken", "kind smtp" },
    { "listen submissions { }", 1, 1, "needs TLS", "tls { certificate" },
    { "listen smtp { }\nlisten smtp { }", 2, 1, "two blocks", "its own name" },
    { "tls { certificate x; }", 1, 1, "has no key", "key FILE" },
    { "tls { key x; }", 1, 1, "has no certificate", "certificate FILE" },
    { "delivery { retry_min 2h; retry_max 1h; }", 1, 1, "longer than retry_max", "smaller" },
    { "delivery { delay_warning 2d; expire 1d; }", 1, 1, "after the message expired", "shorter" },
    { "dkim { fields To Subject; }", 1, 1, "From must be signed", "add From" },
    { "dkim { fields From \"A:b\"; }", 1, 1, "not the name of a header field", "Subject" },
    { "dkim { fields From Return-Path; }", 1, 1, "must not be signed", "leave it away" },
    { "dkim { fields From; oversign To; }", 1, 1, "it is not signed", "among the fields" },
    { "dkim { expire 2d; }", 1, 1, "while their mail still waits", "delivery.expire" },
    { "\ndkim_policy a.org { fields To; }", 2, 1, "From must be signed", "add From" },
    { "dkim_policy \"a org\" { }", 1, 1, "is not a domain", "dkim_policy example.org" },
    { "dkim_policy a.org { }\ndkim_policy a.org { }", 2, 1, "two blocks", "keep one" },
    { "dns_update a.org { key_name k; key_file f; }", 1, 1, "must name one server", "server" },
    { "dns_update a.org { server 127.0.0.1:53; }", 1, 1, "has no key", "key_file" },
    { "server { hostname \"a }", 1, 19, "does not end on its line", "closing \"" },
    { "server { hostname \"a\"b; }", 1, 19, "without a blank", "\\\"" },
    { "server { hostname a\x01 b; }", 1, 19, "control character", "delete" },
};
/* clang-format on */

static bool
is_told(const struct config_problems *problems, const struct error_case *c)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *p = &problems->items[i];

        if (p->line == c->line && p->column == c->column &&
            str_find_str(str_from(p->text), str_from(c->says)) >= 0 &&
            str_find_str(str_from(p->cure), str_from(c->cure)) >= 0)
            return true;
    }
    printf("for: %s\n", c->text);
    for (size_t i = 0; i < problems->count; i++)
        printf("  %u:%u: %s (%s)\n", problems->items[i].line, problems->items[i].column,
               problems->items[i].text, problems->items[i].cure);
    return false;
}

static void
each_mistake_is_told_with_its_place_and_its_cure(void)
{
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct config_problems problems = { 0 };
        struct config *config = NULL;

        CHECK(config_parse(str_from(errors[i].text), "outpost.conf", &config, &problems) ==
              ERR_SYNTAX);
        CHECK(config == NULL);
        CHECK(is_told(&problems, &errors[i]));
        config_problems_done(&problems);
    }
}

static void
all_mistakes_are_told_at_once(void)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;

    CHECK(config_parse(S("server { loops x; hostname _; } log { level y; } foo { bar z; }"), "c",
                       &config, &problems) == ERR_SYNTAX);
    CHECK(problems.count == 4);
    config_problems_done(&problems);
}

static struct config *
parse(const char *text)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;

    CHECK(config_parse(str_from(text), "/etc/outpost/outpost.conf", &config, &problems) == OK);
    for (size_t i = 0; i < problems.count; i++)
        printf("%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
               problems.items[i].text);
    config_problems_done(&problems);
    return config ? config : config_default();
}

static void
values_of_every_type_are_read(void)
{
    OWN(config)
    c = parse("# a comment\n"
              "server { hostname MX.Example.ORG; data_dir \"/var/lib/my mail\"; sandbox off; }\n"
              "trust { network 10.0.0.0/8 2001:db8::/32; network 192.0.2.1; }\n"
              "smtp { message_size_max 25M; command_timeout 90s; greeting \"say \\\"hi\\\"\"; }\n"
              "log { level debug; }\n"
              "dns { stub example.org 127.0.0.1:53; forwarders 192.0.2.53:53 [2001:db8::53]:53;\n"
              "  trust_anchor_file root.key; trust_anchor \". DS 1 2 3\"; }\n"
              "delivery { source 192.0.2.7; }\n");

    CHECK_STR(c->server.hostname, "mx.example.org");
    CHECK_STR(c->server.postmaster, "postmaster@mx.example.org");
    CHECK_STR(c->server.data_dir, "/var/lib/my mail");
    CHECK(!c->server.sandbox);
    CHECK(c->trust.network.count == 3 && c->trust.network.items[0].bits == 104);
    CHECK(c->smtp.message_size_max == 25 << 20 && c->smtp.command_timeout == SECONDS(90));
    CHECK_STR(c->smtp.greeting, "say \"hi\"");
    CHECK(c->log.level == LOG_LEVEL_DEBUG);
    CHECK(c->dns.stub.count == 1 && c->dns.stub.items[0].server.port == 53);
    CHECK(c->dns.forwarders.count == 2);
    CHECK_STR(c->dns.trust_anchor_file, "/etc/outpost/root.key");
    CHECK_STR(c->dns.trust_anchor.items[0], ". DS 1 2 3");
    CHECK(c->delivery.source.count == 1);
}

static void
a_domain_signs_by_the_nearest_policy(void)
{
    OWN(config)
    c = parse("dkim { body simple; expire 10d; }\n"
              "dkim_policy a.org { header simple; oversign none; }\n"
              "dkim_policy news.a.org { fields From Date; body relaxed; }\n"
              "dns_update a.org { server 127.0.0.1:5300; key_name k.a; key_file f; }\n");
    const struct config_dkim_policy *policy = config_dkim_policy(c, S("else.org"));

    CHECK(policy->header == DKIM_FORM_RELAXED && policy->body == DKIM_FORM_SIMPLE);
    CHECK(policy->expire == DAYS(10) && !policy->fields.count && !policy->oversign.count);
    policy = config_dkim_policy(c, S("x.a.org"));
    CHECK(policy->header == DKIM_FORM_SIMPLE && policy->body == DKIM_FORM_SIMPLE);
    CHECK(policy->oversign.count == 1 && policy->expire == DAYS(10));
    policy = config_dkim_policy(c, S("News.a.org"));
    CHECK(policy->header == DKIM_FORM_RELAXED && policy->body == DKIM_FORM_RELAXED);
    CHECK(policy->fields.count == 2);
    CHECK(config_dkim_policy(c, S("aa.org"))->expire == DAYS(10));
    CHECK(config_dns_update(c, S("x.a.org"))->server.items[0].port == 5300);
    CHECK(!config_dns_update(c, S("aa.org")) && !config_dns_update(c, S("org")));
}

static void
an_empty_file_means_the_defaults(void)
{
    OWN(config) c = parse("");

    CHECK(c->smtp.message_size_max == 50 << 20 && c->smtp.recipients_max == 1000);
    CHECK(c->delivery.expire == DAYS(5) && c->delivery.delay_warning == HOURS(4));
    CHECK(c->auth.mechanisms.count == 4);
    CHECK(c->relay.to.kind == RELAY_NONE && c->route_count == 0);
    CHECK(c->listener_count == 1 && c->listeners[0].kind == LISTEN_SMTP);
    CHECK(c->listeners[0].tls == LISTEN_TLS_NONE && c->listeners[0].address.items[0].port == 25);
}

static void
with_a_certificate_all_usual_doors_open(void)
{
    OWN(config) c = parse(TLS_BLOCK);

    CHECK(c->listener_count == 5);
    for (size_t i = 0; i < c->listener_count; i++)
        CHECK(c->listeners[i].tls == (c->listeners[i].address.items[0].port == 465 ||
                                              c->listeners[i].address.items[0].port == 995
                                          ? LISTEN_TLS_IMPLICIT
                                          : LISTEN_TLS_STARTTLS));
    CHECK_STR(c->tls.certificate, "/etc/outpost/a");
}

static void
a_section_without_label_may_go_on_later(void)
{
    OWN(config) c = parse("smtp { errors_max 5; } smtp { hops_max 9; }");

    CHECK(c->smtp.errors_max == 5 && c->smtp.hops_max == 9);
}

static void
a_value_that_was_not_set_gives_way_to_one_that_was(void)
{
    OWN(config) c = parse("delivery { retry_max 1s; expire 10s; }");

    CHECK(c->delivery.retry_min == SECONDS(1) && c->delivery.retry_max == SECONDS(1));
    CHECK(c->delivery.delay_warning == 0);
}

static void
a_route_takes_what_stands_beside_its_url(void)
{
    OWN(config)
    c = parse("route Example.ORG { to smtp://mx.lan; username ann; password_file pw; }\n"
              "route by-sender { sender ann@b.org c.org; to lmtp:///run/lmtp; }\n"
              "relay { to smtp://h:2525; tls off; }\n");

    CHECK(c->route_count == 2);
    CHECK(c->routes[0].domain.count == 1);
    CHECK_STR(c->routes[0].to.user, "ann");
    CHECK(c->routes[0].to.port == 587 && c->routes[0].to.tls == RELAY_TLS_REQUIRE);
    CHECK_STR(c->routes[0].to.password_file, "/etc/outpost/pw");
    CHECK(c->routes[1].domain.count == 0 && c->routes[1].sender.count == 2);
    CHECK(c->relay.to.tls == RELAY_TLS_OFF && c->relay.to.port == 2525);
}

/* How many bytes a value of TYPE has in its struct, and how it is aligned. */
static size_t
size_of(enum option_type type, size_t *align)
{
    *align = _Alignof(void *);
    switch (type) {
    case OPTION_BOOL:
        *align = _Alignof(bool);
        return sizeof(bool);
    case OPTION_INTEGER:
    case OPTION_ENUM:
        *align = _Alignof(unsigned);
        return sizeof(unsigned);
    case OPTION_BYTES:
    case OPTION_DURATION:
        return sizeof(uint64_t);
    case OPTION_URL:
        return sizeof(struct relay_target);
    default:
        return sizeof(str);
    }
}

/* The option of SECTION with the least offset from FROM on. */
static const struct option *
option_at(size_t section, size_t from)
{
    const struct option *found = NULL;

    for (size_t i = 0; i < option_count; i++) {
        if (options[i].section == section && options[i].offset >= from &&
            (!found || options[i].offset < found->offset))
            found = &options[i];
    }
    return found;
}

/* Walks each struct by the rows of its section: between two fields only what alignment needs may
 * lie. */
static void
every_field_has_its_row(void)
{
    for (size_t s = 0; s < SECTION_COUNT; s++) {
        /* The labels of repeated sections (and of `relay`, which is like a route) have no row. */
        bool labelled = sections[s].repeated || s == SECTION_RELAY;
        size_t end = labelled ? sizeof(str) : 0;
        const struct option *option;

        while ((option = option_at(s, end))) {
            size_t align;
            size_t size = size_of(option->type, &align);
            /* What a route says of its mail does not exist in `relay`. */
            bool gap = s == SECTION_RELAY && strcmp(option->name, "to") == 0;

            if (!gap && option->offset != (end + align - 1) / align * align)
                printf("before %s.%s\n", sections[s].name, option->name);
            CHECK(gap || option->offset == (end + align - 1) / align * align);
            end = option->offset + size;
        }
        CHECK(sections[s].size - end < sizeof(void *));
    }
}

static void
every_row_is_whole(void)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        str doc = str_from(option->doc);

        CHECK(option->doc && str_ends(doc, S(".")));
        CHECK((option->type == OPTION_ENUM) == (option->choices != NULL));
        CHECK(option_find(option->section, str_from(option->name)) == option);
        CHECK(option_type_text(option)[0] && option_reload_text(option)[0]);
    }
}

static void
what_is_shown_gives_the_same_again(void)
{
    static const char text[] = TLS_BLOCK
        "server { hostname a.example; user \"\"; } listen smtp { address 127.0.0.1:2025; }"
        "listen two { kind smtp; address [::1]:26; proxy_protocol 10.0.0.0/8; }"
        "route x.org { to smtp://h:26?tls=require&verify=off; } route y { sender a@b.c; to mx; }"
        "relay { to smtps://u@h; password_file p; } trust { network 10.0.0.0/8; }"
        "dns { stub a.b 127.0.0.1:53; stub c.d 127.0.0.1:54; trust_anchor \"a \\\"b\\\\ c\"; }"
        "dkim_policy a.org { header simple; fields From Date; oversign none; }"
        "dns_update a.org { server 127.0.0.1:53; key_name k; key_file f; }"
        "smtp { greeting \"x; { y\"; } log { level debug; }";

    for (int all = 0; all < 2; all++) {
        OWN(config) first = parse(text);
        OWN(config) second = NULL;
        struct buf a, b;

        buf_init(&a, 1 << 20);
        buf_init(&b, 1 << 20);
        config_show(first, all, &a);
        second = parse(buf_cstr(&a));
        config_show(second, all, &b);
        CHECK(buf_ok(&a) && str_eq(buf_str(&a), buf_str(&b)));
        CHECK(str_find_str(buf_str(&a), S("smtps://u@h:465")) >= 0);
        CHECK(str_find_str(buf_str(&a), S("user \"\";")) >= 0);
        CHECK(second && second->server.user.len == 0);
        buf_done(&a);
        buf_done(&b);
    }
}

static void
the_manual_names_every_option(void)
{
    struct buf manual;
    char name[80];

    buf_init(&manual, 1 << 20);
    config_manual(&manual);
    for (size_t i = 0; i < option_count; i++) {
        snprintf(name, sizeof(name), ".It Cm %s ", options[i].name);
        CHECK(str_find_str(buf_str(&manual), str_from(name)) >= 0);
    }
    buf_done(&manual);
}

static void
a_missing_file_is_told_as_such(void)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;

    CHECK(config_load("/nowhere/outpost.conf", &config, &problems) == ERR_NOT_FOUND);
    CHECK(problems.count == 1 && problems.items[0].line == 0);
    config_problems_done(&problems);
}

static void
a_value_knows_its_line(void)
{
    OWN(config) c = parse("\nsmtp {\n errors_max 7;\n}");

    CHECK(config_value_line(c, option_find_key(S("smtp.errors_max"))) == 3);
    CHECK(config_value_line(c, option_find_key(S("smtp.hops_max"))) == 0);
}

static void
durations_and_bytes_are_written_as_they_are_read(void)
{
    static const char *const durations[] = { "5d", "4h", "30m", "90s", "10ms", "0s" };
    static const char *const sizes[] = { "1T", "10G", "25M", "64K", "1000", "0" };

    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        duration time = -1;
        uint64_t bytes = 1;
        struct buf text;

        buf_init(&text, 100);
        CHECK(duration_parse(str_from(durations[i]), &time));
        duration_format(time, &text);
        CHECK_STR(buf_str(&text), durations[i]);
        buf_clear(&text);
        CHECK(bytes_parse(str_from(sizes[i]), &bytes));
        bytes_format(bytes, &text);
        CHECK_STR(buf_str(&text), sizes[i]);
        buf_done(&text);
    }
}

static void
a_near_word_is_found_and_a_far_one_is_not(void)
{
    CHECK(word_distance(S("hostname"), S("hostnmae")) == 1);
    CHECK(word_distance(S("kitten"), S("sitting")) == 3);
    CHECK(strcmp(section_nearest(S("delivry")), "delivery") == 0);
    CHECK(section_nearest(S("xyzzy")) == NULL);
    CHECK(strcmp(option_nearest(SECTION_SMTP, S("messagesize_max")), "message_size_max") == 0);
}

int
main(void)
{
    RUN(each_mistake_is_told_with_its_place_and_its_cure);
    RUN(all_mistakes_are_told_at_once);
    RUN(values_of_every_type_are_read);
    RUN(a_domain_signs_by_the_nearest_policy);
    RUN(an_empty_file_means_the_defaults);
    RUN(with_a_certificate_all_usual_doors_open);
    RUN(a_section_without_label_may_go_on_later);
    RUN(a_value_that_was_not_set_gives_way_to_one_that_was);
    RUN(a_route_takes_what_stands_beside_its_url);
    RUN(every_field_has_its_row);
    RUN(every_row_is_whole);
    RUN(what_is_shown_gives_the_same_again);
    RUN(the_manual_names_every_option);
    RUN(a_missing_file_is_told_as_such);
    RUN(a_value_knows_its_line);
    RUN(durations_and_bytes_are_written_as_they_are_read);
    RUN(a_near_word_is_found_and_a_far_one_is_not);
    return check_end();
}
