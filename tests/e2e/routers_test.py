"""Two routers over one PostgreSQL: they answer alike, and whichever is killed, nobody waits for long."""
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support/brokers"))

from harness import wait_for
from postgres import Postgres, is_installed
from router_harness import CONFIGURATION, ControlPlane

# A call waits 4 s at most (RouterLink); the rest is for a machine that is busy with other things.
LONGEST_MS = 15_000


@unittest.skipUnless(is_installed(), "PostgreSQL is not installed")
class RoutersTest(ControlPlane):
    def setUp(self):
        super().setUp()
        self.postgres = Postgres().start()
        self.addCleanup(self.postgres.close)
        self.routers = [self.router(f"router-{n}", "--state", self.postgres.url).start() for n in range(2)]

    def test_what_one_router_is_told_the_other_knows(self):
        first, second = self.routers
        one, other = self.probe("one", [first]), self.probe("other", [second])
        for probe in (one, other):
            probe.wait("configuration", 1)
        self.write(CONFIGURATION.replace("mta.example", "mta2.example"))
        for probe in (one, other):
            probe.wait("configuration", 2)
        self.assertEqual([one.heard("configuration"), other.heard("configuration")], [[1, 2], [1, 2]])
        owner = self.probe("owner", [first], "sender-0", "spool-a")
        owner.wait("granted", 1)
        rival = self.probe("rival", [second], "sender-0", "spool-b")
        rival.wait("refused")
        second.command("takeover", "sender-0")
        rival.wait("granted", 2)
        owner.wait("refused")
        self.assertIn("spool-b", first.command("show", "senders").stdout)

    def test_f03_routers_that_are_killed_under_load_stall_nobody(self):
        """F03, F57, F61: kill -9 and SIGSTOP of one router at a time; every key is claimed once."""
        probes = [self.probe(f"probe-{n}", self.routers, f"sender-{n}", f"spool-{n}") for n in range(3)]
        for probe in probes:
            probe.wait("granted", 1)
        chance = random.Random(7)
        for _ in range(6):
            victim = self.routers[chance.randrange(2)]
            if chance.random() < 0.5:
                victim.kill()
                time.sleep(0.5)  # so long it is away
                victim.start()
            else:
                victim.pause()
                time.sleep(5)
                victim.resume()
                wait_for(victim.is_ready, "the router that was stopped")
        for probe in probes:
            self.assertEqual(probe.heard("refused"), [])
            result = probe.finish()
            self.assertGreater(result["ok"], 100)
            self.assertEqual(result["not_new"], 0, "a key was taken for somebody else's")
            self.assertLess(result["longest_ms"], LONGEST_MS)
            self.assertLess(result["failed"], result["ok"] / 20)

    def test_f60_routers_come_back_when_the_database_does(self):
        """F60: the store is away for a while: routers are not ready, services go on, and all comes back by itself."""
        probe = self.probe("probe-0", self.routers, "sender-0", "spool-a")
        probe.wait("granted", 1)
        for harm, mend in ((self.postgres.kill, self.postgres.start), (self.postgres.pause, self.postgres.resume)):
            harm()
            for router in self.routers:
                wait_for(lambda: not router.is_ready(), "the router to notice")
                self.assertEqual(router.health("live")[0], 200)
            mend()
            for router in self.routers:
                wait_for(router.is_ready, "the router to come back")
        self.write(CONFIGURATION.replace("mta.example", "mta3.example"))
        probe.wait("configuration", 2)
        self.assertEqual(probe.heard("refused"), [])
        result = probe.finish()
        self.assertGreater(result["ok"], 100)
        self.assertLess(result["longest_ms"], LONGEST_MS)


if __name__ == "__main__":
    unittest.main()
