/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* script.c: lines into steps.  Start reading at script_parse(). */
#include "script.h"

#include "base/buf.h"

#include <string.h>

enum {
    STEPS_MAX = 2000
};

static bool
is_actor(str word)
{
    if (!word.len || !memchr("CSM", word.ptr[0], 3))
        return false;
    for (size_t i = 1; i < word.len; i++) {
        if (!ascii_is_digit(word.ptr[i]))
            return false;
    }
    return true;
}

/* "S2" speaks of the connection of "C2". */
static bool
name_actor(struct arena *arena, str word, str *actor)
{
    if (word.ptr[0] != 'S')
        return arena_copy(arena, word, actor);
    return arena_printf(arena, actor, "C%.*s", STR_ARG(str_skip(word, 1)));
}

static enum err
parse_sign(str word, str rest, struct step *step)
{
    char sign = word.ptr[word.len - 1];

    if (sign == '>')
        step->kind = STEP_SEND;
    else if (sign == '<')
        step->kind = STEP_EXPECT;
    else
        step->kind = STEP_ABSENT;
    step->text = rest;
    return OK;
}

/* A line whose first word names an actor, with a sign behind it or without. */
static enum err
parse_actor_line(str line, struct arena *arena, struct step *step)
{
    size_t length = 0;
    str word, rest;

    while (length < line.len && ascii_is_alnum(line.ptr[length]))
        length++;
    word = str_head(line, length);
    rest = str_skip(line, length);
    if (!is_actor(word) || !name_actor(arena, word, &step->actor))
        return ERR_SYNTAX;
    if (str_starts(rest, S(">raw "))) {
        step->kind = STEP_RAW;
        step->text = str_skip(rest, 5);
        return OK;
    }
    if (rest.len && memchr("><!", rest.ptr[0], 3)) {
        word = str_head(rest, 1);
        rest = str_skip(rest, 1);
        return parse_sign(word, str_starts(rest, S(" ")) ? str_skip(rest, 1) : rest, step);
    }
    step->kind = STEP_ACTOR;
    step->text = str_trim(rest);
    return OK;
}

static enum err
parse_line(str line, struct arena *arena, struct step *step)
{
    static const struct {
        str word;
        enum step_kind kind;
    } words[] = {
        { S("given"), STEP_GIVEN },       { S("now"), STEP_NOW },     { S("server"), STEP_SERVER },
        { S("then"), STEP_THEN },         { S("after"), STEP_AFTER }, { S("cut"), STEP_CUT },
        { S("starttls"), STEP_STARTTLS },
    };
    str word, rest = { 0 };

    str_split(line, ' ', &word, &rest);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq(words[i].word, word)) {
            step->kind = words[i].kind;
            step->text = str_trim(rest);
            step->actor = step->text;
            return OK;
        }
    }
    return parse_actor_line(line, arena, step);
}

enum err
script_parse(str text, struct arena *arena, struct script *script, unsigned *line)
{
    script->steps = arena_new_array(arena, struct step, STEPS_MAX);
    script->count = 0;
    *line = 0;
    if (!script->steps)
        return ERR_LIMIT;
    while (text.len) {
        struct step *step = &script->steps[script->count];
        str row, rest = { 0 };

        str_split(text, '\n', &row, &rest);
        text = rest;
        ++*line;
        if (!str_trim(row).len || row.ptr[0] == '#')
            continue;
        if (script->count + 1 == STEPS_MAX)
            return ERR_LIMIT;
        step->line = *line;
        if (parse_line(row, arena, step))
            return ERR_SYNTAX;
        script->count++;
    }
    return OK;
}
