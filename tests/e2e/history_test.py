"""postfleet show message: the whole history of one message, while it waits, when it is over, after a restart."""

import unittest

from harness import EndToEnd, wait_for


class History(EndToEnd):
    def history_stack(self, **sink):
        sink = self.sink(**sink)
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "shaping:\n  - {retry_after: [1h]}\n").start()
        return sink, stack

    def test_a_message_is_told_from_acceptance_to_the_end_of_each_recipient(self):
        refused = {"late@x.test": "450 4.2.1 mailbox busy", "wrong@x.test": "550 5.1.1 no such user"}
        sink, stack = self.history_stack(rcpt=lambda r, n: refused.get(r, "250 2.1.5 ok"))
        stack.send(["good@x.test", "late@x.test", "wrong@x.test"])
        stack.wait_events(1, "deferred")
        [bounced] = stack.wait_events(1, "bounced")
        number = bounced["data"]["message_id"]

        def states():
            return {r["recipient"]: r["state"] for r in stack.json("show", "message", number)["recipients"]}
        wait_for(lambda: states() == {"good@x.test": "delivered", "late@x.test": "waiting", "wrong@x.test": "bounced"},
                 "the three states")
        history = stack.json("show", "message", number)
        self.assertEqual(history["notes"], [])
        message = history["message"]
        self.assertEqual((message["sender"], message["listener"], message["client_address"], message["subject"]),
                         ("from@src.test", "relay", "127.0.0.1", "e2e"))
        late = next(r for r in history["recipients"] if r["recipient"] == "late@x.test")
        self.assertEqual((late["attempts"], late["queue"], late["last_reply"]),
                         (1, "x.test/default", "450 4.2.1 mailbox busy"))
        text = stack.command("show", "message", number).stdout
        for part in (f"message {number}\n", "by listener relay, from 127.0.0.1", "Subject    e2e", "LAST REPLY",
                     "wrong@x.test", "550 5.1.1 no such user", "in 59m"):
            self.assertIn(part, text)

        stack.command("pause", "x.test/*", "--why", "blocked")
        self.assertRegex(states()["late@x.test"], r"^waiting, and paused: by \S+: blocked \(order 1\)$")
        stack.command("resume", "1")

        refused.clear()
        stack.command("retry", "--message", number)
        stack.wait_events(2, "delivered")
        wait_for(lambda: states()["late@x.test"] == "delivered", "the second attempt")
        stack.kill()
        stack.start()
        history = stack.json("show", "message", number)
        late = next(r for r in history["recipients"] if r["recipient"] == "late@x.test")
        self.assertEqual((late["state"], late["attempts"]), ("delivered", 2))
        told = [e["type"] for e in history["events"] if e["data"]["recipient"] == "late@x.test"]
        self.assertEqual(told, ["email.accepted", "email.deferred", "email.delivered"])
        self.assertEqual(history["message"]["client_address"], "127.0.0.1")  # it is nowhere but in the reports

    def test_what_is_not_known_is_said(self):
        _, stack = self.history_stack()
        unknown = stack.command("show", "message", "019aa9c1-0fd9-7abc-8def-0123456789ab", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("it does not wait, and no report that is kept tells of it", unknown.stderr)
        wrong = stack.command("show", "message", "abc", check=False)
        self.assertIn("'abc' is not a message id", wrong.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
