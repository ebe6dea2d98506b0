"""A disk that fills up: new mail is refused before it is full, a full one accepts nothing and loses nothing, and
both end by themselves. The disk is a small memory file system, mounted for the test (needs root)."""

import os
import smtplib
import subprocess
import tempfile
import unittest

from harness import EndToEnd, wait_for

SIZE = 256 << 20


class DiskFull(EndToEnd):
    def setUp(self):
        super().setUp()
        self.disk = tempfile.mkdtemp(prefix="postfleet-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", self.disk], check=True)

    def tearDown(self):
        super().tearDown()
        subprocess.run(["umount", "-l", self.disk], check=True)
        os.rmdir(self.disk)

    def fill(self, leave):
        """Takes all space but `leave` octets."""
        facts = os.statvfs(self.disk)
        with open(os.path.join(self.disk, "ballast"), "ab", buffering=0) as f:  # a buffer would fail once more when closed
            left = facts.f_bavail * facts.f_bsize - leave
            while left > 0:
                try:
                    left -= f.write(b"\0" * min(left, 1 << 20))
                except OSError:
                    return

    def relieve(self):
        os.unlink(os.path.join(self.disk, "ballast"))

    def try_to_send(self, stack, name, accepted):
        try:
            stack.send(name, body="x" * 5000)
            accepted.add(name)
            return None
        except smtplib.SMTPResponseException as refusal:
            return refusal.smtp_code
        except smtplib.SMTPRecipientsRefused as refusal:
            return next(iter(refusal.recipients.values()))[0]

    def test_a_full_disk_refuses_loses_nothing_and_ends_by_itself(self):
        holding = [True]
        sink = self.sink(rcpt=lambda r, n: "451 4.3.0 later" if holding[0] else "250 ok")
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           "shaping:\n  - {retry_after: [500ms]}\nspool: {min_free: 16MiB}\n", base=self.disk).start()
        accepted = set()
        for i in range(50):
            self.assertIsNone(self.try_to_send(stack, f"before{i}@dest.test", accepted))

        self.fill(leave=8 << 20)  # below the reserve, not yet full
        wait_for(lambda: self.try_to_send(stack, "low@dest.test", accepted) == 452, "452 when the disk is low")

        self.fill(leave=0)
        for i in range(20):
            self.assertIn(self.try_to_send(stack, f"full{i}@dest.test", accepted), (451, 452))

        self.relieve()
        wait_for(lambda: self.try_to_send(stack, "after@dest.test", accepted) is None, "mail to be accepted again")
        wait_for(lambda: stack.http("/healthz/ready")[0] == 200, "readiness")
        holding[0] = False
        wait_for(lambda: accepted <= {d.recipient for d in sink.deliveries}, "everything accepted to arrive")
        self.assertEqual({d.recipient for d in sink.deliveries} - accepted, set())
        wait_for(lambda: {e["data"]["recipient"] for e in stack.events("delivered")} == accepted, "every event")


if __name__ == "__main__":
    unittest.main(verbosity=2)
