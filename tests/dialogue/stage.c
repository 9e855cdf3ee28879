/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stage.c: plays the steps of a dialogue.  Start reading at stage_play(). */
#include "stage.h"

#include "config/config.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "runtime/listener.h"
#include "runtime/tls.h"
#include "world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONFIG_MAX = 64 * 1024,
    BYTES_MAX = 64 * 1024 * 1024
};

#define SERVER_ADDRESS "203.0.113.1"

static const struct {
    const char *name;
    const char *listener;
    uint16_t port;
    bool tls;
} doors[] = {
    { "mx", "smtp", 25, false },
    { "submission", "submission", 587, false },
    { "submissions", "submissions", 465, true },
    { "pop3", "pop3", 110, false },
    { "pop3s", "pop3s", 995, true },
};

bool
stage_address(const struct stage *stage, str name, struct buf *address)
{
    buf_clear(address);
    buf_add(address, name);
    if (str_find(name, '@') < 0)
        buf_addf(address, "@%s", stage->domain);
    return buf_ok(address);
}

struct actor *
stage_actor(struct stage *stage, str name)
{
    for (size_t i = 0; i < stage->actor_count; i++) {
        if (str_eq(str_from(stage->actors[i].name), name))
            return &stage->actors[i];
    }
    if (stage->actor_count == ACTORS_MAX)
        return NULL;
    actor_init(&stage->actors[stage->actor_count], name);
    return &stage->actors[stage->actor_count++];
}

enum err
stage_open(struct stage *stage, const char *tls_dir, struct why *why)
{
    stage->tls_dir = tls_dir;
    snprintf(stage->dir, sizeof(stage->dir), "/tmp/dialogue-XXXXXX");
    if (!mkdtemp(stage->dir))
        return err_why(why, ERR_IO, "no directory for the data");
    buf_init(&stage->config, CONFIG_MAX);
    return tls_client_new(NULL, &stage->client_tls, why);
}

static int
remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

void
stage_close(struct stage *stage)
{
    for (size_t i = 0; i < stage->actor_count; i++) {
        if (!stage->actors[i].listener)
            actor_done(&stage->actors[i]);
    }
    if (stage->server)
        server_stop(stage->server, 0);
    for (size_t i = 0; i < stage->actor_count; i++) {
        if (stage->actors[i].listener)
            actor_done(&stage->actors[i]);
    }
    tls_context_unref(stage->client_tls);
    buf_done(&stage->config);
    nftw(stage->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Calls FN for each item of each given: "domain here.example, account ann". */
static enum err
each_given(struct stage *stage, enum err (*fn)(struct stage *stage, str item, struct why *why),
           struct why *why)
{
    for (size_t i = 0; i < stage->given_count; i++) {
        str rest = stage->givens[i]->text, item;
        enum err e = OK;

        while (rest.len && !e) {
            str tail = { 0 };

            item = rest;
            if (!str_starts(rest, S("config ")))
                str_split(rest, ',', &item, &tail);
            rest = str_trim(tail);
            e = fn(stage, str_trim(item), why);
        }
        if (e)
            return e;
    }
    return OK;
}

static void
write_config(struct stage *stage)
{
    buf_addf(&stage->config, "server { hostname mail.here.example; data_dir %s; sandbox no; }\n",
             stage->dir);
    buf_addf(&stage->config, "tls { certificate %s/cert.pem; key %s/key.pem; }\n", stage->tls_dir,
             stage->tls_dir);
    for (size_t i = 0; i < COUNT_OF(doors); i++)
        buf_addf(&stage->config, "listen %s { address " SERVER_ADDRESS ":%u; @%s }\n",
                 doors[i].listener, doors[i].port, doors[i].listener);
}

/* What `given proxy` adds stands in the listeners, where @KIND marks the place. */
static void
clear_marks(struct buf *config)
{
    for (size_t i = 0; i < config->len; i++) {
        if (config->data[i] != '@' || i == 0 || config->data[i - 1] != ' ')
            continue;
        while (i < config->len && config->data[i] != ' ')
            config->data[i++] = ' ';
    }
}

static enum err
load_config(struct stage *stage, struct config **config, struct why *why)
{
    struct config_problems problems = { 0 };
    char path[128];
    enum err e;

    snprintf(path, sizeof(path), "%s/outpost.conf", stage->dir);
    e = config_parse(buf_str(&stage->config), path, config, &problems);
    if (e)
        e = err_why(why, e, "configuration: line %u: %s",
                    problems.count ? problems.items[0].line : 0,
                    problems.count ? problems.items[0].text : "?");
    config_problems_done(&problems);
    return e;
}

static enum err
bind_sockets(struct server_socket sockets[COUNT_OF(doors)], struct why *why)
{
    struct endpoint endpoint;
    enum err e = OK;

    (void)ipaddr_parse(S(SERVER_ADDRESS), &endpoint.addr);
    for (size_t i = 0; i < COUNT_OF(doors) && !e; i++) {
        endpoint.port = doors[i].port;
        snprintf(sockets[i].name, sizeof(sockets[i].name), "%s", doors[i].listener);
        e = listener_bind(&endpoint, 128, &sockets[i].fd, why);
    }
    return e;
}

/* With the configuration as it was written; the data is what an earlier start left. */
static enum err
start_server(struct stage *stage, struct why *why)
{
    struct server_options options = { .simulated = !world_is_real(), .notify_fd = -1 };
    struct server_socket sockets[COUNT_OF(doors)];
    struct config *config;
    enum err e;

    e = load_config(stage, &config, why);
    if (e)
        return e;
    options.config = config;
    if (world_is_real()) {
        options.sockets = sockets;
        options.socket_count = COUNT_OF(doors);
        e = bind_sockets(sockets, why);
    }
    if (!e)
        e = server_start(&options, &stage->server, why);
    config_unref(config);
    return e;
}

static enum err
open_house(struct stage *stage, struct why *why)
{
    enum err e;

    write_config(stage);
    e = each_given(stage, given_configure, why);
    if (e)
        return e;
    clear_marks(&stage->config);
    e = start_server(stage, why);
    if (e)
        return e;
    return each_given(stage, given_apply, why);
}

/* "stops": in order, as for SIGTERM.  "crashes": nothing is waited for. */
static enum err
play_server(struct stage *stage, str text, struct why *why)
{
    if (str_eq(text, S("starts")))
        return stage->server ? err_why(why, ERR_EXISTS, "it runs") : start_server(stage, why);
    if (!stage->server)
        return err_why(why, ERR_NOT_FOUND, "it does not run");
    server_stop(take(stage->server), str_eq(text, S("crashes")) ? 0 : SECONDS(10));
    return OK;
}

/* "connect to submission from 192.0.2.7"; "to" and "from" may be missing. */
static enum err
connect_actor(struct stage *stage, struct actor *actor, str text, struct why *why)
{
    struct endpoint peer = { .port = 25 };
    ipaddr from, *local = NULL;
    bool tls = false;
    str word, rest = { 0 };

    (void)ipaddr_parse(S(SERVER_ADDRESS), &peer.addr);
    while (text.len) {
        str_split(text, ' ', &word, &rest);
        text = str_trim(rest);
        rest = S("");
        str_split(text, ' ', &word, &rest);
        if (ipaddr_parse(word, &from))
            local = &from;
        for (size_t i = 0; i < COUNT_OF(doors); i++) {
            if (str_eq(str_from(doors[i].name), word)) {
                peer.port = doors[i].port;
                tls = doors[i].tls;
            }
        }
    }
    return actor_connect(actor, &peer, local, tls ? stage->client_tls : NULL, why);
}

/* "ann by SCRAM-SHA-256 with PASSWORD"; the password may be missing. */
static enum err
login_actor(struct stage *stage, struct actor *actor, str text, struct why *why)
{
    char password[160];
    struct buf address;
    str name, mechanism = S("PLAIN"), rest = { 0 };
    enum err e;

    str_split(text, ' ', &name, &rest);
    snprintf(password, sizeof(password), "secret-%.*s", STR_ARG(name));
    if (str_starts(rest, S("by ")))
        str_split(str_skip(rest, 3), ' ', &mechanism, &rest);
    if (str_starts(rest, S("with ")))
        snprintf(password, sizeof(password), "%.*s", STR_ARG(str_skip(rest, 5)));
    buf_init(&address, 400);
    stage_address(stage, name, &address);
    e = actor_login(actor, mechanism, buf_str(&address), str_from(password), why);
    buf_done(&address);
    return e;
}

static enum err
play_actor(struct stage *stage, struct actor *actor, str text, struct why *why)
{
    enum err e;

    if (str_starts(text, S("connect")))
        return connect_actor(stage, actor, text, why);
    if (str_starts(text, S("logs in as ")))
        return login_actor(stage, actor, str_skip(text, 11), why);
    if (str_eq(text, S("closes")))
        return actor_expect_close(actor, why);
    if (str_eq(text, S("accepts"))) {
        e = actor_accept(actor);
        return e ? err_why(why, e, "nobody connected to %s", actor->name) : OK;
    }
    return err_why(why, ERR_SYNTAX, "unknown: %.*s", STR_ARG(text));
}

static enum err
play_send(struct stage *stage, struct actor *actor, str text, bool line, struct why *why)
{
    struct buf bytes;
    enum err e = OK;

    if (line && !actor->stream && str_starts(text, S("connect")))
        return connect_actor(stage, actor, text, why);
    if (!actor->stream)
        return err_why(why, ERR_CLOSED, "%s is not connected", actor->name);
    buf_init(&bytes, BYTES_MAX);
    if (!pattern_expand(text, &stage->captures, &bytes))
        e = err_why(why, ERR_SYNTAX, "a mistake in what is to be sent");
    if (line)
        buf_add(&bytes, S("\r\n"));
    if (!e) {
        e = actor_send(actor, buf_str(&bytes));
        if (e == ERR_CLOSED && !line)
            e = OK; /* The other side hung up on what is no protocol; what it said can still be
                       read. */
        if (e)
            e = err_why(why, e, "could not send: %s", err_name(e));
    }
    buf_done(&bytes);
    return e;
}

/* "31m", "2h", "45s", "3d". */
static enum err
play_after(str text, struct why *why)
{
    static const struct {
        char unit;
        duration length;
    } units[] = { { 's', SECONDS(1) }, { 'm', MINUTES(1) }, { 'h', HOURS(1) }, { 'd', DAYS(1) } };
    uint64_t count;

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (text.len > 1 && text.ptr[text.len - 1] == units[i].unit &&
            str_to_u64(str_head(text, text.len - 1), &count)) {
            world_pass(units[i].length * (duration)count);
            return OK;
        }
    }
    return err_why(why, ERR_SYNTAX, "that is no length of time");
}

static enum err
play_absent(struct actor *actor, str text, struct why *why)
{
    if (str_find_str(buf_str(&actor->log), text) >= 0)
        return err_why(why, ERR_REFUSED, "\"%.*s\" must not appear", STR_ARG(text));
    return OK;
}

static enum err
play_connection(struct stage *stage, struct step *step, struct why *why)
{
    struct actor *actor = stage_actor(stage, step->actor);

    if (!actor)
        return err_why(why, ERR_LIMIT, "too many actors");
    switch (step->kind) {
    case STEP_SEND:
        return play_send(stage, actor, step->text, true, why);
    case STEP_RAW:
        return play_send(stage, actor, step->text, false, why);
    case STEP_EXPECT:
        return actor_expect(actor, step->text, &stage->captures, why);
    case STEP_ABSENT:
        return play_absent(actor, step->text, why);
    case STEP_CUT:
        actor_cut(actor);
        return OK;
    case STEP_STARTTLS:
        return actor_start_tls(actor, stage->client_tls, why);
    default:
        return play_actor(stage, actor, step->text, why);
    }
}

enum err
stage_play(struct stage *stage, struct step *step, struct why *why)
{
    enum err e;

    if (step->kind == STEP_GIVEN) {
        if (stage->given_count == COUNT_OF(stage->givens) || stage->opened)
            return err_why(why, ERR_LIMIT, "a given must stand at the beginning");
        stage->givens[stage->given_count++] = step;
        return OK;
    }
    if (!stage->opened) {
        e = open_house(stage, why);
        if (e)
            return e;
        stage->opened = true;
    }
    if (step->kind == STEP_SERVER)
        return play_server(stage, step->text, why);
    if (!stage->server && (step->kind == STEP_NOW || step->kind == STEP_THEN))
        return err_why(why, ERR_NOT_FOUND, "the server does not run");
    if (step->kind == STEP_NOW)
        return given_apply(stage, step->text, why);
    if (step->kind == STEP_THEN)
        return then_check(stage, step->text, why);
    if (step->kind == STEP_AFTER)
        return play_after(step->text, why);
    return play_connection(stage, step, why);
}
