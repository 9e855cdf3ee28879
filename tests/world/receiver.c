/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* receiver.c: the receiving sites: one small SMTP server with the manners of each.
 *
 * Limits are checked when a connection or a MAIL comes and are charged when a message is taken, so
 * that mail to people whom nobody knows costs nothing of a rate.  Start reading at
 * receiver_serve().
 */
#include "world.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <string.h>

enum {
    LINE_MAX_SIZE = 4096,
    ACCEPTED_MAX = 200,
    FULL_TIMES = 2
};

static const duration longer_than_patience = MINUTES(11);

/* One connection. */
struct talk {
    struct world *world;
    struct site *site;
    struct site *limits; /* The site whose limits count here: itself, or its provider's first. */
    struct counters *counters; /* Theirs, for the address that we come from. */
    struct stream *stream;
    unsigned host;
    unsigned messages;
    unsigned accepted_count;
    struct letter *accepted[ACCEPTED_MAX];
    struct letter *reported; /* In the report that is being read: about whom. */
    bool has_sender;         /* MAIL was accepted. */
    bool over;
};

/* --- Limits. */

static bool
draw_one_in(struct world *world, unsigned n)
{
    return n > 0 && rand_below(&world->mischief, n) == 0;
}

static void
refill(struct site *site, struct counters *counters)
{
    instant now = clock_now();

    if (site->change_at && now >= site->change_at)
        site->rate = site->rate_after;
    if (site->fixed_windows) {
        if (now - counters->window_at >= site->period) {
            counters->window_at = now - (now - counters->window_at) % site->period;
            counters->in_window = 0;
        }
        return;
    }
    counters->bucket += (double)(now - counters->bucket_at) / (double)site->period * site->rate;
    if (counters->bucket > site->rate)
        counters->bucket = site->rate;
    counters->bucket_at = now;
}

/* Whoever asks while he is blocked is blocked anew. */
static bool
is_punished(const struct site *site, struct counters *counters, bool exceeds)
{
    instant now = clock_now();

    if (site->penalty == 0 || (!exceeds && now >= counters->blocked_until))
        return false;
    counters->blocked_until = now + site->penalty;
    return true;
}

static bool
rate_allows(struct site *site, struct counters *counters)
{
    bool exceeds;

    if (site->rate == 0)
        return true;
    refill(site, counters);
    exceeds = site->fixed_windows ? counters->in_window >= site->rate : counters->bucket < 1;
    return !is_punished(site, counters, exceeds) && !exceeds;
}

static bool
connects_too_often(const struct site *site, struct counters *counters)
{
    instant now = clock_now();

    if (site->connects_max == 0)
        return false;
    if (now - counters->connects_at >= MINUTES(1)) {
        counters->connects_at = now;
        counters->connects = 0;
    }
    return ++counters->connects > site->connects_max;
}

static bool
is_sick(const struct site *site)
{
    instant now = clock_now();

    return now >= site->sick_from && now < site->sick_until;
}

/* --- Answers. */

static enum err
say(struct talk *talk, const char *answer)
{
    enum err e = OK;

    if (talk->site->tarpit)
        e = fiber_sleep(talk->site->tarpit);
    if (e)
        return e;
    if (draw_one_in(talk->world, talk->site->resets_one_in)) {
        sim_cut(talk->stream);
        return ERR_CLOSED;
    }
    return stream_write(talk->stream, str_from(answer));
}

/* The last word. */
static enum err
dismiss(struct talk *talk, const char *answer)
{
    talk->over = true;
    return say(talk, answer);
}

/* In the words of somebody. */
static enum err
refuse_for_rate(struct talk *talk)
{
    static const char *const great[] = {
        "421 4.7.28 Our system has detected an unusual rate of unsolicited mail from you\r\n",
        "421 4.7.0 [TSS04] Messages from you temporarily deferred due to unexpected volume or user "
        "complaints\r\n",
        "451 4.7.500 Server busy. Please try again later from you. (S77719)\r\n",
    };
    static const char *const closing[] = {
        "421 4.7.0 Messages from you are temporarily deferred: rate limit\r\n",
        "421 4.3.2 Too many messages, slow down\r\n",
        "421 4.7.1 Your message submission rate for this client has exceeded the limit\r\n",
        "421 Throttled, come again\r\n",
    };
    static const char *const others[] = {
        "450 4.2.1 You are sending at a rate that is too high, slow down\r\n",
        "451 4.7.1 You have been temporarily rate limited\r\n",
        "452 4.7.0 Too many messages\r\n",
        "451 4.7.0 Excessive volume from your address\r\n",
    };
    struct site *site = talk->site;

    if (site->kind == KIND_GREAT && talk->world->great == 2)
        return say(talk, great[2]);
    if (site->kind == KIND_GREAT)
        return dismiss(talk, great[talk->world->great]);
    if (site->kind == KIND_RATE_450)
        return say(talk, others[site->number % COUNT_OF(others)]);
    return dismiss(talk, closing[site->number % COUNT_OF(closing)]);
}

static enum err
on_mail(struct talk *talk)
{
    struct site *site = talk->site;
    struct window *window = ledger_window(talk->world, talk->limits);

    talk->accepted_count = 0;
    talk->has_sender = false;
    if (window)
        window->attempts++;
    if (site->session_max && talk->messages >= site->session_max)
        return dismiss(talk, "421 4.7.0 Too many messages on this connection\r\n");
    if (site->kind == KIND_DISK_FULL && is_sick(site))
        return say(talk, "452 4.3.1 Insufficient system storage\r\n");
    if (site->kind == KIND_DEFERS_FIRST && talk->host == 0)
        return say(talk, "451 4.3.0 Internal trouble, try later\r\n");
    if (rate_allows(talk->limits, talk->counters)) {
        talk->has_sender = true;
        return say(talk, "250 2.1.0 Ok\r\n");
    }
    if (window)
        window->over_rate++;
    return refuse_for_rate(talk);
}

static bool
is_greylisted(const struct site *site, struct letter *letter)
{
    if (site->kind != KIND_GREY)
        return false;
    if (letter->grey_since == 0)
        letter->grey_since = clock_now();
    return clock_now() - letter->grey_since < site->grey_min;
}

static enum err
on_recipient(struct talk *talk, str line)
{
    struct site *site = talk->site;
    struct letter *letter = world_letter(talk->world, str_skip(line, strlen("RCPT TO:<")));

    if (!talk->has_sender)
        return say(talk, "503 5.5.1 MAIL first\r\n");
    if (site->kind == KIND_HOME)
        return say(talk, "250 2.1.5 Ok\r\n");
    if (!letter || letter->site != site->number) {
        talk->world->strange++;
        return say(talk, "550 5.7.1 Relaying denied\r\n");
    }
    if (site->recipients_max && talk->accepted_count >= site->recipients_max)
        return say(talk, "452 4.5.3 Too many recipients\r\n");
    if (letter->manner == MANNER_UNKNOWN)
        return say(talk, "550 5.1.1 No such user here\r\n");
    if (letter->manner == MANNER_FULL ||
        (letter->manner == MANNER_FULL_ONCE && letter->refusals++ < FULL_TIMES))
        return say(talk, "452 4.2.2 The mailbox is over quota\r\n");
    if (is_greylisted(site, letter))
        return say(talk, "450 4.7.1 Greylisted, please try again later\r\n");
    if (talk->accepted_count < ACCEPTED_MAX)
        talk->accepted[talk->accepted_count++] = letter;
    return say(talk, "250 2.1.5 Ok\r\n");
}

/* --- A message. */

/* "Final-Recipient: rfc822;r17@d0.s3.example", then "Action: failed". */
static void
read_report_line(struct talk *talk, str line)
{
    if (str_starts(line, S("Final-Recipient: rfc822;")))
        talk->reported =
            world_letter(talk->world, str_trim(str_skip(line, strlen("Final-Recipient: rfc822;"))));
    if (str_starts(line, S("Action: ")) && talk->reported) {
        ledger_report(talk->world, talk->reported, str_starts(line, S("Action: failed")));
        talk->reported = NULL;
    }
}

static enum err
read_content(struct talk *talk)
{
    bool home = talk->site->kind == KIND_HOME;
    enum err e;
    str line;

    talk->reported = NULL;
    do {
        e = stream_read_line(talk->stream, LINE_MAX_SIZE, &line);
        if (!e && home)
            read_report_line(talk, line);
    } while (!e && !str_eq(line, S(".\r\n")));
    return e;
}

static void
charge(struct talk *talk)
{
    struct site *limits = talk->limits;
    struct window *window = ledger_window(talk->world, limits);

    if (window)
        window->taken++;
    refill(limits, talk->counters);
    talk->counters->bucket -= 1;
    talk->counters->in_window++;
    talk->site->taken++;
    talk->messages++;
}

static enum err
on_data(struct talk *talk)
{
    struct world *world = talk->world;
    struct site *site = talk->site;
    bool cut = draw_one_in(world, site->cuts_one_in);
    enum err e;

    if (!talk->has_sender || (talk->accepted_count == 0 && site->kind != KIND_HOME))
        return say(talk, "503 5.5.1 Nobody is to have it\r\n");
    e = say(talk, "354 Go ahead\r\n");
    if (!e)
        e = read_content(talk);
    if (e)
        return e;
    charge(talk);
    for (unsigned i = 0; i < talk->accepted_count; i++)
        ledger_delivered(world, talk->accepted[i]);
    e = fiber_sleep(draw_one_in(world, site->stalls_one_in) ? longer_than_patience : site->latency);
    if (!e && cut)
        sim_cut(talk->stream);
    if (!e)
        e = cut ? ERR_CLOSED : say(talk, "250 2.0.0 Ok: taken\r\n");
    if (!e)
        e = stream_flush(talk->stream);
    for (unsigned i = 0; !e && i < talk->accepted_count; i++)
        ledger_answered(talk->accepted[i]);
    talk->accepted_count = 0;
    talk->has_sender = false;
    return e;
}

static enum err
on_starttls(struct talk *talk)
{
    if (talk->site->kind == KIND_TLS_REFUSED)
        return say(talk, "454 4.7.0 TLS is not available\r\n");
    talk->over = true;
    return say(talk, "220 Ready\r\nthis is no handshake\r\n");
}

static enum err
on_hello(struct talk *talk)
{
    enum kind kind = talk->site->kind;

    if (kind == KIND_TLS_BROKEN || kind == KIND_TLS_REFUSED)
        return say(talk,
                   "250-site\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n");
    return say(talk, talk->site->number % 5 == 0
                         ? "250-site\r\n250-SIZE 10000000\r\n250 8BITMIME\r\n"
                         : "250-site\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n");
}

static enum err
answer(struct talk *talk, str line)
{
    if (str_starts(line, S("MAIL")))
        return on_mail(talk);
    if (str_starts(line, S("RCPT")))
        return on_recipient(talk, line);
    if (str_starts(line, S("DATA")))
        return on_data(talk);
    if (str_starts(line, S("EHLO")) || str_starts(line, S("HELO")))
        return on_hello(talk);
    if (str_starts(line, S("STARTTLS")))
        return on_starttls(talk);
    if (str_starts(line, S("RSET"))) {
        talk->accepted_count = 0;
        talk->has_sender = false;
        return say(talk, "250 2.0.0 Ok\r\n");
    }
    if (str_starts(line, S("QUIT")))
        return dismiss(talk, "221 2.0.0 Bye\r\n");
    talk->world->strange++;
    return say(talk, "500 5.5.1 What?\r\n");
}

/* --- A connection. */

static void
count_excess(struct talk *talk)
{
    struct window *window = ledger_window(talk->world, talk->site);

    if (!window)
        return;
    window->attempts++;
    window->over_cap++;
    if (talk->site->cap)
        window->excess = MAX(window->excess, talk->counters->open - talk->site->cap);
}

WAITS static void
converse(struct talk *talk)
{
    const struct site *site = talk->site;
    enum err e;
    str line;

    if (site->cap && talk->counters->open > site->cap) {
        count_excess(talk);
        if (site->kind == KIND_CAP_REFUSE)
            sim_cut(talk->stream);
        else
            e = dismiss(talk, "421 4.7.0 Too many concurrent connections from you\r\n");
        return;
    }
    if (connects_too_often(talk->site, talk->counters)) {
        count_excess(talk);
        e = dismiss(talk, "421 4.7.0 Connection rate limit exceeded\r\n");
        return;
    }
    if (site->kind == KIND_OUTAGE_421 && is_sick(site)) {
        e = dismiss(talk, "421 4.3.2 Service is not available, try again later\r\n");
        return;
    }
    e = say(talk, "220 site ESMTP\r\n");
    while (!e && !talk->over) {
        e = stream_read_line(talk->stream, LINE_MAX_SIZE, &line);
        if (!e)
            e = answer(talk, line);
    }
}

/* The site and its host at ADDR, of either family. */
static void
find_host(struct talk *talk, ipaddr addr)
{
    uint32_t host = 0;

    for (size_t i = sizeof(addr.bytes) - 4; i < sizeof(addr.bytes); i++)
        host = host << 8 | addr.bytes[i];
    must(host >= ADDRESS_BASE && (host - ADDRESS_BASE) / HOST_STEP < talk->world->site_count);
    talk->site = &talk->world->sites[(host - ADDRESS_BASE) / HOST_STEP];
    talk->limits = &talk->world->sites[talk->site->leader];
    talk->host = (host - ADDRESS_BASE) % HOST_STEP;
}

/* Our address ends in the number of the source, from 1. */
static unsigned
source_of(struct stream *stream)
{
    ipaddr addr = stream_peer(stream)->addr;
    unsigned last = addr.bytes[sizeof(addr.bytes) - 1];

    return last == SOURCES_MAX ? SOURCES_MAX - 1 : 0;
}

WAITS void
receiver_serve(void *arg, struct stream *stream)
{
    struct talk talk = { .world = arg, .stream = stream };
    enum err e;

    find_host(&talk, stream_local(stream)->addr);
    stream_set_deadline(stream, NEVER);
    talk.counters = &talk.limits->counters[source_of(stream)];
    talk.counters->open++;
    converse(&talk);
    e = stream_flush(stream);
    (void)e; /* Whether the last word is heard or not. */
    talk.counters->open--;
    stream_close(stream);
}

/* --- Weather. */

static enum sim_fault
fault_now(const struct site *site, unsigned host)
{
    switch (site->kind) {
    case KIND_DEAD:
        return SIM_FAULT_REFUSE;
    case KIND_SILENT:
    case KIND_BROKEN_V6:
        return SIM_FAULT_SILENT;
    case KIND_DEAD_FIRST:
        return host == 0 ? SIM_FAULT_REFUSE : SIM_FAULT_NONE;
    case KIND_SILENT_FIRST:
        return host == 0 ? SIM_FAULT_SILENT : SIM_FAULT_NONE;
    case KIND_OUTAGE_REFUSE:
        return is_sick(site) ? SIM_FAULT_REFUSE : SIM_FAULT_NONE;
    case KIND_OUTAGE_SILENT:
        return is_sick(site) ? SIM_FAULT_SILENT : SIM_FAULT_NONE;
    default:
        return SIM_FAULT_NONE;
    }
}

static enum dns_status
dns_now(const struct site *site)
{
    switch (site->kind) {
    case KIND_DNS_OUTAGE:
        return is_sick(site) ? DNS_TEMPORARY : DNS_FOUND;
    case KIND_DNS_DEAD:
        return DNS_TEMPORARY;
    case KIND_DNS_BOGUS:
        return DNS_BOGUS;
    case KIND_DNS_NO_NAME:
        return DNS_NO_NAME;
    default:
        return DNS_FOUND;
    }
}

/* What is to be told about SITE, in a number that is 0 for a fine day. */
static unsigned
weather_of(const struct site *site)
{
    unsigned weather = (unsigned)(dns_now(site) - DNS_FOUND);

    for (unsigned host = 0; host < site->hosts; host++)
        weather = weather * 8 + (unsigned)fault_now(site, host);
    return weather;
}

static void
tell_network(const struct site *site, unsigned host)
{
    enum sim_fault fault = fault_now(site, host);

    if (site->kind == KIND_BROKEN_V6)
        sim_network_fault(world_address_v6(site, host), fault);
    else
        sim_network_fault(world_address(site, host), fault);
}

void
receiver_weather(struct world *world)
{
    for (unsigned i = 0; i < world->site_count; i++) {
        struct site *site = &world->sites[i];
        unsigned weather = weather_of(site);
        char domain[64];
        if (weather == site->weather || site->kind == KIND_DNS_NO_NAME)
            continue;
        site->weather = weather;
        world_domain(site, 0, domain, sizeof(domain));
        for (unsigned host = 0; host < site->hosts; host++)
            tell_network(site, host);
        sim_dns_fail(domain, dns_now(site));
    }
}
