"""The ways of sending and counting: Postfix's smtp-source and smtp-sink, and our own load and sink."""

import json
import os
import subprocess
import time

from .processes import BenchError, cpu_seconds, end, free_port, start, tail_of, wait_for_port


class Way:
    """Sends `count` messages through a relay and waits until the sink has counted them."""

    name = ""
    title = ""

    def __init__(self, programs, directory, sessions):
        self.programs = programs
        self.directory = directory
        self.sessions = sessions

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, relay, size, count, limit_seconds):
        sink_port = free_port()
        sink = self.start_sink(sink_port, count)
        try:
            wait_for_port(sink_port, sink)
            relay.start(sink_port)
            cpu_before = cpu_seconds(relay.pid())
            begin = time.monotonic()
            source = self.start_source(relay.port, size, count)
            try:
                accepted_after = self.await_source(source, begin, limit_seconds)
                self.await_sink(sink, begin, limit_seconds)
            finally:
                end(source)
            seconds = time.monotonic() - begin
            cpu = cpu_seconds(relay.pid()) - cpu_before
        finally:
            end(sink)
            relay.stop()
        result = {"messages": count, "seconds": seconds, "rate": count / seconds, "accept_rate": count / accepted_after,
                  "cpu_us_per_message": cpu / count * 1e6}
        result.update(self.read_evidence(count))
        return result

    def await_source(self, source, begin, limit_seconds):
        try:
            code = source.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the source was not done after {limit_seconds} s") from None
        if code != 0:
            raise BenchError(f"the source ended with code {code}: {tail_of(source)}")
        return time.monotonic() - begin

    def await_sink(self, sink, begin, limit_seconds):
        left = limit_seconds - (time.monotonic() - begin)
        try:
            sink.wait(max(left, 1))
        except subprocess.TimeoutExpired:
            raise BenchError(f"the sink had not counted all messages after {limit_seconds} s") from None

    def read_evidence(self, count):
        return {}


class PostfixTools(Way):
    reuse = []

    def start_sink(self, port, count):
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        # A connection that only looks whether the port is open is no message.
        return start(["smtp-sink", *as_user, "-m", "1000", "-M", str(count), f"127.0.0.1:{port}", "1000"],
                     self.path("sink.log"))

    def start_source(self, port, size, count):
        return start(["smtp-source", *self.reuse, "-s", str(self.sessions), "-m", str(count), "-l", str(size),
                      "-f", "sender@src.test", "-t", "user@dest.test", f"127.0.0.1:{port}"], self.path("source.log"))


class PostfixToolsPerMessage(PostfixTools):
    name = "per-message"
    title = "smtp-source, smtp-sink: a connection per message"


class PostfixToolsReuse(PostfixTools):
    name = "reuse"
    title = "smtp-source -d, smtp-sink: connections reused"
    reuse = ["-d"]


class OwnTools(Way):
    name = "own"
    title = "postfleet load, postfleet sink: connections reused"
    per_connection = "0"

    def start_sink(self, port, count):
        self.sink_report = self.path("sink.json")
        with open(self.sink_report, "wb") as report:
            return start([self.programs["tools"], "sink", "--listen", f"127.0.0.1:{port}", "--quit-after", str(count),
                          "--id-header", "X-Load-Id", "--json"], self.path("sink.log"), stdout=report)

    def start_source(self, port, size, count):
        self.source_report = self.path("source.json")
        with open(self.source_report, "wb") as report:
            return start([self.programs["tools"], "load", f"127.0.0.1:{port}", "--messages", str(count), "--size",
                          str(size), "--sessions", str(self.sessions), "--domains", "1", "--per-connection",
                          self.per_connection, "--json"], self.path("source.log"), stdout=report)

    def read_evidence(self, count):
        with open(self.sink_report) as file:
            sink = json.load(file)
        with open(self.source_report) as file:
            source = json.load(file)
        if sink["unique_deliveries"] != count or sink["duplicate_deliveries"] != 0:
            raise BenchError(f"of {count} messages {sink['unique_deliveries']} arrived, "
                             f"{sink['duplicate_deliveries']} of them twice")
        return {"p50_ms": sink["latency_p50_ms"], "p99_ms": sink["latency_p99_ms"],
                "accept_p50_ms": source["accept_ms"]["p50"], "accept_p99_ms": source["accept_ms"]["p99"]}


class OwnToolsPerMessage(OwnTools):
    name = "own-per-message"
    title = "postfleet load, postfleet sink: a connection per message"
    per_connection = "1"


WAYS = {way.name: way for way in (PostfixToolsPerMessage, PostfixToolsReuse, OwnTools, OwnToolsPerMessage)}
DEFAULT_WAYS = ["per-message", "reuse", "own"]
