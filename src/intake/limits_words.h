/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* limits_words.h: a reached sending limit in the words of the protocol, with the time when it is
 * over. */
#pragma once

#include "base/base.h"

struct intake;
struct limits_verdict;
struct verdict;

/* Fills VERDICT and records the event that the account is restricted. */
void limits_refuse(struct intake *intake, const struct limits_verdict *limits,
                   struct verdict *verdict);
