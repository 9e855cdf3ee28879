/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* classify_test.c: the names of the classes.  What has which class: shaping_test.c. */
#include "delivery/rules/classify.h"

#include "check.h"

static void
names_are_read_as_they_are_written(void)
{
    for (enum reply_class class = CLASS_NONE + 1; class < CLASS_COUNT; class ++) {
        enum reply_class parsed = CLASS_NONE;
        CHECK(reply_class_parse(str_from(reply_class_name(class)), &parsed) && parsed == class);
    }
    CHECK(!reply_class_parse(S(""), &(enum reply_class){ 0 }));
}

int
main(void)
{
    RUN(names_are_read_as_they_are_written);
    return check_end();
}
