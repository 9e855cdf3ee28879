/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_path.c: the id and the index, in and out of a local part.  The token is opened before
 * anything in it is looked at.  Start reading at return_path_read(). */
#include "delivery/returns/return_path.h"

#include "base/must.h"
#include "formats/base32.h"
#include "trust/token.h"

#include <string.h>

enum {
    ID_SIZE = sizeof(((msgid *)0)->bytes),
    PAYLOAD_SIZE = ID_SIZE + 2,
};

static_assert(RETURN_PATH_LETTERS == BASE32_LETTERS(PAYLOAD_SIZE + TOKEN_MAC_SIZE),
              "the form is that of the token");
static_assert(RETURN_PATH_LOCAL_SIZE <= 64, "RFC 5321 4.5.3.1.1");

void
return_path_write(struct secrets *secrets, const struct return_path *path, struct buf *local)
{
    char payload[PAYLOAD_SIZE];

    must(path->index <= RETURN_PATH_NOBODY);
    memcpy(payload, path->message.bytes, ID_SIZE);
    payload[ID_SIZE] = (char)(path->index >> 8);
    payload[ID_SIZE + 1] = (char)path->index;
    buf_add(local, S(RETURN_PATH_PREFIX));
    /* A text that is too long for its buf is the buf's to tell. */
    (void)token_seal(secrets, TOKEN_RETURN, (str){ payload, sizeof(payload) }, local);
}

bool
return_path_is_one(str local)
{
    uint8_t bytes[PAYLOAD_SIZE + TOKEN_MAC_SIZE];
    str prefix = S(RETURN_PATH_PREFIX);
    size_t len;

    return local.len == RETURN_PATH_LOCAL_SIZE && str_starts_nocase(local, prefix) &&
           base32_decode(str_skip(local, prefix.len), bytes, sizeof(bytes), &len) == OK;
}

enum err
return_path_read(struct secrets *secrets, str local, instant now, duration keep,
                 struct return_path *path)
{
    uint8_t payload[PAYLOAD_SIZE];
    msgid message;
    size_t len;
    enum err e;

    if (!return_path_is_one(local))
        return ERR_SYNTAX;
    e = token_open(secrets, TOKEN_RETURN, str_skip(local, strlen(RETURN_PATH_PREFIX)), payload,
                   sizeof(payload), &len);
    if (e)
        return e;
    must(len == PAYLOAD_SIZE);
    memcpy(message.bytes, payload, ID_SIZE);
    if (msgid_instant(message) + keep < now)
        return ERR_TIMEOUT;
    *path = (struct return_path){
        .message = message,
        .index = (uint32_t)payload[ID_SIZE] << 8 | payload[ID_SIZE + 1],
    };
    return OK;
}
