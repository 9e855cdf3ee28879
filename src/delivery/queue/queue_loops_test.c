/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_loops_test.c: one loop keeps the time for the deliveries of all: with real loops and a real
 * next hop. */
#include "delivery/queue/queue_world.h"

#include "runtime/wait.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
    struct world world;
    struct latch posted, done;
    struct group group;
    atomic_uint mails;
};

static struct scene scene;

/* The first transaction comes too soon. */
static void
serve_limited(void *arg, struct stream *stream)
{
    enum err e = stream_write(stream, S("220 hop\r\n"));

    (void)arg;
    stream_set_deadline(stream, NEVER);
    while (!e) {
        str line, answer = S("250 ok\r\n");
        e = stream_read_line(stream, 4096, &line);
        if (e)
            break;
        if (str_starts(line, S("MAIL")) && atomic_fetch_add(&scene.mails, 1) == 0) {
            e = stream_write(stream, S("421 4.7.0 too many messages, slow down\r\n"));
            break;
        }
        if (str_starts(line, S("DATA"))) {
            e = stream_write(stream, S("354 go\r\n"));
            while (!e && !str_eq(line, S(".\r\n")))
                e = stream_read_line(stream, 4096, &line);
        }
        if (!e)
            e = stream_write(stream, answer);
    }
    e = stream_flush(stream);
    (void)e;
    stream_close(stream);
}

/* On the loop that does not keep the time. */
static void
post_there(void *arg)
{
    (void)arg;
    post(&scene.world, "me@sender.example", "bob@there.example", 0);
    latch_open(&scene.posted);
    latch_wait_always(&scene.done);
}

static void
start_there(void *arg)
{
    (void)arg;
    group_init(&scene.group);
    CHECK(group_start(&scene.group, post_there, NULL, "post") == OK);
}

static uint16_t
listen_here(struct listener **listener)
{
    struct endpoint endpoint = { addr_of("127.0.0.1"), 0 };
    struct listener_options options = { .name = "hop" };
    struct sockaddr_in bound = {};
    socklen_t size = sizeof(bound);
    struct why why = {};
    int fd = -1;

    CHECK(listener_bind(&endpoint, 16, &fd, &why) == OK);
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
    CHECK(listener_start(fd, &options, serve_limited, NULL, listener) == OK);
    return ntohs(bound.sin_port);
}

static void
open_here(struct world *world, uint16_t port)
{
    struct config_problems problems = {};
    struct why why = {};
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "server { hostname here.example; }\nroute all { domain there.example; to "
                   "smtp://127.0.0.1:%u; }\n",
                   port);
    temp_dir_make(&world->dir);
    world->disk = disk_sim_new(1);
    CHECK(config_parse(str_from(text), "test.conf", &world->config, &problems) == OK);
    CHECK(problems.count == 0);
    config_problems_done(&problems);
    CHECK(accounts_open(temp_dir_file(&world->dir, "directory.db"), &world->accounts, &why) == OK);
    CHECK(mailstore_open(world->dir.path, 10, &world->mailstore, &why) == OK);
    open_queue(world);
}

static void
story(void *arg)
{
    struct world *world = &scene.world;

    (void)arg;
    open_here(world, listen_here(&world->hops[0].listener));
    CHECK(fiber_sleep(MILLISECONDS(100)) == OK);
    runtime_post(1, start_there, NULL);
    latch_wait_always(&scene.posted);
    /* A second's pause, and nothing else that could wake anybody. */
    for (unsigned i = 0; i < 60 && atomic_load(&scene.mails) < 2; i++)
        CHECK(fiber_sleep(MILLISECONDS(100)) == OK);
    CHECK(atomic_load(&scene.mails) == 2);
    latch_open(&scene.done);
    CHECK(fiber_sleep(MILLISECONDS(100)) == OK);
    close_world(world);
}

static void
a_pause_that_another_loop_learnt_of_ends_in_its_time(void)
{
    struct runtime_options options = { .loops = 2 };

    CHECK(runtime_run(&options, story, NULL) == OK);
}

int
main(void)
{
    world_files_in_memory();
    RUN(a_pause_that_another_loop_learnt_of_ends_in_its_time);
    return check_end();
}
