/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_record.c: finds p= in a tag list.  RFC 6376 3.2. */
#include "trust/dkim_record.h"

bool
dkim_record_key(str record, str *key)
{
    str tag, name, value;
    bool first = true;

    while (record.len) {
        (void)str_split(record, ';', &tag, &record);
        if (tag.len == 0 && record.len == 0)
            break;
        if (!str_split(tag, '=', &name, &value)) {
            if (str_trim(tag).len)
                return false;
            continue;
        }
        name = str_trim(name);
        value = str_trim(value);
        if (str_eq(name, S("v")) && (!first || !str_eq(value, S("DKIM1"))))
            return false;
        first = false;
        if (str_eq(name, S("p"))) {
            *key = value;
            return true;
        }
    }
    return false;
}

static bool
next_char(str *text, char *c)
{
    while (text->len) {
        *c = text->ptr[0];
        *text = str_skip(*text, 1);
        if (*c != ' ' && *c != '\t' && *c != '\r' && *c != '\n')
            return true;
    }
    return false;
}

bool
dkim_record_same(str a, str b)
{
    char left = 0, right = 0;
    bool any = false;
    str x, y;

    if (!dkim_record_key(a, &x) || !dkim_record_key(b, &y))
        return false;
    for (;;) {
        bool more = next_char(&x, &left);
        if (next_char(&y, &right) != more)
            return false;
        if (!more)
            return any;
        if (left != right)
            return false;
        any = true;
    }
}
