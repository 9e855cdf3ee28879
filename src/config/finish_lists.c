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
is_with_detail(str address, str plain)
{
    ssize_t at = str_find_last(plain, '@');
    str local = str_head(plain, at < 0 ? 0 : (size_t)at);

    return local.len && address.len > plain.len && str_starts_nocase(address, local) &&
           address.ptr[local.len] == '+' && str_ends_nocase(address, str_skip(plain, local.len));
}

const struct config_list *
config_unsubscribe_list(const struct config *config, str address)
{
    for (size_t i = 0; i < config->list_count; i++) {
        str to = config->lists[i].unsubscribe_to;
        if (to.len && (str_eq_nocase(address, to) || is_with_detail(address, to)))
            return &config->lists[i];
    }
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

/* It stands in a mailto: link as it is. */
static bool
mailto_is_sensible(str address)
{
    for (size_t i = 0; i < address.len; i++)
        if (!ascii_is_alnum(address.ptr[i]) && str_find(S("-_.@"), address.ptr[i]) < 0)
            return false;
    return true;
}

/* A link that no signature covers is no link of RFC 8058. */
static bool
is_signed(const struct config_texts *fields)
{
    unsigned found = 0;

    for (size_t i = 0; i < fields->count; i++)
        found += str_eq_nocase(fields->items[i], S("List-Unsubscribe")) ||
                 str_eq_nocase(fields->items[i], S("List-Unsubscribe-Post"));
    return fields->count == 0 || found == 2;
}

static bool
are_signed_everywhere(const struct config *config)
{
    bool all = is_signed(&config->dkim.fields);

    for (size_t i = 0; i < config->dkim_policy_count; i++)
        all = all && is_signed(&config->dkim_policies[i].fields);
    return all;
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
    if (!mailto_is_sensible(list->unsubscribe_to))
        problem_addf(problems, line, 1, "take letters, digits, - _ and . before the @",
                     "unsubscribe_to of list %.*s cannot stand in a link", STR_ARG(name));
    if (list->unsubscribe_url.len && !are_signed_everywhere(config))
        problem_addf(problems, line, 1,
                     "add \"List-Unsubscribe\" \"List-Unsubscribe-Post\" to them",
                     "dkim.fields, or those of a dkim_policy, leave out the links of list %.*s",
                     STR_ARG(name));
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
