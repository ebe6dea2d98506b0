"""Mail that can be counted: every recipient is one of its own, every content says what it must be, and at the end an
account is drawn up of what was offered, accepted, delivered, reported, lost and doubled."""

import collections
import hashlib
import json
import os
import random
import smtplib
import threading
import time

from harness import Sink, wait_for

# domain: what the sink does with its recipients
PLAIN, LATER, NEVER, SILENT = "plain.test", "later.test", "never.test", "silent.test"
DOMAINS = (PLAIN, PLAIN, PLAIN, LATER, NEVER, SILENT)
SENDER = "from@src.test"


class World:
    """A sink with habits, and clients that send for as long as they are told to."""

    process = None

    def __init__(self, seed=1):
        self.seed = seed
        self.sink = Sink(rcpt=self._rcpt, data=self._data)
        self.offered, self.accepted, self.lock = set(), set(), threading.Lock()
        self.ids = {}                      # recipient: message id that the 250 named
        self.cut = collections.Counter()   # recipients whose transaction the sink ended in silence after the dot
        self.pausing = threading.Event()
        self.stopping = threading.Event()
        self.threads = []

    @property
    def route(self):
        return f'routes: {{"*": ["127.0.0.1:{self.sink.port}"]}}\n'

    @staticmethod
    def _rcpt(recipient, attempt):
        if recipient.endswith(NEVER):
            return "550 5.1.1 no such user"
        if recipient.endswith(LATER) and attempt == 1:
            return "451 4.7.1 not now"
        return "250 2.1.5 ok"

    def _data(self, sender, recipients, attempt):
        if recipients[0].endswith(SILENT) and attempt == 1:
            self.cut.update(recipients)
            return ""
        return "250 2.0.0 taken: " + " ".join(recipients)

    def start(self, port, clients=6, recipients=3, octets=2000, pause=0):
        """`pause`: seconds between two messages of a client."""
        def client(number):
            chance = random.Random(self.seed * 1000 + number)
            sent = 0
            while not self.stopping.is_set():
                try:
                    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=10) as smtp:
                        while not self.stopping.is_set():
                            if self.pausing.is_set():
                                time.sleep(0.01)
                                continue
                            domain = chance.choice(DOMAINS)
                            names = [f"u{self.seed}-{number}-{sent}-{i}@{domain}" for i in
                                     range(chance.randint(1, recipients))]
                            sent += 1
                            self._send(smtp, names, chance.randrange(100, octets))
                            time.sleep(pause)
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.02)  # between two attempts to connect while the process is down
        self.threads = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(clients)]
        for thread in self.threads:
            thread.start()
        return self

    def _send(self, smtp, names, octets):
        with self.lock:
            self.offered.update(names)
        smtp.ehlo_or_helo_if_needed()
        smtp.mail(SENDER)
        for name in names:
            smtp.rcpt(name)
        code, text = smtp.data(content_for(names, octets))
        if code == 250:
            with self.lock:
                self.accepted.update(names)
                for name in names:
                    self.ids[name] = text.decode().rsplit(" ", 1)[-1]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def arrived(self):
        return collections.Counter(d.recipient for d in self.sink.deliveries if d.recipient != SENDER)

    def close(self):
        self.stopping.set()
        self.sink.close()


def content_for(names, octets):
    body = (names[0] + "\r\n.dots\r\n") * (octets // (len(names[0]) + 9) + 1)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"From: <{SENDER}>\r\nTo: {names[0]}\r\nSubject: torture\r\nX-Digest: {digest}\r\n\r\n{body}"


def is_whole(delivery):
    head, body = delivery.content.split(b"\r\n\r\n", 1)
    return hashlib.sha256(body).hexdigest() == delivery.header("X-Digest")


class Account:
    """What became of everybody. `problems` is empty, or P1 to P3 of the promises are broken."""

    def __init__(self, world, events, most_duplicates):
        arrived = world.arrived()
        terminal = collections.defaultdict(dict)
        for event in events:
            what = event["type"].removeprefix("email.")
            if what in ("delivered", "bounced", "expired", "suppressed", "cancelled", "rendering_failed"):
                terminal[event["data"]["recipient"]][event["id"]] = what
        terminal.pop(SENDER, None)
        copies = collections.defaultdict(set)
        for d in world.sink.deliveries:
            copies[d.recipient].add(hashlib.sha256(d.content).hexdigest())
        bounced = {r for r, ids in terminal.items() if "bounced" in ids.values()}
        self.offered, self.accepted, self.arrived = len(world.offered), len(world.accepted), len(arrived)
        self.lost = sorted(r for r in world.accepted if r not in arrived and r not in bounced)
        self.unexpected = sorted(set(arrived) - world.offered)
        self.unanswered = sorted((set(arrived) | bounced) - world.accepted)
        self.duplicates = sum(n - 1 for n in arrived.values())
        self.most_duplicates = most_duplicates
        self.unlike = sorted(r for r, kinds in copies.items() if len(kinds) > 1 and r != SENDER)
        self.torn = sorted({d.recipient for d in world.sink.deliveries if d.recipient != SENDER and not is_whole(d)})
        self.without_event = sorted((world.accepted | set(arrived)) - set(terminal))
        self.two_ends = sorted(r for r, ids in terminal.items() if len(ids) != 1)
        self.wrong_end = sorted(r for r, ids in terminal.items()
                                if ("bounced" in ids.values()) != r.endswith(NEVER))

    @property
    def problems(self):
        found = {name: getattr(self, name) for name in
                 ("lost", "unexpected", "torn", "unlike", "without_event", "two_ends", "wrong_end")
                 if getattr(self, name)}
        if self.duplicates > self.most_duplicates:
            found["duplicates"] = self.duplicates
        return found

    def table(self):
        rows = (("recipients offered", self.offered), ("accepted (250)", self.accepted), ("delivered", self.arrived),
                ("lost", len(self.lost)), ("unexpected", len(self.unexpected)),
                ("damaged content", len(self.torn)), ("copies that differ", len(self.unlike)),
                ("ended without its event", len(self.without_event)), ("two terminal events", len(self.two_ends)),
                ("duplicates", f"{self.duplicates} (at most {self.most_duplicates} by P3)"),
                ("recovered: delivered without an answer", len(self.unanswered)))
        return "\n".join(f"  {name:<40} {value}" for name, value in rows)

    def as_json(self):
        return {"offered": self.offered, "accepted": self.accepted, "delivered": self.arrived, "lost": len(self.lost),
                "unexpected": len(self.unexpected), "duplicates": self.duplicates,
                "most_duplicates": self.most_duplicates, "recovered": len(self.unanswered),
                "without_event": len(self.without_event), "two_ends": len(self.two_ends)}


def settle(world, stack, deadline=120):
    """Waits until everything that was accepted has ended and is reported."""
    wait_for(lambda: stack.queued() == 0, "the spool to be empty", deadline, every=0.1)

    def reported():
        return (world.accepted | set(world.arrived())) <= {
            e["data"]["recipient"] for e in stack.events("delivered", "bounced")}
    wait_for(reported, "the last events", deadline, every=0.3)


def write_results(path, results):
    if path:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "w") as f:
            json.dump(results, f, indent=1)
        print(f"  written to {path}")
