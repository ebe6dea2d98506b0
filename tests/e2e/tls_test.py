"""SMTP over TLS as other people's clients speak it: STARTTLS, implicit TLS, injection, certificates that change."""

import os
import smtplib
import socket
import ssl
import subprocess
import unittest

from harness import EndToEnd, Stack, free_port, run, wait_for

ROUTES = 'routes: {{"*": ["127.0.0.1:{port}"]}}\n'


def make_certificate(folder, name, subject="mta.test"):
    """A self-signed certificate and its key: <folder>/<name>.crt and .key."""
    base = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}",
                    "-keyout", base + ".key", "-out", base + ".crt"], check=True, capture_output=True)
    os.chmod(base + ".key", 0o600)
    return base + ".crt", base + ".key"


class TlsTest(EndToEnd):
    def tls_stack(self, sink_port=1, more="", yaml=""):
        stack = Stack()
        self.closers.append(stack)
        self.certificate, self.key = make_certificate(stack.config, "server")
        self.implicit_port = free_port()
        stack.listener = "tls: starttls, certificate: server.crt, private_key: server.key" + more
        stack.write_config(ROUTES.format(port=sink_port) + yaml)
        stack.write_config(f"listeners:\n  smtps: {{address: \"127.0.0.1:{self.implicit_port}\", tls: implicit, "
                           "certificate: server.crt, private_key: server.key}\n", "smtps.yaml")
        return stack

    def client_context(self, **versions):
        context = ssl.create_default_context(cafile=self.certificate)
        for name, version in versions.items():
            setattr(context, name, version)
        context.check_hostname = False
        return context

    def implicit(self):
        return smtplib.SMTP_SSL("127.0.0.1", self.implicit_port, local_hostname="client.test", timeout=30,
                                context=self.client_context())

    def test_starttls_and_implicit_tls_take_mail_and_received_and_log_say_so(self):  # X3207, X8314
        sink = self.sink()
        stack = self.tls_stack(sink.port).start()
        with stack.smtp() as client:
            client.ehlo()
            self.assertTrue(client.has_extn("starttls"))
            client.starttls(context=self.client_context())
            client.ehlo()
            self.assertFalse(client.has_extn("starttls"))
            client.sendmail("a@src.test", ["one@dest.test"], "Subject: 1\r\n\r\nx\r\n")
        with self.implicit() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("starttls"))
            client.sendmail("a@src.test", ["two@dest.test"], "Subject: 2\r\n\r\n" + "y" * 70 + "\r\n" * 20000)
        for delivery in sink.wait(2):
            received = delivery.content.split(b"\r\nSubject")[0].decode()
            self.assertIn("with ESMTPS", received)
            self.assertIn("(TLSv1.3 TLS_AES_", received)
        wait_for(lambda: stack.process.output().count("cipher=TLS_AES") >= 2, "the accepted lines with their cipher")

    def test_tls_1_2_works_and_tls_1_1_does_not(self):  # X8314
        stack = self.tls_stack().start()
        v12 = self.client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        with stack.smtp() as client:
            client.starttls(context=v12)
            self.assertEqual(client.sock.version(), "TLSv1.2")
            self.assertEqual(client.ehlo()[0], 250)
        old = self.client_context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        client = stack.smtp()
        with self.assertRaises((ssl.SSLError, OSError)):
            client.starttls(context=old)
        client.close()

    def test_what_is_pipelined_behind_starttls_is_never_run(self):  # SEC-3
        stack = self.tls_stack().start()
        injected = b"RSET\r\nMAIL FROM:<evil@src.test>\r\n"
        for cut in range(len(b"STARTTLS\r\n") + 1):
            with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as s:
                s.recv(1000)
                s.sendall(b"EHLO client.test\r\n")
                s.recv(1000)
                octets = b"STARTTLS\r\n" + injected
                s.sendall(octets[:cut])
                s.sendall(octets[cut:])
                answer = b""
                while part := self._read(s):
                    answer += part
                # Either all of it came at once, or what came later was taken for TLS, which it is not.
                if not answer.startswith(b"554 5.5.0"):
                    self.assertTrue(answer.startswith(b"220 2.0.0 "), answer)
                self.assertNotIn(b"250", answer)
                self.assertNotIn(b"2.1.0", answer)

    def _read(self, s):
        try:
            return s.recv(1000)
        except ConnectionError:
            return b""

    def test_what_was_said_before_tls_is_forgotten(self):  # X3207, RFC 3207 4.2
        stack = self.tls_stack().start()
        with stack.smtp() as client:
            client.ehlo()
            client.starttls(context=self.client_context())
            self.assertEqual(client.docmd("MAIL FROM:<a@src.test>")[0], 503)
            self.assertEqual(client.docmd("STARTTLS")[0], 503)
            self.assertEqual(client.ehlo()[0], 250)
            self.assertEqual(client.docmd("MAIL FROM:<a@src.test>")[0], 250)

    def test_a_reload_takes_the_new_certificate_and_keeps_connections(self):
        stack = self.tls_stack().start()
        with self.implicit() as before:
            before.ehlo()
            make_certificate(stack.config, "server", subject="new.test")
            stack.command("reload")
            self.assertEqual(before.noop()[0], 250)
            fresh = wait_for(lambda: self._subject() == "new.test", "the new certificate")
            self.assertTrue(fresh)
        # One that does not fit is refused with its place, and the one in use stays.
        other, _ = make_certificate(stack.base, "other")
        os.replace(other, os.path.join(stack.config, "server.crt"))
        refused = stack.command("reload", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("server.key", refused.stdout + refused.stderr)
        self.assertEqual(self._subject(), "new.test")

    def _subject(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.implicit_port), timeout=20) as plain:
            with context.wrap_socket(plain) as secured:
                pem = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
        shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, text=True, capture_output=True)
        return shown.stdout.strip().rsplit("=", 1)[-1].strip()

    def test_files_that_are_missing_or_do_not_fit_are_named_with_their_line(self):
        stack = self.tls_stack()
        self.assertEqual(run("config", "check", stack.config).returncode, 0)
        _, other_key = make_certificate(stack.base, "other")
        stack.edit_config("private_key: server.key", f"private_key: {other_key}")
        wrong = run("config", "check", stack.config, check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertRegex(wrong.stdout, r"postfleet\.yaml:\d+:\d+: listeners\.relay\.(certificate|private_key): .*")
        stack.edit_config("certificate: server.crt", "certificate: missing.crt")
        missing = run("config", "check", stack.config, check=False)
        self.assertRegex(missing.stdout, r"postfleet\.yaml:\d+:\d+: listeners\.relay\.certificate: .*missing\.crt")

    def test_handshakes_beyond_the_limit_are_refused_until_one_is_over_SEC_10(self):
        stack = self.tls_stack(yaml="limits: {max_handshakes: 2}\n").start()
        silent = []
        for _ in range(2):  # they say STARTTLS, and nothing more
            client = stack.smtp()
            self.addCleanup(client.close)
            client.ehlo()
            self.assertEqual(client.docmd("STARTTLS")[0], 220)
            silent.append(client)
        with stack.smtp() as client:
            client.ehlo()
            self.assertEqual(client.docmd("STARTTLS")[0], 454)
            self.assertEqual(client.docmd("NOOP")[0], 250)
            with self.assertRaises(OSError):
                self.implicit()
            self.assertIn('reason="too_many_handshakes"} 2', stack.http("/metrics")[1])
            silent[0].close()
            wait_for(lambda: "postfleet_ingest_handshakes 1" in stack.http("/metrics")[1], "the place to be free")
            self.assertEqual(client.starttls(context=self.client_context())[0], 220)
            self.assertEqual(client.ehlo()[0], 250)

    def test_a_client_that_does_not_speak_tls_on_the_implicit_port_is_let_go(self):  # X8314
        stack = self.tls_stack().start()
        wait_for(lambda: "smtps" in stack.command("status").stdout, "the listener")
        with socket.create_connection(("127.0.0.1", self.implicit_port), timeout=20) as s:
            s.sendall(b"EHLO plain.test\r\n" * 50)
            answer = b""
            while part := self._read(s):
                answer += part
            self.assertNotIn(b"220", answer)
        with self.implicit() as client:
            self.assertEqual(client.ehlo()[0], 250)


if __name__ == "__main__":
    unittest.main()
