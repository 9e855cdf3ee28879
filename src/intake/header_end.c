/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_end.c: lines are fields or their continuations until one is not.  RFC 5322 2.2, 3.5. */
#include "intake/header_end.h"

/* "Name:" at the front, blanks before the colon allowed (RFC 5322 4.5). */
static bool
begins_field(str line)
{
    size_t i = 0;

    while (i < line.len && line.ptr[i] > 0x20 && line.ptr[i] < 0x7f && line.ptr[i] != ':')
        i++;
    if (!i)
        return false;
    while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
        i++;
    return i < line.len && line.ptr[i] == ':';
}

static bool
continues_field(str line)
{
    return line.ptr[0] == ' ' || line.ptr[0] == '\t';
}

bool
header_end(str bytes, size_t *scanned, size_t *size)
{
    for (;;) {
        str line = str_skip(bytes, *scanned);
        ssize_t end = str_find(line, '\n');

        if (end < 0)
            return false;
        line = str_head(line, (size_t)end + 1);
        if (str_eq(line, S("\r\n"))) {
            *size = *scanned + line.len;
            return true;
        }
        if (!begins_field(line) && !(*scanned && continues_field(line))) {
            *size = *scanned;
            return true;
        }
        *scanned += line.len;
    }
}
