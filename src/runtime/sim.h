/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sim.h: a world in one process: virtual time, a network, a DNS, all from a seed.
 *
 * With runtime_options.simulated, clocks are virtual and jump to the next timer when nothing is
 * runnable; streams are pairs of buffers with delays drawn from the seed; dns_lookup() answers
 * from the table below; random_bytes() comes from the seed.  The same seed gives the same run.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "runtime/dns.h"

/* Virtual time goes forward by TIME; whatever is due in between happens.  Called in a fiber. */
WAITS void sim_advance(duration time);
/* Until no fiber is runnable and no bytes are under way; time stands still. */
WAITS void sim_settle(void);

/* Adds to the DNS; a name without records of a type is DNS_NO_DATA, an unknown name DNS_NO_NAME. */
void sim_dns_add(const char *name, enum dns_type type, const struct dns_record *record,
                 bool secure);
void sim_dns_fail(const char *name, enum dns_status status); /* DNS_TEMPORARY or DNS_BOGUS. */
void sim_dns_clear(void);

enum sim_fault {
    SIM_FAULT_NONE,
    SIM_FAULT_REFUSE, /* Connections are refused. */
    SIM_FAULT_UNREACHABLE,
    SIM_FAULT_SILENT, /* Connections time out. */
};
void sim_network_fault(ipaddr addr, enum sim_fault fault);

/* Cuts the connection of STREAM: both ends see ERR_CLOSED, unsent bytes are lost. */
struct stream;
void sim_cut(struct stream *stream);
/* The address from which the next stream_connect() of this fiber comes, when it names none. */
void sim_connect_from(ipaddr addr);
