/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_end.h: where the header section of a message that is still coming in ends. */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* Looks at the whole lines of BYTES from *SCANNED on (0 at first; kept between calls).  True when
 * the section is complete: SIZE counts it with its empty line; if a line that is no field ended it,
 * without that line. */
bool header_end(str bytes, size_t *scanned, size_t *size);
