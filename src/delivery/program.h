/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* program.h: how the server asks for a program to be run, and what it hears of it.
 *
 * A request is one packet: the texts of `enum program_part`, each ended by a NUL, and three
 * descriptors: the program's input, its output (and its errors), and the one on which its end is
 * told, as one struct program_end.  When the server closes the last one first, the program is
 * killed.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum program_part {
    PROGRAM_COMMAND,
    PROGRAM_SENDER,
    PROGRAM_RECIPIENT,
    PROGRAM_ID,
    PROGRAM_PARTS
};

enum program_how {
    PROGRAM_EXITED,  /* `number` is the exit code. */
    PROGRAM_KILLED,  /* `number` is the signal. */
    PROGRAM_UNKNOWN, /* The command does not stand in the configuration of the start. */
    PROGRAM_BUSY,    /* Too many run. */
    PROGRAM_FAILED,  /* It could not be started: `number` is the errno. */
};

struct program_end {
    uint32_t how;
    uint32_t number;
};

enum {
    PROGRAM_REQUEST_MAX = 8192,
    PROGRAM_FDS = 3
};

/* The parts of a request; false when it is none.  They have a NUL behind them. */
bool program_request_parse(str packet, str parts[PROGRAM_PARTS]);
/* Splits COMMAND at blanks into WORDS, at most MAX; "{recipient}" and "{sender}" as whole words
 * stand for these.  0: too many. */
size_t program_words(const str parts[PROGRAM_PARTS], str *words, size_t max);
/* What an end means to the sender: the code and enhanced code of a reply. */
const char *program_meaning(const struct program_end *end, unsigned *code);
