#!/usr/bin/env python3
"""One fault at a time under a steady load, and what must be true during it and after it. The scenarios' numbers are those
of the fault list: F08 flipped bits, F09 a sync fails once, F10 for ever, F11 and F12 full disks, F14 SIGTERM, F18 more
large mail than memory, F56 clock jumps, F57 a process that stood still, F59 hardly any processor time."""

import errno
import glob
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest

from faults import FAIL, TEAR, Faults
from harness import POSTFLEET, EndToEnd, Stack, free_port, room, wait_for
from load import Account, World, is_whole, settle


class OneFault(EndToEnd):
    SHAPING = "shaping:\n  - {retry_after: [300ms], max_connections: 8}\n"

    def begin(self, extra="", shaping=None, clients=3, **load):
        base = tempfile.mkdtemp(prefix="postfleet-fault-")
        self.world = World(7)
        self.closers.append(self.world)
        self.base_stack = Stack(self.world.route + (shaping or self.SHAPING) + extra, base=base)
        self.closers.append(self.base_stack)
        self.faults = Faults(base)
        self.addCleanup(self.faults.close)
        self.base_stack.start(env=self.faults.environment())
        self.world.start(self.base_stack.port, clients=clients, **load)
        self.more(50)
        return self.base_stack

    def more(self, count, what="more mail to be accepted"):
        before = len(self.world.accepted)
        wait_for(lambda: len(self.world.accepted) >= before + count, what)

    def conclude(self, most_duplicates=0):
        self.faults.disarm()
        self.more(50, "mail to be accepted again")
        self.world.stop()
        settle(self.world, self.base_stack)
        account = Account(self.world, self.base_stack.events(), most_duplicates)
        print(f"{self.id().rsplit('.', 1)[-1]}\n{account.table()}")
        self.assertEqual(account.problems, {})
        return account

    def is_ready(self):
        return self.base_stack.http("/healthz/ready")[0] == 200

    def flip_bits(self, count, chance):
        """One bit each in `count` places of the log that hold something; returns how many were flipped. The headers of
        segments, and the files of the index, are left to the unit tests."""
        places = []
        for path in glob.glob(os.path.join(self.base_stack.data, "spool", "log", "*.log")):
            with open(path, "rb") as f:
                octets = f.read()
            places += [(path, at) for at in chance.sample(range(4096, len(octets)), 200000) if octets[at]]
        chosen = chance.sample(places, min(count, len(places)))
        for path, at in chosen:
            with open(path, "r+b") as f:
                f.seek(at)
                octet = f.read(1)[0]
                f.seek(at)
                f.write(bytes([octet ^ (1 << chance.randrange(8))]))
        return len(chosen)

    def test_F08_flipped_bits_cost_what_they_hit_and_are_told(self):
        chance = random.Random(8)
        refuse = {"all": True}
        stack = self.begin(shaping="shaping:\n  - {retry_after: [1h], max_connections: 8}\n", octets=6000)
        inner = self.world.sink.rcpt
        self.world.sink.rcpt = lambda r, n: "451 4.3.0 later" if refuse["all"] else inner(r, n)
        self.more(600)
        self.world.stop()
        self.assertEqual(stack.stop(), 0)
        flipped = self.flip_bits(30, chance)
        self.assertGreater(flipped, 10)
        refuse["all"] = False
        stack.start(env=self.faults.environment())

        def is_empty():   # some are deferred or cut off at their first attempt: their hour is over, too
            stack.command("retry", "--all")
            return stack.queued() == 0
        wait_for(is_empty, "everything that can be read to end", every=0.3)
        aside = stack.json("status")["spool"]["quarantined"]
        arrived, ended = self.world.arrived(), {}

        def reported():
            ended.update({e["data"]["recipient"]: e for e in stack.events("delivered", "bounced", "expired")})
            return set(arrived) <= set(ended)
        wait_for(reported, "the last events", every=0.2)
        self.assertTrue(stack.process.is_running())
        torn = [d.recipient for d in self.world.sink.deliveries if not is_whole(d)]
        self.assertEqual(torn, [], "nothing damaged may be sent")
        damaged = {r for r, e in ended.items() if "damaged" in json.dumps(e["data"]) and r not in arrived}
        silent = self.world.accepted - set(ended)
        print(f"F08: {flipped} bits flipped, {len(self.world.accepted)} accepted, {len(damaged)} bounced as damaged, "
              f"{len(silent)} in {aside} records set aside")
        self.assertLessEqual(len(silent), 3 * aside, "what has no end must at least be told, record by record")
        self.assertLessEqual(len(damaged) + len(silent), 3 * flipped, "a flip costs the message that it hit")
        self.assertGreater(aside, 0, "no flip was noticed: the test hit nothing")
        self.assertIn("quarantined", stack.process.output())
        before = len(self.world.sink.deliveries)
        stack.send("after@plain.test")
        wait_for(lambda: len(self.world.sink.deliveries) > before, "new mail to be delivered")

    def test_F18_more_large_mail_than_memory_is_held_back_and_none_of_it_lost(self):
        # 1,000 of them are a question of patience: POSTFLEET_LARGE_MESSAGES=1000
        messages, limit = int(os.environ.get("POSTFLEET_LARGE_MESSAGES", "60")), 64
        sink = free_port()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink}"]}}\nlimits: {{memory_for_incoming: {limit}MiB}}\n'
                           "shaping: [{max_connections: 8}]\n", listener="max_message_size: 30MiB").start()

        def anonymous():
            with open(f"/proc/{stack.process.child.pid}/status") as f:
                return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1)) / 1024
        idle = anonymous()
        load = subprocess.Popen([POSTFLEET, "load", f"127.0.0.1:{stack.port}", "--sink", f"127.0.0.1:{sink}", "--json",
                                 "-n", str(messages), "--sessions", "40", "--size", "25MiB", "--retry", "1000",
                                 "--retry-after", "50ms", "--patience", "300s", "--wait", "300s"],
                                stdout=subprocess.PIPE, text=True)
        most = 0.0

        def ended():
            nonlocal most
            most = max(most, anonymous())
            return load.poll() is not None
        wait_for(ended, "the large messages to be delivered", 60 + messages * 5)
        report = json.loads(load.communicate()[0])
        print(f"F18: {messages} messages of 25 MiB, 40 at once: at most {most:.0f} MiB of memory, {idle:.0f} at rest")
        self.assertEqual(load.returncode, 0, report)
        self.assertTrue(stack.process.is_running())
        # Incoming and outgoing content, and what the spool's index and writer may have besides.
        self.assertLess(most - idle, room(3 * limit))

    def test_F09_a_sync_that_fails_once_refuses_what_waited_for_it_and_nothing_else(self):
        self.begin()
        for _ in range(5):
            self.faults.arm("log", "sync", FAIL, countdown=20, error=errno.EIO)
            wait_for(lambda: self.faults.struck == 1, "the sync to fail")
            self.more(30)
        account = self.conclude(most_duplicates=5 * 8 * 3)
        self.assertEqual([r for r in account.unanswered], [], "what was refused must not be delivered")

    def test_F10_syncs_that_fail_for_ever_stop_taking_and_delivering_until_they_work_again(self):
        self.begin()
        self.faults.arm("log", "sync", FAIL, times=-1, error=errno.EIO)
        wait_for(lambda: not self.is_ready(), "readiness to say no")
        self.assertEqual(self.base_stack.http("/healthz/live")[0], 200)
        struck = self.faults.struck
        wait_for(lambda: self.faults.struck > struck + 2, "attempts to recover")
        accepted, deliveries = len(self.world.accepted), len(self.world.sink.deliveries)
        struck = self.faults.struck
        wait_for(lambda: self.faults.struck > struck + 2, "more attempts to recover")
        self.assertEqual(len(self.world.accepted), accepted, "nothing may be accepted that cannot be kept")
        self.assertEqual(len(self.world.sink.deliveries), deliveries, "nothing may be delivered that cannot be recorded")
        self.faults.disarm()
        wait_for(self.is_ready, "readiness by itself")
        self.conclude(most_duplicates=8 * 3)

    def test_F11_a_log_that_cannot_grow_is_like_a_failed_sync(self):
        self.begin()
        self.faults.arm("log", "write", FAIL, countdown=10, times=3, error=errno.ENOSPC)
        wait_for(lambda: self.faults.struck == 3, "the writes to fail")
        self.faults.arm("log", "write", TEAR, countdown=10, times=1, error=errno.EIO)
        wait_for(lambda: self.faults.struck == 1, "half a write")
        account = self.conclude(most_duplicates=2 * 8 * 3)
        self.assertEqual(account.unanswered, [])

    def test_F12_a_full_report_volume_holds_the_reports_and_not_the_mail(self):
        self.begin()
        self.faults.arm("reports", "write", TEAR, times=-1, error=errno.ENOSPC)
        wait_for(lambda: self.faults.struck > 0, "a report that cannot be written")
        delivered = len(self.world.sink.deliveries)
        wait_for(lambda: len(self.world.sink.deliveries) > delivered + 200, "mail to go on")
        self.more(100, "mail to be accepted all the while")
        self.conclude()

    def test_F12_a_report_file_whose_sync_fails_is_written_again(self):
        self.begin()
        self.faults.arm("reports", "sync", FAIL, times=5, error=errno.EIO)
        wait_for(lambda: self.faults.struck == 5, "the syncs to fail")
        self.conclude()

    def test_F09_an_index_that_fails_is_opened_again_and_the_log_applied(self):
        self.begin()
        self.faults.arm("index", "write", FAIL, times=2, error=errno.EIO)
        self.world.pausing.set()
        self.base_stack.kill()
        self.base_stack.start(wait=False, env=self.faults.environment())
        wait_for(lambda: self.faults.struck > 0, "the index to fail at the start")
        self.base_stack.kill()
        self.faults.disarm()
        self.base_stack.start(env=self.faults.environment())
        self.world.pausing.clear()
        self.conclude(most_duplicates=8 * 3)

    def test_F14_sigterm_with_transactions_in_flight_ends_them_and_doubles_nothing(self):
        slow = {"hold": 0.0}
        self.begin(shaping="shaping:\n  - {retry_after: [300ms], max_connections: 300}\n", clients=4)
        inner = self.world.sink.data

        def data(sender, recipients, attempt):
            time.sleep(slow["hold"])
            return inner(sender, recipients, attempt)
        self.world.sink.data = data
        slow["hold"] = 0.002
        self.more(200)
        self.assertEqual(self.base_stack.stop(), 0)
        slow["hold"] = 0.0
        self.base_stack.start(env=self.faults.environment())
        self.conclude()

    def test_F56_a_clock_that_jumps_ahead_expires_nothing_and_one_that_jumps_back_stalls_nothing(self):
        stack = self.begin()
        self.faults.move_clock(3600)
        self.more(100)
        self.world.pausing.set()   # what was deferred by the wrong clock keeps its time, so let it go first
        wait_for(lambda: stack.queued() == 0, "the queue to be empty")
        self.world.pausing.clear()
        self.faults.move_clock(-3600)
        self.more(100)
        self.conclude()
        self.assertEqual(stack.events("expired"), [])

    def test_F57_a_process_that_stood_still_goes_on_where_it_was(self):
        stack = self.begin()
        for _ in range(3):
            os.kill(stack.process.child.pid, signal.SIGSTOP)
            time.sleep(1.5)   # the fault itself: there is no event to wait for in a process that stands still
            os.kill(stack.process.child.pid, signal.SIGCONT)
            self.more(50)
        self.conclude()

    def test_F59_with_a_tenth_of_a_processor_everything_still_ends_well(self):
        stack = self.begin()
        end = time.monotonic() + 6
        while time.monotonic() < end:
            os.kill(stack.process.child.pid, signal.SIGSTOP)
            time.sleep(0.09)
            os.kill(stack.process.child.pid, signal.SIGCONT)
            time.sleep(0.01)
        self.conclude()


if __name__ == "__main__":
    unittest.main(verbosity=2)
