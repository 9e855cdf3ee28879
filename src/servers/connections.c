/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* connections.c: a counter for each client network that is connected right now. */
#include "servers/connections.h"

#include "base/map.h"
#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* No more networks than this are counted; a client beyond them is refused until some have left. */
enum {
    NETWORKS_MAX = 200000
};

struct connections {
    pthread_mutex_t lock;
    struct map counts; /* The bytes of the network; the count itself stands in the pointer. */
};

static str
network_key(const ipaddr *addr)
{
    return (str){ (const char *)addr->bytes, ipaddr_is_v4(*addr) ? 16 : 8 };
}

struct connections *
connections_new(void)
{
    struct connections *connections = calloc(1, sizeof(*connections));

    must(connections);
    pthread_mutex_init(&connections->lock, NULL);
    map_init(&connections->counts, NETWORKS_MAX);
    return connections;
}

void
connections_free(struct connections *connections)
{
    if (!connections)
        return;
    map_done(&connections->counts);
    pthread_mutex_destroy(&connections->lock);
    free(connections);
}

bool
connections_enter(struct connections *connections, ipaddr addr, unsigned max)
{
    str key = network_key(&addr);
    bool entered = false;
    uintptr_t count;

    pthread_mutex_lock(&connections->lock);
    count = (uintptr_t)map_get(&connections->counts, key);
    if (!max || count < max)
        entered = map_put(&connections->counts, key, (void *)(count + 1)) == OK;
    pthread_mutex_unlock(&connections->lock);
    return entered;
}

void
connections_leave(struct connections *connections, ipaddr addr)
{
    str key = network_key(&addr);
    uintptr_t count;

    pthread_mutex_lock(&connections->lock);
    count = (uintptr_t)map_get(&connections->counts, key);
    must(count > 0);
    if (count == 1)
        map_remove(&connections->counts, key);
    else if (map_put(&connections->counts, key, (void *)(count - 1)))
        must(!"a known key is always replaced");
    pthread_mutex_unlock(&connections->lock);
}

unsigned
connections_count(struct connections *connections, ipaddr addr)
{
    uintptr_t count;

    pthread_mutex_lock(&connections->lock);
    count = (uintptr_t)map_get(&connections->counts, network_key(&addr));
    pthread_mutex_unlock(&connections->lock);
    return (unsigned)count;
}
