/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_sign.c: the gates that sign what begins its way here.  RFC 6376.
 *
 * Whether somebody signs is decided by the domain of From, as it will leave: that is the name which
 * a reader sees and which DMARC compares.  The hash of the body is made while it streams into the
 * draft; the fields come out at its end and travel in the envelope's prefix.
 */
#include "base/buf.h"
#include "config/config.h"
#include "intake/gates.h"
#include "intake/transaction.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "trust/signing.h"

enum {
    AUTHORS_MEMORY_MAX = 64 * 1024,
};

/* Other people's mail keeps the signatures that it has. */
static bool
is_ours_to_sign(const struct intake *intake)
{
    return intake->services->keyring && intake->config->dkim.sign &&
           (intake->peer.door != DOOR_MX || intake->trusted);
}

enum err
gate_begin_signature(struct intake *intake, struct verdict *verdict)
{
    struct arena arena;
    str section = buf_str(&intake->fixed);
    str domain;
    enum err e;

    (void)verdict;
    if (!is_ours_to_sign(intake))
        return OK;
    arena_init(&arena, AUTHORS_MEMORY_MAX);
    e = signing_domain(section, &arena, &domain);
    if (!e)
        e = signing_begin(intake->services->keyring, intake->config, domain, section,
                          &intake->signing);
    arena_done(&arena);
    return e;
}

struct signing_off {
    struct signing *signing;
    struct buf fields;
    enum err result;
};

static void
end_signing(void *arg)
{
    struct signing_off *off = arg;

    off->result = signing_end(off->signing, clock_now(), &off->fields);
}

/* RSA takes a millisecond, which is not the loop's to give.
 * A message that cannot be signed goes unsigned: its receivers judge it, not we. */
enum err
gate_sign(struct intake *intake, struct verdict *verdict)
{
    struct signing_off off = { .signing = intake->signing };
    bool kept = true;

    (void)verdict;
    if (!intake->signing)
        return OK;
    buf_init(&off.fields, SIGNING_FIELDS_MAX);
    offload_computing(end_signing, &off);
    if (off.result)
        log_warning("a message was not signed (%.*s): %s", STR_ARG(signing_name(intake->signing)),
                    err_name(off.result));
    else
        kept = arena_copy(&intake->arena, buf_str(&off.fields), &intake->envelope.prefix);
    buf_done(&off.fields);
    return kept ? OK : ERR_LIMIT;
}
