/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* finish_lists.c: the blocks `list`, and to which of them mail belongs.  Start reading at
 * config_find_list(). */
#include "config/body.h"

enum {
    LIST_NAME_MAX = 63,
    URL_MAX = 200
};

const struct config_list *
config_list_named(const struct config *config, str name)
{
    for (size_t i = 0; i < config->list_count; i++)
        if (str_eq(config->lists[i].name, name))
            return &config->lists[i];
    return NULL;
}

/* Whether ADDRESS, or its domain, is among ITEMS. */
static bool
names_address(const struct config_texts *items, str address)
{
    ssize_t at = str_find_last(address, '@');

    if (at < 0)
        return false;
    for (size_t i = 0; i < items->count; i++)
        if (str_eq_nocase(items->items[i], address) ||
            str_eq_nocase(items->items[i], str_skip(address, (size_t)at + 1)))
            return true;
    return false;
}

const struct config_list *
config_find_list(const struct config *config, str sender, str account)
{
    for (size_t i = 0; i < config->list_count; i++)
        if (names_address(&config->lists[i].sender, sender) ||
            names_address(&config->lists[i].account, account))
            return &config->lists[i];
    return NULL;
}

static bool
name_is_sensible(str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && str_find(S("-_."), name.ptr[i]) < 0)
            return false;
    return name.len > 0 && name.len <= LIST_NAME_MAX;
}

/* It stands in a header field between angle brackets. */
static bool
url_is_sensible(str url)
{
    return str_starts_nocase(url, S("https://")) && url.len <= URL_MAX && str_is_printable(url) &&
           str_find(url, ' ') < 0 && str_find(url, '<') < 0 && str_find(url, '>') < 0 &&
           str_find(url, ',') < 0;
}

/* RFC 2919 2: a domain name, or labels like one. */
static bool
id_is_sensible(str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!ascii_is_alnum(id.ptr[i]) && str_find(S("-_."), id.ptr[i]) < 0)
            return false;
    return id.len <= 255;
}

static void
finish_list(struct config *config, size_t i, struct config_problems *problems)
{
    const struct config_list *list = &config->lists[i];
    unsigned line = config->body->list_lines[i];
    str name = str_head(list->name, 60);

    if (!name_is_sensible(list->name))
        problem_addf(problems, line, 1, "take letters, digits, - _ and .",
                     "\"%.*s\" cannot be the name of a list", STR_ARG(name));
    if (config_list_named(config, list->name) != list)
        problem_addf(problems, line, 1, "give each its own name", "there are two blocks list %.*s",
                     STR_ARG(name));
    if (!list->sender.count && !list->account.count)
        problem_addf(problems, line, 1, "add sender news@example.org;",
                     "list %.*s does not say whose mail it is", STR_ARG(name));
    if (list->unsubscribe_url.len && !url_is_sensible(list->unsubscribe_url))
        problem_addf(problems, line, 1, "write https://HOST/PATH/ of at most 200 bytes",
                     "unsubscribe_url of list %.*s is no https URL", STR_ARG(name));
    if (list->unsubscribe_url.len && !list->unsubscribe_to.len)
        problem_addf(problems, line, 1, "add unsubscribe_to ADDRESS; who has no web reads mail",
                     "list %.*s can be left by the web alone", STR_ARG(name));
    if (!id_is_sensible(list->list_id))
        problem_addf(problems, line, 1, "write a name like weekly.example.org",
                     "list_id of list %.*s is no name", STR_ARG(name));
}

void
config_finish_lists(struct config *config, struct config_problems *problems)
{
    for (size_t i = 0; i < config->list_count; i++)
        finish_list(config, i, problems);
}
