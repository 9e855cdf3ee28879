/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_words.c: who failed, out of plain words.
 *
 * There are as many fashions as mail servers, and more languages; yet nearly all put the address at
 * the front of a line (bare, in brackets, in quotes, behind a label) with the reason behind or
 * below it, and the original under a heading.  So the text is cut at that heading, and lines are
 * taken by how clearly they name somebody:
 *
 *   leading    "<bob@x>:", "  bob@x", "Recipient address: bob@x"
 *   inline     "Your message to bob@x could not be delivered", "550 <bob@x>... User unknown"
 *   detail     "To: bob@x" among the particulars of the original
 *
 * Only the clearest class that was found counts.  The sender and who signs the report are named,
 * too; they never count.  None of it counts unless the letter as a whole is a report: see
 * is_report().  Start reading at report_read_words().
 */
#include "formats/report_words.h"

#include "formats/report_fields.h"
#include "formats/report_phrases.h"
#include "formats/report_text.h"

enum {
    BLOCK_MAX = 64 * 1024, /* Before the original. */
    FOLDED_MAX = 16 * 1024,
    LINE_LOOKED_AT = 2000,
    FOUND_MAX = 200,
    REASON_MAX = 4000,
    REASON_LINES_MAX = 60,
    SHARED_MAX = 20,
    HEADING_MAX = 160,
    SENTENCE_MAX = 800
};

enum clearness {
    DETAIL,
    INLINE,
    LEADING,
};

struct found {
    str address;
    enum clearness clearness;
    str reason; /* From behind the address to before the next one. */
};

struct reading {
    const struct report_letter *letter;
    struct report *report;
    struct arena *arena;
    str block;  /* The text up to the original. */
    str folded; /* The same, folded. */
    struct found *found;
    size_t count;
    bool has_original;
};

enum err
report_visible_text(const struct report_parts *parts, size_t number, struct arena *arena, str *text)
{
    const struct report_part *html = NULL;
    enum err e;
    str bytes;

    *text = S("");
    for (size_t i = 0; i < parts->count; i++) {
        const struct report_part *part = &parts->list[i];

        if (report_part_is(part, "text/html") && !html)
            html = part;
        if (!report_part_is(part, "text/plain") && !report_part_is(part, "text"))
            continue;
        if (number-- == 0)
            return report_part_decode(part, arena, text);
    }
    if (!html || number > 0)
        return OK;
    e = report_part_decode(html, arena, &bytes);
    return e ? e : report_html_text(bytes, arena, text);
}

/* Where the original begins. */

/* "----- Original message -----", "Original message headers:", "Original message follows." */
static bool
is_heading(str line)
{
    static const char *const rules[] = { "--", "**", "==", "__" };
    char room[HEADING_MAX];
    bool ruled = false;
    str folded;

    line = str_trim(line);
    if (line.len < 6 || line.len > HEADING_MAX)
        return false;
    folded = report_fold(line, room, sizeof(room));
    if (str_starts(folded, S("+++++++++++++++")))
        return true;
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        ruled |= str_starts(folded, str_from(rules[i]));
    ruled |= str_ends(folded, S(":")) || str_ends(folded, S("\xef\xbc\x9a")) ||
             str_find_str(folded, S("follow")) >= 0 || str_find_str(folded, S("below")) >= 0;
    return ruled && report_body_says(folded, REPORT_SAYS_ORIGINAL);
}

/* A header section that nobody announced. */
static bool
is_trace(str line)
{
    return str_starts_nocase(line, S("Received: from ")) ||
           str_starts_nocase(line, S("Received: by ")) ||
           str_starts_nocase(line, S("Return-Path: <"));
}

static void
cut_at_original(struct reading *in, str text, str *original)
{
    str rest = text, line;

    *original = S("");
    while (report_next_line(&rest, &line)) {
        size_t before = (size_t)(line.ptr - text.ptr);

        if (!is_heading(line) && !is_trace(line))
            continue;
        /* A heading with nobody before it is one of the report itself. */
        if (str_find(str_head(text, before), '@') < 0 && before < 400 && is_heading(line))
            continue;
        in->has_original = true;
        *original = str_skip(text, before);
        text = str_head(text, before);
        break;
    }
    in->block = str_head(text, BLOCK_MAX);
}

/* Is it a report at all? */

static bool
has_diagnostic(str text)
{
    return report_find_code(text) || report_find_status(text).len;
}

/* The header, the words and what comes with them must agree.  A person who writes about a bounce
 * has another From; a list has its own fields; who wants a click returns no original. */
static bool
is_report(const struct reading *in)
{
    const struct report_letter *letter = in->letter;
    bool original = in->has_original || letter->returns_original;
    bool subject = report_says_failure(in->report->subject) ||
                   report_says_delay(in->report->subject) || in->report->subject.len == 0;
    bool body = report_body_says(in->folded, REPORT_SAYS_FAILURE) ||
                report_body_says(in->folded, REPORT_SAYS_DELAY) ||
                report_body_says(in->folded, REPORT_SAYS_SUCCESS);
    int points = letter->from_daemon * 2 + letter->has_null_path + subject * 2 + body * 2 +
                 original * 2 + (letter->failed_field.len > 0) * 3 + has_diagnostic(in->folded);

    if (letter->is_list || letter->is_answer || (!body && !letter->failed_field.len))
        return false;
    if (!letter->from_daemon && !letter->failed_field.len &&
        !(letter->has_null_path && original && subject))
        return false;
    if (!original && report_body_says(in->folded, REPORT_SAYS_BAIT))
        return false;
    if (report_says_auto_reply(in->report->subject))
        return false;
    return points >= 6;
}

/* Lines. */

static str
without_bullet(str line)
{
    static const char *const bullets[] = { "*", "-", "+", "\xe2\x80\xa2", "\xc2\xb7", "o " };

    line = str_trim(line);
    for (size_t i = 0; i < COUNT_OF(bullets); i++) {
        str bullet = str_from(bullets[i]);

        if (str_starts(line, bullet) && line.len > bullet.len + 1 &&
            (line.ptr[bullet.len] == ' ' || str_ends(bullet, S(" "))))
            return str_trim(str_skip(line, bullet.len));
    }
    return line;
}

/* Behind an address that stands for itself: nothing, a colon, a remark, a date, dots, or a reason.
 */
static bool
is_end_of_name(str rest)
{
    char room[300];

    while (rest.len && str_find(S(" \t>\"'"), rest.ptr[0]) >= 0)
        rest = str_skip(rest, 1);
    if (rest.len == 0 || str_find(S(":(,;|<["), rest.ptr[0]) >= 0 || str_starts(rest, S("...")) ||
        str_starts(rest, S("- ")) || str_starts_nocase(rest, S("on ")) ||
        str_starts(rest, S("\xe2\x80\xa6")) || str_starts(rest, S("=>")) ||
        str_starts(rest, S("\xef\xbc\x9a")) || str_starts(rest, S("/")))
        return true;
    if (str_eq(rest, S(".")) || has_diagnostic(str_head(rest, sizeof(room))))
        return true;
    return report_body_says(report_fold(rest, room, sizeof(room)), REPORT_SAYS_REASON);
}

struct label {
    const char *text;
    enum clearness clearness;
};

/* clang-format off */
static const struct label labels[] = {
    { "recipient:", LEADING }, { "recipients:", LEADING }, { "recipient address:", LEADING },
    { "recipient's address:", LEADING }, { "failed recipient:", LEADING }, { "failed recipients:", LEADING },
    { "failed address:", LEADING }, { "failed addresses:", LEADING }, { "bad address:", LEADING },
    { "original address:", DETAIL }, { "unknown user:", LEADING }, { "unknown local user:", LEADING },
    { "invalid final delivery userid:", LEADING }, { "undeliverable to:", LEADING },
    { "undeliverable to ", LEADING },
    { "user mailbox exceeds allowed size:", LEADING }, { "rcpt to:", LEADING }, { "to address:", LEADING },
    { "delivery failed to:", LEADING }, { "delivery failed for:", LEADING }, { "failed to deliver to ", LEADING },
    { "could not deliver to:", LEADING }, { "could not be delivered to:", LEADING },
    { "not delivered to:", LEADING },
    { "undelivered to:", LEADING }, { "undelivered recipient:", LEADING }, { "intended recipient:", LEADING },
    { "destination address:", LEADING }, { "destination:", LEADING }, { "receiver:", LEADING },
    { "final-recipient:", LEADING }, { "final recipient:", LEADING }, { "original-recipient:", LEADING },
    { "original recipient:", LEADING }, { "x-failed-recipients:", LEADING }, { "failed to:", LEADING },
    { "user:", LEADING }, { "mailbox:", LEADING }, { "address:", LEADING }, { "e-mail address:", LEADING },
    { "email address:", LEADING }, { "email:", LEADING }, { "forward-path:", LEADING },
    { "empf\xc3\xa4nger:", LEADING }, { "empfaenger:", LEADING }, { "an:", DETAIL },
    { "empf\xc3\xa4ngeradresse:", LEADING }, { "empf\xc3\xa4nger-adresse:", LEADING },
    { "destinataire :", LEADING }, { "destinataire:", LEADING }, { "destinataires :", LEADING },
    { "\xc3\xa0 :", DETAIL },
    { "destinatario:", LEADING }, { "destinatarios:", LEADING }, { "destinat\xc3\xa1rio:", LEADING },
    { "destinatari:", LEADING }, { "para:", DETAIL }, { "ontvanger:", LEADING }, { "ontvangers:", LEADING },
    { "mottagare:", LEADING }, { "modtager:", LEADING }, { "mottaker:", LEADING }, { "vastaanottaja:", LEADING },
    { "odbiorca:", LEADING }, { "al\xc4\xb1" "c\xc4\xb1:", LEADING },
    { "\xd0\xbf\xd0\xbe\xd0\xbb\xd1\x83\xd1\x87\xd0\xb0\xd1\x82\xd0\xb5\xd0\xbb\xd1\x8c:", LEADING }, /* получатель */
    { "\xd0\xb0\xd0\xb4\xd1\x80\xd0\xb5\xd1\x81\xd0\xb0\xd1\x82:", LEADING },                         /* адресат */
    { "\xd0\xba\xd0\xbe\xd0\xbc\xd1\x83:", DETAIL },                                                 /* кому */
    { "\xe6\x94\xb6\xe4\xbb\xb6\xe4\xba\xba:", LEADING },
    { "\xe6\x94\xb6\xe4\xbb\xb6\xe4\xba\xba\xef\xbc\x9a", LEADING }, /* 收件人 */
    { "\xe6\x94\xb6\xe4\xbf\xa1\xe4\xba\xba\xef\xbc\x9a", LEADING },                                 /* 收信人 */
    { "\xe5\xae\x9b\xe5\x85\x88:", LEADING }, { "\xe5\xae\x9b\xe5\x85\x88\xef\xbc\x9a", LEADING },   /* 宛先 */
    { "to:", DETAIL }, { "to ", DETAIL },
};

/* Who names himself, or the sender. */
static const char *const sender_labels[] = {
    "from:", "from ", "sender:", "mail from", "return-path:", "reply-to:", "cc:", "original sender:", "sent by",
    "message-id:", "contact", "dear ", "hello ", "hi ", "envelope", "x-", "postmaster", "von:", "de :", "de:",
    "helo", "ehlo",
    "reporting-mta:", "message id", "absender", "exp\xc3\xa9" "diteur", "remitente", "mittente", "afzender",
    "in-reply-to:", "references:",
};
/* clang-format on */

static bool
starts_with_sender(str line)
{
    for (size_t i = 0; i < COUNT_OF(sender_labels); i++)
        if (str_starts_nocase(line, str_from(sender_labels[i])))
            return true;
    return false;
}

/* REST is what follows the label. */
static const struct label *
label_of(str line, str *rest)
{
    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        str text = str_from(labels[i].text);

        if (str_starts_nocase(line, text)) {
            *rest = str_trim(str_skip(line, text.len));
            return &labels[i];
        }
    }
    return NULL;
}

static bool
is_known_other(const struct reading *in, str address)
{
    return str_eq_nocase(address, in->report->from);
}

static void
add_found(struct reading *in, str address, enum clearness clearness, str rest)
{
    if (in->count == FOUND_MAX || is_known_other(in, address)) {
        in->report->is_cut |= in->count == FOUND_MAX;
        return;
    }
    in->found[in->count++] =
        (struct found){ .address = address, .clearness = clearness, .reason = rest };
}

/* "a@x, b@x; c@x": all of them. */
static bool
add_leading(struct reading *in, str line, enum clearness clearness)
{
    str address, rest;

    if (!report_address_at(line, &address, &rest) || !is_end_of_name(rest))
        return false;
    add_found(in, address, clearness, rest);
    while (rest.len && str_find(S(",; \t>\"'"), rest.ptr[0]) >= 0) {
        str next = str_skip(rest, 1);

        if (report_address_at(str_trim(next), &address, &rest))
            add_found(in, address, clearness, rest);
        else
            rest = next;
    }
    return true;
}

/* Does the sentence around LINE say that something failed?  BEFORE and AFTER are its neighbours. */
static bool
sentence_fails(str before, str line, str after)
{
    const str pieces[] = { str_head(before, 200), str_head(line, 400), str_head(after, 198) };
    char room[SENTENCE_MAX];
    size_t len = 0;

    if (has_diagnostic(line))
        return true;
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        len += report_fold(pieces[i], room + len, sizeof(room) - len - 1).len;
        if (len && room[len - 1] != ' ')
            room[len++] = ' ';
    }
    return report_body_says((str){ room, len }, REPORT_SAYS_FAILURE);
}

static void
add_inline(struct reading *in, str before, str line, str after)
{
    str address, rest = line;

    if (str_find(line, '@') < 0 || starts_with_sender(line) || !sentence_fails(before, line, after))
        return;
    while (report_address_in(rest, &address, &rest)) {
        if (str_starts_nocase(address, S("postmaster@")) || str_eq_nocase(address, in->report->to))
            continue;
        add_found(in, address, INLINE, rest);
        return;
    }
}

/* "A message sent by", and the sender in the next line. */
static bool
introduces_sender(str before)
{
    static const char *const ends[] = {
        " by", " from", " from:", "sender:", " by:", "sender", "von"
    };

    before = str_trim(before);
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (str_ends_nocase(before, str_from(ends[i])))
            return true;
    return false;
}

static void
read_line(struct reading *in, str before, str line, str after)
{
    str trimmed = without_bullet(line), rest;
    const struct label *label;

    if (str_starts(trimmed, S(">")) || introduces_sender(before))
        return;
    label = label_of(trimmed, &rest);
    if (!label && add_leading(in, trimmed, LEADING))
        return;
    if (label && add_leading(in, rest, label->clearness))
        return;
    if (label && label->clearness == LEADING && str_find(rest, '<') >= 0 &&
        add_leading(in, str_skip(rest, (size_t)str_find(rest, '<')), LEADING))
        return;
    add_inline(in, before, trimmed, after);
}

static void
read_block(struct reading *in)
{
    str rest = in->block, before = {}, line = {}, after = {};
    bool more = report_next_line(&rest, &line);

    while (more && in->count < FOUND_MAX) {
        more = report_next_line(&rest, &after);
        /* The line that counts as the one before is not an empty one. */
        read_line(in, before, str_head(line, LINE_LOOKED_AT), more ? after : S(""));
        if (str_trim(line).len)
            before = line;
        line = after;
    }
}

/* Reasons. */

/* From behind each address to the next other one, or to the end of the block. */
static void
bound_reasons(struct reading *in)
{
    const char *end = in->block.ptr + in->block.len;

    for (size_t i = in->count; i-- > 0;) {
        struct found *found = &in->found[i];

        if (i + 1 < in->count && !str_eq_nocase(found->address, found[1].address))
            end = found[1].address.ptr;
        found->reason.len = MIN((size_t)(end - found->reason.ptr), REASON_MAX);
    }
}

/* The paragraph that has a number in it, from the number on; else the first with any words. */
static str
best_words(str reason)
{
    str first = {};

    for (size_t lines = 0; reason.len && lines < REASON_LINES_MAX; lines++) {
        ssize_t gap = str_find_str(reason, S("\n\n"));
        ssize_t gap_cr = str_find_str(reason, S("\n\r\n"));
        size_t size = reason.len;
        str paragraph, status;
        ssize_t code;

        if (gap >= 0)
            size = (size_t)gap;
        if (gap_cr >= 0 && (size_t)gap_cr < size)
            size = (size_t)gap_cr;
        paragraph = str_trim(str_head(reason, size));
        reason = str_skip(reason, size + 1);
        while (paragraph.len && str_find(S(":>\"').,;- \t\r\n"), paragraph.ptr[0]) >= 0)
            paragraph = str_skip(paragraph, 1);
        if (first.len == 0)
            first = paragraph;
        code = report_code_position(paragraph);
        status = report_find_status(paragraph);
        if (status.len && (code < 0 || status.ptr < paragraph.ptr + code))
            code = status.ptr - paragraph.ptr;
        /* "Sorry, no mailbox here by that name. (#5.1.1)": the sentence is in front of it. */
        if (code > 0 && paragraph.ptr[code - 1] == '#')
            return paragraph;
        if (code >= 0)
            return str_skip(paragraph, (size_t)code);
    }
    return first;
}

/* A transcript elsewhere in the block may name the address and the answer in one line. */
static str
line_about(const struct reading *in, str address)
{
    str rest = in->block, line;

    while (report_next_line(&rest, &line)) {
        line = str_head(line, LINE_LOOKED_AT);
        if (str_find_str(line, address) >= 0 && report_find_code(line))
            return line;
    }
    return S("");
}

static bool
is_alone(const struct reading *in)
{
    for (size_t i = 1; i < in->count; i++)
        if (!str_eq_nocase(in->found[i].address, in->found[0].address))
            return false;
    return true;
}

static bool
fill_recipient(struct reading *in, const struct found *found, enum report_action action,
               struct report_recipient *r)
{
    str words = best_words(found->reason), line;

    r->action = action;
    if (!report_find_code(words) && in->count <= SHARED_MAX) {
        line = line_about(in, found->address);
        if (line.len)
            words = line;
    }
    /* Of the only one, the answer may stand above, too. */
    if (!has_diagnostic(words) && is_alone(in) && has_diagnostic(best_words(in->block)))
        words = best_words(in->block);
    if (!report_clean(words, REPORT_TEXT_MAX, in->arena, &line) ||
        !report_clean(found->address, REPORT_ADDRESS_MAX, in->arena, &r->final) ||
        !report_clean(report_find_remote(str_head(found->reason, REASON_MAX)), REPORT_ADDRESS_MAX,
                      in->arena, &r->remote))
        return false;
    r->code = report_find_code(str_head(line, 300));
    r->status = report_find_status(str_head(line, 300));
    r->text = report_without_code(line);
    return true;
}

static enum report_action
action_of(const struct reading *in)
{
    bool final = report_body_says(in->folded, REPORT_SAYS_FINAL);

    if (report_says_delay(in->report->subject) && !final)
        return REPORT_DELAYED;
    if (report_body_says(in->folded, REPORT_SAYS_DELAY) && !final &&
        !report_says_end(in->report->subject))
        return REPORT_DELAYED;
    if (report_body_says(in->folded, REPORT_SAYS_SUCCESS) &&
        !report_body_says(in->folded, REPORT_SAYS_FAILURE))
        return REPORT_DELIVERED;
    return REPORT_FAILED;
}

/* The clearest class; the sender's own address only where a reason stands with it. */
static bool
counts(const struct reading *in, const struct found *found, enum clearness best)
{
    if (found->clearness != best)
        return false;
    if (!str_eq_nocase(found->address, in->report->to))
        return true;
    return best == LEADING && has_diagnostic(str_head(found->reason, 300));
}

static enum err
add_recipients(struct reading *in)
{
    enum report_action action = action_of(in);
    enum clearness best = DETAIL;

    for (size_t i = 0; i < in->count; i++)
        if (!str_eq_nocase(in->found[i].address, in->report->to))
            best = MAX(best, in->found[i].clearness);
    for (size_t i = 0; i < in->count; i++) {
        struct report_recipient recipient = {};
        enum err e;

        if (!counts(in, &in->found[i], best))
            continue;
        if (!fill_recipient(in, &in->found[i], action, &recipient))
            return ERR_LIMIT;
        e = report_add_recipient(in->report, &recipient, in->arena);
        if (e)
            return e;
    }
    return OK;
}

/* X-Failed-Recipients: a list by who knows; the words only add the reasons. */
static enum err
add_failed_field(struct reading *in)
{
    enum report_action action = action_of(in);
    str rest = in->letter->failed_field, address;

    while (report_address_in(rest, &address, &rest)) {
        struct found found = { .address = address, .reason = in->block };
        struct report_recipient recipient = {};
        enum err e;

        for (size_t i = 0; i < in->count; i++)
            if (str_eq_nocase(in->found[i].address, address))
                found.reason = in->found[i].reason;
        if (!fill_recipient(in, &found, action, &recipient))
            return ERR_LIMIT;
        e = report_add_recipient(in->report, &recipient, in->arena);
        if (e)
            return e;
    }
    return OK;
}

enum err
report_read_words(const struct report_letter *letter, str text, struct arena *arena,
                  struct report *report, str *original)
{
    struct reading in = { .letter = letter, .report = report, .arena = arena };

    char *room;

    cut_at_original(&in, text, original);
    in.found = arena_new_array(arena, struct found, FOUND_MAX);
    room = arena_alloc(arena, FOLDED_MAX);
    if (!in.found || !room)
        return ERR_LIMIT;
    in.folded = report_fold(in.block, room, FOLDED_MAX);
    if (!is_report(&in))
        return OK;
    read_block(&in);
    bound_reasons(&in);
    if (letter->failed_field.len)
        return add_failed_field(&in);
    return add_recipients(&in);
}
