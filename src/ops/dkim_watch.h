/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_watch.h: carries keys through their life: see trust/keyring.h.
 *
 * A new key signs once its record has been seen by everybody (dkim_view.h) for dkim.settle; the key
 * of the same algorithm that signed before is retired then, and revoked when nothing that it signed
 * can be on its way any more.  So a rotation needs a human, or a tool, for the record in the DNS
 * alone; where dns_update lets us write the zone it needs nobody, and with dkim.rotate_every it
 * begins by itself.
 */
#pragma once

#include "base/base.h"
#include "trust/keyring.h"

struct dkim_watch;
struct server;

struct dkim_watch *dkim_watch_new(struct server *server);
void dkim_watch_free(struct dkim_watch *watch); /* NULL is fine. */
/* A fiber. */
WAITS void dkim_watch_run(void *watch);
