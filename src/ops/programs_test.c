/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* programs_test.c: the process that runs programs, asked as the server asks it. */
#include "ops/programs.h"

#include "check.h"
#include "delivery/program.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int asker;

/* Sends a request; what remains are the ends of the program's input, output and end. */
static void
ask(const char *command, const char *recipient, int ends[PROGRAM_FDS])
{
    char packet[PROGRAM_REQUEST_MAX];
    char control[CMSG_SPACE(sizeof(int) * PROGRAM_FDS)] = {};
    int theirs[PROGRAM_FDS];
    int len = snprintf(packet, sizeof(packet), "%s%cann@here.example%c%s%c01ABC%c", command, 0, 0,
                       recipient, 0, 0);
    struct iovec part = { packet, (size_t)len };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    for (size_t i = 0; i < PROGRAM_FDS; i++) {
        int pair[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        ends[i] = pair[0];
        theirs[i] = pair[1];
    }
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(theirs));
    memcpy(CMSG_DATA(head), theirs, sizeof(theirs));
    CHECK(sendmsg(asker, &message, 0) == len);
    for (size_t i = 0; i < PROGRAM_FDS; i++)
        close(theirs[i]);
}

static struct program_end
end_of(int ends[PROGRAM_FDS], char *output, size_t size)
{
    struct program_end end = { 99, 0 };
    ssize_t got;
    size_t total = 0;

    close(ends[0]);
    while ((got = read(ends[1], output + total, size - 1 - total)) > 0)
        total += (size_t)got;
    output[total] = 0;
    CHECK(read(ends[2], &end, sizeof(end)) == sizeof(end));
    close(ends[1]);
    close(ends[2]);
    return end;
}

static void
a_program_gets_the_message_and_its_words(void)
{
    char output[1000];
    int ends[PROGRAM_FDS];
    struct program_end end;

    ask("/bin/cat", "bob@else.example", ends);
    CHECK(write(ends[0], "hello\n", 6) == 6);
    end = end_of(ends, output, sizeof(output));
    CHECK(end.how == PROGRAM_EXITED && end.number == 0);
    CHECK_STR(str_from(output), "hello\n");
    ask("/bin/echo to {recipient} from {sender} x{sender}", "$(id); *@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK_STR(str_from(output), "to $(id); *@else.example from ann@here.example x{sender}\n");
    ask("/usr/bin/env", "bob@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK_STR(str_from(output), "PATH=/usr/local/bin:/usr/bin:/bin\nSENDER=ann@here.example\n"
                                "RECIPIENT=bob@else.example\nMESSAGE_ID=01ABC\n");
}

static void
its_end_is_told(void)
{
    char output[1000];
    int ends[PROGRAM_FDS];
    struct program_end end;

    ask("/bin/false", "b@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK(end.how == PROGRAM_EXITED && end.number == 1);
    ask("/nonexistent/program", "b@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK(end.how == PROGRAM_FAILED && end.number == 2);
}

static void
only_what_the_configuration_names_is_run(void)
{
    char output[1000];
    int ends[PROGRAM_FDS];
    struct program_end end;

    ask("/bin/cat /etc/passwd", "b@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK(end.how == PROGRAM_UNKNOWN && output[0] == 0);
    ask("/bin/cat ", "b@else.example", ends);
    end = end_of(ends, output, sizeof(output));
    CHECK(end.how == PROGRAM_UNKNOWN);
}

static void
a_program_that_nobody_waits_for_is_killed(void)
{
    int ends[PROGRAM_FDS];
    struct pollfd output;

    ask("/bin/sleep 60", "b@else.example", ends);
    close(ends[2]);
    output = (struct pollfd){ .fd = ends[1], .events = POLLIN };
    CHECK(poll(&output, 1, 10000) == 1 && (output.revents & POLLHUP));
    close(ends[0]);
    close(ends[1]);
}

static void
exit_codes_mean_what_sysexits_says(void)
{
    static const struct {
        struct program_end end;
        unsigned code;
        const char *enhanced;
    } cases[] = {
        { { PROGRAM_EXITED, 0 }, 250, "2.0.0" },  { { PROGRAM_EXITED, 75 }, 451, "4.3.0" },
        { { PROGRAM_EXITED, 67 }, 550, "5.1.1" }, { { PROGRAM_EXITED, 77 }, 550, "5.7.1" },
        { { PROGRAM_EXITED, 1 }, 554, "5.3.0" },  { { PROGRAM_EXITED, 127 }, 451, "4.3.0" },
        { { PROGRAM_KILLED, 9 }, 451, "4.3.0" },  { { PROGRAM_UNKNOWN, 0 }, 451, "4.3.0" },
        { { PROGRAM_BUSY, 0 }, 451, "4.3.0" },    { { 12345, 0 }, 451, "4.3.0" },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned code;
        CHECK_STR(str_from(program_meaning(&cases[i].end, &code)), cases[i].enhanced);
        CHECK(code == cases[i].code);
    }
}

static void
a_packet_that_is_no_request_is_refused(void)
{
    str parts[PROGRAM_PARTS];

    CHECK(!program_request_parse(S(""), parts));
    CHECK(!program_request_parse(S("/bin/cat"), parts));
    CHECK(!program_request_parse(S("\0a\0b\0c\0"), parts));
    CHECK(!program_request_parse(S("/bin/cat\0a\0b\0c\0d"), parts));
    CHECK(program_request_parse(S("/bin/cat\0\0b\0c\0"), parts));
}

int
main(void)
{
    const str commands[] = {
        S("/bin/cat"),      S("/bin/echo to {recipient} from {sender} x{sender}"),
        S("/bin/false"),    S("/nonexistent/program"),
        S("/bin/sleep 60"), S("/usr/bin/env"),
    };
    struct why why;

    CHECK(programs_start(commands, COUNT_OF(commands), "nobody", &asker, &why) == OK);
    RUN(a_program_gets_the_message_and_its_words);
    RUN(its_end_is_told);
    RUN(only_what_the_configuration_names_is_run);
    RUN(a_program_that_nobody_waits_for_is_killed);
    RUN(exit_codes_mean_what_sysexits_says);
    RUN(a_packet_that_is_no_request_is_refused);
    close(asker);
    return check_end();
}
