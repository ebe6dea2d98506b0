"""Hostile servers and real sockets: replies without end, replies of odd octets, servers that stop reading."""

import json
import socket
import threading
import unittest

from harness import EndToEnd, ThreadedServer, wait_for


class Script(ThreadedServer):
    """A server that runs `play(connection)` for each connection, in a thread."""

    def __init__(self, play):
        self.play = play
        super().__init__()

    def _serve(self, connection):
        try:
            with connection:
                self.play(connection)
        except OSError:
            pass


def usual(connection, replies):
    """Answers like any server, but with `replies` (verb → octets) where it has one."""
    connection.sendall(replies.get("greeting", b"220 mx.test\r\n"))
    with connection.makefile("rb") as stream:
        while line := stream.readline():
            verb = line[:4].decode("latin-1").strip().upper()
            if verb in replies:
                connection.sendall(replies[verb])
            elif verb == "DATA":
                connection.sendall(b"354 go\r\n")
                while stream.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall(b"250 ok\r\n")
            elif verb == "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 ok\r\n")


def resident_kib(stack):
    with open(f"/proc/{stack.process.child.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class HostileTest(EndToEnd):
    def server(self, play):
        server = Script(play)
        self.closers.append(server)
        return server

    def stack_to(self, port, more=""):
        return self.stack(f'routes: {{"*": ["127.0.0.1:{port}"]}}\n'
                          f"shaping:\n  - {{retry_after: 1h, pipelining: false{more}}}\n").start()

    def test_replies_without_end_cost_a_connection_and_no_memory(self):
        """F35, SEC-12: one line without end, continuation lines without end, at the greeting, EHLO and RCPT."""
        for where in ("greeting", "EHLO", "RCPT"):
            for flood in (b"250 " + b"x" * 65532, b"250-more\r\n" * 6553):
                with self.subTest(where, flood=flood[:10]):
                    sent = [0]

                    def play(connection, where=where, flood=flood, sent=sent):
                        connection.settimeout(30)
                        if where != "greeting":
                            connection.sendall(b"220 mx.test\r\n")
                        with connection.makefile("rb") as stream:
                            while where != "greeting" and (line := stream.readline()):
                                if line.startswith(where.encode()):
                                    break
                                connection.sendall(b"250 ok\r\n")
                            while sent[0] < 1 << 30:  # until the other side has enough
                                connection.sendall(flood)
                                sent[0] += len(flood)

                    server = self.server(play)
                    stack = self.stack_to(server.port)
                    before = resident_kib(stack)
                    stack.send("to@dest.test")
                    delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
                    self.assertIn("too long", delivery["response"])
                    self.assertLess(sent[0], 64 << 20)
                    self.assertLess(resident_kib(stack) - before, 32 * 1024)
                    stack.close()

    def test_odd_octets_in_replies_do_no_harm_in_events_and_logs(self):
        """F36, SEC-12, SEC-24: NUL, bare LF and CR, 8 bit, no code: every event is JSON, every line of the log one line."""
        for reply, bounces in ((b"550 a\0b\rc\x1b[31m \xff\r\n", True), (b"550-a\n550 b\n", True),
                               (b'550 {"x": "\\", event=forged level=error\r\n', True), (b"000 x\r\n", False),
                               (b"999 x\r\n", False), (b"250-ok\r\n550 5.1.1 no\r\n", True), (b"hello\r\n", False)):
            with self.subTest(reply):
                server = self.server(lambda connection, reply=reply: usual(connection, {"RCPT": reply}))
                stack = self.stack_to(server.port)
                stack.send("to@dest.test")
                events = stack.wait_events(1, "bounced" if bounces else "deferred")  # each line was parsed as JSON
                self.assertNotIn("\n", events[0]["data"]["delivery"]["response"])
                for line in stack.process.output().splitlines():
                    self.assertTrue(line.isprintable(), repr(line))
                    self.assertFalse(line.startswith("event=forged"))
                listed = json.loads(stack.command("show", "queues", "--json").stdout)
                self.assertTrue(listed)
                stack.close()

    def test_a_server_that_stops_reading_is_given_up_and_its_slot_is_free(self):
        """F40: a TCP window of zero in the middle of the message."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def play(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"220 mx.test\r\n")
            with connection.makefile("rb", buffering=0) as stream:
                while line := stream.readline():
                    if line.startswith(b"DATA"):
                        connection.sendall(b"354 go\r\n")
                        gate.wait(60)
                        return
                    connection.sendall(b"250 ok\r\n")

        server = self.server(play)
        stack = self.stack_to(server.port, ", body_timeout: 1s, max_connections: 1")
        stack.send("to@dest.test", body="x" * 60 + "\r\n" + ("y" * 70 + "\r\n") * 400_000)
        delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertEqual(delivery["phase"], "body")
        wait_for(lambda: stack.json("status")["sender"]["connections"] == 0, "the connection to be given back")

    def test_a_lost_final_reply_is_told_as_in_doubt(self):
        """F49: the report says that the server may have the message."""
        def play(connection):
            connection.sendall(b"220 mx.test\r\n")
            with connection.makefile("rb") as stream:
                while line := stream.readline():
                    if line.startswith(b"DATA"):
                        connection.sendall(b"354 go\r\n")
                        while stream.readline() not in (b".\r\n", b""):
                            pass
                        return
                    connection.sendall(b"250 ok\r\n")

        stack = self.stack_to(self.server(play).port)
        stack.send("to@dest.test")
        delivery = stack.wait_events(1, "deferred")[0]["data"]["delivery"]
        self.assertTrue(delivery["in_doubt"])
        self.assertEqual(delivery["phase"], "end-of-data")
        self.assertIn("postfleet_sender_unknown_outcomes_total 1", stack.http("/metrics")[1])


if __name__ == "__main__":
    unittest.main()
