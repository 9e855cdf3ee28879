/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* shaping_test.c: replies as receivers write them, with the class that a postmaster would say and
 * what is done; the grammar of rules files; whose the hosts are.
 *
 * The texts are those of the receivers' own pages, of mail servers' sources and of logs that people
 * have published, with addresses of documentation in them.
 */
#include "delivery/rules/shaping.h"

#include "base/must.h"

#include "config/config.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

struct sample {
    const char *provider; /* "": nobody's. */
    uint16_t code;
    const char *enhanced, *text, *class;
    const char
        *action; /* Of the site, or "bounce", "retry", "next_host"; "": what the code says. */
};

/* clang-format off */
static const struct sample samples[] = {
    /* Google. */
    { "google", 421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited. - gsmtp", "rate_limited", "slow" },
    { "google", 421, "4.7.28", "Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain [example.org 36]. To protect our users from spam, mail sent from your domain has been temporarily rate limited.", "rate_limited", "suspend_sender" },
    { "google", 421, "4.7.28", "Gmail has detected an unusual rate of unsolicited mail originating from your SPF domain [example.org 36].", "rate_limited", "suspend_sender" },
    { "google", 421, "4.7.0", "Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily blocked.", "rate_limited", "slow" },
    { "google", 421, "4.7.0", "Try again later, closing connection. (MAIL) d2e1a72fcca58 - gsmtp", "no_answer", "slow" },
    { "google", 421, "4.7.0", "IP not in whitelist for RCPT domain, closing connection.", "ip_or_domain_block", "retry" },
    { "google", 421, "4.7.0", "TLS required for RCPT domain, closing connection.", "tls_policy", "next_host" },
    { "google", 421, "4.3.0", "Temporary System Problem. Try again later (10). - gsmtp", "no_answer", "next_host" },
    { "google", 421, "4.4.5", "Server busy, try again later.", "no_answer", "next_host" },
    { "google", 450, "4.2.1", "The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. Please resend your message at a later time.", "rate_limited", "retry" },
    { "google", 450, "4.2.1", "The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", "rate_limited", "retry" },
    { "google", 450, "4.2.1", "Peak SMTP relay limit exceeded for customer. This is a temporary error.", "rate_limited", "slow" },
    { "google", 452, "4.2.2", "The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp", "mailbox_full", "retry" },
    { "google", 452, "4.5.3", "Your message has too many recipients. For more information regarding Google's sending limits", "rate_limited", "retry" },
    { "google", 452, "4.5.3", "Domain policy size per transaction exceeded, please try this recipient in a separate transaction.", "rate_limited", "retry" },
    { "google", 451, "4.3.0", "Multiple destination domains per transaction is unsupported. Please try again.", "protocol_error", "retry" },
    { "google", 550, "5.1.1", "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos", "invalid_recipient", "" },
    { "google", 550, "5.2.1", "The email account that you tried to reach is inactive. For more information, go to", "inactive_mailbox", "" },
    { "google", 550, "5.2.1", "The email account that you tried to reach is disabled. gsmtp", "inactive_mailbox", "" },
    { "google", 552, "5.2.2", "The recipient's inbox is out of storage space and inactive.", "inactive_mailbox", "" },
    { "google", 552, "5.3.4", "Your message exceeded Google's message size limits.", "message_too_large", "" },
    { "google", 552, "5.7.0", "This message was blocked because its content presents a potential security issue.", "content_policy", "" },
    { "google", 550, "5.7.1", "Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", "spam_block", "" },
    { "google", 550, "5.7.1", "Our system has detected that this message is likely suspicious due to the very low reputation of the sending domain.", "ip_or_domain_block", "suspend_sender" },
    { "google", 550, "5.7.1", "Our system has detected that this message is suspicious due to the very low reputation of the sending IP address.", "ip_or_domain_block", "back_off" },
    { "google", 550, "5.7.26", "This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", "auth_fail", "" },
    { "google", 550, "5.7.26", "Unauthenticated email from example.org is not accepted due to domain's DMARC policy.", "auth_fail", "" },
    { "google", 550, "5.7.25", "The IP address sending this message does not have a PTR record setup", "ip_or_domain_block", "back_off" },
    { "google", 421, "4.7.27", "Your email has been rate limited because the SPF authentication didn't pass for this message.", "auth_fail", "suspend_sender" },
    { "google", 421, "4.7.30", "Your email has been rate limited because DKIM authentication did not pass.", "auth_fail", "suspend_sender" },
    { "google", 550, "5.7.1", "This message violates example.com email policy. - gcdp", "content_policy", "" },
    { "google", 550, "5.4.5", "Daily user sending quota exceeded.", "rate_limited", "suspend_sender" },
    /* Outlook.com and Hotmail. */
    { "microsoft", 421, "", "RP-001 (SNT004-MC4F22) Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to Outlook.com has exceeded the rate limit allowed.", "rate_limited", "slow" },
    { "microsoft", 421, "", "RP-002 (SNT004-MC4F22) The mail server IP connecting to Outlook.com server has exceeded the connection limit allowed.", "rate_limited", "slow" },
    { "microsoft", 451, "4.7.650", "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)", "rate_limited", "slow" },
    { "microsoft", 451, "4.7.651", "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S3115)", "rate_limited", "slow" },
    { "microsoft", 451, "4.7.652", "The mail server [192.0.2.1] has exceeded the maximum number of connections. (S3116)", "rate_limited", "slow" },
    { "microsoft", 550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", "ip_or_domain_block", "back_off" },
    { "microsoft", 550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our block list (S3140). You can also refer your provider to", "ip_or_domain_block", "back_off" },
    { "microsoft", 550, "", "SC-001 (COL004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent.", "spam_block", "slow" },
    { "microsoft", 550, "", "DY-001 (SNT004) Unfortunately, messages from 192.0.2.1 weren't sent.", "ip_or_domain_block", "back_off" },
    { "microsoft", 550, "", "OU-001 (BAY004) Unfortunately, messages from 192.0.2.1 weren't sent.", "ip_or_domain_block", "back_off" },
    { "microsoft", 550, "5.7.515", "Access denied, sending domain EXAMPLE.ORG does not meet the required authentication level.", "auth_fail", "suspend_sender" },
    { "microsoft", 550, "5.5.0", "Requested action not taken: mailbox unavailable (S2017062302).", "invalid_recipient", "" },
    { "microsoft", 554, "5.2.2", "mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", "mailbox_full", "" },
    { "microsoft", 552, "5.2.2", "The email account that you tried to reach is over quota.", "mailbox_full", "" },
    /* Microsoft 365. */
    { "microsoft365", 451, "4.7.500", "Server busy. Please try again later from [192.0.2.1]. (AS77712414)", "rate_limited", "slow" },
    { "microsoft365", 451, "4.7.501", "Access denied, please try again later", "rate_limited", "slow" },
    { "microsoft365", 550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/", "ip_or_domain_block", "back_off" },
    { "microsoft365", 550, "5.7.649", "Access denied, banned sending IP [192.0.2.1].", "ip_or_domain_block", "back_off" },
    { "microsoft365", 550, "5.7.511", "Access denied, banned sender [192.0.2.1]. To request removal from this list please forward this message to delist@microsoft.com", "ip_or_domain_block", "back_off" },
    { "microsoft365", 550, "5.7.1", "Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/192.0.2.1 (AS16012609)", "ip_or_domain_block", "back_off" },
    { "microsoft365", 550, "5.4.1", "Recipient address rejected: Access denied. [AM0EUR02FT021.eop-EUR02.prod.protection.outlook.com]", "invalid_recipient", "" },
    { "microsoft365", 550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "invalid_recipient", "" },
    { "microsoft365", 550, "5.7.509", "Access denied, sending domain example.org does not pass DMARC verification and has a DMARC policy of reject.", "auth_fail", "" },
    { "microsoft365", 550, "5.7.708", "Access denied, traffic not accepted from this IP. For more information please go to", "ip_or_domain_block", "back_off" },
    { "microsoft365", 550, "5.7.705", "Access denied, tenant has exceeded threshold", "spam_block", "suspend_sender" },
    { "microsoft365", 550, "5.7.133", "RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", "content_policy", "" },
    { "microsoft365", 451, "4.4.62", "Mail sent to the wrong Office 365 region. ATTR35", "no_answer", "next_host" },
    { "microsoft365", 451, "4.4.4", "Temporary server error. Please try again later ATTR5", "no_answer", "next_host" },
    { "microsoft365", 432, "4.3.2", "STOREDRV.Deliver; recipient thread limit exceeded; mailbox server is throttled", "rate_limited", "retry" },
    { "microsoft365", 550, "5.4.14", "Hop count exceeded - possible mail loop ATTR1", "loop", "" },
    { "microsoft365", 550, "5.2.121", "RESOLVER.RST.RecipientRateLimitExceeded; Recipient's per hour message receive limit from specific sender exceeded", "rate_limited", "slow" },
    { "microsoft365", 550, "5.7.23", "The message was rejected because of Sender Policy Framework violation -> 550 5.7.1 Rejected", "auth_fail", "" },
    /* Yahoo. */
    { "yahoo", 421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "rate_limited", "slow" },
    { "yahoo", 421, "4.7.0", "[TS01] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1", "rate_limited", "slow" },
    { "yahoo", 421, "4.7.1", "[TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.", "ip_or_domain_block", "back_off" },
    { "yahoo", 421, "4.7.1", "[TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes", "ip_or_domain_block", "back_off" },
    { "yahoo", 421, "", "Max message per connection reached, closing transmission channel", "rate_limited", "retry" },
    { "yahoo", 450, "", "User is receiving mail too quickly", "rate_limited", "retry" },
    { "yahoo", 451, "", "mta1234.mail.bf1.yahoo.com Resources temporarily unavailable. Please try again later [#4.16.1].", "no_answer", "next_host" },
    { "yahoo", 553, "5.7.1", "[BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list; see https://postmaster.yahooinc.com/error-codes", "ip_or_domain_block", "back_off" },
    { "yahoo", 554, "5.7.9", "Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", "auth_fail", "" },
    { "yahoo", 554, "", "Message not allowed - [PH01] Email not accepted for policy reasons. Please visit https://postmaster.yahooinc.com/error-codes", "spam_block", "" },
    { "yahoo", 554, "", "delivery error: dd This user doesn't have a yahoo.com account (eve@yahoo.com) [0] - mta1090.mail.bf1.yahoo.com", "invalid_recipient", "" },
    { "yahoo", 554, "", "delivery error: dd Not a valid recipient - atlas-production.v2-mail-prod1-gq1.omega.yahoo.com", "invalid_recipient", "" },
    { "yahoo", 554, "", "30 Sorry, your message to eve@aol.com cannot be delivered. This mailbox is disabled (554.30).", "inactive_mailbox", "" },
    { "yahoo", 552, "1", "Requested mail action aborted, mailbox not found", "invalid_recipient", "" },
    { "yahoo", 552, "", "Requested mail action aborted: exceeded storage allocation. mailbox is full", "mailbox_full", "" },
    /* Apple. */
    { "apple", 421, "4.7.1", "Messages to eve@icloud.com deferred due to excessive volume. Try again later - https://support.apple.com/en-us/HT204137", "rate_limited", "retry" },
    { "apple", 451, "4.7.1", "Service unavailable - try again later", "rate_limited", "slow" },
    { "apple", 421, "4.7.0", "me.com Error: too many errors", "rate_limited", "slow" },
    { "apple", 550, "5.1.1", "<eve@icloud.com>: user does not exist", "invalid_recipient", "" },
    { "apple", 550, "5.7.1", "[CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137", "spam_block", "slow" },
    { "apple", 554, "5.7.1", "[HM08] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137", "ip_or_domain_block", "slow" },
    { "apple", 550, "5.7.1", "Your message was rejected due to example.org's DMARC policy.", "auth_fail", "" },
    { "apple", 550, "5.7.1", "Your email was rejected due to having a domain present in the Spamhaus DBL -- see https://www.spamhaus.org/dbl/", "spam_block", "" },
    { "apple", 552, "5.2.2", "<eve@icloud.com>: user is over quota", "mailbox_full", "" },
    /* Comcast. */
    { "comcast", 421, "4.1.0", "192.0.2.1 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000001", "rate_limited", "slow" },
    { "comcast", 421, "", "resimta-po-01v.sys.comcast.net comcast 192.0.2.1 Comcast requires that all mail servers must have a PTR record. reverse DNS failure: Try again later", "ip_or_domain_block", "back_off" },
    { "comcast", 421, "", "192.0.2.1: Too many sessions opened", "rate_limited", "slow" },
    { "comcast", 554, "", "resimta comcast 192.0.2.1 Comcast block for spam. Please see http://postmaster.comcast.net/smtp-error-codes.php#BL000000", "ip_or_domain_block", "back_off" },
    { "comcast", 550, "5.1.1", "Not our Customer", "invalid_recipient", "" },
    /* France. */
    { "orange", 421, "", "mwinf5c23 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]", "rate_limited", "slow" },
    { "orange", 421, "", "Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_999 [999]", "ip_or_domain_block", "back_off" },
    { "orange", 421, "", "Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR004_105 [105]", "rate_limited", "slow" },
    { "orange", 550, "5.2.0", "Mail rejete. Mail rejected. OFR_506 [506]", "spam_block", "slow" },
    { "orange", 550, "5.1.1", "Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", "invalid_recipient", "" },
    { "orange", 552, "5.1.1", "Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", "mailbox_full", "" },
    { "free", 550, "", "spam detected", "spam_block", "slow" },
    { "free", 421, "", "Too many errors from your ip (192.0.2.1), please visit http://postmaster.free.fr/", "rate_limited", "back_off" },
    { "free", 451, "", "too many connections from your IP, try again later", "rate_limited", "slow" },
    { "free", 550, "", "Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", "ip_or_domain_block", "back_off" },
    { "sfr", 450, "4.7.1", "Service refused due to bad behavior - Too many spam messages SFR_IN_101", "ip_or_domain_block", "back_off" },
    { "sfr", 450, "4.7.1", "Volume limit exceeded SFR_IN_105", "rate_limited", "slow" },
    { "sfr", 421, "4.7.0", "msfrf2604.sfr.fr Error: too many errors", "rate_limited", "back_off" },
    { "sfr", 550, "5.7.1", "Message content rejected", "spam_block", "slow" },
    { "laposte", 550, "5.5.0", "Service refuse. Veuillez essayer plus tard. service refused, please try later. LPN007_510", "spam_block", "slow" },
    { "laposte", 421, "4.3.0", "Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. LPN105_104", "rate_limited", "slow" },
    /* Germany. */
    { "gmx", 554, "", "gmx.net (mxgmx104) Nemesis ESMTP Service not available No SMTP service IP address is block listed. For explanation visit https://postmaster.gmx.net/en/case?c=r0201", "ip_or_domain_block", "back_off" },
    { "gmx", 554, "", "web.de (mxweb111) Nemesis ESMTP Service not available No SMTP service Bad DNS PTR resource record.", "ip_or_domain_block", "back_off" },
    { "gmx", 421, "", "Rate limit reached. Please try again later", "rate_limited", "slow" },
    { "gmx", 550, "", "Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmx.net/", "invalid_recipient", "" },
    { "gmx", 550, "", "<ann@example.org>: Reject due to SPF policy. The originating IP of the message is not permitted by the domain owner", "auth_fail", "" },
    { "gmx", 552, "", "Requested mail action aborted: exceeded storage allocation", "mailbox_full", "" },
    { "ionos", 421, "", "Reject due to policy violations", "ip_or_domain_block", "back_off" },
    { "ionos", 450, "", "Reject due to policy violations.", "greylisted", "retry" },
    { "t-online", 554, "", "IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)", "ip_or_domain_block", "back_off" },
    { "t-online", 554, "", "IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact tobr@rx.t-online.de for reset. (NOWL)", "ip_or_domain_block", "back_off" },
    /* Russia and China. */
    { "mailru", 550, "", "spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=abc or report details to abuse@corp.mail.ru. Error code: ABC.", "spam_block", "slow" },
    { "mailru", 550, "", "Message was not accepted -- invalid mailbox. Local mailbox eve@mail.ru is unavailable: user not found", "invalid_recipient", "" },
    { "mailru", 550, "", "Message was not accepted -- invalid mailbox. Local mailbox eve@mail.ru is unavailable: account is disabled", "invalid_recipient", "" },
    { "yandex", 554, "5.7.1", "[2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1700000000-abc", "spam_block", "slow" },
    { "yandex", 554, "5.7.1", "Blocked by spam statistics - see http://feedback2.yandex.ru/", "ip_or_domain_block", "back_off" },
    { "yandex", 451, "4.7.1", "Sorry, the service is currently unavailable. Please come back later.", "no_answer", "next_host" },
    { "yandex", 550, "5.7.1", "No such user!", "invalid_recipient", "" },
    { "qq", 550, "", "Connection frequency limited. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000722", "rate_limited", "retry" },
    { "qq", 550, "", "Ip frequency limited. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000725", "rate_limited", "slow" },
    { "qq", 550, "", "Domain frequency limited. http://service.mail.qq.com/", "rate_limited", "suspend_sender" },
    { "qq", 550, "", "Mail content denied. http://service.mail.qq.com/", "spam_block", "" },
    { "qq", 550, "", "Mailbox not found. http://service.mail.qq.com/", "invalid_recipient", "" },
    { "netease", 421, "", "HL:ICC 163 mx1,abc 1700000000 http://mail.163.com/help/help_spam_16.htm", "rate_limited", "slow" },
    { "netease", 451, "", "MI:SFQ 163 smtp1,abc 1700000000", "rate_limited", "suspend_sender" },
    { "netease", 451, "", "DT:SPM 163 mx1,abc please try again 1700000000", "greylisted", "retry" },
    { "netease", 554, "", "DT:SPM 163 mx1,abc 1700000000 http://mail.163.com/help/help_spam_16.htm", "spam_block", "slow" },
    { "netease", 550, "", "User not found: eve@163.com", "invalid_recipient", "" },
    /* Filters. */
    { "mimecast", 451, "", "Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [Aj3QXapeMpqZYaeFwWhjzw.us32]", "greylisted", "retry" },
    { "mimecast", 550, "", "Rejected by header based Anti-Spoofing policy: ann@example.org - https://community.mimecast.com/docs/DOC-1369#550", "content_policy", "" },
    { "mimecast", 550, "", "Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [abc.uk1]", "invalid_recipient", "" },
    { "mimecast", 554, "", "Email rejected due to security policies - MCSpamSignature.x.x known spam", "spam_block", "" },
    { "proofpoint", 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", "ip_or_domain_block", "back_off" },
    { "proofpoint", 554, "5.7.0", "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", "ip_or_domain_block", "back_off" },
    { "proofpoint", 550, "5.1.1", "User Unknown", "invalid_recipient", "" },
    { "barracuda", 550, "", "permanent failure for one or more recipients (eve@example.net:blocked)", "spam_block", "" },
    { "barracuda", 554, "", "Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1", "ip_or_domain_block", "back_off" },
    { "barracuda", 450, "4.7.1", "too many connections from your network; rate control", "rate_limited", "slow" },
    { "cisco", 421, "", "#4.4.5 Too many connections from your host.", "rate_limited", "slow" },
    { "cisco", 452, "", "Too many recipients received this hour", "rate_limited", "slow" },
    { "cisco", 554, "", "Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means.", "ip_or_domain_block", "back_off" },
    { "cisco", 550, "", "#5.1.0 Address rejected. eve@example.net", "invalid_recipient", "" },
    { "vade", 421, "4.2.1", "Connection refused OXSUS0001_110", "rate_limited", "slow" },
    { "vade", 550, "5.7.1", "Connection refused OXSUS0001_101", "ip_or_domain_block", "back_off" },
    { "rackspace", 451, "4.7.1", "Received too many messages from a new or untrusted IP (G28)", "rate_limited", "slow" },
    { "zoho", 554, "5.7.7", "Email cannot be delivered. Reason: Email flagged as Spam.", "spam_block", "" },
    { "fastmail", 550, "5.1.1", "<eve@fastmail.com>: Recipient address rejected: User doesn't exist", "invalid_recipient", "" },
    { "proton", 550, "5.1.1", "<eve@proton.me>: Recipient address rejected: Address does not exist", "invalid_recipient", "" },
    /* Greylisting. */
    { "", 450, "4.2.0", "<eve@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.net.html", "greylisted", "retry" },
    { "", 450, "4.7.1", "<eve@example.net>: Recipient address rejected: Greylisted for 5 minutes", "greylisted", "retry" },
    { "", 450, "4.7.1", "Greylisted by sqlgrey 1.8.0, try again in 300 seconds", "greylisted", "retry" },
    { "", 451, "4.7.1", "Greylisting in action, please come back in 00:05:00", "greylisted", "retry" },
    { "", 451, "", "4.7.1 Greylisted, please try again in 180 seconds", "greylisted", "retry" },
    { "", 451, "", "Temporarily rejected. Graylisted: try again in 1 hour", "greylisted", "retry" },
    { "", 451, "4.7.1", "Try again later", "greylisted", "retry" },
    { "", 451, "4.7.1", "Service unavailable - try again later", "greylisted", "retry" },
    { "", 450, "", "", "greylisted", "retry" },
    { "", 451, "4.7.1", "<eve@example.net>: Recipient address rejected: Intentional policy rejection, please try again later", "greylisted", "retry" },
    { "", 451, "", "Temporary failure, please try again later. (IP reputation greylisted)", "greylisted", "retry" },
    /* Postfix. */
    { "", 550, "5.1.1", "<eve@example.net>: Recipient address rejected: User unknown in virtual mailbox table", "invalid_recipient", "" },
    { "", 550, "5.1.1", "<eve@example.net>: Recipient address rejected: User unknown in local recipient table", "invalid_recipient", "" },
    { "", 554, "5.7.1", "<eve@example.net>: Relay access denied", "bad_domain", "" },
    { "", 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", "ip_or_domain_block", "back_off" },
    { "", 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using bl.spamcop.net; Blocked - see https://www.spamcop.net/bl.shtml?192.0.2.1", "ip_or_domain_block", "back_off" },
    { "", 450, "4.7.25", "Client host rejected: cannot find your hostname, [192.0.2.1]", "ip_or_domain_block", "back_off" },
    { "", 450, "4.7.1", "Client host rejected: cannot find your reverse hostname, [192.0.2.1]", "ip_or_domain_block", "back_off" },
    { "", 421, "4.7.0", "mx.example.net Error: too many connections from 192.0.2.1", "rate_limited", "slow" },
    { "", 421, "4.7.1", "Error: Connection rate limit exceeded: 31 from mail.example.org[192.0.2.1] for service smtp", "rate_limited", "slow" },
    { "", 452, "4.5.3", "Error: too many recipients", "rate_limited", "retry" },
    { "", 421, "4.7.0", "Too many messages on this connection", "rate_limited", "retry" },
    { "", 421, "4.4.5", "Too many mails in this connection, good bye", "rate_limited", "retry" },
    { "", 421, "", "Maximum number of messages per session exceeded", "rate_limited", "retry" },
    { "", 550, "5.7.1", "<ann@example.org>: Sender address is on our blacklist", "content_policy", "" },
    { "", 452, "4.3.1", "Insufficient system storage", "no_answer", "next_host" },
    { "", 552, "5.3.4", "Message size exceeds fixed limit", "message_too_large", "" },
    { "", 554, "5.4.6", "Error: too many hops", "loop", "" },
    { "", 530, "5.7.0", "Must issue a STARTTLS command first", "tls_policy", "next_host" },
    { "", 450, "4.1.8", "<ann@example.org>: Sender address rejected: Domain not found", "auth_fail", "" },
    { "", 450, "4.1.1", "<eve@example.net>: Recipient address rejected: unverified address: Address verification in progress", "invalid_recipient", "" },
    { "", 451, "4.3.0", "<eve@example.net>: Temporary lookup failure", "no_answer", "next_host" },
    { "", 451, "4.3.5", "Server configuration problem", "no_answer", "next_host" },
    { "", 554, "5.7.1", "Message blocked: spam message rejected by rspamd", "spam_block", "" },
    { "", 550, "5.7.1", "Message contains a virus (Eicar-Test-Signature)", "content_policy", "" },
    { "", 550, "5.7.1", "Command rejected", "content_policy", "" },
    /* Exim. */
    { "", 421, "", "Too many concurrent SMTP connections; please try again later.", "rate_limited", "next_host" },
    { "", 550, "", "No such user here", "invalid_recipient", "" },
    { "", 550, "", "Unrouteable address", "bad_domain", "" },
    { "", 550, "", "Sender verify failed", "auth_fail", "" },
    { "", 550, "", "relay not permitted", "bad_domain", "" },
    { "", 451, "", "Temporary local problem - please try later", "no_answer", "next_host" },
    { "", 550, "", "rejected because 192.0.2.1 is in a black list at zen.spamhaus.org", "ip_or_domain_block", "back_off" },
    { "", 550, "", "JunkMail rejected - mail.example.org [192.0.2.1] is in an RBL: https://www.spamhaus.org/sbl/", "ip_or_domain_block", "back_off" },
    /* Exchange, qmail, Sendmail, and others. */
    { "", 550, "5.7.1", "RESOLVER.RST.AuthRequired; authentication required", "content_policy", "" },
    { "", 452, "4.3.1", "Insufficient system resources (UsedDiskSpace)", "no_answer", "next_host" },
    { "", 421, "4.4.2", "Message submission rate for this client has exceeded the configured limit", "rate_limited", "slow" },
    { "", 421, "4.3.2", "Service not available", "no_answer", "next_host" },
    { "", 421, "4.3.2", "The maximum number of concurrent server connections has exceeded a limit, closing transmission channel", "no_answer", "next_host" },
    { "", 511, "", "sorry, no mailbox here by that name (#5.1.1 - chkuser)", "invalid_recipient", "" },
    { "", 553, "", "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "bad_domain", "" },
    { "", 552, "", "sorry, the mailbox is full, quota exceeded", "mailbox_full", "" },
    { "", 550, "5.7.1", "Fix reverse DNS for 192.0.2.1", "ip_or_domain_block", "back_off" },
    { "", 550, "5.7.23", "SPF validation failed", "auth_fail", "" },
    { "", 550, "5.7.20", "No passing DKIM signature found", "auth_fail", "" },
    { "", 550, "5.7.1", "Email rejected per DMARC policy for example.org", "auth_fail", "" },
    { "", 550, "5.2.1", "This mailbox has been disabled", "inactive_mailbox", "" },
    { "", 422, "4.2.2", "Quota limit exceeded (Speicherplatz des Kontos ueberschritten)", "mailbox_full", "retry" },
    { "", 571, "5.7.1", "message classified as spam (Nachricht als Spam eingestuft)", "spam_block", "" },
    { "", 556, "5.1.10", "The domain takes no mail", "bad_domain", "" },
    { "", 521, "", "mx.example.net does not accept mail", "bad_domain", "" },
    { "", 502, "", "Command not implemented", "protocol_error", "next_host" },
    { "", 550, "", "", "invalid_recipient", "" },
    { "", 554, "", "Transaction failed", "content_policy", "" },
    { "", 499, "", "", "no_answer", "next_host" },
    /* What we say ourselves. */
    { "", 0, "4.4.1", "no answer within 30 s", "no_answer", "next_host" },
    { "", 0, "4.4.3", "the name servers did not answer", "dns_failure", "" },
    { "", 0, "5.4.7", "the time is over", "expired", "" },
    { "", 0, "4.7.5", "the MTA-STS policy of example.net (enforce) does not name the host mx.example.org", "tls_policy", "next_host" },
    { "", 0, "", "the certificate is not valid for mx.example.net", "tls_policy", "next_host" },
};
/* clang-format on */

static struct shaping *
rules(const char *own)
{
    struct config_problems problems = { 0 };
    struct shaping *shaping = NULL;
    enum err e = shaping_parse(str_from(own), &shaping, &problems);

    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, "%u: %s\n", problems.items[i].line, problems.items[i].text);
    config_problems_done(&problems);
    must(!e);
    return shaping;
}

static struct shaping_verdict
judge(const struct shaping *shaping, const char *provider, uint16_t code, const char *enhanced,
      const char *text)
{
    const struct shaping_provider *of = shaping_provider_find(shaping, str_from(provider));
    struct shaping_verdict verdict;

    CHECK(of || !provider[0]);
    shaping_judge(shaping, of, code, str_from(enhanced), str_from(text), &verdict);
    return verdict;
}

static bool
does(const struct shaping_verdict *verdict, uint16_t code, const char *action)
{
    if (strcmp(action, "bounce") == 0)
        return verdict->bounces;
    if (verdict->bounces != (code >= 500) && strcmp(action, "retry") != 0 &&
        verdict->site == SITE_NOTHING)
        return false;
    if (strcmp(action, "next_host") == 0)
        return verdict->next_host;
    if (strcmp(action, "retry") == 0)
        return !verdict->bounces && verdict->retry_after > 0 &&
               verdict->site <= SITE_SLOW * (code >= 500);
    return strcmp(shaping_site_action_name(verdict->site), action) == 0 && !verdict->next_host;
}

static void
replies_mean_what_a_postmaster_would_say(void)
{
    struct shaping *shaping = rules("");

    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        const struct sample *sample = &samples[i];
        struct shaping_verdict verdict =
            judge(shaping, sample->provider, sample->code, sample->enhanced, sample->text);
        if (strcmp(reply_class_name(verdict.class), sample->class) != 0 ||
            !does(&verdict, sample->code, sample->action)) {
            struct buf place;
            buf_init(&place, 200);
            shaping_rule_place(verdict.rule, &place);
            fprintf(stderr, "%s %u %s %s: %s, %s%s, by %s\n", sample->provider, sample->code,
                    sample->enhanced, sample->text, reply_class_name(verdict.class),
                    shaping_site_action_name(verdict.site), verdict.next_host ? " next_host" : "",
                    buf_cstr(&place));
            buf_done(&place);
            CHECK(!"as the sample says");
        }
    }
    CHECK(COUNT_OF(samples) >= 150);
    shaping_unref(shaping);
}

static void
the_users_rules_have_the_last_word(void)
{
    struct shaping *shaping = rules("reply 5xx \"mailbox unavailable\" inactive_mailbox retry 1h;\n"
                                    "provider google {\n"
                                    "    reply 4xx \"unusual rate\" spam_block back_off 2h;\n"
                                    "}\n"
                                    "class mailbox_full bounce;\n");
    struct shaping_verdict verdict = judge(shaping, "microsoft", 550, "5.5.0",
                                           "Requested action not taken: mailbox unavailable");
    struct buf text;

    CHECK(verdict.class == CLASS_INACTIVE_MAILBOX);
    CHECK(!verdict.bounces && verdict.retry_after == HOURS(1));
    buf_init(&text, 1000);
    shaping_rule_place(verdict.rule, &text);
    buf_add_byte(&text, ' ');
    shaping_rule_format(verdict.rule, &text);
    CHECK_STR(buf_str(&text),
              "rules_file:1 reply 5xx \"mailbox unavailable\" inactive_mailbox retry 1h");
    verdict = judge(shaping, "google", 421, "4.7.28", "detected an Unusual Rate of unsolicited");
    CHECK(verdict.class == CLASS_SPAM_BLOCK && verdict.site == SITE_BACK_OFF);
    CHECK(verdict.site_for == HOURS(2));
    verdict = judge(shaping, "", 421, "4.7.28", "detected an unusual rate of unsolicited");
    CHECK(verdict.class == CLASS_RATE_LIMITED);
    verdict = judge(shaping, "", 452, "4.2.2", "mailbox full");
    CHECK(verdict.bounces);
    buf_done(&text);
    shaping_unref(shaping);
}

static void
a_class_delays_nothing_that_has_failed(void)
{
    struct shaping *shaping = rules("");
    struct shaping_verdict verdict = judge(shaping, "", 552, "5.2.2", "mailbox full");

    CHECK(verdict.class == CLASS_MAILBOX_FULL && verdict.bounces && verdict.retry_after == 0);
    verdict = judge(shaping, "qq", 550, "", "Ip frequency limited.");
    CHECK(verdict.class == CLASS_RATE_LIMITED && !verdict.bounces);
    verdict = judge(shaping, "", 250, "2.0.0", "OK 1700000000 abc - gsmtp");
    CHECK(verdict.class == CLASS_NONE && !verdict.bounces && !verdict.rule);
    shaping_unref(shaping);
}

static void
times_that_a_reply_names_are_kept_within_bounds(void)
{
    static const struct {
        const char *text;
        duration wait;
    } rows[] = {
        { "Greylisted, try again in 300 seconds", SECONDS(300) },
        { "Greylisting in action, please come back in 00:05:00", MINUTES(5) },
        { "Greylisted for 5 minutes", MINUTES(5) },
        { "please retry after 90s", SECONDS(90) },
        { "try again in 1 hour", HOURS(1) },
        { "try again in 2 seconds", SECONDS(30) },
        { "try again in 999 hours", HOURS(6) },
        { "wait 10-min", MINUTES(10) },
        { "try again later. d2e12h5m7s8 - gsmtp", 0 },
        { "10 messages in 60 minutes are too many, try again later", 0 },
        { "Resources temporarily unavailable. Please try again later [#4.16.1]", 0 },
        { "try again later, see https://example.net/5m2/x?id=1700000000", 0 },
        { "try again in 99999999999999999999 seconds", 0 },
        { "", 0 },
    };
    struct shaping *shaping = rules("");
    struct shaping_verdict verdict;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (shaping_named_wait(str_from(rows[i].text)) != rows[i].wait)
            fprintf(stderr, "%s\n", rows[i].text);
        CHECK(shaping_named_wait(str_from(rows[i].text)) == rows[i].wait);
    }
    verdict = judge(shaping, "", 450, "4.2.0", "Greylisted, try again in 480 seconds");
    CHECK(verdict.retry_named && verdict.retry_after == SECONDS(480));
    CHECK(verdict.site == SITE_NOTHING);
    verdict = judge(shaping, "", 421, "", "Too many connections, try again in 20 minutes");
    CHECK(verdict.site == SITE_SLOW && verdict.site_for == MINUTES(20));
    shaping_unref(shaping);
}

static void
providers_are_known_by_their_hosts_and_domains(void)
{
    static const struct {
        const char *host, *domain, *provider;
    } rows[] = {
        { "gmail-smtp-in.l.google.com", "gmail.com", "google" },
        { "ASPMX.L.GOOGLE.COM.", "example.org", "google" },
        { "hotmail-com.olc.protection.outlook.com", "hotmail.com", "microsoft" },
        { "example-org.mail.protection.outlook.com", "example.org", "microsoft365" },
        { "example-org.l-v1.mx.microsoft", "example.org", "microsoft365" },
        { "mta5.am0.yahoodns.net", "aol.com", "yahoo" },
        { "mx01.mail.icloud.com", "me.com", "apple" },
        { "smtp-in.orange.fr", "wanadoo.fr", "orange" },
        { "mx00.emig.gmx.net", "gmx.de", "gmx" },
        { "mx01.t-online.de", "t-online.de", "t-online" },
        { "mx3.qq.com", "foxmail.com", "qq" },
        { "163mx01.mxmail.netease.com", "163.com", "netease" },
        { "mail.protonmail.ch", "proton.me", "proton" },
        { "in1-smtp.messagingengine.com", "fastmail.com", "fastmail" },
        { "eu-smtp-inbound-1.mimecast.com", "example.org", "mimecast" },
        { "mxa-00000000.gslb.pphosted.com", "example.org", "proofpoint" },
        { "d1.ess.barracudanetworks.com", "example.org", "barracuda" },
        { "mx1.hc1234-56.iphmx.com", "example.org", "cisco" },
        { "", "yahoo.com", "yahoo" },
        { "google.com.example.net", "example.net", "" },
        { "mx.example.net", "example.net", "" },
    };
    struct shaping *shaping = rules("");

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        str host = str_from(rows[i].host);
        const struct shaping_provider *provider =
            shaping_provider_of(shaping, &host, host.len > 0, str_from(rows[i].domain));
        CHECK_STR(provider ? provider->name : S(""), rows[i].provider);
    }
    shaping_unref(shaping);
}

/* Anybody may list a host of a great provider beside his own. */
static void
one_host_among_others_does_not_speak_for_a_provider(void)
{
    static const str mixed[] = { { "evil.example", 12 }, { "aspmx.l.google.com", 18 } };
    static const str all[] = { { "alt1.aspmx.l.google.com", 23 }, { "aspmx.l.google.com", 18 } };
    struct shaping *shaping = rules("");

    CHECK(!shaping_provider_of(shaping, mixed, 2, S("evil.example")));
    CHECK(!shaping_provider_of(shaping, mixed + 1, 0, S("evil.example")));
    CHECK_STR(shaping_provider_of(shaping, all, 2, S("far.example"))->name, "google");
    CHECK_STR(shaping_provider_of(shaping, mixed, 2, S("gmail.com"))->name, "google");
    shaping_unref(shaping);
}

static void
a_users_file_goes_on_with_a_shipped_provider(void)
{
    struct shaping *shaping = rules("provider yahoo { connections 3; rate 10/1s 5000/h; }\n"
                                    "provider house { mx mx*.house.example; domain .sub.example; "
                                    "recipients_per_transaction 7; }\n");
    const struct shaping_provider *yahoo = shaping_provider_find(shaping, S("yahoo"));
    str host = S("mx12.house.example");
    const struct shaping_provider *house = shaping_provider_of(shaping, &host, 1, S(""));

    CHECK(yahoo->pace.connections == 3 && yahoo->pace.messages_per_connection == 20);
    CHECK(yahoo->pace.rate_count == 2 && yahoo->pace.rates[0].count == 10);
    CHECK(yahoo->pace.rates[1].count == 5000 && yahoo->pace.rates[1].period == HOURS(1));
    CHECK(house && house->pace.recipients_per_transaction == 7);
    CHECK(shaping_provider_of(shaping, NULL, 0, S("a.sub.example")) == house);
    CHECK(!shaping_provider_of(shaping, NULL, 0, S("sub.example")));
    shaping_unref(shaping);
}

static void
mistakes_are_told_with_their_place(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
    } rows[] = {
        { "reply 4xx \"x\" rate_limitd;", 1, 15, "is no class" },
        { "reply 4xx;", 1, 1, "lacks its class" },
        { "reply greylisted;", 1, 1, "no code and no phrase" },
        { "reply 9xx greylisted;", 1, 7, "is no class" },
        { "reply 5xx 5.1 spam_block;", 1, 11, "is no class" },
        { "reply \"\" spam_block;", 1, 7, "is no phrase" },
        { "reply \"a*b*c*d*e*f*g\" spam_block;", 1, 7, "too many stars" },
        { "reply 4xx spam_block back_off;", 1, 22, "has no time" },
        { "reply 4xx spam_block back_off 30d;", 1, 31, "is no such time" },
        { "reply 4xx spam_block slow 15m;", 1, 27, "is no action" },
        { "reply 4xx spam_block sulk 3h;", 1, 22, "is no action" },
        { "provider x {\n    connections 0;\n}", 2, 5, "no number" },
        { "provider x {\n    rate 5/2d;\n}", 2, 10, "is no rate" },
        { "provider x {\n    rate 5;\n}", 2, 10, "is no rate" },
        { "provider x {\n    speed 5;\n}", 2, 5, "not known in a provider" },
        { "provider X { }", 1, 10, "opens no block" },
        { "providers x { }", 1, 1, "opens no block" },
        { "provider x { provider y { } }", 1, 25, "opens a block in a block" },
        { "provider x { mx a.example;", 1, 27, "ends too early" },
        { "reply 4xx greylisted", 1, 21, "ends too early" },
        { "}", 1, 1, "closes nothing" },
        { "class greylisted retry 0s;", 1, 24, "is no such time" },
        { "reply \"x spam_block;\n", 1, 7, "does not end" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config_problems problems = { 0 };
        struct shaping *shaping = NULL;
        CHECK(shaping_parse(str_from(rows[i].text), &shaping, &problems) == ERR_SYNTAX);
        CHECK(!shaping && problems.count > 0);
        if (problems.count == 0)
            continue;
        if (!strstr(problems.items[0].text, rows[i].says) ||
            problems.items[0].line != rows[i].line || problems.items[0].column != rows[i].column)
            fprintf(stderr, "%s: %u:%u: %s\n", rows[i].text, problems.items[0].line,
                    problems.items[0].column, problems.items[0].text);
        CHECK(strstr(problems.items[0].text, rows[i].says));
        CHECK(problems.items[0].line == rows[i].line);
        CHECK(problems.items[0].column == rows[i].column);
        CHECK(problems.items[0].cure[0]);
        config_problems_done(&problems);
    }
}

/* Whoever writes the file: it cannot make judging cost more than this. */
static void
ceilings_hold(void)
{
    struct buf text;
    struct config_problems problems = { 0 };
    struct shaping *shaping = NULL;

    buf_init(&text, SHAPING_FILE_MAX);
    for (unsigned i = 0; i < SHAPING_RULES_MAX; i++)
        buf_addf(&text, "reply 4xx \"%u\" greylisted;\n", i);
    CHECK(shaping_parse(buf_str(&text), &shaping, &problems) == ERR_SYNTAX);
    CHECK(problems.count > 0 && strstr(problems.items[0].text, "one rule too many"));
    config_problems_done(&problems);
    buf_clear(&text);
    for (unsigned i = 0; i < SHAPING_PROVIDERS_MAX; i++)
        buf_addf(&text, "provider p%u { }\n", i);
    CHECK(shaping_parse(buf_str(&text), &shaping, &problems) == ERR_SYNTAX);
    CHECK(problems.count > 0 && strstr(problems.items[0].text, "one provider too many"));
    config_problems_done(&problems);
    buf_clear(&text);
    buf_add(&text, S("provider p {\n"));
    for (unsigned i = 0; i < SHAPING_PATTERNS_MAX; i++)
        buf_addf(&text, "mx m%u.example;\n", i);
    buf_add(&text, S("}\n"));
    CHECK(shaping_parse(buf_str(&text), &shaping, &problems) == ERR_SYNTAX);
    CHECK(problems.count > 0 && strstr(problems.items[0].text, "one name too many"));
    config_problems_done(&problems);
    buf_clear(&text);
    buf_add(&text, S("reply \""));
    for (unsigned i = 0; i <= SHAPING_PHRASE_MAX; i++)
        buf_add_byte(&text, 'a');
    buf_add(&text, S("\" greylisted;"));
    CHECK(shaping_parse(buf_str(&text), &shaping, &problems) == ERR_SYNTAX);
    CHECK(problems.count > 0 && strstr(problems.items[0].text, "too long"));
    config_problems_done(&problems);
    buf_done(&text);
}

static void
only_the_head_of_a_reply_is_looked_at(void)
{
    struct shaping *shaping = rules("");
    struct buf text;
    struct shaping_verdict verdict;

    buf_init(&text, 10000);
    for (unsigned i = 0; i < SHAPING_TEXT_MAX; i++)
        buf_add_byte(&text, '.');
    buf_add(&text, S("spamhaus"));
    shaping_judge(shaping, NULL, 550, S("5.1.1"), buf_str(&text), &verdict);
    CHECK(verdict.class == CLASS_INVALID_RECIPIENT);
    buf_done(&text);
    shaping_unref(shaping);
}

static void
a_file_that_is_not_there_is_a_problem(void)
{
    struct config_problems problems = { 0 };
    struct shaping *shaping = NULL;

    CHECK(shaping_load("/nonexistent/rules.conf", &shaping, &problems) == ERR_NOT_FOUND);
    CHECK(problems.count == 1 && !shaping);
    config_problems_done(&problems);
    CHECK(shaping_load("", &shaping, &problems) == OK);
    shaping_unref(shaping);
}

int
main(void)
{
    RUN(replies_mean_what_a_postmaster_would_say);
    RUN(the_users_rules_have_the_last_word);
    RUN(a_class_delays_nothing_that_has_failed);
    RUN(times_that_a_reply_names_are_kept_within_bounds);
    RUN(providers_are_known_by_their_hosts_and_domains);
    RUN(one_host_among_others_does_not_speak_for_a_provider);
    RUN(a_users_file_goes_on_with_a_shipped_provider);
    RUN(mistakes_are_told_with_their_place);
    RUN(ceilings_hold);
    RUN(only_the_head_of_a_reply_is_looked_at);
    RUN(a_file_that_is_not_there_is_a_problem);
    return check_end();
}
