"""Services that die again and again with what they hold, until the broker's delivery limit (docs/BROKER.md)."""

import collections
import unittest

from cluster import ClusterTest, Reports, import_pika, run, wait_for

DEADLINE = 180


class CrashLoops(ClusterTest):
    def test_F27_a_crash_loop_drives_what_it_holds_over_the_delivery_limit_and_loses_none_of_it(self):
        """Ingest dies again and again before it can hand over: what the broker gives out too often is put aside."""
        sink = self.sink()
        fleet = self.cluster(sink, senders=1, postgres=False)
        sender, ingest = fleet.sender[0], fleet.ingest[0]
        # A queue that takes hardly anything: submissions are under way at every kill.
        sender.stop()
        fleet.broker.ctl("set_policy", "none", "^postfleet[.]deliver", '{"max-length-bytes": 1}', "--apply-to", "queues")
        people = [f"loop-{n}@dst.test" for n in range(30)]
        for recipient in people:
            fleet.submit({"from": "a@src.test", "to": recipient, "subject": "x", "text": "Hello."}, message_id=recipient)

        def under_way():
            return any(name.startswith("postfleet_submissions_waiting") and value > 0 for name, value in ingest.metrics().items())

        def submitted():
            return fleet.broker.queues()["postfleet.submit"]["messages"]
        for _ in range(30):
            wait_for(lambda: under_way() or submitted() == 0, "submissions under way", DEADLINE)
            ingest.kill()
            ingest.start()
        wait_for(lambda: submitted() == 0, "an end of being given out", DEADLINE)
        fleet.broker.ctl("clear_policy", "none")
        sender.start()
        fleet.submit({"from": "a@src.test", "to": "loop-last@dst.test", "subject": "x", "text": "Hello."})
        wait_for(lambda: any(d.recipient == "loop-last@dst.test" for d in sink.deliveries), "mail afterwards", DEADLINE)
        put_aside = set()

        def all_have_an_end():
            put_aside.update(self.messages_of(fleet, "postfleet.rejected"))
            return put_aside | {d.recipient for d in sink.deliveries} >= set(people)
        wait_for(all_have_an_end, "each to be delivered or put aside", DEADLINE)
        self.assertNotEqual(set(), put_aside)
        self.assertEqual([], [r for r, n in collections.Counter(d.recipient for d in sink.deliveries).items() if n > 1])

    def test_F27_what_a_sender_died_with_too_often_is_put_aside_and_an_operator_gives_it_back(self):
        sink = self.sink()
        fleet = self.cluster(sink, senders=1, postgres=False)
        sender, queue = fleet.sender[0], "postfleet.deliver.sender-0"
        sender.stop()
        fleet.broker.ctl("set_policy", "few", "^postfleet[.]deliver", '{"delivery-limit": 3}', "--apply-to", "queues")
        wait_for(lambda: self.has_policy(fleet, queue, "few"), "the queue to have its limit", DEADLINE)
        people = [f"loop-{n}@dst.test" for n in range(30)]
        for recipient in people:
            fleet.send(recipient)

        def waiting(name):
            return fleet.broker.queues()[name]["messages"]
        # To the broker a sender that dies is a consumer that is gone with all that it was given.
        # What is on its way to postfleet.rejected still counts as ready in its queue, and nobody is given it.
        while waiting("postfleet.rejected") < len(people):
            self.give_out_in_vain(fleet, queue, 1, patience=10)
            wait_for(lambda: fleet.broker.queues()[queue]["unacknowledged"] == 0, "the broker to notice", DEADLINE)
            wait_for(lambda: waiting(queue) + waiting("postfleet.rejected") == len(people), "each to be in one of the two", DEADLINE)
        self.assertRegex(self.rejected(fleet, "list"), rf"{queue} +given out too often")

        # Whatever it was is mended.
        fleet.broker.ctl("clear_policy", "few")
        sender.start()
        returned = self.rejected(fleet, "return", queue)
        self.assertRegex(returned, rf"^{len(people)} messages are in {queue} again")
        wait_for(lambda: {d.recipient for d in sink.deliveries} >= set(people), "all of it to be delivered", DEADLINE)
        wait_for(lambda: {e["data"]["recipient"] for e in fleet.reports.events("delivered")} >= set(people), "the reports", DEADLINE)
        self.assertEqual("postfleet.rejected is empty.\n", self.rejected(fleet, "list"))
        self.assertEqual(len(people), len(sink.deliveries))

    def test_F27_feedback_that_dies_with_what_it_holds_gets_it_again_without_end(self):
        sink = self.sink()
        fleet = self.cluster(sink, senders=1, postgres=False, report="on_full: pause")
        feedback = fleet.feedback[0]
        # Nobody reads the reports, and their queue is full: events are held at every kill.
        fleet.reports.close()
        fleet.broker.ctl("set_policy", "none", "^postfleet[.]reports", '{"max-length-bytes": 1}', "--apply-to", "queues")
        self.channel(fleet).basic_publish("", "postfleet.reports", b"full")
        wait_for(lambda: fleet.broker.queues()["postfleet.reports"]["ready"] > 0, "the queue to be full", DEADLINE)
        people = [f"loop-{n}@dst.test" for n in range(30)]
        for recipient in people:
            fleet.send(recipient)
        wait_for(lambda: {d.recipient for d in sink.deliveries} >= set(people), "the mail, which needs no feedback", DEADLINE)
        queue = next(name for name in fleet.broker.queues() if name.startswith("postfleet.sink."))
        self.kill_until(lambda kills: kills == 5, feedback, fleet, queue)
        feedback.kill()
        self.assertGreater(self.give_out_in_vain(fleet, queue, 300), 200)

        fleet.broker.ctl("clear_policy", "none")
        self.channel(fleet).queue_purge("postfleet.reports")
        feedback.start()
        fleet.reports = Reports(fleet.broker.url)
        wait_for(lambda: {e["data"]["recipient"] for e in fleet.reports.events("delivered")} >= set(people), "the reports", DEADLINE)
        self.assertEqual("postfleet.rejected is empty.\n", self.rejected(fleet, "list"))

    def kill_until(self, is_over, service, fleet, queue):
        """Each time that it holds something of the queue. `is_over` is told how often that was."""
        kills = 0

        def holds_something():
            return fleet.broker.queues()[queue]["unacknowledged"] > 0
        while True:
            wait_for(lambda: is_over(kills) or holds_something(), f"{service.name} to hold something", DEADLINE)
            if is_over(kills):
                return
            service.kill()
            kills += 1
            wait_for(lambda: fleet.broker.queues()[queue]["unacknowledged"] == 0, "the broker to notice", DEADLINE)
            service.start(wait=False)  # with mail that it cannot put anywhere it is not ready

    def channel(self, fleet):
        return import_pika().BlockingConnection(import_pika().URLParameters(fleet.broker.url)).channel()

    @staticmethod
    def has_policy(fleet, queue, policy):
        """What `ctl set_policy` says is there a moment later."""
        return any(line.split()[0] == queue and policy in line.split()[1:]
                   for line in fleet.broker.ctl("list_queues", "--quiet", "name", "policy").splitlines() if line.strip())

    @staticmethod
    def give_out_in_vain(fleet, queue, times, patience=DEADLINE):
        """All of it to consumers that die. How often that happened to a message, as the broker says."""
        connection = import_pika().BlockingConnection(import_pika().URLParameters(fleet.broker.url))
        count = 0
        for _ in range(times):
            channel = connection.channel()
            for _, properties, _ in channel.consume(queue, inactivity_timeout=patience):
                if properties is None:
                    break  # there was nothing to give
                count = max(count, int((properties.headers or {}).get("x-delivery-count", 0)))
                break  # what else there is has been given to this consumer, too
            channel.close()
        connection.close()
        return count

    @staticmethod
    def rejected(fleet, *arguments):
        return run("rejected", *arguments, "--broker", fleet.broker.url).stdout

    @staticmethod
    def messages_of(fleet, queue):
        """Takes all that is there; their message_ids."""
        connection = import_pika().BlockingConnection(import_pika().URLParameters(fleet.broker.url))
        channel = connection.channel()
        found = []
        for method, properties, _ in channel.consume(queue, inactivity_timeout=1):
            if method is None:
                break
            found.append(properties.message_id)
            channel.basic_ack(method.delivery_tag)
        connection.close()
        return found


if __name__ == "__main__":
    unittest.main()
