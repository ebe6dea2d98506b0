"""A report sink that is away for long: its quota, and what on_full does. No broker is needed for that. [F64]"""
import unittest

from harness import EndToEnd, free_port, wait_for


class ReportQuota(EndToEnd):
    def stack_with_a_dead_broker(self, on_full):
        sink = self.sink()
        return sink, self.stack(f'  - {{type: kafka, brokers: ["127.0.0.1:{free_port()}"], topic: t, quota: 1MiB, '
                                f'on_full: {on_full}}}\nroutes: {{"*": ["127.0.0.1:{sink.port}"]}}\n',
                                listener="headers: honour").start()

    def report(self, stack):
        return next(r for r in stack.json("status")["reports"] if r["name"] == "kafka")

    def send_more_than_the_quota(self, stack):
        """The events of so many recipients take some megabytes."""
        recipients = 6_000
        for first in range(0, recipients, 100):
            stack.send([f"r{first + i}@dest.test" for i in range(100)], headers=[("X-Job", "j" * 60)])
        return recipients

    def test_F64_by_default_the_oldest_events_go_counted_and_mail_goes_on(self):
        sink, stack = self.stack_with_a_dead_broker("drop_oldest")
        sent = self.send_more_than_the_quota(stack)
        sink.wait(sent)
        wait_for(lambda: self.report(stack)["dropped"] > 0, "events to be dropped", 120)
        report = self.report(stack)
        self.assertFalse(report["is_full"])
        self.assertGreater(report["lag_events"], 0)
        _, metrics = stack.http("/metrics")
        dropped = next(line for line in metrics.splitlines()
                       if line.startswith('postfleet_report_events_dropped_total{sink="kafka"}'))
        self.assertGreater(float(dropped.split()[-1]), 0)
        wait_for(lambda: "report-events-dropped" in stack.process.output(), "the log to tell of it")
        self.assertEqual(sent, len(stack.wait_events(sent, "delivered")))  # the other sink has everything

    def test_F64_a_sink_that_is_told_to_pause_stops_new_mail_until_it_is_told_otherwise(self):
        sink, stack = self.stack_with_a_dead_broker("pause")

        def mail_is_taken():
            with stack.smtp() as client:
                client.ehlo()
                code, text = client.mail("from@src.test")
            self.assertIn(code, (250, 452), text)
            return code == 250
        self.assertTrue(mail_is_taken())
        sink.wait(self.send_more_than_the_quota(stack))  # what was accepted is delivered
        wait_for(lambda: not mail_is_taken(), "mail to be refused", 120)
        self.assertTrue(self.report(stack)["is_full"])
        self.assertEqual(0, self.report(stack)["dropped"])
        self.assertIn("it stops new mail", stack.command("status").stdout)
        stack.edit_config("on_full: pause", "on_full: drop_oldest")
        stack.command("reload")
        wait_for(mail_is_taken, "mail to be taken again")


if __name__ == "__main__":
    unittest.main()
