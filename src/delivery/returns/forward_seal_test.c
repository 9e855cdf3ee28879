/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* forward_seal_test.c: which copies of aliases are sealed, and what is said of the others. */
#include "delivery/queue/queue_world.h"

#include "delivery/returns/forward_seal.h"

static const char signed_text[] =
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=far.example; s=s; h=from;\r\n"
    " bh=Ck5SoRNWUpSR4X0COv7R5ub2pUTtl6xz4dTFz++ji4M=; b=AAAA\r\n"
    "From: me@far.example\r\n\r\nbody\r\n";
static const char chained_text[] =
    "ARC-Seal: i=1; cv=none; a=rsa-sha256; d=far.example; s=s; b=AAAA\r\n"
    "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=far.example; s=s; h=from;\r\n"
    " bh=Ck5SoRNWUpSR4X0COv7R5ub2pUTtl6xz4dTFz++ji4M=; b=AAAA\r\n"
    "ARC-Authentication-Results: i=1; far.example; arc=none\r\n"
    "From: me@far.example\r\n\r\nbody\r\n";

/* What the hop heard of one message for ALIAS. */
static str
pass_on(struct world *world, const char *alias, const char *content)
{
    struct hop *hop = &world->hops[0];
    size_t before = hop->text_len;
    ssize_t at;

    world->content = content;
    post(world, "me@sender.example", alias, 0);
    sim_advance(SECONDS(20));
    at = str_find_str((str){ hop->text + before, hop->text_len - before }, S("DATA\r\n"));
    CHECK(at >= 0 && spooled(world) == 0);
    return (str){ hop->text + before + at + 6, hop->text_len - before - (size_t)at - 6 };
}

static void
make_world(struct world *world)
{
    struct why why = {};

    hop_at(world, 0, "198.51.100.1");
    world->is_from_outside = true;
    CHECK(accounts_add_alias(world->accounts, S("all@here.example"), S("bob@there.example"),
                             &why) == OK);
    CHECK(keyring_add(world->keyring, S("here.example"), S("r"), S("rsa"), clock_now(), &why) ==
          OK);
    CHECK(keyring_set_state(world->keyring, S("here.example"), S("r"), KEY_ACTIVE, clock_now(),
                            &why) == OK);
    sim_dns_fail("s._domainkey.far.example", DNS_TEMPORARY);
}

static void
story_sealed(struct world *world)
{
    str text;

    make_world(world);
    text = pass_on(world, "all@here.example", NULL);
    CHECK(str_starts(text, S("ARC-Seal: i=1; cv=none; a=rsa-sha256;\r\n\td=here.example; s=r;")));
    CHECK(str_find_str(text, S("i=1; here.example;\r\n\tarc=none\r\n"
                               "\tsmtp.mailfrom=me@sender.example;\r\n\tdkim=none\r\n"
                               "Delivered-To: all@here.example\r\nFrom: ")) > 0);
    text = pass_on(world, "all@here.example", signed_text);
    CHECK(str_starts(text, S("ARC-Seal: i=1;")));
    CHECK(str_find_str(text, S("dkim=temperror (the DNS does not answer for the key)")) > 0);
}

static void
what_comes_from_outside_is_sealed(void)
{
    in_world(story_sealed, plain_config);
}

static void
story_unsealed(struct world *world)
{
    struct why why = {};

    make_world(world);
    CHECK(str_starts(pass_on(world, "all@here.example", chained_text), S("Delivered-To:")));
    world->is_from_outside = false;
    CHECK(str_starts(pass_on(world, "all@here.example", NULL), S("Delivered-To:")));
    world->is_from_outside = true;
    CHECK(keyring_set_state(world->keyring, S("here.example"), S("r"), KEY_RETIRED, clock_now(),
                            &why) == OK);
    CHECK(keyring_add(world->keyring, S("here.example"), S("e"), S("ed25519"), clock_now(), &why) ==
          OK);
    CHECK(keyring_set_state(world->keyring, S("here.example"), S("e"), KEY_ACTIVE, clock_now(),
                            &why) == OK);
    CHECK(str_starts(pass_on(world, "all@here.example", NULL), S("Delivered-To:")));
}

static void
a_chain_of_which_nobody_knows_and_what_begins_here_and_a_domain_without_rsa_are_not(void)
{
    in_world(story_unsealed, plain_config);
}

static void
story_large(struct world *world)
{
    size_t size = (size_t)FORWARD_SEAL_HEADER_MAX + 100;
    char *text = malloc(size);
    size_t at = 0;

    make_world(world);
    at += (size_t)snprintf(text, size, "From: me@sender.example\r\n");
    while (at + 70 < size)
        at += (size_t)snprintf(text + at, size - at, "Comments: %050d\r\n", 1);
    snprintf(text + at, size - at, "\r\nbody\r\n");
    CHECK(strlen(text) > FORWARD_SEAL_HEADER_MAX);
    CHECK(str_starts(pass_on(world, "all@here.example", text), S("Delivered-To:")));
    free(text);
}

static void
a_header_section_beyond_the_ceiling_goes_on_without(void)
{
    in_world(story_large, plain_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(what_comes_from_outside_is_sealed);
    RUN(a_chain_of_which_nobody_knows_and_what_begins_here_and_a_domain_without_rsa_are_not);
    RUN(a_header_section_beyond_the_ceiling_goes_on_without);
    return check_end();
}
