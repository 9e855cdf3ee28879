/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* main.c: hands the words of the command line to cli/. */
#include "cli/command.h"

#include <signal.h>

int
main(int argc, char **argv)
{
    /* A reader that went away is an error of a write, not the end. */
    signal(SIGPIPE, SIG_IGN);
    return cli_run(argc, argv);
}
