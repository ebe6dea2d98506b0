"""Which source address mail leaves from: orders about addresses, warm-up, backoff that hands mail on."""

import unittest

from harness import EndToEnd, wait_for

OLD, NEW = "127.0.0.41", "127.0.0.42"


class Identities(EndToEnd):
    def stack_of(self, sink, shaping="", members="{new: 100, old: 1}"):
        return self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                          f"virtual_mtas:\n  old: {{source: {OLD}}}\n  new: {{source: {NEW}}}\n"
                          f"pools: {{bulk: {{members: {members}}}}}\ndefault_virtual_mta: bulk\n"
                          f"shaping:\n  - {{idle_timeout: 100ms}}\n{shaping}").start()

    def by_source(self, sink):
        counts = {OLD: 0, NEW: 0}
        for delivery in sink.deliveries:
            counts[delivery.connection.source] += 1
        return counts

    def state_of(self, stack, name):
        return next(v for v in stack.json("show", "vmtas") if v["name"] == name)

    def test_an_address_that_is_disabled_is_not_used_until_it_is_enabled(self):
        sink = self.sink()
        stack = self.stack_of(sink, members="[new]")
        stack.send("a@dest.test")
        sink.wait(1)
        self.assertIn("Disabled 127.0.0.42 of 1 virtual MTA",
                      stack.command("disable", "source", NEW, "--why", "listed").stdout)
        stack.send("b@dest.test")
        stack.stop()
        stack.start()
        state = self.state_of(stack, "new")
        self.assertFalse(state["enabled"])
        self.assertIn("listed", state["disabled_sources"][0]["reason"])
        self.assertIn("listed", stack.command("show", "vmtas").stdout)
        self.assertEqual(len(sink.deliveries), 1)
        stack.command("enable", "source", NEW)
        sink.wait(2)
        self.assertEqual(self.by_source(sink), {OLD: 0, NEW: 2})
        self.assertEqual(stack.command("enable", "source", NEW, check=False).returncode, 1)

    def test_above_its_warm_up_limit_mail_goes_by_the_others_of_the_pool(self):
        sink = self.sink()
        stack = self.stack_of(sink, "  - {match: {virtual_mta: new}, warm_up: [4, 8]}\n")
        for number in range(12):
            stack.send(f"u{number}@dest.test")
        sink.wait(12)
        self.assertEqual(self.by_source(sink)[NEW], 4)
        self.assertEqual(self.state_of(stack, "new")["warm_up_day"], 1)
        stack.stop()
        stack.start()
        for number in range(4):
            stack.send(f"v{number}@dest.test")
        sink.wait(16)
        self.assertEqual(self.by_source(sink)[NEW], 4)

    def test_a_warm_up_day_is_not_exceeded_by_a_process_that_is_killed_again_and_again(self):
        """P7: what was counted of the day survives kill -9."""
        sink = self.sink()
        limit = 150   # each kill may cost the day what was in flight: 20 connections, and a little that was noted ahead
        stack = self.stack_of(sink, f"  - {{match: {{virtual_mta: new}}, warm_up: [{limit}]}}\n")
        for kill in range(4):
            for number in range(12):
                stack.send(f"u{kill}-{number}@dest.test")
            stack.kill()
            stack.start()
        for number in range(limit):
            stack.send(f"v{number}@dest.test")
        wait_for(lambda: stack.queued() == 0, "all mail to go")
        self.assertEqual(len({delivery.recipient for delivery in sink.deliveries}), 48 + limit)
        self.assertGreater(self.by_source(sink)[NEW], 0)
        self.assertLessEqual(self.by_source(sink)[NEW], limit)

    def test_mail_of_a_queue_in_backoff_goes_by_the_virtual_mta_that_it_names(self):
        sink = self.sink()
        stack = self.stack_of(sink, "  - {match: {virtual_mta: new}, backoff: {reroute_to: old}}\n", members="[new]")
        stack.send("a@dest.test")
        sink.wait(1)
        stack.command("set-mode", "*/new", "backoff")
        for number in range(5):
            stack.send(f"u{number}@dest.test")
        sink.wait(6)
        self.assertEqual(self.by_source(sink), {OLD: 5, NEW: 1})

    def test_a_schedule_holds_mail_for_its_window(self):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n', listener="headers: honour").start()
        stack.send("later@dest.test", headers=[("X-Schedule", "2099-01-01 08:00 +0100 / 2099-01-01 20:00 +0100")])
        stack.send("now@dest.test", headers=[("X-Schedule", "2020-01-01 08:00 / 2099-01-01 20:00")])
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "now@dest.test")
        self.assertIsNone(sink.deliveries[0].header("X-Schedule"))
        waiting = stack.json("list")["tasks"]
        self.assertEqual([(task["due"][:19], task["expires_at"][:19]) for task in waiting],
                         [("2099-01-01T07:00:00", "2099-01-01T19:00:00")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
