#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""verify_arc: what dkimpy says of chains, and chains and signatures that it makes; no DNS is asked.

    verify_arc.py check RECORDS MESSAGE ...       a line of JSON for each message
    verify_arc.py sign KEY DOMAIN CANON [LENGTH]  reads a message, writes its DKIM-Signature; KEY is PEM, or base64 of Ed25519
    verify_arc.py seal KEY DOMAIN CV              reads a message, writes its ARC set
    verify_arc.py vectors FILE                    the vectors of the ARC test suite: [name, message, records, cv]

RECORDS has lines "NAME TEXT".
"""
import json
import sys

import dkim


def check(records_file, paths):
    with open(records_file) as f:
        records = dict(line.rstrip("\n").split(" ", 1) for line in f)

    def lookup(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None
    for path in paths:
        with open(path, "rb") as f:
            message = f.read()
        cv, results, reason = dkim.ARC(message).verify(dnsfunc=lookup)
        signatures = []
        for index in range(sum(1 for name, _ in dkim.DKIM(message).headers if name.lower() == b"dkim-signature")):
            checker = dkim.DKIM(message)
            try:
                good = checker.verify(idx=index, dnsfunc=lookup)
            except dkim.DKIMException:
                good = False
            signatures.append([checker.signature_fields.get(b"d", b"").decode(), bool(good)])
        print(json.dumps({"cv": cv.decode() if cv else None, "sets": len(results), "reason": reason, "dkim": signatures}))


def tags(text):
    """The form that was signed: no blanks within a tag, one between them."""
    return "; ".join("".join(tag.split()) for tag in text.split(";"))


def vectors(path):
    import yaml
    for document in yaml.safe_load_all(open(path, encoding="utf-8")):
        records = {name: "".join(text.split("\n")) for name, text in document["txt-records"].items()}
        for name, test in document["tests"].items():
            message = test["message"].replace("\n", "\r\n")
            if test["AS"].strip():
                results = "\r\n  ".join(line.strip() for line in test["AAR"].strip().split("\n"))
                message = f"ARC-Seal: {tags(test['AS'])}\r\nARC-Message-Signature: {tags(test['AMS'])}\r\n" \
                          f"ARC-Authentication-Results: {results}\r\n{message}"
            print(json.dumps([name, message, records, "fail" if "cv=fail" in message else "pass"]))


def read_key(path):
    with open(path, "rb") as f:
        return f.read().strip()


def main():
    if sys.argv[1] == "check":
        check(sys.argv[2], sys.argv[3:])
        return
    if sys.argv[1] == "vectors":
        vectors(sys.argv[2])
        return
    key, domain = read_key(sys.argv[2]), sys.argv[3].encode()
    message = sys.stdin.buffer.read()
    if sys.argv[1] == "sign":
        canon = tuple(sys.argv[4].encode().split(b"/"))
        kind = b"rsa-sha256" if key.startswith(b"-----") else b"ed25519-sha256"
        sys.stdout.buffer.write(dkim.sign(message, b"s" if kind[0] == 114 else b"e", domain, key, canonicalize=canon,
                                          signature_algorithm=kind, length=len(sys.argv) > 5))
        return
    results = b"Authentication-Results: " + domain + b"; arc=" + sys.argv[4].encode() + b"\r\n"
    fields = dkim.arc_sign(results + message, b"s", domain, key, domain, include_headers=[b"from", b"to", b"subject"])
    sys.stdout.buffer.write(b"".join(fields))


if __name__ == "__main__":
    main()
