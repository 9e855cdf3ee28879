/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* forward_seal.c: what came from outside is verified as it came, and sealed as it leaves.
 *
 * A message that cannot be sealed goes on without: its receivers judge it.  So it does when the DNS
 * does not answer for a key of the chain, since our "fail" would stand for ever, and the next hop
 * can still validate what we did not touch.  Start reading at forward_seal_begin().
 */
#include "delivery/returns/forward_seal.h"

#include "delivery/queue/queue_inside.h"
#include "formats/address.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "trust/arc.h"
#include "trust/dkim_sign.h"
#include "trust/keyring.h"

#include <stdlib.h>

enum {
    SEAL_MEMORY_MAX = 8 * 1024 * 1024,
    INLINE_MAX = 64 * 1024, /* Longer bodies are hashed by a thread of the pool. */
};

struct forward_seal {
    const struct envelope *envelope;
    const struct config *config;
    struct arena arena;
    struct signers signers;
    const struct signer *signer;
    str header;
    uint64_t seen; /* Bytes of the message. */
    struct dkim_fields fields;
    struct dkim_hashes hashes;
    struct dkim_verify verify;
    struct arc_chain chain;
    size_t own_hash;
    bool is_given_up;
    const char *why_not;
    /* For the threads of the pool. */
    str piece;
    struct buf *out;
    enum err result;
};

void
forward_seal_drop(struct forward_seal **seal)
{
    struct forward_seal *s = take(*seal);

    if (!s)
        return;
    dkim_hashes_done(&s->hashes);
    signers_done(&s->signers);
    arena_done(&s->arena);
    free(s);
}

/* What begins its way here needs no chain: we sign it ourselves. */
static bool
is_wanted(const struct forward *f)
{
    return f->runner->config->dkim.seal && f->runner->queue->keyring &&
           f->envelope->door == DOOR_MX;
}

/* RFC 8617 lets seals be made with any key of DKIM; those who validate know RSA. */
static void
choose_signer(struct forward_seal *seal, struct keyring *keyring, str address)
{
    ssize_t at = str_find_last(address, '@');
    str domain;

    if (at < 0 || domain_to_alabel(str_skip(address, (size_t)at + 1), &seal->arena, &domain))
        return;
    keyring_signers(keyring, domain, &seal->signers);
    for (size_t i = 0; i < seal->signers.count && !seal->signer; i++)
        if (str_eq(str_from(dkim_key_algorithm(seal->signers.items[i].key)), S("rsa")))
            seal->signer = &seal->signers.items[i];
}

WAITS static enum err
read_header(struct forward_seal *seal, struct body *body)
{
    uint64_t size = seal->envelope->header_size;
    char *bytes;
    size_t len = 0, got = 1;
    enum err e = OK;

    if (size > FORWARD_SEAL_HEADER_MAX)
        return ERR_LIMIT;
    bytes = arena_alloc(&seal->arena, (size_t)size + 1);
    if (!bytes)
        return ERR_LIMIT;
    while (!e && got > 0 && len < size) {
        e = body_read(body, len, bytes + len, (size_t)size - len, &got);
        len += e ? 0 : got;
    }
    seal->header = (str){ bytes, len };
    return e;
}

/* What the hashes of the body are needed for. */
static enum err
begin_hashes(struct forward_seal *seal)
{
    instant now = clock_now();
    enum err e = dkim_fields_read(seal->header, &seal->arena, &seal->fields);

    if (!e)
        e = dkim_hashes_want(&seal->hashes, DKIM_RELAXED, false, 0, &seal->own_hash);
    if (!e)
        e = arc_begin(&seal->fields, &seal->hashes, now, &seal->arena, &seal->chain);
    if (!e)
        e = dkim_verify_begin(&seal->fields, &seal->hashes, now, &seal->arena, &seal->verify);
    return e;
}

WAITS enum err
forward_seal_begin(const struct forward *f, struct forward_seal **result)
{
    struct forward_seal *seal;
    enum err e;

    *result = NULL;
    if (!is_wanted(f))
        return OK;
    seal = calloc(1, sizeof(*seal));
    if (!seal)
        return OK;
    seal->envelope = f->envelope;
    seal->config = f->runner->config;
    arena_init(&seal->arena, SEAL_MEMORY_MAX);
    choose_signer(seal, f->runner->queue->keyring, f->alias->address);
    if (!seal->signer) {
        forward_seal_drop(&seal);
        return OK;
    }
    e = read_header(seal, f->body);
    if (!e)
        e = begin_hashes(seal);
    if (e == ERR_CANCELLED) {
        forward_seal_drop(&seal);
        return e;
    }
    if (e) {
        seal->is_given_up = true;
        seal->why_not = e == ERR_LIMIT ? "its header section is too large" : err_name(e);
    }
    *result = seal;
    return OK;
}

static void
hash_piece(void *arg)
{
    struct forward_seal *seal = arg;

    dkim_hashes_add(&seal->hashes, seal->piece);
}

WAITS void
forward_seal_add(struct forward_seal *seal, str bytes)
{
    uint64_t header;

    if (!seal || seal->is_given_up)
        return;
    header = seal->seen < seal->header.len ? seal->header.len - seal->seen : 0;
    seal->seen += bytes.len;
    seal->piece = str_skip(bytes, (size_t)MIN(header, (uint64_t)bytes.len));
    if (!seal->piece.len)
        return;
    if (seal->envelope->size > INLINE_MAX)
        offload(hash_piece, seal);
    else
        hash_piece(seal);
}

/* Asks the DNS for all keys, with one deadline: who is slow to answer must not hold the place of
 * other deliveries for long. */
WAITS static enum err
judge(struct forward_seal *seal)
{
    instant deadline = deadline_in(seal->config->dns.timeout);
    struct dkim_lookup lookup = { dkim_lookup_dns, &deadline };
    enum err e;

    dkim_hashes_end(&seal->hashes);
    e = arc_end(&seal->chain, &seal->hashes, &lookup, &seal->arena);
    if (!e && arc_may_seal(&seal->chain))
        e = dkim_verify_end(&seal->verify, &seal->hashes, &lookup, &seal->arena);
    return e;
}

static void
write_set(void *arg)
{
    struct forward_seal *seal = arg;
    const struct envelope *envelope = seal->envelope;
    struct arc_seal_options options = {
        .key = seal->signer->key,
        .domain = seal->signer->domain,
        .selector = seal->signer->selector,
        .authserv = seal->config->server.hostname,
        .mail_from = envelope->reverse_path,
        .client = envelope->client.addr,
        .has_client = !ipaddr_is_any(envelope->client.addr),
        .now = clock_now(),
    };

    seal->result = arc_seal(&seal->chain, &seal->verify, &options,
                            seal->hashes.items[seal->own_hash].value, seal->out);
}

/* What became of it, as the event says it. */
static void
tell(struct forward_seal *seal, str *told)
{
    const struct arc_chain *chain = &seal->chain;
    bool good;

    if (seal->why_not)
        good = arena_printf(&seal->arena, told, ", not sealed: %s", seal->why_not);
    else if (chain->status == ARC_NONE)
        good = arena_printf(&seal->arena, told, ", sealed (ARC i=1)");
    else
        good = arena_printf(&seal->arena, told, ", sealed (ARC i=%u, %s%s)", chain->count + 1,
                            chain->status == ARC_PASS ? "" : "the chain is broken: ", chain->why);
    if (!good)
        *told = S("");
}

static const char *
why_unsealable(const struct arc_chain *chain)
{
    if (!chain->is_closed && chain->status != ARC_TEMPERROR)
        return "the chain has no room for another set";
    return chain->why;
}

WAITS enum err
forward_seal_end(struct forward_seal *seal, struct buf *fields, str *told)
{
    enum err e = OK;

    *told = S("");
    if (!seal)
        return OK;
    if (!seal->is_given_up)
        e = judge(seal);
    if (e == ERR_CANCELLED)
        return e;
    if (!seal->is_given_up && !e && arc_may_seal(&seal->chain)) {
        seal->out = fields;
        offload(write_set, seal);
        e = seal->result;
    } else if (!seal->is_given_up && !e) {
        seal->why_not = why_unsealable(&seal->chain);
    }
    if (e) {
        log_warning("a message that an alias sends on was not sealed: %s", err_name(e));
        seal->why_not = err_name(e);
    }
    tell(seal, told);
    return OK;
}
