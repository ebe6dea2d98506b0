"""Who may log in, and what they may send: AUTH over TLS, client certificates, tenants and their domains."""

import base64
import hashlib
import hmac
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import time
import unittest

from harness import DEADLINE, POSTFLEET, EndToEnd, Process, Stack, free_port, run, wait_for
from tls_test import ROUTES, make_certificate


def hash_password(password):
    return subprocess.run([POSTFLEET, "hash-password"], input=password + "\n", text=True, capture_output=True,
                          check=True).stdout


class AuthTest(EndToEnd):
    YAML = """
tenants:
  acme: {send_as: [acme.example, .acme.example]}
  other: {send_as: [other.example]}
users:
  shop: {tenant: acme, password_file: shop.pw, virtual_mta: shop-vmta}
  rival: {tenant: other, password_file: rival.pw}
  robot: {tenant: acme, certificate: "FINGERPRINT"}
virtual_mtas: {tx: {}, shop-vmta: {source: 127.0.0.9}}
default_virtual_mta: tx
"""

    def auth_stack(self, sink_port=1, extra="auth: required"):
        stack = Stack()
        self.closers.append(stack)
        self.certificate, _ = make_certificate(stack.config, "server")
        self.robot, self.robot_key = make_certificate(stack.base, "robot", subject="robot.test")
        fingerprint = subprocess.run(["openssl", "x509", "-in", self.robot, "-noout", "-fingerprint", "-sha256"],
                                     check=True, text=True, capture_output=True).stdout.strip().split("=")[1]
        for name, password in (("shop", "correct horse"), ("rival", "battery staple")):
            path = os.path.join(stack.config, name + ".pw")
            with open(path, "w") as f:
                f.write(hash_password(password))
            os.chmod(path, 0o600)
        stack.listener = f"tls: starttls, certificate: server.crt, private_key: server.key, client_ca: {self.robot}, {extra}"
        stack.write_config(ROUTES.format(port=sink_port) + self.YAML.replace("FINGERPRINT", fingerprint))
        # Nobody may relay because of the address.
        stack.edit_config('relay_from: ["127.0.0.0/8"]', 'relay_from: []')
        return stack

    def client(self, stack, certificate=None):
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(*certificate)
        client = stack.smtp()
        client.ehlo()
        client.starttls(context=context)
        client.ehlo()
        return client

    def login(self, client, mechanism, user, password):
        client.user, client.password = user, password
        return client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))

    def send(self, client, sender="a@acme.example", header=None):
        header = header if header is not None else f"From: <{sender}>\r\n"
        client.rset()
        code, text = client.mail(sender)
        if code == 250:
            code, text = client.rcpt("to@dest.test")
        if code == 250:
            code, text = client.data(header + "Subject: x\r\n\r\nbody\r\n")
        return code, text.decode()

    def test_auth_is_offered_over_tls_only_and_plain_and_login_work(self):  # X4954, X3207, SEC-9
        sink = self.sink()
        stack = self.auth_stack(sink.port).start()
        with stack.smtp() as plain:
            plain.ehlo()
            self.assertFalse(plain.has_extn("auth"))
            self.assertEqual(plain.docmd("AUTH", "PLAIN AHNob3AAeA==")[0], 530)
            self.assertEqual(plain.mail("a@acme.example")[0], 530)
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            with self.client(stack) as client:
                self.assertIn("SCRAM-SHA-256 PLAIN LOGIN", client.esmtp_features["auth"].strip())
                self.assertEqual(client.mail("a@acme.example")[0], 530)
                self.assertEqual(self.login(client, mechanism, "shop", "correct horse")[0], 235)
                self.assertEqual(client.docmd("AUTH", "PLAIN")[0], 503)
                self.assertEqual(self.send(client)[0], 250)
            delivery = sink.wait(count)[-1]
            self.assertEqual(delivery.connection.source, "127.0.0.9")  # the user's own virtual MTA
            self.assertIn(b"with ESMTPSA", delivery.content)
        event = stack.wait_events(2, "delivered")[0]["data"]
        self.assertEqual((event["tenant"], event["virtual_mta"]), ("acme", "shop-vmta"))
        self.assertRegex(stack.process.output(), r"accepted .*user=shop")
        self.assertNotIn("correct horse", stack.process.output())

    def test_scram_sha_256_works_without_the_password_crossing_the_wire(self):  # X4954, RFC 7677
        stack = self.auth_stack().start()
        with self.client(stack) as client:
            self.assertEqual(self.scram(client, "shop", "correct horse")[0], 235)
            self.assertEqual(client.mail("a@acme.example")[0], 250)
        for user, password in (("shop", "wrong"), ("nobody", "correct horse")):
            with self.client(stack) as client:
                self.assertEqual(self.scram(client, user, password)[0], 535)

    def scram(self, client, user, password, bound_to=None):
        def digest(key, text):
            return hmac.new(key, text, "sha256").digest()
        first = f"n={user},r=clientnonce0123456789"
        header = b"n,," if bound_to is None else b"p=tls-server-end-point,,"
        mechanism = "SCRAM-SHA-256 " if bound_to is None else "SCRAM-SHA-256-PLUS "
        code, reply = client.docmd("AUTH", mechanism + base64.b64encode(header + first.encode()).decode())
        self.assertEqual(code, 334)
        server_first = base64.b64decode(reply).decode()
        fields = dict(f.split("=", 1) for f in server_first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = digest(salted, b"Client Key")
        without_proof = f"c={base64.b64encode(header + (bound_to or b'')).decode()},r={fields['r']}"
        signed = f"{first},{server_first},{without_proof}".encode()
        signature = digest(hashlib.sha256(client_key).digest(), signed)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
        code, reply = client.docmd(base64.b64encode(f"{without_proof},p={proof}".encode()).decode())
        if code == 334:
            expected = base64.b64encode(digest(digest(salted, b"Server Key"), signed)).decode()
            self.assertEqual(base64.b64decode(reply).decode(), "v=" + expected)
            code, reply = client.docmd("")
        return code, reply

    def test_scram_sha_256_plus_binds_the_login_to_the_tls_session(self):  # X4954, RFC 5802, RFC 5929
        stack = self.auth_stack().start()
        with self.client(stack) as client:
            self.assertIn("SCRAM-SHA-256-PLUS", client.esmtp_features["auth"].split())
            certificate = hashlib.sha256(client.sock.getpeercert(binary_form=True)).digest()
            self.assertEqual(self.scram(client, "shop", "correct horse", bound_to=certificate)[0], 235)
            self.assertEqual(client.mail("a@acme.example")[0], 250)
        with self.client(stack) as client:  # somebody in the middle with a certificate of his own
            self.assertEqual(self.scram(client, "shop", "correct horse", bound_to=bytes(32))[0], 535)

    def test_wrong_passwords_and_unknown_users_look_the_same_and_have_to_wait(self):  # SEC-9
        stack = self.auth_stack().start()

        def attempt(user, password):
            with self.client(stack) as client:
                return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        known = [attempt("shop", "wrong") for _ in range(3)]
        unknown = [attempt("nobody", "wrong") for _ in range(3)]
        self.assertEqual(known, unknown)
        self.assertEqual(known[0][0], 535)
        for user in ("shop", "nobody"):
            # The next failure starts the delay, and then the right password has to wait as well.
            self.assertEqual(attempt(user, "wrong")[0], 535)
            code, text = attempt(user, "correct horse")
            self.assertEqual((code, text.split()[0]), (454, b"4.7.0"))
        self.assertEqual(attempt("rival", "battery staple")[0], 235)  # nobody else waits
        wait_for(lambda: attempt("shop", "correct horse")[0] == 235, "the end of the delay", every=0.3)
        self.assertRegex(stack.http("/metrics")[1], r'refusals_total\{reason="auth_failed"\} 8')

    def test_the_time_a_failed_login_takes_does_not_tell_whether_the_user_exists(self):  # SEC-9
        stack = self.auth_stack(extra="auth: required, auth_without_tls: true").start()

        def attempt(user, network):  # each from a network of its own, or it would have to wait
            with smtplib.SMTP("127.0.0.1", stack.port, timeout=DEADLINE, source_address=(network, 0)) as client:
                client.ehlo()
                credentials = base64.b64encode(f"\0{user}\0wrong".encode()).decode()
                began = time.monotonic()
                self.assertEqual(client.docmd("AUTH", "PLAIN " + credentials)[0], 535)
                return time.monotonic() - began

        # Pairs, one right behind the other and in turns, so that what else the machine does hits both alike. Of 60 fair
        # coins fewer than 13 or more than 47 show heads once in 180,000 runs.
        pairs = 60
        faster = 0
        for n in range(pairs):
            users = ("shop", "nobody") if n % 2 else ("nobody", "shop")
            times = {user: attempt(user, f"127.{n + 1}.{k}.1") for k, user in enumerate(users)}
            faster += times["nobody"] < times["shop"]
        self.assertTrue(13 <= faster <= 47, f"unknown users were faster in {faster} of {pairs} pairs")

    def test_a_client_certificate_of_a_user_is_as_good_as_a_password(self):
        stack = self.auth_stack().start()
        with self.client(stack, (self.robot, self.robot_key)) as client:
            self.assertEqual(client.mail("a@acme.example")[0], 250)
        foreign = make_certificate(stack.base, "foreign", subject="robot.test")
        with self.client(stack, foreign) as client:
            self.assertEqual(client.mail("a@acme.example")[0], 530)

    def test_users_send_as_the_domains_of_their_tenant_only(self):  # SEC-8, F69, X6409
        sink = self.sink()
        stack = self.auth_stack(sink.port).start()
        with self.client(stack) as client:
            self.login(client, "PLAIN", "shop", "correct horse")
            for header in ("From: <a@ACME.example.>\r\n", "From: A <a@news.acme.example>, b@acme.example\r\n",
                           "From: a@acme.example\r\nSender: b@acme.example\r\n",
                           "From: g: a@acme.example;\r\n", 'From: "x@other.example" <a@acme.example>\r\n'):
                self.assertEqual(self.send(client, header=header)[0], 250, header)
            code, text = self.send(client, sender="a@other.example", header="From: a@acme.example\r\n")
            self.assertEqual((code, text), (550, "5.7.1 You may not send as other.example"))
        # A connection holds twenty mistakes; each of these is one.
        bad = ("From: a@other.example\r\n", "From: a@acme.example, b@other.example\r\n",
               "From: a@acme.example\r\nFrom: a@other.example\r\n", "From: a@acme.example\r\n \t, b@other.example\r\n",
               "From: a@acme.example\r\nSender: a@other.example\r\n",
               "From: a@acme.example\r\nResent-From: a@other.example\r\n",
               "From: g: a@other.example;\r\n", "From : a@other.example\r\n", "", "From: a@acmeexample\r\n",
               "From: a@evil-acme.example\r\n", "From: a@[127.0.0.1]\r\n", "From: a@acme.example b@other.example\r\n",
               "From: a@acme.example\r\nno field\r\nFrom: a@other.example\r\n")
        with self.client(stack) as client:
            self.login(client, "PLAIN", "shop", "correct horse")
            for header in bad:
                code, text = self.send(client, header=header)
                self.assertEqual((code, text[:5]), (550, "5.7.1"), header)
            self.assertEqual(self.send(client, sender="")[0], 550)  # <> is no way around From
        sink.wait(5)
        self.assertEqual(len(sink.deliveries), 5)

    def test_who_may_schedule_mail_is_told_after_the_login(self):  # X4865, X2852, X6710
        stack = self.auth_stack(extra="auth: required, deliver_by: true")
        stack.edit_config("virtual_mta: shop-vmta}", "virtual_mta: shop-vmta, max_future_release: 1h, deliver_by: false}")
        stack.edit_config("send_as: [other.example]", "send_as: [other.example], mt_priority: true")
        stack.start()

        def offered(client):
            client.ehlo()
            return {name for name in ("futurerelease", "deliverby", "mt-priority") if client.has_extn(name)}

        with self.client(stack) as client:
            self.assertEqual(offered(client), {"deliverby"})
            self.login(client, "PLAIN", "shop", "correct horse")
            # What may be asked for is known without another EHLO, too.
            self.assertEqual(client.mail("a@acme.example", ["HOLDFOR=60"])[0], 250)
            self.assertEqual(offered(client), {"futurerelease"})
            self.assertEqual(client.mail("a@acme.example", ["HOLDFOR=3601"])[0], 501)
            self.assertEqual(client.mail("a@acme.example", ["BY=600;R"])[0], 555)
        with self.client(stack) as client:
            self.login(client, "PLAIN", "rival", "battery staple")
            self.assertEqual(offered(client), {"deliverby", "mt-priority"})
            self.assertEqual(client.mail("a@other.example", ["MT-PRIORITY=3"])[0], 250)

    def test_the_guide_to_submission_works_as_it_stands(self):
        with open(os.path.join(os.path.dirname(__file__), "../../docs/SUBMISSION.md")) as page:
            blocks = re.findall(r"```(\w+)\n(.*?)```", page.read(), re.S)
        sink = self.sink()
        ports = {"1587": str(free_port()), "1465": str(free_port()), "2526": str(sink.port)}

        def text(language, number=0):
            block = [body for name, body in blocks if name == language][number]
            for ours, free in ports.items():
                block = block.replace(f"127.0.0.1:{ours}", f"127.0.0.1:{free}").replace(f'"127.0.0.1", {ours}',
                                                                                    f'"127.0.0.1", {free}')
            return block.replace("build/release/bin/postfleet", os.path.abspath(POSTFLEET))

        folder = tempfile.mkdtemp(prefix="postfleet-e2e-")
        self.addCleanup(shutil.rmtree, folder)

        def shell(commands):
            done = subprocess.run(["sh", "-ec", commands], cwd=folder, input="correct horse\n", text=True,
                                  capture_output=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout

        shell(text("sh", 0))
        shell(text("sh", 1))
        with open(os.path.join(folder, "demo/postfleet.yaml"), "w") as file:
            file.write(text("yml"))
        self.assertIn("is valid", shell(text("sh", 2).splitlines()[0]))
        server = Process([os.path.abspath(POSTFLEET), "standalone", "--config", "demo"], os.path.join(folder, "log"), cwd=folder)
        self.addCleanup(server.kill)
        wait_for(lambda: "event=started" in server.output() or not server.is_running(), "the start")
        client = subprocess.run(["python3", "-c", text("python")], cwd=folder, text=True, capture_output=True)
        self.assertEqual(client.returncode, 0, client.stderr + server.output())
        shell(text("sh", 3).rstrip() + " --auth-password 'correct horse' --silent 2")
        sink.wait(2)
        self.assertEqual({delivery.sender for delivery in sink.deliveries}, {"news@acme.example"})
        self.assertRegex(server.output(), r"event=accepted .*listener=submission .*tenant=acme user=shop tls=TLSv1.3")
        server.kill()

    def test_optional_auth_leaves_the_others_where_they_were(self):
        stack = self.auth_stack(extra="auth: optional").start()
        with self.client(stack) as client:
            self.assertEqual(client.mail("a@anywhere.example")[0], 250)
            self.assertEqual(client.rcpt("to@dest.test")[0], 550)  # no relaying without login

    def test_a_reload_takes_new_passwords_and_drops_users(self):
        stack = self.auth_stack().start()
        with self.client(stack) as client:
            self.login(client, "PLAIN", "rival", "battery staple")
            self.assertEqual(client.mail("a@other.example")[0], 250)
            client.rset()
            stack.edit_config("  rival: {tenant: other, password_file: rival.pw}\n", "")
            with open(os.path.join(stack.config, "shop.pw"), "w") as f:
                f.write(hash_password("another one"))
            stack.command("reload")
            wait_for(lambda: client.mail("a@other.example")[0] == 530 or client.rset()[0] != 250, "the user to go")
        with self.client(stack) as client:
            self.assertEqual(self.login(client, "PLAIN", "shop", "another one")[0], 235)

    def test_problems_with_password_files_are_named_with_their_line(self):
        stack = self.auth_stack()
        self.assertEqual(run("config", "check", stack.config).returncode, 0)
        with open(os.path.join(stack.config, "shop.pw"), "w") as f:
            f.write("correct horse\n")
        os.remove(os.path.join(stack.config, "rival.pw"))
        wrong = run("config", "check", stack.config, check=False).stdout
        self.assertRegex(wrong, r"postfleet\.yaml:\d+:\d+: users\.shop\.password_file: .*hash-password")
        self.assertRegex(wrong, r"postfleet\.yaml:\d+:\d+: users\.rival\.password_file: cannot read .*rival\.pw")
        self.assertNotIn("correct horse", wrong)


if __name__ == "__main__":
    unittest.main()
