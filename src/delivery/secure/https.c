/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* https.c: one address of a web host after the other; start reading at https_connect(). */
#include "delivery/secure/https.h"

#include "runtime/dns.h"
#include "runtime/stream.h"

/* Neither of this machine, nor of a private network, nor for special use. */
bool
https_is_public(ipaddr addr)
{
    static const char *const not_public[] = {
        "0.0.0.0/8",     "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",   "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
        "::/127",        "64:ff9b::/96", "fc00::/7",       "fe80::/10",     "ff00::/8",
    };
    struct network network;

    for (size_t i = 0; i < COUNT_OF(not_public); i++)
        if (network_parse(str_from(not_public[i]), &network) && network_holds(&network, addr))
            return false;
    return true;
}

struct search {
    struct endpoint peers[HTTPS_ADDRESSES_MAX];
    size_t count;
    bool temporary;
    bool private; /* Addresses of private networks will do as well. */
    bool any;     /* Also one that will not do. */
};

static void
add(struct search *search, const struct dns_answer *answer, uint16_t port, size_t max)
{
    search->temporary =
        search->temporary || answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS;
    for (size_t i = 0; answer->status == DNS_FOUND && i < answer->count; i++) {
        ipaddr addr = answer->records[i].addr;
        bool will_do = search->private || https_is_public(addr);
        search->any = search->any || !will_do;
        if (will_do && search->count < max && stream_has_way_to(addr))
            search->peers[search->count++] = (struct endpoint){ addr, port };
    }
}

/* Both families have room. */
WAITS static enum err
find_addresses(struct arena *arena, str host, uint16_t port, instant deadline,
               struct search *search, struct why *why)
{
    struct dns_answer six, four;
    enum err e = dns_lookup(arena, host, DNS_AAAA, deadline, &six);

    if (!e)
        e = dns_lookup(arena, host, DNS_A, deadline, &four);
    if (e)
        return e == ERR_CANCELLED ? e : err_why(why, e, "%.*s is no name of a host", STR_ARG(host));
    add(search, &six, port, HTTPS_ADDRESSES_MAX / 2);
    add(search, &four, port, HTTPS_ADDRESSES_MAX);
    if (search->count == 0)
        return err_why(why, ERR_UNREACHABLE, "%.*s %s", STR_ARG(host),
                       search->temporary ? "cannot be looked up at the moment"
                       : search->any     ? "is in a private network"
                                         : "has no address that can be reached");
    return OK;
}

enum err
https_connect(struct tls_context *context, struct arena *arena, str host, uint16_t port,
              bool private, instant deadline, struct stream **stream, enum tls_fault *fault, struct why *why)
{
    struct tls_client_options options = {
        .server_name = host, .verify = TLS_VERIFY_PKIX, .san_only = true, .fault = fault
    };
    struct search search = { .private = private };
    enum err e = find_addresses(arena, host, port, deadline, &search, why);

    *fault = TLS_FAULT_NONE;
    for (size_t i = 0; i < search.count; i++) {
        OWN(stream) made = NULL;
        e = stream_connect(&search.peers[i], NULL, deadline, &made, why);
        if (!e) {
            stream_set_deadline(made, deadline);
            e = stream_start_tls_client(made, context, &options, why);
        }
        if (!e) {
            *stream = take(made);
            return OK;
        }
        if (e == ERR_CANCELLED)
            return e;
    }
    return e;
}
