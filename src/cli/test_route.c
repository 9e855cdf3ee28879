/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_route.c: `outpost test route`: the way of mail for an address, host by host, and a verdict. */
#include "cli/ask.h"
#include "cli/nouns.h"
#include "formats/date.h"

static void
put_stages(struct output *out, const struct json *row)
{
    const struct json *stages = json_get(row, "stages");
    char line[400] = "";
    size_t used = 0;

    for (const struct json *at = stages ? stages->first : NULL; at; at = at->next) {
        str stage = json_get_text(at, "stage");
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%.*s %lld ms",
                                 used ? ", " : "", STR_ARG(str_head(stage, 20)),
                                 (long long)json_get_int(at, "ms"));
        if (used >= sizeof(line))
            return;
    }
    if (used)
        output_line(out, "  took: %s", line);
}

static void
put_offers(struct output *out, const struct json *row)
{
    const struct json *offers = json_get(row, "offers");
    long long size = json_get_int(row, "size_max");
    char line[400] = "";
    size_t used = 0;

    for (const struct json *at = offers ? offers->first : NULL; at; at = at->next) {
        used += (size_t)snprintf(line + used, sizeof(line) - used, " %.*s",
                                 STR_ARG(str_head(at->text, 30)));
        if (used >= sizeof(line))
            return;
    }
    if (offers && size)
        output_line(out, "  offers:%s, up to %lld bytes", line, size);
    else if (offers)
        output_line(out, "  offers:%s", line);
}

static void
put_certificate(struct output *out, const struct json *tls)
{
    const struct json *certificate = json_get(tls, "certificate");
    str version = json_get_text(tls, "version");
    str names = json_get_text(certificate, "names");

    if (version.len)
        output_line(out, "  TLS: %.*s %.*s, verified: %.*s", STR_ARG(version),
                    STR_ARG(json_get_text(tls, "cipher")), STR_ARG(json_get_text(tls, "verified")));
    if (certificate)
        output_line(out, "  certificate: for %.*s, until %.*s, by %.*s",
                    STR_ARG(names.len ? names : S("nobody")),
                    STR_ARG(str_head(json_get_text(certificate, "until"), 10)),
                    STR_ARG(json_get_text(certificate, "issuer")));
}

static void
print_row(void *arg, const struct json *row)
{
    struct output *out = arg;
    str text = json_get_text(row, "text");

    if (out->format == OUTPUT_JSON)
        return;
    if (text.len) {
        output_line(out, "%.*s", STR_ARG(str_trim(text)));
        return;
    }
    output_line(out, "\n%.*s", STR_ARG(json_get_text(row, "line")));
    output_line(out, "  plan: %.*s", STR_ARG(json_get_text(row, "why")));
    put_stages(out, row);
    put_offers(out, row);
    if (json_get(row, "tls"))
        put_certificate(out, json_get(row, "tls"));
}

static void
print_verdict(struct output *out, const struct json *document)
{
    str verdict = json_get_text(document, "verdict");
    str cure = json_get_text(document, "cure");
    str problem = json_get_text(document, "problem");

    if (out->format == OUTPUT_JSON) {
        output_document(out, "outpost.route/1", NULL, document);
        return;
    }
    if (verdict.len)
        output_line(out, "\n%.*s.", STR_ARG(verdict));
    if (cure.len)
        output_line(out, "(%.*s) %.*s.", STR_ARG(problem), STR_ARG(cure));
}

int
route_test(struct call *call)
{
    /* clang-format off */
    static const char *const facts[][2] = {
        { "--from", "from" }, { "--account", "account" }, { "--lane", "lane" }, { "--size", "size" },
        { "--client", "client" },
    };
    /* clang-format on */
    const struct json *final = NULL, *document;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "address", str_from(call->args[0]));
    for (size_t i = 0; i < COUNT_OF(facts); i++)
        if (call_text(call, facts[i][0]))
            json_put_text(&ask.writer, facts[i][1], str_from(call_text(call, facts[i][0])));
    if (call_has(call, "--require-tls"))
        json_put_bool(&ask.writer, "require_tls", true);
    if (call_has(call, "--no-connect"))
        json_put_bool(&ask.writer, "no_connect", true);
    exit = control_ask(call, "test.route", ask_text(&ask), print_row, call->out, &final);
    ask_done(&ask);
    if (exit)
        return exit;
    document = json_get(final, "document");
    print_verdict(call->out, document);
    return json_get_bool(document, "deliverable") ? EXIT_OK : EXIT_NO;
}

const struct flag route_test_flags[] = {
    { "--from", 0, FLAG_TEXT, "ADDRESS", false, "Of whose mail: routes may go by sender" },
    { "--account", 0, FLAG_TEXT, "ADDRESS", false, "Who logged in" },
    { "--lane", 0, FLAG_CHOICE, "code|personal|notice|bulk", false, "How much it is in a hurry" },
    { "--size", 0, FLAG_TEXT, "BYTES", false, "How large it is" },
    { "--client", 0, FLAG_TEXT, "ADDRESS", false, "From which machine it came" },
    { "--require-tls", 0, FLAG_NONE, NULL, false, "As if it had come with REQUIRETLS (RFC 8689)" },
    { "--no-connect", 0, FLAG_NONE, NULL, false, "Ask the DNS and the policies, but no host" },
    { 0 },
};
