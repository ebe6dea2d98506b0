"""SMTP as it is written down: the dialogues of tests/corpus/smtp_dialogues over real sockets, octet for octet, and the
clients that people have: Python's smtplib, swaks, curl, nodemailer.

A dialogue that needs the scripted policy of the unit tests says "@ scripted" and stays there.
"""

import json
import os
import re
import smtplib
import socket
import subprocess
import tempfile
import time
import unittest

from harness import DEADLINE, EndToEnd, free_port

DIALOGUES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../corpus/smtp_dialogues")
# What the unit tests' server has; the real one differs in its name and in the least size that may be configured.
LIMITS = "max_message_size: 1024, max_recipients: 3, max_messages_per_connection: 2, dsn: false"
QUEUED = re.compile(rb"(250 2\.0\.0 Ok: queued)[^\r]*")


# What some server has taken for the end of a message: VU#302671 and what the scanners for it try.
SMUGGLING = (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n")


def unescape(text):
    out, i = b"", 0
    while i < len(text):
        if text[i] != "\\":
            out += text[i].encode()
            i += 1
        elif text[i + 1] == "x":
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 4
        elif text[i + 1] == "*":
            end = text.index(";", i)
            out += text[end + 1].encode() * int(text[i + 2:end])
            i = end + 2
        else:
            out += {"r": b"\r", "n": b"\n", "0": b"\0", "\\": b"\\"}[text[i + 1]]
            i += 2
    return out


class Dialogue:
    def __init__(self, path):
        self.name = os.path.basename(path)
        self.settings, self.steps, self.messages = set(), [], []
        with open(path) as file:
            for line in file.read().split("\n"):
                mark, rest = line[:2], line[3:]
                if mark == "C:":
                    self._add("client", rest.encode() + b"\r\n")
                elif mark == "C|":
                    self._add("client", unescape(rest))
                elif mark == "S:":
                    self._add("server", rest.replace("mx.example", "mta.test").replace("SIZE 1000", "SIZE 1024").encode() + b"\r\n")
                elif mark == "X:":
                    self.steps.append(("closed", b""))
                elif mark == "M:":
                    sender, recipients, content = rest.split("|")
                    self.messages.append((unescape(sender), unescape(recipients).split(b","), unescape(content)))
                elif line[:1] == "@":
                    self.settings.add(line[2:])

    def _add(self, who, octets):
        if self.steps and self.steps[-1][0] == who:
            self.steps[-1] = (who, self.steps[-1][1] + octets)
        else:
            self.steps.append((who, octets))


def dialogues():
    names = sorted(n for n in os.listdir(DIALOGUES) if n.endswith(".txt"))
    found = [Dialogue(os.path.join(DIALOGUES, name)) for name in names]
    return [d for d in found if not d.settings & {"scripted", "refuse-connection", "starttls", "auth"}]


class Conformance(EndToEnd):
    def converse(self, dialogue, port, write):
        """Replays it; what the server said must be what is written, but for the ids of messages."""
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            heard = b""
            for who, octets in dialogue.steps:
                if who == "client":
                    write(peer, octets)
                elif who == "server":
                    while heard.count(b"\n") < octets.count(b"\n"):
                        part = peer.recv(65536)
                        self.assertTrue(part, f"{dialogue.name}: closed after {heard!r} instead of {octets!r}")
                        heard += part
                    self.assertEqual(QUEUED.sub(rb"\1", heard), octets, dialogue.name)
                    heard = b""
                else:
                    self.assertEqual(peer.recv(1), b"", dialogue.name)

    def test_every_dialogue_goes_as_written_over_a_real_socket_whole_and_octet_by_octet(self):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n', listener=f"{LIMITS}, max_errors: 5")
        patient, lenient = free_port(), free_port()
        relay = 'relay_from: ["127.0.0.0/8"]'
        stack.edit_config("http: {", f'  patient: {{address: "127.0.0.1:{patient}", {relay}, {LIMITS}, max_errors: 1000}}\n'
                          f'  lenient: {{address: "127.0.0.1:{lenient}", {relay}, {LIMITS}, line_ends: normalize}}\nhttp: {{')
        stack.start()
        ports = {"no-limits": patient, "normalize": lenient}

        def whole(peer, octets):
            peer.sendall(octets)

        def octet_by_octet(peer, octets):
            for i in range(len(octets)):
                peer.sendall(octets[i:i + 1])

        expected = []
        replayed = dialogues()
        self.assertGreater(len(replayed), 15)
        for dialogue in replayed:
            port = next((ports[s] for s in dialogue.settings if s in ports), stack.port)
            for write in (whole,) if "one-write" in dialogue.settings else (whole, octet_by_octet):
                with self.subTest(dialogue=dialogue.name, write=write.__name__):
                    self.converse(dialogue, port, write)
                expected += dialogue.messages
        count = sum(len(recipients) for _, recipients, _ in expected if max(b"".join(recipients), default=0) < 128)
        sink.wait(count)
        got = [(d.sender.encode(), d.recipient.encode(), d.content) for d in sink.deliveries]
        # The longest first: a short one could be the end of another.
        for sender, recipients, content in sorted(expected, key=lambda message: -len(message[2])):
            for recipient in recipients:
                if any(octet > 127 for octet in recipient):
                    continue  # the sink does not offer SMTPUTF8
                match = [g for g in got if g[:2] == (sender, recipient) and g[2].endswith(content)]
                self.assertTrue(match, f"{sender} to {recipient}: {content}")
                got.remove(match[0])
        self.assertEqual(got, [])


class Clients(EndToEnd):
    def setUp(self):
        super().setUp()
        self.mx = self.sink()
        self.mta = self.stack(f'routes: {{"*": ["127.0.0.1:{self.mx.port}"]}}\n').start()

    def test_smtplib_asks_for_dsn_and_the_events_tell_whom_it_was_for(self):
        with self.mta.smtp() as client:
            client.sendmail("a@src.test", ["b@dest.test"], "From: a@src.test\r\n\r\nx\r\n", mail_options=["RET=HDRS", "ENVID=order+2B7"],
                            rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;list@dest.test"])
        [event] = self.mta.wait_events(1, "delivered")
        self.assertEqual((event["data"]["envelope_id"], event["data"]["original_recipient"]), ("order+7", "rfc822;list@dest.test"))

    def test_smtplib_sends_smtputf8_and_it_bounces_where_the_next_host_cannot_take_it(self):
        with self.mta.smtp() as client:
            client.sendmail("a@src.test", ["grün@dest.test"], "From: a@src.test\r\n\r\nx\r\n", mail_options=["SMTPUTF8"])
            with self.assertRaises(smtplib.SMTPException):
                client.sendmail("a@src.test", ["b@dest.test"], "x", rcpt_options=["NOTIFY=NEVER,DELAY"])
        [event] = self.mta.wait_events(1, "bounced")
        self.assertEqual((event["data"]["recipient"], event["data"]["delivery"]["enhanced_code"]), ("grün@dest.test", "5.6.7"))
        self.assertEqual(self.mx.deliveries, [])

    def run_client(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_swaks_delivers_with_and_without_pipelining_and_sees_a_refusal(self):
        server = f"127.0.0.1:{self.mta.port}"
        for number, options in enumerate(([], ["--pipeline"], ["--protocol", "SMTP"])):
            self.run_client("swaks", "--server", server, "--from", "a@src.test", "--to", f"b{number}@dest.test", "--helo", "client.test",
                            "--body", "One.\n.Two.\n", *options)
        self.mx.wait(3)
        for delivery in self.mx.deliveries:
            self.assertIn(b"\r\nOne.\r\n.Two.\r\n", delivery.content)
        self.assertIn("ESMTP", self.mx.deliveries[0].header("Received") + self.mx.deliveries[0].content.decode())
        refused = subprocess.run(["swaks", "--server", server, "--from", "a@src.test", "--to", "no domain", "--helo", "c.test"],
                                 capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(refused.returncode, 24)  # no recipient was accepted

    def test_curl_delivers_a_large_message_as_it_is(self):
        content = b"From: a@src.test\r\nSubject: large\r\n\r\n" + b"".join(b".%076d\r\n" % i for i in range(8000))
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.run_client("curl", "--silent", "--show-error", f"smtp://127.0.0.1:{self.mta.port}/client.test", "--mail-from", "a@src.test",
                            "--mail-rcpt", "b@dest.test", "--upload-file", file.name)
        self.mx.wait(1)
        self.assertTrue(self.mx.deliveries[0].content.endswith(content))

    def test_nodemailer_sends_text_attachments_and_dsn_on_one_connection(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nodemailer_client.js")
        # Where Debian's package puts it; a node that came from elsewhere does not look there.
        env = dict(os.environ, NODE_PATH="/usr/share/nodejs")
        done = subprocess.run(["node", script, str(self.mta.port)], capture_output=True, text=True, timeout=DEADLINE, env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        replies = json.loads(done.stdout)
        self.assertEqual(len(replies), 3)
        by_recipient = {delivery.recipient: delivery for delivery in self.mx.wait(3)}
        self.assertIn(b"\r\n.Two.\r\n..Three\r\n", by_recipient["dots@dest.test"].content)
        self.assertGreater(len(by_recipient["large@dest.test"].content), 1 << 20)
        events = {event["data"]["recipient"]: event["data"] for event in self.mta.wait_events(3, "delivered")}
        self.assertEqual(events["dsn@dest.test"]["envelope_id"], "order7")
        for reply, recipient in zip(replies, ("dots@dest.test", "large@dest.test", "dsn@dest.test")):
            self.assertTrue(reply.endswith(events[recipient]["message_id"]), reply)

    def test_held_mail_goes_out_when_it_is_due_and_not_before(self):
        self.mta.stop()
        self.mta.edit_config("relay_from:", "max_future_release: 1d, relay_from:")
        self.mta.start()
        with self.mta.smtp() as client:
            client.ehlo()
            self.assertIn("futurerelease", client.esmtp_features)
            began = time.monotonic()
            client.sendmail("a@src.test", ["late@dest.test"], "Subject: x\r\n\r\nx\r\n", mail_options=["HOLDFOR=5"])
            client.sendmail("a@src.test", ["now@dest.test"], "Subject: x\r\n\r\nx\r\n")
        first, second = self.mx.wait(2)
        self.assertEqual((first.recipient, second.recipient), ("now@dest.test", "late@dest.test"))
        self.assertGreater(second.at - began, 4.9)

    def test_no_smuggling_sequence_comes_out_as_a_second_message(self):  # SEC-1, SEC-2
        evil = b"MAIL FROM:<evil@src.test>\r\nRCPT TO:<victim@dest.test>\r\nDATA\r\nevil\r\n.\r\n"
        self.mta.stop()
        self.mta.edit_config("relay_from:", "line_ends: normalize, relay_from:")
        self.mta.start()
        for number, sequence in enumerate(SMUGGLING):
            head = b"From: a@src.test\r\nSubject: %d\r\n\r\nbefore" % number
            for verb in ("DATA", "BDAT"):
                with self.mta.smtp() as client:
                    client.ehlo()
                    client.mail(f"a{number}@src.test")
                    client.rcpt(f"{verb}@dest.test")
                    content = head + sequence + evil[:-3] + b"after\r\n"
                    if verb == "BDAT":
                        client.send(b"BDAT %d LAST\r\n" % len(content) + content)
                    else:
                        self.assertEqual(client.docmd("DATA")[0], 354)
                        client.send(content + b".\r\n")
                    self.assertEqual(client.getreply()[0], 250, sequence)
        self.mx.wait(2 * len(SMUGGLING))
        got = {(d.sender, d.recipient) for d in self.mx.deliveries}
        self.assertEqual(got, {(f"a{n}@src.test", f"{verb}@dest.test") for n in range(len(SMUGGLING)) for verb in ("DATA", "BDAT")})
        for delivery in self.mx.deliveries:
            self.assertIn(b"MAIL FROM:<evil@src.test>", delivery.content)
            self.assertTrue(delivery.content.endswith(b"after\r\n"))
            self.assertNotRegex(delivery.content, rb"\r(?!\n)|(?<!\r)\n|\0")

    def test_smuggling_sequences_are_refused_where_line_ends_are_strict(self):  # SEC-1
        for sequence in SMUGGLING:
            with self.mta.smtp() as client:
                client.ehlo()
                client.mail("a@src.test")
                client.rcpt("b@dest.test")
                self.assertEqual(client.docmd("DATA")[0], 354)
                client.send(b"Subject: x\r\n\r\nbefore" + sequence + b"MAIL FROM:<evil@src.test>\r\n.\r\n")
                self.assertEqual(client.getreply()[0], 550, sequence)
                self.assertEqual(client.docmd("NOOP")[0], 250)
        self.assertEqual(self.mx.deliveries, [])

    def test_a_message_in_chunks_goes_out_stuffed(self):
        content = b"From: a@src.test\r\n\r\n.\r\n..\r\nMAIL FROM:<evil@src.test>\r\n" + b".line\r\n" * 60000
        with self.mta.smtp() as client:
            client.ehlo()
            client.mail("a@src.test")
            client.rcpt("b@dest.test")
            for at in range(0, len(content), 100_001):
                part = content[at:at + 100_001]
                last = " LAST" if at + len(part) == len(content) else ""
                client.send(f"BDAT {len(part)}{last}\r\n".encode() + part)
                self.assertEqual(client.getreply()[0], 250)
        [delivery] = self.mx.wait(1)
        self.assertEqual((delivery.sender, delivery.recipient), ("a@src.test", "b@dest.test"))
        self.assertTrue(delivery.content.endswith(content))


if __name__ == "__main__":
    unittest.main()
