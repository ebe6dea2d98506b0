"""MTA-STS (RFC 8461) over real sockets: a policy host over HTTPS, an MX over TLS, a CA and a name server of the test's own."""

import socket
import ssl
import threading
import unittest

from dns_server import DnsServer
from harness import EndToEnd, wait_for
from tls_out_test import Authority, Mx

WEB_ADDRESS = "127.0.29.1"
POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {age}\r\n"


class PolicyHost:
    """An HTTPS server on port 443 that says what it is told to; `requests` has the first line and Host of each."""

    process = None
    address = WEB_ADDRESS

    def __init__(self, certificate, body="", status="200 OK", headers="Content-Type: text/plain"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.body, self.status, self.headers, self.requests, self.failed = body, status, headers, [], 0
        self.socket = socket.create_server((self.address, 443), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.settimeout(30)
            with self.context.wrap_socket(connection, server_side=True) as secured:
                stream = secured.makefile("rb")
                lines = []
                while (line := stream.readline().strip()) != b"":
                    lines.append(line.decode())
                self.requests.append(lines)
                self._answer(secured, stream, lines)
        except (OSError, ValueError):
            self.failed += 1
        finally:
            connection.close()

    def _answer(self, secured, stream, lines):
        body = self.body.encode()
        secured.sendall(f"HTTP/1.1 {self.status}\r\n{self.headers}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        secured.sendall(body)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class MtaSts(EndToEnd):
    def world(self, policy, policy_name="mta-sts.sts.test", mx_name="mx.sts.test", **web):
        self.authority = Authority()
        self.closers.append(self.authority)
        self.names = DnsServer(ttl=1)
        self.closers.append(self.names)
        self.mx = Mx(self.authority.certificate(mx_name), address="127.0.29.2", port=25)
        self.closers.append(self.mx)
        self.web = PolicyHost(self.authority.certificate(policy_name), policy, **web)
        self.closers.append(self.web)
        self.names.set("sts.test", "MX", [(10, "mx.sts.test")]).set("mx.sts.test", "A", ["127.0.29.2"])
        self.names.set("_mta-sts.sts.test", "TXT", ["v=STSv1; id=20260101;"])
        self.names.set("mta-sts.sts.test", "A", [WEB_ADDRESS])
        return self.stack(f'dns: {{servers: ["{self.names.address}"]}}\n'
                          f"https_client: {{ca_file: {self.authority.file}}}\n"
                          f"shaping:\n  - {{retry_after: [300ms], tls_ca_file: {self.authority.file}}}\n")

    def policy_of(self, stack, count=1):
        return stack.wait_events(count, "delivered")[-1]["data"]["delivery"]["tls"]

    def test_T1_T3_an_enforced_policy_is_fetched_kept_over_a_restart_and_kept_to(self):
        stack = self.world(POLICY.format(mode="enforce", mx="*.sts.test", age=604800)).start()
        stack.send("to@sts.test")
        tls = self.policy_of(stack)
        self.assertEqual((tls["policy"], tls["verified"]), ("mta-sts", "certificate"))
        request = self.web.requests[0]
        self.assertEqual(request[0], "GET /.well-known/mta-sts.txt HTTP/1.1")
        self.assertIn("Host: mta-sts.sts.test", request)
        stack.stop()
        self.web.close()  # T-2: blocking the policy host gains nothing
        stack.start()
        stack.send("to@sts.test")
        self.assertEqual(self.policy_of(stack, 2)["policy"], "mta-sts")
        self.assertEqual(len(self.web.requests), 1)
        self.assertIn('postfleet_sender_mta_sts_policies 1', stack.http("/metrics")[1])
        self.closers.remove(self.web)

    def test_F55_a_host_outside_the_policy_or_with_the_wrong_certificate_gets_no_mail(self):
        for mx, mx_name, why in (("other.sts.test", "mx.sts.test", "does not name it"),
                                 ("*.sts.test", "other.test", "hostname mismatch")):
            with self.subTest(mx=mx):
                stack = self.world(POLICY.format(mode="enforce", mx=mx, age=604800), mx_name=mx_name).start()
                stack.send("to@sts.test")
                delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
                self.assertIn(why, delivery["response"])
                self.assertTrue(delivery["enhanced_code"].startswith("4.7."))
                self.assertEqual(self.mx.mails, [])
                self.assertEqual(self.mx.said_in_clear(), [])
                stack.send("free@sts.test", headers=[("TLS-Required", "No")])  # X8689
                self.mx.wait(1)
                self.assertIn(b"TLS-Required: No", self.mx.mails[0][1])
                self.tearDown()
                self.closers = []

    def test_F55_SEC16_what_does_not_come_as_it_should_is_no_policy(self):
        good = POLICY.format(mode="enforce", mx="other.sts.test", age=604800)
        cases = {
            "certificate": dict(policy=good, policy_name="elsewhere.test"),
            "redirect": dict(policy=good, status="302 Found",
                             headers=f"Content-Type: text/plain\r\nLocation: https://{WEB_ADDRESS}/x"),
            "html": dict(policy=good, headers="Content-Type: text/html"),
            "too large": dict(policy=good + "x: " + "y" * 70000),
            "not a policy": dict(policy="<html>"),
        }
        for what, how in cases.items():
            with self.subTest(what=what):
                stack = self.world(**how).start()
                stack.send("to@sts.test")
                self.assertEqual(self.policy_of(stack)["policy"], "may")
                wait_for(lambda: "event=mta-sts-failed domain=sts.test" in stack.process.output(), "the reason in the log")
                self.assertLessEqual(len(self.web.requests), 1)
                self.tearDown()
                self.closers = []

    def test_SEC16_a_policy_host_in_our_own_network_is_not_asked(self):
        stack = self.world(POLICY.format(mode="enforce", mx="other.sts.test", age=604800))
        stack.write_config('allow_private_targets: ["127.0.29.2"]\n', "harness.yaml")
        stack.start()
        stack.send("to@sts.test")
        self.assertEqual(self.policy_of(stack)["policy"], "may")
        self.assertEqual(self.web.requests, [])

    def test_resolve_shows_what_a_domain_says_of_tls(self):
        stack = self.world(POLICY.format(mode="testing", mx="*.sts.test", age=604800))
        self.names.set("_smtp._tls.sts.test", "TXT", ["v=TLSRPTv1; rua=mailto:tls@sts.test"])
        stack.start()
        answer = stack.json("resolve", "sts.test")["tls"]
        self.assertEqual(answer["mta_sts"], {"outcome": "found", "text": "", "mode": "testing", "mx": ["*.sts.test"],
                                             "max_age_seconds": 604800})
        self.assertEqual(answer["tls_rpt"], ["v=TLSRPTv1; rua=mailto:tls@sts.test"])
        text = stack.command("resolve", "sts.test").stdout
        self.assertIn("MTA-STS testing: *.sts.test", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
