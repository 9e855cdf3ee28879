/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_meaning.c: the table of failures.  The first row that fits is taken, so particular ones
 * stand first. */
#include "cli/test_meaning.h"

#include "base/str.h"

enum type {
    ANY_TYPE,
    TYPE_SMTP,
    TYPE_SMTPS
};
enum {
    ANY_ERROR = -1
};

#define AT(stage) (1U << TEST_##stage)
#define ANYWHERE  (~0U)

struct rule {
    unsigned stages;
    int e;             /* An enum err, or ANY_ERROR; OK: the server said no. */
    unsigned from, to; /* Codes; 0: whatever. */
    const char *has;   /* In the enhanced code or the text, in any case; NULL: whatever. */
    enum type type;
    struct test_meaning meaning;
};

/* clang-format off */
static const struct rule rules[] = {
    /* Before a connection. */
    { AT(LOOKUP), ERR_NOT_FOUND, 0, 0, NULL, ANY_TYPE,
      { "There is no host of this name.", "Look at the spelling of --server; an IP address is possible too." } },
    { AT(LOOKUP), ERR_REFUSED, 0, 0, NULL, ANY_TYPE,
      { "DNSSEC says that the answer about this name is forged, or its zone is broken.", "Ask whoever runs the domain; an IP address in --server goes round it." } },
    { AT(LOOKUP), ANY_ERROR, 0, 0, NULL, ANY_TYPE,
      { "No name server answered.", "Is this machine on the network?  Look at /etc/resolv.conf; an IP address in --server goes round it." } },
    { AT(CONNECT), ERR_TIMEOUT, 0, 0, NULL, ANY_TYPE,
      { "Nothing answers at this port.", "Many networks block port 25; providers take mail at 465 (--type smtps) and 587 (--type smtp)." } },
    { AT(CONNECT), ERR_REFUSED, 0, 0, NULL, ANY_TYPE,
      { "The host is there, but nothing listens at this port.", "Try --port 465 --type smtps, or --port 587 --type smtp." } },
    { AT(CONNECT), ANY_ERROR, 0, 0, NULL, ANY_TYPE,
      { "There is no way to this address.", "Is this machine on the network?  For an IPv6 address without IPv6 here, add --ipv4." } },

    /* TLS. */
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "wrong version number", ANY_TYPE,
      { "This port does not begin with TLS: the server speaks SMTP first.", "Use --type smtp; it changes to TLS by STARTTLS." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "expired", ANY_TYPE,
      { "The server's certificate is not valid any more.", "Whoever runs the server has to renew it; --verify none goes on for this test." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "mismatch", ANY_TYPE,
      { "The certificate is for another name.", "Use in --server the name for which the certificate is, or --sni NAME; --verify none goes on for this test." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "in certificate chain", ANY_TYPE,
      { "The certificate is signed by a CA that this machine does not know.", "Name that CA with --ca FILE, or go on for this test with --verify none." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "self-signed", ANY_TYPE,
      { "Nobody vouches for the certificate: it has signed itself.", "Name its CA with --ca FILE, or go on for this test with --verify none." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "verify failed", ANY_TYPE,
      { "The certificate is not signed by anybody whom this machine believes, or not for this name.", "Name its CA with --ca FILE, its name with --sni NAME, or go on for this test with --verify none." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, "issuer", ANY_TYPE,
      { "The certificate is not signed by anybody whom this machine believes.", "Name its CA with --ca FILE, or go on for this test with --verify none." } },
    { AT(TLS), ERR_TIMEOUT, 0, 0, NULL, TYPE_SMTPS,
      { "The server does not answer the TLS handshake; a port that waits for something else does so.", "Try --type smtp, which changes to TLS by STARTTLS." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, NULL, TYPE_SMTPS,
      { "TLS could not be agreed.", "Is this the port for TLS from the first byte (465)?  If not, use --type smtp." } },
    { AT(TLS) | AT(CERTIFICATE), ANY_ERROR, 0, 0, NULL, ANY_TYPE,
      { "TLS could not be agreed.", "The server may only know versions that are not safe any more; --tls off goes without, never with a password." } },
    { AT(STARTTLS), OK, 400, 599, NULL, ANY_TYPE,
      { "The server offers STARTTLS, but cannot do it now.", "Its certificate or key may be missing: tell whoever runs it." } },
    { AT(STARTTLS), ANY_ERROR, 0, 0, NULL, ANY_TYPE,
      { "The server offers no encryption at this port, or something between removes it.", "Try --port 465 --type smtps, or --tls may when no password is sent." } },

    /* Greeting. */
    { AT(GREETING), ERR_TIMEOUT, 0, 0, NULL, TYPE_SMTP,
      { "The server says nothing.  A port that expects TLS at once waits like this.", "Try --type smtps; some servers also take their time with hosts that they do not know: --timeout 60s." } },
    { AT(GREETING), ERR_CLOSED, 0, 0, NULL, TYPE_SMTP,
      { "The server hung up without a word: it expects TLS at once, or does not want this host.", "Try --type smtps." } },
    { AT(GREETING), ERR_SYNTAX, 0, 0, NULL, ANY_TYPE,
      { "What answers here does not speak SMTP.", "Look at --server and --port." } },
    { AT(GREETING), OK, 500, 599, NULL, ANY_TYPE,
      { "The server does not talk with this host.", "Its text says why; often the address is on a blocklist, or has no name of its own (PTR)." } },
    { AT(GREETING) | AT(EHLO), OK, 400, 499, NULL, ANY_TYPE,
      { "The server is too busy, or does not talk with this host now.", "Try again in some minutes." } },
    { AT(EHLO), OK, 500, 599, NULL, ANY_TYPE,
      { "The server does not like the name by which we introduce ourselves.", "Give the real name of this host with --helo NAME." } },

    /* Login. */
    { AT(AUTH), ERR_TLS, 0, 0, NULL, ANY_TYPE,
      { "Without encryption no password is sent.", "Use --tls required, or --type smtps at port 465." } },
    { AT(AUTH), ERR_UNSUPPORTED, 0, 0, NULL, ANY_TYPE,
      { "The server offers no way to log in at this port that can be used here.", "Submission ports are 465 and 587; some providers only let in what they call apps (OAuth)." } },
    { AT(AUTH), OK, 0, 0, "5.7.9", ANY_TYPE,
      { "The server wants another way of logging in.", "Accounts with two-step sign-in need an app password; make one with the provider." } },
    { AT(AUTH), OK, 0, 0, "5.7.13", ANY_TYPE,
      { "The password may be right: the account is disabled.", "Ask whoever runs the server to enable it." } },
    { AT(AUTH), OK, 534, 534, NULL, ANY_TYPE,
      { "The server wants another way of logging in.", "Accounts with two-step sign-in need an app password; make one with the provider." } },
    { AT(AUTH), OK, 535, 535, NULL, ANY_TYPE,
      { "The server is fine; it refused this user and password.", "Look at --user (often the whole address) and the password; accounts with two-step sign-in need an app password." } },
    { AT(AUTH), OK, 530, 538, NULL, ANY_TYPE,
      { "The server wants encryption before the login.", "Use --tls required, or --type smtps at port 465." } },
    { AT(AUTH), OK, 400, 499, NULL, ANY_TYPE,
      { "The server cannot check logins now, or has seen too many wrong ones.", "Wait some minutes and try again." } },
    { AT(AUTH), OK, 500, 599, NULL, ANY_TYPE,
      { "The server refused the login.", "Try --auth plain or --auth login; its text may say more." } },
    { AT(AUTH), ERR_REFUSED, 0, 0, NULL, ANY_TYPE,
      { "The login failed: the password is wrong, or the server could not prove that it knows it.", "Look at --user and the password." } },

    /* The message. */
    { AT(MAIL) | AT(RCPT), OK, 530, 530, NULL, ANY_TYPE,
      { "The server wants a login first.", "Add --user NAME and a password." } },
    { AT(MAIL) | AT(RCPT) | AT(DATA) | AT(ACCEPTED), OK, 0, 0, "5.7.60", ANY_TYPE,
      { "This user may not send under this address.", "Use in --from an address that belongs to --user." } },
    { AT(MAIL) | AT(RCPT), OK, 0, 0, "not owned", ANY_TYPE,
      { "This user may not send under this address.", "Use in --from an address that belongs to --user." } },
    { ANYWHERE, OK, 0, 0, "5.3.4", ANY_TYPE,
      { "The message is too large for this server.", "Send less; the server tells its limit as SIZE." } },
    { AT(MAIL), OK, 500, 599, "REQUIRETLS", ANY_TYPE,
      { "The server does not know REQUIRETLS, and so cannot promise TLS for the rest of the way.", "Send without --require-tls, or ask whoever runs the server." } },
    { AT(MAIL), OK, 552, 552, NULL, ANY_TYPE,
      { "The message is too large for this server, or its mailbox is full.", "Send less; the server tells its limit as SIZE." } },
    { ANYWHERE, ANY_ERROR, 0, 0, "5.6.7", ANY_TYPE,
      { "The server takes only addresses in ASCII.", "Use an address in ASCII." } },
    { AT(MAIL) | AT(RCPT), OK, 0, 0, "5.4.5", ANY_TYPE,
      { "The account has sent all that it may for now.", "Wait until the server lets it send again; its text may say when." } },
    { AT(MAIL), OK, 550, 554, NULL, ANY_TYPE,
      { "The server does not take mail from this sender.", "Use in --from an address that belongs to --user; or the sender's domain does not exist." } },
    { AT(MAIL), OK, 500, 599, NULL, ANY_TYPE,
      { "The server does not understand this sender.", "Write --from as me@example.org." } },
    { AT(RCPT), OK, 0, 0, "relay", ANY_TYPE,
      { "The server only forwards mail after a login.", "Add --user NAME and a password, or use a server that is responsible for the recipient." } },
    { AT(RCPT), OK, 0, 0, "5.4.6", ANY_TYPE,
      { "At the server, this address leads to others that lead back to it.", "Whoever runs the server has to mend its aliases." } },
    { AT(RCPT), OK, 0, 0, "5.1.1", ANY_TYPE,
      { "There is no such recipient.", "Look at the spelling of --to." } },
    { AT(RCPT), OK, 0, 0, "5.1.", ANY_TYPE,
      { "The server does not know this recipient's address or domain.", "Look at the spelling of --to." } },
    { AT(RCPT), OK, 450, 451, NULL, ANY_TYPE,
      { "Not now: many servers put off a stranger's first mail (greylisting).", "A mail server tries again by itself; here, try in 10 minutes." } },
    { AT(RCPT), OK, 452, 452, NULL, ANY_TYPE,
      { "The recipient's mailbox is full, or there are too many recipients.", "Try later, or with one recipient." } },
    { AT(RCPT), OK, 550, 554, NULL, ANY_TYPE,
      { "The server does not take mail for this recipient from us.", "Look at --to; if the server is your provider's, log in with --user." } },
    { AT(DATA) | AT(ACCEPTED), OK, 550, 554, NULL, ANY_TYPE,
      { "The server looked at the message and refused it.", "Its text says why: mostly a rule against spam, or the sender's domain does not allow this server (SPF, DMARC)." } },
    { ANYWHERE, OK, 421, 421, NULL, ANY_TYPE,
      { "The server ended the conversation.", "Try again in some minutes; its text may say why." } },
    { ANYWHERE, OK, 400, 499, NULL, ANY_TYPE,
      { "Not now, says the server.", "Try again in some minutes." } },
    { ANYWHERE, OK, 500, 599, NULL, ANY_TYPE,
      { "The server says no.", "Its text is all that is known." } },

    /* Whatever else ends a conversation. */
    { ANYWHERE, ERR_TIMEOUT, 0, 0, NULL, ANY_TYPE,
      { "The server stopped answering.", "Try again, with a longer --timeout." } },
    { ANYWHERE, ERR_CLOSED, 0, 0, NULL, ANY_TYPE,
      { "The server hung up in the middle.", "Try again; with --verbose you see the last words." } },
    { ANYWHERE, OK, 0, 0, NULL, ANY_TYPE,
      { "The server answered what it must not here.", "Look at the whole of it with --verbose." } },
    { ANYWHERE, ANY_ERROR, 0, 0, NULL, ANY_TYPE,
      { "The conversation failed here.", "Look at the whole of it with --verbose." } },
};
/* clang-format on */

const char *
test_stage_name(enum test_stage stage)
{
    static const char *const names[] = { "look up",  "connect", "greeting",    "EHLO",
                                         "STARTTLS", "TLS",     "certificate", "sign in",
                                         "MAIL",     "RCPT",    "DATA",        "accepted" };

    return names[stage];
}

static bool
fits(const struct rule *rule, const struct test_failure *f)
{
    if (!(rule->stages & (1U << f->stage)))
        return false;
    if (rule->e != ANY_ERROR && rule->e != (int)f->e)
        return false;
    if (rule->from && (f->code < rule->from || f->code > rule->to))
        return false;
    if (rule->type != ANY_TYPE && (rule->type == TYPE_SMTPS) != f->implicit_tls)
        return false;
    return !rule->has || str_find_nocase(str_from(f->text), str_from(rule->has)) >= 0 ||
           str_starts(str_from(f->enhanced), str_from(rule->has));
}

struct test_meaning
test_meaning(const struct test_failure *failure)
{
    size_t i = 0;

    /* The last one fits everything. */
    while (i + 1 < COUNT_OF(rules) && !fits(&rules[i], failure))
        i++;
    return rules[i].meaning;
}
