/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* The command lines that programs really use. */
#include "cli/sendmail_args.h"

#include "check.h"

#include <stdarg.h>

enum {
    WORDS_MAX = 16
};

static struct arena arena;
static struct why why;

static enum err
parse(struct sendmail_args *args, const char *first, ...)
{
    static char *argv[WORDS_MAX];
    int argc = 0;
    va_list list;

    arena_clear(&arena);
    va_start(list, first);
    for (const char *word = first; word && argc < WORDS_MAX; word = va_arg(list, const char *))
        argv[argc++] = (char *)word;
    va_end(list);
    return sendmail_parse(argc, argv, &arena, args, &why);
}

static void
cron_sends_with_its_own_flags(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "/usr/sbin/sendmail", "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root",
                 NULL));
    CHECK(args.mode == SENDMAIL_SEND);
    CHECK_STR(args.full_name, "CronDaemon");
    CHECK(args.keep_dots);
    CHECK(args.body == BODY_8BITMIME);
    CHECK(args.recipient_count == 1);
    CHECK_STR(args.recipients[0], "root");
}

static void
php_takes_recipients_from_the_header(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "sendmail", "-t", "-i", "-fshop@example.org", NULL));
    CHECK(args.from_headers && args.keep_dots && args.has_from);
    CHECK_STR(args.from, "shop@example.org");
    CHECK(args.recipient_count == 0);
}

static void
long_options_of_old_say_what_is_demanded(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "sendmail", "-O", "RequireTLS=true", "x@example.org", NULL));
    CHECK(args.require_tls && !args.keep_dots && args.recipient_count == 1);
    CHECK(!parse(&args, "sendmail", "-OIgnoreDots", "x@example.org", NULL));
    CHECK(!args.require_tls && args.keep_dots);
}

static void
letters_may_stand_in_one_word(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "sendmail", "-tif", "<ann@example.org>", "-odi", "--", "-x@example.org",
                 NULL));
    CHECK(args.from_headers && args.keep_dots);
    CHECK_STR(args.from, "ann@example.org");
    CHECK(args.recipient_count == 1);
    CHECK_STR(args.recipients[0], "-x@example.org");
}

static void
an_empty_sender_is_the_null_path(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "sendmail", "-f", "<>", "ann@example.org", NULL));
    CHECK(args.has_from);
    CHECK(args.from.len == 0);
}

static void
the_name_of_the_program_chooses(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "/usr/bin/mailq", NULL));
    CHECK(args.mode == SENDMAIL_LIST_QUEUE);
    CHECK(!parse(&args, "newaliases", NULL));
    CHECK(args.mode == SENDMAIL_ALIASES);
    CHECK(!parse(&args, "sendmail", "-bs", NULL));
    CHECK(args.mode == SENDMAIL_SMTP);
    CHECK(!parse(&args, "sendmail", "-q", NULL));
    CHECK(args.mode == SENDMAIL_FLUSH);
}

static void
reports_are_asked_for(void)
{
    struct sendmail_args args;

    CHECK(!parse(&args, "sendmail", "-N", "failure,delay", "-R", "hdrs", "-V", "env-1", "a@b.c",
                 NULL));
    CHECK(args.notify == (NOTIFY_FAILURE | NOTIFY_DELAY));
    CHECK(args.ret == RETURN_HEADERS);
    CHECK_STR(args.envid, "env-1");
    CHECK(parse(&args, "sendmail", "-N", "never,delay", NULL) == ERR_SYNTAX);
    CHECK(parse(&args, "sendmail", "-N", "often", NULL) == ERR_SYNTAX);
}

static void
what_we_do_not_do_is_refused(void)
{
    struct sendmail_args args;

    CHECK(parse(&args, "sendmail", "-bd", NULL) == ERR_SYNTAX);
    CHECK(parse(&args, "sendmail", "-q30m", NULL) == ERR_SYNTAX);
    CHECK(parse(&args, "sendmail", "-Z", NULL) == ERR_SYNTAX);
    CHECK(parse(&args, "sendmail", "-f", NULL) == ERR_SYNTAX);
    CHECK_STR(str_from(why.text), "-f needs a value");
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(cron_sends_with_its_own_flags);
    RUN(php_takes_recipients_from_the_header);
    RUN(long_options_of_old_say_what_is_demanded);
    RUN(letters_may_stand_in_one_word);
    RUN(an_empty_sender_is_the_null_path);
    RUN(the_name_of_the_program_chooses);
    RUN(reports_are_asked_for);
    RUN(what_we_do_not_do_is_refused);
    arena_done(&arena);
    return check_end();
}
