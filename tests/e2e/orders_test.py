"""Orders: given on the command line, carried out on mail that waits and mail that comes, kept over kill -9."""

import collections
import subprocess
import unittest

from harness import POSTFLEET, EndToEnd, run, wait_for

MANY = 20_000


class Orders(EndToEnd):
    def orders_stack(self, retry_after="1h"):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "virtual_mtas:\n  a: {}\n  b: {}\ndefault_virtual_mta: a\n"
                           f"shaping:\n  - {{retry_after: [{retry_after}]}}\n", "headers: honour").start()
        return sink, stack

    def load(self, stack, count, to):
        run("load", f"127.0.0.1:{stack.port}", "--messages", count, "--to", to, "--users", count, "--sessions", 8,
            "--size", "1KiB", deadline=240)

    def test_a_delete_of_20000_messages_is_finished_after_kill_9_with_one_event_each(self):
        _, stack = self.orders_stack()
        stack.command("pause", "--all", "--why", "filling")
        self.load(stack, MANY, "u%d@wrong.test")
        stack.send([f"keep{i}@right.test" for i in range(10)])
        wait_for(lambda: stack.queued() == MANY + 10, "all mail to be queued")
        dry = stack.command("delete", "--domain", "wrong.test", "--dry-run").stdout
        self.assertEqual(dry, "It would be about 20,000 recipients in 1 queue.\n")
        order = stack.json("delete", "--domain", "wrong.test", "--why", "wrong list", "--no-wait")["given"]["order"]
        stack.kill()  # some of it is done, and most is not
        before = len(stack.events("cancelled"))
        stack.start()
        shown = {o["order"]: o for o in stack.json("list", "orders")["orders"]}[order]
        self.assertEqual((shown["why"], shown["action"]), ("wrong list", "delete"))
        wait_for(lambda: stack.json("list", "orders", "--action", "delete")["orders"][0]["state"] == "finished",
                 "the order to be finished", deadline=240)
        self.assertEqual(stack.queued(), 10)
        stack.wait_events(MANY, "cancelled", deadline=240)
        ended = collections.defaultdict(set)
        for event in stack.events("delivered", "bounced", "expired", "cancelled", "suppressed"):
            ended[event["data"]["recipient"]].add(event["id"])
        self.assertEqual(len(ended), MANY)
        self.assertEqual({len(ids) for ids in ended.values()}, {1})
        self.assertTrue(all(name.endswith("@wrong.test") for name in ended))
        print(f"of {MANY} recipients {before} had been reported when the process was killed")
        # Another time, to see that nothing was left half done.
        stack.kill()
        stack.start()
        self.assertEqual(stack.queued(), 10)

    def test_orders_are_told_in_words(self):
        sink, stack = self.orders_stack()
        paused = stack.command("pause", "--domain", "x.test", "--reason", "blocked", "--for", "2h").stdout
        self.assertIn("Order 1 pauses domain x.test: no mail now, and what comes later.\nIt ends by itself at ", paused)
        self.assertIn("`postfleet resume 1` lets it go again.", paused)
        stack.send(["one@x.test", "two@x.test"])
        wait_for(lambda: stack.queued() == 2, "two recipients to wait")
        listed = stack.command("list").stdout
        self.assertIn("held: paused: by ", listed)
        self.assertIn("blocked (order 1)", listed)
        table = stack.command("list", "orders").stdout
        for text in ("ORDER", "domain x.test", "in force", "blocked", "1h"):
            self.assertIn(text, table)
        self.assertEqual(stack.command("bounce", "--recipient", "two@*").stdout, "Bounced 1 recipient (order 2).\n")
        nobody = stack.command("cancel", "--domain", "nobody.test", "--dry-run").stdout
        self.assertEqual(nobody, "It would be about no mail.\n")
        [bounced] = stack.wait_events(1, "bounced")
        delivery = bounced["data"]["delivery"]
        self.assertEqual((delivery["code"], delivery["enhanced_code"], delivery["response"]),
                         (550, "5.7.1", "Returned by the operator"))
        self.assertIn("is withdrawn: it paused domain x.test", stack.command("resume", "1").stdout)
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "one@x.test")

    def test_wrong_orders_say_how_to_mend_them(self):
        _, stack = self.orders_stack()
        for arguments, text in (
                (["delete"], "say which mail"),
                (["move", "--all", "--to", "c"], "there is no virtual MTA or pool 'c'; there are: a, b"),
                (["bounce", "--all", "--reply", "later"], "write for example \"550 5.7.1"),
                (["pause", "--all", "--for", "soon"], "write for example 2h"),
                (["withdraw", "7"], "order 7 is not in force; `postfleet list orders` shows"),
                (["resume", "x.test/a"], "no order pauses just that"),
                (["suppress", "nobody at all"], "'nobody at all'"),
                (["unsuppress", "a@x.test"], "a@x.test is not suppressed"),
                (["delete", "--all", "--older-than", "old"], "write for example 90m")):
            done = stack.command(*arguments, check=False)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(text, done.stderr)

    def test_suppressions_come_from_a_file_and_stay_over_a_restart(self):
        sink, stack = self.orders_stack()
        names = "\n".join(["# unsubscribed", *(f"u{i}@x.test" for i in range(1200)), "gone.test"])
        done = subprocess.run([POSTFLEET, "suppress", "--file", "-", "--why", "unsubscribed", "--socket",
                               f"{stack.data}/control.sock"], input=names, text=True, capture_output=True, timeout=60)
        self.assertEqual(done.stdout, "Suppressed 1201 addresses and domains.\n", done.stderr)
        stack.kill()
        stack.start()
        stack.send(["u0@x.test", "U1199@x.test", "anyone@gone.test", "u1200@x.test"])
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "u1200@x.test")
        self.assertEqual({e["data"]["recipient"] for e in stack.wait_events(3, "suppressed")},
                         {"u0@x.test", "U1199@x.test", "anyone@gone.test"})
        stack.command("unsuppress", "u0@x.test")
        stack.send("u0@x.test")
        sink.wait(2)

    def test_trace_shows_the_dialogue_live_without_content(self):
        sink, stack = self.orders_stack()
        watching = subprocess.Popen([POSTFLEET, "trace", "x.test/*", "--socket", f"{stack.data}/control.sock"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(watching.kill)
        self.assertIn("Waiting for the next dialogue of x.test/*", watching.stderr.readline())
        stack.send("one@x.test", body="hidden words")
        text = ""
        while "250 " not in text.split("octets of content")[-1] or "octets of content" not in text:
            text += watching.stdout.readline()
        for part in ("* new connection of x.test/a", "* connected to ", "< 220 ", "> EHLO ", "> RCPT TO:<one@x.test>"):
            self.assertIn(part, text)
        self.assertNotIn("hidden words", text)
        sink.wait(1)

    def test_a_move_to_another_virtual_mta_is_seen_in_the_event(self):
        sink, stack = self.orders_stack()
        stack.command("pause", "*/a")
        stack.send([f"m{i}@x.test" for i in range(50)], headers=[("X-Job", "moved")])
        wait_for(lambda: stack.queued() == 50, "mail to wait")
        self.assertEqual(stack.command("move", "--job", "moved", "--to", "b").stdout, "Moved 50 recipients (order 2).\n")
        sink.wait(50)
        self.assertEqual({e["data"]["virtual_mta"] for e in stack.wait_events(50, "delivered")}, {"b"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
