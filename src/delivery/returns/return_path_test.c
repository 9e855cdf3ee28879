/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_path_test.c: what goes into a return path comes out, and nothing that others made does. */
#include "delivery/returns/return_path.h"

#include "store/temp_dir.h"
#include "trust/token.h"

#include "check.h"

#include <string.h>

static const instant day_one = SECONDS(1764201600LL);

static struct temp_dir dir;
static struct secrets *secrets;
static struct buf made;

static void
begin(void)
{
    struct why why = { "" };

    temp_dir_make(&dir);
    if (secrets_open(temp_dir_file(&dir, "secrets"), day_one, &secrets, &why))
        printf("secrets_open: %s\n", why.text);
    must(secrets);
    buf_init(&made, RETURN_PATH_LOCAL_SIZE);
}

static void
end(void)
{
    buf_done(&made);
    secrets_close(take(secrets));
    temp_dir_remove(&dir);
}

static struct return_path
path_of(uint32_t index)
{
    static const uint8_t entropy[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

    return (struct return_path){ msgid_make(day_one, entropy), index };
}

static str
write_path(uint32_t index)
{
    struct return_path path = path_of(index);

    buf_clear(&made);
    return_path_write(secrets, &path, &made);
    CHECK(buf_ok(&made) && made.len == RETURN_PATH_LOCAL_SIZE);
    return buf_str(&made);
}

static enum err
read_path(str local, instant now, struct return_path *path)
{
    return return_path_read(secrets, local, now, DAYS(14), path);
}

static void
message_and_recipient_come_back(void)
{
    static const uint32_t indexes[] = { 0, 1, 49999, RETURN_PATH_NOBODY };
    struct return_path path;

    begin();
    for (size_t i = 0; i < COUNT_OF(indexes); i++) {
        CHECK(read_path(write_path(indexes[i]), day_one + DAYS(3), &path) == OK);
        CHECK(path.index == indexes[i]);
        CHECK(msgid_cmp(path.message, path_of(0).message) == 0);
    }
    end();
}

static void
it_is_the_same_at_every_retry(void)
{
    char first[RETURN_PATH_LOCAL_SIZE];

    begin();
    memcpy(first, write_path(7).ptr, sizeof(first));
    CHECK(memcmp(first, write_path(7).ptr, sizeof(first)) == 0);
    CHECK(memcmp(first, write_path(8).ptr, sizeof(first)) != 0);
    end();
}

static void
case_is_of_no_matter(void)
{
    struct return_path path;
    char upper[RETURN_PATH_LOCAL_SIZE];
    str local;

    begin();
    local = write_path(3);
    for (size_t i = 0; i < local.len; i++)
        upper[i] =
            local.ptr[i] >= 'a' && local.ptr[i] <= 'z' ? (char)(local.ptr[i] - 32) : local.ptr[i];
    CHECK(read_path((str){ upper, sizeof(upper) }, day_one, &path) == OK && path.index == 3);
    end();
}

static void
one_bit_makes_it_nobody_s(void)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    size_t first = strlen(RETURN_PATH_PREFIX);
    struct return_path path;
    char text[RETURN_PATH_LOCAL_SIZE];

    begin();
    memcpy(text, write_path(3).ptr, sizeof(text));
    for (size_t i = first; i < sizeof(text); i++)
        for (unsigned bit = 1; bit < 32; bit <<= 1) {
            char was = text[i];
            text[i] = letters[(size_t)(strchr(letters, was) - letters) ^ bit];
            CHECK(read_path((str){ text, sizeof(text) }, day_one, &path) != OK);
            text[i] = was;
        }
    CHECK(read_path((str){ text, sizeof(text) }, day_one, &path) == OK);
    end();
}

static void
it_is_over_when_its_message_is_old(void)
{
    struct return_path path;

    begin();
    CHECK(read_path(write_path(0), day_one + DAYS(14), &path) == OK);
    CHECK(read_path(write_path(0), day_one + DAYS(14) + SECONDS(1), &path) == ERR_TIMEOUT);
    end();
}

static void
other_local_parts_are_not_of_this_form(void)
{
    static const char *const others[] = { "",
                                          "bounce-",
                                          "ann",
                                          "bounce-ann",
                                          "bounces-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                          "bounce-1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

    for (size_t i = 0; i < COUNT_OF(others); i++)
        CHECK(!return_path_is_one(str_from(others[i])));
    CHECK(return_path_is_one(S("bounce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

static void
another_installation_s_is_forged(void)
{
    struct return_path path;
    char text[RETURN_PATH_LOCAL_SIZE];

    begin();
    memcpy(text, write_path(0).ptr, sizeof(text));
    end();
    begin();
    CHECK(read_path((str){ text, sizeof(text) }, day_one, &path) == ERR_REFUSED);
    end();
}

int
main(void)
{
    RUN(message_and_recipient_come_back);
    RUN(it_is_the_same_at_every_retry);
    RUN(case_is_of_no_matter);
    RUN(one_bit_makes_it_nobody_s);
    RUN(it_is_over_when_its_message_is_old);
    RUN(other_local_parts_are_not_of_this_form);
    RUN(another_installation_s_is_forged);
    return check_end();
}
