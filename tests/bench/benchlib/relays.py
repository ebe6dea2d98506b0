"""The relays that are compared: each starts on a fresh directory, says where it listens, and ends."""

import os
import pwd
import shutil
import subprocess
import time

from .processes import BenchError, end, free_port, start, wait_for_port


class Relay:
    """One relay, running between start() and stop()."""

    name = ""
    title = ""

    def __init__(self, programs, directory, sessions):
        self.programs = programs
        self.directory = os.path.join(directory, self.name)
        self.sessions = sessions
        self.port = free_port()
        self.process = None

    def start(self, sink_port):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.launch(sink_port)
        wait_for_port(self.port, self.process)

    def stop(self):
        if self.process is not None:
            end(self.process)
        self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def pid(self):
        return self.process.pid

    def path(self, name):
        return os.path.join(self.directory, name)


    def make_key(self, kind):
        key = self.path("dkim.pem")
        subprocess.run([self.programs["postfleet"], "dkim", "key", "--domain", "bench.test", "--selector", "s1", "--type",
                        kind, "--out", key], check=True, capture_output=True, timeout=60)
        return key


class BareForwarder(Relay):
    name = "bare"
    title = "bare forwarder"

    def more_arguments(self):
        return []

    def launch(self, sink_port):
        self.process = start([self.programs["bare_forwarder"], f"127.0.0.1:{self.port}", f"127.0.0.1:{sink_port}",
                              self.path("log"), str(os.cpu_count()), str(self.sessions), *self.more_arguments()],
                             self.path("output"))


class RsaBareForwarder(BareForwarder):
    """Signs a hash of every message on its loops: the least that DKIM costs."""

    name = "bare-rsa"
    title = "bare, RSA-2048"

    def more_arguments(self):
        return [self.make_key("rsa")]


POSTFLEET_CONFIG = """\
hostname: bench.test
data_dir: {directory}/data
listeners:
  relay: {{address: "127.0.0.1:{port}", relay_from: ["127.0.0.0/8"]}}
virtual_mtas:
  bench: {{source: 127.0.0.1, ehlo: bench.test}}
default_virtual_mta: bench
routes:
  "*": ["127.0.0.1:{sink_port}"]
shaping:
  - {{max_connections: {sessions}, max_messages_per_connection: unlimited}}
reports:
  - {{type: file, path: {directory}/events.jsonl}}
"""


class Postfleet(Relay):
    name = "postfleet"
    title = "Postfleet"

    def more_configuration(self):
        return ""

    def launch(self, sink_port):
        config = self.path("config")
        os.makedirs(config)
        with open(os.path.join(config, "postfleet.yaml"), "w") as file:
            file.write(POSTFLEET_CONFIG.format(directory=self.directory, port=self.port, sink_port=sink_port,
                                               sessions=self.sessions) + self.more_configuration())
        self.process = start([self.programs["postfleet"], "standalone", "--config", config], self.path("output"))


class RsaPostfleet(Postfleet):
    """Signs every message with DKIM."""

    name = "postfleet-rsa"
    title = "Postfleet, RSA-2048"
    key_type = "rsa"

    def more_configuration(self):
        key = self.make_key(self.key_type)
        return f"dkim:\n  - {{domain: bench.test, selector: s1, key_file: {key}, match: \"*\"}}\n"


class Ed25519Postfleet(RsaPostfleet):
    name = "postfleet-ed25519"
    title = "Postfleet, Ed25519"
    key_type = "ed25519"


# Tuned for relaying: many processes, many connections to the one next hop, connections reused, no brakes.
POSTFIX_MAIN = """\
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log/maillog
maillog_file_prefixes = {directory}
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{sink_port}
smtp_dns_support_level = disabled
smtp_host_lookup = native
default_process_limit = 200
default_destination_concurrency_limit = 100
initial_destination_concurrency = 100
smtp_connection_cache_destinations = [127.0.0.1]:{sink_port}
in_flow_delay = 0
qmgr_message_active_limit = 40000
qmgr_message_recipient_limit = 40000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
message_size_limit = 0
"""

POSTFIX_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Relay):
    """Debian's Postfix as an instance of its own: the system's configuration and queue are not touched."""

    name = "postfix"
    title = "Postfix"

    def launch(self, sink_port):
        if os.geteuid() != 0:
            raise BenchError("Postfix starts only as root; run as root or leave it out with ARGS=\"--relays bare,postfleet\"")
        try:
            owner = pwd.getpwnam("postfix")
        except KeyError:
            raise BenchError("Postfix is not installed (apt-get install postfix)") from None
        os.chmod(self.directory, 0o755)
        for name in ("config", "queue", "data", "log"):
            os.makedirs(self.path(name))
        os.chown(self.path("data"), owner.pw_uid, owner.pw_gid)
        values = {"directory": self.directory, "port": self.port, "sink_port": sink_port}
        for name, text in (("main.cf", POSTFIX_MAIN), ("master.cf", POSTFIX_MASTER)):
            with open(os.path.join(self.path("config"), name), "w") as file:
                file.write(text.format(**values))
        for name in ("postfix-files", "dynamicmaps.cf"):
            shutil.copy(os.path.join("/etc/postfix", name), self.path("config"))
        self.postfix("start")

    def postfix(self, command):
        done = subprocess.run(["postfix", "-c", self.path("config"), command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0 and command == "start":
            raise BenchError(f"postfix {command}: {(done.stdout + done.stderr).strip()}")

    def pid(self):
        with open(self.path("queue/pid/master.pid")) as file:
            return int(file.read())

    def stop(self):
        if os.path.exists(self.path("config/main.cf")):
            self.end_master()
        shutil.rmtree(self.directory, ignore_errors=True)

    def end_master(self):
        try:
            pid = self.pid()
        except (OSError, ValueError):
            return
        self.postfix("abort")
        limit = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < limit:
            time.sleep(0.05)


RELAYS = {relay.name: relay for relay in (BareForwarder, Postfleet, Postfix, RsaBareForwarder, RsaPostfleet,
                                             Ed25519Postfleet)}
DEFAULT_RELAYS = ("bare", "postfleet", "postfix")
