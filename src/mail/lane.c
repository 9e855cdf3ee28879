/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane.c: the names of the lanes. */
#include "mail/lane.h"

#include "base/must.h"

static const char *const names[LANE_COUNT] = { "code", "personal", "notice", "bulk" };

const char *
lane_name(enum lane lane)
{
    must(lane <= LANE_BULK);
    return names[lane];
}

bool
lane_parse(str text, enum lane *lane)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        if (!str_eq_nocase(text, str_from(names[i])))
            continue;
        *lane = (enum lane)i;
        return true;
    }
    return false;
}
