"""A process that has not one descriptor left (SEC-10). By itself, as no sanitizer can look at such a process: that for
undefined behaviour needs a pipe to tell whether an object is one."""

import os
import resource
import unittest

import door_test
from harness import wait_for


class NoDescriptors(door_test.Door):
    def test_a_connection_that_finds_no_descriptor_is_told_counted_and_logged_SEC_10(self):
        stack = self.stack(door_test.ROUTES.format(port=1)).start()
        pid = stack.process.child.pid
        open_now = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(open_now) + 1, before[1]))
        gaps = max(open_now) + 1 - len(open_now)
        replies = [self.client(stack).reply() for _ in range(gaps + 5)]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.assertEqual({reply[:9] for reply in replies[-4:]}, {"421 4.3.2"})
        self.assertGreaterEqual(self.refused(stack, "no_descriptors"), 4)
        wait_for(lambda: "event=no-descriptors" in stack.process.output(), "the warning")
        self.assertTrue(self.client(stack).reply().startswith("220"))


if __name__ == "__main__":
    unittest.main()
