/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_test.c: what must hold of the tables of gates, whoever changes them. */
#include "intake/gates.h"

#include "check.h"
#include "intake/intake.h"

static ssize_t
place_of(enum door door, enum err (*judge)(struct intake *, struct verdict *))
{
    size_t count;
    const struct gate *gates = gates_of_door(door, &count);

    for (size_t i = 0; i < count; i++) {
        if (gates[i].judge == judge)
            return (ssize_t)i;
    }
    return -1;
}

static void
a_stranger_meets_the_relay_gate_before_the_directory(void)
{
    CHECK(place_of(DOOR_MX, gate_relay) >= 0);
    CHECK(place_of(DOOR_MX, gate_relay) < place_of(DOOR_MX, gate_recipient_exists));
}

static void
submission_begins_with_the_login(void)
{
    CHECK(place_of(DOOR_SUBMISSION, gate_login_required) == 0);
    CHECK(place_of(DOOR_SUBMISSION, gate_sender_owned) > 0);
    CHECK(place_of(DOOR_SUBMISSION, gate_from_owned) > 0);
}

static void
every_door_bounds_the_header_before_it_is_read_otherwise(void)
{
    static const enum door doors[] = { DOOR_MX, DOOR_SUBMISSION, DOOR_LOCAL };

    for (size_t d = 0; d < COUNT_OF(doors); d++) {
        size_t count;
        const struct gate *gates = gates_of_door(doors[d], &count);
        size_t first = 0;

        while (first < count && gates[first].time != AT_HEADER)
            first++;
        CHECK(first < count && gates[first].judge == gate_header_bounds);
    }
}

static void
the_gates_of_a_door_stand_in_the_order_of_time(void)
{
    static const enum door doors[] = { DOOR_MX, DOOR_SUBMISSION, DOOR_LOCAL };

    for (size_t d = 0; d < COUNT_OF(doors); d++) {
        size_t count;
        const struct gate *gates = gates_of_door(doors[d], &count);

        for (size_t i = 1; i < count; i++)
            CHECK(gates[i - 1].time <= gates[i].time);
    }
}

static void
a_verdict_carries_its_words(void)
{
    struct verdict verdict = { 0 };

    CHECK(verdict_accepts(&verdict));
    verdict_refuse(&verdict, 550, "5.1.1", "No %s here", "ann");
    CHECK(!verdict_accepts(&verdict) && verdict.code == 550);
    CHECK_STR(str_from(verdict.enhanced), "5.1.1");
    CHECK_STR(str_from(verdict.text), "No ann here");
}

int
main(void)
{
    RUN(a_stranger_meets_the_relay_gate_before_the_directory);
    RUN(submission_begins_with_the_login);
    RUN(every_door_bounds_the_header_before_it_is_read_otherwise);
    RUN(the_gates_of_a_door_stand_in_the_order_of_time);
    RUN(a_verdict_carries_its_words);
    return check_end();
}
