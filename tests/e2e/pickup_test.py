"""Pickup directories: the documented example, kill -9 under load, reload (SEC-17)."""

import collections
import os
import random
import re
import threading
import unittest

from harness import EndToEnd, wait_for

KILLS = 6


def document(language):
    """The code blocks of docs/PICKUP.md in one language."""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/PICKUP.md")) as page:
        return re.findall(rf"^```{language}\n(.*?)^```$", page.read(), re.M | re.S)


class Pickup(EndToEnd):
    def start(self, sink, more="", **options):
        self.stack_ = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n' + more, **options)
        folder = self.stack_.base
        self.pickup, self.bad = os.path.join(folder, "pickup"), os.path.join(folder, "bad")
        self.elsewhere = os.path.join(folder, "elsewhere")
        os.makedirs(self.pickup)
        os.makedirs(self.elsewhere)
        text = document("yaml")[0]
        text = text.replace("/var/spool/postfleet/pickup", self.pickup).replace("/var/spool/postfleet/bad", self.bad)
        self.stack_.write_config(text, "pickups.yaml")
        return self.stack_.start()

    def move_in(self, name, text):
        path = os.path.join(self.elsewhere, name)
        with open(path, "w") as file:
            file.write(text)
        os.rename(path, os.path.join(self.pickup, name))

    def files_left(self):
        return [n for n in os.listdir(self.pickup) if n != ".postfleet"] + \
            os.listdir(os.path.join(self.pickup, ".postfleet"))

    def test_the_example_of_the_guide_is_sent(self):
        sink = self.sink()
        stack = self.start(sink)
        self.move_in("invoice.eml", document("eml")[0])
        sink.wait(2)
        self.assertEqual({d.recipient for d in sink.deliveries}, {"alice@customer.example", "bob@customer.example"})
        delivery = sink.deliveries[0]
        self.assertEqual(delivery.sender, "bounces@shop.example")
        self.assertTrue(delivery.content.startswith(b"Received: by mta.test with local id "))
        self.assertTrue(delivery.content.endswith(b"\r\n\r\nHere it is.\r\n"))
        self.assertNotIn(b"x-", delivery.content.lower().split(b"\r\n\r\n")[0])
        event = stack.wait_events(2, "delivered")[0]
        self.assertEqual(event["data"]["job"], "invoices")
        self.assertEqual(event["data"]["listener"], "billing")
        wait_for(lambda: not self.files_left(), "the file to be gone")

    def test_sec_17_nothing_is_lost_and_nothing_doubled_when_the_process_is_killed_under_load(self):
        chance = random.Random(17)
        sink = self.sink()
        stack = self.start(sink, "shaping:\n  - {max_connections: 8}\n")
        offered, stop = [], threading.Event()

        def writer(number):
            count = 0
            while not stop.is_set():
                name = f"f{number}-{count}"
                count += 1
                padding = "x" * 70 + "\n"
                large = 5000 if count % 50 == 0 else 20  # some of several chunks
                self.move_in(name, f"x-sender: from@src.test\nx-receiver: {name}@d{count % 5}.test\n"
                                   f"Subject: {name}\n\n{padding * large}")
                offered.append(name)
                if count % 10 == 0:
                    stop.wait(0.02)

        threads = [threading.Thread(target=writer, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            before = len(sink.deliveries)
            wait_for(lambda: len(sink.deliveries) > before + 50 + chance.randrange(100), "more deliveries")
            stack.kill()
            stack.start()
        stop.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: {d.recipient.split("@")[0] for d in sink.deliveries} >= set(offered), "every file to arrive")
        wait_for(lambda: not self.files_left(), "no file to be left")
        wait_for(lambda: stack.queued() == 0, "the spool to be empty")
        arrived = collections.Counter(d.recipient.split("@")[0] for d in sink.deliveries)
        doubled = {name for name, n in arrived.items() if n > 1}
        # A delivery that was cut off is made again, under the same message id. A file that was taken twice would have
        # been accepted twice: by two events, each with a number of its own.
        accepted = collections.defaultdict(set)
        for event in stack.wait_events(len(arrived), "accepted"):
            accepted[event["data"]["recipient"]].add((event["id"], event["data"]["sequence"]))
        print(f"kills {KILLS} files {len(offered)} arrived {len(arrived)} doubled {len(doubled)}")
        self.assertEqual(set(arrived), set(offered))
        self.assertEqual({r for r, found in accepted.items() if len(found) != 1}, set())
        self.assertEqual(os.listdir(self.bad), [])

    def test_a_reload_changes_what_the_next_file_becomes(self):
        sink = self.sink()
        stack = self.start(sink, "tenants: {acme: {}}\n")
        file = "x-sender: a@src.test\nx-receiver: b@dst.test\nSubject: s\n\nHello\n"
        self.move_in("one", file)
        self.assertEqual(stack.wait_events(1, "delivered")[0]["data"]["tenant"], "default")
        with open(os.path.join(stack.config, "pickups.yaml"), "a") as config:
            config.write("    tenant: acme\n")
        stack.command("reload")
        self.move_in("two", file)
        self.assertEqual(stack.wait_events(2, "delivered")[1]["data"]["tenant"], "acme")
        status, metrics = stack.http("/metrics")
        self.assertIn('postfleet_pickup_files_total{pickup="billing",result="accepted"} 2', metrics)

    def test_a_file_that_cannot_be_sent_is_explained(self):
        sink = self.sink()
        self.start(sink)
        self.move_in("bad.eml", "x-sender: a@src.test\nx-receiver: b@@dst.test\nSubject: s\n\nHello\n")
        reason = os.path.join(self.bad, "bad.eml.reason")
        wait_for(lambda: os.path.exists(os.path.join(self.bad, "bad.eml")), "the bad file")
        with open(reason) as note:
            self.assertIn("RCPT TO:<b@@dst.test>", note.read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
