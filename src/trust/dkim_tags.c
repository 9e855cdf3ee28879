/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_tags.c: takes tag lists apart. */
#include "trust/dkim_tags.h"

static bool
is_tag_name(str name)
{
    if (!name.len || !ascii_is_alpha(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '_')
            return false;
    return true;
}

static bool
is_tag_value(str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return false;
    }
    return true;
}

bool
dkim_tags_parse(str list, struct dkim_tags *tags)
{
    str spec;

    tags->count = 0;
    while (list.len) {
        struct dkim_tag tag;
        bool more = str_split(list, ';', &spec, &list);
        if (!more)
            list = S("");
        if (!more && !str_trim(spec).len)
            break;
        if (!str_split(spec, '=', &tag.name, &tag.raw))
            return false;
        tag.name = str_trim(tag.name);
        tag.value = str_trim(tag.raw);
        if (!is_tag_name(tag.name) || !is_tag_value(tag.value) || dkim_tag_find(tags, tag.name) ||
            tags->count == DKIM_TAGS_MAX)
            return false;
        tags->items[tags->count++] = tag;
    }
    return tags->count > 0;
}

const struct dkim_tag *
dkim_tag_find(const struct dkim_tags *tags, str name)
{
    for (size_t i = 0; i < tags->count; i++)
        if (str_eq(tags->items[i].name, name))
            return &tags->items[i];
    return NULL;
}

str
dkim_tag_value(const struct dkim_tags *tags, str name)
{
    const struct dkim_tag *tag = dkim_tag_find(tags, name);

    return tag ? tag->value : S("");
}

bool
dkim_list_next(str *list, str *word)
{
    if (!list->len)
        return false;
    if (!str_split(*list, ':', word, list))
        *list = S("");
    *word = str_trim(*word);
    return true;
}

bool
dkim_list_has(str list, str word)
{
    str next;

    while (dkim_list_next(&list, &next))
        if (str_eq_nocase(next, word))
            return true;
    return false;
}
