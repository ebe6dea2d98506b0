"""A real RabbitMQ for tests: Debian's rabbitmq-server as a private node.

    with RabbitMq() as broker:                 # started, empty, in a temporary folder
        broker.url                             # amqp://guest:guest@127.0.0.1:PORT
        broker.kill(); broker.start()          # kill -9, then a restart with the data kept
        broker.pause(); broker.resume()        # SIGSTOP, SIGCONT: accepts connections and never answers
        broker.ctl("list_queues", "name", "messages")

Everything is its own: ports, node name, Erlang cookie, home, data, log, and the name server (epmd), so that it works as
root and as an ordinary user, several at once, and beside any other RabbitMQ. No plugins, no management. Several nodes
on one machine make a cluster: RabbitMqCluster(3).

As a program it runs a command with the broker's address in POSTFLEET_TEST_AMQP_URL, for tests that are not Python;
the command finds how to handle the broker in POSTFLEET_TEST_AMQP_CONTROL, a Unix socket that takes one line per
connection ("kill", "start", "stop", "pause", "resume", "ctl list_queues name") and answers "ok" or "error", then text.

    tests/support/brokers/rabbitmq.py [--tls] [--nodes N] [--config KEY=VALUE]... -- COMMAND...

With several nodes a number behind the order says which one; "leader QUEUE" answers with such a number.
"""
import atexit
import glob
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Debian's; the wrappers in /usr/sbin change to the user rabbitmq and its folders. Another release is tried by its folder.
BIN = os.environ.get("POSTFLEET_TEST_RABBITMQ_BIN", "/usr/lib/rabbitmq/bin")
START_SECONDS = 90  # on a machine with nothing else to do it takes four


def is_installed():
    return os.path.exists(f"{BIN}/rabbitmq-server")


def free_port():
    """Below the ports that the system gives to outgoing connections, so that nobody else gets it by chance."""
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def import_pika():
    """The Python client, from Debian's package also where python3 is another one: it has no compiled parts."""
    try:
        import pika
    except ModuleNotFoundError:
        sys.path.append("/usr/lib/python3/dist-packages")
        import pika
    return pika


class BrokerFailed(Exception):
    pass


class _NameServer:
    """epmd, in the foreground: Erlang itself would leave a daemon behind."""

    def __init__(self):
        self.port = free_port()
        epmd = shutil.which("epmd")
        self._process = subprocess.Popen([epmd, "-port", str(self.port), "-address", "127.0.0.1"],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         start_new_session=True)

    def close(self):
        self._process.kill()
        self._process.wait()


class RabbitMq:
    def __init__(self, config=None, tls=None, directory=None, start=True, cluster=None, name=None):
        """config: lines of rabbitmq.conf as a dict. tls: (certificate, private key, CA), files; adds a TLS listener
        (tls_port) that asks for a client certificate and takes none, too."""
        self._own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="postfleet-rabbitmq-")
        self._own_name_server = cluster is None
        self._name_server = cluster.name_server if cluster else _NameServer()
        self._cookie = cluster.cookie if cluster else secrets.token_hex(20)
        self.name = (name or f"postfleet-{os.getpid()}-{secrets.token_hex(3)}") + "@localhost"
        self.config = dict(config or {})
        self._tls = tls
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self._distribution_port = free_port()
        self._process = None
        self._prepare()
        atexit.register(self.close)
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"amqps://guest:guest@localhost:{self.tls_port}"

    @property
    def log_file(self):
        return os.path.join(self.directory, "log", "broker.log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What happens to it ---------------------------------------------------------------------------------------------

    def start(self, wait=True):
        if self._process is not None and self._process.poll() is None:
            raise BrokerFailed("it runs already")
        out = open(os.path.join(self.directory, "log", "console.log"), "ab")
        with out:
            self._process = subprocess.Popen([f"{BIN}/rabbitmq-server"], env=self._environment(), cwd=self.directory,
                                             stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        # Kills it when this process has died without doing so: its end of the pipe is closed then.
        self._reaper = subprocess.Popen(["sh", "-c", 'read nothing; kill -9 "-$1"', "sh", str(self._process.pid)],
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self._process.poll() is not None:
                raise BrokerFailed(f"RabbitMQ ended with {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerFailed(f"RabbitMQ does not answer after {seconds} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self):
        """As an administrator does: what is queued is kept."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self):
        """kill -9; not in the two seconds after a quorum queue was declared, see _queues_are_known."""
        while not self._queues_are_known():
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self._wait()

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def close(self):
        """Ends it at once and removes its data."""
        atexit.unregister(self.close)
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._wait()
        if self._own_name_server:
            self._name_server.close()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Looking into it ------------------------------------------------------------------------------------------------

    def ctl(self, *arguments, program="rabbitmqctl", check=True):
        done = subprocess.run([f"{BIN}/{program}", "-n", self.name, *arguments], env=self._environment(),
                              cwd=self.directory, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise BrokerFailed(f"{program} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def queues(self):
        """{name: {"messages": n, "ready": n, "unacknowledged": n, "consumers": n}}"""
        text = self.ctl("list_queues", "-q", "--formatter", "json", "name", "messages", "messages_ready",
                        "messages_unacknowledged", "consumers")
        return {row["name"]: {"messages": row["messages"], "ready": row["messages_ready"],
                              "unacknowledged": row["messages_unacknowledged"], "consumers": row["consumers"]}
                for row in json.loads(text)}

    def raise_memory_alarm(self):
        self.ctl("eval", "rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).")

    def clear_memory_alarm(self):
        self.ctl("eval", "rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")

    def close_connections(self, reason="closed by a test"):
        self.ctl("close_all_connections", reason)

    def leader(self, queue):
        """The node that leads a quorum queue."""
        for row in json.loads(self.ctl("list_queues", "-q", "--formatter", "json", "name", "leader")):
            if row["name"] == queue:
                return row["leader"]
        raise BrokerFailed(f"there is no queue {queue}")

    def isolate(self):
        """The others and this node do not find each other any more; it needs a restart to come back."""
        self.ctl("eval", "[begin erlang:set_cookie(N, isolated), erlang:disconnect_node(N) end || N <- nodes()].")

    def log_tail(self, lines=40):
        out = ""
        for path in (os.path.join(self.directory, "log", "console.log"), self.log_file):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    out += "".join(file.readlines()[-lines:])
        return out

    @property
    def pid(self):
        return self._process.pid if self._process else None

    # ----------------------------------------------------------------------------------------------------------------

    def _prepare(self):
        for folder in ("home", "log", "data"):
            os.makedirs(os.path.join(self.directory, folder), exist_ok=True)
        cookie = os.path.join(self.directory, "home", ".erlang.cookie")
        if not os.path.exists(cookie):
            with open(cookie, "w") as file:
                file.write(self._cookie)
            os.chmod(cookie, 0o400)
        with open(os.path.join(self.directory, "enabled_plugins"), "w") as file:
            file.write("[].\n")
        self.write_config()

    def write_config(self):
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "log.console": "false",
            "log.file.level": "info",
            "raft.wal_max_size_bytes": str(64 << 20),
            "disk_free_limit.absolute": str(64 << 20),
        }
        if self._tls:
            certificate, key, ca = self._tls
            settings.update({
                "listeners.ssl.1": f"127.0.0.1:{self.tls_port}",
                "ssl_options.certfile": certificate,
                "ssl_options.keyfile": key,
                "ssl_options.cacertfile": ca,
                "ssl_options.verify": "verify_peer",
                "ssl_options.fail_if_no_peer_cert": "false",
            })
        settings.update(self.config)
        with open(os.path.join(self.directory, "rabbitmq.conf"), "w") as file:
            file.writelines(f"{key} = {value}\n" for key, value in settings.items())

    def _environment(self):
        inside = lambda *names: os.path.join(self.directory, *names)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("RABBITMQ_", "ERL_", "POSTFLEET_"))}
        environment.update({
            "HOME": inside("home"),
            "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._name_server.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": inside("data"),
            "RABBITMQ_LOG_BASE": inside("log"),
            "RABBITMQ_LOGS": self.log_file,
            "RABBITMQ_CONFIG_FILE": inside("rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": inside("advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": inside("rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside("enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": inside("data", "config"),
            "RABBITMQ_PID_FILE": inside("pid"),
            # No epmd of its own; no spinning schedulers on cores that others need; names over IPv4 loopback only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-start_epmd false +S 2:2 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +A 1 +sbwt none",
        })
        return environment

    def _queues_are_known(self):
        """RabbitMQ 3.10 notes which folder a quorum queue has in a table that it writes late (names.dets, every half
        second): killed before, it makes the queue a new, empty folder and never elects a leader for it."""
        folders = glob.glob(os.path.join(self.directory, "data", self.name, "quorum", "*", "*", ""))
        try:
            return not folders or time.time() - max(os.stat(folder).st_ctime for folder in folders) > 2
        except FileNotFoundError:
            return False

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(8)[:1] == b"\x01"
        except OSError:
            return False

    def _signal(self, number):
        os.killpg(self._process.pid, number)

    def _wait(self):
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._reaper.kill()
        self._reaper.stdin.close()
        self._reaper.wait()


class RabbitMqCluster:
    """Several nodes on one machine that replicate quorum queues."""

    def __init__(self, size=3, config=None):
        self.name_server = _NameServer()
        self.cookie = secrets.token_hex(20)
        self.nodes = []
        atexit.register(self.close)
        try:
            self.nodes = [RabbitMq(config=config, start=False, cluster=self) for _ in range(size)]
            for node in self.nodes:
                for number, peer in enumerate(self.nodes, 1):
                    node.config["cluster_formation.peer_discovery_backend"] = "classic_config"
                    node.config[f"cluster_formation.classic_config.nodes.{number}"] = peer.name
                node.config.setdefault("cluster_partition_handling", "pause_minority")
                node.write_config()
            for node in self.nodes:  # together: which one the others join is theirs to find out
                node.start(wait=False)
            for node in self.nodes:
                node.wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"amqp://guest:guest@{hosts}"

    def close(self):
        atexit.unregister(self.close)
        for node in self.nodes:
            node.close()
        self.name_server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Certificates:
    """A CA, a certificate for localhost and 127.0.0.1, one for another host, one for a client, in a folder."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = self._path("ca.pem")
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                  "-subj", "/CN=Postfleet test CA", "-keyout", self._path("ca.key"), "-out", self.ca)
        self.server = self._issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.other_host = self._issue("other", "subjectAltName=DNS:other.example")
        self.client = self._issue("client", "subjectAltName=DNS:client.example")

    def _issue(self, name, extension):
        key, request, certificate = (self._path(f"{name}.{end}") for end in ("key", "csr", "pem"))
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                  "-keyout", key, "-out", request)
        extensions = self._path(f"{name}.ext")
        with open(extensions, "w") as file:
            file.write(extension + "\n")
        self._run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                  "-days", "30", "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


# As a program -------------------------------------------------------------------------------------------------------


def _obey(nodes, line):
    words = line.split()
    node = nodes[int(words.pop())] if len(words) > 1 and words[-1].isdigit() else nodes[0]
    simple = {"kill": node.kill, "start": node.start, "stop": node.stop, "pause": node.pause,
              "resume": node.resume, "raise_memory_alarm": node.raise_memory_alarm,
              "clear_memory_alarm": node.clear_memory_alarm, "close_connections": node.close_connections,
              "isolate": node.isolate}
    if words and words[0] in simple and len(words) == 1:
        simple[words[0]]()
        return ""
    if len(words) == 2 and words[0] == "leader":
        return str([other.name for other in nodes].index(node.leader(words[1])))
    if len(words) > 1 and words[0] == "ctl":
        return node.ctl(*words[1:])
    raise BrokerFailed(f"unknown: {line}")


def _serve(nodes, listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            try:
                answer = "ok\n" + _obey(nodes, stream.readline().strip())
            except Exception as error:  # whatever it was, the test is to read it
                answer = f"error\n{error}"
            try:
                stream.write(answer)
                stream.flush()
            except OSError:
                pass


def main(arguments):
    if "--" not in arguments:
        sys.exit(__doc__)
    options, command = arguments[:arguments.index("--")], arguments[arguments.index("--") + 1:]
    if not is_installed():
        sys.exit("RabbitMQ is not installed: cmake/install-dependencies build")
    given = lambda name: [option for before, option in zip(options, options[1:]) if before == name]
    config = dict(option.split("=", 1) for option in given("--config"))
    size = int((given("--nodes") or ["1"])[0])
    with tempfile.TemporaryDirectory(prefix="postfleet-broker-run-") as directory:
        environment = dict(os.environ)
        tls = None
        if "--tls" in options:
            certificates = Certificates(directory)
            tls = (*certificates.server, certificates.ca)
            environment["POSTFLEET_TEST_CERTIFICATES"] = directory
        with RabbitMqCluster(size, config) if size > 1 else RabbitMq(config=config, tls=tls) as broker:
            nodes = broker.nodes if size > 1 else [broker]
            path = os.path.join(directory, "control")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()
                threading.Thread(target=_serve, args=(nodes, listener), daemon=True).start()
                environment.update(POSTFLEET_TEST_AMQP_URL=broker.url, POSTFLEET_TEST_AMQP_CONTROL=path)
                if tls:
                    environment["POSTFLEET_TEST_AMQPS_URL"] = broker.tls_url
                return subprocess.call(command, env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
