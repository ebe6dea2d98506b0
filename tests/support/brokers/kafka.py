"""A real Kafka for tests: one broker in KRaft mode, its jars from Maven Central, as a private process on free ports.

    with Kafka() as broker:                        # started, in a temporary folder; topics are made when they are used
        broker.address                             # 127.0.0.1:PORT
        broker.kill(); broker.start()              # kill -9, then a restart with the data kept
        broker.pause(); broker.resume()            # SIGSTOP, SIGCONT: accepts connections and never answers
        broker.read("reports", seconds=10)         # [(key, headers, value)], all partitions from their beginning

The jars are fetched once, with mvn, into a cache folder (POSTFLEET_TEST_CACHE, else ~/.cache/postfleet-tests). Without
Maven, Java or a way to Maven Central there is no such test, and fetch() says so loudly.
"""
import atexit
import fcntl
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

from rabbitmq import free_port

VERSION = "3.7.2"
START_SECONDS = 120  # on a machine with nothing else to do it takes four
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>postfleet.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class KafkaFailed(Exception):
    pass


def fetch():
    """The folder with the jars; gets them when they are not there yet."""
    cache = os.environ.get("POSTFLEET_TEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "postfleet-tests")
    folder = os.path.join(cache, f"kafka-{VERSION}")
    os.makedirs(cache, exist_ok=True)
    with open(folder + ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            _fetch_into(folder)
    return folder


def _fetch_into(folder):
    for program in ("java", "mvn"):
        if not shutil.which(program):
            raise KafkaFailed(f"THE KAFKA TESTS CANNOT RUN: there is no {program}; install maven and a Java 17")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as work:
        with open(os.path.join(work, "pom.xml"), "w") as file:
            file.write(POM.format(version=VERSION))
        done = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies",
                               f"-DoutputDirectory={work}/jars"], cwd=work, capture_output=True, text=True, timeout=600)
        if done.returncode != 0 or not glob.glob(f"{work}/jars/kafka_2.13-*.jar"):
            raise KafkaFailed("THE KAFKA TESTS CANNOT RUN: Kafka's jars are not to be had from Maven Central:\n"
                              + (done.stdout + done.stderr)[-3000:])
        os.rename(os.path.join(work, "jars"), folder)


class Kafka:
    def __init__(self, start=True, config=None):
        """config: lines of server.properties as a dict."""
        self._jars = fetch()
        self.directory = tempfile.mkdtemp(prefix="postfleet-kafka-")
        self.port, self._controller_port = free_port(), free_port()
        self._process = None
        self._config(config or {})
        atexit.register(self.close)
        try:
            self._java("kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id()}", "-c", self._properties)
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        with open(os.path.join(self.directory, "broker.log"), "ab") as log:
            self._process = subprocess.Popen(self._command("kafka.Kafka", self._properties), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise KafkaFailed(f"Kafka does not start:\n{self.log_tail()}")
            time.sleep(0.1)

    def kill(self):
        self._signal(signal.SIGKILL)
        self._process.wait()

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def close(self):
        atexit.unregister(self.close)
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def read(self, topic, seconds=10, count=None):
        """What is in the topic: until `count` records were read, or nothing came for some seconds."""
        arguments = ["--bootstrap-server", self.address, "--topic", topic, "--from-beginning",
                     "--timeout-ms", str(int(seconds * 1000)), "--property", "print.key=true",
                     "--property", "print.headers=true", "--property", "key.separator=\t",
                     "--property", "headers.separator=,"]
        if count:
            arguments += ["--max-messages", str(count)]
        text = self._java("kafka.tools.ConsoleConsumer", *arguments)
        records = []
        for line in text.split("\n"):
            headers, _, rest = line.partition("\t")
            key, tab, value = rest.partition("\t")
            if tab:
                records.append((key, headers, value))
        return records

    def log_tail(self, octets=4000):
        with open(os.path.join(self.directory, "broker.log"), errors="replace") as file:
            return file.read()[-octets:]

    # ----------------------------------------------------------------------------------------------------------------

    def _config(self, more):
        self._properties = os.path.join(self.directory, "server.properties")
        settings = {
            "process.roles": "broker,controller", "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": os.path.join(self.directory, "data"),
            "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "num.partitions": "3", "group.initial.rebalance.delay.ms": "0",
            "num.network.threads": "1", "num.io.threads": "2", "background.threads": "1",
            "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500",
            "log.cleaner.enable": "false", "log.segment.bytes": str(16 << 20),
        }
        settings.update(more)
        with open(self._properties, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())

    @staticmethod
    def _cluster_id():
        import base64
        return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")

    def _command(self, name, *arguments):
        return ["java", "-Xms64m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self._jars}/*", name, *arguments]

    def _java(self, name, *arguments):
        done = subprocess.run(self._command(name, *arguments), capture_output=True, text=True, timeout=180,
                              stdin=subprocess.DEVNULL)
        # The console consumer ends with an error when its time is over; what it read is good.
        if done.returncode != 0 and "TimeoutException" not in done.stderr:
            raise KafkaFailed(f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _signal(self, number):
        os.killpg(self._process.pid, number)
