/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_smtp_command.c: command lines of SMTP, and all that is read from their arguments. */
#include "fuzz.h"

#include "formats/xtext.h"
#include "protocols/smtp/command.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("MAIL FROM:<ann@example.org> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=QQ+2B AUTH=a+3Db@c SMTPUTF8"),
    S("MAIL FROM:<ann@example.org> MT-PRIORITY=-4 BY=-120;NT HOLDFOR=3600"),
    S("MAIL FROM:<> MT-PRIORITY=9 BY=120;R HOLDUNTIL=2026-11-26T22:05:56Z"),
    S("RCPT TO:<bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c"),
    S("RCPT TO:<j\xc3\xb6@x> ORCPT=utf-8;j\\x{F6}@x NOTIFY=NEVER"),
    S("EHLO [IPv6:2001:db8::1]"), S("BDAT 1000 LAST"), S("AUTH PLAIN AGE="), S("POST / HTTP/1.1"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_times(const struct smtp_mail *mail)
{
    struct smtp_deliver_by again;
    struct buf text;

    must(mail->priority >= SMTP_PRIORITY_MIN && mail->priority <= SMTP_PRIORITY_MAX);
    must(mail->hold_for >= 0 && mail->hold_for <= SECONDS(SMTP_SECONDS_MAX));
    must(!mail->hold_for || !mail->hold_until);
    if (!mail->by.mode)
        return;
    must(mail->by.mode != SMTP_BY_RETURN || mail->by.seconds > 0);
    buf_init(&text, 32);
    smtp_deliver_by_format(&mail->by, &text);
    must(smtp_deliver_by_parse(buf_str(&text), &again));
    must(again.mode == mail->by.mode && again.trace == mail->by.trace &&
         again.seconds == mail->by.seconds);
    buf_done(&text);
}

static void
check_mail(str args, struct arena *arena)
{
    struct smtp_fault fault = {};
    struct smtp_mail mail;

    if (smtp_mail_parse(args, arena, &mail, &fault)) {
        must(fault.code >= 400 && fault.enhanced && fault.text);
        return;
    }
    must(!fuzz_has_line_end(mail.envid) && mail.envid.len <= ENVID_MAX);
    must(!mail.from.is_utf8 || mail.smtputf8);
    check_times(&mail);
}

static void
check_rcpt(str args, struct arena *arena)
{
    struct smtp_fault fault = {};
    struct smtp_rcpt rcpt;
    struct buf wire;
    str type, address, kind, decoded;

    if (smtp_rcpt_parse(args, true, arena, &rcpt, &fault)) {
        must(fault.code >= 400 && fault.enhanced && fault.text);
        return;
    }
    must(rcpt.to.local.len || rcpt.to.domain.len);
    must(!(rcpt.notify & NOTIFY_NEVER) || rcpt.notify == NOTIFY_NEVER);
    if (rcpt.orcpt.len == 0)
        return;
    must(!fuzz_has_line_end(rcpt.orcpt));
    buf_init(&wire, 1 << 16);
    for (int utf8 = 0; utf8 < 2; utf8++) {
        buf_clear(&wire);
        orcpt_format(rcpt.orcpt, utf8, &wire);
        must(utf8 || str_is_ascii(buf_str(&wire)));
        (void)str_split(rcpt.orcpt, ';', &kind, &decoded);
        if (wire.len <= ORCPT_MAX)
            must(orcpt_parse(buf_str(&wire), arena, &type, &address) == OK &&
                 str_eq(address, decoded) && str_eq(type, kind));
    }
    buf_done(&wire);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size }, name;
    struct smtp_command command;
    struct smtp_bdat bdat;
    struct smtp_auth auth;
    struct arena arena;
    bool proper;

    arena_init(&arena, 1 << 16);
    if (!smtp_command_parse(input, &command)) {
        must(!fuzz_has_line_end(command.args) && command.args.len <= size);
        (void)smtp_command_args_fit(&command);
        check_mail(command.args, &arena);
        check_rcpt(command.args, &arena);
        if (!smtp_bdat_parse(command.args, &bdat))
            must(bdat.size <= SMTP_BDAT_SIZE_MAX);
        if (!smtp_auth_parse(command.args, &auth))
            must(auth.mechanism.len >= 1 && auth.mechanism.len <= 20);
        if (!smtp_helo_parse(command.args, &name, &proper))
            must(name.len <= DOMAIN_MAX);
    }
    check_mail(input, &arena);
    check_rcpt(input, &arena);
    arena_done(&arena);
    return 0;
}
