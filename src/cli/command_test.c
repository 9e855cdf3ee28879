/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command_test.c: the table of commands, and that parser, help, completion and manual agree on it.
 */
#include "cli/command.h"

#include "cli/help.h"
#include "cli/table.h"

#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 1 << 20
};

static char *text; /* What was printed last. */

/* A stream into `text`; printed_end() ends it. */
static FILE *
print_begin(void)
{
    free(text);
    text = calloc(1, TEXT_SIZE);
    return fmemopen(text, TEXT_SIZE, "w");
}

static bool
holds(const char *part)
{
    return strstr(text, part) != NULL;
}

static void
full_name(const struct noun *noun, const struct command *c, char name[128])
{
    snprintf(name, 128, "outpost %s%s%s", noun->name, c->verb ? " " : "", c->verb ? c->verb : "");
}

static void
every_row_is_whole(void)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        CHECK(noun_find(str_from(noun->name)) == noun);
        CHECK(noun->summary && noun->commands && !command_is_end(noun->commands));
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            if (!c->run || !c->summary || c->args_max < c->args_min || !c->examples[0])
                printf("outpost %s %s\n", noun->name, c->verb ? c->verb : "");
            CHECK(c->run && c->summary && !str_ends(str_from(c->summary), S(".")));
            CHECK(c->args_max >= c->args_min && (c->args_max == 0) == (c->args == NULL));
            CHECK(c->examples[0] && c->examples[1]);
            CHECK(c->verb ? command_find(noun, str_from(c->verb)) == c : command_alone(noun) == c);
        }
    }
}

static void
no_command_has_a_flag_twice(void)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            const struct flag *flag, *other;

            for (unsigned i = 0; (flag = command_flag(c, i)); i++) {
                CHECK(str_starts(str_from(flag->name), S("--")) && flag->doc);
                CHECK((flag->type == FLAG_NONE) == (flag->value == NULL));
                for (unsigned k = 0; k < i && (other = command_flag(c, k)); k++) {
                    bool same = strcmp(flag->name, other->name) == 0 ||
                                (flag->letter && flag->letter == other->letter);

                    if (same)
                        printf("outpost %s %s: %s\n", noun->name, c->verb ? c->verb : "",
                               flag->name);
                    CHECK(!same);
                }
            }
        }
    }
}

static void
help_names_every_flag_and_example(void)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            FILE *file = print_begin();
            const struct flag *flag;
            char name[128];

            help_command(file, noun, c);
            fclose(file);
            full_name(noun, c, name);
            CHECK(holds(name) && holds(c->summary));
            for (unsigned i = 0; (flag = command_flag(c, i)); i++)
                CHECK(holds(flag->name) && holds(flag->doc));
            for (size_t i = 0; i < COUNT_OF(c->examples) && c->examples[i]; i++)
                CHECK(holds(c->examples[i]));
        }
    }
}

static void
the_overview_names_every_noun(void)
{
    FILE *file = print_begin();

    help_all(file);
    fclose(file);
    for (const struct noun *noun = nouns; noun->name; noun++)
        CHECK(holds(noun->name) && holds(noun->summary));
}

static void
completion_knows_every_command_and_flag(void)
{
    FILE *file = print_begin();

    help_completion_bash(file);
    fclose(file);
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            const struct flag *flag;
            char name[128];
            const char *row, *end;

            snprintf(name, sizeof(name), "    \"%s %s\") words=\"", noun->name,
                     c->verb ? c->verb : "");
            row = strstr(text, name);
            end = row ? strchr(row, '\n') : NULL;
            CHECK(row && end);
            for (unsigned i = 0; row && end && (flag = command_flag(c, i)); i++)
                CHECK(memmem(row, (size_t)(end - row), flag->name, strlen(flag->name)));
        }
    }
}

static void
the_manual_has_every_command(void)
{
    FILE *file = print_begin();
    char name[140];

    help_manual(file);
    fclose(file);
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            snprintf(name, sizeof(name), ".Ss ");
            full_name(noun, c, name + 4);
            CHECK(holds(name));
        }
    }
}

/* The flags of an example are flags of its command. */
static void
check_example(const char *example)
{
    const struct noun *noun;
    const struct command *c;
    str rest = str_from(example);
    str word, verb;

    str_split(rest, ' ', &word, &rest);
    CHECK_STR(word, "outpost");
    if (!str_split(rest, ' ', &word, &rest))
        rest = (str){ 0 };
    noun = noun_find(word);
    CHECK(noun != NULL);
    if (!noun)
        return;
    if (!str_split(rest, ' ', &verb, &word))
        verb = rest;
    c = command_find(noun, verb);
    if (!c)
        c = command_alone(noun);
    CHECK(c != NULL);
    while (c && rest.len) {
        const struct flag *flag;
        bool known = false;

        if (!str_split(rest, ' ', &word, &rest)) {
            word = rest;
            rest = (str){ 0 };
        }
        if (!str_starts(word, S("--")) || word.len == 2)
            continue;
        for (unsigned i = 0; (flag = command_flag(c, i)); i++)
            known = known || str_eq(word, str_from(flag->name));
        if (!known)
            printf("in: %s\n", example);
        CHECK(known);
    }
}

static void
every_example_can_be_parsed(void)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            for (size_t i = 0; i < COUNT_OF(c->examples) && c->examples[i]; i += 2) {
                if (str_starts(str_from(c->examples[i]), S("outpost ")))
                    check_example(c->examples[i]);
            }
        }
    }
}

static int
run_words(const char *words)
{
    static char copy[256];
    char *argv[16];
    int argc = 0;

    snprintf(copy, sizeof(copy), "outpost %s", words);
    for (char *at = copy; at && *at;) {
        char *blank = strchr(at, ' ');

        argv[argc++] = at;
        if (blank)
            *blank++ = '\0';
        at = blank;
    }
    argv[argc] = NULL;
    return cli_run(argc, argv);
}

/* The same with what is printed put aside: here only the exit code counts. */
static int
run_silently(const char *words)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    int exit;

    fflush(stdout);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    exit = run_words(words);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(null);
    close(out);
    close(err);
    return exit;
}

static void
words_that_are_wrong_are_refused_with_64(void)
{
    /* clang-format off */
    static const char *const wrong[] = {
        "", "verson", "config", "config chek", "config check --nonsense", "config check one",
        "config explain --output pretty", "config explain -o", "version --json=yes",
        "config explain a.b.c", "--config", "setup", "setup not-an-address --dev", "test send",
        "test send --server h --port 70000 --from a@b --to c@d", "help nothing", "help config nothing",
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int exit = run_silently(wrong[i]);

        if (exit != EXIT_USAGE)
            printf("\"%s\" gives %d\n", wrong[i], exit);
        CHECK(exit == EXIT_USAGE);
    }
}

static void
words_that_are_right_are_obeyed(void)
{
    /* clang-format off */
    static const char *const right[] = {
        "version", "--version", "version --json", "--json version", "help", "help config check",
        "help exit-codes", "config explain", "config explain smtp -o tsv --no-headers",
        "config explain delivery.expire", "-o ids config explain log", "config check --help",
        "completion bash", "help --man outpost.1", "help --man=outpost.conf.5", "config --help",
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(right); i++)
        CHECK(run_silently(right[i]) == EXIT_OK);
}

int
main(void)
{
    RUN(every_row_is_whole);
    RUN(no_command_has_a_flag_twice);
    RUN(help_names_every_flag_and_example);
    RUN(the_overview_names_every_noun);
    RUN(completion_knows_every_command_and_flag);
    RUN(the_manual_has_every_command);
    RUN(every_example_can_be_parsed);
    RUN(words_that_are_wrong_are_refused_with_64);
    RUN(words_that_are_right_are_obeyed);
    free(text);
    return check_end();
}
