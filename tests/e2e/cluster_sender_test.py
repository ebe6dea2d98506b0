"""postfleet-sender as a process, with a real RabbitMQ and a router: taking in, whose the name is, ending and moving.

The mail is published as ingest would, from proto/postfleet/v1/handover.proto, which any language can read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "support", "brokers")]
sys.dont_write_bytecode = True

from harness import BIN, POSTFLEET, Process, Sink, free_port, wait_for  # noqa: E402
from rabbitmq import RabbitMq, import_pika  # noqa: E402

CONFIGURATION = """
hostname: mta.test
listeners: {{relay: {{address: "127.0.0.1:1"}}}}
virtual_mtas:
  one: {{source: 127.0.0.1, ehlo: one.test, sender: s0}}
  two: {{source: 127.0.0.1, ehlo: two.test, sender: s1}}
  elsewhere: {{source: 192.0.2.77, ehlo: elsewhere.test, sender: s9}}
default_virtual_mta: one
routes: {{"*": ["127.0.0.1:{sink}"]}}
shutdown_grace: 10s
shaping:
  - {{retry_after: [{retry}], max_connections: 4}}
{more}
"""


def proto_modules(directory):
    """The Python classes of hand-overs and events."""
    subprocess.run(["protoc", "-I", os.path.join(ROOT, "proto"), f"--python_out={directory}",
                    *(os.path.join(ROOT, f"proto/postfleet/v1/{name}.proto") for name in ("handover", "events"))],
                   check=True)
    sys.path.append("/usr/lib/python3/dist-packages")
    sys.path.insert(0, directory)
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
    from postfleet.v1 import events_pb2, handover_pb2
    return handover_pb2, events_pb2


class ClusterSender(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = RabbitMq()
        cls.modules = tempfile.mkdtemp(prefix="postfleet-proto-")
        cls.handover_pb2, cls.events_pb2 = proto_modules(cls.modules)

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()
        shutil.rmtree(cls.modules)

    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="postfleet-sender-")
        self.processes = []
        self.sink = None
        self.refusing = False
        self.addCleanup(self.clean)

    def clean(self):
        for process in self.processes:
            process.child.send_signal(signal.SIGCONT) if process.is_running() else None
            process.kill()
        if self.sink:
            self.sink.close()
        for queue in ("s0", "s1", "s-0"):
            for name in (f"postfleet.deliver.{queue}", f"postfleet.deliver.{queue}.high", f"postfleet.overflow.{queue}"):
                if self.queue_length(name) is not None:
                    self.broker.ctl("delete_queue", name)
        shutil.rmtree(self.base)

    # --- the parts

    def start_router(self, retry="1h", more=""):
        self.sink = Sink(rcpt=lambda recipient, n: "451 4.3.0 not now" if self.refusing else "250 2.1.5 ok")
        directory = self.config = os.path.join(self.base, "config")
        os.makedirs(directory)
        self.configure(retry, more)
        self.router_port, http = free_port(), free_port()
        self.router_http = http
        self.router_data = os.path.join(self.base, "router")
        self.processes.append(Process(
            [os.path.join(BIN, "postfleet-router"), "--config", directory, "--data-dir", self.router_data, "--listen",
             f"127.0.0.1:{self.router_port}", "--http", f"127.0.0.1:{http}"], os.path.join(self.base, "router.log")))
        return self.processes[-1]

    def configure(self, retry, more=""):
        self.write(CONFIGURATION.format(sink=self.sink.port, retry=retry, more=more), "postfleet.yaml")

    def write(self, yaml, name):
        path = os.path.join(self.config, name)
        with open(path + ".new", "w") as f:
            f.write(yaml)
        os.rename(path + ".new", path)

    def start_sender(self, data, name="s0", arguments=(), ready=True):
        http = self.sender_http = free_port()
        process = Process(
            [os.path.join(BIN, "postfleet-sender"), "--name", name, "--router", f"127.0.0.1:{self.router_port}",
             "--broker", self.broker.url, "--data-dir", os.path.join(self.base, data), "--http", f"127.0.0.1:{http}",
             *arguments], os.path.join(self.base, f"{data}-{len(self.processes)}.log"))
        self.processes.append(process)
        if ready:
            wait_for(lambda: "sends as" in process.output() or not process.is_running(), "the sender to start")
            self.assertTrue(process.is_running(), f"{process.child.returncode} {process.output()}")
        return process

    def publish(self, recipients, virtual_mta="one", sender="s0", ids=None):
        pika = import_pika()
        wait_for(lambda: self.queue_length(f"postfleet.deliver.{sender}") is not None, "the sender's queue")
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        now = int(time.time() * 1e6)
        for number, recipient in enumerate(recipients):
            h = self.handover_pb2.Handover()
            h.version = 1
            h.message.id = ids[number] if ids else uuid.uuid4().bytes
            h.message.accepted_at = now
            h.message.reverse_path = b"from@src.test"
            h.message.tenant = b"default"
            h.message.content_chunks = 1
            h.content = f"Subject: to {recipient}\r\n\r\nHello.\r\n".encode()
            h.message.size_octets = len(h.content)
            task = h.tasks.add()
            task.due = task.accepted_at = now
            task.domain = b"dest.test"
            task.virtual_mta = virtual_mta.encode()
            task.tenant = b"default"
            task.priority = 1
            task.size_octets = len(h.content)
            task.recipients.add().address = recipient.encode()
            channel.basic_publish("postfleet.deliver", f"postfleet.deliver.{sender}", h.SerializeToString(),
                                  pika.BasicProperties(delivery_mode=2, message_id=str(uuid.uuid4())), mandatory=True)
        connection.close()

    def arrived(self):
        return sorted(d.recipient for d in self.sink.deliveries)

    def queue_length(self, queue):
        for line in self.broker.ctl("list_queues", "--quiet", "name", "messages").splitlines():
            name, _, count = line.partition("\t")
            if name == queue:
                return int(count)
        return None

    # --- what it does

    def test_mail_comes_from_the_broker_and_a_second_copy_is_dropped(self):
        self.start_router()
        sender = self.start_sender("a")
        ids = [uuid.uuid4().bytes for _ in range(50)]
        people = [f"u{n}@dest.test" for n in range(50)]
        self.publish(people, ids=ids)
        self.publish(people, ids=ids)
        self.publish(["last@dest.test"])
        wait_for(lambda: len(self.sink.deliveries) >= 51, "the mail to arrive")
        wait_for(lambda: self.queue_length("postfleet.deliver.s0") == 0, "the queue to be empty")
        self.assertEqual(self.arrived(), sorted(people + ["last@dest.test"]))
        self.assertEqual(sender.terminate(), 0)

    def test_sigterm_leaves_the_mail_and_the_next_start_goes_on(self):
        self.start_router(retry="1s")
        self.refusing = True
        sender = self.start_sender("a")
        people = [f"u{n}@dest.test" for n in range(20)]
        self.publish(people)
        wait_for(lambda: self.queue_length("postfleet.deliver.s0") == 0, "the mail to be taken in")
        self.assertEqual(sender.terminate(), 0)
        self.assertEqual(self.arrived(), [])
        self.refusing = False
        self.start_sender("a")
        wait_for(lambda: len(self.sink.deliveries) == 20, "the mail to arrive after the restart")
        self.assertEqual(self.arrived(), sorted(people))

    def command(self, *arguments, check=True):
        done = subprocess.run([POSTFLEET, *arguments, "--socket", os.path.join(self.router_data, "control.sock")],
                              capture_output=True, text=True, timeout=60)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def metric(self, name, http=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{http or self.sender_http}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        return None

    def test_metrics_tell_which_configuration_is_in_use_here_and_which_is_active(self):
        self.start_router()
        self.start_sender("a")
        self.assertEqual([1, 1], self.epochs())
        self.configure(retry="1m")
        wait_for(lambda: self.epochs() == [2, 2], "the new configuration")
        # What cannot be used on this machine is active, and not in use.
        self.write("virtual_mtas: {three: {source: 192.0.2.78, ehlo: three.test, sender: s0}}", "three.yaml")
        wait_for(lambda: self.epochs() == [3, 2], "the configuration that is refused here")

    def epochs(self):
        return [self.metric("postfleet_router_config_epoch", self.router_http), self.metric("postfleet_config_epoch")]

    def test_who_is_on_a_list_of_the_routers_gets_no_mail_and_is_reported(self):
        router = self.start_router()
        self.start_sender("a")
        self.publish(["before@dest.test"])
        wait_for(lambda: self.arrived() == ["before@dest.test"], "mail while nobody is suppressed")
        self.assertEqual(0, self.metric("postfleet_sender_suppressions_asked_total"))

        self.assertIn("Suppressed 1 address", self.command("suppressions", "add", "ann@dest.test", "--why", "unsubscribed").stdout)
        path = os.path.join(self.base, "list.csv")
        with open(path, "w") as file:
            file.write("# from the old system\n" + "".join(f"old{n}@dest.test,hard bounce {n}\n" for n in range(1500)))
        self.assertIn("Suppressed 1500 addresses", self.command("suppressions", "import", path).stdout)
        listed = self.command("suppressions", "list", "--limit", "3").stdout
        self.assertIn("ann@dest.test", listed)
        self.assertIn("unsubscribed", listed)
        self.assertIn("There may be more", listed)
        self.assertEqual(1501, len(self.command("suppressions", "list", "--json", "--limit", "5000").stdout.splitlines()))
        self.assertIn("is no address", self.command("suppressions", "add", "nobody@", check=False).stderr)

        # Known to the sender within a second or two; then it is asked for every message.
        def is_known():
            self.publish(["probe@dest.test"])
            return self.metric("postfleet_sender_suppressions_asked_total") > 0
        wait_for(is_known, "the sender to hear of the list", every=0.5)
        self.publish(["Ann@dest.test", "bob@dest.test", "old1499@dest.test"])
        wait_for(lambda: "bob@dest.test" in self.arrived(), "the mail of the others")
        wait_for(lambda: self.metric("postfleet_sender_suppressed_recipients_total") == 2, "both to be reported")

        self.command("suppressions", "remove", "ann@dest.test")
        self.publish(["ann@dest.test"])
        wait_for(lambda: "ann@dest.test" in self.arrived(), "mail for who is not suppressed any more")

        # Without a router mail is taken in, and that is counted.
        router.kill()
        self.publish(["old7@dest.test"])
        wait_for(lambda: "old7@dest.test" in self.arrived(), "mail while no router answers")
        self.assertGreater(self.metric("postfleet_sender_suppressions_unanswered_total"), 0)
        self.assertEqual([], [r for r in self.arrived() if r in ("Ann@dest.test", "old1499@dest.test")])

    def test_a_second_process_and_a_copied_spool_are_refused_until_a_takeover(self):
        """Also a stopped owner that wakes after the takeover: it sends nothing, and ends."""
        self.start_router(retry="1s")
        owner = self.start_sender("a")
        second = self.start_sender("b", ready=False)
        wait_for(lambda: "sender-refused" in second.output(), "the second process to be refused")
        self.assertIn("takeover", second.output())
        self.assertTrue(second.is_running())

        # Mail waits in the owner's spool when it is stopped; its retries are due when it wakes.
        self.refusing = True
        self.publish([f"old{n}@dest.test" for n in range(10)])
        wait_for(lambda: self.queue_length("postfleet.deliver.s0") == 0, "the mail to be taken in")
        owner.child.send_signal(signal.SIGSTOP)
        self.refusing = False
        answer = subprocess.run([POSTFLEET, "takeover", "s0", "--socket", os.path.join(self.router_data, "control.sock")],
                                capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        wait_for(lambda: "sends as" in second.output(), "the second process to begin")
        self.publish(["new@dest.test"])
        wait_for(lambda: "new@dest.test" in self.arrived(), "new mail to go by the new owner")
        owner.child.send_signal(signal.SIGCONT)
        wait_for(lambda: not owner.is_running(), "the old owner to end", 60)
        self.assertIn("sender-lost", owner.output())
        self.assertEqual([r for r in self.arrived() if r.startswith("old")], [])

        # Its mail is still in its spool, and is handed over.
        drained = subprocess.run([POSTFLEET, "spool", "drain", os.path.join(self.base, "a", "spool"), "--to", "s0",
                                  "--broker", self.broker.url], capture_output=True, text=True, timeout=60)
        self.assertEqual(drained.returncode, 0, drained.stdout + drained.stderr)
        wait_for(lambda: len(self.sink.deliveries) == 11, "the old owner's mail to arrive")

        # A copy of the spool at another place.
        second.terminate()
        shutil.copytree(os.path.join(self.base, "b"), os.path.join(self.base, "copy"))
        copy = self.start_sender("copy", ready=False)
        wait_for(lambda: "sender-refused" in copy.output(), "the copy to be refused")

    def test_evacuation_hands_everything_over_with_its_attempts_and_survives_kills(self):
        self.start_router(retry="2s")
        self.start_sender("c", name="s1").terminate()  # its queues are there
        self.refusing = True
        owner = self.start_sender("a")
        people = [f"u{n}@dest.test" for n in range(400)]
        self.publish(people, virtual_mta="two")
        wait_for(lambda: len({r for _, r, _ in self.sink.attempts}) == 400, "a first attempt for each")
        self.assertEqual(owner.terminate(), 0)
        self.assertEqual(self.queue_length("postfleet.deliver.s0"), 0)
        for delay in (0.4, 0.8, 1.2):  # a kill at any moment is the point
            killed = self.start_sender("a", arguments=["--evacuate"], ready=False)
            time.sleep(delay)
            killed.kill()
        evacuation = self.start_sender("a", arguments=["--evacuate"], ready=False)
        wait_for(lambda: not evacuation.is_running(), "the evacuation to end")
        self.assertEqual(evacuation.child.returncode, 0, evacuation.output())
        self.assertIn("The name s0 is free", evacuation.output())
        self.refusing = False
        heir = self.start_sender("c", name="s1")
        wait_for(lambda: len(set(self.arrived())) == 400, "the mail to arrive by its new owner")
        wait_for(lambda: self.queue_length("postfleet.deliver.s1") == 0, "the queue to be empty")
        self.assertEqual(self.arrived(), sorted(people))
        delivered = [line for line in heir.output().splitlines() if "event=attempt result=delivered" in line]
        self.assertEqual([line for line in delivered if " attempt=1 " in line], [], "attempts were forgotten")
        # Nothing is left, and another spool may have the name.
        self.start_sender("d").terminate()

    def published(self, report):
        """The recipients of whom that report's queue says that they got their mail."""
        pika = import_pika()
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        channel = connection.channel()
        delivered = set()
        while True:
            method, _, body = channel.basic_get(f"postfleet.sink.{report}", auto_ack=True)
            if method is None:
                break
            batch = self.events_pb2.EventBatch.FromString(body)
            delivered.update(event.recipient.decode() for event in batch.events if event.delivery.reply.code == 250)
        connection.close()
        return delivered

    def drain(self, data, *arguments):
        return subprocess.run([POSTFLEET, "spool", "drain", os.path.join(self.base, data, "spool"), "--to", "s1",
                               "--broker", self.broker.url, *arguments], capture_output=True, text=True, timeout=240)

    def test_events_that_wait_are_published_before_a_name_is_free_or_a_spool_is_called_empty(self):
        self.start_router(retry="2s", more="reports: [{type: file, path: events.jsonl}]")
        self.refusing = True
        owner = self.start_sender("a")
        people = [f"u{n}@dest.test" for n in range(30)]
        self.publish(people)
        wait_for(lambda: len({r for _, r, _ in self.sink.attempts}) == 30, "a first attempt for each", 60)
        # What is delivered while the broker is away waits in the outbox.
        self.broker.stop()
        self.refusing = False
        wait_for(lambda: len(set(self.arrived())) == 30, "the mail to arrive", 60)
        self.assertEqual(owner.terminate(), 0)
        shutil.copytree(os.path.join(self.base, "a"), os.path.join(self.base, "orphan"))

        stopped = self.start_sender("a", arguments=["--evacuate"], ready=False)
        wait_for(lambda: "events are still here" in stopped.output(), "it to tell how far it is", 60)
        self.assertNotEqual(stopped.terminate(), 0)
        self.assertIn("The name s0 is still held. Run it again.", stopped.output())
        self.broker.start()

        left = self.drain("orphan")
        self.assertEqual(left.returncode, 1, left.stdout + left.stderr)
        self.assertIn("Events wait for file", left.stdout)
        wrong = self.drain("orphan", "--reports", "flie")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("it has file", wrong.stderr)
        done = self.drain("orphan", "--reports", "file", "--from", "s0")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("neither mail nor events", done.stdout)
        self.assertEqual(self.published("file"), set(people))
        self.assertEqual(self.drain("orphan").returncode, 0)

        evacuation = self.start_sender("a", arguments=["--evacuate"], ready=False)
        wait_for(lambda: not evacuation.is_running(), "the evacuation to end", 120)
        self.assertEqual(evacuation.child.returncode, 0, evacuation.output())
        self.assertIn("All events were published.", evacuation.output())
        self.assertIn("The name s0 is free", evacuation.output())
        self.assertEqual(self.published("file"), set(people))

    def ask(self, *arguments):
        return subprocess.run([POSTFLEET, *arguments, "--router", f"127.0.0.1:{self.router_port}"], capture_output=True,
                              text=True, timeout=120, stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"})

    def answer(self, *arguments):
        done = self.ask(*arguments, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def test_a_sender_whose_name_is_a_slip_says_so(self):
        self.start_router()
        lonely = self.start_sender("lonely", name="s-0")
        wait_for(lambda: "no virtual MTA of the configuration has `sender: s-0`" in lonely.output(), "the warning")
        slip = self.start_sender("slip", name="s 0", ready=False)
        wait_for(lambda: not slip.is_running(), "the sender to end")
        self.assertEqual(slip.child.returncode, 2)
        self.assertIn("'s 0' is no name", slip.output())

    def test_an_operator_who_names_a_router_sees_and_tells_all_senders(self):
        self.start_router(retry="1h")
        self.refusing = True
        self.start_sender("a", name="s0")
        second = self.start_sender("b", name="s1")
        self.publish(["a@dest.test", "b@dest.test"], virtual_mta="one", sender="s0")
        self.publish(["c@dest.test"], virtual_mta="two", sender="s1")

        def queues():
            found = self.answer("show", "queues")
            return {(q["name"], q["sender"]): q["waiting"] for q in found["queues"] if "sender" in q} if found else {}
        both = {("dest.test/one", "s0"): 2, ("dest.test/two", "s1"): 1}
        wait_for(lambda: queues() == both, "the queues of both senders", 90)
        self.assertEqual(self.answer("status")["sender"]["queued_recipients"], 3)
        # A name in the configuration that no sender has: its mail would wait for ever in a queue that nobody reads.
        self.assertIn("no sender has the name s9, to which the configuration gives virtual MTAs", self.ask("status").stderr)
        text = self.ask("show", "queues")
        self.assertIn("dest.test/one", text.stdout)
        self.assertIn("dest.test/two", text.stdout)
        self.assertEqual(["one"], [v["name"] for v in self.answer("show", "vmtas", "--sender", "s0")])
        self.assertEqual(3, len(self.answer("list", "--domain", "dest.test")["tasks"]))
        self.assertEqual(3, self.answer("retry", "--domain", "dest.test", "--dry-run")["count"]["recipients"])

        # An order that is given once holds at all.
        paused = self.ask("pause", "--domain", "dest.test", "--why", "a test")
        self.assertEqual(paused.returncode, 0, paused.stdout + paused.stderr)
        for name in ("s0", "s1"):
            wait_for(lambda: [o["action"] for o in (self.answer("list", "orders", "--sender", name) or {"orders": []})
                              ["orders"]] == ["pause"], f"the order at {name}", 60)
        self.assertIn(" at ", self.answer("list", "orders")["orders"][0]["who"])

        # What makes sense at one sender only.
        trace = self.ask("trace", "dest.test/one")
        self.assertEqual(trace.returncode, 1)
        self.assertIn("--sender: s0, s1", trace.stderr)
        reload = self.ask("reload", "--socket", os.path.join(self.router_data, "control.sock"))
        self.assertEqual(reload.returncode, 0, reload.stderr)

        # In a container both are in the environment: it is this sender that is meant, unless it is said otherwise.
        router, socket = f"127.0.0.1:{self.router_port}", os.path.join(self.base, "a", "control.sock")

        def within(variables, *arguments):
            done = subprocess.run([POSTFLEET, *arguments], capture_output=True, text=True, timeout=120,
                                  env={**os.environ, "NO_COLOR": "1", **variables})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout
        container = {"POSTFLEET_ROUTER": router, "POSTFLEET_SOCKET": socket}
        for variables, arguments, shown in (
                (container, [], ["dest.test/one"]),
                (container, ["--router", router], ["dest.test/one", "dest.test/two"]),
                (container, ["--sender", "s1"], ["dest.test/two"]),
                ({"POSTFLEET_ROUTER": router}, [], ["dest.test/one", "dest.test/two"]),
                ({"POSTFLEET_ROUTER": router}, ["--socket", socket], ["dest.test/one"])):
            text = within(variables, "show", "queues", *arguments)
            self.assertEqual([q for q in ("dest.test/one", "dest.test/two") if q in text], shown, (arguments, text))
        at_router = {"POSTFLEET_ROUTER": router, "POSTFLEET_SOCKET": os.path.join(self.router_data, "control.sock")}
        self.assertIn("Nobody is suppressed", within(at_router, "suppressions", "list"))

        named = within(at_router, "show", "senders")
        self.assertRegex(named, r"s9 +0 +\(never started\)")
        early = subprocess.run([POSTFLEET, "--router", router, "status"], capture_output=True, text=True, timeout=60)
        self.assertEqual(early.returncode, 2)
        self.assertIn("options stand behind the command", early.stderr)

        # Who is not there is named, and the others are shown.
        second.kill()
        partly = self.ask("show", "queues")
        self.assertEqual(partly.returncode, 1)
        self.assertIn("s1 does not answer", partly.stderr)
        self.assertIn("dest.test/one", partly.stdout)

        # On its machine a sender has a socket, too.
        local = subprocess.run([POSTFLEET, "show", "queues", "--socket", os.path.join(self.base, "a", "control.sock")],
                               capture_output=True, text=True, timeout=60)
        self.assertIn("dest.test/one", local.stdout)

    def test_the_way_of_a_message_is_told_by_whoever_knows_of_it(self):
        self.start_router(retry="2s", more="reports: [{type: file, path: events.jsonl}]")
        self.refusing = True
        self.start_sender("a")
        feedback = Process(
            [os.path.join(BIN, "postfleet-feedback"), "--router", f"127.0.0.1:{self.router_port}", "--broker",
             self.broker.url, "--data-dir", os.path.join(self.base, "feedback"), "--files", self.base, "--http",
             "127.0.0.1:0"], os.path.join(self.base, "feedback.log"))
        self.processes.append(feedback)
        wait_for(lambda: "is ready" in feedback.output(), "feedback", 60)
        # A UUIDv7, as ingest makes them: its time says from when on reports are searched.
        message = uuid.UUID(bytes=int(time.time() * 1000).to_bytes(6, "big") + b"\x70\x00\x80" + os.urandom(7))
        self.publish(["a@dest.test"], ids=[message.bytes])

        def told():
            return self.answer("trace", str(message)) or {"recipients": [], "events": []}
        wait_for(lambda: [r["attempts"] for r in told()["recipients"] if "next_attempt_at" in r] > [0],
                 "the recipient who waits after an attempt", 90)
        self.refusing = False
        wait_for(lambda: [r["state"] for r in told()["recipients"]] == ["delivered"] and
                 told()["events"][-1]["type"] == "email.delivered", "its end", 120)
        history = told()
        types = [e["type"] for e in history["events"]]
        self.assertIn("email.deferred", types)
        self.assertEqual({"/senders/s0"}, {e["source"] for e in history["events"]})
        text = self.ask("show", "message", str(message))
        self.assertEqual(text.returncode, 0, text.stderr)
        self.assertIn("s0", text.stdout)
        unknown = self.ask("trace", str(uuid.uuid4()))
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("nothing is known of message", unknown.stderr)


if __name__ == "__main__":
    unittest.main()
