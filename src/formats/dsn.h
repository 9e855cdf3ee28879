/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dsn.h: what a sender may ask for about the fate of his message.  RFC 3461 4. */
#pragma once

#include "base/base.h"

/* NOTIFY=, by bits; 0 when the sender did not say. */
enum dsn_notify {
    DSN_NOTIFY_NEVER = 1, /* Always alone. */
    DSN_NOTIFY_SUCCESS = 2,
    DSN_NOTIFY_FAILURE = 4,
    DSN_NOTIFY_DELAY = 8,
};

/* RET=: what a report about a failure carries. */
enum dsn_return {
    DSN_RETURN_UNSTATED,
    DSN_RETURN_FULL,
    DSN_RETURN_HEADERS,
};
