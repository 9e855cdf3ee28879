/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_dkim.c: messages with signatures and seals of strangers; the key's record is the value of "Key:". */
#include "fuzz.h"

#include "trust/arc.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("Key: v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\r\n"
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com;\r\n"
      " i=@football.example.com; q=dns/txt; s=brisbane; t=1528637909; x=1628637909; l=70;\r\n"
      " h=from : to : subject; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
      "From: Joe <joe@football.example.com>\r\n\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"),
    S("Key: p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0"
      "Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8"
      "uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\r\n"
      "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from;\r\n"
      " bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b=AAAA\r\nFrom: x\r\n\r\n\r\n"),
    S("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=one.example; s=s; t=1528637909; b=AAAA\r\n"
      "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=s;\r\n"
      " h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
      "ARC-Authentication-Results: i=1; one.example; arc=none\r\nFrom: x\r\n\r\n"),
    S("DKIM-Signature: v=1; a=rsa-sha1; b=\r\n\r\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static enum err
look_up(void *arg, struct arena *arena, str name, struct dns_answer *answer)
{
    must(!fuzz_has_line_end(name));
    *answer = (struct dns_answer){ .status = DNS_FOUND, .count = 1 };
    answer->records = arena_new(arena, struct dns_record);
    if (!answer->records)
        return ERR_LIMIT;
    answer->records[0].data = *(str *)arg;
    return OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size }, record = S("");
    struct dkim_lookup lookup = { look_up, &record };
    struct dkim_hashes hashes = {};
    struct dkim_fields fields;
    struct dkim_verify verify;
    struct header_field field;
    struct arc_chain chain;
    size_t scanned = 0, header = 0;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    if (!header_find_end(input, &scanned, &header))
        header = size;
    if (header_find(input, S("Key"), &field))
        record = field.value;
    if (!dkim_fields_read(str_head(input, header), &arena, &fields) &&
        !dkim_verify_begin(&fields, &hashes, SECONDS(1528637910), &arena, &verify) &&
        !arc_begin(&fields, &hashes, SECONDS(1528637910), &arena, &chain)) {
        dkim_hashes_add(&hashes, str_skip(input, header));
        dkim_hashes_end(&hashes);
        if (!dkim_verify_end(&verify, &hashes, &lookup, &arena))
            for (size_t i = 0; i < verify.count; i++)
                must(verify.checks[i].result != DKIM_PENDING && verify.checks[i].why[0]);
        if (!arc_end(&chain, &hashes, &lookup, &arena))
            must(chain.status != ARC_PENDING && chain.count <= ARC_SETS_MAX);
    }
    dkim_hashes_done(&hashes);
    arena_done(&arena);
    return 0;
}
