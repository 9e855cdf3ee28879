/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fixed.h: what a reload cannot change, since it is open, bound or running. */
#pragma once

#include "base/base.h"
#include "base/err.h"

struct config;

/* ERR_UNSUPPORTED, with the names in WHY, when NEW differs from OLD in something fixed: half of a change
 * would be worse than none. */
enum err fixed_check(const struct config *old, const struct config *new, struct why *why);
