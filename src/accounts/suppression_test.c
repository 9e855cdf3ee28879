/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_test.c: what binds what, what is learnt and ends, and what the table in memory costs.
 */
#include "accounts/suppression.h"
#include "accounts/account.h"
#include "accounts/suppression_table.h"
#include "runtime/clock.h"
#include "store/suppressed.h"
#include "store/temp_dir.h"

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct temp_dir dir;
static struct accounts *accounts;
static struct suppression *list;
static struct arena arena;
static instant now;

static const struct suppression_rules usual = {
    .learn = true,
    .bounces = 1,
    .bounce_expire = DAYS(90),
    .bounce_expire_max = DAYS(360),
};

static void
open_list(const struct suppression_rules *rules)
{
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, NULL) == OK);
    CHECK(suppression_open(accounts, rules, &list, NULL) == OK);
}

static void
close_list(void)
{
    suppression_close(list);
    accounts_close(accounts);
}

static void
begin(const struct suppression_rules *rules)
{
    now = clock_now();
    arena_init(&arena, 1 << 20);
    temp_dir_make(&dir);
    open_list(rules);
}

static void
end(void)
{
    close_list();
    temp_dir_remove(&dir);
    arena_done(&arena);
}

static struct suppression_entry
entry_of(const char *address, const char *scope, enum suppression_reason reason)
{
    return (struct suppression_entry){ .address = str_from(address),
                                       .scope = str_from(scope),
                                       .reason = reason,
                                       .source = S("test"),
                                       .created = now };
}

static void
add(const char *address, const char *scope, enum suppression_reason reason)
{
    struct suppression_entry entry = entry_of(address, scope, reason);

    CHECK(suppression_add(list, &entry, 1, NULL) == OK);
}

static struct suppression_mail
mail_to(const char *recipient, enum lane lane)
{
    return (struct suppression_mail){ .account = S("news@here.example"),
                                      .sender = S("return@here.example"),
                                      .recipient = str_from(recipient),
                                      .knows_lane = true,
                                      .lane = lane };
}

static bool
is_bound(const struct suppression_mail *mail)
{
    struct suppression_entry entry;
    bool found;

    CHECK(suppression_check(list, mail, now, &arena, &found, &entry) == OK);
    return found;
}

static bool
binds(const char *recipient, enum lane lane)
{
    const struct suppression_mail mail = mail_to(recipient, lane);

    return is_bound(&mail);
}

static void
what_a_reason_binds(void)
{
    static const struct {
        enum suppression_reason reason;
        bool code, personal, notice, bulk;
    } rows[] = {
        { SUPPRESSION_MANUAL, true, true, true, true },
        { SUPPRESSION_BOUNCE, false, false, true, true },
        { SUPPRESSION_COMPLAINT, false, false, false, true },
        { SUPPRESSION_UNSUBSCRIBE, false, false, false, true },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(&usual);
        add("bob@there.example", "", rows[i].reason);
        CHECK(binds("bob@there.example", LANE_CODE) == rows[i].code);
        CHECK(binds("bob@there.example", LANE_PERSONAL) == rows[i].personal);
        CHECK(binds("bob@there.example", LANE_NOTICE) == rows[i].notice);
        CHECK(binds("bob@there.example", LANE_BULK) == rows[i].bulk);
        end();
    }
}

static void
before_the_lane_is_known_only_a_word_that_binds_all_holds(void)
{
    struct suppression_mail mail = mail_to("bob@there.example", LANE_CODE);

    begin(&usual);
    mail.knows_lane = false;
    add("bob@there.example", "", SUPPRESSION_BOUNCE);
    CHECK(!is_bound(&mail));
    mail.list = S("news");
    CHECK(is_bound(&mail));
    mail.list = S("");
    add("bob@there.example", "", SUPPRESSION_MANUAL);
    CHECK(is_bound(&mail));
    end();
}

static void
an_entry_binds_the_mail_of_its_scope_only(void)
{
    static const struct {
        const char *scope;
        bool binds;
    } rows[] = {
        { "", true },
        { "news@here.example", true },
        { "NEWS@Here.Example", true },
        { "return@here.example", true },
        { "@here.example", true },
        { "other@here.example", false },
        { "@there.example", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(&usual);
        add("bob@there.example", rows[i].scope, SUPPRESSION_MANUAL);
        CHECK(binds("bob@there.example", LANE_PERSONAL) == rows[i].binds);
        end();
    }
}

static void
spellings_of_an_address_are_one(void)
{
    begin(&usual);
    add("Bob@There.Example", "", SUPPRESSION_MANUAL);
    add("@Bücher.example", "", SUPPRESSION_MANUAL);
    CHECK(binds("bOB@tHERE.example", LANE_PERSONAL));
    CHECK(binds("\"bob\"@there.example", LANE_PERSONAL));
    CHECK(binds("eve@xn--bcher-kva.example", LANE_PERSONAL));
    CHECK(!binds("bobby@there.example", LANE_PERSONAL));
    CHECK(!binds("not an address", LANE_PERSONAL));
    end();
}

static void
who_left_one_list_gets_the_others(void)
{
    struct suppression_entry entry;
    struct suppression_mail mail = mail_to("bob@there.example", LANE_BULK);

    begin(&usual);
    entry = entry_of("bob@there.example", "news@here.example", SUPPRESSION_UNSUBSCRIBE);
    entry.list = S("weekly");
    CHECK(suppression_add(list, &entry, 1, NULL) == OK);
    mail.list = S("weekly");
    CHECK(is_bound(&mail));
    mail.list = S("daily");
    CHECK(!is_bound(&mail));
    mail.list = S("");
    CHECK(is_bound(&mail));
    end();
}

static void
the_strongest_entry_speaks(void)
{
    struct suppression_entry entry;
    struct suppression_mail mail = mail_to("bob@there.example", LANE_BULK);
    char text[200];
    bool found;

    begin(&usual);
    add("bob@there.example", "", SUPPRESSION_BOUNCE);
    add("bob@there.example", "", SUPPRESSION_MANUAL);
    CHECK(suppression_check(list, &mail, now, &arena, &found, &entry) == OK && found);
    CHECK(entry.reason == SUPPRESSION_MANUAL);
    suppression_tell(&entry, text, sizeof(text));
    CHECK(strncmp(text, "manual since 20", 15) == 0 && strstr(text, "(test)"));
    end();
}

static void
entries_outlive_the_process_and_end_with_their_time(void)
{
    struct suppression_entry entry;

    begin(&usual);
    entry = entry_of("bob@there.example", "", SUPPRESSION_MANUAL);
    entry.expires = now + DAYS(1);
    CHECK(suppression_add(list, &entry, 1, NULL) == OK);
    close_list();
    open_list(&usual);
    CHECK(binds("bob@there.example", LANE_PERSONAL));
    now += DAYS(2);
    CHECK(!binds("bob@there.example", LANE_PERSONAL));
    CHECK(suppression_expire(list, now, NULL) == OK);
    {
        const struct suppression_mail mail = mail_to("bob@there.example", LANE_PERSONAL);
        CHECK(!suppression_may_bind(list, &mail));
    }
    end();
}

static bool
learn(enum suppression_reason reason, enum lane lane, const char *recipient)
{
    const struct suppression_news news = {
        .reason = reason,
        .account = S("news@here.example"),
        .sender = S("return@here.example"),
        .lane = lane,
        .recipient = str_from(recipient),
        .text = S("550 5.1.1 No such user"),
        .source = S("delivery"),
    };
    bool entered;

    CHECK(suppression_learn(list, &news, now, &entered, NULL) == OK);
    return entered;
}

static void
mail_to_many_teaches_that_a_mailbox_is_dead_and_mail_of_persons_does_not(void)
{
    begin(&usual);
    CHECK(!learn(SUPPRESSION_BOUNCE, LANE_PERSONAL, "bob@there.example"));
    CHECK(!learn(SUPPRESSION_BOUNCE, LANE_CODE, "bob@there.example"));
    CHECK(!binds("bob@there.example", LANE_BULK));
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(binds("bob@there.example", LANE_NOTICE));
    CHECK(learn(SUPPRESSION_COMPLAINT, LANE_PERSONAL, "eve@there.example"));
    CHECK(binds("eve@there.example", LANE_BULK));
    CHECK(!binds("eve@there.example", LANE_NOTICE));
    end();
}

static void
a_second_refusal_at_the_same_time_is_the_same_one(void)
{
    begin(&usual);
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(!learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    now += DAYS(91);
    CHECK(!binds("bob@there.example", LANE_BULK));
    end();
}

static void
who_is_dead_again_stays_out_twice_as_long(void)
{
    begin(&usual);
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    now += DAYS(91);
    CHECK(suppression_expire(list, now, NULL) == OK);
    CHECK(!binds("bob@there.example", LANE_BULK));
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    now += DAYS(179);
    CHECK(binds("bob@there.example", LANE_BULK));
    now += DAYS(2);
    CHECK(!binds("bob@there.example", LANE_BULK));
    for (int i = 0; i < 5; i++) {
        CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
        now += DAYS(361); /* The longest is 360 days. */
        CHECK(!binds("bob@there.example", LANE_BULK));
    }
    end();
}

static void
an_operator_may_want_more_than_one_refusal(void)
{
    struct suppression_rules rules = usual;

    rules.bounces = 3;
    begin(&rules);
    CHECK(!learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(!learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(!binds("bob@there.example", LANE_BULK));
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(binds("bob@there.example", LANE_BULK));
    /* Three in as many years are none. */
    for (unsigned i = 0; i < 5; i++) {
        CHECK(!learn(SUPPRESSION_BOUNCE, LANE_BULK, "eve@there.example"));
        now += rules.bounce_expire + DAYS(1);
    }
    end();
}

static void
whose_mail_came_back_is_bound_or_everybody_if_the_operator_says_so(void)
{
    struct suppression_mail other = mail_to("bob@there.example", LANE_BULK);
    struct suppression_rules rules = usual;

    other.account = S("zoe@elsewhere.example");
    other.sender = S("zoe@elsewhere.example");
    begin(&usual);
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(!is_bound(&other));
    end();
    rules.everybody = true;
    begin(&rules);
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    CHECK(is_bound(&other));
    end();
}

static void
a_delivery_takes_back_what_was_learnt_and_no_word_of_a_person(void)
{
    const struct suppression_mail mail = mail_to("bob@there.example", LANE_PERSONAL);

    begin(&usual);
    CHECK(learn(SUPPRESSION_BOUNCE, LANE_BULK, "bob@there.example"));
    suppression_unlearn(list, &mail, now);
    CHECK(!binds("bob@there.example", LANE_BULK));
    add("bob@there.example", "", SUPPRESSION_BOUNCE);
    CHECK(learn(SUPPRESSION_COMPLAINT, LANE_BULK, "bob@there.example"));
    suppression_unlearn(list, &mail, now);
    CHECK(binds("bob@there.example", LANE_NOTICE)); /* An operator's. */
    CHECK(binds("bob@there.example", LANE_BULK));
    end();
}

static void
a_host_that_takes_all_and_bounces_later_proves_nothing_by_taking(void)
{
    const struct suppression_mail mail = mail_to("bob@there.example", LANE_PERSONAL);
    const struct suppression_news news = { .reason = SUPPRESSION_BOUNCE,
                                           .account = S("news@here.example"),
                                           .lane = LANE_BULK,
                                           .recipient = S("bob@there.example"),
                                           .source = S("bounce") };

    begin(&usual);
    CHECK(suppression_learn(list, &news, now, NULL, NULL) == OK);
    suppression_unlearn(list, &mail, now);
    CHECK(binds("bob@there.example", LANE_BULK));
    end();
}

struct seen {
    int64_t ids[64];
    size_t count;
};

static enum err
see(void *arg, const struct suppression_entry *entry)
{
    struct seen *seen = arg;

    if (seen->count < COUNT_OF(seen->ids))
        seen->ids[seen->count] = entry->id;
    seen->count++;
    return OK;
}

static size_t
count_of(const char *words)
{
    struct suppression_query query;
    struct seen seen = { .count = 0 };
    bool more;

    CHECK(suppression_query_parse(str_from(words), &arena, &query, NULL) == OK);
    CHECK(suppression_each(list, &query, now, 0, see, &seen, &more, NULL) == OK);
    return seen.count;
}

static void
words_choose_entries(void)
{
    static const struct {
        const char *words;
        size_t count;
    } rows[] = {
        { "", 4 },
        { "BOB@there.example", 2 },
        { "address:bob@there.example reason:manual", 1 },
        { "domain:there.example", 2 },
        { "domain:@there.example", 2 },
        { "account:all", 2 },
        { "account:news@here.example", 1 },
        { "account:@here.example", 1 },
        { "reason:bounce", 1 },
        { "list:weekly", 0 },
        { "source:test", 4 },
        { "older:1d", 1 },
        { "newer:1d", 3 },
    };
    static const char *const wrong[] = { "bob",         "reason:bad", "older:never", "colour:red",
                                         "account:bob", "domain:..",  "address:" };
    struct suppression_query query;
    struct why why;

    begin(&usual);
    now -= DAYS(2);
    add("bob@there.example", "", SUPPRESSION_MANUAL);
    now += DAYS(2);
    add("bob@there.example", "news@here.example", SUPPRESSION_BOUNCE);
    add("eve@elsewhere.example", "@here.example", SUPPRESSION_COMPLAINT);
    add("@spam.example", "", SUPPRESSION_MANUAL);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK(count_of(rows[i].words) == rows[i].count);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK(suppression_query_parse(str_from(wrong[i]), &arena, &query, &why) == ERR_SYNTAX);
    end();
}

static void
what_is_removed_binds_no_more(void)
{
    struct suppression_query query;
    struct seen seen = { .count = 0 };
    size_t count;
    bool more;

    begin(&usual);
    add("bob@there.example", "", SUPPRESSION_MANUAL);
    add("bob@there.example", "", SUPPRESSION_BOUNCE);
    CHECK(suppression_query_parse(S("reason:manual"), &arena, &query, NULL) == OK);
    CHECK(suppression_each(list, &query, now, 0, see, &seen, &more, NULL) == OK);
    CHECK(suppression_remove(list, seen.ids, seen.count, &count, NULL) == OK && count == 1);
    CHECK(!binds("bob@there.example", LANE_PERSONAL));
    CHECK(binds("bob@there.example", LANE_BULK));
    CHECK(suppression_remove(list, seen.ids, seen.count, &count, NULL) == OK && count == 0);
    end();
}

static void
what_cannot_be_an_entry_is_refused_and_nothing_of_its_batch_stays(void)
{
    struct suppression_entry entries[2];
    struct suppression_stats stats;
    char long_text[SUPPRESSION_LIST_MAX + 1];
    struct why why;

    memset(long_text, 'a', sizeof(long_text));

    begin(&usual);
    entries[0] = entry_of("bob@there.example", "", SUPPRESSION_MANUAL);
    entries[1] = entry_of("bob", "", SUPPRESSION_MANUAL);
    CHECK(suppression_add(list, entries, 2, &why) == ERR_SYNTAX);
    CHECK(!binds("bob@there.example", LANE_PERSONAL));
    suppression_stats(list, &stats);
    CHECK(stats.entries == 0);
    entries[1] = entry_of("eve@there.example", "", SUPPRESSION_MANUAL);
    entries[1].list = (str){ long_text, SUPPRESSION_LIST_MAX + 1 };
    CHECK(suppression_examine(&entries[1], &why) == ERR_SYNTAX);
    entries[1].list = (str){ long_text, SUPPRESSION_LIST_MAX };
    CHECK(suppression_examine(&entries[1], &why) == OK);
    entries[1] = entry_of("eve@there.example", "nowhere", SUPPRESSION_MANUAL);
    CHECK(suppression_examine(&entries[1], &why) == ERR_SYNTAX);
    entries[1].scope = S("");
    entries[1].address = S("x@y..z");
    CHECK(suppression_examine(&entries[1], &why) == ERR_SYNTAX);
    entries[1].address = S("x\xef\xbf\xbd@y.example"); /* What JSON makes of no UTF-8. */
    CHECK(suppression_examine(&entries[1], &why) == ERR_SYNTAX);
    entries[1].address = S("x@y.example");
    CHECK(suppression_examine(&entries[1], &why) == OK);
    entries[1].expires = now - 1;
    CHECK(suppression_examine(&entries[1], &why) == ERR_SYNTAX);
    end();
}

static void
as_many_as_may_are_entered_at_once_and_a_long_note_is_cut(void)
{
    static struct suppression_entry entries[SUPPRESSION_AT_ONCE];
    static char addresses[SUPPRESSION_AT_ONCE][32];
    char note[SUPPRESSION_NOTE_MAX + 100];
    const struct suppression_mail mail = mail_to("user999@there.example", LANE_PERSONAL);
    struct suppression_entry entry;
    bool found;

    begin(&usual);
    memset(note, 'n', sizeof(note));
    for (unsigned i = 0; i < SUPPRESSION_AT_ONCE; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "user%u@there.example", i);
        entries[i] = entry_of(addresses[i], "", SUPPRESSION_MANUAL);
        entries[i].note = (str){ note, sizeof(note) };
    }
    CHECK(suppression_add(list, entries, SUPPRESSION_AT_ONCE, NULL) == OK);
    CHECK(suppression_check(list, &mail, now, &arena, &found, &entry) == OK && found);
    CHECK(entry.note.len == SUPPRESSION_NOTE_MAX);
    end();
}

/* A directory as it was before there was a list. */
static void
a_directory_of_an_older_version_is_opened(void)
{
    sqlite3 *old = NULL;

    begin(&usual);
    close_list();
    CHECK(sqlite3_open(temp_dir_file(&dir, "directory.db"), &old) == SQLITE_OK);
    CHECK(sqlite3_exec(old, "DROP TABLE suppression; PRAGMA user_version = 1;", NULL, NULL, NULL) ==
          SQLITE_OK);
    sqlite3_close(old);
    open_list(&usual);
    add("bob@there.example", "", SUPPRESSION_MANUAL);
    CHECK(binds("bob@there.example", LANE_PERSONAL));
    end();
}

/* --- The table. */

static void
the_table_finds_all_that_is_in_it_and_forgets_what_leaves(void)
{
    struct suppression_table table;
    char text[40];
    str address, scope = S("");
    unsigned wrong = 0;

    suppression_table_init(&table);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "user%u@there.example", i);
        suppression_table_begin(&table, suppression_table_key(&table, str_from(text), scope),
                                1 + i % 7);
        suppression_table_end(&table);
    }
    for (unsigned i = 0; i < 20000; i += 2) {
        snprintf(text, sizeof(text), "user%u@there.example", i);
        wrong +=
            !suppression_table_correct(&table, suppression_table_key(&table, str_from(text), scope),
                                       0, suppression_table_epoch(&table));
    }
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "user%u@there.example", i);
        address = str_from(text);
        wrong += suppression_table_find(&table, &address, 1, &scope, 1) != (i % 2 ? 1 + i % 7 : 0);
    }
    CHECK(wrong == 0);
    CHECK(suppression_table_count(&table) == 10000);
    suppression_table_done(&table);
}

static void
nothing_leaves_the_table_while_somebody_adds(void)
{
    struct suppression_table table;
    uint64_t key, epoch;

    suppression_table_init(&table);
    key = suppression_table_key(&table, S("bob@there.example"), S(""));
    suppression_table_begin(&table, key, 1);
    CHECK(!suppression_table_correct(&table, key, 0, suppression_table_epoch(&table)));
    suppression_table_end(&table);
    epoch = suppression_table_epoch(&table);
    suppression_table_begin(&table, key, 1);
    suppression_table_end(&table);
    CHECK(!suppression_table_correct(&table, key, 0, epoch));
    CHECK(suppression_table_count(&table) == 1);
    suppression_table_done(&table);
}

/* One adds, another corrects by what it has read before: what is in the "database" is found always.
 */
enum {
    RACE_KEYS = 64,
    RACE_ROUNDS = 20000
};
struct race {
    struct suppression_table table;
    uint64_t keys[RACE_KEYS];
    _Atomic(unsigned) stored[RACE_KEYS];
    _Atomic(bool) over;
    _Atomic(unsigned) corrected;
};

static void *
correct_all_the_time(void *arg)
{
    struct race *race = arg;

    for (unsigned i = 0; !atomic_load(&race->over); i = (i + 1) % RACE_KEYS) {
        uint64_t epoch = suppression_table_epoch(&race->table);
        unsigned mask = atomic_load(&race->stored[i]);
        if (suppression_table_correct(&race->table, race->keys[i], mask, epoch))
            atomic_fetch_add(&race->corrected, 1);
    }
    return NULL;
}

static void
what_is_added_is_never_missed_while_another_takes_out(void)
{
    static struct race race;
    str scope = S("");
    char text[40];
    unsigned missed = 0;
    pthread_t thread;

    suppression_table_init(&race.table);
    for (unsigned i = 0; i < RACE_KEYS; i++) {
        snprintf(text, sizeof(text), "user%u@there.example", i);
        race.keys[i] = suppression_table_key(&race.table, str_from(text), scope);
    }
    CHECK(pthread_create(&thread, NULL, correct_all_the_time, &race) == 0);
    while (atomic_load(&race.corrected) == 0)
        sched_yield();
    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        unsigned k = i % RACE_KEYS;
        str address = str_from(text);
        suppression_table_begin(&race.table, race.keys[k], 1);
        atomic_store(&race.stored[k], 1);
        suppression_table_end(&race.table);
        snprintf(text, sizeof(text), "user%u@there.example", k);
        address.len = strlen(text);
        missed += suppression_table_find(&race.table, &address, 1, &scope, 1) == 0;
        atomic_store(&race.stored[(k + RACE_KEYS / 2) % RACE_KEYS], 0);
        if (i % 8 == 0)
            sched_yield();
    }
    atomic_store(&race.over, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(missed == 0);
    printf("# corrected %u times beside %d additions\n", atomic_load(&race.corrected), RACE_ROUNDS);
    suppression_table_done(&race.table);
}

/* The bound is wide, for machines that do something else beside. */
static void
a_million_entries_take_sixteen_mebibytes_and_a_look_far_below_a_microsecond(void)
{
    enum {
        LOOKS = 200000
    };
    const str scopes[] = { S(""), S("news@here.example"), S("@here.example") };
    struct suppression_table table;
    char text[40];
    unsigned found = 0;
    instant began;
    duration each;

    suppression_table_init(&table);
    for (unsigned i = 0; i < 1000000; i++) {
        snprintf(text, sizeof(text), "user%u@there.example", i);
        suppression_table_begin(&table, suppression_table_key(&table, str_from(text), S("")), 1);
        suppression_table_end(&table);
    }
    CHECK(suppression_table_bytes(&table) == 16 << 20);
    began = clock_steady();
    for (unsigned i = 0; i < LOOKS; i++) {
        str addresses[] = { { text, sizeof("user000000@there.example") - 1 }, S("@there.example") };
        memcpy(text + 4, &(char[]){ (char)('a' + i % 26), (char)('a' + i / 26 % 26) }, 2);
        found += suppression_table_find(&table, addresses, 2, scopes, 3) != 0;
    }
    each = (clock_steady() - began) / LOOKS;
    CHECK(found == 0);
    CHECK(each < MICROSECONDS(5));
    printf("# one look among a million: %lld ns\n", (long long)each);
    suppression_table_done(&table);
}

int
main(void)
{
    RUN(what_a_reason_binds);
    RUN(before_the_lane_is_known_only_a_word_that_binds_all_holds);
    RUN(an_entry_binds_the_mail_of_its_scope_only);
    RUN(spellings_of_an_address_are_one);
    RUN(who_left_one_list_gets_the_others);
    RUN(the_strongest_entry_speaks);
    RUN(entries_outlive_the_process_and_end_with_their_time);
    RUN(mail_to_many_teaches_that_a_mailbox_is_dead_and_mail_of_persons_does_not);
    RUN(a_second_refusal_at_the_same_time_is_the_same_one);
    RUN(who_is_dead_again_stays_out_twice_as_long);
    RUN(an_operator_may_want_more_than_one_refusal);
    RUN(whose_mail_came_back_is_bound_or_everybody_if_the_operator_says_so);
    RUN(a_delivery_takes_back_what_was_learnt_and_no_word_of_a_person);
    RUN(a_host_that_takes_all_and_bounces_later_proves_nothing_by_taking);
    RUN(words_choose_entries);
    RUN(what_is_removed_binds_no_more);
    RUN(what_cannot_be_an_entry_is_refused_and_nothing_of_its_batch_stays);
    RUN(as_many_as_may_are_entered_at_once_and_a_long_note_is_cut);
    RUN(a_directory_of_an_older_version_is_opened);
    RUN(the_table_finds_all_that_is_in_it_and_forgets_what_leaves);
    RUN(nothing_leaves_the_table_while_somebody_adds);
    RUN(what_is_added_is_never_missed_while_another_takes_out);
    RUN(a_million_entries_take_sixteen_mebibytes_and_a_look_far_below_a_microsecond);
    return check_end();
}
