/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* world.c: see world.h. */
#include "world.h"

#include "runtime/fiber.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_real;

static bool
set_address(int fd, const char *name, uint32_t address, uint32_t mask)
{
    struct ifreq request = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET };

    strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
    in.sin_addr.s_addr = htonl(address);
    memcpy(&request.ifr_addr, &in, sizeof(in));
    if (ioctl(fd, SIOCSIFADDR, &request))
        return false;
    in.sin_addr.s_addr = htonl(mask);
    memcpy(&request.ifr_netmask, &in, sizeof(in));
    return ioctl(fd, SIOCSIFNETMASK, &request) == 0;
}

static bool
raise_loopback(int fd)
{
    struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

    strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

bool
world_enter_real(void)
{
    int fd;
    bool ok;

    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ok = raise_loopback(fd) && set_address(fd, "lo:1", 0xc0000201, 0xffffff00) &&
         set_address(fd, "lo:2", 0xc6336401, 0xffffff00) &&
         set_address(fd, "lo:3", 0xcb007101, 0xffffff00);
    close(fd);
    is_real = ok;
    return ok;
}

bool
world_is_real(void)
{
    return is_real;
}

static bool
step_needs_simulation(const struct step *step)
{
    switch (step->kind) {
    case STEP_GIVEN:
        return str_find_str(step->text, S("dns ")) >= 0 ||
               str_find_str(step->text, S(" listens ")) >= 0;
    case STEP_AFTER:
        return !str_eq(step->text, S("1s")) && !str_eq(step->text, S("5s"));
    case STEP_SEND:
        return str_find_str(step->text, S("2001:db8")) >= 0;
    default:
        return false;
    }
}

bool
world_can_play(const struct script *script)
{
    for (size_t i = 0; is_real && i < script->count; i++) {
        if (step_needs_simulation(&script->steps[i]))
            return false;
    }
    return true;
}

void
world_pass(duration time)
{
    if (!is_real)
        sim_advance(time);
    else if (fiber_sleep(time))
        return;
}

void
world_settle(void)
{
    if (!is_real)
        sim_settle();
    else
        world_pass(MILLISECONDS(20));
}

void
world_look_again(void)
{
    world_pass(is_real ? MILLISECONDS(100) : SECONDS(1));
}

enum err
world_connect(const struct endpoint *peer, const ipaddr *from, instant deadline,
              struct stream **stream, struct why *why)
{
    if (!is_real && from)
        sim_connect_from(*from);
    return stream_connect(peer, is_real ? from : NULL, deadline, stream, why);
}

void
world_cut(struct stream *stream)
{
    if (!is_real)
        sim_cut(stream);
}
