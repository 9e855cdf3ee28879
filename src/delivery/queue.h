/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue.h: messages that we have promised to deliver, and when each is due.
 *
 * The spool holds them durably; the queue holds a row for each waiting recipient in memory and gives
 * work to deliveries.  A message enters by queue_add() after its commit, or at start from what the
 * spool found; it leaves when nobody is waiting.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mail/envelope.h"
#include "mail/progress.h"

struct queue;

/* A message was committed to the spool with this envelope: schedule its recipients.  From any
 * loop; does not wait. Copies what it needs. */
void queue_add(struct queue *queue, const struct envelope *envelope);
