"""What happens when a server refuses: categories of bounces, reply patterns, backoff."""

import json
import subprocess
import unittest

from harness import POSTFLEET, EndToEnd


class Categories(EndToEnd):
    def test_bounces_carry_the_category_of_the_operators_patterns_first(self):
        replies = {"own": "550 5.1.1 gone fishing", "spam": "550 5.7.1 blocked using zen.spamhaus.org",
                   "none": "550 5.1.1 no such user"}
        sink = self.sink(rcpt=lambda recipient, attempt: replies[recipient.split("@")[0]])
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "bounce_categories:\n  - {reply: \"gone fishing\", category: inactive-mailbox}\n").start()
        for name in replies:
            stack.send(f"{name}@dest.test")
        told = {e["data"]["recipient"]: e["data"]["bounce"] for e in stack.wait_events(3, "bounced")}
        found = {r.split("@")[0]: (b["type"], b["category"]) for r, b in told.items()}
        self.assertEqual(found, {"own": ("hard", "inactive-mailbox"), "spam": ("block", "spam-related"),
                                 "none": ("hard", "bad-mailbox")})
        self.classify_says_the_same(stack, replies)

    def classify_says_the_same(self, stack, replies):
        done = subprocess.run([POSTFLEET, "classify", "--json", "--config", stack.config], text=True,
                              input="".join(r + "\n" for r in replies.values()), capture_output=True, check=True)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([t["category"] for t in told], ["inactive-mailbox", "spam-related", "bad-mailbox"])
        self.assertRegex(told[0]["decided_by"], r"postfleet\.yaml:\d+$")
        self.assertRegex(told[1]["decided_by"], r"shipped-patterns\.txt:\d+$")


if __name__ == "__main__":
    unittest.main()
