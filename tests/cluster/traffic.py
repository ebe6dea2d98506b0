"""Mail for a cluster that can be counted: by SMTP, and by the submission queue under an idempotency key or a message_id.

Every recipient is one of its own, so that a table by recipient says in the end what became of everything. Clients do
what real ones do: what was not answered is sent again, some of it; what was not confirmed is published again under the
same id. A sink takes, refuses, defers, breaks off and dawdles.
"""

import asyncio
import collections
import hashlib
import json
import os
import random
import smtplib
import sys
import threading
import time

from cluster import ROOT, Sink, import_pika

sys.path.append(os.path.join(ROOT, "tests", "torture"))

from load import content_for, is_whole  # noqa: E402

# domain: what the sink does with its recipients
PLAIN, LATER, NEVER, SILENT, SLOW = "plain.test", "later.test", "never.test", "silent.test", "slow.test"
DOMAINS = (PLAIN, PLAIN, PLAIN, PLAIN, LATER, NEVER, SILENT, SLOW)
FROM = "from@src.test"
TERMINAL = {"delivered", "bounced", "expired", "suppressed", "cancelled", "deleted", "rendering_failed"}
BY_SMTP, BY_KEY, BY_MESSAGE_ID = "SMTP", "queue, idempotency key", "queue, message_id"
WAYS = (BY_SMTP, BY_KEY, BY_MESSAGE_ID)
RECIPIENTS = 3


class Sent:
    """One recipient: how often its message was sent in full, and whether one of these was answered with yes."""

    __slots__ = ("way", "times", "accepted")

    def __init__(self, way):
        self.way, self.times, self.accepted = way, 0, False


class Habits(Sink):
    def __init__(self):
        super().__init__(rcpt=self._on_rcpt, data=self._on_data)

    @staticmethod
    def _on_rcpt(recipient, attempt):
        if recipient.endswith(NEVER):
            return "550 5.1.1 no such user"
        if recipient.endswith(LATER) and attempt == 1:
            return "451 4.7.1 not now"
        return "250 2.1.5 ok"

    @staticmethod
    def _on_data(_, recipients, attempt):
        if recipients[0].endswith(SILENT) and attempt == 1:
            return ""  # nobody can know, and it was not taken
        if recipients[0].endswith(SLOW):
            return asyncio.sleep(0.5, "250 2.0.0 taken, at last")
        return "250 2.0.0 taken"


class Traffic:
    """`ports()` are the SMTP ports, `url()` is the broker: both may move while it runs."""

    def __init__(self, seed):
        self.seed = seed
        self.sink = Habits()
        self.sent = {}                          # recipient: Sent
        self.accepted = collections.Counter()   # way: recipients
        self.lock = threading.Lock()
        self.pausing, self.stopping = threading.Event(), threading.Event()
        self.surprises = []                     # answers that good mail should not have had
        self.threads = []

    def start(self, ports, url, smtp_clients=4, publishers=3):
        work = [(self._smtp_client, ports[n % len(ports)]) for n in range(smtp_clients)]
        work += [(self._publisher, url) for _ in range(publishers)]
        self.threads = [threading.Thread(target=client, args=(n, where), daemon=True)
                        for n, (client, where) in enumerate(work)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Everybody finishes what he is at."""
        self.pausing.clear()
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def close(self):
        self.stopping.set()
        self.sink.close()

    # --- what is sent

    def _mails(self, number):
        chance = random.Random(self.seed * 1000 + number)
        count = 0
        while not self.stopping.is_set():
            if self.pausing.is_set():
                time.sleep(0.02)
                continue
            count += 1
            domain = chance.choice(DOMAINS)
            names = [f"u{self.seed}-{number}-{count}-{i}@{domain}" for i in range(chance.randint(1, RECIPIENTS))]
            yield chance, names, content_for(names, chance.randrange(100, 3000))

    def _note(self, names, way):
        with self.lock:
            for name in names:
                self.sent.setdefault(name, Sent(way)).times += 1

    def _note_accepted(self, names):
        with self.lock:
            for name in names:
                self.sent[name].accepted = True
            self.accepted[self.sent[names[0]].way] += len(names)

    # --- by SMTP

    def _smtp_client(self, number, port):
        session = None
        for chance, names, content in self._mails(number):
            while True:
                try:
                    if session is None:
                        session = smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60)
                        session.ehlo()
                    if self._transact(session, names, content):
                        break
                except (OSError, smtplib.SMTPException):
                    session = None
                    time.sleep(0.05)  # it is down
                    # Half of the clients' mail is never sent again: then it may arrive, or not.
                    if names[0] in self.sent and chance.random() < 0.5:
                        break
                if self.stopping.is_set():
                    break

    def _transact(self, session, names, content):
        """Whether it was taken; 4xx is sent again."""
        code, text = session.mail(FROM)
        for name in names if code == 250 else ():
            code, text = session.rcpt(name)
            if code != 250:
                break
        if code == 250:
            self._note(names, BY_SMTP)  # from here on it may have been taken
            code, text = session.data(content)
        if code == 250:
            self._note_accepted(names)
            return True
        if code // 100 != 4:
            self.surprises.append(f"{code} {text}")
        session.rset()
        time.sleep(0.1)
        return False

    # --- by the submission queue

    def _publisher(self, number, url):
        pika = import_pika()
        channel = None
        for chance, names, content in self._mails(number):
            way = BY_KEY if chance.random() < 0.5 else BY_MESSAGE_ID
            properties, body = self._submission(pika, chance, way, names, content)
            while True:
                try:
                    if channel is None:
                        channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
                        channel.confirm_delivery()
                    self._note(names, way)
                    channel.basic_publish("postfleet.submit", "postfleet.submit", body, properties, mandatory=True)
                    self._note_accepted(names)
                    if chance.random() < 0.05:  # an application that is not sure
                        channel.basic_publish("postfleet.submit", "postfleet.submit", body, properties, mandatory=True)
                    break
                except (pika.exceptions.AMQPError, OSError):
                    channel = None
                    time.sleep(0.1)

    @staticmethod
    def _submission(pika, chance, way, names, content):
        key = hashlib.sha256(names[0].encode()).hexdigest()
        if chance.random() < 0.5:
            body = {"mail_from": FROM, "recipients": names, "mime": content}
            if way == BY_KEY:
                body["idempotency_key"] = key
            return (pika.BasicProperties(content_type="application/json", delivery_mode=2,
                                         message_id=key if way == BY_MESSAGE_ID else None), json.dumps(body))
        headers = {"mail-from": FROM, "rcpt-to": names}
        if way == BY_KEY:
            headers["idempotency-key"] = key
        return (pika.BasicProperties(content_type="message/rfc822", delivery_mode=2, headers=headers,
                                     message_id=key if way == BY_MESSAGE_ID else None), content)


class Ledger:
    """What became of everybody, a report at a time."""

    def __init__(self, traffic, reports):
        self.traffic, self.reports = traffic, reports
        self.read = 0
        self.repeated = 0
        self.ends = collections.defaultdict(dict)  # recipient: {event id: (message id, type)}

    def absorb(self):
        """Takes what the application has read since; how many recipients have an end."""
        received = self.reports.received
        known = len(received)  # it only grows
        for event in received[self.read:known]:
            what = event["type"].removeprefix("email.")
            if what in TERMINAL and event["data"]["recipient"] != FROM:
                ends = self.ends[event["data"]["recipient"]]
                self.repeated += event["id"] in ends
                ends[event["id"]] = (event["data"]["message_id"], what)
        self.read = known
        return len(self.ends)

    def is_settled(self):
        self.absorb()
        return all(name in self.ends for name, sent in self.traffic.sent.items() if sent.accepted)


class Account:
    """`problems` is empty, or P1 to P4 of the promises are broken. `cuts`: when a sender with which source was killed."""

    def __init__(self, ledger, cuts, rejected):
        sent, ends = ledger.traffic.sent, ledger.ends
        self.cuts = cuts
        self.copies = collections.defaultdict(list)
        self.last = {}  # connection: when its last transaction ended
        for d in ledger.traffic.sink.deliveries:
            self.last[d.connection] = d.at
            if d.recipient != FROM:
                self.copies[d.recipient].append(d)
        self.counts = {"recipients sent": len(sent), "accepted": sum(s.accepted for s in sent.values()),
                       "delivered": len(self.copies), "bounced": sum(self._has(e, "bounced") for e in ends.values()),
                       "never answered, and delivered or bounced":
                           sum(n in sent and not sent[n].accepted for n in set(self.copies) | set(ends)),
                       "sent again by their client, and delivered again": 0,
                       "duplicates, in flight at the kill of a sender": 0,
                       "reports that came again": ledger.repeated}
        self.found = collections.defaultdict(list)
        for name, one in sent.items():
            if one.accepted and name not in ends:
                self.found["without a terminal report" if name in self.copies else "lost"].append(name)
        for name in self.copies:
            self._look_at_copies(name, sent, ends.get(name, {}))
        for name, events in ends.items():
            self._look_at_ends(name, events, sent.get(name))
        self.found["good mail refused for good"] += ledger.traffic.surprises
        self.found["in postfleet.rejected"] += ["?"] * rejected

    @property
    def problems(self):
        return {what: names for what, names in self.found.items() if names}

    @staticmethod
    def _has(events, what):
        return any(kind == what for _, kind in events.values())

    def _look_at_copies(self, name, sent, events):
        copies = self.copies[name]
        if name not in sent:
            self.found["unexpected"].append(name)
        if not events:
            self.found["delivered without a report"].append(name)
        if not all(is_whole(d) for d in copies):
            self.found["damaged content"].append(name)
        by_content = collections.defaultdict(list)  # every message has a Received field of its own
        for d in copies:
            by_content[hashlib.sha256(d.content).digest()].append(d)
        if len(by_content) > max(len({message for message, _ in events.values()}), 1):
            self.found["copies that differ"].append(name)
        for same in by_content.values():
            for d in same[:-1]:
                what = "duplicates, in flight at the kill of a sender"
                if self._was_cut(d):
                    self.counts[what] += 1
                else:
                    self.found["duplicates beyond P3"].append(name)

    def _was_cut(self, delivery):
        """Whether it was the last of its connection, which the kill of its sender ended."""
        connection = delivery.connection
        return self.last[connection] == delivery.at and any(
            source == connection.source and connection.opened <= at <= (connection.closed or at)
            for at, source in self.cuts)

    def _look_at_ends(self, name, events, sent):
        if sent is None:
            self.found["a report of an unknown recipient"].append(name)
            return
        messages = {message for message, _ in events.values()}
        if len(events) != len(messages):
            self.found["two terminal reports"].append(name)
        # Only who sends by SMTP again, without an answer, sends another message; under a key or a message_id it is one.
        if len(messages) > (sent.times if sent.way == BY_SMTP else 1):
            self.found[f"two messages of one: {sent.way}"].append(name)
        delivered = {message for message, kind in events.values() if kind == "delivered"}
        if bool(delivered) == name.endswith(NEVER):
            self.found["the wrong end"].append(f"{name} {sorted(events.values())}")
        if len(self.copies.get(name, ())) < len(delivered):
            self.found["lost"].append(name)
        self.counts["sent again by their client, and delivered again"] += max(len(delivered) - 1, 0)

    def table(self):
        names = ("lost", "unexpected", "duplicates beyond P3", "without a terminal report", "two terminal reports",
                 "damaged content", "copies that differ", "in postfleet.rejected")
        rows = [*self.counts.items(), *((name, len(self.found[name])) for name in names)]
        return "\n".join(f"  {name:<52} {value}" for name, value in rows)

    def as_json(self):
        return {**self.counts, "problems": {name: len(what) for name, what in self.problems.items()}}
