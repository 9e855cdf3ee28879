/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_reply.c: `outpost test reply`: which rule decides about a reply, and what it makes us do.
 *
 * It reads the rules itself, so that a file can be tried before the server is told of it.  Start
 * reading at reply_test().
 */
#include "cli/exit.h"
#include "cli/nouns.h"

#include "config/config.h"
#include "config/value.h"
#include "delivery/rules/shaping.h"
#include "formats/json.h"

/* "421 4.7.28 text", as it stands in a log. */
struct said {
    uint16_t code;
    str enhanced;
    str text;
};

static bool
is_enhanced(str word)
{
    size_t dots = 0;

    for (size_t i = 0; i < word.len; i++) {
        if (!ascii_is_digit(word.ptr[i]) && word.ptr[i] != '.')
            return false;
        dots += word.ptr[i] == '.';
    }
    return dots == 2 && word.len <= 11 && (word.ptr[0] == '4' || word.ptr[0] == '5');
}

static bool
said_parse(str line, struct said *said)
{
    uint64_t code;
    str word, rest;

    line = str_trim(line);
    if (line.len < 3 || !str_to_u64(str_head(line, 3), &code) || (code != 0 && code < 200) ||
        code > 599 || (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
        return false;
    said->code = (uint16_t)code;
    said->text = str_trim(str_skip(line, 4));
    said->enhanced = S("");
    (void)str_split(said->text, ' ', &word, &rest);
    if (is_enhanced(word)) {
        said->enhanced = word;
        said->text = str_trim(rest);
    }
    return true;
}

/* --- In words. */

static void
say_recipient(const struct shaping_verdict *verdict, struct buf *out)
{
    if (verdict->bounces) {
        buf_add(out, S("the recipient has failed"));
        return;
    }
    buf_add(out, S("the recipient is tried again"));
    if (verdict->next_host)
        buf_add(out, S(", at the next host at once"));
    if (verdict->retry_after == 0)
        return;
    buf_add(out, verdict->next_host ? S(", later after ") : S(" after "));
    duration_format(verdict->retry_after, out);
    if (verdict->retry_named)
        buf_add(out, S(", as it says"));
}

static void
say_site(const struct shaping_verdict *verdict, struct buf *out)
{
    str whose = verdict->is_providers ? S("all sites of the provider") : S("the site");

    switch (verdict->site) {
    case SITE_NOTHING:
        buf_add(out, S("nothing changes for the site"));
        return;
    case SITE_SLOW:
        buf_addf(out, "%.*s: less at a time", STR_ARG(whose));
        break;
    case SITE_BACK_OFF:
        buf_addf(out, "%.*s: nothing more", STR_ARG(whose));
        break;
    case SITE_SUSPEND_SENDER:
        buf_add(out, S("the sender sends nothing to this provider"));
        break;
    }
    if (verdict->site_for) {
        buf_add(out, S(" for "));
        duration_format(verdict->site_for, out);
    }
}

static int
print(struct call *call, const struct shaping_provider *provider,
      const struct shaping_verdict *verdict)
{
    struct json_writer writer;
    struct buf document, place, rule, recipient, site;

    buf_init(&document, 16384);
    buf_init(&place, 100);
    buf_init(&rule, 4096);
    buf_init(&recipient, 400);
    buf_init(&site, 400);
    shaping_rule_place(verdict->rule, &place);
    if (verdict->rule)
        shaping_rule_format(verdict->rule, &rule);
    say_recipient(verdict, &recipient);
    say_site(verdict, &site);
    json_writer_init(&writer, &document);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "provider", provider ? provider->name : S(""));
    json_put_text(&writer, "class", str_from(reply_class_name(verdict->class)));
    json_put_text(&writer, "place", buf_str(&place));
    json_put_text(&writer, "rule", buf_str(&rule));
    json_put_text(&writer, "recipient", buf_str(&recipient));
    json_put_text(&writer, "site", buf_str(&site));
    json_put_bool(&writer, "bounces", verdict->bounces);
    json_put_bool(&writer, "next_host", verdict->next_host);
    json_put_int(&writer, "retry_after_ms", verdict->retry_after / MILLISECONDS(1));
    json_put_text(&writer, "action", str_from(shaping_site_action_name(verdict->site)));
    json_put_int(&writer, "action_for_ms", verdict->site_for / MILLISECONDS(1));
    json_end_object(&writer);
    if (call->out->format == OUTPUT_JSON) {
        output_document_text(call->out, "outpost.reply/1", NULL, buf_str(&document));
    } else {
        output_line(call->out, "provider   %.*s",
                    STR_ARG(provider ? provider->name : S("none that the rules know")));
        output_line(call->out, "class      %s", reply_class_name(verdict->class));
        output_line(call->out, "rule       %.*s  %.*s", STR_ARG(buf_str(&place)),
                    STR_ARG(buf_str(&rule)));
        output_line(call->out, "recipient  %.*s", STR_ARG(buf_str(&recipient)));
        output_line(call->out, "site       %.*s", STR_ARG(buf_str(&site)));
    }
    buf_done(&site);
    buf_done(&recipient);
    buf_done(&rule);
    buf_done(&place);
    buf_done(&document);
    return EXIT_OK;
}

static int
load_rules(struct call *call, struct shaping **shaping)
{
    struct why why = { "" };
    int exit = call_config(call);

    if (exit)
        return exit;
    if (shaping_of(call->config, shaping, &why))
        return call_fail(call, EXIT_CONFIG, "rules", "see: outpost config check", "%s", why.text);
    return 0;
}

int
reply_test(struct call *call)
{
    str host = str_from(call_text(call, "--host"));
    str domain = str_from(call_text(call, "--domain"));
    const struct shaping_provider *provider;
    struct shaping_verdict verdict;
    struct shaping *shaping = NULL;
    struct said said;
    int exit;

    if (!said_parse(str_from(call->args[0]), &said))
        return call_fail(call, EXIT_USAGE, "reply",
                         "write the whole reply, such as \"450 4.2.0 Greylisted\"",
                         "a reply begins with a code of three digits");
    exit = load_rules(call, &shaping);
    if (exit)
        return exit;
    provider = shaping_provider_of(shaping, &host, host.len > 0, domain);
    shaping_judge(shaping, provider, said.code, said.enhanced, said.text, &verdict);
    if (verdict.class == CLASS_NONE && said.code < 400 && said.code != 0)
        output_line(call->out, "a reply that refuses nothing");
    else
        exit = print(call, provider, &verdict);
    shaping_unref(shaping);
    return exit;
}

const struct flag reply_test_flags[] = {
    { "--host", 0, FLAG_TEXT, "MX", false, "Of the mail server that said it" },
    { "--domain", 0, FLAG_TEXT, "NAME", false, "Of the recipient" },
    { 0 },
};
