"""The router's port as a hostile or broken peer sees it, who has got that far: the router goes on serving the others
(SEC-10, SEC-22). The ports of senders and feedback: tests/cluster/hostile_test.py."""

import os
import struct
import unittest

from harness import room, wait_for
from http2_peer import (DATA, END_HEADERS, END_STREAM, HEADERS, PATIENCE, PREFACE, SETTINGS, call_headers, connect, flood,
                        frame, memory_of, message, unary)
from router_harness import ControlPlane

ROUTER = b"/postfleet.v1.Router/"
SOME = room(256 << 20)


class ControlHostile(ControlPlane):
    def setUp(self):
        super().setUp()
        self.connections = []
        self.addCleanup(lambda: [connection.close() for connection in self.connections])

    def hold(self, port, *octets):
        self.connections.append(connect(port, *octets))
        return self.connections[-1]

    def test_a_router_goes_on_serving_the_others(self):
        router = self.router().start()
        probe = self.probe("probe-0", [router], "sender-0", "spool-a")
        probe.wait("configuration", 1)
        pid = router.process.child.pid
        before = memory_of(pid)
        flood(router.port, ROUTER + b"ClaimKeys", self.hold)
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
        # Under a sanitizer a flood takes longer than a call may.
        self.assertTrue(probe.finish()["failed"] == 0 or "POSTFLEET_SANITIZED" in os.environ)

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
