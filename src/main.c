/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* main.c: hands the words of the command line to cli/. */
#include "cli/command.h"
#include "cli/sendmail.h"

#include <signal.h>

int
main(int argc, char **argv)
{
    /* A reader that went away is an error of a write, not the end. */
    signal(SIGPIPE, SIG_IGN);
    if (sendmail_is_meant(argc, argv))
        return sendmail_main(argc, argv);
    return cli_run(argc, argv);
}
