/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_header.c: the gates over the header section, once it has come in whole.
 *
 * gate_header_bounds() walks it and notes the facts; the others read only those.
 */
#include "accounts/account.h"
#include "config/config.h"
#include "formats/header_address.h"
#include "intake/gates.h"
#include "intake/transaction.h"

/* RFC 5322 2.1.1 has 998; real mail has lists of References beyond it. */
enum {
    HEADER_LINE_MAX = 8000
};
enum {
    FROM_ADDRESSES_MAX = 20
};
/* One list of From addresses. */
enum {
    FROM_MEMORY_MAX = 64 * 1024
};

enum err
gate_header_bounds(struct intake *intake, struct verdict *verdict)
{
    str section = str_head(buf_str(&intake->header), intake->header_size);
    unsigned fields_max = intake->config->smtp.header_fields_max;
    enum err e;

    e = header_survey(section, fields_max, &intake->facts);
    if (e == ERR_LIMIT) {
        verdict_refuse(verdict, 554, "5.6.0", "More than %u header fields", fields_max);
        return OK;
    }
    if (e)
        return e;
    if (intake->facts.longest_line > HEADER_LINE_MAX)
        verdict_refuse(verdict, 554, "5.6.0", "A line of the header section is too long");
    return OK;
}

/* RFC 5322 3.6: what may stand once only.  Two of them are shown differently by different readers.
 */
enum err
gate_header_fields(struct intake *intake, struct verdict *verdict)
{
    const struct header_facts *facts = &intake->facts;
    const struct {
        size_t count;
        const char *name;
    } single[] = {
        { facts->from, "From" },
        { facts->sender, "Sender" },
        { facts->reply_to, "Reply-To" },
        { facts->to, "To" },
        { facts->cc, "Cc" },
        { facts->date, "Date" },
        { facts->message_id, "Message-ID" },
        { facts->subject, "Subject" },
    };

    for (size_t i = 0; i < COUNT_OF(single); i++) {
        if (single[i].count > 1) {
            verdict_refuse(verdict, 554, "5.6.0", "%s stands there %zu times", single[i].name,
                           single[i].count);
            return OK;
        }
    }
    return OK;
}

/* Of other people's mail, only what is used to deceive is refused. */
enum err
gate_single_from(struct intake *intake, struct verdict *verdict)
{
    if (intake->facts.from > 1)
        verdict_refuse(verdict, 554, "5.6.0", "From stands there %zu times", intake->facts.from);
    return OK;
}

enum err
gate_hops(struct intake *intake, struct verdict *verdict)
{
    unsigned max = intake->config->smtp.hops_max;

    /* RFC 5321 6.3. */
    if (max && intake->facts.received >= max)
        verdict_refuse(verdict, 554, "5.4.6", "Too many hops: this message goes in circles");
    return OK;
}

/* Whether the login may write ADDRESS into From. */
static enum err
may_write_as(struct intake *intake, const struct address *address, struct arena *arena, bool *may)
{
    struct address canonical;
    enum err e;
    str text;

    *may = false;
    e = address_canonical(address, arena, &canonical);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    if (!address_text(&canonical, arena, &text))
        return ERR_LIMIT;
    *may = accounts_may_send_as(intake->services->accounts, intake->peer.account_id, text);
    return OK;
}

static enum err
judge_from(struct intake *intake, struct arena *arena, struct verdict *verdict)
{
    struct header_address *from;
    bool may = true;
    enum err e;

    e = header_addresses_parse(intake->facts.from_value, FROM_ADDRESSES_MAX, arena, &from);
    if (e == ERR_SYNTAX || (!e && !from)) {
        verdict_refuse(verdict, 554, "5.6.0", "The From field holds no address");
        return OK;
    }
    for (; !e && from && may; from = from->next)
        e = may_write_as(intake, &from->address, arena, &may);
    if (!e && !may)
        verdict_refuse(verdict, 553, "5.7.1", "%.*s may not write this From address",
                       STR_ARG(intake->peer.account));
    return e;
}

enum err
gate_from_owned(struct intake *intake, struct verdict *verdict)
{
    struct arena arena;
    enum err e;

    if (!intake->peer.account.len || !intake->facts.from)
        return OK;
    arena_init(&arena, FROM_MEMORY_MAX);
    e = judge_from(intake, &arena, verdict);
    arena_done(&arena);
    return e;
}
