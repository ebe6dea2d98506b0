"""The control plane's ports as a hostile or broken peer sees them, who has got that far: the router goes on serving the
others, and a sender answering its operators (SEC-10, SEC-22)."""

import os
import random
import struct
import unittest

from harness import wait_for
from http2_peer import (CONTINUATION, DATA, END_HEADERS, HEADERS, PATIENCE, PING, PREFACE, RST_STREAM, SETTINGS,
                        call_headers, connect, frame, garbage, literal, memory_of, message)
from router_harness import ControlPlane

ROUTER = b"/postfleet.v1.Router/"
SOME = 256 << 20
END_STREAM = 1


def settings():
    return PREFACE + frame(SETTINGS, 0, 0)


def calls(path, count):
    return b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(path)) for n in range(count))


def unary(path, body):
    """A whole call; the window has room for 65,535 octets."""
    octets = message(body)
    parts = [octets[at:at + 16_000] for at in range(0, len(octets), 16_000)]
    return (settings(), frame(HEADERS, END_HEADERS, 1, call_headers(path)),
            *(frame(DATA, END_STREAM if n + 1 == len(parts) else 0, 1, part) for n, part in enumerate(parts)))


class ControlHostile(ControlPlane):
    def setUp(self):
        super().setUp()
        self.connections = []
        self.addCleanup(lambda: [connection.close() for connection in self.connections])

    def hold(self, port, *octets):
        self.connections.append(connect(port, *octets))
        return self.connections[-1]

    def floods(self, port, path):
        """What costs a peer nothing; each connection is left to itself afterwards."""
        chance = random.Random(20261122)
        for _ in range(40):
            for octets in garbage(chance):
                connect(port, *octets).close()
            connect(port, *unary(path, chance.randbytes(300))).close()
        resets = b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(path)) +
                          frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(5000))
        connect(port, settings(), resets).close()
        connect(port, settings(), frame(PING, 0, 0, b"\0" * 8) * 5000).close()
        connect(port, settings() + frame(SETTINGS, 0, 0) * 5000).close()
        endless = literal(b"x", b"y" * 100) * 100
        connect(port, settings(), frame(HEADERS, 0, 1, call_headers(path)), frame(CONTINUATION, 0, 1, endless) * 1000).close()
        # Four gigabytes are announced; a compressed message, which could become as many.
        self.hold(port, settings(), calls(path, 1), frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
        self.hold(port, settings(), calls(path, 1), frame(DATA, END_STREAM, 1, message(b"x" * 1000, compressed=1)))
        self.hold(port, settings(), calls(path, 3000))
        for _ in range(50):  # half open, and slow
            self.hold(port)
            self.hold(port, settings(), calls(path, 1), frame(DATA, 0, 1, b"\0"))

    def test_a_router_goes_on_serving_the_others(self):
        router = self.router().start()
        probe = self.probe("probe-0", [router], "sender-0", "spool-a")
        probe.wait("configuration", 1)
        pid = router.process.child.pid
        before = memory_of(pid)
        self.floods(router.port, ROUTER + b"ClaimKeys")
        # Two octets each are a claim, which takes a hundred times as much; more than may be in one request.
        for _ in range(20):
            connect(router.port, *unary(ROUTER + b"ClaimKeys", b"\x0a\0" * 30_000)).close()
        # Watchers that never read what they are told.
        closed_window = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        watch = frame(HEADERS, END_HEADERS, 1, call_headers(ROUTER + b"WatchConfig"))
        for _ in range(100):
            self.hold(router.port, PREFACE, closed_window, watch, frame(DATA, END_STREAM, 1, message(b"")))
        late = self.probe("probe-1", [router], "sender-1", "spool-b")
        late.wait("configuration", 1)
        late.wait("granted", 1)
        self.assertEqual(router.process.child.poll(), None)
        self.assertTrue(router.is_ready())
        self.assertLess(memory_of(pid) - before, SOME)
        self.assertEqual(late.finish()["failed"], 0)
        self.assertEqual(probe.finish()["failed"], 0)

    def test_connections_that_say_nothing_disturb_nobody_and_are_thrown_out(self):
        router = self.router().start()
        probe = self.probe("probe-0", [router])
        probe.wait("configuration", 1)
        pid = router.process.child.pid
        before = memory_of(pid)
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        for _ in range(500):
            self.hold(router.port)
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) >= descriptors + 500, "them to be accepted", PATIENCE)
        self.assertEqual(probe.finish()["failed"], 0)
        self.assertLess(memory_of(pid) - before, SOME)
        # Who says nothing is thrown out.
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) < descriptors + 100, "them to be closed", PATIENCE)


if __name__ == "__main__":
    unittest.main()
