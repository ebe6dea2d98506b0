"""Programs of others that verify DKIM signatures: dkimpy, Perl's Mail::DKIM, OpenDKIM, Rspamd.

Each takes message files and the records that a DnsServer serves, and gives for every file the number of its good
signatures as text, or what is wrong. `kinds` are the algorithms that it knows, others are not counted. may_be_asked()
is False for what it is known to misread.
"""

import http.client
import json
import os
import re
import shutil
import subprocess

from harness import Process, free_port, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 100


def output_of(command, deadline=600):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=deadline)
    assert done.returncode == 0, f"{command[:4]}: {done.stderr[-2000:]}"
    return done.stdout


class Verifier:
    kinds = ("rsa", "ed25519")
    packages = ""

    def __init__(self, folder, records, dns):
        self.folder, self.records, self.dns = folder, records, dns

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def may_be_asked(content):
        return True

    def verify(self, paths):
        results = []
        for at in range(0, len(paths), BATCH):
            results += self.verify_some(paths[at:at + BATCH])
        assert len(results) == len(paths), f"{self.title}: {len(results)} results for {len(paths)} messages"
        return results

    def close(self):
        pass


class Dkimpy(Verifier):
    title, packages = "dkimpy", "python3-dkim python3-nacl"

    @staticmethod
    def is_installed():
        return subprocess.run(["/usr/bin/python3", "-c", "import dkim, nacl"], capture_output=True).returncode == 0

    def verify_some(self, paths):
        records = self.path("records.json")
        with open(records, "w") as f:
            json.dump(self.records, f)
        return output_of(["/usr/bin/python3", os.path.join(HERE, "dkim_verify.py"), records] + paths).split("\n")[:-1]


class MailDkim(Verifier):
    title, packages, kinds = "Mail::DKIM", "libmail-dkim-perl", ("rsa",)

    @staticmethod
    def is_installed():
        return subprocess.run(["perl", "-MMail::DKIM::Verifier", "-e1"], capture_output=True).returncode == 0

    def verify_some(self, paths):
        return output_of(["perl", os.path.join(HERE, "dkim_verify.pl"), str(self.dns.port)] + paths).split("\n")[:-1]


class OpenDkim(Verifier):
    """In its test mode, which opens no socket and needs no name server, and loses white space behind the colon."""

    title, packages = "OpenDKIM", "opendkim"

    @staticmethod
    def may_be_asked(content):
        return b" c=simple/" not in content[:400]

    @staticmethod
    def is_installed():
        return shutil.which("opendkim") is not None

    def verify_some(self, paths):
        keys, config = self.path("opendkim.keys"), self.path("opendkim.conf")
        with open(keys, "w") as f:
            f.writelines(f"{name} {text}\n" for name, text in self.records.items())
        with open(config, "w") as f:
            f.write(f"Mode v\nTestDNSData file:{keys}\n")
        results = []
        for path in paths:  # one by one: a file that stops it must not hide the others
            done = subprocess.run(["opendkim", "-x", config, "-vv", "-t", path], capture_output=True, text=True,
                                  errors="replace", timeout=60)
            verdicts = re.findall(r"\bdkim=(\w+)", done.stdout)
            is_good = done.returncode == 0 and verdicts and set(verdicts) == {"pass"}
            results.append(str(len(verdicts)) if is_good else f"bad {verdicts} {done.stdout[-300:]} {done.stderr[-300:]}")
        return results


class Rspamd(Verifier):
    """A server of its own on a free port, asking our name server; the first start takes a while.

    Relaxed, a body of nothing but white space is an empty one (RFC 6376 §3.4.4), which Rspamd 3.4 does not see.
    """

    title, packages = "Rspamd", "rspamd"

    @staticmethod
    def may_be_asked(content):
        body = content.partition(b"\r\n\r\n")[2]
        return not body or bool(body.strip())
    CONFIG = """\
options {{
  pidfile = "{0}/rspamd.pid"; temp_dir = "{0}"; dynamic_conf = "{0}/rspamd.dynamic"; rrd = "";
  history_file = "{0}/rspamd.history"; stats_file = "{0}/rspamd.stats"; control_socket = "{0}/rspamd.control mode=0600";
  filters = "dkim"; local_addrs = [];
  dns {{ nameserver = ["127.0.0.1:{1}"]; timeout = 5s; }}
}}
logging {{ type = "console"; level = "error"; }}
dkim {{ check_local = true; check_authed = true; max_sigs = 10; }}
worker "normal" {{ bind_socket = "127.0.0.1:{2}"; count = 1; }}
actions {{ reject = 1000; }}
group "dkim" {{ symbols {{
  "R_DKIM_ALLOW" {{ weight = 0; }} "R_DKIM_REJECT" {{ weight = 0; }} "DKIM_TRACE" {{ weight = 0; }}
  "R_DKIM_TEMPFAIL" {{ weight = 0; }} "R_DKIM_PERMFAIL" {{ weight = 0; }} }} }}
"""

    @staticmethod
    def is_installed():
        return shutil.which("rspamd") is not None

    def __init__(self, folder, records, dns):
        super().__init__(folder, records, dns)
        self.port = free_port()
        config = self.path("rspamd.conf")
        with open(config, "w") as f:
            f.write(self.CONFIG.format(folder, dns.port, self.port))
        self.process = Process(["rspamd", "-f", "-i", "-c", config], self.path("rspamd.log"))
        wait_for(self.is_up, "Rspamd's start", 300, .2)

    def is_up(self):
        assert self.process.child.poll() is None, self.process.output()
        try:
            return self.ask("GET", "/ping").startswith(b"pong")
        except OSError:
            return False

    def ask(self, method, path, content=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, content)
            return connection.getresponse().read()
        finally:
            connection.close()

    def verify_some(self, paths):
        results = []
        for path in paths:
            with open(path, "rb") as f:
                symbols = json.loads(self.ask("POST", "/checkv2", f.read())).get("symbols", {})
            bad = {name: symbol for name, symbol in symbols.items() if name.startswith("R_DKIM_") and name != "R_DKIM_ALLOW"}
            good = symbols.get("R_DKIM_ALLOW", {}).get("options", [])
            results.append(f"bad {bad}" if bad else str(len(good)))
        return results

    def close(self):
        self.process.terminate()


EVERY_RUN = (Dkimpy, MailDkim)
ALL = (Dkimpy, MailDkim, OpenDkim, Rspamd)
