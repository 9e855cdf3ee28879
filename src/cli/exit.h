/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* exit.h: what the exit codes mean: sysexits.h, and three of our own.  `outpost help exit-codes` prints the table. */
#pragma once

enum exit_code {
    EXIT_OK = 0,
    EXIT_NO = 1,            /* The check ran, and the answer is no. */
    EXIT_PARTLY = 2,        /* Some of the items failed. */
    EXIT_NOTHING = 3,       /* Nothing matched. */
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_NOINPUT = 66,
    EXIT_NOUSER = 67,
    EXIT_NOHOST = 68,
    EXIT_UNAVAILABLE = 69,
    EXIT_INTERNAL = 70,
    EXIT_SYSTEM = 71,
    EXIT_CANTCREATE = 73,
    EXIT_IO = 74,
    EXIT_TEMPORARY = 75,
    EXIT_PROTOCOL = 76,
    EXIT_PERMISSION = 77,
    EXIT_CONFIG = 78,
};
