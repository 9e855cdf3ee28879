# SPDX-License-Identifier: AGPL-3.0-or-later
"""receivers: who receives what we send: one Postfix with many certificates, and a web host for policies.

Certificates come from parts.Certificates, issued here by its CA for the names that a case needs.
"""
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cases, Sink, wait_port  # noqa: E402

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers")


def issue(certificates, name, *hosts, by_ca=True, expired=False, only_common=False):
    """A certificate NAME.pem for HOSTS, and its key; ONLY_COMMON: for the first, by its common name alone."""
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)
    certificates.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                         "-out", f"{name}.csr", "-subj", f"/CN={hosts[0][:60]}", "-addext", "keyUsage=digitalSignature" if only_common else names)
    signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial") if by_ca else ("-signkey", f"{name}.key")
    certificates.openssl("x509", "-req", "-in", f"{name}.csr", *signer, "-copy_extensions", "copy", "-out", f"{name}.pem",
                         "-days", "-1" if expired else "30")


class Postfix:
    """Real Postfix with one listener for each of FACES: address -> certificate name, or None for no STARTTLS.
    What it takes it hands on to `sink`."""

    def __init__(self, certificates, port, faces):
        script = os.path.join(PEERS, "postfix.sh")
        if os.geteuid() != 0:
            raise Cases.Skip("peers need root")
        installed = subprocess.run([script, "install"], capture_output=True, text=True, timeout=300)
        if installed.returncode:
            raise Cases.Skip(f"postfix cannot be unpacked: {installed.stderr[-300:]}")
        self.dir = tempfile.mkdtemp(prefix="peer-postfix-")
        os.chmod(self.dir, 0o755)
        os.chmod(certificates.dir, 0o755)
        self.sink = Sink()
        lines = []
        for address, certificate in faces.items():
            lines.append(f"{address}:{port} inet n - n - - smtpd")
            if certificate:
                lines.append(f"  -o smtpd_tls_security_level=may -o smtpd_tls_cert_file={certificates.path(certificate)}.pem"
                             f" -o smtpd_tls_key_file={certificates.path(certificate)}.key")
        self.out = open(os.path.join(self.dir, "out"), "wb")
        self.process = subprocess.Popen([script, "run"], stdout=self.out, stderr=self.out, start_new_session=True, env=dict(
            os.environ, SMTP_PORT=str(port), SINK_PORT=str(self.sink.port), STATE=self.dir, PF_MASTER="\n".join(lines)))
        for address in faces:
            wait_port(port, address, 40)

    def has(self, recipient):
        return any(recipient in message.recipients for message in self.sink.messages)

    def close(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.out.close()
        self.sink.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self.dir])


class Page:
    def __init__(self, text, status="200 OK", content_type="text/plain", more="", slow=0, shows="web"):
        self.text, self.status, self.content_type, self.more = text, status, content_type, more
        self.slow, self.shows = slow, shows


class PolicyHost:
    """HTTPS at ADDRESS:443.  `pages`: host name -> Page; the certificate that a page shows is chosen by SNI."""

    def __init__(self, certificates, address):
        self.pages, self.visits, self.lock = {}, [], threading.Lock()
        self.contexts = {}
        self.certificates = certificates
        self.front = certificates.context("web")
        self.front.sni_callback = self.choose
        self.socket = socket.create_server((address, 443), backlog=50)
        threading.Thread(target=self.serve, daemon=True).start()

    def choose(self, connection, name, _):
        page = self.pages.get(name)
        if page is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if page.shows not in self.contexts:
            self.contexts[page.shows] = self.certificates.context(page.shows)
        connection.context = self.contexts[page.shows]
        return None

    def serve(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(raw,), daemon=True).start()

    def answer(self, raw):
        try:
            with self.front.wrap_socket(raw, server_side=True) as connection:
                stream = connection.makefile("rwb")
                target = stream.readline(4096).decode().split(" ")[1]
                host = ""
                while (line := stream.readline(4096).decode().strip()):
                    if line.lower().startswith("host:"):
                        host = line[5:].strip()
                with self.lock:
                    self.visits.append((host, target))
                page = self.pages[host]
                time.sleep(page.slow)
                body = page.text.encode()
                stream.write(f"HTTP/1.1 {page.status}\r\nContent-Type: {page.content_type}\r\n{page.more}"
                             f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                stream.flush()
        except (OSError, KeyError, IndexError, ssl.SSLError):
            raw.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # Also for the thread that waits in accept().
        self.socket.close()
