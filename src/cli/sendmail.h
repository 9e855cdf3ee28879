/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail.h: outpost as sendmail, mailq and newaliases: links to the same binary. */
#pragma once

#include "base/base.h"

/* Whether we were called by one of these names, or as `outpost sendmail ...`. */
bool sendmail_is_meant(int argc, char **argv);
/* The exit code is one of sysexits.h. */
int sendmail_main(int argc, char **argv);
