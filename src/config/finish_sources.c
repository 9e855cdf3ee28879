/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* finish_sources.c: the blocks `source`, and which of them a route may choose from.  Start reading
 * at config_finish_sources(). */
#include "base/must.h"
#include "config/body.h"

enum {
    POOL_SIZE_MAX = 256
};

const struct config_source *
config_find_source(const struct config *config, str name)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (str_eq(config->sources[i].name, name))
            return &config->sources[i];
    return NULL;
}

const struct config_pool *
config_pool_of(const struct config *config, const struct config_route *route)
{
    const struct config_body *body = config->body;
    const struct config_pool *pool = &body->delivery_pool;

    if (route == &config->relay)
        pool = &body->relay_pool;
    else if (route)
        pool = &body->route_pools[route - config->routes];
    return pool->count ? pool : &body->delivery_pool;
}

static bool
name_is_sensible(str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && str_find(S("-_."), name.ptr[i]) < 0)
            return false;
    return name.len > 0 && name.len <= 63;
}

static void
finish_source(struct config *config, size_t i, struct config_problems *problems)
{
    struct config_source *source = &config->sources[i];
    unsigned line = config->body->source_lines[i];
    str name = str_head(source->name, 60);

    if (!name_is_sensible(source->name))
        problem_addf(problems, line, 1, "take letters, digits, - _ and .",
                     "\"%.*s\" cannot be the name of a source", STR_ARG(name));
    for (size_t k = 0; k < i; k++)
        if (str_eq(config->sources[k].name, source->name))
            problem_addf(problems, line, 1, "give each its own name",
                         "there are two blocks source %.*s", STR_ARG(name));
    if (source->socks5.count + source->proxy.count > 1)
        problem_addf(problems, line, 1, "keep one of them; for a second proxy write another source",
                     "source %.*s names more than one proxy", STR_ARG(name));
    if (source->proxy.count && !source->address.count)
        problem_addf(problems, line, 1, "add address ADDRESS; one of the proxy's own",
                     "source %.*s does not say from which address its proxy shall connect",
                     STR_ARG(name));
    if ((source->username.len > 0) != (source->password_file.len > 0))
        problem_addf(problems, line, 1, "write both username and password_file, or neither",
                     "the login of source %.*s at its proxy is not whole", STR_ARG(name));
    if (source->username.len > 255 || (source->username.len && !source->socks5.count))
        problem_addf(problems, line, 1, "a login of at most 255 bytes belongs to socks5",
                     "source %.*s has a user without use", STR_ARG(name));
    if (!source->helo_name.len)
        source->helo_name = config->delivery.helo_name;
}

static void
fill_pool(struct config *config, const struct config_texts *names, struct config_pool *pool,
          unsigned line, struct config_problems *problems)
{
    *pool = (struct config_pool){};
    if (!names->count)
        return;
    if (names->count > POOL_SIZE_MAX) {
        problem_addf(problems, line, 1, "name at most 256", "there are too many sources");
        return;
    }
    pool->items = arena_alloc(&config->body->arena, names->count * sizeof(*pool->items));
    must(pool->items);
    for (size_t i = 0; i < names->count; i++) {
        const struct config_source *source = config_find_source(config, names->items[i]);
        if (source)
            pool->items[pool->count++] = source;
        else
            problem_addf(problems, line, 1, "add source NAME { address ADDRESS; }",
                         "there is no source \"%.*s\"", STR_ARG(str_head(names->items[i], 60)));
    }
}

void
config_finish_sources(struct config *config, struct config_problems *problems)
{
    struct config_body *body = config->body;
    const struct option *option = option_find_key(S("delivery.sources"));

    must(option);
    for (size_t i = 0; i < config->source_count; i++)
        finish_source(config, i, problems);
    fill_pool(config, &config->delivery.sources, &body->delivery_pool,
              body->lines[option - options], problems);
    fill_pool(config, &config->relay.sources, &body->relay_pool, body->relay_line, problems);
    body->route_pools = arena_new_array(&body->arena, struct config_pool, config->route_count + 1);
    must(body->route_pools);
    for (size_t i = 0; i < config->route_count; i++)
        fill_pool(config, &config->routes[i].sources, &body->route_pools[i], body->route_lines[i],
                  problems);
}
