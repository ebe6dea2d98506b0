"""kill -9 under load: every message that was answered 250 arrives, and has exactly one terminal event id."""

import collections
import random
import smtplib
import threading
import time
import unittest

from harness import EndToEnd, wait_for

KILLS = 8


class Kill(EndToEnd):
    def test_nothing_accepted_is_lost_when_the_process_is_killed_under_load(self):
        chance = random.Random(20261122)

        def rcpt(recipient, attempt):  # one in five is refused once, so that retries are in the spool too
            return "451 4.7.1 later" if hash_of(recipient) % 5 == 0 and attempt == 1 else "250 2.1.5 ok"
        sink = self.sink(rcpt=rcpt)
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "shaping:\n  - {retry_after: [300ms], max_connections: 8}\n").start()
        accepted, offered, lock, stop = set(), set(), threading.Lock(), threading.Event()

        def client(number):
            sent = 0
            while not stop.is_set():
                try:
                    with smtplib.SMTP("127.0.0.1", stack.port, timeout=10) as smtp:
                        for _ in range(40):
                            if stop.is_set():
                                break
                            name = f"u{number}-{sent}@d{sent % 7}.test"
                            sent += 1
                            with lock:
                                offered.add(name)
                            smtp.sendmail("from@src.test", [name], f"Subject: {name}\r\n\r\n" + "x" * 2000 + "\r\n")
                            with lock:
                                accepted.add(name)
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.02)  # between two attempts to connect while the process is down

        threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            before = len(accepted)
            wait_for(lambda: len(accepted) > before + 150 + chance.randrange(200), "more accepted mail")
            stack.kill()
            stack.start()
        stop.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: accepted <= {d.recipient for d in sink.deliveries}, "everything accepted to arrive")
        wait_for(lambda: stack.queued() == 0, "the spool to be empty")
        arrived = collections.Counter(d.recipient for d in sink.deliveries)
        lost = accepted - set(arrived)
        unexpected = set(arrived) - offered
        duplicated = {name: n for name, n in arrived.items() if n > 1}
        stack.wait_events(len(arrived), "delivered")
        wait_for(lambda: {e["data"]["recipient"] for e in stack.events("delivered")} >= set(arrived), "every event")
        terminal = collections.defaultdict(set)
        for event in stack.events("delivered", "bounced", "expired", "cancelled"):
            terminal[event["data"]["recipient"]].add(event["id"])
        print(f"kills {KILLS} accepted {len(accepted)} arrived {len(arrived)} lost {len(lost)} "
              f"unexpected {len(unexpected)} duplicated {len(duplicated)} "
              f"accepted without an answer {len(set(arrived) - accepted)}")
        self.assertEqual(lost, set())
        self.assertEqual(unexpected, set())
        self.assertLess(max(duplicated.values(), default=1), 1 + KILLS)
        self.assertEqual({name for name, ids in terminal.items() if len(ids) != 1}, set())
        self.assertEqual(set(terminal), set(arrived))


def hash_of(text):
    value = 0
    for c in text.encode():
        value = (value * 31 + c) % 1000003
    return value


if __name__ == "__main__":
    unittest.main(verbosity=2)
