/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_call.c: from the line of a request to the lines of its answer.  Start reading at
 * control_run(). */
#include "ops/control_call.h"

#include "formats/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct control_command *const tables[] = {
    control_status,
    control_queue,
    control_cancel,
    control_route,
    control_rule,
    control_secret,
    control_tls,
    control_tls_report,
    control_trace,
    control_directory,
    control_dkim,
    control_suppression,
    control_dns,
};

/* What each error means to a script. */
static const struct {
    const char *code;
    int exit;
} meanings[] = {
    [OK] = { "ok", EX_OK },
    [ERR_CLOSED] = { "closed", EX_UNAVAILABLE },
    [ERR_TIMEOUT] = { "timeout", EX_TEMPFAIL },
    [ERR_CANCELLED] = { "stopping", EX_TEMPFAIL },
    [ERR_LIMIT] = { "limit", EX_TEMPFAIL },
    [ERR_SYNTAX] = { "syntax", EX_USAGE },
    [ERR_NOT_FOUND] = { "not_found", EX_NOUSER },
    [ERR_EXISTS] = { "exists", EX_CANTCREAT },
    [ERR_REFUSED] = { "refused", EX_NOPERM },
    [ERR_UNREACHABLE] = { "unreachable", EX_NOHOST },
    [ERR_IO] = { "io", EX_IOERR },
    [ERR_FULL] = { "disk_full", EX_IOERR },
    [ERR_CORRUPT] = { "corrupt", EX_DATAERR },
    [ERR_TLS] = { "tls", EX_PROTOCOL },
    [ERR_BUSY] = { "busy", EX_TEMPFAIL },
    [ERR_UNSUPPORTED] = { "unsupported", EX_UNAVAILABLE },
};

int
control_exit_code(enum err e)
{
    return (size_t)e < COUNT_OF(meanings) ? meanings[e].exit : EX_SOFTWARE;
}

struct json_writer *
control_row(struct control_call *call)
{
    buf_clear(&call->line);
    json_writer_init(&call->row, &call->line);
    json_begin_object(&call->row, NULL);
    json_begin_object(&call->row, "row");
    return &call->row;
}

enum err
control_row_end(struct control_call *call)
{
    json_end_object(&call->row);
    json_end_object(&call->row);
    if (!buf_ok(&call->line))
        return control_fail(call, ERR_LIMIT, "row_too_large", "ask for less", "a row is too large");
    return call->carrier->emit(call->carrier->arg, buf_str(&call->line));
}

enum err
control_row_raw(struct control_call *call, str json)
{
    buf_clear(&call->line);
    buf_addf(&call->line, "{\"row\":");
    buf_add(&call->line, json);
    buf_add_byte(&call->line, '}');
    if (!buf_ok(&call->line))
        return control_fail(call, ERR_LIMIT, "row_too_large", "ask for less", "a row is too large");
    return call->carrier->emit(call->carrier->arg, buf_str(&call->line));
}

enum err
control_progress(struct control_call *call, uint64_t done, uint64_t total)
{
    enum err e;

    buf_clear(&call->line);
    buf_addf(&call->line, "{\"progress\":{\"done\":%llu,\"total\":%llu}}",
             (unsigned long long)done, (unsigned long long)total);
    e = call->carrier->emit(call->carrier->arg, buf_str(&call->line));
    return e ? e : call->carrier->flush(call->carrier->arg);
}

void
control_say(struct control_call *call, const char *format, ...)
{
    char text[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!call->said.len)
        (void)arena_copy(&call->arena, str_from(text), &call->said);
    else
        (void)arena_printf(&call->arena, &call->said, "%.*s\n%s", STR_ARG(call->said), text);
}

struct json_writer *
control_document_begin(struct control_call *call)
{
    json_begin_object(&call->answer, "document");
    return &call->answer;
}

void
control_document_end(struct control_call *call)
{
    json_end_object(&call->answer);
}

enum err
control_fail(struct control_call *call, enum err e, const char *code, const char *cure,
             const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(call->why.text, sizeof call->why.text, format, list);
    va_end(list);
    call->code = code;
    snprintf(call->cure, sizeof call->cure, "%s", cure);
    return e;
}

enum err
control_failed(struct control_call *call, enum err e)
{
    call->code = (size_t)e < COUNT_OF(meanings) ? meanings[e].code : "error";
    if (!call->why.text[0])
        snprintf(call->why.text, sizeof call->why.text, "%s", err_name(e));
    return e;
}

bool
control_need(struct control_call *call, const char *name, str *value)
{
    *value = json_get_text(call->args, name);
    if (value->len)
        return true;
    (void)control_fail(call, ERR_SYNTAX, "missing_argument", "see 'outpost help'",
                       "the argument \"%s\" is missing", name);
    return false;
}

enum err
control_need_domain(struct control_call *call, str *domain)
{
    str given;
    enum err e;

    if (!control_need(call, "domain", &given))
        return ERR_SYNTAX;
    e = domain_to_alabel(given, &call->arena, domain);
    if (e)
        return control_fail(call, e, "no_domain", "write it as in mail addresses: example.org",
                            "%.*s is not a domain", STR_ARG(given));
    return OK;
}

static const struct control_command *
find_command(str name)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const struct control_command *at = tables[i]; at->name; at++)
            if (str_eq(name, str_from(at->name)))
                return at;
    return NULL;
}

static enum err
run_command(struct control_call *call, str name)
{
    const struct control_command *command = find_command(name);
    const struct control_context *context = call->context;

    if (!command)
        return control_fail(call, ERR_SYNTAX, "unknown_command",
                            "command line and server may be of different versions: restart it",
                            "the server does not know the command \"%.*s\"", STR_ARG(name));
    if (((command->needs & CONTROL_NEEDS_SERVER) && !context->server) ||
        ((command->needs & CONTROL_NEEDS_ACCOUNTS) && !context->accounts) ||
        ((command->needs & CONTROL_NEEDS_EVENTS) && !context->events))
        return control_fail(call, ERR_UNSUPPORTED, "not_running", "start it with 'outpost serve'",
                            "the server is not running, and %s needs it", command->name);
    return command->run(call);
}

static enum err
emit_end(struct control_call *call, enum err e)
{
    struct json_writer writer;

    buf_clear(&call->line);
    json_writer_init(&writer, &call->line);
    json_begin_object(&writer, NULL);
    if (e) {
        if (!call->code)
            (void)control_failed(call, e);
        json_begin_object(&writer, "error");
        json_put_text(&writer, "code", str_from(call->code));
        json_put_int(&writer, "exit", control_exit_code(e));
        json_put_text(&writer, "message", str_from(call->why.text));
        json_put_text(&writer, "cure", str_from(call->cure));
        json_end_object(&writer);
    } else {
        json_put_bool(&writer, "ok", true);
        if (call->said.len)
            json_put_text(&call->answer, "message", call->said);
        if (call->result.len) {
            buf_add_byte(&call->line, ',');
            buf_add(&call->line, buf_str(&call->result));
        }
    }
    json_end_object(&writer);
    return call->carrier->emit(call->carrier->arg, buf_str(&call->line));
}

enum err
control_run(const struct control_context *context, str request,
            const struct control_carrier *carrier)
{
    struct control_call call = { .context = context, .carrier = carrier };
    struct json *value = NULL;
    enum err e;

    arena_init(&call.arena, CONTROL_ARENA_MAX);
    buf_init(&call.line, CONTROL_LINE_MAX);
    buf_init(&call.result, CONTROL_LINE_MAX);
    json_writer_init(&call.answer, &call.result);
    if (json_parse(request, &call.arena, &value)) {
        e = control_fail(&call, ERR_SYNTAX, "bad_request", "use the 'outpost' command",
                         "the request is not JSON");
    } else {
        call.args = json_get(value, "args");
        call.actor = json_get_text(value, "actor");
        e = run_command(&call, json_get_text(value, "command"));
    }
    if (e != ERR_CLOSED && e != ERR_CANCELLED)
        e = emit_end(&call, e);
    arena_done(&call.arena);
    buf_done(&call.line);
    buf_done(&call.result);
    return e;
}
