/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.c: from the words of a command line to a call, by the table.  Start reading at cli_run().
 */
#include "cli/command.h"

#include "base/must.h"
#include "cli/help.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/value.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct flag_use {
    const struct flag *flag;
    const char *value;
    uint64_t number;
};

enum {
    CALL_MEMORY_MAX = 64 << 20
};

static const struct flag_use *
last_use(const struct call *call, const char *name)
{
    const struct flag_use *found = NULL;

    for (unsigned i = 0; i < call->use_count; i++) {
        if (strcmp(call->uses[i].flag->name, name) == 0)
            found = &call->uses[i];
    }
    return found;
}

bool
call_has(const struct call *call, const char *flag)
{
    return last_use(call, flag) != NULL;
}

const char *
call_text(const struct call *call, const char *flag)
{
    const struct flag_use *use = last_use(call, flag);

    return use ? use->value : NULL;
}

uint64_t
call_number(const struct call *call, const char *flag, uint64_t standard)
{
    const struct flag_use *use = last_use(call, flag);

    return use ? use->number : standard;
}

duration
call_duration(const struct call *call, const char *flag, duration standard)
{
    const struct flag_use *use = last_use(call, flag);

    return use ? (duration)use->number : standard;
}

const char *
call_each(const struct call *call, const char *flag, unsigned *at)
{
    while (*at < call->use_count) {
        const struct flag_use *use = &call->uses[(*at)++];

        if (strcmp(use->flag->name, flag) == 0)
            return use->value;
    }
    return NULL;
}

static int
usage(const struct call *call, const char *cure, const char *what, const char *word)
{
    return call_fail(call, EXIT_USAGE, "usage", cure, "%s \"%s\"", what, word);
}

/* "--quee": the flags of the command that are near. */
static int
unknown_flag(const struct call *call, const char *word)
{
    struct nearest nearest;
    char cure[200];
    const struct flag *flag;

    nearest_init(&nearest, str_from(word));
    for (unsigned i = 0; (flag = command_flag(call->command, i)); i++)
        nearest_offer(&nearest, flag->name);
    if (nearest.best)
        snprintf(cure, sizeof(cure), "did you mean %s?", nearest.best);
    else
        snprintf(cure, sizeof(cure), "list the flags with --help");
    return usage(call, cure, "there is no flag", word);
}

static const struct flag *
find_flag(const struct command *command, str name, char letter)
{
    const struct flag *flag;

    for (unsigned i = 0; (flag = command_flag(command, i)); i++) {
        if (letter ? flag->letter == letter : str_eq(name, str_from(flag->name)))
            return flag;
    }
    return NULL;
}

static bool
is_choice(const char *choices, str word)
{
    str rest = str_from(choices);
    str choice;

    while (rest.len) {
        if (!str_split(rest, '|', &choice, &rest))
            rest = (str){ 0 };
        if (str_eq(choice, word))
            return true;
    }
    return false;
}

/* Checks the value by the flag's type; 0 or an exit code. */
static int
take_value(struct call *call, const struct flag *flag, const char *value)
{
    struct flag_use *use = &call->uses[call->use_count];
    str text = str_from(value);
    duration time = 0;
    char cure[200];
    bool ok = true;

    *use = (struct flag_use){ .flag = flag, .value = value };
    snprintf(cure, sizeof(cure), "write %s", flag->name);
    switch (flag->type) {
    case FLAG_NUMBER:
        ok = str_to_u64(text, &use->number);
        snprintf(cure, sizeof(cure), "write a number, such as %s 100", flag->name);
        break;
    case FLAG_BYTES:
        ok = bytes_parse(text, &use->number);
        snprintf(cure, sizeof(cure), "write a number of bytes, such as %s 10M", flag->name);
        break;
    case FLAG_DURATION:
        ok = duration_parse(text, &time);
        use->number = (uint64_t)time;
        snprintf(cure, sizeof(cure), "write a number and its unit, such as %s 30s", flag->name);
        break;
    case FLAG_CHOICE:
        ok = is_choice(flag->value, text);
        snprintf(cure, sizeof(cure), "write one of %s", flag->value);
        break;
    default:
        break;
    }
    if (!ok)
        return call_fail(call, EXIT_USAGE, "usage", cure, "%s cannot be \"%s\"", flag->name, value);
    if (!flag->repeated && last_use(call, flag->name) && flag->type != FLAG_NONE)
        return call_fail(call, EXIT_USAGE, "usage", "give it once", "%s is there twice",
                         flag->name);
    call->use_count++;
    return 0;
}

/* One flag at argv[*at]: --name, --name=value, --name value, -n, -n value.  *at stays at its last
 * word. */
static int
take_flag(struct call *call, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *equals = strchr(word, '=');
    bool is_long = word[1] == '-';
    str name = str_head(str_from(word), equals && is_long ? (size_t)(equals - word) : SIZE_MAX);
    const struct flag *flag = find_flag(call->command, name, is_long ? 0 : word[1]);
    const char *value = is_long && equals ? equals + 1 : NULL;

    if (!flag)
        return unknown_flag(call, word);
    if (!is_long && word[2])
        value = word + 2;
    if (flag->type == FLAG_NONE) {
        if (value)
            return usage(call, "give it without a value", "no value is possible in", word);
        return take_value(call, flag, "");
    }
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value) {
        char cure[100];

        snprintf(cure, sizeof(cure), "write %s %s", flag->name, flag->value);
        return usage(call, cure, "a value is missing after", word);
    }
    return take_value(call, flag, value);
}

static void
apply_format(struct call *call)
{
    static const char *const names[] = { "table", "wide", "tsv", "ids", "json" };
    const char *format = call_text(call, "--output");
    const char *color = call_text(call, "--color");

    for (size_t i = 0; format && i < COUNT_OF(names); i++) {
        if (strcmp(format, names[i]) == 0)
            call->out->format = (enum output_format)i;
    }
    if (call_has(call, "--json"))
        call->out->format = OUTPUT_JSON;
    call->out->quiet = call_has(call, "--quiet");
    call->out->headers = !call_has(call, "--no-headers");
    if (color && strcmp(color, "auto") != 0)
        call->out->color = strcmp(color, "always") == 0;
}

/* So that an error before it is told in the form that was asked for. */
static void
expect_json(struct call *call, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            call->out->format = OUTPUT_JSON;
    }
}

/* All that follows noun and verb; 0 or an exit code. */
static int
take_words(struct call *call, int argc, char **argv, int at)
{
    bool only_args = false;
    int exit;

    for (; at < argc; at++) {
        const char *word = argv[at];

        if (!only_args && strcmp(word, "--") == 0) {
            only_args = true;
        } else if (!only_args && word[0] == '-' && word[1]) {
            exit = take_flag(call, argc, argv, &at);
            if (exit)
                return exit;
        } else {
            call->args[call->arg_count++] = word;
        }
    }
    apply_format(call);
    return 0;
}

static int
check_count(const struct call *call)
{
    const struct command *command = call->command;
    char cure[300];

    snprintf(cure, sizeof(cure), "usage: outpost %s%s%s%s%s", call->noun->name,
             command->verb ? " " : "", command->verb ? command->verb : "", command->args ? " " : "",
             command->args ? command->args : "");
    if (call->arg_count < command->args_min)
        return call_fail(call, EXIT_USAGE, "usage", cure, "%s is missing",
                         call->arg_count == 0 && command->args ? command->args : "an argument");
    if (call->arg_count > command->args_max)
        return usage(call, cure, "there is one word too many:", call->args[command->args_max]);
    return 0;
}

static int
run_command(struct call *call, int argc, char **argv, int at)
{
    int exit = take_words(call, argc, argv, at);

    if (exit)
        return exit;
    if (call_has(call, "--help")) {
        help_command(call->out->file, call->noun, call->command);
        return EXIT_OK;
    }
    exit = check_count(call);
    if (exit)
        return exit;
    log_set_plain(isatty(STDERR_FILENO));
    if (call->command->run != serve_commands[0].run) /* What a server must know is noise here. */
        log_set_level(LOG_LEVEL_ERROR);
    exit = call->command->run(call);
    return exit == EXIT_STOP ? EXIT_OK : exit;
}

static int
unknown_word(const struct call *call, const char *what, const char *near, const char *word)
{
    char cure[200];

    if (near)
        snprintf(cure, sizeof(cure), "did you mean %s?", near);
    else if (call->noun)
        snprintf(cure, sizeof(cure), "list what %s can do with: outpost help %s", call->noun->name,
                 call->noun->name);
    else
        snprintf(cure, sizeof(cure), "list the commands with: outpost help");
    return usage(call, cure, what, word);
}

static bool
asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* argv[1] is a noun; finds its command and runs it. */
static int
run_noun(struct call *call, int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : NULL;

    call->command = verb ? command_find(call->noun, str_from(verb)) : NULL;
    if (call->command)
        return run_command(call, argc, argv, 3);
    call->command = command_alone(call->noun);
    if (call->command)
        return run_command(call, argc, argv, 2);
    if (verb && !asks_help(verb)) {
        if (verb[0] == '-')
            return usage(call, "write flags after the verb", "a verb has to stand before", verb);
        return unknown_word(call, "there is no command", verb_nearest(call->noun, str_from(verb)),
                            verb);
    }
    help_noun(verb ? call->out->file : stderr, call->noun);
    return verb ? EXIT_OK : EXIT_USAGE;
}

/* How many words of flags stand before the noun. */
static int
leading_words(int argc, char **argv)
{
    static const struct command any = { .uses = USES_CONFIG | USES_CHANGES | USES_DESTROYS | USES_REASON |
                                                USES_LIST };
    int at = 1;

    while (at < argc && argv[at][0] == '-') {
        bool is_long = argv[at][1] == '-';
        const struct flag *flag = find_flag(&any, str_from(argv[at]), is_long ? 0 : argv[at][1]);

        /* A value in the same word, or none. */
        if (flag && flag->type != FLAG_NONE && (is_long || !argv[at][2]))
            at++;
        at++;
    }
    return MIN(at, argc) - 1;
}

/* `outpost --config FILE queue list` is `outpost queue list --config FILE`. */
static char **
noun_first(struct call *call, int argc, char **argv)
{
    char **words = arena_new_array(&call->arena, char *, (size_t)argc + 1);
    int leading = leading_words(argc, argv);
    int count = 1;
    int at = leading + 1;

    must(words);
    words[0] = argv[0];
    for (int i = 0; i < 2 && at < argc && argv[at][0] != '-'; i++)
        words[count++] = argv[at++];
    for (int i = 1; i <= leading; i++)
        words[count++] = argv[i];
    while (at < argc)
        words[count++] = argv[at++];
    return words;
}

static int
run(struct call *call, int argc, char **argv)
{
    static char version[] = "version";

    expect_json(call, argc, argv);
    argv = noun_first(call, argc, argv);
    if (argc < 2 || asks_help(argv[1])) {
        help_all(argc < 2 ? stderr : call->out->file);
        return argc < 2 ? EXIT_USAGE : EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = version;
    if (argv[1][0] == '-')
        return usage(call, "list the commands with: outpost help", "there is no command after",
                     argv[1]);
    call->noun = noun_find(str_from(argv[1]));
    if (!call->noun)
        return unknown_word(call, "there is no command", noun_nearest(str_from(argv[1])), argv[1]);
    return run_noun(call, argc, argv);
}

int
cli_run(int argc, char **argv)
{
    struct output out;
    struct call call = { .program = argc ? argv[0] : "outpost", .out = &out };
    int exit;

    output_init(&out, stdout);
    arena_init(&call.arena, CALL_MEMORY_MAX);
    call.args = arena_new_array(&call.arena, const char *, (size_t)argc + 1);
    call.uses = arena_new_array(&call.arena, struct flag_use, (size_t)argc + 1);
    exit = run(&call, argc, argv);
    config_unref(call.config);
    arena_done(&call.arena);
    output_done(&out);
    if (fflush(stdout) && exit == EXIT_OK)
        exit = EXIT_IO;
    return exit;
}
