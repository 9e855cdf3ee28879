# SPDX-License-Identifier: AGPL-3.0-or-later
"""records_cases: what `outpost dns records` prints is what a name server takes, and is seen there."""
import json

from harness import Outpost, wait_for
from parts import Knot

BINARY = None


def quoted(text):
    return " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))


def records_are_seen_once_they_are_published():
    knot = Knot("here.example")
    server = Outpost(BINARY, "ann@here.example", ["--hostname", "mail.here.example"])
    try:
        server.append_config(f'dns {{ stub "here.example" 127.0.0.1:{knot.port}; timeout 5s; }}\n'
                             "delivery { source 192.0.2.25; }\n")
        server.start()
        server.run("dkim", "new", "here.example")
        rows = server.rows("dns", "records", "here.example")
        kinds = {(row["type"], row["name"].removesuffix("here.example")) for row in rows}
        assert {("MX", ""), ("A", "mail."), ("TXT", "_dmarc."), ("TXT", "_mta-sts."), ("CNAME", "mta-sts."), ("TXT", "_smtp._tls."),
                ("TLSA", "_25._tcp.mail."), ("SRV", "_submissions._tcp.")} <= kinds, kinds
        assert sum("_domainkey" in row["name"] for row in rows) == 2, rows
        assert any("ip4:192.0.2.25" in row["value"] for row in rows if row["type"] == "TXT"), rows
        assert server.run("dns", "check", "here.example", check=False).returncode == 1
        ours = [row for row in rows if row["type"] != "PTR"]
        assert all(row["now"] == "absent" for row in ours), rows
        lines = []
        for row in ours:
            value = quoted(row["value"]) if row["type"] == "TXT" else row["value"] or "192.0.2.1"
            lines.append(f"add {row['name']}. 1 {row['type']} {value}")
        knot.update(*lines)

        def look():
            seen = {(row["type"], row["name"]): row for row in server.rows("dns", "records", "here.example")}
            return seen if all(row["now"] == "seen" for row in seen.values() if row["type"] != "PTR") else None
        seen = wait_for(look, 20, "that all are seen, once it is forgotten that they were not there", 1)
        tlsa = seen["TLSA", "_25._tcp.mail.here.example"]
        assert tlsa["needs_dnssec"] and not tlsa["dnssec"], tlsa
        text = server.run("dns", "records", "here.example").stdout
        assert "no answer signed by DNSSEC was seen" in text and "; in the DNS: seen" in text, text
        # Another policy than ours is shown, and left to its owner.
        knot.publish("_dmarc.here.example", "v=DMARC1; p=reject")
        other = wait_for(lambda: next((row for row in server.rows("dns", "records", "here.example")
                                       if row["name"].startswith("_dmarc") and row["now"] == "other"), None), 20, "the other policy", 1)
        assert other["other"] == "v=DMARC1; p=reject", other
        # The id follows the policy.
        first = json.loads(server.run("dns", "sts-policy", "here.example", "--json").stdout)
        second = json.loads(server.run("dns", "sts-policy", "here.example", "--mode", "enforce", "--json").stdout)
        assert first["id"] in seen["TXT", "_mta-sts.here.example"]["value"] and first["id"] != second["id"], (first, second)
        assert "mode: enforce\r\nmx: mail.here.example\r\n" in second["policy"], second
    finally:
        server.close()
        knot.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    cases.run("records: what is printed is seen once it is published", records_are_seen_once_they_are_published)
