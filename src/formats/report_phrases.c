/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_phrases.c: tables of words.  A row is a piece of a sentence that no other sentence has, in
 * lower case, short enough to survive what servers put around it. */
#include "formats/report_phrases.h"

/* clang-format off */
static const char *const failure_subjects[] = {
    "undeliver", "not deliver", "non-deliver", "nondeliver", "could not be delivered", "couldn't be delivered",
    "was not delivered", "wasn't delivered", "delivery fail", "failure notice", "delivery has failed",
    "delivery status notification (fail", "delivery failure", "returned mail", "mail delivery failed",
    "mail failure", "mail system error", "returned to sender", "return to sender", "message returned",
    "unable to deliver", "delivery error", "delivery problem", "delivery report (failure", "failed mail",
    "mail error", "user unknown", "address not found", "delivery notification: delivery has failed",
    "failure delivery", "failed delivery", "permanent delivery failure", "message failure", "bounce",
    "mail could not be", "email delivery failed", "cannot deliver", "rejected:", "delivery status",
    "delivery notification", "mail delivery system", "mail delivery status", "returning message to sender",
    "status of your message", "error sending", "mailer error", "expired:", "message expired",
    "unzustellbar", "nicht zugestellt", "unzustellbarkeit", "zustellung fehlgeschlagen",
    "konnte nicht zugestellt", "fehlgeschlagen", "r\xc3\xbc" "ckl\xc3\xa4ufer",
    "non remis", "non remise", "non distribu", "n'a pas pu \xc3\xaa" "tre", "echec de", "\xc3\xa9" "chec de",
    "non_remis", "retour de courrier", "no se puede entregar", "no se ha podido entregar", "no entregado",
    "no se pudo entregar", "devuelto", "error de entrega", "fallo en la entrega",
    "n\xc3\xa3o entreg", "nao entreg", "falha na entrega", "n\xc3\xa3o foi poss\xc3\xadvel entregar",
    "mancato recapito", "non recapitabile", "impossibile recapitare", "non consegnato",
    "niet bezorg", "onbestelbaar", "onbezorgbaar", "kan niet worden bezorgd",
    "ikke leveres", "kunne ikke leveres", "ikke levert", "kunde inte levereras", "gick inte att leverera",
    "olevererbar", "inte levererats", "toimitus ep\xc3\xa4onnistui", "ei voitu toimittaa",
    "nie mo\xc5\xbcna dostarczy\xc4\x87", "niedor\xc4\x99" "cz",
    "nedoru\xc4\x8diteln", "k\xc3\xa9zbes\xc3\xadthetetlen",
    "teslim edilemedi", "iletilemedi",
    "\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2", /* е достав */
    "\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2",  /* едостав */
    "\xe9\x80\x80\xe4\xbf\xa1",             /* 退信 */
    "\xe6\x97\xa0\xe6\xb3\x95\xe9\x80\x81\xe8\xbe\xbe", /* 无法送达 */
    "\xe6\x9c\xaa\xe9\x80\x92\xe9\x80\x81", /* 未递送 */
    "\xe7\x84\xa1\xe6\xb3\x95\xe5\x82\xb3\xe9\x81\x9e", /* 無法傳遞 */
    "\xe9\x85\x8d\xe4\xbf\xa1\xe4\xb8\x8d\xe8\x83\xbd", /* 配信不能 */
    "\xe9\x85\x8d\xe4\xbf\xa1\xe3\x81\xa7\xe3\x81\x8d", /* 配信でき */
    "\xe9\x85\x8d\xe4\xbf\xa1\xe3\x82\xa8\xe3\x83\xa9\xe3\x83\xbc", /* 配信エラー */
    "\xeb\xb0\xb0\xeb\x8b\xac\xeb\x90\x98\xec\xa7\x80", /* 배달되지 */
};

static const char *const delay_subjects[] = {
    "delayed", "(delay)", "warning: could not send message", "still being retried", "delivery delay",
    "will continue to be", "delivery status notification (delay", "delivery warning", "not yet delivered",
    "not yet been delivered", "delayed mail", "still undelivered", "temporarily deferred", "queued",
    "verz\xc3\xb6gert", "retard", "retras", "atras", "in ritardo", "vertraagd", "opgehouden",
    "f\xc3\xb6rdr\xc3\xb6jd", "forsinket",
    "\xd0\xb7\xd0\xb0\xd0\xb4\xd0\xb5\xd1\x80\xd0\xb6", /* задерж */
    "\xe5\xbb\xb6\xe8\xbf\x9f",                         /* 延迟 */
    "\xe9\x81\x85\xe5\xbb\xb6",                         /* 遅延 */
};

static const char *const auto_reply_subjects[] = {
    "out of office", "out of the office", "out-of-office", "automatic reply", "automatic response", "auto-reply",
    "auto reply", "autoreply", "autoresponse", "auto-response", "auto response", "auto:", "vacation", "on leave",
    "away from", "i am away", "on holiday", "automatische antwort", "abwesenheit", "abwesend",
    "nicht im b\xc3\xbcro",
    "autoantwort", "r\xc3\xa9ponse automatique", "reponse automatique", "absence", "absent",
    "respuesta autom", "fuera de la oficina", "ausente", "resposta autom", "ausen",
    "risposta automatica", "fuori sede", "automatisch antwoord", "afwezig", "autosvar", "automatisk svar",
    "automatiskt svar", "fr\xc3\xa5nvaro", "poissa", "automaattinen vastaus", "autoodpowied",
    "automatick\xc3\xa1 odpov", "otomatik yan\xc4\xb1t",
    "\xd0\xb0\xd0\xb2\xd1\x82\xd0\xbe\xd0\xbe\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82", /* автоответ */
    "\xd0\xb0\xd0\xb2\xd1\x82\xd0\xbe\xd0\xbc\xd0\xb0\xd1\x82\xd0\xb8\xd1\x87", /* автоматич */
    "\xe8\x87\xaa\xe5\x8a\xa8\xe5\x9b\x9e\xe5\xa4\x8d", /* 自动回复 */
    "\xe8\x87\xaa\xe5\x8b\x95\xe5\xbf\x9c\xe7\xad\x94", /* 自動応答 */
    "\xe4\xb8\x8d\xe5\x9c\xa8",                         /* 不在 */
};

static const char *const daemons[] = {
    "mailer-daemon", "mailerdaemon", "mailer_daemon", "mailer.daemon", "mail-daemon", "maildaemon",
    "mail_daemon", "postmaster", "post_master", "post.master", "mdaemon", "double-bounce", "bounce",
    "bounces", "mta", "mailer", "mail-system", "mailsystem", "mail.daemon", "smtp-daemon", "smtpd", "mail-delivery",
    "maildelivery", "mailbot", "system-administrator", "systemadministrator", "administrator", "sysadmin",
    "daemon", "mmdf", "pmdf", "listserv-error", "majordomo-owner", "delivery-failure", "no-reply-bounce", "ndr",
    "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e", "exchange", "gwava", "mail", "mercury", "root",
};

/* Of the body, folded. */
static const char *const failure_bodies[] = {
    "not be delivered", "not been delivered", "wasn't delivered", "was not delivered", "n't be delivered",
    "not deliver", "n't deliver", "unable to deliver", "undeliver", "delivery failed", "delivery has failed",
    "failed to deliver", "delivery fail", "failed delivery", "delivery to the following", "failure notice",
    "failed permanently", "permanent error", "permanent failure", "permanent fatal error", "fatal error",
    "transient non-fatal", "following address", "delivery problem", "problem delivering", "did not reach",
    "didn't reach", "has been rejected", "was rejected", "been returned", "being returned", "returned to you",
    "couldn't be found", "could not be found", "could not be sent", "not be sent", "error occurred",
    "user unknown", "unknown user", "unknown address", "does not exist", "doesn't exist", "no such user",
    "mailbox full", "mailbox is full", "quota", "mailbox unavailable", "unrouteable", "unroutable",
    "qmail-send", "recipients were affected", "transcript of session", "not found", "failed address", "mail failed",
    "invalid final delivery", "exceeds allowed", "failure reason", "not listed", "following recipients",
    "following recipient", "failed recipient",
    "error message below", "message could not", "mail could not", "cannot be delivered", "can't be delivered",
    "was unable", "were unable", "rejected by", "host unknown", "address rejected", "recipient rejected",
    "non-delivery", "nondelivery", "delivery error", "gave up", "giving up", "bounced",
    "this is a temporary error", "delay", "undelivered",
    "nicht zugestellt", "nicht ausgeliefert", "unzustellbar", "fehler bei der zustellung", "zustellung",
    "nicht erreicht", "n'a pas pu", "n'ont pas pu", "echec", "\xc3\xa9" "chec", "\xc3\x89" "chec",
    "n'a pas \xc3\xa9t\xc3\xa9 remis",
    "pas \xc3\xaatre remis", "non remis", "erreur", "no se pudo", "no se puede", "no se ha podido", "no pudo",
    "no ha sido entregado", "error", "n\xc3\xa3o p\xc3\xb4" "de ser", "n\xc3\xa3o foi poss", "nao foi poss",
    "falha", "non \xc3\xa8 stato possibile", "impossibile", "non \xc3\xa8 stato recapitato", "mancato recapito",
    "niet worden bezorgd", "kon niet", "niet bezorgd", "kunne ikke", "ikke leveres", "kunde inte", "gick inte",
    "ei voitu", "nie mo\xc5\xbcna", "nie zosta\xc5\x82", "nepoda\xc5\x99ilo", "nem siker\xc3\xbclt", "iletilemedi",
    "teslim edilemedi",
    "\xd0\xbd\xd0\xb5 \xd0\xbc\xd0\xbe\xd0\xb6\xd0\xb5\xd1\x82 \xd0\xb1\xd1\x8b\xd1\x82\xd1\x8c",
    /* не может быть */
    "\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2",                         /* е достав */
    "\xd0\xb5 \xd1\x83\xd0\xb4\xd0\xb0",                                                     /* е уда */
    "\xe6\x97\xa0\xe6\xb3\x95",             /* 无法 */
    "\xe7\x84\xa1\xe6\xb3\x95",             /* 無法 */
    "\xe9\x80\x80\xe4\xbf\xa1",             /* 退信 */
    "\xe9\x80\x80\xe5\x9b\x9e",             /* 退回 */
    "\xe9\x85\x8d\xe4\xbf\xa1",             /* 配信 */
    "\xe9\x80\x81\xe4\xbf\xa1\xe3\x81\xa7\xe3\x81\x8d", /* 送信でき */
    "\xec\xa0\x84\xeb\x8b\xac",             /* 전달 */
};

static const char *const delay_bodies[] = {
    "has not yet been delivered", "not yet been delivered", "not been delivered yet", "will continue to",
    "warning message only", "no action is required", "delivery attempts will continue", "do not need to resend",
    "don't need to resend", "will keep trying", "will be retried", "still trying", "is still being", "will retry",
    "will try again", "continue trying", "has been delayed", "is delayed", "were delayed", "temporary problem",
    "delivery incomplete", "temporarily delayed", "being retried", "noch nicht zugestellt",
    "weitere zustellversuche",
    "verz\xc3\xb6gert", "pas encore \xc3\xa9t\xc3\xa9", "encore \xc3\xaatre", "se seguir\xc3\xa1 intentando",
    "wordt nog geprobeerd", "transient non-fatal", "keeps trying", "further attempts", "next attempt",
    "\xd0\xbf\xd0\xbe\xd0\xbf\xd1\x8b\xd1\x82\xd0\xba\xd0\xb8 \xd0\xb1\xd1\x83\xd0\xb4\xd1\x83\xd1\x82",
    /* попытки будут */
};

/* What takes a word of delay back. */
static const char *const final_bodies[] = {
    "permanent", "giving up", "gave up", "given up", "not going to try again", "no longer", "will not be retried",
    "not try again", "stopped trying", "no further attempts", "has expired", "retry timeout exceeded",
    "will not be tried",
};

static const char *const success_bodies[] = {
    "successfully delivered", "was delivered to", "has been delivered", "successfully relayed",
    "delivery is complete",
    "was successfully", "been successfully", "erfolgreich zugestellt", "a \xc3\xa9t\xc3\xa9 remis ",
    "delivered to the following", "se ha entregado", "confirm that your message",
};

/* Without a returned original these make a message bait, whatever else it says. */
static const char *const bait_bodies[] = {
    "click here", "click below", "click the", "click on", "release", "quarantin", "verify your", "confirm your",
    "your password", "upgrade", "storage limit", "incoming mess", "incoming mail", "pending mess", "retrieve",
    "recover", "update your", "validate", "re-activate", "reactivate", "your account", "log in", "login",
    "sign in", "review mess", "view mess", "allow mess", "unsubscribe", "newsletter", "klicken sie", "cliquez",
    "haga clic", "moderator", "subscri",
};

static const char *const challenge_words[] = {
    "prove that you are", "verify that you are", "confirm that you are a", "you are human", "are a human",
    "are not a spammer", "to be delivered, please", "verification required", "spam arrest", "spamarrest",
    "challenge-response", "challenge/response", "confirm your message", "confirm your email to",
    "confirm delivery of your message", "release your message, please", "message is being held until",
    "being held because the address", "please confirm your message", "tmda", "boxbe", "unverified sender",
    "request to be added to", "approved senders list", "allowed senders", "to complete this one-time",
    "mailblocks", "authenticate your e-mail", "authenticate your email", "captcha", "whitelist yourself",
    "reply to this message to confirm", "reply to this email to confirm", "best\xc3\xa4tigen sie ihre absender",
};

/* A reason that needs no number. */
static const char *const reasons[] = {
    "user unknown", "unknown user", "no such", "does not exist", "doesn't exist", "not exist", "not found",
    "couldn't be found", "could not be found", "unrouteable", "unroutable", "mailbox full", "mailbox is full",
    "over quota", "overquota", "quota exceeded", "exceeded", "exceeds", "disabled", "unavailable", "inactive",
    "not listed", "not recognized", "invalid", "illegal", "rejected", "refused", "timed out", "timeout", "expired",
    "unknown", "no mailbox", "not our customer", "no account", "relay", "too large", "too big", "blocked", "denied",
    "failed", "loop", "suspended", "not a valid", "not known", "too long", "unable to", "could not", "cannot",
    "no valid", "bad address", "host or domain", "lookup", "undeliverable", "reason", "closed", "moved",
    "not accepted", "unreachable", "connection", "not authorized", "permanent", "spam", "virus", "error",
    "inconnu", "plein", "n'existe", "unbekannt", "voll", "existiert nicht", "no existe", "llen", "onbekend", "vol ",
    "\xd0\xbd\xd0\xb5 \xd0\xbd\xd0\xb0\xd0\xb9\xd0\xb4", /* не найд */
    "\xe4\xb8\x8d\xe5\xad\x98\xe5\x9c\xa8",             /* 不存在 */
};

/* Where what was sent begins, in a line that is a rule or a heading. */
static const char *const original_marks[] = {
    "copy of the message", "copy of your message", "original message", "unsent message", "message header",
    "returned message", "message follows", "message text follows", "headers of the message", "original mail",
    "original header", "message d'origine", "message original", "nachrichtenkopf", "urspr\xc3\xbcngliche",
    "kopfzeilen", "original-nachricht", "mensaje original", "mensagem original", "messaggio originale",
    "oorspronkelijk", "originalmeddelande", "oprindelige", "originale meld", "lines of the message",
    "lines of your message", "message contents", "content of the message", "text of the message",
    "undelivered message follows", "first lines of", "returned mail", "included message", "message is following",
    "\xd0\xb8\xd1\x81\xd1\x85\xd0\xbe\xd0\xb4\xd0\xbd", /* исходн */
    "\xd0\xb7\xd0\xb0\xd0\xb3\xd0\xbe\xd0\xbb\xd0\xbe\xd0\xb2", /* заголов */
    "\xe5\x8e\x9f\xe5\xa7\x8b",             /* 原始 */
    "\xe5\x8e\x9f\xe4\xbf\xa1",             /* 原信 */
    "\xe5\x85\x83\xe3\x81\xae\xe3\x83\xa1", /* 元のメ */
    "\xec\x9b\x90\xeb\xb3\xb8",             /* 원본 */
};
/* clang-format on */

static bool
has_any(str text, const char *const *phrases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_find_nocase(text, str_from(phrases[i])) >= 0)
            return true;
    return false;
}

bool
report_says_failure(str subject)
{
    return has_any(subject, failure_subjects, COUNT_OF(failure_subjects)) &&
           !report_says_delay(subject);
}

bool
report_says_delay(str subject)
{
    return has_any(subject, delay_subjects, COUNT_OF(delay_subjects));
}

bool
report_says_end(str subject)
{
    static const char *const ends[] = { "return", "undeliver", "fail", "rejected", "expired" };

    return has_any(subject, ends, COUNT_OF(ends));
}

bool
report_is_complaint(str subject)
{
    return str_starts_nocase(subject, S("complaint about message"));
}

bool
report_says_auto_reply(str subject)
{
    return has_any(subject, auto_reply_subjects, COUNT_OF(auto_reply_subjects));
}

/* TEXT is folded: bytes can be compared. */
static bool
folded_has(str text, const char *const *phrases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_find_str(text, str_from(phrases[i])) >= 0)
            return true;
    return false;
}

bool
report_body_says(str folded, enum report_saying saying)
{
    switch (saying) {
    case REPORT_SAYS_FAILURE:
        return folded_has(folded, failure_bodies, COUNT_OF(failure_bodies));
    case REPORT_SAYS_DELAY:
        return folded_has(folded, delay_bodies, COUNT_OF(delay_bodies));
    case REPORT_SAYS_FINAL:
        return folded_has(folded, final_bodies, COUNT_OF(final_bodies));
    case REPORT_SAYS_SUCCESS:
        return folded_has(folded, success_bodies, COUNT_OF(success_bodies));
    case REPORT_SAYS_BAIT:
        return folded_has(folded, bait_bodies, COUNT_OF(bait_bodies));
    case REPORT_SAYS_CHALLENGE:
        return folded_has(folded, challenge_words, COUNT_OF(challenge_words));
    case REPORT_SAYS_REASON:
        return folded_has(folded, reasons, COUNT_OF(reasons));
    case REPORT_SAYS_ORIGINAL:
        return folded_has(folded, original_marks, COUNT_OF(original_marks));
    }
    return false;
}

bool
report_is_daemon(str local)
{
    for (size_t i = 0; i < COUNT_OF(daemons); i++)
        if (str_eq_nocase(local, str_from(daemons[i])))
            return true;
    return false;
}
