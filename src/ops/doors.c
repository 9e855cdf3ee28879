/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* doors.c: from a `listen` block to a conversation.
 *
 * One door for each address of each block.  A door holds what its conversations borrow; so doors
 * are freed only when all of them have ended.  Start reading at doors_start().
 */
#include "ops/doors.h"

#include "base/must.h"
#include "config/config.h"
#include "intake/intake.h"
#include "ops/server.h"
#include "runtime/listener.h"
#include "runtime/log.h"
#include "servers/pop3/server.h"
#include "servers/smtp/server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct door_entry {
    char name[32];
    struct endpoint endpoint;
    struct listener *listener;
    bool is_pop3;
    struct smtp_server smtp;
    struct pop3_server pop3;
};

struct doors {
    size_t count;
    struct door_entry entries[DOORS_MAX];
};

/* The supervisor's socket for the NTH address of the block NAME, or -1. */
static int
find_socket(const struct server_options *options, str name, size_t nth)
{
    for (size_t i = 0; i < options->socket_count; i++)
        if (str_eq(str_from(options->sockets[i].name), name) && nth-- == 0)
            return options->sockets[i].fd;
    return -1;
}

static void
set_conversation(struct door_entry *entry, const struct config_listen *listen,
                 struct intake_services *services, struct tls_context *tls)
{
    bool implicit = listen->tls == LISTEN_TLS_IMPLICIT;

    if (listen->tls == LISTEN_TLS_NONE)
        tls = NULL;
    entry->is_pop3 = listen->kind == LISTEN_POP3 || listen->kind == LISTEN_POP3S;
    if (entry->is_pop3) {
        entry->pop3.services = services;
        entry->pop3.name = entry->name;
        entry->pop3.implicit_tls = implicit;
        entry->pop3.proxies = &listen->proxy_protocol;
        atomic_store(&entry->pop3.tls, tls);
        return;
    }
    entry->smtp.services = services;
    entry->smtp.name = entry->name;
    entry->smtp.door = listen->kind == LISTEN_SMTP ? DOOR_MX : DOOR_SUBMISSION;
    entry->smtp.implicit_tls = implicit;
    entry->smtp.proxies = &listen->proxy_protocol;
    atomic_store(&entry->smtp.tls, tls);
}

static enum err
check_block(const struct server_options *options, const struct config_listen *listen,
            const struct tls_context *tls, struct why *why)
{
    if (listen->tls == LISTEN_TLS_IMPLICIT && !tls)
        return err_why(why, ERR_TLS,
                       "listener %.*s speaks TLS, but tls.certificate is not set; 'outpost setup' "
                       "makes one",
                       STR_ARG(listen->name));
    for (size_t i = 0; i < listen->address.count && !options->simulated; i++)
        if (find_socket(options, listen->name, i) < 0)
            return err_why(why, ERR_NOT_FOUND, "listener %.*s has no socket",
                           STR_ARG(listen->name));
    return OK;
}

enum err
doors_check(const struct server_options *options, const struct tls_context *tls, struct why *why)
{
    enum err e = OK;

    for (size_t i = 0; i < options->config->listener_count && !e; i++)
        e = check_block(options, &options->config->listeners[i], tls, why);
    return e;
}

WAITS static enum err
open_door(struct door_entry *entry, const struct config_listen *listen, size_t nth,
          const struct server_options *options, struct why *why)
{
    void (*handler)(void *, struct stream *) = entry->is_pop3 ? pop3_server_run : smtp_server_run;
    void *arg = entry->is_pop3 ? (void *)&entry->pop3 : (void *)&entry->smtp;
    struct listener_options listener = {
        .name = entry->name,
        .connections_max = listen->connections_max,
    };
    enum err e;
    int fd;

    if (options->simulated) {
        e = listener_start_sim(&entry->endpoint, &listener, handler, arg, &entry->listener);
    } else {
        fd = find_socket(options, listen->name, nth);
        must(fd >= 0); /* doors_check() */
        e = listener_start(fd, &listener, handler, arg, &entry->listener);
    }
    if (e)
        return err_why(why, e, "listener %s: %s", entry->name, err_name(e));
    return OK;
}

WAITS static enum err
open_block(struct doors *doors, const struct config_listen *listen,
           struct intake_services *services, const struct server_options *options,
           struct tls_context *tls, struct why *why)
{
    for (size_t i = 0; i < listen->address.count; i++) {
        struct door_entry *entry;
        enum err e;

        if (doors->count == DOORS_MAX)
            return err_why(why, ERR_LIMIT, "more than %d listeners", DOORS_MAX);
        entry = &doors->entries[doors->count];
        memcpy(entry->name, listen->name.ptr, MIN(listen->name.len, sizeof entry->name - 1));
        entry->endpoint = listen->address.items[i];
        set_conversation(entry, listen, services, tls);
        e = open_door(entry, listen, i, options, why);
        if (e)
            return e;
        doors->count++;
    }
    return OK;
}

enum err
doors_start(struct intake_services *services, const struct server_options *options,
            struct tls_context *tls, struct doors **doors, struct why *why)
{
    struct doors *made = calloc(1, sizeof *made);
    enum err e = OK;

    must(made);
    for (size_t i = 0; i < options->config->listener_count && !e; i++)
        e = open_block(made, &options->config->listeners[i], services, options, tls, why);
    if (e) {
        doors_stop(made, 0);
        return e;
    }
    *doors = made;
    return OK;
}

static void
reload_door(struct door_entry *entry, const struct config_listen *listen, struct tls_context *tls)
{
    if (listen->tls == LISTEN_TLS_NONE)
        tls = NULL;
    if (entry->is_pop3) {
        __atomic_store_n(&entry->pop3.proxies, &listen->proxy_protocol, __ATOMIC_RELEASE);
        atomic_store(&entry->pop3.tls, tls);
    } else {
        __atomic_store_n(&entry->smtp.proxies, &listen->proxy_protocol, __ATOMIC_RELEASE);
        atomic_store(&entry->smtp.tls, tls);
    }
}

void
doors_reload(struct doors *doors, const struct config *config, struct tls_context *tls)
{
    for (size_t i = 0; i < doors->count; i++)
        for (size_t j = 0; j < config->listener_count; j++)
            if (str_eq(config->listeners[j].name, str_from(doors->entries[i].name)))
                reload_door(&doors->entries[i], &config->listeners[j], tls);
}

void
doors_stop(struct doors *doors, instant deadline)
{
    for (size_t i = 0; i < doors->count; i++)
        listener_close(doors->entries[i].listener);
    for (size_t i = 0; i < doors->count; i++)
        listener_stop(doors->entries[i].listener, deadline);
    free(doors);
}

bool
doors_get(const struct doors *doors, size_t index, const char **name, unsigned *port,
          unsigned *connections)
{
    const struct door_entry *entry;

    if (!doors || index >= doors->count)
        return false;
    entry = &doors->entries[index];
    *name = entry->name;
    *port = entry->endpoint.port;
    *connections = listener_connections(entry->listener);
    return true;
}
