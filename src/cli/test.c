/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test.c: outpost test: tries things out, and says what it found. */
#include "cli/nouns.h"
#include "cli/test_send.h"

/* clang-format off */
static const struct flag send_flags[] = {
    { "--server", 's', FLAG_TEXT, "NAME", false, "The server's name or address" },
    { "--port", 'p', FLAG_NUMBER, "PORT", false, "465 for smtps and 587 for smtp when not given" },
    { "--type", 't', FLAG_CHOICE, "smtp|smtps", false, "smtps: TLS from the first byte; smtp: plain, then STARTTLS" },
    { "--tls", 0, FLAG_CHOICE, "required|require|on|may|opportunistic|off", false, "Whether smtp changes to TLS" },
    { "--verify", 0, FLAG_CHOICE, "pkix|none", false, "Whether the certificate has to be valid for the server" },
    { "--ca", 0, FLAG_TEXT, "FILE", false, "Believe this CA too" },
    { "--sni", 0, FLAG_TEXT, "NAME", false, "The name that the certificate has to have" },
    { "--from", 'f', FLAG_TEXT, "ADDRESS", false, "The sender" },
    { "--to", 0, FLAG_TEXT, "ADDRESS", true, "The recipient" },
    { "--auth", 0, FLAG_CHOICE, "auto|none|plain|login|scram-sha-256", false, "How to log in" },
    { "--user", 'u', FLAG_TEXT, "NAME", false, "The user for the login" },
    PASSWORD_FLAGS,
    { "--subject", 0, FLAG_TEXT, "TEXT", false, "The subject" },
    { "--body", 0, FLAG_TEXT, "FILE", false, "The text of the message" },
    { "--eml", 0, FLAG_TEXT, "FILE", false, "A whole message instead" },
    { "--size", 0, FLAG_BYTES, "SIZE", false, "Fill the message up to this size" },
    { "--helo", 0, FLAG_TEXT, "NAME", false, "The name by which we introduce ourselves" },
    { "--source", 0, FLAG_TEXT, "IP", false, "The address from which we connect" },
    { "--ipv4", '4', FLAG_NONE, NULL, false, "Only IPv4" },
    { "--ipv6", '6', FLAG_NONE, NULL, false, "Only IPv6" },
    { "--timeout", 0, FLAG_DURATION, "TIME", false, "How long to wait for each answer; 30s when not given" },
    { "--require-tls", 0, FLAG_NONE, NULL, false, "Demand TLS on the whole way (REQUIRETLS, RFC 8689)" },
    { "--only-check", 0, FLAG_NONE, NULL, false, "Connect and log in, but send nothing" },
    { "--verbose", 'v', FLAG_NONE, NULL, false, "Show the dialogue; logins are hidden" },
    { 0 },
};
/* clang-format on */

const struct command test_commands[] = {
    {
        .verb = "send",
        .uses = USES_LIST,
        .flags = send_flags,
        .summary = "Send a test message through any server",
        .text = "Each stage is told as it happens.  When one fails, it says what that means and "
                "what to change; the exit code is then 1.\n"
                "A password never stands on the command line, and is only sent over TLS.",
        .run = test_send,
        .examples = { "outpost test send --server smtp.example.net --type smtps --user "
                      "me@example.net "
                      "--from me@example.net --to you@example.org",
                      "through a provider; it asks for the password",
                      "outpost test send --server mx.example.org --port 25 --tls may --from "
                      "me@example.net --to you@example.org",
                      "to a mail exchanger, without login" },
    },
    {
        .verb = "route",
        .args = "ADDRESS",
        .args_min = 1,
        .args_max = 1,
        .uses = USES_SERVER,
        .flags = route_test_flags,
        .summary = "Go the way of mail for an address, host by host, and judge what would become of it",
        .text = "The running server asks the DNS (and DNSSEC), the policies of the domain (DANE, MTA-STS) and "
                "the rules, connects to each host from the address that mail would leave from, says EHLO and "
                "STARTTLS, looks at the certificate, and ends. No mail is sent, and nothing that is found "
                "changes how mail waits. The last line says what would become of mail, whose the trouble is, "
                "and what one can do; the exit code is 1 when it would not be delivered now.",
        .run = route_test,
        .examples = { "outpost test route eve@example.net", "its way from here",
                      "outpost test route eve@example.net --require-tls", "for what must be encrypted to the end",
                      "outpost test route eve@example.net --no-connect", "without a connection to any host" },
    },
    {
        .verb = "reply",
        .args = "TEXT",
        .args_min = 1,
        .args_max = 1,
        .uses = USES_CONFIG,
        .flags = reply_test_flags,
        .summary =
            "Say what a reply of a mail server means, what it makes us do, and by which rule",
        .text = "The rules are those that we ship and those of delivery.rules_file; see "
                "outpost-rules(5).  Nothing is sent.",
        .run = reply_test,
        .examples = { "outpost test reply \"450 4.2.0 Greylisted, try again in 300 seconds\"", "",
                      "outpost test reply \"421 4.7.28 unusual rate of mail\" --host "
                      "gmail-smtp-in.l.google.com",
                      "as its provider means it" },
    },
    {
        .verb = "report",
        .args = "FILE",
        .args_min = 1,
        .args_max = 1,
        .summary = "Say what a message that came back says: who failed, why, and of which message",
        .text = "Bounces in the forms of RFC 3464 and in the plain words of many mail servers, "
                "complaints (RFC 5965), warnings of delay and automatic answers are told apart.  "
                "FILE may be - for standard input.  The exit code is 1 when it is no report.\n"
                "Who wrote a report is not checked here: what the server believes comes to a return "
                "path that it made itself.",
        .run = report_test,
        .examples = { "outpost test report bounce.eml", "in words",
                      "outpost test report --json - <bounce.eml", "for programs" },
    },
    { 0 },
};
