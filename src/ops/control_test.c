/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* Requests as the command line makes them, on the databases of a stopped server. */
#include "accounts/account.h"
#include "ops/control_call.h"

#include "check.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static char directory[] = "/tmp/outpost-control-XXXXXX";
static struct control_context context;
static struct buf answer; /* All lines of the last answer, each with its end. */

static enum err
emit(void *, str line)
{
    buf_add(&answer, line);
    buf_add_byte(&answer, '\n');
    return OK;
}

static enum err
flush(void *)
{
    return OK;
}

static str
ask(const char *request)
{
    struct control_carrier carrier = { emit, flush, NULL };
    enum err e;

    buf_clear(&answer);
    e = control_run(&context, str_from(request), &carrier);
    CHECK(!e);
    return buf_str(&answer);
}

static bool
says(str text, const char *part)
{
    return str_find_str(text, str_from(part)) >= 0;
}

static void
an_account_is_added_and_shown(void)
{
    CHECK_STR(ask("{\"command\":\"user.add\",\"args\":{\"address\":\"ann@example.org\","
                  "\"password\":\"correct horse\",\"limit\":\"gmail\"}}"),
              "{\"ok\":true,\"message\":\"ann@example.org: added\"}\n");
    ask("{\"command\":\"user.list\"}");
    CHECK(str_starts(buf_str(&answer), S("{\"row\":{\"address\":\"ann@example.org\"")));
    CHECK(says(buf_str(&answer), "\"limit\":\"gmail\""));
    CHECK(str_ends(buf_str(&answer), S("{\"ok\":true}\n")));
    ask("{\"command\":\"user.show\",\"args\":{\"address\":\"ann@example.org\"}}");
    CHECK(str_starts(buf_str(&answer), S("{\"ok\":true,\"document\":{\"address\":")));
}

static void
aliases_and_domains_are_listed(void)
{
    ask("{\"command\":\"alias.add\",\"args\":{\"address\":\"all@example.org\",\"targets\":"
        "[\"ann@example.org\",\"bob@example.net\"]}}");
    ask("{\"command\":\"alias.list\",\"args\":{\"domain\":\"example.org\"}}");
    CHECK(says(buf_str(&answer), "{\"row\":{\"address\":\"all@example.org\",\"target\":"
                                 "\"bob@example.net\"}}\n"));
    ask("{\"command\":\"alias.list\",\"args\":{\"domain\":\"example.net\"}}");
    CHECK_STR(buf_str(&answer), "{\"ok\":true}\n");
    ask("{\"command\":\"domain.list\"}");
    CHECK(says(buf_str(&answer), "\"name\":\"example.org\",\"accounts\":1"));
}

static void
failures_carry_code_exit_and_cure(void)
{
    ask("{\"command\":\"user.show\",\"args\":{\"address\":\"nobody@example.org\"}}");
    CHECK_STR(buf_str(&answer),
              "{\"error\":{\"code\":\"no_such_user\",\"exit\":67,\"message\":\"there is no account "
              "nobody@example.org\",\"cure\":\"'outpost user list' shows them all\"}}\n");
    CHECK(says(ask("{\"command\":\"user.show\"}"), "\"code\":\"missing_argument\",\"exit\":64"));
    CHECK(says(ask("{\"command\":\"user.dance\"}"), "\"code\":\"unknown_command\""));
    CHECK(says(ask("nonsense"), "\"code\":\"bad_request\""));
    CHECK(says(ask("{\"command\":\"queue.list\"}"), "\"code\":\"not_running\",\"exit\":69"));
    CHECK(says(ask("{\"command\":\"user.add\",\"args\":{\"address\":\"a@example.org\",\"limit\":"
                   "\"huge\"}}"),
               "\"code\":\"no_such_limit\""));
    CHECK(says(ask("{\"command\":\"user.add\",\"args\":{\"address\":\"ann@example.org\"}}"),
               "\"code\":\"exists\""));
}

static void
a_rehearsal_changes_nothing(void)
{
    ask("{\"command\":\"user.rm\",\"args\":{\"address\":\"ann@example.org\",\"dry_run\":true}}");
    CHECK(says(buf_str(&answer), "would be removed"));
    CHECK(says(ask("{\"command\":\"user.list\"}"), "ann@example.org"));
    ask("{\"command\":\"user.rm\",\"args\":{\"address\":\"ann@example.org\"}}");
    CHECK(says(buf_str(&answer), "removed"));
    CHECK_STR(ask("{\"command\":\"user.list\"}"), "{\"ok\":true}\n");
}

static void
each_error_has_an_exit_code(void)
{
    CHECK(control_exit_code(OK) == EX_OK);
    CHECK(control_exit_code(ERR_BUSY) == EX_TEMPFAIL);
    CHECK(control_exit_code((enum err)99) == EX_SOFTWARE);
    for (unsigned e = ERR_CLOSED; e <= ERR_UNSUPPORTED; e++)
        CHECK(control_exit_code((enum err)e) >= EX_USAGE);
}

int
main(void)
{
    char path[100];
    struct why why = { "" };

    buf_init(&answer, 1 << 20);
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/directory.db", directory);
    if (accounts_open(path, &context.accounts, &why)) {
        printf("%s\n", why.text);
        return 1;
    }
    RUN(an_account_is_added_and_shown);
    RUN(aliases_and_domains_are_listed);
    RUN(failures_carry_code_exit_and_cure);
    RUN(a_rehearsal_changes_nothing);
    RUN(each_error_has_an_exit_code);
    accounts_close(context.accounts);
    unlink(path);
    snprintf(path, sizeof path, "%s/directory.db-wal", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/directory.db-shm", directory);
    unlink(path);
    rmdir(directory);
    buf_done(&answer);
    return check_end();
}
