/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_record.h: what the event record says of a handshake that failed, of any server. */
#pragma once

#include "base/base.h"

struct intake_services;
struct stream;
struct why;

/* STAGE: "connect" on a door with TLS from the first byte, else "starttls". */
void tls_record_failure(struct intake_services *services, const char *service, const char *stage,
                        const struct stream *stream, const struct why *why);
