/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* address_test.c: which mailboxes and paths are taken, and what they come out as. */
#include "formats/address.h"

#include "check.h"

#include <string.h>

static struct arena arena;

struct path_case {
    const char *text;
    const char *formatted; /* NULL: refused. */
    const char *rest;
    enum address_path kind;
};

/* clang-format off */
static const struct path_case paths[] = {
    { "<ann@example.org>", "ann@example.org", "" },
    { "<ann@example.org> SIZE=1", "ann@example.org", " SIZE=1" },
    { "<a.b+c=d@x.example>", "a.b+c=d@x.example", "" },
    { "<>", "", "" },
    { "<> BODY=7BIT", "", " BODY=7BIT" },
    { "<>", NULL, NULL, ADDRESS_FORWARD_PATH },
    { "<postmaster>", "postmaster", "", ADDRESS_FORWARD_PATH },
    { "<PostMaster> NOTIFY=NEVER", "PostMaster", " NOTIFY=NEVER", ADDRESS_FORWARD_PATH },
    { "<postmaster>", NULL },
    { "<hostmaster>", NULL, NULL, ADDRESS_FORWARD_PATH },
    { "<@hop.example:postmaster>", NULL, NULL, ADDRESS_FORWARD_PATH },
    { "<@hop1.example,@hop2.example:alice@local.example>", "alice@local.example", "" },
    { "<@hop1.example,hop2.example:alice@local>", NULL },
    { "<@hop1.example:>", NULL },
    { "<@l>", NULL },
    { "<\"john \\\"q\\\" x\"@local>", "\"john \\\"q\\\" x\"@local", "" },
    { "<\"a b@c\"@x>", "\"a b@c\"@x", "" },
    { "<\"a>b\"@x>", "\"a>b\"@x", "" },
    { "<\"plain\"@x>", "plain@x", "" },
    { "<\"pl\\ain\"@x>", "plain@x", "" },
    { "<\"\"@local>", "\"\"@local", "" },
    { "<\"a..b\"@local>", "\"a..b\"@local", "" },
    { "<\"open@local>", NULL },
    { "<\"a\"b@local>", NULL },
    { "<a\"b\"@local>", NULL },
    { "<\"a\tb\"@local>", NULL },
    { "<\"a\\", NULL },
    { "<x@[192.0.2.1]>", "x@[192.0.2.1]", "" },
    { "<x@[IPv6:2001:db8::1]>", "x@[IPv6:2001:db8::1]", "" },
    { "<x@[2001:db8::1]>", NULL },
    { "<x@[IPv6:192.0.2.1]>", NULL },
    { "<x@[999.1.1.1]>", NULL },
    { "<x@[]>", NULL },
    { "<x@[192.0.2.1>", NULL },
    { "<x@[192.0.2.1]y>", NULL },
    { "<x@192.0.2.1>", NULL },
    { "<alice@local>x", NULL },
    { "<alice@local>>", NULL },
    { "<alice@local>\tSIZE=1", NULL },
    { "<alice@local", NULL },
    { "alice@local", NULL },
    { "<a@l>,<b@l>", NULL },
    { "<alice@>", NULL },
    { "<alice>", NULL },
    { "<@>", NULL },
    { "<", NULL },
    { "", NULL },
    { " <alice@local>", NULL },
    { "<(c)alice@l>", NULL },
    { "<alice @l>", NULL },
    { "< alice@l>", NULL },
    { "<alice@l >", NULL },
    { "<al..ice@l>", NULL },
    { "<.alice@l>", NULL },
    { "<alice.@l>", NULL },
    { "<a@b@c>", NULL },
    { "<a@b..c>", NULL },
    { "<a@b.>", NULL },
    { "<a@.b>", NULL },
    { "<a@-b.c>", NULL },
    { "<a@b-.c>", NULL },
    { "<a@b/c>", NULL },
    { "<;touch MARKER;>", NULL },
    { "<`touch${IFS}MARKER`@x>", "`touch${IFS}MARKER`@x", "" },
    { "<${run{\\x2Fbin}}@localhost>", NULL },
    { "<victim%else.test@local>", "victim%else.test@local", "" },
    { "<else.test!victim@local>", "else.test!victim@local", "" },
    { "<j\xc3\xb6rg@example.org>", "j\xc3\xb6rg@example.org", "" },
    { "<a@b\xc3\xbc" "cher.example>", "a@b\xc3\xbc" "cher.example", "" },
    { "<\xc0\xaf@example.org>", NULL },
    { "<\x80@example.org>", NULL },
    { "<\xed\xa0\x80@example.org>", NULL },
    { "<\xf4\x90\x80\x80@example.org>", NULL },
    { "<a\xe2\x82@example.org>", NULL },
    { "<\"\\\xc3\xb6\"@example.org>", NULL },
    { "<a\xe2\x80\xae" "b@example.org>", NULL },
    { "<a\xc2\x85" "b@example.org>", NULL },
    { "<a@b\xe2\x80\xae.example>", NULL },
    { "<a@b\xff.example>", NULL },
};
/* clang-format on */

static void
paths_are_taken_strictly(void)
{
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const struct path_case *c = &paths[i];
        struct address address;
        str rest, text;
        enum err e = address_parse_path(str_from(c->text), c->kind, &arena, &address, &rest);

        if (!!e != !c->formatted)
            printf("%s: %s\n", c->text, err_name(e));
        CHECK(!e == !!c->formatted);
        if (e || !c->formatted)
            continue;
        CHECK(address_text(&address, &arena, &text));
        CHECK_STR(text, c->formatted);
        CHECK_STR(rest, c->rest);
        CHECK(address.is_utf8 == !str_is_ascii(text));
    }
}

static void
a_nul_never_ends_an_address(void)
{
    struct address address;
    str rest;

    CHECK(address_parse_path(S("<alice@local\0@evil>"), ADDRESS_FORWARD_PATH, &arena, &address,
                             &rest) == ERR_SYNTAX);
    CHECK(address_parse_path(S("<al\0ice@local>"), ADDRESS_FORWARD_PATH, &arena, &address, &rest) ==
          ERR_SYNTAX);
    CHECK(address_parse(S("alice@b\xc3\xbc\0c"), &arena, &address) == ERR_SYNTAX);
}

/* "<", LOCAL times "a", "@", LABELS labels of LABEL letters with dots between, ">". */
static enum err
parse_long(size_t local, size_t labels, size_t label)
{
    struct address address;
    struct buf text;
    str rest;
    enum err e;

    buf_init(&text, 8192);
    buf_add_byte(&text, '<');
    for (size_t i = 0; i < local; i++)
        buf_add_byte(&text, 'a');
    buf_add_byte(&text, '@');
    for (size_t i = 0; i < labels; i++) {
        if (i)
            buf_add_byte(&text, '.');
        for (size_t k = 0; k < label; k++)
            buf_add_byte(&text, 'b');
    }
    buf_add_byte(&text, '>');
    e = address_parse_path(buf_str(&text), ADDRESS_FORWARD_PATH, &arena, &address, &rest);
    buf_done(&text);
    return e;
}

static void
lengths_have_ceilings(void)
{
    CHECK(parse_long(64, 2, 10) == OK);
    CHECK(parse_long(128, 4, 63) == OK);
    CHECK(parse_long(129, 2, 10) == ERR_SYNTAX);
    CHECK(parse_long(400, 2, 10) == ERR_SYNTAX);
    CHECK(parse_long(5, 6, 63) == ERR_SYNTAX);
    CHECK(parse_long(5, 1, 64) == ERR_SYNTAX);
    CHECK(parse_long(5, 1000, 1) == ERR_SYNTAX);
}

static void
a_mailbox_is_the_whole_text(void)
{
    struct address address;

    CHECK(address_parse(S("ann@example.org"), &arena, &address) == OK);
    CHECK_STR(address.local, "ann");
    CHECK_STR(address.domain, "example.org");
    CHECK(!address_is_null(&address));
    CHECK(address_parse(S("ann@example.org "), &arena, &address) == ERR_SYNTAX);
    CHECK(address_parse(S("ann"), &arena, &address) == ERR_SYNTAX);
    CHECK(address_parse(S(""), &arena, &address) == ERR_SYNTAX);
    CHECK(address_parse(S("@hop:ann@example.org"), &arena, &address) == ERR_SYNTAX);
}

static void
a_full_arena_is_a_refusal(void)
{
    struct arena small;
    struct address address;

    arena_init(&small, 8);
    CHECK(address_parse(S("ann@example.org"), &small, &address) == ERR_LIMIT);
    arena_done(&small);
}

static void
spellings_of_one_address_are_equal(void)
{
    struct address a, b;

    CHECK(address_parse(S("\"ann\"@Example.ORG"), &arena, &a) == OK);
    CHECK(address_parse(S("ann@example.org"), &arena, &b) == OK);
    CHECK(address_eq(&a, &b));
    CHECK(address_parse(S("Ann@example.org"), &arena, &b) == OK);
    CHECK(!address_eq(&a, &b));
}

static void
the_canonical_form_is_one(void)
{
    /* clang-format off */
    static const char *const pairs[][2] = {
        { "Ann.Lee@Example.ORG", "ann.lee@example.org" },
        { "a@B\xc3\x9c" "cher.example", "a@xn--bcher-kva.example" },
        { "a@bu\xcc\x88" "cher.example", "a@xn--bcher-kva.example" },
        { "a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example" },
        { "jo\xcc\x88rg@x.example", "j\xc3\xb6rg@x.example" },
        { "J\xc3\x96RG@x.example", "j\xc3\xb6rg@x.example" },
        { "x@[IPV6:2001:DB8:0::1]", "x@[IPv6:2001:db8::1]" },
        { "x@[192.0.2.1]", "x@[192.0.2.1]" },
        { "fa\xc3\x9f@fa\xc3\x9f.de", "fa\xc3\x9f@xn--fa-hia.de" },
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct address a, canonical;
        str text;

        CHECK(address_parse(str_from(pairs[i][0]), &arena, &a) == OK);
        CHECK(address_canonical(&a, &arena, &canonical) == OK);
        CHECK(address_text(&canonical, &arena, &text));
        CHECK_STR(text, pairs[i][1]);
    }
}

static void
a_literal_tells_its_ip(void)
{
    struct address a;
    ipaddr ip;
    char text[IPADDR_TEXT_MAX];

    CHECK(address_parse(S("x@[192.0.2.7]"), &arena, &a) == OK);
    CHECK(address_is_literal(&a, &ip));
    ipaddr_format(ip, text);
    CHECK_STR(str_from(text), "192.0.2.7");
    CHECK(address_parse(S("x@example.org"), &arena, &a) == OK);
    CHECK(!address_is_literal(&a, NULL));
}

static void
domains_are_host_names(void)
{
    CHECK(domain_is_valid(S("localhost")));
    CHECK(domain_is_valid(S("a-b.example")));
    CHECK(domain_is_valid(S("_x.example")));
    CHECK(domain_is_valid(S("1.2.3.4a")));
    CHECK(!domain_is_valid(S("")));
    CHECK(!domain_is_valid(S("1.2.3.4")));
    CHECK(!domain_is_valid(S("a b")));
    CHECK(!domain_is_valid(S("a.example.")));
    CHECK(!domain_is_valid(S("[192.0.2.1]")));
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(paths_are_taken_strictly);
    RUN(a_nul_never_ends_an_address);
    RUN(lengths_have_ceilings);
    RUN(a_mailbox_is_the_whole_text);
    RUN(a_full_arena_is_a_refusal);
    RUN(spellings_of_one_address_are_equal);
    RUN(the_canonical_form_is_one);
    RUN(a_literal_tells_its_ip);
    RUN(domains_are_host_names);
    arena_done(&arena);
    return check_end();
}
