/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* body.h: what of a snapshot only config/ itself sees: its memory and where its values came from.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "config/config.h"
#include "config/options.h"

struct config_body {
    struct arena arena;
    unsigned refs;   /* Changed atomically. */
    unsigned *lines; /* For each option of the table, the line that set it; 0: the default. */
    unsigned *listen_lines; /* For each block, the line where it begins. */
    unsigned *route_lines;
    unsigned *source_lines;
    unsigned *dkim_policy_lines;
    unsigned *dns_update_lines;
    unsigned *list_lines;
    size_t listen_room;
    size_t route_room;
    size_t source_room;
    size_t list_room;
    size_t dkim_policy_room;
    size_t dns_update_room;
    struct config_dkim_policy dkim_policy; /* Where no block says otherwise. */
    struct config_pool *route_pools; /* One for each route, after config_finish(). */
    struct config_pool relay_pool;
    struct config_pool delivery_pool;
    unsigned relay_line;
};

/* All defaults, and no listener and no route yet. */
struct config *config_new(void);
/* Sets every option of SECTION in the struct at PLACE to its default. */
void config_fill(struct config *config, enum section_id section, void *place);
/* Another block, with its defaults, that begins at LINE; NULL when there are too many. */
struct config_listen *config_add_listen(struct config *config, str name, unsigned line);
struct config_route *config_add_route(struct config *config, str name, unsigned line);
struct config_source *config_add_source(struct config *config, str name, unsigned line);
struct config_dkim_policy *config_add_dkim_policy(struct config *config, str name, unsigned line);
struct config_dns_update *config_add_dns_update(struct config *config, str name, unsigned line);
struct config_list *config_add_list(struct config *config, str name, unsigned line);

/* Records a problem; beyond the maximum it is forgotten. */
void problem_add(struct config_problems *problems, const struct config_problem *problem);
void problem_addf(struct config_problems *problems, unsigned line, unsigned column,
                  const char *cure, const char *format, ...) PRINTF_LIKE(5, 6);

/* finish.c: what one option cannot see alone: fills what follows from other values, and complains
 * of what does not fit together. */
void config_finish(struct config *config, struct config_problems *problems);
/* finish_sources.c: the source blocks, and the pools of them. */
void config_finish_sources(struct config *config, struct config_problems *problems);
/* finish_dkim.c: the policies of signing, and the zones that we write. */
void config_finish_dkim(struct config *config, struct config_problems *problems);
/* finish_lists.c: the blocks `list`. */
void config_finish_lists(struct config *config, struct config_problems *problems);
