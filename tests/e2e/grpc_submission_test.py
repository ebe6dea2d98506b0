"""Mail by gRPC: the documented examples, users and certificates, many submissions over one stream, trouble, and kill -9."""

import base64
import os
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import grpc_client  # noqa: E402

grpc = grpc_client.import_grpc()
pb, stubs = grpc_client.generate()

from harness import POSTFLEET, EndToEnd, answers, free_port, wait_for  # noqa: E402
from tls_test import make_certificate  # noqa: E402

DOCS = os.path.join(os.path.dirname(__file__), "../../docs")
PATIENCE = 120
Outcome = pb.SubmissionResult


def document(language):
    """The first code block of the guide in one language."""
    with open(os.path.join(DOCS, "SUBMITTING_BY_GRPC.md")) as page:
        return re.findall(rf"^```{language}\n(.*?)^```$", page.read(), re.M | re.S)[0]


def mail(recipient, **more):
    return pb.Submission(**{"from": pb.Address(address="a@src.test")}, to=[pb.Address(address=recipient)], subject="Hi",
                         text="Hello.", **more)


def basic(user, password):
    return (("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


class GrpcCase(EndToEnd):
    def start(self, sink=None, keys="", more=""):
        self.grpc_port = free_port()
        routes = f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n' if sink else ""
        stack = self.stack(routes + "shaping:\n  - {max_connections: 8}\n" + more)
        text = document("yaml").replace("127.0.0.1:2526", f"127.0.0.1:{self.grpc_port}")
        stack.write_config(text.rstrip("\n") + "\n" + keys, "grpc.yaml")
        return stack.start()

    def service(self, credentials=None, options=()):
        address = f"127.0.0.1:{self.grpc_port}"
        channel = (grpc.secure_channel(address, credentials, options) if credentials
                   else grpc.insecure_channel(address, options))
        self.closers.append(channel)
        return stubs.SubmissionServiceStub(channel)

    def send(self, service, submission, **options):
        return service.Send(submission, timeout=PATIENCE, wait_for_ready=True, **options)

    def refused(self, code, service, submission, **options):
        with self.assertRaises(grpc.RpcError) as failure:
            self.send(service, submission, **options)
        self.assertEqual(failure.exception.code(), code, failure.exception.details())
        return failure.exception.details()


class Submitting(GrpcCase):
    def test_the_python_example_is_sent(self):
        sink = self.sink()
        stack = self.start(sink)
        program = os.path.join(DOCS, "examples/submit.py")
        folders = os.pathsep.join([os.path.dirname(os.path.dirname(os.path.dirname(pb.__file__))),
                                   "/usr/lib/python3/dist-packages"])
        done = subprocess.run([sys.executable, program, f"127.0.0.1:{self.grpc_port}", "orders@shop.example",
                               "alice@customer.example", "bob@customer.example", "not an address"],
                              env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^sent [0-9a-f-]{36}$")
        self.assertRegex(done.stdout, r"(?m)^ACCEPTED order-2 [0-9a-f-]{36}$")
        self.assertRegex(done.stdout, r'(?m)^REFUSED order-3 .*not an address')
        deliveries = sink.wait(2)
        self.assertEqual({d.recipient for d in deliveries}, {"alice@customer.example", "bob@customer.example"})
        self.assertEqual(deliveries[0].header("Subject"), "Your order")
        event = stack.wait_events(2, "delivered")[0]["data"]
        self.assertEqual((event["listener"], event["job"]), ("api", "orders"))
        self.assertIn(event["metadata"]["order"], "12")

    def test_the_example_of_the_guide_is_sent(self):
        sink = self.sink()
        self.start(sink)
        program = document("python").replace("127.0.0.1:2526", f"127.0.0.1:{self.grpc_port}")
        exec(compile(program, "docs/SUBMITTING_BY_GRPC.md", "exec"), {})
        delivery = sink.wait(1)[0]
        self.assertEqual((delivery.sender, delivery.recipient), ("orders@shop.example", "alice@customer.example"))

    def test_what_can_never_be_sent_is_refused_with_the_field_and_the_same_key_sends_once(self):
        sink = self.sink()
        stack = self.start(sink)
        service = self.service()
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, service, mail("b@dst.test", priority=12))
        self.assertIn("priority: must be a number from -9 to 9", text)
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, service, mail("bob"))
        self.assertIn('"bob" is not an address', text)
        first = self.send(service, mail("b@dst.test", idempotency_key="k"))
        again = self.send(service, mail("b@dst.test", idempotency_key="k"))
        self.assertEqual((first.outcome, again.outcome), (Outcome.ACCEPTED, Outcome.DUPLICATE))
        self.assertEqual(first.message_id, again.message_id)
        self.assertEqual(stack.wait_events(1, "delivered")[0]["data"]["message_id"], first.message_id)
        # A method that there is not, and one that reflection would have.
        for method in ("/postfleet.v1.SubmissionService/Fetch",
                       "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
            with self.assertRaises(grpc.RpcError) as failure:
                channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
                self.closers.append(channel)
                channel.unary_unary(method)(b"", timeout=PATIENCE)
            self.assertEqual(failure.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(len(sink.wait(1)), 1)
        metrics = stack.http("/metrics")[1]
        self.assertIn('postfleet_grpc_submissions_total{listener="api",result="duplicate"} 1', metrics)
        self.assertIn('postfleet_grpc_submissions_total{listener="api",result="refused"} 2', metrics)

    def test_a_stream_gives_each_submission_a_result_of_its_own(self):
        sink = self.sink()
        stack = self.start(sink)
        count = 1500
        wrong = set(range(0, count, 100))
        stream = (mail("nobody" if n in wrong else f"r{n}@dst.test") for n in range(count))
        results = list(self.service().SendMany(stream, timeout=PATIENCE))
        self.assertEqual(sorted(r.place for r in results), list(range(count)))
        self.assertEqual({r.place for r in results if r.outcome == Outcome.REFUSED}, wrong)
        ids = {r.message_id for r in results if r.outcome == Outcome.ACCEPTED}
        self.assertEqual(len(ids), count - len(wrong))
        wait_for(lambda: len(sink.wait(1)) >= len(ids), "the mail to arrive", PATIENCE)
        self.assertEqual({e["data"]["message_id"] for e in stack.wait_events(len(ids), "delivered", deadline=PATIENCE)}, ids)

    def test_while_nothing_can_be_stored_every_answer_is_to_try_again(self):
        self.start(more="spool: {min_free: 4000TiB}\n")
        service = self.service()
        text = self.refused(grpc.StatusCode.UNAVAILABLE, service, mail("b@dst.test"))
        self.assertIn("try later", text)
        (result,) = service.SendMany(iter([mail("b@dst.test")]), timeout=PATIENCE)
        self.assertEqual(result.outcome, Outcome.TRY_AGAIN)

    def test_a_stop_lets_calls_have_their_results_and_ends_the_rest(self):
        sink = self.sink()
        stack = self.start(sink)
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def stream():
            yield mail("b@dst.test")
            go_on.wait(PATIENCE)

        call = self.service().SendMany(stream(), timeout=PATIENCE)
        self.assertEqual(next(call).outcome, Outcome.ACCEPTED)
        self.assertEqual(stack.stop(), 0)
        with self.assertRaises(grpc.RpcError) as failure:
            next(call)
        self.assertEqual(failure.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("being stopped", failure.exception.details())

    def test_listeners_appear_and_go_at_a_reload(self):
        sink = self.sink()
        stack = self.start(sink)
        self.send(self.service(), mail("a@dst.test"))
        first, self.grpc_port = self.grpc_port, free_port()
        stack.write_config(f'grpc_listeners: {{second: {{address: "127.0.0.1:{self.grpc_port}"}}}}\n', "grpc.yaml")
        stack.command("reload")
        self.assertFalse(answers(first))
        self.send(self.service(), mail("b@dst.test"))
        self.assertEqual({e["data"]["listener"] for e in stack.wait_events(2, "delivered")}, {"api", "second"})

    def test_a_kill_in_the_middle_loses_nothing_that_was_accepted_and_keys_send_once(self):
        sink = self.sink()
        stack = self.start(sink)
        keys = {f"key-{n}": f"r{n}@dst.test" for n in range(400)}
        results, results_before_kill = {}, threading.Event()

        def round_of(left):
            order = list(left)
            stream = (mail(keys[key], idempotency_key=key) for key in order)
            try:
                for result in self.service().SendMany(stream, timeout=PATIENCE, wait_for_ready=True):
                    results[order[result.place]] = result
                    if len(results) >= 100:
                        results_before_kill.set()
            except grpc.RpcError as failure:
                self.assertIn(failure.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))

        client = threading.Thread(target=round_of, args=(list(keys),))
        client.start()
        self.assertTrue(results_before_kill.wait(PATIENCE))
        stack.kill()
        client.join(PATIENCE)
        accepted_before = {key: r.message_id for key, r in results.items()}
        stack.start()
        round_of(list(keys))
        for key, result in results.items():
            self.assertIn(result.outcome, (Outcome.ACCEPTED, Outcome.DUPLICATE), result.problem)
            self.assertEqual(result.message_id, accepted_before.get(key, result.message_id))
        self.assertEqual(results.keys(), keys.keys())
        delivered = lambda: {e["data"]["recipient"]: e["data"]["message_id"] for e in stack.events("delivered")}  # noqa: E731
        wait_for(lambda: len(delivered()) == len(keys), "all to be delivered", PATIENCE)
        self.assertEqual(delivered(), {keys[key]: r.message_id for key, r in results.items()})


class Users(GrpcCase):
    YAML = """
tenants:
  acme: {send_as: [acme.example]}
users:
  shop: {tenant: acme, password_file: shop.pw}
  robot: {tenant: acme, certificate: "FINGERPRINT"}
"""

    def start_with_users(self, sink):
        self.folder = self.stack().base
        server, _ = make_certificate(self.folder, "server")
        robot, robot_key = make_certificate(self.folder, "robot", subject="robot.test")
        stranger, stranger_key = make_certificate(self.folder, "stranger", subject="stranger.test")
        fingerprint = subprocess.run(["openssl", "x509", "-in", robot, "-noout", "-fingerprint", "-sha256"],
                                     check=True, text=True, capture_output=True).stdout.strip().split("=")[1]
        password = os.path.join(self.folder, "shop.pw")
        with open(password, "w") as file:
            file.write(subprocess.run([POSTFLEET, "hash-password"], input="correct horse\n", text=True,
                                      capture_output=True, check=True).stdout)
        os.chmod(password, 0o600)
        folder = self.folder
        stack = self.start(sink, f"    relay_from: []\n    certificate: {server}\n    private_key: {folder}/server.key\n"
                           f"    client_ca: {robot}\n    require_client_certificate: false\n",
                           self.YAML.replace("FINGERPRINT", fingerprint).replace("shop.pw", password))
        read = lambda path: open(path, "rb").read()  # noqa: E731
        name = (("grpc.ssl_target_name_override", "mta.test"),)
        plain = self.service(grpc.ssl_channel_credentials(read(server)), name)
        certified = self.service(grpc.ssl_channel_credentials(read(server), read(robot_key), read(robot)), name)
        strange = self.service(grpc.ssl_channel_credentials(read(server), read(stranger_key), read(stranger)), name)
        return stack, plain, certified, strange

    def test_users_log_in_by_password_or_certificate_and_send_as_their_tenant(self):
        sink = self.sink()
        stack, plain, certified, strange = self.start_with_users(sink)
        own = lambda recipient: pb.Submission(mail_from="a@acme.example", recipients=[pb.Recipient(address=recipient)],  # noqa: E731
                                              mime=b"From: a@acme.example\r\nSubject: s\r\n\r\nHi\r\n")
        self.assertIn("log in", self.refused(grpc.StatusCode.UNAUTHENTICATED, plain, own("x@dst.test")))
        for wrong in (basic("shop", "wrong"), basic("nobody", "correct horse"), (("authorization", "Bearer x"),),
                      (("authorization", "Basic ?"),)):
            self.refused(grpc.StatusCode.UNAUTHENTICATED, plain, own("x@dst.test"), metadata=wrong)
        self.send(plain, own("by-password@dst.test"), metadata=basic("shop", "correct horse"))
        self.send(certified, own("by-certificate@dst.test"))
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, certified, mail("x@dst.test"))
        self.assertIn("may not send as src.test", text)
        # A certificate that no CA of ours has signed does not even connect.
        with self.assertRaises(grpc.RpcError) as failure:
            strange.Send(own("x@dst.test"), timeout=10)
        self.assertIn(failure.exception.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED))
        events = {e["data"]["recipient"]: e["data"] for e in stack.wait_events(2, "delivered")}
        self.assertEqual(events["by-password@dst.test"]["tenant"], "acme")
        self.assertEqual(events["by-password@dst.test"]["user"], "shop")
        self.assertEqual(events["by-certificate@dst.test"]["user"], "robot")
        self.assertEqual(len(events), 2)

    def test_who_guesses_passwords_has_to_wait(self):
        """SEC-9: guesses cost the guesser."""
        stack, plain, _, _ = self.start_with_users(self.sink())
        codes = set()
        for _ in range(60):
            with self.assertRaises(grpc.RpcError) as failure:
                self.send(plain, mail("x@dst.test"), metadata=basic("shop", "wrong"))
            codes.add(failure.exception.code())
            if grpc.StatusCode.RESOURCE_EXHAUSTED in codes:
                break
        self.assertEqual(codes, {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED})


if __name__ == "__main__":
    unittest.main()
