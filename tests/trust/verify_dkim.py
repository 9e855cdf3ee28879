#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""verify_dkim: verify_dkim.py RECORDS MESSAGE ...: a line for each signature, "MESSAGE d=... s=... a=... pass" or "... fail".

RECORDS has lines "NAME TEXT"; no DNS is asked.
"""
import sys

import dkim

with open(sys.argv[1]) as f:
    RECORDS = dict(line.rstrip("\n").split(" ", 1) for line in f)


def lookup(name, timeout=5):
    return RECORDS.get(name.decode().rstrip("."), "").encode() or None


for path in sys.argv[2:]:
    with open(path, "rb") as f:
        message = f.read()
    count = sum(1 for name, _ in dkim.DKIM(message).headers if name.lower() == b"dkim-signature")
    for index in range(count):
        checker = dkim.DKIM(message)
        try:
            good = checker.verify(idx=index, dnsfunc=lookup)
        except dkim.DKIMException as problem:
            print(f"{path} {problem} fail")
            continue
        fields = checker.signature_fields
        print(f"{path} d={fields[b'd'].decode()} s={fields[b's'].decode()} a={fields[b'a'].decode()} {'pass' if good else 'fail'}")
