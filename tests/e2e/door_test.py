"""The door under pressure: descriptors, memory and clients that cost more than they bring (SEC-10, docs/LIMITS.md)."""

import contextlib
import re
import resource
import socket
import time
import unittest

from harness import EndToEnd, wait_for

ROUTES = 'routes: {{"*": ["127.0.0.1:{port}"]}}\n'


class Client:
    """A socket and the lines that come from it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def reply(self):
        line = self.file.readline()
        while line[3:4] == b"-":
            line = self.file.readline()
        return line.decode().rstrip()

    def send(self, text):
        self.socket.sendall(text.encode())
        return self

    def ask(self, line):
        return self.send(line + "\r\n").reply()

    def begin(self, sender="a@src.test", recipient="r@dest.test"):
        """EHLO to DATA; the last reply."""
        self.ask("EHLO client.test")
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self.ask(command)
            if reply[:1] not in "23":
                return reply
        return reply

    def close(self):
        self.file.close()
        self.socket.close()


class Door(EndToEnd):
    def client(self, stack):
        client = Client(stack.port)
        self.addCleanup(client.close)
        return client

    def metric(self, stack, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", stack.http("/metrics")[1], re.M)
        return float(found.group(1)) if found else 0.0

    def refused(self, stack, reason):
        return self.metric(stack, f'postfleet_ingest_refusals_total{{reason="{reason}"}}')

    def delivers(self, stack, sink):
        before = len(sink.deliveries)
        stack.send("one@dest.test")
        wait_for(lambda: len(sink.deliveries) > before, "a delivery")


class DoorTest(Door):
    def test_without_descriptors_connections_get_421_and_everything_else_goes_on_SEC_10(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port))
        stack.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)))
        clients = [self.client(stack) for _ in range(450)]
        greetings = [client.reply() for client in clients]
        taken = sum(greeting.startswith("220") for greeting in greetings)
        self.assertTrue(300 <= taken <= 384, taken)  # three quarters, unless descriptors were short meanwhile
        self.assertEqual({g[:9] for g in greetings if not g.startswith("220")}, {"421 4.3.2"})
        self.assertGreater(self.refused(stack, "too_many_connections_in_all"), 0)
        first = clients[0]  # deliveries and the spool have descriptors of their own
        self.assertTrue(first.begin().startswith("354"))
        self.assertTrue(first.ask("Subject: x\r\n\r\nx\r\n.").startswith("250"))
        wait_for(lambda: len(sink.deliveries) == 1, "the delivery")
        self.assertEqual(stack.http("/healthz/ready")[0], 200)
        for client in clients:
            client.close()
        wait_for(lambda: self.metric(stack, "postfleet_ingest_connections") == 0, "the connections to be given back")
        self.delivers(stack, sink)

    def test_a_flood_of_connections_leaves_nothing_behind_SEC_10(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port), "max_connections_per_client: 40").start()
        for _ in range(30):
            burst = [socket.socket() for _ in range(60)]
            for s in burst:
                s.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    s.connect(("127.0.0.1", stack.port))
            for s in burst:
                s.close()
        wait_for(lambda: self.metric(stack, "postfleet_ingest_connections") == 0, "the flood to be over")
        self.delivers(stack, sink)
        self.assertTrue(stack.process.is_running())

    def test_memory_for_incoming_mail_is_bounded_and_comes_back_SEC_10(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port) + "limits: {memory_for_incoming: 16MiB}\n").start()
        part = "Subject: x\r\n\r\n" + ("x" * 78 + "\r\n") * 2500
        clients, replies = [], []
        while not replies or replies[-1].startswith("354"):
            self.assertLess(len(clients), 200)
            clients.append(self.client(stack))
            clients[-1].reply()
            replies.append(clients[-1].begin())
            if replies[-1].startswith("354"):
                clients[-1].send(part)
        self.assertEqual(replies[-1], "451 4.3.2 Too much mail at once, try later")
        self.assertLessEqual(self.metric(stack, "postfleet_ingest_content_octets"), 16 << 20)
        answers = [client.ask(".") for client in clients[:-1]]
        self.assertEqual({answer[:9] for answer in answers} - {"250 2.0.0", "451 4.3.2"}, set())
        accepted = sum(answer.startswith("250") for answer in answers)
        self.assertGreater(accepted, 30)
        self.assertEqual(self.metric(stack, "postfleet_ingest_content_octets"), 0)
        wait_for(lambda: len(sink.deliveries) == accepted, "every accepted message and no other")
        self.delivers(stack, sink)

    def test_mistakes_are_slowed_down_where_that_is_configured_SEC_10(self):
        stack = self.stack(listener="error_delay: 200ms, limit_relay_clients: true").start()
        client = self.client(stack)
        client.reply()
        began = time.monotonic()
        for _ in range(3):
            self.assertTrue(client.ask("XYZZY").startswith("500"))
        self.assertTrue(client.ask("NOOP").startswith("250"))
        self.assertGreaterEqual(time.monotonic() - began, 0.2 + 0.4 + 0.6 - 0.05)

    def test_a_session_has_an_end_SEC_10(self):
        stack = self.stack(listener="max_session_time: 1s").start()
        client = self.client(stack)
        client.reply()
        ended = wait_for(lambda: (r := client.ask("NOOP")).startswith("421") and r, "the end of the session", every=0.1)
        self.assertEqual(ended, "421 4.7.0 This session has lasted too long, connect again")

    def test_rates_hold_over_all_connections_and_a_reload_SEC_10(self):
        stack = self.stack(listener="max_message_rate_per_client: 5/h, limit_relay_clients: true").start()
        answers = []
        for number in range(4):
            client = self.client(stack)
            client.reply()
            client.ask("EHLO client.test")
            answers += [client.ask("MAIL FROM:<a@src.test>"), client.ask("RSET"), client.ask("MAIL FROM:<a@src.test>")]
            if number == 1:
                stack.command("reload")
        self.assertEqual([a[:3] for a in answers if a != "250 2.0.0 Ok"], ["250"] * 5 + ["450"] * 3)
        self.assertRegex(answers[-1], r"^450 4\.7\.1 Too many messages from your network \(limit 5/h\), "
                                      r"try again in 7[12]\d seconds$")
        self.assertEqual(self.refused(stack, "message_rate"), 3)
        wait_for(lambda: "reason=message_rate" in stack.process.output(), "the log line")


if __name__ == "__main__":
    unittest.main()
