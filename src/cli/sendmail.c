/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail.c: what cron, mailx and PHP call.
 *
 * The message goes into DATA/maildrop (ops/maildrop.h), synced to the disk, whether the server runs
 * or not; the exit code 0 is the promise.  With -bs the same is done for each message of an SMTP
 * conversation on stdin and stdout.  Start reading at sendmail_main().
 */
#include "cli/sendmail.h"

#include "cli/command.h"
#include "cli/sendmail_args.h"
#include "cli/sendmail_message.h"
#include "cli/sendmail_smtp.h"
#include "config/config.h"
#include "ops/maildrop.h"
#include "runtime/clock.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    MEMORY_MAX = 64 << 20,
    INPUT_SIZE = 64 * 1024
};

static const char *
base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

bool
sendmail_is_meant(int argc, char **argv)
{
    const char *name = base_name(argc ? argv[0] : NULL);

    return !strcmp(name, "sendmail") || !strcmp(name, "mailq") || !strcmp(name, "newaliases") ||
           (argc > 1 && !strcmp(argv[1], "sendmail"));
}

static int
say(int exit, const char *text)
{
    fprintf(stderr, "sendmail: %s\n", text);
    return exit;
}

static int
load_config(const char *path, struct config **config)
{
    struct config_problems problems = { 0 };
    const char *from_environment = getenv("OUTPOST_CONFIG");
    int exit = 0;

    if (!path)
        path = from_environment && from_environment[0] ? from_environment
                                                       : "/etc/outpost/outpost.conf";
    if (config_load(path, config, &problems)) {
        fprintf(stderr, "sendmail: %s: %s\n", path,
                problems.count ? problems.items[0].text : "cannot be read");
        exit = EX_CONFIG;
    }
    config_problems_done(&problems);
    return exit;
}

/* The envelope's sender: -f, or the user who calls, at this host. */
static bool
find_sender(const struct sendmail_args *args, const struct config *config, struct arena *arena,
            str *sender, str *full_name)
{
    const struct passwd *user = getpwuid(getuid());
    str name = args->has_from ? args->from : str_from(user ? user->pw_name : "nobody");

    *full_name = args->full_name;
    if (!full_name->len && user && !args->has_from)
        (void)str_split(str_from(user->pw_gecos), ',', full_name, &(str){ 0 });
    *sender = name;
    if (!name.len || str_find(name, '@') >= 0)
        return true;
    return arena_printf(arena, sender, "%.*s@%.*s", STR_ARG(name),
                        STR_ARG(config->server.hostname));
}

static void
write_to_drop(void *arg, str bytes)
{
    maildrop_write(arg, bytes);
}

static int
read_input(struct sendmail_message *message)
{
    char *bytes = malloc(INPUT_SIZE);
    ssize_t got = 1;

    while (bytes && got > 0 && !message->ended && !message->error) {
        got = read(STDIN_FILENO, bytes, INPUT_SIZE);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            sendmail_message_add(message, (str){ bytes, (size_t)got });
    }
    free(bytes);
    return got < 0 ? say(EX_IOERR, "the message cannot be read") : 0;
}

/* One envelope for all recipients. */
static enum err
commit(struct maildrop **drop, const struct sendmail_args *args,
       const struct sendmail_message *message, str sender, struct why *why)
{
    struct envelope envelope = {
        .received_at = clock_now(),
        .door = DOOR_LOCAL,
        .protocol = S("local"),
        .reverse_path = sender,
        .body = message->has_8bit || args->body == BODY_8BITMIME ? BODY_8BITMIME : BODY_7BIT,
        .smtputf8 = !str_is_ascii(sender),
        .ret = args->ret,
        .envid = args->envid,
        .tls_wish = args->require_tls ? TLS_REQUIRED : TLS_AS_USUAL,
        .size = maildrop_size(*drop),
        .recipient_count = message->recipient_count,
    };
    struct recipient *recipients =
        arena_new_array(message->arena, struct recipient, message->recipient_count);

    if (!recipients || message->recipient_count > RECIPIENTS_MAX)
        return err_why(why, ERR_LIMIT, "too many recipients");
    for (size_t i = 0; i < message->recipient_count; i++) {
        recipients[i] =
            (struct recipient){ .address = message->recipients[i], .notify = args->notify };
        envelope.smtputf8 = envelope.smtputf8 || !str_is_ascii(message->recipients[i]);
    }
    envelope.recipients = recipients;
    return maildrop_commit(drop, &envelope, why);
}

static int
code_of(enum err e)
{
    switch (e) {
    case ERR_SYNTAX:
        return EX_DATAERR;
    case ERR_LIMIT:
        return EX_UNAVAILABLE;
    case ERR_IO:
        return EX_IOERR;
    default:
        return EX_TEMPFAIL;
    }
}

static int
send_into(struct maildrop **drop, const struct sendmail_args *args,
          struct sendmail_message *message)
{
    struct why why = { "" };
    enum err e = OK;
    int exit;

    for (size_t i = 0; i < args->recipient_count && !e; i++)
        e = sendmail_message_add_recipients(message, args->recipients[i]);
    if (e)
        return say(EX_USAGE, message->why.text);
    exit = read_input(message);
    if (exit)
        return exit;
    if (sendmail_message_end(message))
        return say(code_of(message->error), message->why.text);
    if (!message->recipient_count)
        return say(EX_USAGE, "no recipients; name them, or use -t");
    e = commit(drop, args, message, message->from, &why);
    return e ? say(code_of(e), why.text) : EX_OK;
}

WAITS static int
send_message(const struct sendmail_args *args, const struct config *config, struct arena *arena)
{
    struct sendmail_message message = {
        .dot_ends = !args->keep_dots,
        .collect = args->from_headers,
        .arena = arena,
        .write = write_to_drop,
    };
    OWN(maildrop) drop = NULL;
    struct why why = { "" };
    enum err e;
    int exit;

    if (!find_sender(args, config, arena, &message.from, &message.full_name))
        return say(EX_UNAVAILABLE, "the sender is too long");
    e = maildrop_begin(config, &drop, &why);
    if (e)
        return say(EX_TEMPFAIL, why.text);
    message.arg = drop;
    sendmail_message_init(&message);
    exit = send_into(&drop, args, &message);
    sendmail_message_done(&message);
    return exit;
}

/* mailq and sendmail -q are commands of the queue. */
static int
run_queue(const struct sendmail_args *args)
{
    static char *const list[] = { "outpost", "queue", "list", NULL };
    static char *const flush[] = { "outpost", "queue", "retry", "--all", NULL };

    if (args->config)
        setenv("OUTPOST_CONFIG", args->config, 1);
    if (args->mode == SENDMAIL_FLUSH)
        return cli_run(4, (char **)flush);
    return cli_run(3, (char **)list);
}

WAITS static int
run(const struct sendmail_args *args, struct arena *arena)
{
    struct config *config = NULL;
    int exit;

    if (args->mode == SENDMAIL_ALIASES) {
        printf("aliases are kept by 'outpost alias', and hold as soon as they are added\n");
        return EX_OK;
    }
    if (args->mode == SENDMAIL_LIST_QUEUE || args->mode == SENDMAIL_FLUSH)
        return run_queue(args);
    exit = load_config(args->config, &config);
    if (exit)
        return exit;
    if (args->mode == SENDMAIL_SMTP)
        exit = sendmail_smtp(config);
    else
        exit = send_message(args, config, arena);
    config_unref(config);
    return exit;
}

WAITS int
sendmail_main(int argc, char **argv)
{
    struct sendmail_args args;
    struct arena arena;
    struct why why = { "" };
    int exit;

    if (argc > 1 && !strcmp(base_name(argv[0]), "outpost") && !strcmp(argv[1], "sendmail")) {
        argc--;
        argv++;
    }
    arena_init(&arena, MEMORY_MAX);
    if (sendmail_parse(argc, argv, &arena, &args, &why))
        exit = say(EX_USAGE, why.text);
    else
        exit = run(&args, &arena);
    arena_done(&arena);
    return exit;
}
