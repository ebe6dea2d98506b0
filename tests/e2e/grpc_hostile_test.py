"""The gRPC port as hostile and careless peers see it: garbage, oversized and compressed bodies, calls that stand still,
floods. It costs them something, us little, and others are served (SEC-10, SEC-22)."""

import random
import socket
import struct
import unittest

from grpc_submission_test import GrpcCase, PATIENCE, Outcome, grpc, mail, pb
from harness import room, wait_for
from http2_peer import (CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, call_headers, connect,
                        frame, garbage, is_closed, literal, memory_of, message)

SEND, SEND_MANY = (b"/postfleet.v1.SubmissionService/" + name for name in (b"Send", b"SendMany"))


class Hostile(GrpcCase):
    def setUp(self):
        super().setUp()
        self.mail_sink = self.sink()
        self.served = 0

    def begin(self, keys=""):
        self.running = self.start(self.mail_sink, keys)
        self.good = self.service()
        self.is_serving()

    def is_serving(self):
        self.served += 1
        result = self.send(self.good, mail(f"good{self.served}@dst.test"))
        self.assertEqual(result.outcome, Outcome.ACCEPTED)

    def is_serving_again(self):
        """Calls that were reset count among the others until they are over."""
        def is_served():
            try:
                self.is_serving()
                return True
            except grpc.RpcError as refused:
                self.assertEqual(refused.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                return False
        wait_for(is_served, "the good client to be served", PATIENCE)
        wait_for(lambda: self.calls() == 0, "the calls to be over", PATIENCE)

    def memory(self):
        return memory_of(self.running.process.child.pid)

    def connect(self, *octets):
        connection = connect(self.grpc_port, *octets)
        self.closers.append(connection)
        return connection

    def calls(self):
        for line in self.running.http("/metrics")[1].splitlines():
            if line.startswith('postfleet_grpc_calls{listener="api"}'):
                return float(line.split()[-1])
        return 0.0

    def test_garbage_is_thrown_out(self):
        self.begin()
        before = self.memory()
        chance = random.Random(20261122)
        for _ in range(60):
            for octets in garbage(chance):
                self.connect(*octets).close()
            # What follows the headers of a call is no message, or no submission.
            self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND)),
                         frame(DATA, 1, 1, chance.randbytes(300))).close()
            self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)),
                         *(frame(DATA, 0, 1, message(chance.randbytes(100))) for _ in range(10))).close()
        self.assertTrue(is_closed(self.connect(b"EHLO there\r\n")))
        self.is_serving()
        wait_for(lambda: self.calls() == 0, "the calls to be over", PATIENCE)
        self.assertLess(self.memory() - before, room(64 << 20))

    def test_a_body_that_is_too_large_is_refused_before_it_is_there(self):
        self.begin("    max_message_size: 1MiB\n")
        before = self.memory()
        for _ in range(20):
            self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, self.good, mail("a@dst.test", headers=[
                pb.HeaderField(name="X-Large", value="x" * (8 << 20))]))
            with self.assertRaises(grpc.RpcError) as failure:
                list(self.good.SendMany(iter([pb.Submission(mime=b"x" * (8 << 20))]), timeout=PATIENCE))
            self.assertEqual(failure.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        # Four gigabytes are announced.
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND)),
                     frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
        # It fits, and what is made of it does not.
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.good, mail("a@dst.test", attachments=[
            pb.Attachment(filename="f", content=b"x" * (1 << 20))]))
        self.assertIn("too big", text)
        self.is_serving()
        self.assertLess(self.memory() - before, room(128 << 20))

    def test_a_small_body_of_very_many_recipients_is_refused_before_they_take_memory(self):
        self.begin()
        before = self.memory()
        body = b"\x12\0" * (1 << 20)  # two octets each
        channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self.closers.append(channel)
        for _ in range(20):
            with self.assertRaises(grpc.RpcError) as failure:
                channel.unary_unary(SEND.decode())(body, timeout=PATIENCE)
            self.assertEqual(failure.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, failure.exception.details())
            self.assertIn("more than 110000 recipients", failure.exception.details())
        self.is_serving()
        self.assertLess(self.memory() - before, room(128 << 20))

    def test_there_are_only_so_many_connections_and_those_that_are_there_go_on(self):
        """SEC-10: also when they say nothing; gRPC throws those out after 20 seconds."""
        self.begin("    max_connections: 30\n    max_connections_per_client: 20\n")
        idle = [self.connect() for _ in range(100)]
        wait_for(lambda: self.refused_connections() >= 81, "most of them to be closed", PATIENCE)
        self.is_serving()  # on the connection that it has
        other = socket.create_connection(("127.0.0.1", self.grpc_port), timeout=PATIENCE, source_address=("127.0.0.2", 0))
        self.closers.append(other)
        self.assertNotEqual(other.recv(9), b"", "another client has its own share")
        for connection in idle:
            connection.close()
        late = self.service(options=(("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)))
        self.assertEqual(self.send(late, mail("late@dst.test")).outcome, Outcome.ACCEPTED)

    def refused_connections(self):
        name = 'postfleet_grpc_connections_refused_total{listener="api"}'
        lines = self.running.http("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def test_a_compressed_body_is_not_taken(self):
        self.begin()
        before = self.memory()
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            with self.assertRaises(grpc.RpcError) as failure:  # 8 MiB as some kilobytes
                self.good.Send(pb.Submission(mime=b"\0" * (8 << 20)), timeout=PATIENCE, compression=compression)
            self.assertEqual(failure.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.is_serving()
        self.assertLess(self.memory() - before, room(64 << 20))

    def test_calls_that_stand_still_are_ended_and_there_are_only_so_many(self):
        self.begin("    max_calls: 50\n    call_timeout: 3s\n")
        slow = []
        for _ in range(40):  # one octet of a message, and nothing more
            slow.append(self.connect(PREFACE, frame(SETTINGS, 0, 0),
                                     frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)), frame(DATA, 0, 1, b"\0")))
        wait_for(lambda: self.calls() >= 40, "the calls to be there", PATIENCE)
        self.is_serving()
        # A flood over one connection, of which most must wait or are refused.
        flood = self.connect(PREFACE, frame(SETTINGS, 0, 0), *(
            frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(SEND)) for n in range(100)))
        wait_for(lambda: self.calls() == 0, "the calls to be ended", PATIENCE)
        flood.close()
        self.is_serving()
        self.assertTrue(all(is_closed(connection) for connection in slow))

    def test_who_does_not_read_results_is_not_read(self):
        self.begin("    call_timeout: 3s\n    max_in_flight: 20\n")
        before = self.memory()
        # Our window for results is nothing, so none can be written.
        small_window = struct.pack(">HI", 4, 0)
        body = frame(DATA, 0, 1, message(mail("nobody").SerializeToString()))
        connection = self.connect(PREFACE, frame(SETTINGS, 0, 0, small_window),
                                  frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)))
        connection.settimeout(5)
        taken = 0
        try:
            for _ in range(20_000):
                connection.sendall(body)
                taken += 1
        except (socket.timeout, ConnectionError):
            pass  # neither read any more, or thrown out
        self.is_serving()
        wait_for(lambda: self.calls() == 0, "the call to be ended", PATIENCE)
        refused = sum(float(line.split()[-1]) for line in self.running.http("/metrics")[1].splitlines()
                      if line.startswith('postfleet_grpc_submissions_total{listener="api",result="refused"}'))
        self.assertLessEqual(refused, 25)
        self.assertLess(self.memory() - before, room(64 << 20))

    def test_floods_of_small_frames_cost_little(self):
        """SEC-22: resets, pings, settings, headers without an end."""
        self.begin()
        before = self.memory()
        resets = b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(SEND)) +
                          frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(5000))
        self.connect(PREFACE, frame(SETTINGS, 0, 0), resets).close()
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(PING, 0, 0, b"\0" * 8) * 5000).close()
        self.connect(PREFACE, frame(SETTINGS, 0, 0) * 5000).close()
        endless = literal(b"x", b"y" * 100) * 100
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, 0, 1, call_headers(SEND)),
                     frame(CONTINUATION, 0, 1, endless) * 1000).close()
        large = literal(b"authorization", b"x" * 120) * 1000
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND) + large[:16000])).close()
        self.is_serving_again()
        self.assertLess(self.memory() - before, room(256 << 20))


if __name__ == "__main__":
    unittest.main()
