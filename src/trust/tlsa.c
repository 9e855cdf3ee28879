/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsa.c: reads RDATA of TLSA.  RFC 6698 2.1. */
#include "trust/tlsa.h"

/* Usage, selector, matching type. */
enum {
    TLSA_FRONT = 3
};

static bool
data_fits(unsigned matching, size_t len)
{
    switch (matching) {
    case 0: /* The certificate, or its key, as a whole. */
        return len > 0;
    case 1: /* SHA-256 */
        return len == 32;
    case 2: /* SHA-512 */
        return len == 64;
    default:
        return false;
    }
}

void
tlsa_usable(const struct dns_record *records, size_t count, struct tlsa_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < count && set->count < TLSA_RECORDS_MAX; i++) {
        str rdata = records[i].data;
        struct tls_tlsa record;
        if (rdata.len <= TLSA_FRONT)
            continue;
        record = (struct tls_tlsa){
            .usage = (uint8_t)rdata.ptr[0],
            .selector = (uint8_t)rdata.ptr[1],
            .matching = (uint8_t)rdata.ptr[2],
            .data = str_skip(rdata, TLSA_FRONT),
        };
        /* RFC 7672 3.1.3: the usages that need the roots of browsers mean nothing to mail. */
        if ((record.usage != 2 && record.usage != 3) || record.selector > 1 ||
            !data_fits(record.matching, record.data.len))
            continue;
        set->items[set->count++] = record;
    }
}
