/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login_record.h: what the event record says of a login, of any server. */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct intake_services;
struct login_result;
struct stream;

/* One event, login or login_failed.  SERVICE is the listener's name. */
void login_record(struct intake_services *services, const char *service,
                  const struct stream *stream, const struct login_result *result);
