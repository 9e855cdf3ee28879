/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_spell.h: the domains of a standing rule as routes spell them, so that a rule for
 * "München.example" holds for xn--mnchen-3ya.example.  Threads: any. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "delivery/rules/standing.h"

enum {
    STANDING_SPELL_MEMORY = 16 * 1024, /* Enough of an arena for all facts. */
};

/* Domains of VALUES in lower case and A-labels, in ARENA.  ERR_SYNTAX: one is no domain; it stays as it
 * is, and is told in WHY. */
enum err standing_spell(str values[FACT_COUNT], struct arena *arena, struct why *why);
