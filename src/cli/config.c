/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* config.c: outpost config check, show and explain. */
#include "cli/nouns.h"

#include "config/config.h"
#include "config/options.h"
#include "config/show.h"
#include "config/value.h"
#include "delivery/rules/shaping.h"

#include <string.h>

/* The file of delivery.rules_file. */
static int
check_rules(struct call *call)
{
    const char *path = call->config->delivery.rules_file.ptr;
    struct config_problems problems = { 0 };
    struct shaping *shaping = NULL;
    enum err e = shaping_load(path, &shaping, &problems);

    for (size_t i = 0; i < problems.count; i++)
        call_fail(call, EXIT_CONFIG, "rules", problems.items[i].cure, "%s:%u:%u: %s",
                  path ? path : "", problems.items[i].line, problems.items[i].column,
                  problems.items[i].text);
    config_problems_done(&problems);
    shaping_unref(shaping);
    return e ? EXIT_CONFIG : EXIT_OK;
}

static int
check(struct call *call)
{
    struct config_problems problems = { 0 };
    int exit = call_config(call);

    if (exit)
        return exit;
    config_check_files(call->config, &problems);
    for (size_t i = 0; i < problems.count; i++)
        call_fail(call, EXIT_CONFIG, "configuration", problems.items[i].cure, "%s: %s",
                  call_config_path(call), problems.items[i].text);
    exit = problems.count ? EXIT_CONFIG : check_rules(call);
    config_problems_done(&problems);
    if (!exit)
        output_line(call->out, "%s is good", call_config_path(call));
    return exit;
}

/* One option as a row: what it is, and what it is set to when there is a configuration. */
static void
print_option(struct call *call, const struct option *option)
{
    const struct section *section = &sections[option->section];
    struct json_writer writer;
    struct buf row, value;
    char key[128];
    unsigned line = 0;

    buf_init(&row, 1 << 20);
    buf_init(&value, 1 << 20);
    snprintf(key, sizeof(key), "%s.%s", section->name, option->name);
    json_writer_init(&writer, &row);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "key", str_from(key));
    if (call->config && !section->repeated) {
        config_value(call->config, option, &value);
        line = config_value_line(call->config, option);
        json_put_text(&writer, "value", buf_str(&value));
        if (line)
            json_put_int(&writer, "line", line);
        else
            json_put_null(&writer, "line");
    }
    json_put_text(&writer, "default", str_from(option->standard));
    json_put_text(&writer, "type", str_from(option_type_text(option)));
    if (option->choices) {
        json_begin_array(&writer, "choices");
        for (const struct option_choice *c = option->choices; c->name; c++)
            json_put_text(&writer, NULL, str_from(c->name));
        json_end_array(&writer);
    }
    json_put_text(&writer, "applies", str_from(option_reload_text(option)));
    json_put_text(&writer, "meaning", str_from(option->doc));
    json_end_object(&writer);
    output_row_text(call->out, buf_str(&row));
    buf_done(&value);
    buf_done(&row);
}

static const struct column option_columns[] = {
    { "key", NULL, COLUMN_ID, false },
    { "value", NULL, COLUMN_TEXT, false },
    { "line", NULL, COLUMN_NUMBER, false },
    { "default", NULL, COLUMN_TEXT, true },
    { "applies", NULL, COLUMN_TEXT, true },
    { "meaning", NULL, COLUMN_TEXT, true },
    { 0 },
};

static int
show(struct call *call)
{
    struct buf text;
    int exit = call_config(call);

    if (exit)
        return exit;
    if (call->out->format == OUTPUT_TABLE) {
        buf_init(&text, 16 << 20);
        config_show(call->config, call_has(call, "--all"), &text);
        fprintf(call->out->file, "%s", buf_cstr(&text));
        buf_done(&text);
        return EXIT_OK;
    }
    output_list(call->out, "outpost.config.option/1", option_columns);
    for (size_t i = 0; i < option_count; i++) {
        bool set =
            !sections[options[i].section].repeated && config_value_line(call->config, &options[i]);

        if (set || (call_has(call, "--all") && !sections[options[i].section].repeated))
            print_option(call, &options[i]);
    }
    output_list_end(call->out, "nothing is set");
    return EXIT_OK;
}

static const struct column explain_columns[] = {
    { "key", NULL, COLUMN_ID, false },
    { "default", NULL, COLUMN_TEXT, false },
    { "applies", NULL, COLUMN_TEXT, true },
    { "meaning", NULL, COLUMN_TEXT, false },
    { 0 },
};

/* For people, one option at length. */
static void
explain_option(struct call *call, const struct option *option)
{
    const struct section *section = &sections[option->section];
    struct buf value;
    unsigned line;

    if (call->out->format != OUTPUT_TABLE) {
        output_list(call->out, "outpost.config.option/1", option_columns);
        print_option(call, option);
        output_list_end(call->out, NULL);
        return;
    }
    output_line(call->out, "%s.%s: %s", section->name, option->name, option->doc);
    output_line(call->out, "  type     %s", option_type_text(option));
    for (const struct option_choice *c = option->choices; c && c->name; c++)
        output_line(call->out, "           %s", c->name);
    output_line(call->out, "  default  %s", option->standard[0] ? option->standard : "(none)");
    output_line(call->out, "  applies  %s", option_reload_text(option));
    if (!call->config || section->repeated)
        return;
    buf_init(&value, 1 << 20);
    config_value(call->config, option, &value);
    line = config_value_line(call->config, option);
    output_line(call->out, "  now      %s", value.len ? buf_cstr(&value) : "(none)");
    if (line)
        output_line(call->out, "  set in   %s:%u", call_config_path(call), line);
    buf_done(&value);
}

static int
explain_many(struct call *call, const struct section *only)
{
    output_list(call->out, "outpost.config.option/1", explain_columns);
    for (size_t i = 0; i < option_count; i++) {
        if (!only || &sections[options[i].section] == only)
            print_option(call, &options[i]);
    }
    output_list_end(call->out, NULL);
    return EXIT_OK;
}

/* "expire", "delivery.expier": what may have been meant. */
static int
unknown_key(struct call *call, str key)
{
    const struct section *owner = section_with_option(key);
    char cure[200] = "list all with: outpost config explain";
    str head, name;

    if (owner) {
        snprintf(cure, sizeof(cure), "did you mean %s.%.*s?", owner->name, STR_ARG(key));
    } else if (str_split(key, '.', &head, &name) && section_find(head)) {
        const char *near = option_nearest(section_id(section_find(head)), name);

        if (near)
            snprintf(cure, sizeof(cure), "did you mean %.*s.%s?", STR_ARG(head), near);
    } else if (section_nearest(key)) {
        snprintf(cure, sizeof(cure), "did you mean %s?", section_nearest(key));
    }
    return call_fail(call, EXIT_USAGE, "usage", cure, "there is no option \"%.*s\"", STR_ARG(key));
}

static int
explain(struct call *call)
{
    str key = call->arg_count ? str_from(call->args[0]) : (str){ 0 };
    const struct option *option = option_find_key(key);
    const struct section *section = section_find(key);
    struct config_problems problems = { 0 };
    struct config *config;

    /* The manual needs no file; its values are shown when there is a good one. */
    if (config_load(call_config_path(call), &config, &problems) == OK)
        call->config = config;
    config_problems_done(&problems);
    if (!key.len || section)
        return explain_many(call, section);
    if (!option)
        return unknown_key(call, key);
    explain_option(call, option);
    return EXIT_OK;
}

static const struct flag show_flags[] = {
    { "--all", 'a', FLAG_NONE, NULL, false, "Also what has its default" },
    { 0 },
};

const struct command config_commands[] = {
    {
        .verb = "check",
        .uses = USES_CONFIG,
        .summary = "Say what is wrong with the configuration",
        .text =
            "Every mistake is named with file, line and column, and with what to write instead.",
        .run = check,
        .examples = { "outpost config check --config ./try/outpost.conf", "check one file" },
    },
    {
        .verb = "show",
        .uses = USES_CONFIG | USES_LIST,
        .flags = show_flags,
        .summary = "Show what is set",
        .text = "For people, in the form of outpost.conf itself.",
        .run = show,
        .examples = { "outpost config show", "what differs from the defaults",
                      "outpost config show --all --json", "everything, one option on each line" },
    },
    {
        .verb = "explain",
        .args = "[KEY]",
        .args_max = 1,
        .uses = USES_CONFIG | USES_LIST,
        .summary = "Say what an option means, and where its value comes from",
        .run = explain,
        .examples = { "outpost config explain delivery.expire", "one option",
                      "outpost config explain smtp", "all of a section" },
    },
    { 0 },
};
