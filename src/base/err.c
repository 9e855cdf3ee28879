/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* err.c: names of errors, and the text that goes with one. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *
err_name(enum err e)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_CLOSED] = "closed",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELLED] = "cancelled",
        [ERR_LIMIT] = "limit reached",
        [ERR_SYNTAX] = "bad syntax",
        [ERR_NOT_FOUND] = "not found",
        [ERR_EXISTS] = "exists already",
        [ERR_REFUSED] = "refused",
        [ERR_UNREACHABLE] = "unreachable",
        [ERR_IO] = "input/output error",
        [ERR_FULL] = "disk full",
        [ERR_CORRUPT] = "corrupt",
        [ERR_TLS] = "TLS failed",
        [ERR_BUSY] = "busy",
        [ERR_UNSUPPORTED] = "not supported",
    };
    size_t index = (size_t)e;

    return index < COUNT_OF(names) && names[index] ? names[index] : "unknown error";
}

enum err
err_why(struct why *why, enum err e, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
    }
    return e;
}

enum err
err_from_errno(int number)
{
    switch (number) {
    case 0:
        return OK;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return ERR_UNREACHABLE;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return ERR_CLOSED;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}
