/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_cluster.c: the reason of an answer is short and plain, whatever a receiver says; and a query
 * is read or refused. */
#include "fuzz.h"

#include "delivery/queue/cluster.h"
#include "delivery/queue/queue.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("4.7.28 [192.0.2.7      15] Our system has detected an unusual rate of mail"),
    S("<bob@example.org>: Recipient address \"b o b\" rejected (S3150) https://x.example/y?z=1 "
      "01JD7Z3K9Q8M5N2P4R6S8T0V1W"),
    S("to:@example.org not:state:held age:>2h attempts:>=3 size:>5M cluster:421-4.7.28 "
      "class:rate_limited lane:bulk"),
    S("site:mx.example.org,mx2.example.org route:gateway msgid:a@b rule:3 source:s "
      "provider:google id:01JD7Z3K9Q8M5N2P4R6S8T0V1W"),
    S("[2001:db8::1]:25 2026-11-27T10:41:02Z deadbeef01"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    char room[CLUSTER_TEXT_MAX + 1];
    str text = cluster_text(input, room);
    struct queue_query query;
    struct why why = {};

    must(text.len <= CLUSTER_TEXT_MAX && room[text.len] == '\0');
    for (size_t i = 0; i < text.len; i++) {
        must((unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f);
        must(text.ptr[i] < 'A' || text.ptr[i] > 'Z');
    }
    must(text.len == 0 || (text.ptr[0] != ' ' && text.ptr[text.len - 1] != ' '));
    must(cluster_id(1, S(""), input) == cluster_id(1, S(""), input));
    if (queue_query_parse(input, &query, &why))
        must(why.text[0]);
    else
        must(query.count <= QUEUE_QUERY_WORDS);
    return 0;
}
