"""A real PostgreSQL for tests: Debian's server as a private cluster in a temporary folder.

    with Postgres() as server:                 # started, empty
        server.url                             # postgresql://postgres@127.0.0.1:PORT/postgres
        server.kill(); server.start()          # kill -9 of the whole server, then a restart with the data kept
        server.pause(); server.resume()        # SIGSTOP, SIGCONT: accepts connections and never answers
        server.query("SELECT 1")

It has a port, folder and socket of its own. PostgreSQL refuses to run as root, so that root runs it as postgres or nobody.

As a program it runs a command with the address in POSTFLEET_TEST_POSTGRES_URL, for tests that are not Python; the
command finds how to handle the server in POSTFLEET_TEST_POSTGRES_CONTROL, a Unix socket that takes one line per
connection ("kill", "start", "pause", "resume") and answers "ok" or "error", then text.

    tests/support/brokers/postgres.py -- COMMAND...
"""
import atexit
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

START_SECONDS = 60


def folder_of_programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else os.path.dirname(shutil.which("initdb") or "")


def is_installed():
    return os.path.exists(os.path.join(folder_of_programs(), "postgres"))


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


def user_to_run_as():
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Postgres:
    def __init__(self, settings=()):
        self.base = tempfile.mkdtemp(prefix="pf-postgres-")
        self.data = os.path.join(self.base, "data")
        self.user = user_to_run_as()
        if self.user:
            os.chmod(self.base, 0o755)
            os.chown(self.base, self.user.pw_uid, self.user.pw_gid)
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.settings = list(settings)
        self.child = None
        atexit.register(self.close)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
                  "--no-instructions")

    def _options(self):
        options = {"env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"}, "cwd": self.base, "stdin": subprocess.DEVNULL}
        if self.user:
            options.update(user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[])
        return options

    def _run(self, program, *arguments):
        done = subprocess.run([os.path.join(folder_of_programs(), program), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, **self._options())
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}")
        return done.stdout

    def start(self):
        assert self.child is None
        with open(os.path.join(self.base, "log"), "ab") as log:
            # fsync off: the machine does not lose its power in a test, and kill -9 loses nothing that was written.
            settings = ["fsync=off", "listen_addresses=127.0.0.1", f"port={self.port}", "max_connections=50",
                        f"unix_socket_directories={self.base}", *self.settings]
            arguments = [argument for setting in settings for argument in ("-c", setting)]
            # A group of its own, so that its many processes can be ended at once.
            self.child = subprocess.Popen([os.path.join(folder_of_programs(), "postgres"), "-D", self.data, *arguments],
                                          stdout=log, stderr=log, start_new_session=True, **self._options())
        end = time.monotonic() + START_SECONDS
        while not self.is_answering():
            if self.child.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL has not started:\n" + self.log())
            time.sleep(0.05)
        return self

    def is_answering(self):
        done = subprocess.run([os.path.join(folder_of_programs(), "pg_isready"), "-q", "-h", "127.0.0.1", "-p",
                               str(self.port), "-t", "3"], stdin=subprocess.DEVNULL)
        return done.returncode == 0

    def log(self):
        with open(os.path.join(self.base, "log"), errors="replace") as f:
            return f.read()[-4000:]

    def query(self, sql):
        return self._run("psql", "-XAtq", "-d", self.url, "-c", sql).strip()

    def _processes(self):
        """The server and its children: each of them is a session leader or the like, so the group is not enough."""
        found = [self.child.pid]
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.child.pid:
                    found.append(int(path.split("/")[2]))
            except (OSError, IndexError):
                continue
        return found

    def _signal(self, number):
        for process in self._processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    def kill(self):
        """kill -9 of everything that belongs to it."""
        if self.child is None:
            return
        self._signal(signal.SIGKILL)
        self.child.wait()
        self.child = None
        pid_file = os.path.join(self.data, "postmaster.pid")
        if os.path.exists(pid_file):
            os.unlink(pid_file)

    def stop(self):
        if self.child is None:
            return
        self.child.send_signal(signal.SIGINT)  # "fast": sessions are ended
        self.child.wait(60)
        self.child = None

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def close(self):
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


def serve_control(server, listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            command = stream.readline().strip()
            try:
                if command not in ("kill", "start", "pause", "resume"):
                    raise ValueError(f"no command {command!r}")
                getattr(server, command)()
                stream.write("ok\n")
            except Exception as error:  # to be told to the one who asked
                stream.write(f"error {error}\n")


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        sys.exit("usage: postgres.py -- COMMAND...")
    if not is_installed():
        sys.exit("PostgreSQL is not installed (cmake/install-dependencies)")
    with Postgres() as server, socket.socket(socket.AF_UNIX) as listener:
        control = os.path.join(server.base, "control")
        listener.bind(control)
        listener.listen()
        threading.Thread(target=serve_control, args=(server, listener), daemon=True).start()
        environment = {**os.environ, "POSTFLEET_TEST_POSTGRES_URL": server.url,
                       "POSTFLEET_TEST_POSTGRES_CONTROL": control}
        status = subprocess.run(sys.argv[2:], env=environment).returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
