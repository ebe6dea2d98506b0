"""Wrong input: each gives one clear line that says what, where and how to mend it, and a non-zero exit."""

import os
import socket
import unittest

from harness import POSTFLEET, EndToEnd, Process, run, wait_for


class WrongInput(EndToEnd):
    def refused_start(self, stack, *words):
        done = run("standalone", "--config", stack.config, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertLessEqual(len(lines), 3, done.stderr)
        return done.stderr

    def test_bad_yaml(self):
        stack = self.stack()
        stack.write_config("shaping:\n  - {max_connections: [\n", "zz.yaml")
        self.refused_start(stack, "zz.yaml:")

    def test_unknown_keys_are_all_reported_with_their_places(self):
        stack = self.stack("shaping:\n  - {max_conections: 3}\n  - {max_connections: -1}\nhotsname: x\n")
        done = run("config", "check", stack.config, check=False)
        self.assertNotEqual(done.returncode, 0)
        text = done.stdout + done.stderr
        for word in ("postfleet.yaml:9:", "max_conections", "max_connections", "postfleet.yaml:10:", "postfleet.yaml:11:", "hostname"):
            self.assertIn(word, text)

    def test_an_address_that_cannot_be_bound(self):
        stack = self.stack("virtual_mtas:\n  tx: {source: 192.0.2.77}\n")
        self.refused_start(stack, "192.0.2.77", "tx")

    def test_an_occupied_port(self):
        stack = self.stack()
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", stack.port))
            holder.listen()
            self.refused_start(stack, str(stack.port), "relay")

    def test_an_unwritable_data_directory(self):
        stack = self.stack()
        stack.edit_config(stack.data, "/proc/postfleet")
        self.refused_start(stack, "/proc/postfleet")

    def test_a_foreign_data_directory(self):
        stack = self.stack()
        os.makedirs(stack.data)
        with open(stack.data + "/somebody-elses-file", "w") as f:
            f.write("keep me")
        os.makedirs(stack.data + "/spool", exist_ok=True)
        with open(stack.data + "/spool/somebody-elses-file", "w") as f:
            f.write("keep me")
        self.refused_start(stack, stack.data)
        with open(stack.data + "/somebody-elses-file") as f:
            self.assertEqual(f.read(), "keep me")

    def test_a_second_instance_on_one_spool(self):
        stack = self.stack().start()
        other = self.stack()
        other.edit_config(other.data, stack.data)
        error = self.refused_start(other, stack.data)
        self.assertIn("use", error)
        self.assertTrue(stack.process.is_running())

    def test_a_missing_configuration(self):
        done = run("standalone", "--config", "/nonexistent/postfleet", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nonexistent/postfleet", done.stderr)

    def test_a_reload_with_an_error_keeps_the_old_configuration(self):
        sink = self.sink()
        routes = f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
        stack = self.stack(routes).start()
        stack.write_config(routes + "nonsense: 1\n")
        done = stack.command("reload", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nonsense", done.stdout + done.stderr)
        stack.send("to@dest.test")
        sink.wait(1)
        stack.write_config(routes + "shaping:\n  - {max_connections: 7}\n")
        self.assertIn("max_connections", stack.command("reload").stdout)
        shown = stack.command("show", "settings", "dest.test/default", "--json").stdout
        self.assertIn("7", shown)

    def test_low_disk_refuses_new_mail_and_says_so(self):
        import smtplib
        stack = self.stack("spool: {min_free: 1000000GiB}\n").start()
        with self.assertRaises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)) as refused:
            stack.send("to@dest.test")
        code = getattr(refused.exception, "smtp_code", None)
        self.assertEqual(code, 452)
        self.assertEqual(stack.http("/healthz/live")[0], 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
