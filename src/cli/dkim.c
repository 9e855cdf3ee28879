/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim.c: `outpost dkim`: the keys that sign our mail. */
#include "cli/ask.h"

static const struct column list_columns[] = {
    { "domain", NULL, COLUMN_ID, false },   { "selector", NULL, COLUMN_ID, false },
    { "algorithm", NULL, COLUMN_TEXT, false }, { "state", NULL, COLUMN_STATE, false },
    { "since", NULL, COLUMN_AGE, false },   { "seen", "IN THE DNS", COLUMN_TEXT, false },
    { "record", NULL, COLUMN_TEXT, true },  { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column new_columns[] = {
    { "name", "NAME (TXT)", COLUMN_ID, false },
    { "record", NULL, COLUMN_ID, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    if (call->arg_count)
        json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    if (call_has(call, "--no-dns"))
        json_put_bool(&ask.writer, "offline", true);
    return ask_list(&ask, "dkim.list", "outpost.dkim.key/1", list_columns,
                    "no keys: 'outpost dkim new DOMAIN' makes the first");
}

static int
run_new(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    if (call_has(call, "--algorithm"))
        json_put_text(&ask.writer, "algorithm", str_from(call_text(call, "--algorithm")));
    if (call_has(call, "--selector"))
        json_put_text(&ask.writer, "selector", str_from(call_text(call, "--selector")));
    if (call_has(call, "--force"))
        json_put_bool(&ask.writer, "force", true);
    return ask_list(&ask, "dkim.new", "outpost.dkim.key/1", new_columns, "nothing was made");
}

static int
change(struct call *call, const char *command)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    json_put_text(&ask.writer, "selector", str_from(call->args[1]));
    if (call_has(call, "--force"))
        json_put_bool(&ask.writer, "force", true);
    return ask_do(&ask, command);
}

static int
run_sign(struct call *call)
{
    return change(call, "dkim.sign");
}

static int
run_retire(struct call *call)
{
    return change(call, "dkim.retire");
}

static int
run_revoke(struct call *call)
{
    int exit = call_confirm(call, "destroy this key");

    return exit ? (exit == EXIT_STOP ? 0 : exit) : change(call, "dkim.revoke");
}

static int
run_rm(struct call *call)
{
    int exit = call_confirm(call, "remove this key");

    return exit ? (exit == EXIT_STOP ? 0 : exit) : change(call, "dkim.rm");
}

/* One domain, perhaps with a selector. */
static int
change_domain(struct call *call, const char *command)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    if (call->arg_count > 1)
        json_put_text(&ask.writer, "selector", str_from(call->args[1]));
    if (call_has(call, "--force"))
        json_put_bool(&ask.writer, "force", true);
    return ask_do(&ask, command);
}

static int
run_publish(struct call *call)
{
    return change_domain(call, "dkim.publish");
}

static int
run_rotate(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "domain", str_from(call->args[0]));
    if (call_has(call, "--force"))
        json_put_bool(&ask.writer, "force", true);
    return ask_list(&ask, "dkim.rotate", "outpost.dkim.key/1", new_columns,
                    "no key waits for its record");
}

static int
run_undo(struct call *call)
{
    return change_domain(call, "dkim.undo");
}

static const struct flag list_flags[] = {
    { "--no-dns", 0, FLAG_NONE, NULL, false, "Do not ask the DNS whether the records are there" },
    { 0 },
};

static const struct flag new_flags[] = {
    { "--algorithm", 0, FLAG_CHOICE, "both|rsa|ed25519", false, "What to make; both, when not given" },
    { "--selector", 0, FLAG_TEXT, "NAME", false, "Its selector; from the day, when not given" },
    { "--force", 0, FLAG_NONE, NULL, false, "Even if the domain is not one of ours" },
    { 0 },
};

static const struct flag sign_flags[] = {
    { "--force", 0, FLAG_NONE, NULL, false, "Even if its record is not seen in the DNS" },
    { 0 },
};

static const struct flag own_flags[] = {
    { "--force", 0, FLAG_NONE, NULL, false, "Even if the domain is not one of ours" },
    { 0 },
};

static const struct flag withdraw_flags[] = {
    { "--force", 0, FLAG_NONE, NULL, false, "Even if the record cannot be withdrawn" },
    { 0 },
};

/* clang-format off */
const struct command dkim_commands[] = {
    { .verb = "list", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_LIST, .flags = list_flags,
      .summary = "List the keys that sign, and whether the DNS has their records",
      .text = "A new key signs once its record has been seen for dkim.settle; the key that signed before is "
              "retired then, and revoked after dkim.overlap. With a DOMAIN everybody is asked: our resolver, "
              "those of dkim.resolvers, and every server of the zone; --json tells who sees what.",
      .run = run_list, .examples = { "outpost dkim list example.org", "", "outpost dkim list --json", "" } },
    { .verb = "new", .args = "DOMAIN", .args_min = 1, .args_max = 1,
      .uses = USES_SERVER | USES_LIST | USES_CHANGES, .flags = new_flags,
      .summary = "Make new keys for a domain, and print the records to publish",
      .text = "The first keys of a domain, or the next ones: then this is how a rotation begins. Nothing "
              "is signed with a key before its record is seen.",
      .run = run_new,
      .examples = { "outpost dkim new example.org", "one RSA and one Ed25519 key",
                    "outpost dkim new example.org --algorithm rsa --selector mail", "" } },
    { .verb = "sign", .args = "DOMAIN SELECTOR", .args_min = 2, .args_max = 2,
      .uses = USES_SERVER | USES_CHANGES, .flags = sign_flags,
      .summary = "Let a key sign now; the one that signed before is retired",
      .text = "Also the way back: a retired key signs again.", .run = run_sign,
      .examples = { "outpost dkim sign example.org r20261127", "" } },
    { .verb = "rotate", .args = "DOMAIN", .args_min = 1, .args_max = 1,
      .uses = USES_SERVER | USES_LIST | USES_CHANGES, .flags = own_flags,
      .summary = "Begin with the next keys of a domain, or show what a rotation waits for",
      .text = "New keys are made beside those that sign. Where a dns_update block lets the server write the "
              "zone, it publishes their records; otherwise they are printed, to be put there by hand. Once "
              "everybody has seen them for dkim.settle they sign; the old ones are revoked when nothing that "
              "they signed can be on its way: after dkim.overlap and delivery.expire, and when no mail of "
              "that time waits.",
      .run = run_rotate,
      .examples = { "outpost dkim rotate example.org", "", "outpost dkim list example.org", "how far it is" } },
    { .verb = "undo", .args = "DOMAIN", .args_min = 1, .args_max = 1,
      .uses = USES_SERVER | USES_CHANGES, .flags = withdraw_flags,
      .summary = "Go one step of a rotation back",
      .text = "New keys that do not sign yet are removed, with their records; else the keys that signed before "
              "sign again; else the records of keys that were revoked last come back.",
      .run = run_undo,
      .examples = { "outpost dkim undo example.org", "",
                    "outpost dkim undo example.org --dry-run", "what it would do" } },
    { .verb = "publish", .args = "DOMAIN [SELECTOR]", .args_min = 1, .args_max = 2,
      .uses = USES_SERVER | USES_CHANGES,
      .summary = "Write the records of keys into the zone, by dns_update",
      .text = "The server does so by itself for new keys; this does it now, and in place of whatever stands there.",
      .run = run_publish,
      .examples = { "outpost dkim publish example.org", "",
                    "outpost dkim publish example.org r20261127", "" } },
    { .verb = "retire", .args = "DOMAIN SELECTOR", .args_min = 2, .args_max = 2,
      .uses = USES_SERVER | USES_CHANGES,
      .summary = "Sign no more with a key; its record stays for what is on its way", .run = run_retire,
      .examples = { "outpost dkim retire example.org r20260101", "" } },
    { .verb = "revoke", .args = "DOMAIN SELECTOR", .args_min = 2, .args_max = 2,
      .uses = USES_SERVER | USES_DESTROYS,
      .summary = "Destroy the private half of a retired key", .run = run_revoke,
      .examples = { "outpost dkim revoke example.org r20260101 --yes --reason stolen", "" } },
    { .verb = "rm", .args = "DOMAIN SELECTOR", .args_min = 2, .args_max = 2,
      .uses = USES_SERVER | USES_DESTROYS, .flags = withdraw_flags,
      .summary = "Forget a key that does not sign; its record can go, too", .run = run_rm,
      .examples = { "outpost dkim rm example.org r20260101 --yes --reason rotated", "" } },
    { 0 },
};
/* clang-format on */
