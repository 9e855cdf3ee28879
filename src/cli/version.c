/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* version.c: outpost version.  The smallest command: a model for others. */
#include "cli/nouns.h"

#include <openssl/crypto.h>
#include <sqlite3.h>

static int
version(struct call *call)
{
    struct json_writer writer;
    struct buf text;

    buf_init(&text, 4096);
    json_writer_init(&writer, &text);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "version", S(OUTPOST_VERSION));
    json_put_text(&writer, "openssl", str_from(OpenSSL_version(OPENSSL_VERSION_STRING)));
    json_put_text(&writer, "sqlite", str_from(sqlite3_libversion()));
    json_end_object(&writer);
    if (call->out->format == OUTPUT_JSON)
        output_document_text(call->out, "outpost.version/1", NULL, buf_str(&text));
    else
        output_line(call->out, "outpost %s", OUTPOST_VERSION);
    buf_done(&text);
    return EXIT_OK;
}

const struct command version_commands[] = {
    {
        .summary = "The version of this program",
        .run = version,
        .examples = { "outpost version --json", "with those of its libraries" },
    },
    { 0 },
};
