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
    "\xd0\xbd\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2", /* не достав */
    "\xd0\xbd\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2",  /* недостав */
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
    "away from", "i am away", "on holiday", "automatische antwort", "abwesenheit", "abwesend", "nicht im b\xc3\xbcro",
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
report_says_auto_reply(str subject)
{
    return has_any(subject, auto_reply_subjects, COUNT_OF(auto_reply_subjects));
}

bool
report_is_daemon(str local)
{
    for (size_t i = 0; i < COUNT_OF(daemons); i++)
        if (str_eq_nocase(local, str_from(daemons[i])))
            return true;
    return false;
}
