/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_file.c: `outpost suppression import` and `export`.
 *
 * A file is read line by line and goes to the server in requests of some hundred entries, each
 * durable when it is answered: an import that is cut short can simply be run again.  Start reading
 * at suppression_import().
 */
#include "cli/suppression.h"

#include "formats/csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 * 1024,
    LINE_MEMORY_MAX = 1 << 20,
    REQUEST_FILL = 11000, /* Below what a request may have, with one more entry. */
    BATCH_MAX = 400,
    NOTE_MAX = 300,
    VALUE_MAX = 400,
    WRONG_TOLD_MAX = 20,
};

/* What a column, or a member, is called by whom. */
enum member {
    MEMBER_ADDRESS,
    MEMBER_REASON,
    MEMBER_ACCOUNT,
    MEMBER_LIST,
    MEMBER_NOTE,
    MEMBER_SOURCE,
    MEMBER_CREATED,
    MEMBER_EXPIRES,
    MEMBERS,
};
static const struct {
    const char *name;
    enum member member;
} names[] = {
    { "address", MEMBER_ADDRESS },   { "email", MEMBER_ADDRESS },
    { "recipient", MEMBER_ADDRESS }, { "emailaddress", MEMBER_ADDRESS },
    { "reason", MEMBER_REASON },     { "type", MEMBER_REASON },
    { "account", MEMBER_ACCOUNT },   { "list", MEMBER_LIST },
    { "note", MEMBER_NOTE },         { "error", MEMBER_NOTE },
    { "description", MEMBER_NOTE },  { "source", MEMBER_SOURCE },
    { "created", MEMBER_CREATED },   { "created_at", MEMBER_CREATED },
    { "expires", MEMBER_EXPIRES },   { "lastupdatetime", MEMBER_CREATED },
};
static const char *const member_names[MEMBERS] = {
    [MEMBER_ADDRESS] = "address", [MEMBER_REASON] = "reason",   [MEMBER_ACCOUNT] = "account",
    [MEMBER_LIST] = "list",       [MEMBER_NOTE] = "note",       [MEMBER_SOURCE] = "source",
    [MEMBER_CREATED] = "created", [MEMBER_EXPIRES] = "expires",
};

struct import {
    struct call *call;
    FILE *file;
    enum member columns[CSV_FIELDS_MAX]; /* Of CSV; MEMBERS: not wanted. */
    size_t column_count;
    bool has_columns;
    uint64_t line;
    uint64_t done_bytes;
    uint64_t all_bytes; /* 0: not known. */
    uint64_t read;
    uint64_t entered;
    uint64_t wrong;
    struct ask ask;
    size_t batch; /* Entries in ASK. */
    int exit;
};

static enum member
member_of(str name)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(name, str_from(names[i].name)))
            return names[i].member;
    return MEMBERS;
}

/* The words of others for our reasons. */
static str
reason_word(str word)
{
    static const struct {
        const char *theirs;
        const char *ours;
    } rows[] = {
        { "bounces", "bounce" },           { "hard_bounce", "bounce" },
        { "hardbounce", "bounce" },        { "invalid", "bounce" },
        { "complaints", "complaint" },     { "spam", "complaint" },
        { "spamreport", "complaint" },     { "spamcomplaint", "complaint" },
        { "unsubscribed", "unsubscribe" }, { "unsubscribes", "unsubscribe" },
        { "manualsuppression", "manual" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq_nocase(word, str_from(rows[i].theirs)))
            return str_from(rows[i].ours);
    return word;
}

static void
wrong_line(struct import *im, const char *what)
{
    im->wrong++;
    if (im->wrong <= WRONG_TOLD_MAX)
        fprintf(stderr, "line %llu: %s\n", (unsigned long long)im->line, what);
}

static void
begin_batch(struct import *im)
{
    ask_begin(&im->ask, im->call);
    suppression_put_common(&im->ask);
    json_begin_array(&im->ask.writer, "entries");
    im->batch = 0;
}

static void
say_wrong(void *arg, const struct json *row)
{
    struct import *im = arg;

    if (++im->wrong <= WRONG_TOLD_MAX)
        suppression_say_wrong(NULL, row);
}

static void
send_batch(struct import *im)
{
    const struct json *final = NULL;

    if (im->batch) {
        json_end_array(&im->ask.writer);
        im->exit =
            control_ask(im->call, "suppression.add", ask_text(&im->ask), say_wrong, im, &final);
        im->entered += im->exit ? 0 : (uint64_t)json_get_int(final, "entered");
    }
    ask_done(&im->ask);
    begin_batch(im);
    if (im->all_bytes)
        output_progress(im->call->out, im->done_bytes, im->all_bytes);
}

static void
take_entry(struct import *im, const str values[MEMBERS])
{
    struct json_writer *writer = &im->ask.writer;

    im->read++;
    json_begin_object(writer, NULL);
    json_put_int(writer, "line", (int64_t)im->line);
    for (unsigned i = 0; i < MEMBERS; i++) {
        str value = str_head(values[i], i == MEMBER_NOTE ? NOTE_MAX : VALUE_MAX);
        if (i == MEMBER_REASON)
            value = reason_word(value);
        if (value.len)
            json_put_text(writer, member_names[i], value);
    }
    json_end_object(writer);
    im->batch++;
    if (im->batch == BATCH_MAX || im->ask.buf.len > REQUEST_FILL)
        send_batch(im);
}

static void
take_json(struct import *im, str line, struct arena *arena)
{
    str values[MEMBERS] = { 0 };
    struct json *object;

    if (json_parse(line, arena, &object) || object->type != JSON_OBJECT) {
        wrong_line(im, "this is no JSON object");
        return;
    }
    for (const struct json *at = object->first; at; at = at->next) {
        enum member member = member_of(at->key);
        if (member != MEMBERS && (at->type == JSON_TEXT || at->type == JSON_NUMBER))
            values[member] = at->text;
    }
    take_entry(im, values);
}

/* Whether the line names columns; else they are as we would guess. */
static bool
take_columns(struct import *im, const str *fields, size_t count)
{
    bool has_address = false;

    im->has_columns = true;
    im->column_count = count;
    for (size_t i = 0; i < count; i++) {
        im->columns[i] = member_of(fields[i]);
        has_address = has_address || im->columns[i] == MEMBER_ADDRESS;
    }
    if (has_address)
        return true;
    im->column_count = 1;
    im->columns[0] = MEMBER_ADDRESS;
    return false;
}

static void
take_csv(struct import *im, str line, struct arena *arena)
{
    str fields[CSV_FIELDS_MAX];
    str values[MEMBERS] = { 0 };
    size_t count;

    if (csv_parse(line, arena, fields, &count)) {
        wrong_line(im, "this is no line of comma-separated values");
        return;
    }
    if (!im->has_columns && take_columns(im, fields, count))
        return;
    for (size_t i = 0; i < MIN(count, im->column_count); i++)
        if (im->columns[i] != MEMBERS)
            values[im->columns[i]] = csv_unmark(fields[i]);
    take_entry(im, values);
}

static void
take_line(struct import *im, str line)
{
    struct arena arena;

    im->line++;
    im->done_bytes += line.len;
    if (im->line == 1 && str_starts(line, S("\xef\xbb\xbf")))
        line = str_skip(line, 3);
    line = str_trim(line);
    if (!line.len || line.ptr[0] == '#')
        return;
    arena_init(&arena, LINE_MEMORY_MAX);
    if (line.len > LINE_MAX_BYTES)
        wrong_line(im, "this line is too long");
    else if (line.ptr[0] == '{')
        take_json(im, line, &arena);
    else
        take_csv(im, line, &arena);
    arena_done(&arena);
}

static int
end_import(struct import *im)
{
    bool dry = call_has(im->call, "--dry-run");
    struct json_writer writer;
    struct buf text;

    output_progress(im->call->out, 0, 0);
    if (im->wrong > WRONG_TOLD_MAX)
        fprintf(stderr, "and %llu more are wrong\n",
                (unsigned long long)(im->wrong - WRONG_TOLD_MAX));
    buf_init(&text, 1000);
    json_writer_init(&writer, &text);
    json_begin_object(&writer, NULL);
    json_put_int(&writer, "read", (int64_t)im->read);
    json_put_int(&writer, "entered", (int64_t)im->entered);
    json_put_int(&writer, "wrong", (int64_t)im->wrong);
    json_put_bool(&writer, "dry_run", dry);
    json_end_object(&writer);
    if (im->call->out->format == OUTPUT_JSON)
        output_document_text(im->call->out, "outpost.result/1", NULL, buf_str(&text));
    else
        output_line(im->call->out, "%llu %s, %llu wrong%s", (unsigned long long)im->entered,
                    dry ? "would be entered" : "entered", (unsigned long long)im->wrong,
                    dry ? " (not done: --dry-run)" : "");
    buf_done(&text);
    if (im->exit)
        return im->exit;
    return !im->wrong ? EXIT_OK : im->entered ? EXIT_PARTLY : EXIT_DATA;
}

int
suppression_import(struct call *call)
{
    struct import *im = arena_new(&call->arena, struct import);
    const char *path = call->args[0];
    bool is_stdin = strcmp(path, "-") == 0;
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    struct stat status;
    int exit = call_check_lasting(call, "--for");

    if (exit)
        return exit;
    if (!im)
        return call_fail(call, EXIT_INTERNAL, "limit", "", "too little memory");
    im->call = call;
    im->file = is_stdin ? stdin : fopen(path, "re");
    if (!im->file)
        return call_fail(call, EXIT_NOINPUT, "no_file", "name a file that you may read", "%s: %s",
                         path, strerror(errno));
    if (!fstat(fileno(im->file), &status) && S_ISREG(status.st_mode))
        im->all_bytes = (uint64_t)status.st_size;
    begin_batch(im);
    while (!im->exit && (size = getline(&line, &room, im->file)) > 0)
        take_line(im, (str){ line, (size_t)size });
    if (!im->exit && ferror(im->file)) /* Such as a folder. */
        im->exit = call_fail(call, EXIT_NOINPUT, "no_file", "name a file that can be read",
                             "cannot read %s: %s", path, strerror(errno));
    if (!im->exit)
        send_batch(im);
    ask_done(&im->ask);
    free(line);
    if (!is_stdin)
        fclose(im->file);
    return end_import(im);
}

/* --- Export. */

static void
print_csv(void *arg, const struct json *row)
{
    static const enum member order[] = { MEMBER_ADDRESS, MEMBER_REASON, MEMBER_ACCOUNT,
                                         MEMBER_LIST,    MEMBER_NOTE,   MEMBER_SOURCE,
                                         MEMBER_CREATED, MEMBER_EXPIRES };
    FILE *file = arg;
    struct buf line, safe;

    buf_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        if (i)
            buf_add_byte(&line, ',');
        csv_put_harmless(&line, row ? json_get_text(row, member_names[order[i]])
                                    : str_from(member_names[order[i]]));
    }
    /* A file keeps every byte; a terminal is not steered by what strangers wrote. */
    if (isatty(fileno(file))) {
        buf_init(&safe, line.len + 1);
        output_add_harmless(&safe, buf_str(&line));
        fprintf(file, "%.*s\n", STR_ARG(buf_str(&safe)));
        buf_done(&safe);
    } else {
        fprintf(file, "%.*s\n", STR_ARG(buf_str(&line)));
    }
    buf_done(&line);
}

int
suppression_export(struct call *call)
{
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    suppression_put_query(&ask);
    if (call->out->format != OUTPUT_TABLE)
        return ask_list(&ask, "suppression.list", "outpost.suppression/1", suppression_columns,
                        NULL);
    print_csv(call->out->file, NULL);
    exit = control_ask(call, "suppression.list", ask_text(&ask), print_csv, call->out->file, NULL);
    ask_done(&ask);
    return exit;
}
