/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_tags.h: lists of "tag=value;": signatures, seals and key records.  RFC 6376 3.2. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum {
    DKIM_TAGS_MAX = 32
};

struct dkim_tag {
    str name;
    str value; /* Without the blanks around it. */
    str raw;   /* From the "=" up to the ";" or the end. */
};

struct dkim_tags {
    struct dkim_tag items[DKIM_TAGS_MAX];
    size_t count;
};

/* Views into LIST.  False when it breaks the grammar, names a tag twice or has too many; values may
 * be UTF-8 (RFC 8616). */
bool dkim_tags_parse(str list, struct dkim_tags *tags);
/* Names are compared exactly.  NULL when there is none. */
const struct dkim_tag *dkim_tag_find(const struct dkim_tags *tags, str name);
/* The value, or the empty str. */
str dkim_tag_value(const struct dkim_tags *tags, str name);
/* Takes the next word off a list with ":" between words; blanks around it do not count.  False at
 * the end. */
bool dkim_list_next(str *list, str *word);
bool dkim_list_has(str list, str word); /* In any case of letters. */
