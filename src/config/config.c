/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* config.c: the life of a snapshot: made with all defaults, shared by reference, freed as a whole.
 */
#include "config/config.h"

#include "base/must.h"
#include "config/body.h"
#include "config/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIG_MEMORY_MAX = 64 << 20,
    BLOCKS_MAX = 20000
};

/* clang-format off */
static const char *const preset_names[] = {
    [LIMIT_UNLIMITED] = "unlimited", [LIMIT_GMAIL] = "gmail", [LIMIT_WORKSPACE] = "workspace",
    [LIMIT_SMALL_HOST] = "small-host",
};
/* clang-format on */

void
config_problems_done(struct config_problems *problems)
{
    free(problems->items);
    *problems = (struct config_problems){ 0 };
}

void
problem_add(struct config_problems *problems, const struct config_problem *problem)
{
    if (problems->count >= CONFIG_PROBLEMS_MAX)
        return;
    if (!problems->items) {
        problems->items = calloc(CONFIG_PROBLEMS_MAX, sizeof(*problems->items));
        must(problems->items);
    }
    problems->items[problems->count++] = *problem;
}

void
problem_addf(struct config_problems *problems, unsigned line, unsigned column, const char *cure,
             const char *format, ...)
{
    struct config_problem problem = { .line = line, .column = column };
    va_list args;

    va_start(args, format);
    vsnprintf(problem.text, sizeof(problem.text), format, args);
    va_end(args);
    snprintf(problem.cure, sizeof(problem.cure), "%s", cure);
    problem_add(problems, &problem);
}

void
config_fill(struct config *config, enum section_id section, void *place)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        str words[8];
        str rest = str_from(option->standard);
        size_t count = 0;
        size_t bad;
        struct config_problem problem;

        if (option->section != section || !rest.len)
            continue;
        while (rest.len && count < COUNT_OF(words)) {
            if (!str_split(rest, ' ', &words[count++], &rest))
                rest = (str){ 0 };
        }
        /* The default of an option is a value of it. */
        must(value_set(option, &config->body->arena, (str){ 0 }, words, count, place, &problem,
                       &bad));
    }
}

struct config *
config_new(void)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_body *body = calloc(1, sizeof(*body));

    must(config && body);
    config->body = body;
    body->refs = 1;
    arena_init(&body->arena, CONFIG_MEMORY_MAX);
    body->lines = arena_new_array(&body->arena, unsigned, option_count);
    must(body->lines);
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (!sections[i].repeated)
            config_fill(config, (enum section_id)i, (char *)config + sections[i].offset);
    }
    return config;
}

/* Room for one more item and for its line; false beyond the ceiling. */
static bool
grow(void *items, unsigned **lines, size_t count, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 8;
    void *bigger;

    if (count < *room)
        return true;
    if (count >= BLOCKS_MAX)
        return false;
    bigger = realloc(*(void **)items, more * size);
    must(bigger);
    *(void **)items = bigger;
    bigger = realloc(*lines, more * sizeof(**lines));
    must(bigger);
    *lines = bigger;
    *room = more;
    return true;
}

struct config_listen *
config_add_listen(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_listen *listen;

    if (!grow(&config->listeners, &body->listen_lines, config->listener_count, &body->listen_room,
              sizeof(*listen)))
        return NULL;
    body->listen_lines[config->listener_count] = line;
    listen = &config->listeners[config->listener_count++];
    memset(listen, 0, sizeof(*listen));
    config_fill(config, SECTION_LISTEN, listen);
    return arena_copy(&body->arena, name, &listen->name) ? listen : NULL;
}

struct config_route *
config_add_route(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_route *route;

    if (!grow(&config->routes, &body->route_lines, config->route_count, &body->route_room,
              sizeof(*route)))
        return NULL;
    body->route_lines[config->route_count] = line;
    route = &config->routes[config->route_count++];
    memset(route, 0, sizeof(*route));
    config_fill(config, SECTION_ROUTE, route);
    return arena_copy(&body->arena, name, &route->name) ? route : NULL;
}

struct config_source *
config_add_source(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_source *source;

    if (!grow(&config->sources, &body->source_lines, config->source_count, &body->source_room,
              sizeof(*source)))
        return NULL;
    body->source_lines[config->source_count] = line;
    source = &config->sources[config->source_count++];
    memset(source, 0, sizeof(*source));
    config_fill(config, SECTION_SOURCE, source);
    return arena_copy(&body->arena, name, &source->name) ? source : NULL;
}

struct config_dkim_policy *
config_add_dkim_policy(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_dkim_policy *policy;

    if (!grow(&config->dkim_policies, &body->dkim_policy_lines, config->dkim_policy_count,
              &body->dkim_policy_room, sizeof(*policy)))
        return NULL;
    body->dkim_policy_lines[config->dkim_policy_count] = line;
    policy = &config->dkim_policies[config->dkim_policy_count++];
    memset(policy, 0, sizeof(*policy));
    config_fill(config, SECTION_DKIM_POLICY, policy);
    return arena_copy(&body->arena, name, &policy->name) ? policy : NULL;
}

struct config_dns_update *
config_add_dns_update(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_dns_update *update;

    if (!grow(&config->dns_updates, &body->dns_update_lines, config->dns_update_count,
              &body->dns_update_room, sizeof(*update)))
        return NULL;
    body->dns_update_lines[config->dns_update_count] = line;
    update = &config->dns_updates[config->dns_update_count++];
    memset(update, 0, sizeof(*update));
    config_fill(config, SECTION_DNS_UPDATE, update);
    return arena_copy(&body->arena, name, &update->name) ? update : NULL;
}

struct config_list *
config_add_list(struct config *config, str name, unsigned line)
{
    struct config_body *body = config->body;
    struct config_list *list;

    if (!grow(&config->lists, &body->list_lines, config->list_count, &body->list_room,
              sizeof(*list)))
        return NULL;
    body->list_lines[config->list_count] = line;
    list = &config->lists[config->list_count++];
    memset(list, 0, sizeof(*list));
    config_fill(config, SECTION_LIST, list);
    return arena_copy(&body->arena, name, &list->name) ? list : NULL;
}

struct config *
config_default(void)
{
    struct config *config = config_new();
    struct config_problems problems = { 0 };

    config_finish(config, &problems);
    must(problems.count == 0);
    return config;
}

struct config *
config_ref(const struct config *config)
{
    __atomic_fetch_add(&config->body->refs, 1, __ATOMIC_RELAXED);
    return (struct config *)(uintptr_t)config;
}

void
config_unref(const struct config *config)
{
    struct config_body *body;

    if (!config || __atomic_fetch_sub(&config->body->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    body = config->body;
    free(config->listeners);
    free(config->routes);
    free(config->sources);
    free(config->dkim_policies);
    free(config->dns_updates);
    free(body->dkim_policy_lines);
    free(body->dns_update_lines);
    free(config->lists);
    free(body->listen_lines);
    free(body->route_lines);
    free(body->source_lines);
    free(body->list_lines);
    arena_done(&body->arena);
    free(body);
    free((struct config *)(uintptr_t)config);
}

void
config_drop(struct config **config)
{
    config_unref(*config);
    *config = NULL;
}

const char *
config_preset_name(enum limit_preset preset)
{
    return preset_names[preset];
}

bool
config_data_path(const struct config *config, char *path, size_t size, const char *name)
{
    int length = snprintf(path, size, "%s/%s", config->server.data_dir.ptr, name);

    return length > 0 && (size_t)length < size;
}
