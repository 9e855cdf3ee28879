/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* log.c: one write for each line, with the priority that journald understands. */
#include "runtime/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_MAX = 1024,
    LINE_MAX_BYTES = 1536
};

static atomic_int level_shown = LOG_LEVEL_INFO;
static atomic_bool plain_lines = false;

void
log_set_level(enum log_level level)
{
    atomic_store(&level_shown, (int)level);
}

void
log_set_plain(bool plain)
{
    atomic_store(&plain_lines, plain);
}

/* Controls would let a stranger forge lines.  As much as fits. */
static size_t
escape(const char *text, char *out, size_t room)
{
    static const char digits[] = "0123456789abcdef";
    size_t put = 0;

    for (; *text && put + 4 <= room; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte >= 0x20 && byte != 0x7f) {
            out[put++] = (char)byte;
            continue;
        }
        out[put++] = '\\';
        out[put++] = 'x';
        out[put++] = digits[byte >> 4];
        out[put++] = digits[byte & 15];
    }
    return put;
}

static void
write_line(enum log_level level, const char *format, va_list args)
{
    static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };
    char text[TEXT_MAX];
    char out[LINE_MAX_BYTES];
    int saved = errno;
    size_t put = atomic_load_explicit(&plain_lines, memory_order_relaxed) ? 0 : 3;

    if ((int)level > atomic_load_explicit(&level_shown, memory_order_relaxed))
        return;
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        return;
    memcpy(out, priorities[level], put);
    put += escape(text, out + put, sizeof(out) - put - 1);
    out[put++] = '\n';
    (void)!write(STDERR_FILENO, out, put);
    errno = saved;
}

void
log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_LEVEL_ERROR, format, args);
    va_end(args);
}

void
log_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_LEVEL_WARNING, format, args);
    va_end(args);
}

void
log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_LEVEL_INFO, format, args);
    va_end(args);
}

void
log_debug(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_LEVEL_DEBUG, format, args);
    va_end(args);
}
