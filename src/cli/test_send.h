/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_send.h: outpost test send. */
#pragma once

#include "base/base.h"
#include "cli/command.h"

int test_send(struct call *call);
