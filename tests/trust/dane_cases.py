# SPDX-License-Identifier: AGPL-3.0-or-later
"""dane_cases: TLSA records of a signed zone decide about certificates (RFC 7672)."""
import smtplib

from harness import Outpost, Sink, free_port, wait_for
from parts import Certificates, SHAPES, SignedZone

BINARY = None


def dane_decides_about_certificates():
    certificates = Certificates()
    own, ca = certificates.key_digest("own"), certificates.certificate_digest("ca")
    port = free_port("127.0.0.81")
    tlsa = f"_{port}._tcp"
    wrong = "00" * 32
    # domain, its host, the host's TLSA records, what the host shows; what shall come of it
    table = [
        ("good", "81", f"3 1 1 {own}", "own", "dane"),
        ("wrong", "82", f"3 1 1 {wrong}", "own", None),
        ("clear", "83", f"3 1 1 {own}", None, None),
        ("unusable", "84", f"0 0 1 {wrong}", "own", "opportunistic"),
        ("none", "85", None, "own", "opportunistic"),
        ("nothing", "86", None, None, "none"),
        ("ta", "87", f"2 0 1 {ca}", "named", "dane"),
        ("taother", "88", f"2 0 1 {ca}", "other", None),
        ("rollover", "89", f"3 1 1 {wrong}\n{tlsa}.rollover TLSA 3 1 1 {own}", "own", "dane"),
    ]
    records, sinks = "", {}
    for name, last, record, shows, _ in table:
        address = f"127.0.0.{last}"
        records += f"{name} A {address}\nd-{name} MX 10 {name}\n"
        records += f"{tlsa}.{name} TLSA {record}\n" if record else ""
        sinks[name] = Sink(address, port, tls=certificates.context(shows) if shows else None)
    # A host that is a CNAME: the records are those of the name behind it (RFC 7672 2.2.2).
    records += "alias CNAME good\nd-alias MX 10 alias\nanchored CNAME ta\nd-anchored MX 10 anchored\n"
    records += "crooked CNAME wrong\nd-crooked MX 10 crooked\n"
    # The second host is the one that can prove itself; and a host whose records cannot be had.
    records += "d-second MX 10 wrong\nd-second MX 20 good\n"
    records += "lame A 127.0.0.85\n_tcp.lame NS nowhere.invalid.\nd-lame MX 10 lame\n"
    zone = SignedZone("far.example", records)
    server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8"])
    server.append_config(f'dns {{ stub "far.example" 127.0.0.1:{zone.port}; trust_anchor "{zone.anchor}"; timeout 5s; }}\n'
                         f"delivery {{ smtp_port {port}; }}")
    server.start()

    def send_to(domain):
        with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client:
            client.sendmail("ann@here.example", [f"b@{domain}.far.example"], SHAPES["plain"])

    def event_of(domain):
        rows = server.rows("trace", "search", f"b@{domain}.far.example")
        return next((row for row in rows if row["kind"] in ("delivered", "deferred", "bounced")), None)

    def expect(domain, verify):
        event = wait_for(lambda: event_of(domain), 40, f"an attempt at {domain}", 0.3)
        assert event["kind"] == ("delivered" if verify else "deferred"), f"{domain}: {event}"
        if verify:
            assert event["tls"]["verify"] == verify if "tls" in event else event["tls_verify"] == verify, f"{domain}: {event}"
    try:
        for name, *_ in table:
            send_to(f"d-{name}")
        for name in ("d-second", "d-alias", "d-anchored", "d-crooked"):
            send_to(name)
        send_to("d-lame")
        for name, _, _, _, verify in table:
            expect(f"d-{name}", verify)
        expect("d-second", "dane")
        expect("d-lame", None)
        expect("d-alias", "dane")
        expect("d-anchored", "dane")
        expect("d-crooked", None)
        assert not any(sinks[name].messages for name in ("wrong", "clear", "taother")), "mail at a host that proved nothing"
        assert len(sinks["good"].messages) == 3
        why = server.run("queue", "why", "to:b@d-wrong.far.example").stdout
        assert "TLSA" in why or "trusted" in why, why
    finally:
        server.close()
        zone.close()
        certificates.close()
        for sink in sinks.values():
            sink.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    cases.run("dane decides about certificates", dane_decides_about_certificates)
