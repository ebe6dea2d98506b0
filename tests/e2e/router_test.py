"""One router over SQLite: configuration, ownership, restarts; mutual TLS."""
import os
import re
import signal
import subprocess
import time
import unittest

from harness import run, wait_for
from router_harness import CONFIGURATION, ControlPlane


def make_certificates(folder, ca="ca"):
    """A CA, and a certificate of it for 127.0.0.1: what every service of a cluster has."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=service",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{ca}-service.key", "-out", f"{ca}-service.csr")
    openssl("x509", "-req", "-in", f"{ca}-service.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "2",
            "-copy_extensions", "copy", "-out", f"{ca}-service.pem")
    return {"POSTFLEET_TLS_CA": os.path.join(folder, f"{ca}.pem"),
            "POSTFLEET_TLS_CERTIFICATE": os.path.join(folder, f"{ca}-service.pem"),
            "POSTFLEET_TLS_KEY": os.path.join(folder, f"{ca}-service.key")}


class RouterTest(ControlPlane):
    def test_a_changed_file_is_activated_and_reaches_the_services(self):
        router = self.router().start()
        probe = self.probe("probe-0", [router])
        probe.wait("configuration", 1)
        self.write(CONFIGURATION.replace("mta.example", "mta2.example"))
        probe.wait("configuration", 2)
        self.assertEqual(probe.finish()["failed"], 0)

    def test_f63_a_bad_configuration_is_refused_as_a_whole_and_names_the_line(self):
        """F63"""
        router = self.router().start()
        probe = self.probe("probe-0", [router])
        probe.wait("configuration", 1)
        self.write("virtual_mtas:\n  a: {source: 127.0.0.1}\n  a: {source: 127.0.0.2}\n", "vmtas.yaml")
        wait_for(lambda: "configuration-refused" in router.process.output(), "the refusal")
        self.assertIn("vmtas.yaml:3", router.process.output())
        answer = router.command("reload", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("vmtas.yaml:3", answer.stderr)
        self.assertTrue(router.is_ready())
        # Also over a restart: what was active stays.
        router.stop()
        router.start()
        self.assertIn("epoch 1 stays active", router.process.output())
        os.unlink(os.path.join(self.config, "vmtas.yaml"))
        self.write(CONFIGURATION.replace("mta.example", "mta3.example"))
        probe.wait("configuration", 2)

    def test_it_says_the_port_that_it_got_where_any_was_asked_for(self):
        router = self.router()
        router.arguments[router.arguments.index(router.address)] = "127.0.0.1:0"
        router.start()
        said = re.search(r"grpc +127\.0\.0\.1:(\d+) ", router.process.output())
        self.assertIsNotNone(said, router.process.output())
        router.address = f"127.0.0.1:{said[1]}"
        self.probe("probe-0", [router]).wait("configuration", 1)

    def test_a_router_that_has_never_had_a_configuration_says_what_is_wrong_and_ends(self):
        self.write("hostname: [\n")
        router = self.router().start(wait=False)
        wait_for(lambda: not router.process.is_running(), "its end")
        self.assertIn("postfleet.yaml:", router.process.output())

    def test_services_go_on_while_the_router_is_away_and_come_back_by_themselves(self):
        router = self.router().start()
        probe = self.probe("probe-0", [router], "sender-0", "spool-a")
        probe.wait("granted", 1)
        router.kill()
        late = self.probe("probe-0", [router], "sender-0", "spool-a")  # a restart of the same service
        late.wait("configuration", 1)
        late.wait("granted", 1)
        self.write(CONFIGURATION.replace("mta.example", "mta4.example"))
        router.start()
        for one in (probe, late):
            one.wait("configuration", 2)
            self.assertEqual(one.heard("refused"), [])

    def test_suppressions_are_heard_of_after_the_router_and_then_the_service_stood_still(self):
        """The answer that comes just when its stream is given up: the next stream must come all the same."""
        router = self.router().start()
        probe = self.probe("probe", [router])
        probe.wait("suppressions", 0)
        for _ in range(6):
            router.pause()
            time.sleep(1.1)  # the service asks every second, and waits for one
            probe.child.send_signal(signal.SIGSTOP)
            router.resume()
            time.sleep(1.1)
            probe.child.send_signal(signal.SIGCONT)
            wait_for(router.is_ready, "the router that was stopped")
        # While nobody answers there may be some.
        wait_for(lambda: probe.heard("suppressions")[-1] == 0, "the word that there are still no suppressions", 60)
        self.assertIn(1, probe.heard("suppressions"))

    def test_a_second_sender_is_refused_until_the_takeover_and_then_the_first(self):
        """F16, F57: whoever was stopped while its name went to another does not go on with it."""
        router = self.router().start()
        first = self.probe("first", [router], "sender-0", "spool-a")
        first.wait("granted", 1)
        second = self.probe("second", [router], "sender-0", "spool-b")
        second.wait("refused")
        copy = self.probe("copy", [router], "sender-0", "spool-a")
        copy.wait("refused")
        listed = router.command("show", "senders").stdout
        self.assertIn("sender-0", listed)
        self.assertIn("spool-a", listed)
        first.child.send_signal(19)  # SIGSTOP
        taken = router.command("takeover", "sender-0", "--spool", "spool-b").stdout
        self.assertIn("spool-b", taken)
        second.wait("granted", 2)
        self.assertEqual(first.heard("refused"), [])
        first.child.send_signal(18)  # SIGCONT
        first.wait("refused")
        unknown = router.command("takeover", "sender-9", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("nobody else has asked", unknown.stderr)

    def test_peers_show_certificates_of_the_clusters_ca(self):
        """SEC-22"""
        ours = make_certificates(self.base)
        router = self.router(env=ours).start()
        self.probe("ours", [router], env=ours).wait("configuration", 1)
        strangers = make_certificates(self.base, "other-ca")
        strangers["POSTFLEET_TLS_CA"] = ours["POSTFLEET_TLS_CA"]  # it would trust the router
        foreign = self.probe("foreign", [router], env=strangers)
        plain = self.probe("plain", [router])
        for probe in (foreign, plain):
            probe.child.wait(60)
            self.assertEqual((probe.child.returncode, probe.events), (1, []))
        for env in ({}, strangers):
            def told():
                return run("status", "--router", router.address, check=False, env=env).stderr
            wait_for(lambda: "certificates of one CA" in told(), "the word that certificates are wanted", 60)

    def test_f62_new_certificates_are_taken_without_a_restart(self):
        """F62"""
        old = make_certificates(self.base)
        router = self.router(env=old).start()
        before = self.probe("before", [router], env=old)
        before.wait("configuration", 1)
        # A new CA and its certificates in the same files.
        new = make_certificates(self.base, "new-ca")
        for name, path in new.items():
            os.replace(path, old[name])
        after_start = time.monotonic()
        def connects():
            probe = self.probe(f"after-{time.monotonic()}", [router], env=old)
            wait_for(lambda: probe.events or probe.child.poll() is not None, "an answer")
            return bool(probe.events)
        wait_for(connects, "the router to take its new certificate", every=1)
        self.assertLess(time.monotonic() - after_start, 60)
        self.assertEqual(before.finish()["failed"], 0)


if __name__ == "__main__":
    unittest.main()
