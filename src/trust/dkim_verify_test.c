/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_verify_test.c: the message of RFC 8463, our own signatures, and damaged ones. */
#include "trust/dkim_verify.h"

#include "trust/dkim_key.h"

#include "check.h"

#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define RFC_ED25519 "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RFC_RSA                                                                                    \
    "v=DKIM1; k=rsa; "                                                                             \
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6"                \
    "wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/"                                      \
    "8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvH"                                                       \
    "O9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

/* RFC 8463 A.3. */
static const char rfc_message[] =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

static const instant now = SECONDS(1528637910);

/* A DNS of a few names. */
struct names {
    const char *name;
    const char *record; /* NULL: the server does not answer. */
};

struct world {
    const struct names *names;
    size_t count;
    unsigned asked;
};

static enum err
look_up(void *arg, struct arena *arena, str name, struct dns_answer *answer)
{
    struct world *world = arg;

    world->asked++;
    *answer = (struct dns_answer){ .status = DNS_NO_NAME };
    for (size_t i = 0; i < world->count; i++) {
        if (!str_eq(name, str_from(world->names[i].name)))
            continue;
        if (!world->names[i].record) {
            answer->status = DNS_TEMPORARY;
            return OK;
        }
        answer->status = DNS_FOUND;
        answer->records = arena_new_array(arena, struct dns_record, 1);
        answer->records[0].data = str_from(world->names[i].record);
        answer->count = 1;
    }
    return OK;
}

static const struct names rfc_names[] = {
    { "brisbane._domainkey.football.example.com", RFC_ED25519 },
    { "test._domainkey.football.example.com", RFC_RSA },
};

struct outcome {
    struct arena arena;
    struct dkim_fields fields;
    struct dkim_verify verify;
    unsigned asked;
};

static void
verify(str message, const struct names *names, size_t count, instant at, struct outcome *outcome)
{
    struct world world = { .names = names, .count = count };
    struct dkim_lookup lookup = { look_up, &world };
    struct dkim_hashes hashes = {};
    size_t scanned = 0, size = 0;

    arena_init(&outcome->arena, 4 << 20);
    if (!header_find_end(message, &scanned, &size))
        size = message.len;
    CHECK(dkim_fields_read(str_head(message, size), &outcome->arena, &outcome->fields) == OK);
    CHECK(dkim_verify_begin(&outcome->fields, &hashes, at, &outcome->arena, &outcome->verify) ==
          OK);
    for (str body = str_skip(message, size); body.len; body = str_skip(body, 7))
        dkim_hashes_add(&hashes, str_head(body, 7));
    dkim_hashes_end(&hashes);
    CHECK(dkim_verify_end(&outcome->verify, &hashes, &lookup, &outcome->arena) == OK);
    outcome->asked = world.asked;
    dkim_hashes_done(&hashes);
}

static void
the_message_of_the_rfc_passes(void)
{
    struct outcome outcome;

    verify(str_from(rfc_message), rfc_names, COUNT_OF(rfc_names), now, &outcome);
    CHECK(outcome.verify.count == 2);
    for (size_t i = 0; i < outcome.verify.count; i++) {
        const struct dkim_check *check = &outcome.verify.checks[i];
        CHECK_STR(str_from(dkim_result_name(check->result)), "pass");
        CHECK_STR(check->signature.domain, "football.example.com");
        CHECK_STR(check->signature.identity, "@football.example.com");
        CHECK(check->covers_all && !check->is_testing);
    }
    CHECK_STR(str_from(outcome.verify.checks[1].why), "1024-bit RSA key");
    arena_done(&outcome.arena);
}

/* The message with OLD replaced by NEW, at its first place. */
static str
changed(const char *old, const char *new, char *room)
{
    const char *at = strstr(rfc_message, old);

    CHECK(at != NULL);
    snprintf(room, 8192, "%.*s%s%s", (int)(at - rfc_message), rfc_message, new, at + strlen(old));
    return str_from(room);
}

static void
what_is_wrong_is_said(void)
{
    static const struct {
        const char *old;
        const char *new;
        const char *result;
        const char *why;
        unsigned asked; /* With the second signature, which asks once unless the body is wrong. */
    } rows[] = {
        { "hungry", "angry", "fail", "the body was changed", 0 },
        { "Is dinner", "Is lunch", "fail", "the signature is not of this header section and key",
          2 },
        { "Date: Fri", "Date: Sat", "fail", "the signature is not of this header section and key",
          2 },
        { "From: Joe", "From: Eve <e@x>\r\nFrom: Joe", "fail",
          "the signature is not of this header section and key", 2 },
        { "b=/gC", "b=/gD", "fail", "the signature is not of this header section and key", 2 },
        { "v=1", "v=2", "neutral", "it is of another version (v=)", 1 },
        { "v=1; ", "", "neutral", "it is of another version (v=)", 1 },
        { "v=1; ", "v=1; v=1; ", "neutral", "its tags cannot be read", 1 },
        { "v=1; ", "v=1; ; ", "neutral", "its tags cannot be read", 1 },
        { "a=ed25519-sha256", "a=rsa-sha1", "fail", "rsa-sha1 proves nothing any more", 1 },
        { "a=ed25519-sha256", "a=none", "neutral", "the algorithm (a=) is not known", 1 },
        { "a=ed25519-sha256", "a=rsa-sha256", "permerror",
          "the key is of another kind than the signature", 2 },
        { "c=relaxed/relaxed", "c=relaxed/loose", "neutral", "the canonical form (c=) is not known",
          1 },
        { "c=relaxed/relaxed", "c=relaxed", "fail", "the body was changed", 1 },
        { "d=football.example.com", "d=foot ball", "neutral", "it names no domain (d=)", 1 },
        { "d=football", "d=baseball", "permerror", "the identity (i=) is not in the domain (d=)",
          1 },
        { "i=@football.example.com", "i=@xfootball.example.com", "permerror",
          "the identity (i=) is not in the domain (d=)", 1 },
        { "i=@football.example.com", "i=football", "neutral", "the identity (i=) is no address",
          1 },
        { "q=dns/txt", "q=carrier/pigeon", "neutral", "its key is not in the DNS (q=)", 1 },
        { "s=brisbane", "s=sydney", "permerror", "there is no such key in the DNS", 2 },
        { "s=brisbane", "s=bris..bane", "neutral", "it names no key (s=)", 1 },
        { "t=1528637909", "t=x", "neutral", "the time (t=) cannot be read", 1 },
        { "t=1528637909", "t=1528700000", "fail", "the signature is from the future", 1 },
        { "t=1528637909", "t=1528637909; x=1528637908", "permerror",
          "it ends (x=) before it begins (t=)", 1 },
        { "t=1528637909", "t=1528637900; x=1528637901", "fail", "the signature has expired", 1 },
        { "t=1528637909", "t=1; l=12x", "neutral", "the length (l=) cannot be read", 1 },
        { "t=1528637909", "t=1; l=1000000", "fail", "the body is shorter than what was signed", 1 },
        { "h=from : to :\r\n subject : date : message-id : from :", "h=to :\r\n", "permerror",
          "it does not sign From", 1 },
        { "bh=2jUS", "bh=2", "neutral", "the hash of the body (bh=) cannot be read", 1 },
        { "b=/gCrinpcQOo", "b=%", "neutral", "the signature (b=) cannot be read", 1 },
    };
    char *room = malloc(8192);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct outcome outcome;
        const struct dkim_check *check;
        verify(changed(rows[i].old, rows[i].new, room), rfc_names, COUNT_OF(rfc_names), now,
               &outcome);
        check = &outcome.verify.checks[0];
        CHECK_STR(str_from(dkim_result_name(check->result)), rows[i].result);
        CHECK_STR(str_from(check->why), rows[i].why);
        CHECK(outcome.asked == rows[i].asked);
        arena_done(&outcome.arena);
    }
    free(room);
}

static void
a_key_record_has_its_say(void)
{
    static const struct {
        const char *record;
        const char *result;
        const char *why;
    } rows[] = {
        { RFC_ED25519, "pass", "Ed25519 key" },
        { "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPap iMlrwIaaPcHURo= ;", "pass", "Ed25519 key" },
        { RFC_ED25519 "; h=sha1:sha256; s=*; n=x; t=s:y", "pass", "Ed25519 key" },
        { RFC_ED25519 "; h=sha1", "permerror", "the key is not for SHA-256" },
        { RFC_ED25519 "; s=tlsrpt", "permerror", "the key is not for mail" },
        { RFC_ED25519 "; s=tlsrpt : email", "pass", "Ed25519 key" },
        { "k=ed25519; v=DKIM1; p=AAAA", "permerror", "the key record is of another version" },
        { "v=DKIM2; k=ed25519; p=AAAA", "permerror", "the key record is of another version" },
        { "v=DKIM1; k=ed25519; p=", "permerror", "the key was revoked" },
        { "v=DKIM1; k=ed25519", "permerror", "the key record holds no key" },
        { "v=DKIM1; p=AAAA", "permerror", "the key is of another kind than the signature" },
        { "v=DKIM1; k=ed25519; p=!", "permerror", "the key cannot be read" },
        { "v=DKIM1; k=ed25519; p=AAAA", "permerror", "the key cannot be read" },
        { "spf", "permerror", "the key record cannot be read" },
        { NULL, "temperror", "the DNS does not answer for the key" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct names names = { "brisbane._domainkey.football.example.com", rows[i].record };
        struct outcome outcome;
        verify(str_from(rfc_message), &names, 1, now, &outcome);
        CHECK_STR(str_from(dkim_result_name(outcome.verify.checks[0].result)), rows[i].result);
        CHECK_STR(str_from(outcome.verify.checks[0].why), rows[i].why);
        arena_done(&outcome.arena);
    }
}

/* A name with many records, of which the last is the key. */
static enum err
look_up_many(void *arg, struct arena *arena, str name, struct dns_answer *answer)
{
    size_t count = *(size_t *)arg;

    CHECK_STR(name, "brisbane._domainkey.football.example.com");
    *answer = (struct dns_answer){ .status = DNS_FOUND, .count = count };
    answer->records = arena_new_array(arena, struct dns_record, count);
    for (size_t i = 0; i < count; i++)
        answer->records[i].data = i + 1 < count ? S("v=spf1 -all") : S(RFC_ED25519);
    return OK;
}

static void
of_many_key_records_the_first_that_serves_is_taken_up_to_a_ceiling(void)
{
    for (size_t count = 1; count <= DKIM_KEY_RECORDS_MAX + 1; count++) {
        struct dkim_lookup lookup = { look_up_many, &count };
        enum dkim_result result = DKIM_PENDING;
        struct dkim_public key;
        char why[DKIM_WHY_MAX];
        struct arena arena;
        arena_init(&arena, 1 << 20);
        CHECK(dkim_public_ask(&lookup, &arena, S("football.example.com"), S("brisbane"),
                              DKIM_ED25519_SHA256, &key, &result, why) == OK);
        CHECK(result == (count <= DKIM_KEY_RECORDS_MAX ? DKIM_PENDING : DKIM_PERMERROR));
        arena_done(&arena);
    }
}

static void
a_key_record_beyond_its_ceiling_is_not_read(void)
{
    struct dkim_public key;
    char why[DKIM_WHY_MAX];
    struct arena arena;
    struct buf record;

    arena_init(&arena, 1 << 20);
    buf_init(&record, 2 * DKIM_KEY_RECORD_MAX);
    buf_add(&record, S(RFC_ED25519 "; n="));
    while (record.len < DKIM_KEY_RECORD_MAX)
        buf_add(&record, S("n"));
    CHECK(dkim_public_parse(buf_str(&record), DKIM_ED25519_SHA256, &arena, &key, why) ==
          DKIM_PENDING);
    buf_add(&record, S("n"));
    CHECK(dkim_public_parse(buf_str(&record), DKIM_ED25519_SHA256, &arena, &key, why) ==
          DKIM_PERMERROR);
    CHECK_STR(str_from(why), "the key record is too long");
    buf_done(&record);
    arena_done(&arena);
}

static void
a_strict_key_is_not_for_names_below_its_domain(void)
{
    struct names names = { "brisbane._domainkey.football.example.com", RFC_ED25519 "; t=s" };
    char *room = malloc(8192);
    struct outcome outcome;

    verify(changed("i=@football", "i=@us.football", room), &names, 1, now, &outcome);
    CHECK_STR(str_from(outcome.verify.checks[0].why),
              "the key is not for names below its domain (t=s)");
    arena_done(&outcome.arena);
    free(room);
}

static const char plain_header[] = "From: a@here.example\r\nSubject:  one \r\n\ttwo\r\n\r\n";
static const char plain_body[] = "Hello  you \r\n\r\n\r\n";

/* Signs HEADER with KEY in both forms; the result is a whole message. */
static void
sign(const struct dkim_key *key, enum dkim_form header, enum dkim_form form, struct buf *message)
{
    struct dkim_options options = { .domain = S("here.example"),
                                    .selector = S("s"),
                                    .header = header,
                                    .body = form,
                                    .signed_at = now };
    uint8_t hash[DKIM_HASH_SIZE];
    struct dkim_body body;

    dkim_body_init(&body, form);
    dkim_body_add(&body, str_from(plain_body));
    dkim_body_end(&body, hash);
    dkim_body_done(&body);
    buf_clear(message);
    CHECK(dkim_sign(key, &options, str_from(plain_header), hash, message) == OK);
    buf_add(message, str_from(plain_header));
    buf_add(message, str_from(plain_body));
}

static void
our_own_signatures_pass_in_all_forms(void)
{
    static const char *const algorithms[] = { "rsa", "ed25519" };
    struct buf message, record;

    buf_init(&message, 1 << 16);
    buf_init(&record, 4096);
    for (size_t i = 0; i < 8; i++) {
        struct dkim_key *key = NULL;
        struct outcome outcome;
        CHECK(dkim_key_new(str_from(algorithms[i % 2]), &key, NULL) == OK);
        buf_clear(&record);
        CHECK(dkim_key_record(key, &record) == OK);
        sign(key, i & 2 ? DKIM_RELAXED : DKIM_SIMPLE, i & 4 ? DKIM_RELAXED : DKIM_SIMPLE, &message);
        verify(buf_str(&message), &(struct names){ "s._domainkey.here.example", buf_cstr(&record) },
               1, now, &outcome);
        CHECK_STR(str_from(dkim_result_name(outcome.verify.checks[0].result)), "pass");
        arena_done(&outcome.arena);
        dkim_key_free(key);
    }
    buf_done(&message);
    buf_done(&record);
}

/* RFC 6376 3.5: h= may name other signatures, never means its own field. */
static void
a_signature_is_not_among_the_fields_that_it_signs(void)
{
    static const str names[] = { { "From", 4 }, { "DKIM-Signature", 14 } };
    struct dkim_options options = { .domain = S("here.example"),
                                    .selector = S("s"),
                                    .header = DKIM_RELAXED,
                                    .body = DKIM_RELAXED,
                                    .fields = names,
                                    .field_count = 2,
                                    .oversigned = names,
                                    .oversigned_count = 2 };
    uint8_t hash[DKIM_HASH_SIZE];
    struct dkim_key *key = NULL;
    struct buf message, record;
    struct outcome outcome;
    struct dkim_body body;

    buf_init(&message, 1 << 16);
    buf_init(&record, 4096);
    dkim_body_init(&body, DKIM_RELAXED);
    dkim_body_end(&body, hash);
    dkim_body_done(&body);
    CHECK(dkim_key_new(S("ed25519"), &key, NULL) == OK && dkim_key_record(key, &record) == OK);
    CHECK(dkim_sign(key, &options, S("From: a@here.example\r\n\r\n"), hash, &message) == OK);
    buf_add(&message, S("From: a@here.example\r\n\r\n"));
    verify(buf_str(&message), &(struct names){ "s._domainkey.here.example", buf_cstr(&record) }, 1,
           now, &outcome);
    CHECK_STR(str_from(outcome.verify.checks[0].why), "Ed25519 key");
    arena_done(&outcome.arena);
    dkim_key_free(key);
    buf_done(&message);
    buf_done(&record);
}

static void
an_rsa_key_of_the_wrong_size_fails(void)
{
    static const unsigned sizes[] = { 512, 1024, 4104 };
    static const char *const says[] = { "an RSA key of 512 bits is too weak", "1024-bit RSA key",
                                        "an RSA key of 4104 bits is too large" };

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct dkim_key key = { .pkey = EVP_RSA_gen(sizes[i]), .is_rsa = true };
        struct buf message, record;
        struct outcome outcome;
        buf_init(&message, 1 << 16);
        buf_init(&record, 4096);
        CHECK(dkim_key_record(&key, &record) == OK);
        sign(&key, DKIM_RELAXED, DKIM_RELAXED, &message);
        verify(buf_str(&message), &(struct names){ "s._domainkey.here.example", buf_cstr(&record) },
               1, now, &outcome);
        CHECK_STR(str_from(outcome.verify.checks[0].why), says[i]);
        CHECK((outcome.verify.checks[0].result == DKIM_PASS) == (sizes[i] == 1024));
        arena_done(&outcome.arena);
        buf_done(&message);
        buf_done(&record);
        EVP_PKEY_free(key.pkey);
    }
}

static void
what_strangers_size_has_a_ceiling(void)
{
    struct outcome outcome;
    struct buf message;

    buf_init(&message, 1 << 20);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX + 3; i++)
        buf_addf(&message,
                 "DKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=s; h=from; l=%zu; "
                 "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA\r\n",
                 i);
    buf_add(&message, S("From: x\r\n\r\n"));
    verify(buf_str(&message), NULL, 0, now, &outcome);
    CHECK(outcome.verify.count == DKIM_SIGNATURES_MAX && outcome.verify.skipped == 3);
    CHECK_STR(str_from(outcome.verify.checks[DKIM_HASHES_MAX].why),
              "its message has too many kinds of signatures");
    arena_done(&outcome.arena);

    buf_clear(&message);
    buf_add(&message, S("DKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=s; "
                        "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA; h=from"));
    for (size_t i = 0; i < DKIM_NAMES_MAX; i++)
        buf_add(&message, S(":x"));
    buf_add(&message, S("\r\nDKIM-Signature: v=1; n="));
    for (size_t i = 0; i < DKIM_SIGNATURE_FIELD_MAX; i++)
        buf_add(&message, S("n"));
    buf_add(&message, S("\r\nFrom: x\r\n\r\n"));
    verify(buf_str(&message), NULL, 0, now, &outcome);
    CHECK_STR(str_from(outcome.verify.checks[0].why), "it names too many fields (h=)");
    CHECK_STR(str_from(outcome.verify.checks[1].why), "its field is too long");
    arena_done(&outcome.arena);

    buf_clear(&message);
    buf_add(&message, S("DKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=s; h=from; "
                        "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b="));
    for (size_t i = 0; i < DKIM_SIGNATURE_BYTES_MAX; i++)
        buf_add(&message, S("AAAA"));
    buf_add(&message, S("\r\nFrom: x\r\n\r\n"));
    verify(buf_str(&message), NULL, 0, now, &outcome);
    CHECK_STR(str_from(outcome.verify.checks[0].why), "the signature (b=) cannot be read");
    arena_done(&outcome.arena);

    buf_clear(&message);
    for (size_t i = 0; i <= DKIM_FIELDS_MAX; i++)
        buf_add(&message, S("A: b\r\n"));
    arena_init(&outcome.arena, 4 << 20);
    CHECK(dkim_fields_read(buf_str(&message), &outcome.arena, &outcome.fields) == ERR_LIMIT);
    arena_done(&outcome.arena);
    buf_done(&message);
}

static void
a_list_of_tags_is_read_strictly(void)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        { "a=b", true },       { "a=b;", true },       { " a = b ; c=d=e ; ", true },
        { "a=", true },        { "", false },          { ";", false },
        { "a=b;;c=d", false }, { "a", false },         { "=b", false },
        { "1a=b", false },     { "a b=c", false },     { "a=b;a=c", false },
        { "a=\x01", false },   { "a=\xc3\xa4", true }, { "a=b\r\n c", true },
    };
    struct dkim_tags tags;
    struct buf text;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK(dkim_tags_parse(str_from(rows[i].text), &tags) == rows[i].good);
    buf_init(&text, 4096);
    for (size_t i = 0; i < DKIM_TAGS_MAX; i++)
        buf_addf(&text, "a%zu=b;", i);
    CHECK(dkim_tags_parse(buf_str(&text), &tags) && tags.count == DKIM_TAGS_MAX);
    buf_add(&text, S("c=d"));
    CHECK(!dkim_tags_parse(buf_str(&text), &tags));
    buf_done(&text);
}

int
main(void)
{
    RUN(the_message_of_the_rfc_passes);
    RUN(what_is_wrong_is_said);
    RUN(a_key_record_has_its_say);
    RUN(of_many_key_records_the_first_that_serves_is_taken_up_to_a_ceiling);
    RUN(a_key_record_beyond_its_ceiling_is_not_read);
    RUN(a_strict_key_is_not_for_names_below_its_domain);
    RUN(our_own_signatures_pass_in_all_forms);
    RUN(a_signature_is_not_among_the_fields_that_it_signs);
    RUN(an_rsa_key_of_the_wrong_size_fails);
    RUN(what_strangers_size_has_a_ceiling);
    RUN(a_list_of_tags_is_read_strictly);
    return check_end();
}
