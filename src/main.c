/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* main.c: hands the words of the command line to cli/. */
#include <stdio.h>

int
main(void)
{
    printf("outpost\n");
    return 0;
}
