/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* log.h: lines for the operator on stderr (journald reads the <N> priority).
 *
 * Units of work are events (mail/event.h), not log lines: a line here is for what an operator must
 * act on (error), what degraded (warning), and the life of the process (info).  Controls are
 * escaped.
 */
#pragma once

#include "base/base.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

void log_set_level(enum log_level level);
/* For a terminal: without the priority. */
void log_set_plain(bool plain);
void log_error(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
