/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* help.c: prints the table for people: --help, bash and man read the same rows. */
#include "cli/help.h"

#include "base/str.h"
#include "cli/table.h"

#include <string.h>

static void
print_summary(FILE *file, const char *name, const char *verb, const char *summary)
{
    char both[64];

    snprintf(both, sizeof(both), "%s%s%s", name, verb ? " " : "", verb ? verb : "");
    fprintf(file, "  %-18s %s\n", both, summary);
}

void
help_all(FILE *file)
{
    fprintf(file, "outpost: a mail server\n\nUsage: outpost COMMAND [flags]\n\n");
    for (const struct noun *noun = nouns; noun->name; noun++)
        print_summary(file, noun->name, NULL, noun->summary);
    fprintf(file, "\nMore: outpost help COMMAND, outpost help exit-codes, man outpost\n"
                  "Examples:\n"
                  "  outpost setup ann@example.org --dev --data ./try\n"
                  "      a server for tests, below one directory, without root\n"
                  "  outpost serve --config ./try/outpost.conf\n"
                  "      runs it in the foreground\n");
}

void
help_noun(FILE *file, const struct noun *noun)
{
    fprintf(file, "outpost %s: %s\n\n", noun->name, noun->summary);
    for (const struct command *c = noun->commands; !command_is_end(c); c++)
        print_summary(file, noun->name, c->verb, c->summary);
    fprintf(file, "\nMore: outpost %s VERB --help\n", noun->name);
}

static void
print_flags(FILE *file, const struct command *command)
{
    const struct flag *flag;

    fprintf(file, "\nFlags:\n");
    for (unsigned i = 0; (flag = command_flag(command, i)); i++) {
        char letter[8] = "    ";
        char name[80];

        if (flag->letter)
            snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
        snprintf(name, sizeof(name), "%s%s%s", flag->name, flag->value ? " " : "",
                 flag->value ? flag->value : "");
        fprintf(file, "  %s%-24s %s%s\n", letter, name, flag->doc,
                flag->repeated ? " (may be repeated)" : "");
    }
}

void
help_command(FILE *file, const struct noun *noun, const struct command *c)
{
    fprintf(file, "outpost %s%s%s: %s\n\nUsage: outpost %s%s%s%s%s [flags]\n", noun->name,
            c->verb ? " " : "", c->verb ? c->verb : "", c->summary, noun->name, c->verb ? " " : "",
            c->verb ? c->verb : "", c->args ? " " : "", c->args ? c->args : "");
    if (c->text)
        fprintf(file, "\n%s\n", c->text);
    print_flags(file, c);
    if (c->examples[0])
        fprintf(file, "\nExamples:\n");
    for (size_t i = 0; i + 1 < COUNT_OF(c->examples) && c->examples[i]; i += 2)
        fprintf(file, c->examples[i + 1][0] ? "  %s\n      %s\n" : "  %s\n", c->examples[i],
                c->examples[i + 1]);
}

void
help_exit_codes(FILE *file)
{
    const char *meaning;
    unsigned code;

    for (unsigned i = 0; exit_code_row(i, &code, &meaning); i++)
        fprintf(file, "%4u  %s\n", code, meaning);
}

/* The words of FLAG_CHOICE for bash: blanks for bars. */
static void
print_choices(FILE *file, const char *choices)
{
    for (const char *c = choices; *c; c++)
        fputc(*c == '|' ? ' ' : *c, file);
}

static void
print_flag_case(FILE *file, const struct noun *noun, const struct command *command)
{
    const struct flag *flag;

    fprintf(file, "    \"%s %s\") words=\"", noun->name, command->verb ? command->verb : "");
    for (unsigned i = 0; (flag = command_flag(command, i)); i++)
        fprintf(file, "%s%s", i ? " " : "", flag->name);
    fprintf(file, "\" ;;\n");
}

/* After a flag whose value is one of some words, those; after one that wants a file, files. */
static void
print_value_cases(FILE *file)
{
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++) {
            const struct flag *flag;

            for (unsigned i = 0; (flag = command_flag(c, i)); i++) {
                if (flag->type != FLAG_CHOICE)
                    continue;
                fprintf(file, "    \"%s %s %s\") words=\"", noun->name, c->verb ? c->verb : "",
                        flag->name);
                print_choices(file, flag->value);
                fprintf(file, "\" ;;\n");
            }
        }
    }
}

void
help_completion_bash(FILE *file)
{
    fprintf(file, "# bash completion for outpost: eval \"$(outpost completion bash)\"\n"
                  "_outpost() {\n"
                  "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                  "  local noun=${COMP_WORDS[1]} verb=${COMP_WORDS[2]} words= verbs=\n"
                  "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"");
    for (const struct noun *noun = nouns; noun->name; noun++)
        fprintf(file, "%s%s", noun == nouns ? "" : " ", noun->name);
    fprintf(file, "\"\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return\n  fi\n"
                  "  case $noun in\n");
    for (const struct noun *noun = nouns; noun->name; noun++) {
        fprintf(file, "    %s) verbs=\"", noun->name);
        for (const struct command *c = noun->commands; !command_is_end(c); c++)
            fprintf(file, "%s%s", c->verb ? c->verb : "", c->verb ? " " : "");
        fprintf(file, "\" ;;\n");
    }
    fprintf(file,
            "  esac\n"
            "  case \" $verbs \" in *\" $verb \"*) ;; *) verb= ;; esac\n"
            "  if [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$verbs\" ] && [ \"${cur#-}\" = \"$cur\" ]; "
            "then\n    COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\")); return\n  fi\n"
            "  case \"$noun $verb $prev\" in\n");
    print_value_cases(file);
    fprintf(file, "  esac\n"
                  "  if [ -n \"$words\" ]; then\n"
                  "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return\n  fi\n"
                  "  case \"$noun $verb\" in\n");
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++)
            print_flag_case(file, noun, c);
    }
    fprintf(file, "  esac\n"
                  "  case $cur in\n"
                  "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
                  "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                  "  esac\n}\ncomplete -F _outpost outpost\n");
}

/* Text for troff: no backslash, dot or quote at the front of a line means anything; an empty line
 * is a paragraph. */
static void
print_troff(FILE *file, const char *text)
{
    bool line_start = true;

    for (const char *c = text; *c; c++) {
        if (c[0] == '\n' && c[1] == '\n') {
            fputs("\n.Pp", file);
            continue;
        }
        if (line_start && (*c == '.' || *c == '\''))
            fputs("\\&", file);
        if (*c == '\\')
            fputs("\\e", file);
        else if (*c == '-')
            fputs("\\-", file);
        else
            fputc(*c, file);
        line_start = *c == '\n';
    }
    fputc('\n', file);
}

static void
manual_command(FILE *file, const struct noun *noun, const struct command *c)
{
    const struct flag *flag;

    fprintf(file, ".Ss outpost %s%s%s%s", noun->name, c->verb ? " " : "", c->verb ? c->verb : "",
            c->args ? " " : "");
    print_troff(file, c->args ? c->args : "");
    print_troff(file, c->summary);
    if (c->text) {
        fputs(".Pp\n", file);
        print_troff(file, c->text);
    }
    if (command_own_flag(c, 0)) {
        fputs(".Bl -tag -width indent\n", file);
        for (unsigned i = 0; (flag = command_own_flag(c, i)); i++) {
            fputs(".It ", file);
            if (flag->letter)
                fprintf(file, "Fl %c , ", flag->letter);
            fprintf(file, "Fl \\-%s", flag->name + 2);
            if (flag->value)
                fprintf(file, " Ar %s", flag->value);
            fputc('\n', file);
            print_troff(file, flag->doc);
        }
        fputs(".El\n", file);
    }
    for (size_t i = 0; i + 1 < COUNT_OF(c->examples) && c->examples[i]; i += 2) {
        fputs(".Pp\nExample:\n.Dl ", file);
        print_troff(file, c->examples[i]);
        if (c->examples[i + 1][0])
            print_troff(file, c->examples[i + 1]);
    }
}

void
help_manual(FILE *file)
{
    const char *meaning;
    unsigned code;

    fputs(".Dd November 26, 2026\n.Dt OUTPOST 1\n.Os\n.Sh NAME\n.Nm outpost\n.Nd a mail server\n"
          ".Sh SYNOPSIS\n.Nm\n.Ar noun\n.Op Ar verb\n.Op Ar argument ...\n.Op flags\n"
          ".Sh DESCRIPTION\n.Nm\ntakes mail, keeps it and brings it to its next place.\n"
          "One command serves, and the others set it up, ask it and steer it.\n"
          "Data goes to the standard output, and everything else to the standard error.\n"
          ".Sh FLAGS OF ALL COMMANDS\n.Bl -tag -width indent\n",
          file);
    for (const struct flag *flag = common_flags; flag->name; flag++) {
        fprintf(file, ".It Fl \\-%s%s%s\n", flag->name + 2, flag->value ? " Ar " : "",
                flag->value ? flag->value : "");
        print_troff(file, flag->doc);
    }
    fputs(".El\n.Sh COMMANDS\n", file);
    for (const struct noun *noun = nouns; noun->name; noun++) {
        for (const struct command *c = noun->commands; !command_is_end(c); c++)
            manual_command(file, noun, c);
    }
    fputs(".Sh ENVIRONMENT\n.Bl -tag -width indent\n"
          ".It Ev OUTPOST_CONFIG\nThe configuration, when there is no\n.Fl \\-config .\n"
          ".It Ev OUTPOST_PASSWORD\nA password, where one is needed.\n"
          ".It Ev OUTPOST_REASON\nThe reason, when there is no\n.Fl \\-reason .\n"
          ".It Ev NO_COLOR\nNo colours.\n.El\n"
          ".Sh FILES\n.Bl -tag -width indent\n.It Pa /etc/outpost/outpost.conf\n"
          "The configuration.\n.El\n.Sh EXIT STATUS\n.Bl -tag -width indent\n",
          file);
    for (unsigned i = 0; exit_code_row(i, &code, &meaning); i++)
        fprintf(file, ".It %u\n%s\n", code, meaning);
    fputs(".El\n.Sh SEE ALSO\n.Xr outpost.conf 5 ,\n.Xr outpost-rules 5\n", file);
}
