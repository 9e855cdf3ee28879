/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* signing_test.c: what is signed, and by how many. */
#include "trust/signing.h"

#include "config/config.h"
#include "store/temp_dir.h"
#include "trust/keyring.h"

#include "check.h"

static struct temp_dir dir;
static struct keyring *keyring;
static struct config *config;

static void
begin(void)
{
    temp_dir_make(&dir);
    must(keyring_open(dir.path, &keyring, NULL) == OK);
    config = config_default();
}

static void
configure(const char *text)
{
    struct config_problems problems = { 0 };

    config_unref(config);
    must(config_parse(str_from(text), "outpost.conf", &config, &problems) == OK);
}

static void
end(void)
{
    keyring_close(take(keyring));
    config_unref(take(config));
    temp_dir_remove(&dir);
}

static void
add_active(const char *selector, const char *algorithm)
{
    CHECK(keyring_add(keyring, S("example.org"), str_from(selector), str_from(algorithm), 0,
                      NULL) == OK);
    CHECK(keyring_set_state(keyring, S("example.org"), str_from(selector), KEY_ACTIVE, 0, NULL) ==
          OK);
}

static const char header[] = "From: ann@example.org\r\nSubject: hello\r\n\r\n";

static size_t
count_of(str text, const char *what)
{
    size_t count = 0;
    ssize_t at;

    while ((at = str_find_str(text, str_from(what))) >= 0) {
        count++;
        text = str_skip(text, (size_t)at + 1);
    }
    return count;
}

static void
rsa_and_ed25519_sign_together(void)
{
    struct signing *signing;
    struct buf fields;

    begin();
    add_active("ed", "ed25519");
    add_active("rs", "rsa");
    buf_init(&fields, SIGNING_FIELDS_MAX);
    CHECK(signing_begin(keyring, config, S("example.org"), str_from(header), &signing) == OK);
    CHECK_STR(signing_name(signing), "d=example.org s=ed");
    signing_add(signing, S("Hello\r\n"));
    CHECK(signing_end(signing, SECONDS(1764201600LL), &fields) == OK);
    CHECK(count_of(buf_str(&fields), "DKIM-Signature: v=1; a=ed25519-sha256;") == 1);
    CHECK(count_of(buf_str(&fields), "DKIM-Signature: v=1; a=rsa-sha256;") == 1);
    CHECK(count_of(buf_str(&fields), "t=1764201600;") == 2);
    signing_free(signing);
    buf_done(&fields);
    end();
}

static void
without_a_key_nothing_is_done(void)
{
    struct signing *signing;
    struct buf fields;

    begin();
    buf_init(&fields, SIGNING_FIELDS_MAX);
    CHECK(signing_begin(keyring, config, S("example.org"), str_from(header), &signing) == OK);
    CHECK(!signing);
    signing_add(signing, S("Hello\r\n"));
    CHECK(signing_end(signing, 0, &fields) == OK && fields.len == 0);
    CHECK_STR(signing_name(signing), "");
    signing_free(signing);
    end();
}

static void
a_section_that_cannot_be_named_is_not_half_signed(void)
{
    struct signing *signing;
    struct buf section, fields;

    begin();
    add_active("ed", "ed25519");
    buf_init(&section, 100000);
    buf_add(&section, S("From: ann@example.org\r\n"));
    for (unsigned i = 0; i < 200; i++)
        buf_add(&section, S("References: <a@b>\r\n"));
    buf_add(&section, S("\r\n"));
    buf_init(&fields, SIGNING_FIELDS_MAX);
    CHECK(signing_begin(keyring, config, S("example.org"), buf_str(&section), &signing) == OK);
    CHECK(signing_end(signing, 0, &fields) == ERR_LIMIT);
    CHECK(fields.len == 0);
    signing_free(signing);
    buf_done(&section);
    buf_done(&fields);
    end();
}

static void
the_policy_of_a_domain_is_obeyed(void)
{
    struct signing *signing;
    struct buf fields;

    begin();
    configure("dkim_policy example.org { header simple; body simple; fields From SUBJECT From Cc;"
              "  oversign Subject; expire 20d; }");
    add_active("ed", "ed25519");
    buf_init(&fields, SIGNING_FIELDS_MAX);
    CHECK(signing_begin(keyring, config, S("example.org"), str_from(header), &signing) == OK);
    signing_add(signing, S("Hello\r\n"));
    CHECK(signing_end(signing, SECONDS(1764201600LL), &fields) == OK);
    CHECK(count_of(buf_str(&fields), "c=simple/simple;") == 1);
    CHECK(count_of(buf_str(&fields), "t=1764201600; x=1765929600;") == 1);
    CHECK(count_of(buf_str(&fields), "h=From:SUBJECT:SUBJECT;") == 1);
    signing_free(signing);
    configure("dkim { oversign none; fields From; }");
    fields.len = 0;
    CHECK(signing_message(keyring, config, S("From: a@example.org\r\nFrom: b@x\r\n\r\n"), 0,
                          &fields) == OK);
    CHECK(count_of(buf_str(&fields), "h=From:From;") == 1);
    configure("dkim { sign off; }");
    fields.len = 0;
    CHECK(signing_message(keyring, config, S("From: a@example.org\r\n\r\n"), 0, &fields) == OK);
    CHECK(fields.len == 0);
    buf_done(&fields);
    end();
}

static void
a_whole_message_is_signed_by_the_domain_of_its_author(void)
{
    static const char message[] = "From: Postmaster <postmaster@mail.Example.org>\r\n"
                                  "Subject: late\r\n\r\nIt is late.\r\n";
    struct buf fields;

    begin();
    add_active("ed", "ed25519");
    buf_init(&fields, SIGNING_FIELDS_MAX);
    CHECK(signing_message(keyring, config, str_from(message), SECONDS(1764201600LL), &fields) == OK);
    CHECK(count_of(buf_str(&fields), "d=example.org; s=ed;") == 1);
    fields.len = 0;
    CHECK(signing_message(keyring, config, S("From: ann@else.example\r\n\r\nx\r\n"), 0, &fields) == OK);
    CHECK(signing_message(keyring, config, S("From: \r\n\r\nx\r\n"), 0, &fields) == OK);
    CHECK(signing_message(keyring, config, S("no header section"), 0, &fields) == OK);
    CHECK(signing_message(keyring, config, S(""), 0, &fields) == OK);
    CHECK(fields.len == 0);
    buf_done(&fields);
    end();
}

int
main(void)
{
    RUN(rsa_and_ed25519_sign_together);
    RUN(without_a_key_nothing_is_done);
    RUN(a_section_that_cannot_be_named_is_not_half_signed);
    RUN(the_policy_of_a_domain_is_obeyed);
    RUN(a_whole_message_is_signed_by_the_domain_of_its_author);
    return check_end();
}
