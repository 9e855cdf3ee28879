/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_suppress.c: the gates that keep mail of ours from those who are on the suppression list.
 *
 * At RCPT only a word that binds all mail can be held against the recipient, unless the sender is
 * that of a list: whether a message is bulk is known when its header section has come in.  Then a
 * message none of whose recipients may have it is refused as a whole, while the client listens; of
 * one that has others beside, the recipient fails before its first attempt (delivery/rules/suppress.c).
 * docs/decisions/0011-suppression.md says why.
 */
#include "accounts/suppression.h"

#include "config/config.h"
#include "intake/gates.h"
#include "intake/transaction.h"
#include "runtime/clock.h"

enum {
    QUESTION_MEMORY_MAX = 64 * 1024,
    TOLD_MAX = 130
};

static void
fill_mail(const struct intake *intake, str recipient, struct suppression_mail *mail)
{
    const struct config_list *list = intake_list(intake);

    *mail = (struct suppression_mail){ .account = intake->peer.account,
                                       .sender = intake->sender.path,
                                       .recipient = recipient,
                                       .list = list ? list->name : S("") };
}

/* A verdict against MAIL, if an entry binds it. */
WAITS static enum err
judge(struct intake *intake, const struct suppression_mail *mail, struct verdict *verdict)
{
    struct suppression_entry entry;
    struct arena arena;
    char told[TOLD_MAX];
    bool found;
    enum err e;

    arena_init(&arena, QUESTION_MEMORY_MAX);
    e = suppression_check(intake->services->suppression, mail, clock_now(), &arena, &found, &entry);
    if (!e && found) {
        suppression_tell(&entry, told, sizeof(told));
        /* Our own rule, not the receiver's word: 5.7.1, so that nobody takes the address for dead
         * who only hears this. */
        verdict_refuse(verdict, 550, "5.7.1", "Suppressed: %s; lifted by outpost suppression rm",
                       told);
    }
    arena_done(&arena);
    return e;
}

enum err
gate_recipient_suppressed(struct intake *intake, struct verdict *verdict)
{
    struct suppression_mail mail;

    if (intake->comes_back)
        return OK;
    if (!intake_is_ours(intake) && intake->peer.door != DOOR_LOCAL)
        return OK;
    fill_mail(intake, intake->candidate->address, &mail);
    return judge(intake, &mail, verdict);
}

enum err
gate_all_suppressed(struct intake *intake, struct verdict *verdict)
{
    const struct envelope *envelope = &intake->envelope;
    struct suppression_mail mail;
    struct verdict each = { 0 };
    enum err e;

    if (!intake_is_ours(intake) && intake->peer.door != DOOR_LOCAL)
        return OK;
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        each = (struct verdict){ 0 };
        fill_mail(intake, envelope->recipients[i].address, &mail);
        mail.knows_lane = true;
        mail.lane = envelope->lane;
        e = judge(intake, &mail, &each);
        if (e)
            return e;
        if (verdict_accepts(&each))
            return OK;
    }
    *verdict = each;
    return OK;
}
