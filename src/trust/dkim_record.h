/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_record.h: the TXT record that publishes a key.  RFC 6376 3.6.1. */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* The value of p=, with the blanks that stand in it; false when the record has none, or is not a
 * record of DKIM. */
bool dkim_record_key(str record, str *key);
/* Whether two records publish the same key, however they are folded.  An empty p= publishes none.
 */
bool dkim_record_same(str a, str b);
