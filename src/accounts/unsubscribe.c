/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* unsubscribe.c: tokens of links, and what they do.
 *
 * A payload is one byte for its version, two for the day, then scope, list and recipient, parted by
 * NUL.  It is believed only after its MAC was checked.  Start reading at unsubscribe_apply().
 */
#include "accounts/unsubscribe.h"

#include "accounts/suppression_inside.h"
#include "formats/base32.h"
#include "trust/token.h"

enum {
    PAYLOAD_VERSION = 1,
    PAYLOAD_HEAD = 3,
    BOUNDARY_MAX = 70, /* RFC 2046 5.1.1 */
};

enum err
unsubscribe_token(struct secrets *secrets, const struct unsubscribe *what, instant now,
                  struct buf *text)
{
    uint16_t day = token_day(now);
    struct buf payload;
    enum err e = ERR_LIMIT;

    buf_init(&payload, TOKEN_PAYLOAD_MAX);
    buf_add_u8(&payload, PAYLOAD_VERSION);
    buf_add_u8(&payload, (uint8_t)(day >> 8));
    buf_add_u8(&payload, (uint8_t)day);
    buf_add(&payload, what->scope);
    buf_add_byte(&payload, '\0');
    buf_add(&payload, what->list);
    buf_add_byte(&payload, '\0');
    buf_add(&payload, what->recipient);
    if (buf_ok(&payload) && BASE32_LETTERS(payload.len + TOKEN_MAC_SIZE) <= UNSUBSCRIBE_TOKEN_MAX)
        e = token_seal(secrets, TOKEN_UNSUBSCRIBE, buf_str(&payload), text);
    buf_done(&payload);
    return e;
}

static enum err
read_payload(str payload, instant now, struct arena *arena, struct unsubscribe *what)
{
    str names = str_skip(payload, PAYLOAD_HEAD);
    struct unsubscribe read;
    uint16_t day, today = token_day(now);

    if (payload.len < PAYLOAD_HEAD || payload.ptr[0] != PAYLOAD_VERSION ||
        !str_split(names, '\0', &read.scope, &names) ||
        !str_split(names, '\0', &read.list, &read.recipient))
        return ERR_SYNTAX;
    day = (uint16_t)((uint8_t)payload.ptr[1] << 8 | (uint8_t)payload.ptr[2]);
    if (today > day && today - day > UNSUBSCRIBE_DAYS)
        return ERR_TIMEOUT;
    return arena_copy(arena, read.scope, &what->scope) &&
                   arena_copy(arena, read.list, &what->list) &&
                   arena_copy(arena, read.recipient, &what->recipient)
               ? OK
               : ERR_LIMIT;
}

enum err
unsubscribe_read(struct secrets *secrets, str token, instant now, struct arena *arena,
                 struct unsubscribe *what)
{
    uint8_t payload[TOKEN_PAYLOAD_MAX];
    size_t size;
    enum err e;

    if (!secrets || !token.len || token.len > UNSUBSCRIBE_TOKEN_MAX)
        return ERR_SYNTAX;
    e = token_open(secrets, TOKEN_UNSUBSCRIBE, token, payload, sizeof(payload), &size);
    if (e)
        return e == ERR_LIMIT ? ERR_SYNTAX : e;
    return read_payload((str){ (const char *)payload, size }, now, arena, what);
}

/* --- The body of a POST. */

static bool
is_pair(str text)
{
    return str_eq(text, S("List-Unsubscribe=One-Click"));
}

static bool
form_says_so(str body)
{
    str pair;

    while (body.len) {
        str rest = S("");
        (void)str_split(body, '&', &pair, &rest);
        if (is_pair(str_trim(pair)))
            return true;
        body = rest;
    }
    return false;
}

static bool
find_boundary(str content_type, str *boundary)
{
    ssize_t at = str_find_nocase(content_type, S("boundary="));
    str rest;

    if (at < 0)
        return false;
    *boundary = str_skip(content_type, (size_t)at + sizeof("boundary=") - 1);
    if (str_starts(*boundary, S("\"")))
        (void)str_split(str_skip(*boundary, 1), '"', boundary, &rest);
    else
        (void)str_split(*boundary, ';', boundary, &rest);
    *boundary = str_trim(*boundary);
    return boundary->len > 0 && boundary->len <= BOUNDARY_MAX;
}

/* One part: its fields, an empty line, its value. */
static bool
part_says_so(str part)
{
    ssize_t end = str_find_str(part, S("\r\n\r\n"));
    str fields;

    if (end < 0)
        return false;
    fields = str_head(part, (size_t)end);
    return str_find_nocase(fields, S("name=\"List-Unsubscribe\"")) >= 0 &&
           str_eq(str_trim(str_skip(part, (size_t)end)), S("One-Click"));
}

static bool
multipart_says_so(str content_type, str body)
{
    str boundary;
    ssize_t at;

    if (!find_boundary(content_type, &boundary))
        return false;
    while ((at = str_find_str(body, boundary)) >= 0) {
        str part;
        body = str_skip(body, (size_t)at + boundary.len);
        at = str_find_str(body, boundary);
        /* Before the next boundary stand CRLF and two hyphens. */
        part = at >= 4 ? str_head(body, (size_t)at - 4) : S("");
        if (part_says_so(part))
            return true;
    }
    return false;
}

bool
unsubscribe_is_one_click(str content_type, str body)
{
    str type = str_trim(content_type);

    if (body.len > UNSUBSCRIBE_BODY_MAX)
        return false;
    if (str_starts_nocase(type, S("multipart/form-data")))
        return multipart_says_so(type, body);
    return (!type.len || str_starts_nocase(type, S("application/x-www-form-urlencoded"))) &&
           form_says_so(body);
}

/* --- What a token does. */

WAITS enum err
unsubscribe_apply(struct suppression *list, struct secrets *secrets, str token,
                  enum unsubscribe_way way, str source, instant now, struct arena *arena,
                  struct unsubscribe *what, struct why *why)
{
    static const char *const ways[] = { [UNSUBSCRIBE_LOOK] = "",
                                        [UNSUBSCRIBE_POST] = "by one click",
                                        [UNSUBSCRIBE_MAIL] = "by mail",
                                        [UNSUBSCRIBE_OPERATOR] = "by an operator" };
    struct suppression_news news = { .reason = SUPPRESSION_UNSUBSCRIBE, .source = source };
    enum err e = unsubscribe_read(secrets, token, now, arena, what);

    if (e || way == UNSUBSCRIBE_LOOK)
        return e;
    news.account = what->scope;
    news.list = what->list;
    news.recipient = what->recipient;
    news.text = str_from(ways[way]);
    return suppression_learn(list, &news, now, NULL, why);
}

struct undoing {
    const struct unsubscribe *what;
    struct arena *arena;
    int64_t ids[1];
    size_t count;
};

static enum err
note_id(void *arg, const struct suppression_entry *entry)
{
    struct undoing *undoing = arg;

    if (str_eq(entry->list, undoing->what->list) && undoing->count == 0)
        undoing->ids[undoing->count++] = entry->id;
    return OK;
}

WAITS enum err
unsubscribe_undo(struct suppression *list, struct secrets *secrets, str token, instant now,
                 struct arena *arena, struct unsubscribe *what, struct why *why)
{
    struct suppression_query query = { .has_scope = true,
                                       .has_reason = true,
                                       .reason = SUPPRESSION_UNSUBSCRIBE };
    struct undoing undoing = { .what = what, .arena = arena };
    size_t removed = 0;
    bool more;
    enum err e = unsubscribe_read(secrets, token, now, arena, what);

    if (e)
        return e;
    query.list = what->list;
    if (suppression_spell(what->recipient, arena, &query.address) ||
        suppression_spell(what->scope, arena, &query.scope))
        return ERR_SYNTAX;
    e = suppression_each(list, &query, now, 0, note_id, &undoing, &more, why);
    if (!e && undoing.count)
        e = suppression_remove(list, undoing.ids, undoing.count, &removed, why);
    if (!e && !removed)
        return ERR_NOT_FOUND;
    return e;
}
