"""Applications that submit by gRPC to a cluster: an answer is the broker's confirm, trouble is UNAVAILABLE and passes by
itself, a key sends once whatever dies in between, and everything is reported."""

import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc_client  # noqa: E402

grpc = grpc_client.import_grpc()
pb, stubs = grpc_client.generate()

from cluster import ClusterTest, free_port, wait_for  # noqa: E402

PATIENCE = 180
TAKEN = (pb.SubmissionResult.ACCEPTED, pb.SubmissionResult.DUPLICATE)


def mail(recipient, key=""):
    return pb.Submission(**{"from": pb.Address(address="a@src.test")}, to=[pb.Address(address=recipient)], subject="Hi",
                         text="Hello.", idempotency_key=key)


class Grpc(ClusterTest):
    def start(self, sink):
        port = free_port()
        fleet = self.cluster(sink, f'grpc_listeners: {{api: {{address: "127.0.0.1:{port}"}}}}\n')
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", (("grpc.max_reconnect_backoff_ms", 500),))
        self.addCleanup(channel.close)
        return fleet, stubs.SubmissionServiceStub(channel)

    def test_mail_is_accepted_when_the_broker_has_it_and_told_to_come_again_while_it_is_away(self):
        fleet, service = self.start(self.sink())
        first = service.Send(mail("before@dst.test", "before"), timeout=PATIENCE, wait_for_ready=True)
        fleet.broker.kill()
        with self.assertRaises(grpc.RpcError) as failure:
            service.Send(mail("during@dst.test", "during"), timeout=PATIENCE)
        self.assertEqual(failure.exception.code(), grpc.StatusCode.UNAVAILABLE, failure.exception.details())
        fleet.broker.start()

        def again():
            try:
                return service.Send(mail("during@dst.test", "during"), timeout=PATIENCE)
            except grpc.RpcError as refused:
                self.assertEqual(refused.code(), grpc.StatusCode.UNAVAILABLE, refused.details())
                return None

        results = []
        wait_for(lambda: results.append(again()) or results[-1] is not None, "the broker to take mail again", PATIENCE, 0.5)
        self.assertIn(results[-1].outcome, TAKEN)
        events = fleet.reports.wait(2, "delivered", deadline=PATIENCE)
        self.assertEqual({e["data"]["recipient"]: e["data"]["message_id"] for e in events},
                         {"before@dst.test": first.message_id, "during@dst.test": results[-1].message_id})
        self.assertEqual({e["data"]["listener"] for e in events}, {"api"})

    def test_a_killed_ingest_loses_nothing_and_keys_send_once(self):
        sink = self.sink()
        fleet, service = self.start(sink)
        keys = {f"key-{n}": f"r{n}@dst.test" for n in range(300)}
        ids, some_are_there = {}, threading.Event()

        def submit_all():
            order = list(keys)
            try:
                for result in service.SendMany((mail(keys[key], key) for key in order), timeout=PATIENCE,
                                               wait_for_ready=True):
                    if result.outcome in TAKEN:
                        ids.setdefault(order[result.place], set()).add(result.message_id)
                    if len(ids) >= 50:
                        some_are_there.set()
            except grpc.RpcError as failure:
                self.assertIn(failure.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))

        client = threading.Thread(target=submit_all)
        client.start()
        self.assertTrue(some_are_there.wait(PATIENCE))
        fleet.ingest[0].kill()
        client.join(PATIENCE)
        fleet.ingest[0].start()
        wait_for(lambda: submit_all() or len(ids) == len(keys), "all to be taken", PATIENCE, 0.5)
        self.assertEqual({len(of_key) for of_key in ids.values()}, {1}, "one message for each key")

        def delivered():
            return {e["data"]["recipient"]: e["data"]["message_id"] for e in fleet.reports.events("delivered")}

        wait_for(lambda: len(delivered()) == len(keys), "all to be reported", PATIENCE)
        self.assertEqual(delivered(), {keys[key]: next(iter(of_key)) for key, of_key in ids.items()})


if __name__ == "__main__":
    unittest.main()
