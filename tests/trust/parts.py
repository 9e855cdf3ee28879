# SPDX-License-Identifier: AGPL-3.0-or-later
"""parts: name servers, certificates and messages that several cases use."""
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import free_port, need, wait_for, wait_port  # noqa: E402

ZONE = "here.example"
LINE = b"The quick brown fox jumps over the lazy dog, again and again. 0123456789\r\n"
FROM = b"From: Ann <ann@here.example>\r\n"
SHAPES = {
    "plain": FROM + b"To: bob@far.example\r\nSubject: hello\r\n\r\nHello.\r\n",
    "folded fields": FROM + b"To: a@far.example,\r\n b@far.example,\r\n\tc@far.example\r\n"
                            b"Subject: one\r\n  two\r\n \tthree   four \r\n\r\nHello.\r\n",
    "blanks": FROM + b"Subject:   \t spaced \t \r\n\r\n  two  blanks \t here   \r\n\t\r\n \r\nend \r\n\r\n\r\n",
    "dots": FROM + b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n",
    "no body": FROM + b"Subject: nothing\r\n\r\n",
    "only a header section": FROM + b"Subject: nothing at all\r\n",
    "empty lines only": FROM + b"Subject: void\r\n\r\n\r\n\r\n\r\n",
    "eight bits": FROM + "Subject: Gr\u00fc\u00dfe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSch\u00f6ne Gr\u00fc\u00dfe\r\n".encode(),
    "repeated fields": FROM + b"Comments: a\r\nComments: b\r\nReferences: <1@x>\r\nSubject: again\r\nKeywords: x\r\n\r\nx\r\n",
    "one long line": FROM + b"Subject: long\r\n\r\n" + b"x" * 900 + b"\r\n",
    "list": FROM + b"List-Id: <l.here.example>\r\nList-Unsubscribe: <https://here.example/u?1>\r\n"
                   b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nSubject: news\r\n\r\nNews.\r\n",
    "25 MiB": FROM + b"Subject: large\r\n\r\n" + LINE * (25 * 1024 * 1024 // len(LINE)),
}


class Knot:
    """A name server whose zone takes dynamic updates from loopback (RFC 2136).  At `address` it listens on port 53;
    `servers` are the addresses of the zone's servers, `key` (a name and a secret in base64) is another who may update."""

    def __init__(self, zone, records="", address=None, servers=("127.0.0.1",), key=None):
        program = need("knotd")
        self.zone, self.address = zone, address or "127.0.0.1"
        names = "".join(f"@ NS ns{i}\nns{i} A {server}\n" for i, server in enumerate(servers, 1))
        key_text = f"key:\n  - id: {key[0]}\n    algorithm: hmac-sha256\n    secret: {key[1]}\n" if key else ""
        acl_text = f"  - id: keyed\n    key: {key[0]}\n    action: update\n" if key else ""
        self.dir = tempfile.mkdtemp(prefix="knot-")
        os.makedirs(os.path.join(self.dir, "db"))
        self.port = 53 if address else free_port()
        with open(os.path.join(self.dir, f"{zone}.zone"), "w") as f:
            f.write(f"$ORIGIN {zone}.\n$TTL 1\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n{names}{records}\n")
        conf = os.path.join(self.dir, "knot.conf")
        with open(conf, "w") as f:
            f.write(f"server:\n  rundir: {self.dir}\n  listen: {self.address}@{self.port}\n  user: root\n"
                    f"database:\n  storage: {self.dir}/db\n{key_text}"
                    f"acl:\n{acl_text}  - id: local\n    address: {self.address}\n    action: update\n"
                    f"zone:\n  - domain: {zone}\n    storage: {self.dir}\n    file: {zone}.zone\n    acl: [{'keyed, ' if key else ''}local]\n")
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen([program, "-c", conf], stdout=self.log, stderr=self.log)
        wait_port(self.port, self.address)

    def update(self, *lines):
        text = f"server {self.address} {self.port}\nlocal {self.address}\nzone {self.zone}.\n" + "\n".join(lines) + "\nsend\n"
        done = subprocess.run([need("knsupdate")], input=text, capture_output=True, text=True, timeout=20)
        with open(os.path.join(self.dir, "log")) as log:
            assert done.returncode == 0 and "fail" not in done.stdout.lower(), f"{text}\n{done.stdout}{log.read()}"

    def publish(self, name, record):
        pieces = " ".join(f'"{record[i:i + 200]}"' for i in range(0, len(record), 200))
        self.update(f"del {name}. TXT", f"add {name}. 1 TXT {pieces}")

    def records(self, name):
        """The TXT records of a name, as this server has them now."""
        done = subprocess.run([need("kdig"), f"@{self.address}", "-p", str(self.port), "+short", "TXT", name],
                              capture_output=True, text=True, timeout=20)
        return ["".join(line.split('"')[1::2]) for line in done.stdout.splitlines()]

    def withdraw(self, name):
        self.update(f"del {name}. TXT")

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class SignedZone:
    """Knot with a zone that it signs itself; `anchor` is what makes a resolver believe it."""

    def __init__(self, zone, records):
        program, keymgr = need("knotd"), need("keymgr")
        self.dir = tempfile.mkdtemp(prefix="knot-")
        os.makedirs(os.path.join(self.dir, "db"))
        self.port = free_port()
        with open(os.path.join(self.dir, f"{zone}.zone"), "w") as f:
            f.write(f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n{records}\n")
        conf = os.path.join(self.dir, "knot.conf")
        with open(conf, "w") as f:
            f.write(f"server:\n  rundir: {self.dir}\n  listen: 127.0.0.1@{self.port}\n  user: root\n"
                    f"database:\n  storage: {self.dir}/db\n"
                    f"zone:\n  - domain: {zone}\n    storage: {self.dir}\n    file: {zone}.zone\n    dnssec-signing: on\n"
                    f"    zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    journal-content: all\n")
        self.process = subprocess.Popen([program, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(self.port)

        def ds():
            done = subprocess.run([keymgr, "-c", conf, zone, "ds"], capture_output=True, text=True)
            lines = [line for line in done.stdout.splitlines() if " DS " in line and line.split()[4] == "2"]
            return lines[0] if lines else None
        self.anchor = wait_for(ds, 20, "the DS record of the zone", 0.2)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Certificates:
    """A CA, a certificate by it for mx1.far.example, and one that nobody signed."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="certs-")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                     "-out", "ca.pem", "-subj", "/CN=a CA", "-days", "30")
        for name, host in (("named", "ta.far.example"), ("other", "elsewhere.example")):
            self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                         "-out", f"{name}.csr", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                         "-copy_extensions", "copy", "-out", f"{name}.pem", "-days", "30")
            with open(self.path(f"{name}.pem"), "a") as chain, open(self.path("ca.pem")) as ca:
                chain.write(ca.read())
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key",
                     "-out", "own.pem", "-subj", "/CN=whoever", "-days", "30")

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *words, text=True):
        done = subprocess.run(["openssl", *words], cwd=self.dir, capture_output=True, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def key_digest(self, name):
        key = self.openssl("x509", "-in", f"{name}.pem", "-noout", "-pubkey")
        done = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key.encode(), capture_output=True)
        return hashlib.sha256(done.stdout).hexdigest()

    def certificate_digest(self, name):
        return hashlib.sha256(self.openssl("x509", "-in", f"{name}.pem", "-outform", "DER", text=False)).hexdigest()

    def context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        return context

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
