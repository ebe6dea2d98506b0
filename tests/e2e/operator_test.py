"""What an operator does: look, pause, resume, retry, delete, stop."""

import os
import unittest

from harness import EndToEnd, wait_for


class Operator(EndToEnd):
    def paused_stack(self):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "shaping:\n  - {retry_after: [1h]}\n").start()
        return sink, stack

    def test_pause_holds_a_queue_over_a_restart_and_resume_lets_it_go(self):
        sink, stack = self.paused_stack()
        stack.send("first@dest.test")
        sink.wait(1)
        [queue] = [q["name"] for q in stack.json("show", "queues")["queues"]]
        stack.command("pause", queue)
        stack.send("second@dest.test")
        [shown] = stack.json("show", "queues")["queues"]
        self.assertTrue(shown["paused"])
        self.assertIn("paused", shown["hold_reason"])
        listed = stack.json("list", queue)
        self.assertIn("second@dest.test", str(listed))
        stack.kill()
        stack.start()
        self.assertTrue(stack.json("show", "queues")["queues"][0]["paused"])
        self.assertEqual(len(sink.deliveries), 1)
        stack.command("resume", queue)
        sink.wait(2)

    def test_retry_makes_waiting_mail_due_now(self):
        refusing = [True]
        sink = self.sink(rcpt=lambda r, n: "451 4.3.0 not yet" if refusing[0] else "250 ok")
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\nshaping:\n  - {{retry_after: [1h]}}\n').start()
        stack.send("to@dest.test")
        stack.wait_events(1, "deferred")
        refusing[0] = False
        [queue] = [q["name"] for q in stack.json("show", "queues")["queues"]]
        stack.command("retry", queue)
        sink.wait(1)

    def test_delete_cancels_with_an_event(self):
        sink, stack = self.paused_stack()
        stack.command("pause", "*/*")
        stack.send("a@dest.test")
        stack.send("b@dest.test")
        wait_for(lambda: stack.queued() == 2, "two queued recipients")
        [unwanted] = [t["message_id"] for t in stack.json("list")["tasks"] if t["recipients"][0]["address"] == "a@dest.test"]
        stack.command("delete", "--message", unwanted)
        [cancelled] = stack.wait_events(1, "cancelled")
        self.assertEqual(cancelled["data"]["recipient"], "a@dest.test")
        stack.command("resume", "*/*")
        sink.wait(1)
        self.assertEqual([d.recipient for d in sink.deliveries], ["b@dest.test"])

    def test_everything_an_operator_looks_at_answers(self):
        sink, stack = self.paused_stack()
        stack.send("to@dest.test")
        sink.wait(1)
        for command in (["status"], ["show", "queues"], ["show", "topqueues"], ["show", "vmtas"], ["list"], ["top", "--once"],
                        ["show", "settings", "dest.test/default"]):
            self.assertTrue(stack.command(*command).stdout.strip(), command)
            if command[0] != "top":
                stack.json(*command)
        status, text = stack.http("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("postfleet_", text)
        self.assertEqual(stack.http("/healthz/live")[0], 200)
        self.assertEqual(stack.http("/healthz/ready")[0], 200)

    def test_sigterm_finishes_and_leaves_the_mail_in_the_spool(self):
        sink, stack = self.paused_stack()
        stack.command("pause", "*/*")
        stack.send([f"u{i}@dest.test" for i in range(20)])
        self.assertEqual(stack.stop(), 0)
        stack.start()
        self.assertEqual(stack.queued(), 20)
        stack.command("resume", "*/*")
        sink.wait(20)
        self.assertFalse(any(name.startswith("core") for name in os.listdir(stack.base)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
