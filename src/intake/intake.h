/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* intake.h: from a conversation to a promise.
 *
 * A server fills an intake: who speaks, the reverse-path, recipients one by one, then the bytes.  Each
 * step passes the gates of its door, in the order of the tables in gates.c, and is answered by a
 * verdict.  intake_accept() returns OK with an accepting verdict only when the message is durable in
 * the spool; then the server may say 250.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "mail/envelope.h"

/* An answer in the words of the protocol: code 0 accepts. */
struct verdict {
    uint16_t code;      /* 250, 451, 550, ...; 0: no objection. */
    char enhanced[12];  /* "5.1.1" */
    char text[200];
};
