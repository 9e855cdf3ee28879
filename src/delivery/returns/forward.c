/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* forward.c: one new message for all targets of an alias that are not mailboxes here.
 *
 * It has the same body and the same return path (RFC 5321 3.9.1), and is in the spool before the
 * alias counts as done.  What came from outside is sealed (forward_seal.c); the set of fields is
 * known when the body has gone by, and travels in the envelope's prefix.  A success report for an
 * alias is ours (RFC 3461 5.2.7.2): the new recipients carry everything but NOTIFY=SUCCESS.  Start
 * reading at forward_send().
 */
#include "delivery/returns/forward.h"

#include "delivery/returns/forward_seal.h"
#include "delivery/queue/queue_inside.h"
#include "delivery/returns/return_address.h"
#include "runtime/clock.h"
#include "trust/arc.h"

enum {
    COPY_BLOCK = 32 * 1024
};

static uint8_t
notify_of_target(uint8_t notify)
{
    if (!(notify & NOTIFY_SUCCESS))
        return notify;
    notify &= (uint8_t)~NOTIFY_SUCCESS;
    return notify ? notify : NOTIFY_NEVER;
}

/* The targets that are not mailboxes here, as recipients. */
static size_t
fill_recipients(const struct forward *f, struct recipient *recipients)
{
    str original = f->alias->original;
    size_t count = 0;

    if (original.len == 0 &&
        !arena_printf(&f->runner->arena, &original, "rfc822;%.*s", STR_ARG(f->alias->address)))
        original = S("");
    for (size_t i = 0; i < f->resolution->count; i++)
        if (f->resolution->targets[i].kind != TARGET_MAILBOX)
            recipients[count++] =
                (struct recipient){ .address = f->resolution->targets[i].address,
                                    .original = original,
                                    .notify = notify_of_target(f->alias->notify) };
    return count;
}

WAITS static enum err
copy_body(const struct forward *f, struct forward_seal *seal, struct draft *draft)
{
    char *block = arena_alloc(&f->runner->arena, COPY_BLOCK);
    uint64_t offset = 0;
    size_t got = 1;
    enum err e = block ? OK : ERR_LIMIT;

    while (!e && got > 0) {
        e = body_read(f->body, offset, block, COPY_BLOCK, &got);
        if (!e && got > 0)
            e = draft_write(draft, (str){ block, got });
        if (!e && got > 0)
            forward_seal_add(seal, (str){ block, got });
        offset += got;
    }
    return e;
}

/* The message is on its way into the spool; then the set that stands before it is known. */
WAITS static enum err
write_copy(const struct forward *f, str head, struct draft *draft, struct buf *set, str *sealed)
{
    OWN(forward_seal) seal = NULL;
    str told = S("");
    enum err e = forward_seal_begin(f, &seal);

    if (!e)
        e = draft_write(draft, head);
    if (!e)
        e = copy_body(f, seal, draft);
    if (!e)
        e = forward_seal_end(seal, set, &told);
    if (!e && !arena_copy(&f->runner->arena, told, sealed))
        e = ERR_LIMIT;
    return e;
}

WAITS static enum err
commit_copy(struct draft **draft, const struct envelope *copy)
{
    struct buf encoded;
    enum err e;

    buf_init(&encoded, SPOOL_ENVELOPE_MAX);
    envelope_encode(copy, &encoded);
    e = buf_ok(&encoded) ? draft_commit(draft, copy->id, buf_str(&encoded)) : ERR_LIMIT;
    buf_done(&encoded);
    return e;
}

/* SEALED is for the event. */
WAITS static enum err
post_copy(const struct forward *f, str head, struct envelope *copy, str *sealed)
{
    struct queue *queue = f->runner->queue;
    OWN(draft) draft = NULL;
    uint8_t entropy[10];
    struct buf set;
    enum err e;

    random_bytes(entropy, sizeof(entropy));
    copy->id = msgid_make(clock_now(), entropy);
    buf_init(&set, ARC_FIELDS_MAX);
    e = draft_begin(queue->spool, &draft);
    if (!e)
        e = write_copy(f, head, draft, &set, sealed);
    if (!e) {
        copy->prefix = buf_str(&set); /* That of the message is copied with its body. */
        copy->size += set.len + head.len;
        copy->header_size += set.len + head.len;
        e = commit_copy(&draft, copy);
    }
    if (!e)
        queue_add(queue, copy);
    buf_done(&set);
    return e;
}

/* What leaves for other places in the name of a stranger's domain is not what its SPF record
 * allows. */
static enum err
rewrite_sender(const struct forward *f, struct envelope *copy, bool *too_long)
{
    struct queue *queue = f->runner->queue;

    return return_address_forwarding(f->runner->config, queue->accounts, queue->secrets,
                                     copy->reverse_path, clock_now(), &f->runner->arena,
                                     &copy->reverse_path, too_long);
}

WAITS enum err
forward_send(const struct forward *f, str *told)
{
    struct arena *arena = &f->runner->arena;
    struct envelope copy = *f->envelope;
    char id[MSGID_TEXT_SIZE + 1];
    bool too_long;
    enum err e;
    str head, sealed;

    copy.recipients = arena_new_array(arena, struct recipient, f->resolution->count);
    if (!copy.recipients ||
        !arena_printf(arena, &head, "Delivered-To: %.*s\r\n", STR_ARG(f->alias->address)))
        return ERR_LIMIT;
    copy.recipient_count = fill_recipients(f, copy.recipients);
    if (copy.recipient_count == 0)
        return OK;
    e = rewrite_sender(f, &copy, &too_long);
    if (!e)
        e = post_copy(f, head, &copy, &sealed);
    if (e)
        return e;
    msgid_format(copy.id, id);
    if (!arena_printf(arena, told, "%s; on as message %s%s%.*s", f->did, id,
                      too_long ? ", with its own sender, which is too long for SRS" : "",
                      STR_ARG(sealed)))
        *told = str_from(f->did);
    return OK;
}
