/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* arc_test.c: a chain that dkimpy made, chains of our own, and broken ones. */
#include "trust/arc.h"

#include "trust/dkim_key.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

static const char dkimpy_record[] =
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDPVQLapS+ChL48fykTyNnxlw"
    "VDAumolzfeIIOYJewOu3rxHyrIRMfurCUZT9VXp2JT1ledHE4SMhOoZdAxkEBfDoAQ2e7nM3YUEjir2r"
    "iwgUsSgGAahPDdn54lL9F68Z3FiNJ9Eb4XCXovBVekGWqGCLGRFx2ZTw8S/z7yObYhzwIDAQAB";

/* Two hops, each sealed by dkimpy 1.1. */
static const char dkimpy_message[] =
    "ARC-Seal: i=2; cv=pass; a=rsa-sha256; d=two.example; s=s; t=1528637909;\r\n"
    " b=pXcKOC8Uf7EK+GsgkKF/Fku3A3IvPbJvGtNKCJ60oKysh4+GnzUCoKlPdz8Qy9+iayG8z\r\n"
    " QF0TNGSi/8j8ToaC3Z4WPQm0nqqzkOlnMh12qBMrcLizGGSAZQFK0RxznuTd/LPNZW4DdBf\r\n"
    " YInzcovPpBWEvdayoGohpOj7Ku0irJ4=\r\n"
    "ARC-Message-Signature: i=2; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=two.example; s=s; t=1528637909; h=from : to : subject;\r\n"
    " bh=Ba3gj8+xBPQLJTahTfzW6RbWQ/XPgESxkCi2B66PSQg=;\r\n"
    " b=m2RDPEIlLmj7dYt8WAWIWZLOI58E3Se7XoR9msNtyHYlyHVS/l01BJNvH6ukG8VFEATkr\r\n"
    " ktFvqYe6+rnW9ZWxfWeSF2ZS+aQpbj11XJiATEqnpzLuONkXsFBgXxICVfynfZTeDgE5ZQf\r\n"
    " nh4JMmNtR0Q5NfNG/DAv4f4ADtGNUy4=\r\n"
    "ARC-Authentication-Results: i=2; two.example; arc=pass;\r\n"
    "  dkim=none\r\n"
    "ARC-Seal: i=1; cv=none; a=rsa-sha256; d=one.example; s=s; t=1528637909;\r\n"
    " b=BACryUICo/jbNznwNA3TzcN0Ri/a4qtlA3r7KDASaBdF5TPeNeB/NTOpnCQLUv91d6LJb\r\n"
    " e1aaZa8K8QfEt3kIgZZeuATqQZL3TaAmOClloAKMaffqCdeboVXSbW6OEm5gg/gTvypquMV\r\n"
    " ye6jd7rYG8M7mJZx6bTFXJLxnIMBUv8=\r\n"
    "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=one.example; s=s; t=1528637909; h=from : to : subject;\r\n"
    " bh=Ba3gj8+xBPQLJTahTfzW6RbWQ/XPgESxkCi2B66PSQg=;\r\n"
    " b=KpBmgiUciazpZ7q0KGrgb60ytxBSPWr9PlZiuNCYwPQESd/BViKJrmvwfSo/JkrCPt4lp\r\n"
    " jhW9bDODSrQrdSL2D68WKb9m0LEorMgnoxqpLBs0WsQhNGsZYLIR09GOslNKxVesDDhJCIO\r\n"
    " ZkqGYhtolpKZmjxZfYxoGXwvGL3iMis=\r\n"
    "ARC-Authentication-Results: i=1; one.example; arc=none;\r\n"
    "  dkim=none\r\n"
    "From: a@one.example\r\n"
    "To: b@two.example\r\n"
    "Subject: =?utf-8?q?x?=\r\n"
    "  folded\r\n"
    "\r\n"
    "Hello\r\n";

static const instant now = SECONDS(1528637909);

struct world {
    const char *record; /* Of every name; NULL: the DNS does not answer. */
    unsigned asked;
};

static enum err
look_up(void *arg, struct arena *arena, str name, struct dns_answer *answer)
{
    struct world *world = arg;

    world->asked++;
    CHECK(str_starts(name, S("s._domainkey.")));
    *answer = (struct dns_answer){ .status = world->record ? DNS_FOUND : DNS_TEMPORARY };
    if (!world->record)
        return OK;
    answer->records = arena_new(arena, struct dns_record);
    answer->records[0].data = str_from(world->record);
    answer->count = 1;
    return OK;
}

/* One hop that looks at a message. */
struct hop {
    struct arena arena;
    struct dkim_fields fields;
    struct dkim_hashes hashes;
    struct dkim_verify verify;
    struct arc_chain chain;
    struct world world;
    size_t own_hash;
};

static void
look(struct hop *hop, str message, const char *record)
{
    struct dkim_lookup lookup = { look_up, &hop->world };
    size_t scanned = 0, size = 0;

    memset(hop, 0, sizeof(*hop));
    hop->world.record = record;
    arena_init(&hop->arena, 8 << 20);
    if (!header_find_end(message, &scanned, &size))
        size = message.len;
    CHECK(dkim_fields_read(str_head(message, size), &hop->arena, &hop->fields) == OK);
    CHECK(dkim_hashes_want(&hop->hashes, DKIM_RELAXED, false, 0, &hop->own_hash) == OK);
    CHECK(dkim_verify_begin(&hop->fields, &hop->hashes, now, &hop->arena, &hop->verify) == OK);
    CHECK(arc_begin(&hop->fields, &hop->hashes, now, &hop->arena, &hop->chain) == OK);
    dkim_hashes_add(&hop->hashes, str_skip(message, size));
    dkim_hashes_end(&hop->hashes);
    CHECK(dkim_verify_end(&hop->verify, &hop->hashes, &lookup, &hop->arena) == OK);
    CHECK(arc_end(&hop->chain, &hop->hashes, &lookup, &hop->arena) == OK);
}

static void
leave(struct hop *hop)
{
    dkim_hashes_done(&hop->hashes);
    arena_done(&hop->arena);
}

static struct dkim_key *key;
static struct buf key_record;

static enum err
seal(const struct hop *hop, struct buf *out)
{
    struct arc_seal_options options = { .key = key,
                                        .domain = S("here.example"),
                                        .selector = S("s"),
                                        .authserv = S("mx.here.example"),
                                        .mail_from = S("ann@far.example"),
                                        .now = now };

    return arc_seal(&hop->chain, &hop->verify, &options, hop->hashes.items[hop->own_hash].value,
                    out);
}

/* Looks at MESSAGE and puts a set on top of it. */
static void
pass_on(struct buf *message)
{
    struct buf out;
    struct hop hop;

    buf_init(&out, 1 << 20);
    look(&hop, buf_str(message), buf_cstr(&key_record));
    CHECK(arc_may_seal(&hop.chain));
    CHECK(seal(&hop, &out) == OK);
    buf_add(&out, buf_str(message));
    buf_clear(message);
    buf_add(message, buf_str(&out));
    leave(&hop);
    buf_done(&out);
}

static const char plain[] = "From: Ann <ann@far.example>\r\nTo: list@here.example\r\n"
                            "Subject: one\r\n\ttwo\r\n\r\nHello.\r\n";

static void
begin(struct buf *message)
{
    buf_init(message, 1 << 20);
    buf_add(message, str_from(plain));
}

static void
a_message_without_sets_has_no_chain(void)
{
    struct hop hop;

    look(&hop, str_from(plain), NULL);
    CHECK(hop.chain.status == ARC_NONE && hop.chain.count == 0 && hop.world.asked == 0);
    CHECK(arc_may_seal(&hop.chain));
    leave(&hop);
}

static void
a_chain_of_dkimpy_passes(void)
{
    struct hop hop;

    look(&hop, str_from(dkimpy_message), dkimpy_record);
    CHECK_STR(str_from(hop.chain.why), "the chain holds");
    CHECK(hop.chain.status == ARC_PASS && hop.chain.count == 2);
    CHECK(hop.world.asked == 2);
    leave(&hop);
}

static void
chains_of_many_hops_pass_up_to_the_ceiling(void)
{
    struct buf message;
    struct hop hop;

    begin(&message);
    for (unsigned i = 1; i <= ARC_SETS_MAX; i++) {
        pass_on(&message);
        if (i > 3 && i < ARC_SETS_MAX)
            continue;
        look(&hop, buf_str(&message), buf_cstr(&key_record));
        CHECK_STR(str_from(hop.chain.why), "the chain holds");
        CHECK(hop.chain.count == i);
        CHECK(hop.world.asked == 1);
        CHECK(arc_may_seal(&hop.chain) == (i < ARC_SETS_MAX));
        leave(&hop);
    }
    buf_done(&message);
}

static void
a_set_says_what_was_found(void)
{
    struct buf message;
    struct hop hop;

    begin(&message);
    pass_on(&message);
    CHECK(str_starts(buf_str(&message), S("ARC-Seal: i=1; cv=none; a=rsa-sha256;\r\n")));
    CHECK(str_find_str(buf_str(&message), S("ARC-Authentication-Results: i=1; mx.here.example;\r\n"
                                            "\tarc=none\r\n\tsmtp.mailfrom=ann@far.example;\r\n"
                                            "\tdkim=none\r\n")) > 0);
    for (str rest = buf_str(&message), line; rest.len;) {
        str_split(rest, '\n', &line, &rest);
        CHECK(line.len <= 79);
    }
    look(&hop, buf_str(&message), buf_cstr(&key_record));
    CHECK(hop.chain.newest.signature.has_limit == false);
    CHECK_STR(hop.chain.newest.signature.domain, "here.example");
    leave(&hop);
    buf_done(&message);
}

/* A message of two hops with OLD replaced by NEW, at its first place. */
static void
damage(struct buf *message, const char *old, const char *new)
{
    struct buf whole;
    ssize_t at;

    begin(message);
    pass_on(message);
    pass_on(message);
    buf_init(&whole, 1 << 20);
    at = str_find_str(buf_str(message), str_from(old));
    CHECK(at >= 0);
    buf_add(&whole, str_head(buf_str(message), (size_t)at));
    buf_add(&whole, str_from(new));
    buf_add(&whole, str_skip(buf_str(message), (size_t)at + strlen(old)));
    buf_clear(message);
    buf_add(message, buf_str(&whole));
    buf_done(&whole);
}

static void
a_broken_chain_fails_and_says_why(void)
{
    static const struct {
        const char *old;
        const char *new;
        const char *why;
    } rows[] = {
        { "Hello.", "Hallo.", "message signature 2: the body was changed" },
        { "Subject: one", "Subject: two",
          "message signature 2: the signature is not of this header section and key" },
        { "arc=pass", "arc=none", "seal 2: the signature is not of this header section and key" },
        { "i=1; mx.here", "i=1; my.here",
          "seal 1: the signature is not of this header section and key" },
        { "ARC-Seal: i=2", "X-Seal: i=2", "a set of the chain is not complete" },
        { "ARC-Seal: i=1", "ARC-Seal: i=3", "a set of the chain is not complete" },
        { "ARC-Message-Signature: i=2", "ARC-Message-Signature: i=1",
          "two fields of the chain have the same number" },
        { "ARC-Message-Signature: i=2", "ARC-Message-Signature: i=51",
          "a field of the chain has no number (i=)" },
        { "ARC-Authentication-Results: i=2", "ARC-Authentication-Results: i=0",
          "a field of the chain has no number (i=)" },
        { "ARC-Authentication-Results: i=2", "ARC-Authentication-Results: 2",
          "a field of the chain has no number (i=)" },
        { "cv=pass", "cv=none", "a seal says something else of the chain (cv=) than its place" },
        { "cv=none", "cv=pass", "a seal says something else of the chain (cv=) than its place" },
        { "cv=pass; ", "", "a seal says something else of the chain (cv=) than its place" },
        { "cv=pass", "cv=pass; h=from", "a seal cannot be read" },
        { "cv=pass; a=rsa-sha256", "cv=pass; a=rsa-sha1",
          "seal 2: rsa-sha1 proves nothing any more" },
        { "cv=pass", "cv=fail", "the chain was found broken before" },
        { "h=From", "h=ARC-Seal:From", "message signature 2: it signs a seal" },
        { "ARC-Message-Signature: i=2", "ARC-Message-Signature: v=1; i=2",
          "message signature 2: it has a version (v=)" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf message;
        struct hop hop;
        damage(&message, rows[i].old, rows[i].new);
        look(&hop, buf_str(&message), buf_cstr(&key_record));
        CHECK_STR(str_from(arc_status_name(hop.chain.status)), "fail");
        CHECK_STR(str_from(hop.chain.why), rows[i].why);
        leave(&hop);
        buf_done(&message);
    }
}

/* RFC 8617 5.1.2: the seal of a failure covers its own set alone, and is the last. */
static void
a_failure_is_sealed_once(void)
{
    struct buf message;
    struct hop hop;

    damage(&message, "Hello.", "Hallo.");
    pass_on(&message);
    CHECK(str_starts(buf_str(&message), S("ARC-Seal: i=3; cv=fail; a=rsa-sha256;\r\n")));
    look(&hop, buf_str(&message), buf_cstr(&key_record));
    CHECK(hop.chain.status == ARC_FAIL && hop.chain.is_closed && !arc_may_seal(&hop.chain));
    CHECK(hop.world.asked == 0);
    leave(&hop);
    buf_done(&message);
}

static void
a_dns_that_is_silent_decides_nothing(void)
{
    struct buf message;
    struct hop hop;

    begin(&message);
    pass_on(&message);
    look(&hop, buf_str(&message), NULL);
    CHECK(hop.chain.status == ARC_TEMPERROR && !arc_may_seal(&hop.chain));
    CHECK_STR(str_from(hop.chain.why), "message signature 1: the DNS does not answer for the key");
    leave(&hop);
    look(&hop, buf_str(&message), "v=DKIM1; p=");
    CHECK(hop.chain.status == ARC_FAIL);
    leave(&hop);
    buf_done(&message);
}

static void
an_address_with_surprises_stays_out_of_the_results(void)
{
    struct arc_seal_options options = { .key = key,
                                        .domain = S("here.example"),
                                        .selector = S("s"),
                                        .authserv = S("mx.here.example"),
                                        .mail_from = S("\"a; dkim=pass\"@far.example"),
                                        .has_client = true,
                                        .now = now };
    struct hop hop;
    struct buf out;

    buf_init(&out, 1 << 16);
    CHECK(ipaddr_parse(S("2001:db8::1"), &options.client));
    look(&hop, str_from(plain), NULL);
    CHECK(arc_seal(&hop.chain, &hop.verify, &options, hop.hashes.items[0].value, &out) == OK);
    CHECK(str_find_str(buf_str(&out), S("mailfrom")) < 0);
    CHECK(str_find_str(buf_str(&out), S("smtp.remote-ip=\"2001:db8::1\"")) > 0);
    leave(&hop);
    buf_done(&out);
}

static void
what_cannot_be_signed_gets_no_set(void)
{
    struct buf message, out;
    struct hop hop;

    buf_init(&message, 1 << 20);
    buf_init(&out, 1 << 16);
    look(&hop, S("To: x\r\n\r\n"), NULL);
    CHECK(seal(&hop, &out) == ERR_SYNTAX && out.len == 0);
    leave(&hop);
    for (size_t i = 0; i < DKIM_NAMES_MAX; i++)
        buf_add(&message, S("To: x\r\n"));
    buf_add(&message, S("From: x\r\n\r\n"));
    look(&hop, buf_str(&message), NULL);
    CHECK(seal(&hop, &out) == ERR_LIMIT && out.len == 0);
    leave(&hop);
    buf_done(&message);
    buf_done(&out);
}

int
main(void)
{
    struct dkim_key made = { .pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
                             .is_rsa = true };

    key = &made;
    buf_init(&key_record, 4096);
    CHECK(dkim_key_record(key, &key_record) == OK);
    RUN(a_message_without_sets_has_no_chain);
    RUN(a_chain_of_dkimpy_passes);
    RUN(chains_of_many_hops_pass_up_to_the_ceiling);
    RUN(a_set_says_what_was_found);
    RUN(a_broken_chain_fails_and_says_why);
    RUN(a_failure_is_sealed_once);
    RUN(a_dns_that_is_silent_decides_nothing);
    RUN(an_address_with_surprises_stays_out_of_the_results);
    RUN(what_cannot_be_signed_gets_no_set);
    EVP_PKEY_free(made.pkey);
    buf_done(&key_record);
    return check_end();
}
