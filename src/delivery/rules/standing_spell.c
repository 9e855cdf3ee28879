/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_spell.c: one spelling for the domains of rules and of deliveries.  Start reading at
 * standing_spell(). */
#include "delivery/rules/standing_spell.h"

#include "formats/address.h"

/* The domain of VALUE in lower case and A-labels, as routes spell it.  ERR_SYNTAX: it is none. */
static enum err
spell_value(enum standing_fact fact, str value, struct arena *arena, str *spelled)
{
    ssize_t at = str_find_last(value, '@');
    str domain = str_skip(value, (size_t)(at + 1));
    str alabel;
    enum err e;

    *spelled = value;
    if (value.len == 0 || (fact != FACT_DOMAIN && fact != FACT_SENDER && fact != FACT_ACCOUNT) ||
        (fact != FACT_DOMAIN && at < 0))
        return OK;
    if (fact == FACT_DOMAIN && at >= 0)
        return ERR_SYNTAX;
    if (domain_literal_parse(domain, NULL))
        return OK;
    e = domain_to_alabel(domain, arena, &alabel);
    if (e)
        return e;
    return arena_printf(arena, spelled, "%.*s%.*s", (int)(at + 1), value.ptr, STR_ARG(alabel))
               ? OK
               : ERR_LIMIT;
}

enum err
standing_spell(str values[FACT_COUNT], struct arena *arena, struct why *why)
{
    enum err result = OK;

    for (unsigned i = 0; i < FACT_COUNT; i++) {
        enum err e = spell_value(i, values[i], arena, &values[i]);
        if (e && !result)
            result = err_why(why, e, "%s:%.*s names no domain", standing_fact_name(i),
                             STR_ARG(str_head(values[i], 100)));
    }
    return result;
}
