/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* status.c: `outpost status`: how the server is. */
#include "cli/ask.h"
#include "cli/nouns.h"

#include <stdio.h>

static const char *
n(const struct json *object, const char *key, char text[24])
{
    snprintf(text, 24, "%lld", (long long)json_get_int(object, key));
    return text;
}

static void
print_listeners(struct output *out, const struct json *listeners)
{
    char port[24], connections[24];

    for (const struct json *at = listeners ? listeners->first : NULL; at; at = at->next)
        output_line(out, "  %-14.*s port %-6s %s connections", STR_ARG(json_get_text(at, "name")),
                    n(at, "port", port), n(at, "connections", connections));
}

static void
print_restricted(struct output *out, const struct json *restricted)
{
    for (const struct json *at = restricted ? restricted->first : NULL; at; at = at->next)
        output_line(out, "  %.*s has reached its sending limit, free at %.*s",
                    STR_ARG(json_get_text(at, "address")), STR_ARG(json_get_text(at, "free_at")));
}

/* Receivers that take less than there is, and rules. */
static void
print_outgoing(struct output *out, const struct json *document)
{
    const struct json *throttled = json_get(document, "throttled");
    int64_t rules = json_get_int(document, "rules"), all = json_get_int(document, "troubles");
    struct buf line;

    buf_init(&line, 4096);
    if (rules)
        output_line(out, "rules: %lld stand%s; see outpost rule list", (long long)rules,
                    rules == 1 ? "s" : "");
    if (all)
        output_line(out, "slow or silent receivers: %lld; see outpost queue clusters",
                    (long long)all);
    for (const struct json *at = throttled ? throttled->first : NULL; at; at = at->next) {
        buf_clear(&line);
        buf_addf(&line, "%.*s: %lld wait; %.*s", STR_ARG(json_get_text(at, "query")),
                 (long long)json_get_int(at, "waiting"), STR_ARG(json_get_text(at, "state")));
        output_paragraph(out, 2, true, buf_str(&line));
    }
    buf_done(&line);
}

static void
print_dkim(struct output *out, const struct json *dkim)
{
    char text[24];

    if (json_get_int(dkim, "waiting_for_records"))
        output_line(out, "  DKIM keys that wait for their records in the DNS: %s; see outpost dkim list",
                    n(dkim, "waiting_for_records", text));
    if (json_get_int(dkim, "to_be_rotated"))
        output_line(out, "  DKIM keys older than dkim.rotate_every: %s; see outpost dkim rotate",
                    n(dkim, "to_be_rotated", text));
}

/* What needs a human, in words. */
static void
print_trouble(struct output *out, const struct json *document)
{
    const struct json *spool = json_get(document, "spool");
    char text[24];

    if (json_get_bool(spool, "full"))
        output_line(out, "  the disk is full: new mail is put off; make room, or lower "
                         "store.free_space_min");
    if (json_get_int(spool, "damaged") || json_get_int(spool, "bodies_missing"))
        output_line(out, "  the spool had damage when it was opened: see DATA/spool/quarantine");
    if (json_get_int(document, "events_dropped"))
        output_line(out, "  %s events could not be recorded", n(document, "events_dropped", text));
}

static void
print_status(struct output *out, const struct json *document)
{
    const struct json *queue = json_get(document, "queue"), *today = json_get(document, "today");
    char a[24], b[24], c[24], d[24], e[24];

    output_line(out, "%.*s: outpost %.*s, process %s, up since %.*s",
                STR_ARG(json_get_text(document, "hostname")),
                STR_ARG(json_get_text(document, "version")), n(document, "pid", a),
                STR_ARG(json_get_text(document, "started")));
    output_line(out, "queue: %s messages for %s recipients, %s ready, %s connections to %s sites",
                n(queue, "messages", a), n(queue, "recipients", b), n(queue, "ready", c),
                n(queue, "connections", d), n(queue, "sites", e));
    print_outgoing(out, document);
    output_line(out, "today: %s accepted, %s rejected, %s delivered, %s deferred, %s bounced",
                n(today, "accepted", a), n(today, "rejected", b), n(today, "delivered", c),
                n(today, "deferred", d), n(today, "bounced", e));
    output_line(out, "listeners:");
    print_listeners(out, json_get(document, "listeners"));
    print_restricted(out, json_get(document, "restricted"));
    print_dkim(out, json_get(document, "dkim"));
    print_trouble(out, document);
}

static int
run_status(struct call *call)
{
    const struct json *final = NULL, *document;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    exit = control_ask(call, "status", ask_text(&ask), NULL, NULL, &final);
    ask_done(&ask);
    if (exit)
        return exit;
    document = json_get(final, "document");
    if (call->out->format == OUTPUT_JSON)
        output_document(call->out, "outpost.status/1", NULL, document);
    else
        print_status(call->out, document);
    return 0;
}

static int
run_reload(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_do(&ask, "reload");
}

/* clang-format off */
const struct command status_commands[] = {
    { .uses = USES_SERVER, .summary = "Show version, listeners, queue, today's mail and who is restricted",
      .run = run_status,
      .examples = { "outpost status", "for people", "outpost status --json", "for programs" } },
    { 0 },
};

const struct command reload_commands[] = {
    { .uses = USES_SERVER, .summary = "Read the configuration again, without dropping a session",
      .run = run_reload,
      .examples = { "outpost reload", "the same as SIGHUP, and it says what is wrong" } },
    { 0 },
};
/* clang-format on */
