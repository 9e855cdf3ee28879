/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* route.c: `outpost route`: where mail goes, and why. */
#include "base/arena.h"
#include "cli/ask.h"
#include "cli/exit.h"
#include "cli/nouns.h"
#include "config/config.h"

static const struct column list_columns[] = {
    { "name", NULL, COLUMN_ID, false },      { "domains", NULL, COLUMN_LIST, false },
    { "senders", NULL, COLUMN_LIST, false }, { "to", NULL, COLUMN_TEXT, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static void
put_texts(struct json_writer *writer, const char *key, const struct config_texts *texts)
{
    json_begin_array(writer, key);
    for (size_t i = 0; i < texts->count; i++)
        json_put_text(writer, NULL, texts->items[i]);
    json_end_array(writer);
}

static void
print_route(struct call *call, const struct config_route *route, const char *name)
{
    struct json_writer writer;
    struct buf row;
    str url = { 0 };

    if (route->to.kind == RELAY_NONE)
        return;
    buf_init(&row, 65536);
    json_writer_init(&writer, &row);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "name", route->name.len ? route->name : str_from(name));
    put_texts(&writer, "domains", &route->domain);
    put_texts(&writer, "senders", &route->sender);
    if (relay_format_url(&call->arena, &route->to, &url))
        json_put_text(&writer, "to", url);
    json_end_object(&writer);
    output_row_text(call->out, buf_str(&row));
    buf_done(&row);
}

/* From the file, in the order in which they are asked. */
static int
run_list(struct call *call)
{
    int exit = call_config(call);

    if (exit)
        return exit;
    output_list(call->out, "outpost.route/1", list_columns);
    for (size_t i = 0; i < call->config->route_count; i++)
        print_route(call, &call->config->routes[i], "route");
    print_route(call, &call->config->relay, "relay");
    output_list_end(call->out, "no routes: mail goes by MX records");
    return 0;
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
    exit = control_ask(call, "test.route", ask_text(&ask), NULL, NULL, &final);
    ask_done(&ask);
    if (exit)
        return exit;
    document = json_get(final, "document");
    if (call->out->format == OUTPUT_JSON)
        output_document(call->out, "outpost.route/1", NULL, document);
    else
        output_line(call->out, "%.*s", STR_ARG(str_trim(json_get_text(document, "explanation"))));
    return json_get_bool(document, "deliverable") ? EXIT_OK : EXIT_NO;
}

const struct flag route_test_flags[] = {
    { "--from", 0, FLAG_TEXT, "ADDRESS", false, "Of whose mail: routes may go by sender" },
    { "--account", 0, FLAG_TEXT, "ADDRESS", false, "Who logged in" },
    { "--lane", 0, FLAG_TEXT, "LANE", false, "code, personal, notice or bulk" },
    { "--size", 0, FLAG_TEXT, "BYTES", false, "How large it is" },
    { "--client", 0, FLAG_TEXT, "ADDRESS", false, "From which machine it came" },
    { 0 },
};

/* clang-format off */
const struct command route_commands[] = {
    { .verb = "list", .uses = USES_CONFIG | USES_LIST,
      .summary = "List the routes of the configuration", .run = run_list,
      .examples = { "outpost route list", "" } },
    { .verb = "test", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = route_test_flags, .summary = "Say where mail for an address would go, and why",
      .run = route_test,
      .examples = { "outpost route test ann@example.org", "nothing is sent",
                    "outpost route test ann@example.org --from shop@example.net", "" } },
    { 0 },
};
/* clang-format on */
