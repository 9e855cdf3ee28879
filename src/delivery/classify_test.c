/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* classify_test.c: replies as great receivers write them, and the class that a postmaster would say. */
#include "delivery/classify.h"

#include "check.h"

struct sample {
    uint16_t code;
    const char *enhanced, *text;
    enum reply_class class;
};

/* clang-format off */
static const struct sample samples[] = {
    { 250, "2.0.0", "OK 1700000000 abc - gsmtp", CLASS_NONE },
    { 550, "5.1.1", "The email account that you tried to reach does not exist.", CLASS_INVALID_RECIPIENT },
    { 452, "4.2.2", "The recipient's inbox is out of storage space.", CLASS_MAILBOX_FULL },
    { 421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail", CLASS_RATE_LIMITED },
    { 550, "5.7.26", "This mail is unauthenticated, which poses a security risk", CLASS_AUTH_FAIL },
    { 550, "5.7.1", "Our system has detected that this message is likely unsolicited mail.", CLASS_SPAM_BLOCK },
    { 550, "5.7.1", "has a very low reputation of the sending domain", CLASS_IP_OR_DOMAIN_BLOCK },
    { 550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. (S3150)", CLASS_IP_OR_DOMAIN_BLOCK },
    { 451, "4.7.650", "The mail server has been temporarily rate limited due to IP reputation", CLASS_RATE_LIMITED },
    { 550, "5.5.0", "Requested action not taken: mailbox unavailable.", CLASS_INVALID_RECIPIENT },
    { 421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred", CLASS_RATE_LIMITED },
    { 554, "", "delivery error: dd This user doesn't have a yahoo.com account", CLASS_INVALID_RECIPIENT },
    { 554, "5.7.1", "Service unavailable; Client host blocked using zen.spamhaus.org", CLASS_IP_OR_DOMAIN_BLOCK },
    { 450, "4.2.0", "Recipient address rejected: Greylisted, see http://postgrey.example", CLASS_GREYLISTED },
    { 552, "5.3.4", "Message size exceeds fixed limit", CLASS_MESSAGE_TOO_LARGE },
    { 554, "5.4.6", "Too many hops", CLASS_LOOP },
    { 550, "5.2.1", "The email account is inactive", CLASS_INACTIVE_MAILBOX },
    { 556, "5.1.10", "The domain takes no mail", CLASS_BAD_DOMAIN },
    { 530, "5.7.0", "Must issue a STARTTLS command first", CLASS_TLS_POLICY },
    { 0, "4.4.1", "no answer within 30 s", CLASS_NO_ANSWER },
    { 0, "4.4.3", "the name servers did not answer", CLASS_DNS_FAILURE },
    { 0, "5.4.7", "the time is over", CLASS_EXPIRED },
    { 502, "", "Command not implemented", CLASS_PROTOCOL_ERROR },
    { 550, "", "", CLASS_INVALID_RECIPIENT },
    { 499, "", "", CLASS_NO_ANSWER },
};
/* clang-format on */

static void
replies_are_classified_as_a_postmaster_would(void)
{
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        const struct sample *sample = &samples[i];
        enum reply_class class = reply_classify(sample->code, str_from(sample->enhanced),
                                                str_from(sample->text));
        CHECK_STR(str_from(reply_class_name(class)), reply_class_name(sample->class));
    }
}

static void
names_are_read_as_they_are_written(void)
{
    for (enum reply_class class = CLASS_NONE + 1; class < CLASS_COUNT; class++) {
        enum reply_class parsed = CLASS_NONE;
        CHECK(reply_class_parse(str_from(reply_class_name(class)), &parsed) && parsed == class);
    }
    CHECK(!reply_class_parse(S(""), &(enum reply_class){ 0 }));
}

int
main(void)
{
    RUN(replies_are_classified_as_a_postmaster_would);
    RUN(names_are_read_as_they_are_written);
    return check_end();
}
