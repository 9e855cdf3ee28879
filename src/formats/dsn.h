/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dsn.h: what a sender may ask for about the fate of his message.  RFC 3461 4. */
#pragma once

#include "base/base.h"

/* NOTIFY=, by bits. */
enum {
    NOTIFY_DEFAULT = 0, /* Nothing was said: failure and delay. */
    NOTIFY_NEVER = 1,   /* Always alone. */
    NOTIFY_SUCCESS = 2,
    NOTIFY_FAILURE = 4,
    NOTIFY_DELAY = 8,
};

/* RET=: what a report about a failure carries. */
enum dsn_return {
    RETURN_DEFAULT,
    RETURN_FULL,
    RETURN_HEADERS,
};
