/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_test.c: hashes that the RFCs name, and signatures that OpenSSL verifies. */
#include "trust/dkim_sign.h"

#include "trust/dkim_key.h"

#include "check.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
body_hash_is(const char *body, enum dkim_form form, const char *expected)
{
    str bytes = str_from(body);

    for (size_t piece = 1; piece <= 5; piece++) {
        uint8_t hash[DKIM_HASH_SIZE];
        struct dkim_body state;
        struct buf text;
        dkim_body_init(&state, form);
        for (str rest = bytes; rest.len; rest = str_skip(rest, piece))
            dkim_body_add(&state, str_head(rest, piece));
        dkim_body_end(&state, hash);
        dkim_body_done(&state);
        buf_init(&text, 100);
        dkim_add_base64(&text, (str){ (char *)hash, sizeof(hash) });
        CHECK_STR(buf_str(&text), expected);
        buf_done(&text);
    }
}

static void
the_hash_of_a_body_does_not_depend_on_pieces(void)
{
    /* RFC 6376 A.2 and 3.4.3, 3.4.4: known values. */
    body_hash_is("Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n", DKIM_SIMPLE,
                 "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    body_hash_is("Hi.\r\n\r\nWe lost the \t game. Are you hungry yet? \r\n\r\nJoe.\r\n \r\n\r\n",
                 DKIM_RELAXED, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    body_hash_is("", DKIM_SIMPLE, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
    body_hash_is("\r\n\r\n\r\n", DKIM_SIMPLE, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
    body_hash_is("", DKIM_RELAXED, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    body_hash_is(" \t\r\n\r\n", DKIM_RELAXED, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* RFC 6376 3.4.5: l= counts bytes of the canonical form. */
static void
a_limit_ends_the_hash_early(void)
{
    static const struct {
        const char *body;
        uint64_t limit;
        const char *same_as;
        bool is_short;
    } rows[] = {
        { "one\r\ntwo\r\n", 5, "one\r\n", false },
        { "one  two\r\nmore\r\n", 9, "one two\r\n", false },
        { "one\r\n\r\n\r\n", 5, "one\r\n", false },
        { "one\r\n", 6, "one\r\n", true },
        { "anything", 0, "", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t hash[DKIM_HASH_SIZE], expected[DKIM_HASH_SIZE];
        struct dkim_body body;
        dkim_body_init(&body, DKIM_RELAXED);
        dkim_body_limit(&body, rows[i].limit);
        dkim_body_add(&body, str_from(rows[i].body));
        dkim_body_end(&body, hash);
        CHECK(dkim_body_is_short(&body) == rows[i].is_short);
        dkim_body_done(&body);
        dkim_body_init(&body, DKIM_RELAXED);
        dkim_body_add(&body, str_from(rows[i].same_as));
        dkim_body_end(&body, expected);
        dkim_body_done(&body);
        CHECK(memcmp(hash, expected, sizeof(hash)) == 0);
    }
}

static const char header[] = "Received: from a\r\nFROM:  Joe  <joe@football.example.com>\r\n"
                             "To: Suzie\r\n <suzie@shopping.example.net>\r\nSubject: one\r\n"
                             "subject :\ttwo \r\n words\r\n\r\n";
/* RFC 6376 5.4.2: of two subjects the lower one comes first. */
static const char canonical_front[] = "from:Joe <joe@football.example.com>\r\nsubject:two words\r\n"
                                      "subject:one\r\nto:Suzie <suzie@shopping.example.net>\r\n";

static str
tag_value(str field, str tag)
{
    ssize_t at = str_find_str(field, tag);
    str rest = str_skip(field, (size_t)at + tag.len);
    ssize_t end = str_find(rest, ';');

    return end < 0 ? rest : str_head(rest, (size_t)end);
}

/* Verifies independently of the signing code but for the shape of the field. */
static bool
verifies(const struct dkim_key *key, str field)
{
    unsigned char signature[1024], digest[32];
    struct buf signed_text, b64;
    str b = tag_value(field, S("\tb="));
    size_t b_at = (size_t)(b.ptr - field.ptr);
    bool blank = false, good;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int size;

    buf_init(&signed_text, 10000);
    buf_init(&b64, 10000);
    buf_add(&signed_text, str_from(canonical_front));
    buf_add(&signed_text, S("dkim-signature:"));
    for (size_t i = sizeof("DKIM-Signature: ") - 1; i < b_at; i++) {
        char c = field.ptr[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            blank = true;
            continue;
        }
        if (blank)
            buf_add_byte(&signed_text, ' ');
        blank = false;
        buf_add_byte(&signed_text, c);
    }
    for (size_t i = 0; i < b.len; i++)
        if (ascii_is_alnum(b.ptr[i]) || b.ptr[i] == '+' || b.ptr[i] == '/' || b.ptr[i] == '=')
            buf_add_byte(&b64, b.ptr[i]);
    size = EVP_DecodeBlock(signature, (const unsigned char *)buf_cstr(&b64), (int)b64.len);
    if (key->is_rsa) {
        good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
               EVP_DigestVerify(context, signature, 256, (unsigned char *)signed_text.data,
                                signed_text.len) == 1;
    } else {
        good = EVP_Digest(signed_text.data, signed_text.len, digest, NULL, EVP_sha256(), NULL) == 1 &&
               EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
               EVP_DigestVerify(context, signature, 64, digest, sizeof(digest)) == 1;
    }
    EVP_MD_CTX_free(context);
    buf_done(&signed_text);
    buf_done(&b64);
    return good && size > 0;
}

static void
sign_with(const char *algorithm)
{
    static const str fields[] = { { "From", 4 }, { "Subject", 7 }, { "To", 2 } };
    static const str over[] = { { "From", 4 } };
    struct dkim_options options = { .domain = S("football.example.com"), .selector = S("brisbane"),
                                    .header = DKIM_RELAXED, .body = DKIM_RELAXED,
                                    .signed_at = SECONDS(1528637909), .fields = fields,
                                    .field_count = COUNT_OF(fields), .oversigned = over,
                                    .oversigned_count = COUNT_OF(over) };
    uint8_t body_hash[DKIM_HASH_SIZE] = { 1, 2, 3 };
    struct dkim_key *key = NULL;
    struct buf field;

    buf_init(&field, DKIM_FIELD_MAX);
    CHECK(dkim_key_new(str_from(algorithm), &key, NULL) == OK);
    CHECK(dkim_sign(key, &options, str_from(header), body_hash, &field) == OK);
    CHECK(str_find_str(buf_str(&field), S("h=From:From:Subject:Subject:To;")) > 0);
    CHECK(str_find_str(buf_str(&field), S("t=1528637909;")) > 0);
    CHECK(verifies(key, buf_str(&field)));
    for (str rest = buf_str(&field), line; rest.len;) {
        str_split(rest, '\n', &line, &rest);
        CHECK(line.len <= 79);
    }
    buf_done(&field);
    dkim_key_free(key);
}

static void
an_rsa_signature_verifies(void)
{
    sign_with("rsa");
}

static void
an_ed25519_signature_verifies(void)
{
    sign_with("ed25519");
}

static void
a_mail_without_from_is_not_signed(void)
{
    struct dkim_options options = { .domain = S("a.example"), .selector = S("s") };
    uint8_t body_hash[DKIM_HASH_SIZE] = {};
    struct dkim_key *key = NULL;
    struct buf field;

    buf_init(&field, DKIM_FIELD_MAX);
    CHECK(dkim_key_new(S("ed25519"), &key, NULL) == OK);
    CHECK(dkim_sign(key, &options, S("Subject: x\r\n\r\n"), body_hash, &field) == ERR_SYNTAX);
    buf_done(&field);
    dkim_key_free(key);
}

static void
a_key_that_others_can_read_is_refused(void)
{
    char folder[] = "/tmp/dkim-test-XXXXXX", path[64];
    struct dkim_key *key = NULL, *again = NULL;
    struct buf record, record_again;
    struct why why;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/key.pem", folder);
    buf_init(&record, 1000);
    buf_init(&record_again, 1000);
    CHECK(dkim_key_new(S("rsa"), &key, NULL) == OK);
    CHECK(dkim_key_save(key, path, &why) == OK);
    CHECK(dkim_key_save(key, path, &why) == ERR_EXISTS);
    CHECK(dkim_key_load(path, &again, &why) == OK);
    CHECK(dkim_key_record(key, &record) == OK && dkim_key_record(again, &record_again) == OK);
    CHECK(str_eq(buf_str(&record), buf_str(&record_again)));
    CHECK(str_starts(buf_str(&record), S("v=DKIM1; k=rsa; p=MIIB")));
    dkim_key_free(again);
    again = NULL;
    CHECK(chmod(path, 0640) == 0);
    CHECK(dkim_key_load(path, &again, &why) == ERR_REFUSED && !again);
    buf_done(&record);
    buf_done(&record_again);
    dkim_key_free(key);
    unlink(path);
    rmdir(folder);
}

int
main(void)
{
    RUN(the_hash_of_a_body_does_not_depend_on_pieces);
    RUN(a_limit_ends_the_hash_early);
    RUN(an_rsa_signature_verifies);
    RUN(an_ed25519_signature_verifies);
    RUN(a_mail_without_from_is_not_signed);
    RUN(a_key_that_others_can_read_is_refused);
    return check_end();
}
