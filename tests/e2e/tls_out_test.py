"""TLS on the way out: what each policy makes of real servers, good, weak, broken and hostile."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from dns_server import DnsServer
from harness import EndToEnd, ThreadedServer, run, wait_for


class Authority:
    """A CA of the test's own, and the certificates it gives out."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="postfleet-ca-")
        self.file = os.path.join(self.folder, "ca.crt")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", "/CN=Test CA", "-keyout", self._path("ca.key"), "-out", self.file)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def certificate(self, name, days=30):
        """Certificate and key for `name` in one file; with negative `days` it has expired."""
        base = self._path(f"{name}{days}")
        if not os.path.exists(base + ".pem"):
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                          "-subj", f"/CN={name}", "-keyout", base + ".key", "-out", base + ".csr")
            with open(base + ".ext", "w") as f:
                f.write(f"subjectAltName=DNS:{name}\n")
            self._openssl("x509", "-req", "-in", base + ".csr", "-CA", self.file, "-CAkey", self._path("ca.key"),
                          "-CAcreateserial", "-days", str(days), "-extfile", base + ".ext", "-out", base + ".crt")
            with open(base + ".pem", "w") as f:
                for part in (base + ".crt", base + ".key"):
                    with open(part) as source:
                        f.write(source.read())
            os.chmod(base + ".pem", 0o600)
        return base + ".pem"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Mx(ThreadedServer):
    """A scripted MX with TLS, one thread per connection. What it saw: (encrypted?, line), per connection."""

    def __init__(self, certificate=None, starttls="220 go", behind="", instead=None, client_ca=None, newest=None, drop="",
                 address="127.0.0.1", port=0):
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
            if client_ca:
                self.context.load_verify_locations(client_ca)
                self.context.verify_mode = ssl.CERT_OPTIONAL
            if newest:
                self.context.maximum_version = newest
        self.offers = certificate is not None
        self.starttls, self.behind, self.instead, self.drop = starttls, behind, instead, drop
        self.connections, self.mails = [], []   # mails: (encrypted?, content, client's certificate)
        super().__init__(address, port)

    def _serve(self, connection):
        lines = []
        self.connections.append(lines)
        try:
            self._dialogue(connection, lines)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _dialogue(self, connection, lines):
        connection.sendall(b"220 mx.test ESMTP\r\n")
        self._converse(connection, False, lines)

    def _converse(self, connection, encrypted, lines):
        with connection.makefile("rb") as stream:
            self._answer(connection, stream, encrypted, lines)

    def _answer(self, connection, stream, encrypted, lines):
        while line := stream.readline():
            text = line.decode("latin-1").rstrip("\r\n")
            lines.append((encrypted, text))
            verb = text[:4].upper()
            if verb == "EHLO":
                offer = b"250-STARTTLS\r\n" if self.offers and not encrypted else b""
                connection.sendall(b"250-mx.test\r\n250-PIPELINING\r\n" + offer + b"250 8BITMIME\r\n")
            elif text == "STARTTLS":
                if self.drop == "starttls":
                    return
                connection.sendall(self.starttls.encode() + b"\r\n" + self.behind.encode())
                if not self.starttls.startswith("220"):
                    continue
                if self.drop == "handshake":
                    return
                if self.instead is not None:
                    connection.sendall(self.instead)
                    stream.readline()
                    return
                with self.context.wrap_socket(connection, server_side=True) as secured:
                    self._converse(secured, True, lines)
                return
            elif verb == "DATA":
                connection.sendall(b"354 go\r\n")
                if self.drop == "data":  # with close_notify
                    connection.unwrap()
                    return
                content = b""
                while (part := stream.readline()) != b".\r\n":
                    if not part:
                        return
                    content += part
                self.mails.append((encrypted, content, connection.getpeercert() if encrypted else None))
                connection.sendall(b"250 2.0.0 taken\r\n")
            elif verb == "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 ok\r\n")

    def wait(self, count):
        wait_for(lambda: len(self.mails) >= count, f"{count} mails")
        return self.mails

    def said_in_clear(self):
        return [text for lines in self.connections for encrypted, text in lines
                if not encrypted and text[:4] in ("MAIL", "RCPT", "DATA")]


class TlsOutTest(EndToEnd):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority()

    @classmethod
    def tearDownClass(cls):
        cls.ca.close()

    def mx(self, *arguments, **options):
        mx = Mx(*arguments, **options)
        self.closers.append(mx)
        return mx

    def send_by(self, policy, *mxs, more=""):
        hops = ", ".join(f'"localhost:{mx.port}"' for mx in mxs)
        stack = self.stack(f'routes: {{"*": [{hops}]}}\n'
                           f"shaping:\n  - {{retry_after: 1s, tls: {policy}, tls_ca_file: {self.ca.file}"
                           f"{more}}}\n").start()
        stack.send("to@dest.test")
        return stack

    def assert_deferred(self, stack, mx, *words):
        event = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertEqual(event["phase"], "starttls")
        self.assertEqual(event["enhanced_code"][:4], "4.7.")
        for word in words:
            self.assertIn(word, event["response"])
        self.assertEqual(mx.said_in_clear(), [])
        self.assertEqual(mx.mails, [])
        self.assertEqual(stack.events("bounced", "delivered"), [])

    def test_verified_tls_delivers_and_the_event_says_how(self):
        """X3207: EHLO, STARTTLS, EHLO again; the event has protocol and cipher."""
        mx = self.mx(self.ca.certificate("localhost"))
        stack = self.send_by("verify", mx)
        self.assertTrue(mx.wait(1)[0][0])
        self.assertEqual([text[:8] for _, text in mx.connections[0]][:3], ["EHLO mta", "STARTTLS", "EHLO mta"])
        tls = stack.wait_events(1, "delivered")[0]["data"]["delivery"]["tls"]
        self.assertEqual(tls["version"], "TLSv1.3")
        self.assertTrue(tls["cipher"].startswith("TLS_AES"))

    def test_require_takes_any_certificate_and_verify_does_not(self):
        """SEC-4, F41: expired, for another name, or from nobody known: deferred with the reason, never in clear."""
        stranger = Authority()
        self.addCleanup(stranger.close)
        for certificate, reason in ((self.ca.certificate("other.test"), "hostname mismatch"),
                                    (self.ca.certificate("localhost", -1), "expired"),
                                    (stranger.certificate("localhost"), "unable to get local issuer")):
            with self.subTest(reason):
                mx = self.mx(certificate)
                self.send_by("require", mx)
                self.assertTrue(mx.wait(1)[0][0])
                strict = self.mx(certificate)
                self.assert_deferred(self.send_by("verify", strict), strict, reason)

    def test_nothing_that_fails_leads_to_clear_text_where_tls_is_required(self):
        """SEC-4, F41: not offered, refused, garbage, octets behind the 220, TLS 1.1 only."""
        pem = self.ca.certificate("localhost")
        old = self.mx(pem, newest=ssl.TLSVersion.TLSv1_1)
        old.context.minimum_version = ssl.TLSVersion.TLSv1
        old.context.set_ciphers("ALL:@SECLEVEL=0")
        for mx, word in ((self.mx(), "does not offer STARTTLS"), (self.mx(pem, starttls="454 4.7.0 not now"), "not now"),
                         (self.mx(pem, instead=b"I am no TLS server\r\n" * 5), "TLS handshake"),
                         (self.mx(pem, behind="250-mx.test\r\n250 AUTH PLAIN\r\n"), "in clear"),
                         (old, "TLS handshake")):
            with self.subTest(word, port=mx.port):
                self.assert_deferred(self.send_by("require", mx), mx, word)

    def test_a_handshake_that_stalls_ends_in_its_time(self):
        """F41: the connection is given up after tls_timeout."""
        mx = self.mx(self.ca.certificate("localhost"), instead=b"")
        self.assert_deferred(self.send_by("require", mx, more=", tls_timeout: 1s"), mx, "TLS handshake")

    def test_a_connection_that_is_lost_is_no_way_around_tls(self):
        """F30, F41: dropped at STARTTLS, in the handshake, or by close_notify in the middle of the message."""
        pem = self.ca.certificate("localhost")
        for drop, phase in (("starttls", "starttls"), ("handshake", "starttls"), ("data", "body")):
            with self.subTest(drop):
                mx = self.mx(pem, drop=drop)
                stack = self.send_by("verify", mx)
                event = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
                self.assertIn(event["phase"], (phase, "end-of-data") if drop == "data" else (phase,))
                mx.drop = ""  # and then it is mended
                self.assertTrue(mx.wait(1)[0][0])
                self.assertEqual(mx.said_in_clear(), [])

    def test_opportunistic_tls_that_fails_goes_in_clear_over_a_fresh_connection(self):
        """SEC-4: `may` never goes on in clear where TLS has failed; it opens another connection."""
        pem = self.ca.certificate("localhost")
        for mx in (self.mx(pem, starttls="454 4.7.0 not now"), self.mx(pem, instead=b"I am no TLS server\r\n" * 5),
                   self.mx(pem, behind="250 AUTH PLAIN\r\n")):
            with self.subTest(mx.starttls):
                stack = self.send_by("may", mx)
                self.assertFalse(mx.wait(1)[0][0])
                self.assertGreaterEqual(len(mx.connections), 2)
                self.assertEqual(mx.connections[0][-1][1], "STARTTLS")
                self.assertEqual(stack.events("deferred"), [])
                wait_for(lambda: "tls-failed" in stack.process.output(), "the log to tell of it")
                self.assertNotIn("tls", stack.wait_events(1, "delivered")[0]["data"]["delivery"])

    def test_the_next_host_is_tried(self):
        """F41: a host whose TLS will not do is passed over."""
        bad, good = self.mx(), self.mx(self.ca.certificate("localhost"))
        self.send_by("verify", bad, good)
        self.assertTrue(good.wait(1)[0][0])
        self.assertEqual(bad.said_in_clear(), [])

    def test_sessions_are_resumed_and_our_certificate_is_shown(self):
        mx = self.mx(self.ca.certificate("localhost"), client_ca=self.ca.file)
        own = self.ca.certificate("mta.test")
        stack = self.stack(f'routes: {{"*": ["localhost:{mx.port}"]}}\n'
                           f"shaping:\n  - {{tls: verify, tls_ca_file: {self.ca.file}, tls_certificate: {own}, "
                           "max_messages_per_connection: 1}\n").start()
        for n in range(3):
            stack.send("to@dest.test")
            mx.wait(n + 1)
        wait_for(lambda: "postfleet_sender_tls_resumed_total 2" in stack.http("/metrics")[1], "two resumed sessions")
        self.assertIn("postfleet_sender_tls_handshakes_total 3", stack.http("/metrics")[1])
        subject = dict(pair[0] for pair in mx.mails[0][2]["subject"])
        self.assertEqual(subject["commonName"], "mta.test")

    def test_files_that_cannot_be_used_are_told_when_the_configuration_is_read(self):
        stack = self.stack("shaping:\n  - {tls_ca_file: missing.pem}\n  - {match: {site: a.test}, tls_ciphers: NONSENSE}\n")
        done = run("config", "check", stack.config, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("shaping[0].tls_ca_file", done.stdout + done.stderr)
        self.assertIn("shaping[1].tls_ciphers", done.stdout + done.stderr)


class DaneTest(EndToEnd):
    """X7672: TLSA records bind where DNSSEC vouches for them, in a queue that asks for nothing."""

    def setUp(self):
        super().setUp()
        self.ca = Authority()
        self.addCleanup(self.ca.close)

    def tlsa(self, usage, certificate):
        with open(certificate) as f:
            return usage, 0, 1, hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read().split("-----BEGIN PRIVATE")[0])).hexdigest()

    def send_to(self, mx, records, behaviour=None, host="mx.signed.test"):
        names = DnsServer(signed=["signed.test"])
        self.closers.append(mx)
        self.closers.append(names)
        names.set(host, "A", ["127.0.0.1"])
        names.set(f"_{mx.port}._tcp.{host}", "TLSA", records)
        if behaviour:
            names.behave(f"_{mx.port}._tcp.{host}", behaviour)
        stack = self.stack()
        names.trust_anchors(os.path.join(stack.config, "anchors"))
        stack.write_config(f'routes: {{"*": ["{host}:{mx.port}"]}}\nshaping:\n  - {{retry_after: 1s}}\n'
                           f'dns: {{servers: ["127.0.0.1:{names.port}"], trust_anchor_file: anchors}}\n')
        stack.start().send("to@dest.test")
        return stack

    def assert_waits(self, mx, stack, word):
        event = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertEqual(event["enhanced_code"][:4], "4.7.")
        self.assertIn(word, event["response"])
        self.assertEqual((mx.mails, mx.said_in_clear()), ([], []))

    def assert_delivered(self, mx, stack, policy, verified):
        self.assertTrue(mx.wait(1)[0][0])
        tls = stack.wait_events(1, "delivered")[0]["data"]["delivery"]["tls"]
        self.assertEqual((tls["policy"], tls["verified"]), (policy, verified))

    def test_the_published_certificate_is_taken_also_an_expired_one_for_another_name(self):
        pem = self.ca.certificate("elsewhere.test", -1)
        mx = Mx(pem)
        self.assert_delivered(mx, self.send_to(mx, [self.tlsa(3, pem)]), "dane", "dane")

    def test_another_certificate_makes_the_mail_wait(self):
        mx = Mx(self.ca.certificate("mx.signed.test"))
        self.assert_waits(mx, self.send_to(mx, [self.tlsa(3, self.ca.certificate("other.test"))]), "TLS handshake")

    def test_starttls_that_was_taken_away_makes_the_mail_wait(self):
        """SEC-4: stripping STARTTLS gains an attacker nothing."""
        mx = Mx()
        self.assert_waits(mx, self.send_to(mx, [(3, 0, 1, "00" * 32)]), "does not offer STARTTLS")

    def test_records_that_cannot_be_looked_up_make_the_mail_wait(self):
        """F51: neither SERVFAIL nor a wrong signature downgrades."""
        for behaviour in ("servfail", "bogus"):
            with self.subTest(behaviour):
                mx = Mx(self.ca.certificate("mx.signed.test"))
                self.assert_waits(mx, self.send_to(mx, [(3, 0, 1, "00" * 32)], behaviour), "could not be looked up")

    def test_records_of_which_none_is_usable_ask_for_any_certificate(self):
        mx = Mx(self.ca.certificate("other.test"))
        self.assert_delivered(mx, self.send_to(mx, [(1, 0, 1, "00" * 32)]), "dane", "none")

    def test_records_that_nobody_signed_mean_nothing(self):
        mx = Mx(self.ca.certificate("other.test"))
        self.assert_delivered(mx, self.send_to(mx, [(3, 0, 1, "00" * 32)], host="mx.unsigned.test"), "may", "none")


if __name__ == "__main__":
    unittest.main()
