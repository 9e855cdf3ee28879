/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_address_test.c: whose addresses these are, and with which sender a message leaves. */
#include "delivery/returns/return_address.h"

#include "accounts/account.h"
#include "config/config.h"
#include "mail/envelope.h"
#include "runtime/fiber.h"
#include "store/temp_dir.h"
#include "trust/token.h"

#include "check.h"

#include <string.h>

static const instant day_one = SECONDS(1764201600LL);

static struct config *config;
static struct accounts *accounts;
static struct secrets *secrets;
static struct arena arena;

static void
configure(const char *settings)
{
    struct config_problems problems = { 0 };

    config_unref(take(config));
    CHECK(config_parse(str_from(settings), "test.conf", &config, &problems) == OK);
    for (size_t i = 0; i < problems.count; i++)
        printf("%s\n", problems.items[i].text);
    config_problems_done(&problems);
}

static struct envelope
message_of(const char *sender, size_t count)
{
    static const uint8_t entropy[10] = { 1, 2, 3 };
    static struct recipient recipients[200];
    struct envelope envelope = {
        .id = msgid_make(day_one, entropy),
        .door = DOOR_SUBMISSION,
        .account = S("ann@here.example"),
        .reverse_path = str_from(sender),
        .recipients = recipients,
        .recipient_count = count,
    };

    for (size_t i = 0; i < count; i++)
        CHECK(arena_printf(&arena, &recipients[i].address, "bob@far%zu.example", i));
    return envelope;
}

static str
leaving(const struct envelope *envelope, uint32_t index, size_t count)
{
    str address = S("");

    CHECK(return_address_leaving(config, accounts, secrets, envelope, index, count, &arena,
                                 &address) == OK);
    return address;
}

/* The index that ADDRESS names; -1: it is none of ours. */
static long
named_by(str address)
{
    struct return_address found;

    if (return_address_check(config, accounts, secrets, address, day_one, &arena, &found) ||
        found.kind != RETURN_REPORT)
        return -1;
    return (long)found.path.index;
}

static void
nothing_is_changed_unless_it_is_wanted(void)
{
    struct envelope envelope = message_of("ann@here.example", 1);

    configure("bounces { domain bounces.here.example; }");
    CHECK_STR(leaving(&envelope, 0, 1), "ann@here.example");
}

static void
mail_of_ours_leaves_at_the_bounce_domain(void)
{
    struct envelope envelope = message_of("ann@here.example", 3);
    str address;

    configure("bounces { return_path domain; domain bounces.here.example; }");
    address = leaving(&envelope, 1, 1);
    CHECK(str_ends(address, S("@bounces.here.example")));
    CHECK(str_find(address, '@') <= 64 && named_by(address) == 1);
    CHECK(named_by(leaving(&envelope, 1, 2)) == RETURN_PATH_NOBODY);
}

static void
who_has_neighbours_at_his_domain_is_not_named(void)
{
    struct envelope envelope = message_of("ann@here.example", 3);

    configure("bounces { return_path domain; domain bounces.here.example; }");
    envelope.recipients[2].address = S("eve@FAR0.example");
    CHECK(named_by(leaving(&envelope, 0, 1)) == RETURN_PATH_NOBODY);
    CHECK(named_by(leaving(&envelope, 1, 1)) == 1);
    envelope = message_of("ann@here.example", 101);
    CHECK(named_by(leaving(&envelope, 1, 1)) == RETURN_PATH_NOBODY);
}

static void
mail_of_others_keeps_its_sender(void)
{
    struct envelope envelope = message_of("eve@far.example", 1);

    configure("bounces { return_path domain; domain bounces.here.example; }\n"
              "trust { network 192.0.2.0/24; }");
    envelope.account = S("");
    envelope.door = DOOR_MX;
    CHECK_STR(leaving(&envelope, 0, 1), "eve@far.example");
    CHECK(ipaddr_parse(S("192.0.2.7"), &envelope.client.addr));
    CHECK(named_by(leaving(&envelope, 0, 1)) == 0);
    envelope.door = DOOR_LOCAL;
    envelope.client = (struct endpoint){ 0 };
    CHECK(named_by(leaving(&envelope, 0, 1)) == 0);
    envelope.door = DOOR_BOUNCE;
    CHECK_STR(leaving(&envelope, 0, 1), "eve@far.example");
    envelope.door = DOOR_LOCAL;
    envelope.reverse_path = S("");
    CHECK_STR(leaving(&envelope, 0, 1), "");
}

static void
at_the_senders_domain_only_where_it_is_ours(void)
{
    struct envelope envelope = message_of("ann@Here.Example", 1);
    str address;

    configure("bounces { return_path sender; }");
    address = leaving(&envelope, 0, 1);
    CHECK(str_ends(address, S("@Here.Example")) && named_by(address) == 0);
    envelope.reverse_path = S("ann@far.example");
    CHECK_STR(leaving(&envelope, 0, 1), "ann@far.example");
}

static void
what_has_such_a_sender_already_keeps_it(void)
{
    struct envelope envelope = message_of("ann@here.example", 1);
    str once;

    configure("bounces { return_path sender; }");
    once = leaving(&envelope, 0, 1);
    envelope.reverse_path = once;
    CHECK(str_eq(leaving(&envelope, 0, 1), once));
}

static void
addresses_are_told_by_their_form(void)
{
    static const struct {
        const char *address;
        enum return_kind kind;
    } cases[] = {
        { "bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounces.here.example",
          RETURN_REPORT },
        { "bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@HERE.example", RETURN_REPORT },
        { "bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@far.example", RETURN_NONE },
        { "SRS0=a=b=c=d@srs.here.example", RETURN_SRS },
        { "srs1=a=b=c=d@SRS.here.example", RETURN_SRS },
        { "\"SRS0=a=b=c=d e\"@srs.here.example", RETURN_SRS },
        { "SRS0=a=b=c=d@here.example", RETURN_NONE },
        { "fbl@here.example", RETURN_COMPLAINT },
        { "ann@here.example", RETURN_NONE },
        { "postmaster@bounces.here.example", RETURN_POSTMASTER },
        { "ann@bounces.here.example", RETURN_UNKNOWN },
        { "ann@srs.here.example", RETURN_UNKNOWN },
        { "", RETURN_NONE },
        { "@", RETURN_NONE },
        { "postmaster", RETURN_NONE },
        { "postmaster@mx.host.example", RETURN_POSTMASTER },
        { "PostMaster@MX.Host.Example", RETURN_POSTMASTER },
        { "abuse@mx.host.example", RETURN_POSTMASTER },
        { "ann@mx.host.example", RETURN_NONE },
        { "postmaster@host.example", RETURN_NONE },
    };

    configure("server { hostname mx.host.example; }\n"
              "bounces { domain bounces.here.example; srs_domain srs.here.example;\n"
              "  complaints_to fbl@here.example; }");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum return_kind kind = return_kind_of(config, accounts, str_from(cases[i].address));
        CHECK(kind == cases[i].kind);
        if (kind != cases[i].kind)
            printf("%s\n", cases[i].address);
    }
}

static void
addresses_are_checked_by_their_key(void)
{
    static const char *const nobody[] = {
        "bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounces.here.example",
        "SRS0=abcdefgh=AB=far.example=eve@srs.here.example",
        "ann@bounces.here.example",
    };
    struct return_address found;

    configure("bounces { domain bounces.here.example; srs_domain srs.here.example; }");
    for (size_t i = 0; i < COUNT_OF(nobody); i++)
        CHECK(return_address_check(config, accounts, secrets, str_from(nobody[i]), day_one, &arena,
                                   &found) == ERR_REFUSED);
    CHECK(return_address_check(config, accounts, secrets, S("ann@here.example"), day_one, &arena,
                               &found) == OK);
    CHECK(found.kind == RETURN_NONE);
}

static str
forwarding(const char *sender, bool *too_long)
{
    str address = S("");

    CHECK(return_address_forwarding(config, accounts, secrets, str_from(sender), day_one, &arena,
                                    &address, too_long) == OK);
    return address;
}

static void
strangers_senders_are_rewritten_when_their_mail_goes_on(void)
{
    struct return_address found;
    bool too_long;
    str address;

    configure("bounces { srs_domain srs.here.example; }");
    address = forwarding("eve@far.example", &too_long);
    CHECK(str_starts(address, S("SRS0=")) && str_ends(address, S("@srs.here.example")));
    CHECK(return_address_check(config, accounts, secrets, address, day_one, &arena, &found) == OK);
    CHECK_STR(found.original, "eve@far.example");
    CHECK_STR(forwarding("", &too_long), "");
    CHECK_STR(forwarding("ann@here.example", &too_long), "ann@here.example");
    CHECK(str_eq(forwarding(address.ptr, &too_long), address) && !too_long);
    CHECK_STR(forwarding("a-rather-long-name-of-somebody@a-long-domain.example", &too_long),
              "a-rather-long-name-of-somebody@a-long-domain.example");
    CHECK(too_long);
    configure("");
    CHECK_STR(forwarding("eve@far.example", &too_long), "eve@far.example");
}

static void
all(void *arg)
{
    struct temp_dir dir;
    struct why why = {};
    int64_t id;

    (void)arg;
    temp_dir_make(&dir);
    arena_init(&arena, 10 * 1024 * 1024);
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, &why) == OK);
    CHECK(accounts_add(accounts, S("ann@here.example"), S(""), &id, &why) == OK);
    CHECK(secrets_open(temp_dir_file(&dir, "secrets"), day_one, &secrets, &why) == OK);
    RUN(nothing_is_changed_unless_it_is_wanted);
    RUN(mail_of_ours_leaves_at_the_bounce_domain);
    RUN(who_has_neighbours_at_his_domain_is_not_named);
    RUN(mail_of_others_keeps_its_sender);
    RUN(at_the_senders_domain_only_where_it_is_ours);
    RUN(what_has_such_a_sender_already_keeps_it);
    RUN(addresses_are_told_by_their_form);
    RUN(addresses_are_checked_by_their_key);
    RUN(strangers_senders_are_rewritten_when_their_mail_goes_on);
    config_unref(config);
    secrets_close(secrets);
    accounts_close(accounts);
    arena_done(&arena);
    temp_dir_remove(&dir);
}

int
main(void)
{
    struct runtime_options options = { .simulated = true, .seed = 5 };

    CHECK(runtime_run(&options, all, NULL) == OK);
    return check_end();
}
