"""Mail through smart hosts that want a login: real TLS, real servers, and no password where it does not belong."""

import base64
import os
import ssl
import unittest

from auth_test import hash_password
from harness import EndToEnd, ThreadedServer, free_port, run, wait_for
from tls_out_test import Authority


class SmartHost(ThreadedServer):
    """A submission server: AUTH inside TLS only, one thread per connection. `said`: (encrypted?, line)."""

    def __init__(self, certificate, implicit=False, mechanisms="PLAIN LOGIN", password="hunter2", refusal=""):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.implicit, self.mechanisms, self.password, self.refusal = implicit, mechanisms, password, refusal
        self.said, self.mails = [], []
        super().__init__()

    def _serve(self, connection):
        try:
            if self.implicit:
                connection = self.context.wrap_socket(connection, server_side=True)
            connection.sendall(b"220 smart.test ESMTP\r\n")
            self._converse(connection, self.implicit)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _log_in(self, stream, ask, text):
        """What was given as user and password."""
        words = text.split()
        if words[1] == "PLAIN":
            response = words[2] if len(words) > 2 else ask("")
            return tuple(base64.b64decode(response).split(b"\0")[1:])
        return tuple(base64.b64decode(ask(prompt)) for prompt in ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"))

    def _converse(self, connection, encrypted):
        with connection.makefile("rb") as stream:
            def say(text):
                connection.sendall(text.encode() + b"\r\n")

            def read():
                line = stream.readline()
                self.said.append((encrypted, line.decode("latin-1").strip()))
                return line.decode("latin-1").strip() if line else None

            def ask(prompt):
                say("334 " + prompt)
                return read()

            logged_in = False
            while (text := read()) is not None:
                verb = text[:4].upper()
                if verb == "EHLO":
                    say("250-smart.test\r\n250-PIPELINING\r\n" +
                        (f"250 AUTH {self.mechanisms}" if encrypted else "250 STARTTLS"))
                elif text == "STARTTLS":
                    say("220 go")
                    with self.context.wrap_socket(connection, server_side=True) as secured:
                        self._converse(secured, True)
                    return
                elif verb == "AUTH":
                    given = self._log_in(stream, ask, text)
                    logged_in = given == (b"shop", self.password.encode())
                    say(self.refusal or ("235 2.7.0 welcome" if logged_in else "535 5.7.8 wrong user or password"))
                elif not logged_in and verb in ("MAIL", "RCPT", "DATA"):
                    say("530 5.7.0 log in first")
                elif verb == "DATA":
                    say("354 go")
                    content = b""
                    while (part := stream.readline()) != b".\r\n":
                        content += part
                    self.mails.append(content)
                    say("250 2.0.0 taken")
                elif verb == "QUIT":
                    return say("221 bye")
                else:
                    say("250 ok")

    def logins(self):
        return [(encrypted, text) for encrypted, text in self.said if text.startswith("AUTH ")]

    def wait(self, count):
        wait_for(lambda: len(self.mails) >= count, f"{count} mails")


class SmartHostTest(EndToEnd):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority()

    @classmethod
    def tearDownClass(cls):
        cls.ca.close()

    def smart_host(self, name="localhost", **options):
        host = SmartHost(self.ca.certificate(name), **options)
        self.closers.append(host)
        return host

    def stack_to(self, port, more="", password="hunter2"):
        stack = self.stack(f'routes: {{"*": {{hosts: ["localhost:{port}"], user: shop, password_file: password{more}}}}}\n'
                           f"shaping:\n  - {{retry_after: 1s, tls: may, tls_ca_file: {self.ca.file}}}\n")
        self.write_password(stack, password)
        return stack

    def write_password(self, stack, password):
        path = os.path.join(stack.config, "password")
        with open(path, "w") as f:
            f.write(password + "\n")
        os.chmod(path, 0o600)

    def assert_no_secret_anywhere(self, stack):
        secrets = ("hunter2", base64.b64encode(b"hunter2").decode(), base64.b64encode(b"\0shop\0hunter2").decode())
        texts = [stack.process.output(), stack.command("show", "queues").stdout, run("config", "show", stack.config).stdout]
        with open(stack.events_path) as f:
            texts.append(f.read())
        for secret in secrets:
            for text in texts:
                self.assertNotIn(secret, text)

    def test_mail_goes_by_plain_by_login_and_over_tls_from_the_first_octet(self):
        """X4954, X8314: the login is inside TLS, once per connection."""
        for options, more in (({}, ""), ({"mechanisms": "LOGIN"}, ""), ({"implicit": True}, ", tls: implicit")):
            with self.subTest(**options):
                host = self.smart_host(**options)
                stack = self.stack_to(host.port, more).start()
                stack.send("to@dest.test")
                host.wait(1)
                stack.send("to@other.test")
                host.wait(2)
                self.assertTrue(all(encrypted for encrypted, _ in host.logins()))
                delivered = stack.wait_events(2, "delivered")
                self.assertEqual(delivered[0]["data"]["delivery"]["tls"]["policy"], "verify")
                self.assert_no_secret_anywhere(stack)

    def test_no_password_goes_to_a_server_with_another_certificate(self):
        """X4954, SEC-4: though the queue's own policy is `may`."""
        host = self.smart_host("other.test")
        stack = self.stack_to(host.port).start()
        stack.send("to@dest.test")
        delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertEqual(delivery["phase"], "starttls")
        self.assertIn("hostname mismatch", delivery["response"])
        self.assertEqual(host.logins(), [])
        self.assertEqual(host.mails, [])

    def test_a_wrong_password_holds_the_mail_until_it_is_mended(self):
        """X4954: an alarm, a hold reason, one try; after a reload the mail goes, as its first attempt."""
        host = self.smart_host()
        stack = self.stack_to(host.port, password="wrong").start()
        for domain in ("a.test", "b.test", "c.test"):
            stack.send("to@" + domain)
        alarm = stack.wait_events(1, "queue.login_refused")[0]["data"]
        self.assertIn("the login of shop is refused: 535 5.7.8", alarm["reason"])
        self.assertIn("the login of shop is refused", stack.command("show", "queues").stdout)
        self.assertIn("login-refused", stack.process.output())
        self.assertIn("postfleet_sender_login_refusals_total", stack.http("/metrics")[1])
        self.assertEqual(stack.events("deferred", "bounced"), [])
        self.write_password(stack, "hunter2")
        stack.command("reload")
        stack.command("retry", "--all")
        host.wait(3)
        for event in stack.wait_events(3, "delivered"):
            self.assertEqual(event["data"]["attempt"], 1)
        self.assert_no_secret_anywhere(stack)

    def test_a_temporary_refusal_is_tried_again(self):
        """X4954: 454 defers like a connection that failed."""
        host = self.smart_host(refusal="454 4.7.0 the directory is down")
        stack = self.stack_to(host.port).start()
        stack.send("to@dest.test")
        delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertEqual((delivery["phase"], delivery["code"]), ("auth", 454))
        host.refusal = ""
        host.wait(1)

    def test_another_postfleet_takes_our_logins(self):
        """X4954, X6409: from one stack to the submission listener of another one."""
        sink = self.sink()
        port = free_port()
        pem = self.ca.certificate("localhost")
        server = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                            'tenants: {shop: {send_as: ["*"]}}\n'
                            'users: {shop: {tenant: shop, password_file: shop}}\n')
        server.edit_config("listeners:\n", "listeners:\n"
                           f'  submission: {{address: "127.0.0.1:{port}", tls: starttls, auth: required, '
                           f"certificate: {pem}}}\n")
        path = os.path.join(server.config, "shop")
        with open(path, "w") as f:
            f.write(hash_password("hunter2"))
        os.chmod(path, 0o600)
        server.start()
        stack = self.stack_to(port).start()
        stack.send("to@dest.test")
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "to@dest.test")

    def test_a_password_that_cannot_be_read_is_told_when_the_configuration_is_read(self):
        stack = self.stack_to(25)
        os.remove(os.path.join(stack.config, "password"))
        done = run("config", "check", stack.config, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("routes.*.password_file", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
