/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* replay.c: runs one fuzz target without libFuzzer.
 *
 * Without arguments: its seeds, everything that is left when they are cut short, and some
 * thousand random changes of them, the same at each run.  With arguments: the files named,
 * such as a finding of the fuzzer.
 */
#include "fuzz.h"

#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANGES = 3000,
    INPUT_MAX = 1 << 20
};

static unsigned long runs;

/* In memory of exactly its size, so that a sanitizer sees a read past the end. */
static void
run(str input)
{
    uint8_t *copy = malloc(input.len ? input.len : 1);

    must(copy);
    if (input.len)
        memcpy(copy, input.ptr, input.len);
    (void)LLVMFuzzerTestOneInput(copy, input.len);
    free(copy);
    runs++;
}

static void
change(str seed, struct rand *rand)
{
    static const char odd[] = "\r\n\0 .<>@\"\\()=?+,;:-[]0\x80\xff\xc3";
    char copy[4096];
    size_t size = MIN(seed.len, sizeof(copy));

    memcpy(copy, seed.ptr, size);
    for (uint64_t i = 0, n = 1 + rand_below(rand, 4); i < n && size; i++) {
        size_t at = rand_below(rand, size);

        switch (rand_below(rand, 3)) {
        case 0:
            copy[at] = odd[rand_below(rand, sizeof(odd) - 1)];
            break;
        case 1:
            copy[at] = (char)rand_u64(rand);
            break;
        default:
            size--;
            memmove(copy + at, copy + at + 1, size - at);
            break;
        }
    }
    run((str){ copy, size });
}

static void
run_seeds(void)
{
    struct rand rand;

    rand_init(&rand, 1);
    run(S(""));
    for (size_t i = 0; i < fuzz_seed_count; i++)
        for (size_t size = 0; size <= fuzz_seeds[i].len; size++)
            run(str_head(fuzz_seeds[i], size));
    for (size_t i = 0; i < CHANGES; i++)
        change(fuzz_seeds[i % fuzz_seed_count], &rand);
}

static int
run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(INPUT_MAX);
    size_t size;

    must(bytes);
    if (!file) {
        perror(path);
        free(bytes);
        return 1;
    }
    size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    run((str){ bytes, size });
    free(bytes);
    return 0;
}

int
main(int argc, char **argv)
{
    int failed = 0;

    if (argc == 1)
        run_seeds();
    for (int i = 1; i < argc; i++)
        failed |= run_file(argv[i]);
    printf("%lu inputs\n", runs);
    return failed;
}
