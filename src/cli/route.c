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

/* clang-format off */
const struct command route_commands[] = {
    { .verb = "list", .uses = USES_CONFIG | USES_LIST,
      .summary = "List the routes of the configuration", .run = run_list,
      .examples = { "outpost route list", "" } },
    { .verb = "test", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = route_test_flags,
      .summary = "Go the way of mail for an address, and judge what would become of it",
      .run = route_test,
      .examples = { "outpost route test ann@example.org", "the same as outpost test route; nothing is sent",
                    "outpost route test ann@example.org --from shop@example.net", "" } },
    { 0 },
};
/* clang-format on */
