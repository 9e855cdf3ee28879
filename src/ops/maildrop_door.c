/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* maildrop_door.c: from a file in DATA/maildrop to a message in the spool.
 *
 * One fiber; files in the order of their names, which is that of time.  A file is removed when the
 * spool has the message; a crash between the two delivers it twice.  What the gates put off (4xx)
 * stays for the next look; what they refuse goes back to its sender as a message, or, when that is
 * refused as well, is kept under another name for the administrator.  Reading happens on threads of
 * the pool.  Start reading at take_in().
 */
#include "ops/maildrop_door.h"

#include "accounts/account.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "config/config.h"
#include "intake/intake.h"
#include "ops/maildrop.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/log.h"
#include "runtime/stream.h"
#include "runtime/wait.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 1024,
    NAME_SIZE = 64,
    NAMES_MAX = 1000, /* Of one look; the next look finds the rest. */
    PIECE_SIZE = 64 * 1024,
    FILE_MEMORY_MAX = 32 << 20,
    REFUSED_SHOWN_MAX = 100,
    REPORT_MAX = 256 * 1024,
    REPORT_HEADER_MAX = 32 * 1024,
};

#define LOOK_EVERY SECONDS(30)

struct maildrop_door {
    struct intake_services *services;
    struct group group;
    struct bell bell;
    struct listener *listener;
    char path[PATH_SIZE];
    char socket[108];
};

/* The names that one look found. */
struct look {
    const char *path;
    char (*names)[NAME_SIZE];
    size_t count;
    int number;
};

/* A dropped file that is being taken in. */
struct dropped {
    struct maildrop_door *door;
    const char *name;
    int fd;
    enum err e;
    uint64_t body_size;
    uid_t owner;
    char user[64];
    struct arena arena;
    struct envelope envelope;
    /* Reading. */
    char *piece;
    uint64_t offset;
    size_t got;
    /* What the gates refused for good. */
    struct buf refused;
    size_t refused_count;
};

static int
compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* On a thread of the pool. */
static void
look_around(void *arg)
{
    struct look *look = arg;
    DIR *dir = opendir(look->path);
    struct dirent *entry;

    if (!dir) {
        look->number = errno;
        return;
    }
    while (look->count < NAMES_MAX && (entry = readdir(dir))) {
        str name = str_from(entry->d_name);

        if (name.len < NAME_SIZE && name.ptr[0] != '.' && str_ends(name, S(MAILDROP_SUFFIX)))
            memcpy(look->names[look->count++], entry->d_name, name.len + 1);
    }
    closedir(dir);
    qsort(look->names, look->count, NAME_SIZE, compare_names);
}

/* Whoever dropped the file wrote its envelope: what could end a line in a header section or a
 * command is in no address that a door of ours takes. */
static bool
is_one_line(str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool
is_clean(const struct envelope *envelope)
{
    bool clean = is_one_line(envelope->reverse_path) && is_one_line(envelope->envid);

    for (size_t i = 0; clean && i < envelope->recipient_count; i++)
        clean = is_one_line(envelope->recipients[i].address) &&
                is_one_line(envelope->recipients[i].original);
    return clean;
}

/* On a thread of the pool: opens, and reads the envelope. */
static void
open_dropped(void *arg)
{
    struct dropped *file = arg;
    char path[PATH_SIZE + NAME_SIZE];
    struct passwd entry, *found = NULL;
    struct stat status;
    char names[1024];

    snprintf(path, sizeof path, "%s/%s", file->door->path, file->name);
    file->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status)) {
        /* sendmail writes none that we may not read. */
        file->e = errno == ELOOP || errno == EACCES ? ERR_CORRUPT : err_from_errno(errno);
        return;
    }
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
        file->e = ERR_CORRUPT;
        return;
    }
    file->owner = status.st_uid;
    file->e = maildrop_read_envelope(file->fd, (uint64_t)status.st_size, &file->arena,
                                     &file->envelope, &file->body_size);
    if (!file->e && !is_clean(&file->envelope))
        file->e = ERR_CORRUPT;
    if (!getpwuid_r(file->owner, &entry, names, sizeof names, &found) && found)
        snprintf(file->user, sizeof file->user, "%s", entry.pw_name);
    else
        snprintf(file->user, sizeof file->user, "uid %ld", (long)file->owner);
}

static void
read_piece(void *arg)
{
    struct dropped *file = arg;
    size_t want = (size_t)MIN((uint64_t)PIECE_SIZE, file->body_size - file->offset);
    ssize_t got = pread(file->fd, file->piece, want, (off_t)file->offset);

    file->e = got < 0 ? err_from_errno(errno) : got == 0 ? ERR_CORRUPT : OK;
    file->got = got > 0 ? (size_t)got : 0;
}

static void
remove_dropped(void *arg)
{
    struct dropped *file = arg;
    char path[PATH_SIZE + NAME_SIZE];

    snprintf(path, sizeof path, "%s/%s", file->door->path, file->name);
    file->e = unlink(path) ? err_from_errno(errno) : OK;
}

/* Keeps what cannot be taken in for a human, under a name that we do not look for. */
static void
set_aside(void *arg)
{
    struct dropped *file = arg;
    char from[PATH_SIZE + NAME_SIZE], to[PATH_SIZE + NAME_SIZE + 8];

    snprintf(from, sizeof from, "%s/%s", file->door->path, file->name);
    snprintf(to, sizeof to, "%s.refused", from);
    file->e = rename(from, to) ? err_from_errno(errno) : OK;
}

WAITS static enum err
copy_body(struct dropped *file, struct intake *intake)
{
    enum err e = OK;

    file->offset = 0;
    while (!e && file->offset < file->body_size) {
        offload(read_piece, file);
        e = file->e;
        if (!e)
            e = intake_write(intake, (str){ file->piece, file->got });
        file->offset += file->got;
    }
    return e;
}

static bool
is_temporary(const struct verdict *verdict)
{
    return verdict->code >= 400 && verdict->code < 500;
}

static void
note_refused(struct dropped *file, str recipient, const struct verdict *verdict)
{
    if (file->refused_count++ < REFUSED_SHOWN_MAX)
        buf_addf(&file->refused, "  %.*s: %u %s %s\r\n", STR_ARG(str_head(recipient, 320)),
                 (unsigned)verdict->code, verdict->enhanced, verdict->text);
}

static void
peer_of(const struct dropped *file, struct intake_peer *peer)
{
    *peer = (struct intake_peer){
        .door = DOOR_LOCAL,
        .service = S("sendmail"),
        .helo = str_from(file->user),
        .protocol = S("local"),
    };
}

static bool
is_known(const struct resolution *found)
{
    return found->kind != RESOLUTION_NOT_OURS && found->kind != RESOLUTION_UNKNOWN;
}

/* Who reads what nobody else gets: the postmaster of the configuration if he lives here, or else
 * the first account. */
static enum err
find_postmaster(struct dropped *file, const struct config *config, str *address)
{
    struct accounts *accounts = file->door->services->accounts;
    struct resolution found;
    enum err e;

    *address = config->server.postmaster;
    e = accounts_resolve(accounts, &file->arena, *address, &found);
    if (e || is_known(&found))
        return e;
    *address = S("postmaster");
    e = accounts_resolve(accounts, &file->arena, *address, &found);
    if (!e && found.count)
        *address = found.targets[0].address;
    return e;
}

/* A name of this machine, such as root, with our host name behind it or nothing: when nobody has it
 * as an address it is the postmaster's, who reads what cron writes. */
static enum err
qualify(struct dropped *file, struct recipient *recipient)
{
    const struct intake_services *services = file->door->services;
    const struct config *config = atomic_load(&services->config);
    ssize_t at = str_find_last(recipient->address, '@');
    struct resolution found;
    enum err e;

    if (at < 0 && !arena_printf(&file->arena, &recipient->address, "%.*s@%.*s",
                                STR_ARG(recipient->address), STR_ARG(config->server.hostname)))
        return ERR_LIMIT;
    if (at >= 0 &&
        !str_eq_nocase(str_skip(recipient->address, (size_t)at + 1), config->server.hostname))
        return OK;
    e = accounts_resolve(services->accounts, &file->arena, recipient->address, &found);
    if (!e && !is_known(&found))
        e = find_postmaster(file, config, &recipient->address);
    return e;
}

/* Sender and recipients; *GO is false when nobody is left, or when all must wait. */
WAITS static enum err
fill_intake(struct dropped *file, struct intake *intake, bool *go, bool *later)
{
    const struct envelope *envelope = &file->envelope;
    struct intake_sender sender = {
        .path = envelope->reverse_path,
        .smtputf8 = envelope->smtputf8,
        .body = envelope->body,
        .ret = envelope->ret,
        .envid = envelope->envid,
        .require_tls = envelope->tls_wish == TLS_REQUIRED,
    };
    struct verdict verdict;
    enum err e;

    *go = *later = false;
    e = intake_sender(intake, &sender, &verdict);
    if (e)
        return e;
    if (!verdict_accepts(&verdict)) {
        *later = is_temporary(&verdict);
        note_refused(file, S("sender"), &verdict);
        return OK;
    }
    for (size_t i = 0; i < envelope->recipient_count && !*later; i++) {
        e = qualify(file, &envelope->recipients[i]);
        if (!e)
            e = intake_recipient(intake, &envelope->recipients[i], &verdict);
        if (e)
            return e;
        if (verdict_accepts(&verdict))
            *go = true;
        else if (is_temporary(&verdict))
            *later = true;
        else
            note_refused(file, envelope->recipients[i].address, &verdict);
    }
    *go = *go && !*later;
    return OK;
}

/* The message through the gates.  *DONE: the spool has it, or it was refused for good. */
WAITS static enum err
pass_gates(struct dropped *file, struct intake *intake, bool *done)
{
    struct verdict verdict;
    bool go, later;
    msgid id;
    enum err e;

    *done = false;
    e = fill_intake(file, intake, &go, &later);
    if (e)
        return e;
    if (later)
        return OK;
    if (go) {
        e = copy_body(file, intake);
        if (!e)
            e = intake_accept(intake, &verdict, &id);
        if (e)
            return e;
        if (is_temporary(&verdict))
            return OK;
        if (!verdict_accepts(&verdict))
            note_refused(file, S("message"), &verdict);
    }
    *done = true;
    return OK;
}

/* The header section of the dropped message, or what fits of it. */
WAITS static str
read_header(struct dropped *file)
{
    str piece;
    ssize_t end;

    file->offset = 0;
    file->got = 0;
    if (file->body_size)
        offload(read_piece, file);
    piece = str_head((str){ file->piece, file->got }, REPORT_HEADER_MAX);
    end = str_find_str(piece, S("\r\n\r\n"));
    return end >= 0 ? str_head(piece, (size_t)end + 2) : piece;
}

WAITS static void
write_report(struct dropped *file, struct buf *text)
{
    str host = atomic_load(&file->door->services->config)->server.hostname;

    buf_addf(text, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\r\n", STR_ARG(host));
    buf_addf(text, "To: <%.*s>\r\n", STR_ARG(file->envelope.reverse_path));
    buf_add(text, S("Subject: Mail that was not accepted\r\n"
                    "Auto-Submitted: auto-replied\r\n"
                    "MIME-Version: 1.0\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n\r\n"));
    buf_addf(text,
             "A message that user %s of %.*s handed to sendmail was not accepted for:\r\n\r\n",
             file->user, STR_ARG(host));
    buf_add(text, buf_str(&file->refused));
    if (file->refused_count > REFUSED_SHOWN_MAX)
        buf_addf(text, "  and %zu more\r\n", file->refused_count - REFUSED_SHOWN_MAX);
    buf_add(text, S("\r\nIts header was:\r\n\r\n"));
    buf_add(text, read_header(file));
}

/* Tells the sender what was refused.  *TOLD: the report is in the spool. */
WAITS static enum err
send_report(struct dropped *file, bool *told)
{
    struct recipient recipient = { .address = file->envelope.reverse_path, .notify = NOTIFY_NEVER };
    struct intake_sender sender = { .body = BODY_8BITMIME };
    struct intake_peer peer;
    struct verdict verdict = { 0 };
    OWN(intake) intake = NULL;
    struct buf text;
    msgid id;
    enum err e;

    *told = false;
    if (!recipient.address.len)
        return OK;
    peer_of(file, &peer);
    e = qualify(file, &recipient);
    if (!e)
        e = intake_begin(file->door->services, &peer, &intake);
    if (!e)
        e = intake_sender(intake, &sender, &verdict);
    if (!e && verdict_accepts(&verdict))
        e = intake_recipient(intake, &recipient, &verdict);
    if (e || !verdict_accepts(&verdict))
        return e;
    buf_init(&text, REPORT_MAX);
    write_report(file, &text);
    e = intake_write(intake, buf_str(&text));
    buf_done(&text);
    if (!e)
        e = intake_accept(intake, &verdict, &id);
    *told = !e && verdict_accepts(&verdict);
    return e;
}

/* What was refused must not vanish: a report, or the file itself is kept. */
WAITS static enum err
settle(struct dropped *file)
{
    bool told = true;
    enum err e = OK;

    if (file->refused_count)
        e = send_report(file, &told);
    if (e == ERR_CANCELLED)
        return e;
    if (told) {
        offload(remove_dropped, file);
    } else {
        log_error("a message that %s dropped was refused, and its sender <%.*s> cannot be told; "
                  "it is kept as %s/%s.refused",
                  file->user, STR_ARG(file->envelope.reverse_path), file->door->path, file->name);
        offload(set_aside, file);
    }
    return file->e;
}

WAITS static enum err
take_in_open(struct dropped *file)
{
    struct intake_peer peer;
    OWN(intake) intake = NULL;
    bool done;
    enum err e;

    if (file->e == ERR_CORRUPT || file->e == ERR_LIMIT) {
        log_error("%s/%s is not a message; it is kept with .refused behind its name",
                  file->door->path, file->name);
        offload(set_aside, file);
        return file->e;
    }
    if (file->e)
        return file->e;
    peer_of(file, &peer);
    e = intake_begin(file->door->services, &peer, &intake);
    if (!e)
        e = pass_gates(file, intake, &done);
    if (!e && done)
        e = settle(file);
    return e;
}

WAITS static enum err
take_in(struct maildrop_door *door, const char *name)
{
    struct dropped file = { .door = door, .name = name, .fd = -1 };
    enum err e;

    arena_init(&file.arena, FILE_MEMORY_MAX);
    buf_init(&file.refused, REPORT_MAX / 2);
    file.piece = malloc(PIECE_SIZE);
    must(file.piece);
    offload(open_dropped, &file);
    e = take_in_open(&file);
    if (e && e != ERR_CANCELLED && e != ERR_NOT_FOUND)
        log_warning("%s/%s: %s", door->path, name, err_name(e));
    if (file.fd >= 0)
        close(file.fd);
    free(file.piece);
    buf_done(&file.refused);
    arena_done(&file.arena);
    return e;
}

/* *FULL: there may be more. */
WAITS static enum err
take_in_all(struct maildrop_door *door, bool *full)
{
    struct look look = { .path = door->path };
    enum err e = OK;

    look.names = calloc(NAMES_MAX, NAME_SIZE);
    must(look.names);
    offload(look_around, &look);
    if (look.number)
        log_error("%s: %s", door->path, strerror(look.number));
    for (size_t i = 0; i < look.count && e != ERR_CANCELLED; i++)
        e = take_in(door, look.names[i]);
    *full = look.count == NAMES_MAX && !e;
    free(look.names);
    return e;
}

WAITS static void
serve_maildrop(void *arg)
{
    struct maildrop_door *door = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        bool full;

        e = take_in_all(door, &full);
        if (e != ERR_CANCELLED && !full)
            e = bell_wait(&door->bell, deadline_in(LOOK_EVERY));
    }
}

static void
hear_ring(void *arg, struct stream *stream)
{
    struct maildrop_door *door = arg;

    bell_ring(&door->bell);
    stream_close(stream);
}

WAITS static enum err
open_bell(struct maildrop_door *door, struct why *why)
{
    struct listener_options options = { .name = "maildrop", .connections_max = 64 };
    int fd;
    enum err e;

    (void)!unlink(door->socket);
    e = listener_bind_unix(door->socket, 0666, &fd, why);
    if (e)
        return e;
    e = listener_start(fd, &options, hear_ring, door, &door->listener);
    if (e) {
        close(fd);
        return err_why(why, e, "%s: %s", door->socket, err_name(e));
    }
    return OK;
}

enum err
maildrop_door_start(struct intake_services *services, struct maildrop_door **door, struct why *why)
{
    const struct config *config = atomic_load(&services->config);
    struct maildrop_door *made;
    enum err e = maildrop_make_dir(config, why);

    if (e)
        return e;
    made = calloc(1, sizeof *made);
    must(made);
    made->services = services;
    group_init(&made->group);
    if (!config_data_path(config, made->path, sizeof made->path, MAILDROP_DIR) ||
        !config_data_path(config, made->socket, sizeof made->socket, MAILDROP_SOCKET)) {
        free(made);
        return err_why(why, ERR_LIMIT, "the path of the data directory is too long");
    }
    e = open_bell(made, why);
    if (!e) {
        e = group_start(&made->group, serve_maildrop, made, "maildrop");
        if (e)
            listener_stop(made->listener, 0);
    }
    if (e) {
        free(made);
        return e;
    }
    *door = made;
    return OK;
}

void
maildrop_door_stop(struct maildrop_door *door)
{
    listener_stop(door->listener, 0);
    (void)!unlink(door->socket);
    group_stop(&door->group);
    free(door);
}
