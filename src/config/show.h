/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* show.h: the table and a snapshot, written down. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/options.h"

/* CONFIG as a file that gives the same again; without ALL only what differs from the defaults. */
void config_show(const struct config *config, bool all, struct buf *out);
/* The value of OPTION, which must not be of a repeated section, as in a file. */
void config_value(const struct config *config, const struct option *option, struct buf *out);
/* The line that set it; 0: the default holds. */
unsigned config_value_line(const struct config *config, const struct option *option);
/* outpost.conf(5), in mdoc. */
void config_manual(struct buf *out);
/* What cannot be seen in the file alone: whether the files that it names can be read. */
void config_check_files(const struct config *config, struct config_problems *problems);
