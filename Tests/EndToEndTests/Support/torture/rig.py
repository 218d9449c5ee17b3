"""A catalog, a state directory and the real executables in a folder of their own, for scenarios written in Python."""

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from catalog_files import FORMAT, Catalog, id_bytes, id_text  # noqa: E402
from control_socket import Control  # noqa: E402

DIMENSION = 384
SUPPORT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKENIZER = os.path.join(
    SUPPORT, "..", "..", "TokenizerFixtures", "Fixtures", "scientific-frozen-tokenizer.safetensors")
# A loaded machine must not fail a test; a daemon that hangs must.
PATIENCE = 120.0


class Failed(Exception):
    """What had to hold does not."""


class Skipped(Exception):
    """The scenario cannot run here; says why."""


def expect(condition, message):
    if not condition:
        raise Failed(message() if callable(message) else message)


class Settings:
    """What the whole run shares."""

    def __init__(self, letterd, letter, seed, short, kills, minutes, keep):
        self.letterd, self.letter, self.seed, self.short = letterd, letter, seed, short
        self.kills, self.minutes, self.keep = kills, minutes, keep
        self.folder = tempfile.mkdtemp(prefix="lt-")
        self.deadline = time.monotonic() + 60 * minutes if minutes else None

    def pick(self, short, full):
        """One of two sizes: as CI runs it, and at full length."""
        return short if self.short else full

    def time_is_up(self):
        return self.deadline is not None and time.monotonic() > self.deadline

    def model(self):
        """The golden frozen tokenizer as a model directory, made once."""
        path = os.path.join(self.folder, "model")
        if not os.path.exists(path):
            subprocess.run(
                [self.letter, "tokenizer", "import", TOKENIZER, "--output", path], check=True,
                stdout=subprocess.DEVNULL)
        return path

    def close(self):
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Rig:
    """One site. Use as a context manager: ends what it started and removes its folder."""

    def __init__(self, settings, name):
        self.settings = settings
        self.folder = tempfile.mkdtemp(prefix=name + "-", dir=settings.folder)
        self.catalog = os.path.join(self.folder, "catalog")
        self.state = os.path.join(self.folder, "state")
        self.socket = os.path.join(self.folder, "s.sock")
        self.log = os.path.join(self.folder, "letterd.log")
        self.process = None
        self.others = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process is not None and self.process.poll() is None:
            self.kill_traced()
        for process in self.others:
            if process.poll() is None:
                process.kill()
            process.wait()
        if kind is not None and issubclass(kind, Failed) and os.path.exists(self.log):
            with open(self.log, errors="replace") as file:
                sys.stderr.write("last lines of letterd's log:\n" + "".join(file.readlines()[-15:]))
        if not self.settings.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # The catalog -----------------------------------------------------------------------------------------------------

    def make_catalog(self, items, generator, prefix="item-"):
        """Makes the catalog with this many random items; about one in ten is close to another, so that codes collide."""
        os.makedirs(self.catalog)
        catalog = Catalog(self.catalog, write=True, create=True, map_size=1 << 30, sync=False)
        meta, embeddings = catalog.database("meta", create=True), catalog.database("embeddings", create=True)
        vectors = random_vectors(items, generator)
        with catalog.environment.begin(write=True) as transaction:
            for key, value in ((b"format", FORMAT), (b"dimension", b"%d" % DIMENSION), (b"dtype", b"f32")):
                transaction.put(key, value, db=meta)
            for row in range(items):
                transaction.put(f"{prefix}{row:05}".encode(), vectors[row].tobytes(), db=embeddings)
        catalog.environment.sync(True)
        catalog.environment.close()

    def add(self, items, generator, prefix):
        """Adds items in one commit."""
        catalog = Catalog(self.catalog, write=True, map_size=1 << 30)
        embeddings = catalog.database("embeddings")
        vectors = random_vectors(items, generator)
        with catalog.environment.begin(write=True) as transaction:
            for row in range(items):
                transaction.put(f"{prefix}{row:05}".encode(), vectors[row].tobytes(), db=embeddings)
        catalog.environment.close()

    def delete(self, ids):
        """Deletes items in one commit."""
        catalog = Catalog(self.catalog, write=True, map_size=1 << 30)
        embeddings = catalog.database("embeddings")
        with catalog.environment.begin(write=True) as transaction:
            for key in ids:
                transaction.delete(key, db=embeddings)
        catalog.environment.close()

    # The daemon ------------------------------------------------------------------------------------------------------

    def command(self):
        return [
            self.settings.letterd, "--catalog", self.catalog, "--state", self.state, "--socket", self.socket,
            "--poll-interval", "10"]

    def launch(self, wrapper=(), environment=None, limit=None):
        """Starts letterd and returns at once. `wrapper` is what executes it; `limit` bounds the size of its files."""

        def prepare():
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(wrapper) + self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **(environment or {})}, preexec_fn=prepare, start_new_session=True)
        return self.process

    def start(self, **options):
        """Starts letterd and waits until it answers."""
        self.launch(**options)
        self.until_answers()

    def until_answers(self):
        end = time.monotonic() + PATIENCE
        while self.try_status() is None:
            status = self.process.poll()
            expect(status is None, lambda: f"letterd ended with {status} instead of answering")
            expect(time.monotonic() < end, "letterd does not answer")
            time.sleep(0.01)

    def try_status(self):
        """The status, or None if nobody answers, or somebody who is about to end."""
        try:
            status, answer = self.ask("GET", "/v1/status", timeout=10, failures=True)
        except (OSError, http.client.HTTPException):
            return None
        if status == 503 and answer["code"] == "control.ending":
            return None
        expect(status == 200, lambda: f"GET /v1/status: {status} {answer}")
        return answer

    def ask(self, method, target, body=None, timeout=PATIENCE, failures=False):
        """The answer's JSON. With `failures`, a refusal is (status, body) too; without, it fails the scenario."""
        connection = Control(self.socket, timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
            if failures:
                return response.status, answer
            expect(response.status == 200, lambda: f"{method} {target}: {response.status} {answer}")
            return answer
        finally:
            connection.close()

    def dump(self):
        """{item: codes} of all lines that came; what was cut short counts as far as it went."""
        found = {}
        connection = Control(self.socket, PATIENCE)
        try:
            connection.request("GET", "/v1/dump")
            response = connection.getresponse()
            if response.status != 200:
                response.read()
                return found
            data = b""
            try:
                while piece := response.read1(1 << 16):
                    data += piece
            except (OSError, http.client.HTTPException):
                pass
            for line in data.split(b"\n")[:-1]:
                record = json.loads(line)
                key = id_bytes(record["item"])
                expect(key not in found, lambda: f"item {id_text(key)} is dumped twice")
                found[key] = tuple(record["codes"])
        finally:
            connection.close()
        return found

    def status(self):
        return self.ask("GET", "/v1/status")

    def problems(self):
        """{code: problem} of the status."""
        return {problem["code"]: problem for problem in self.status()["problems"]}

    def until(self, what, condition, patience=PATIENCE):
        """Waits until a condition on the status holds; returns that status."""
        end = time.monotonic() + patience
        while True:
            status = self.try_status()
            if status is not None and condition(status):
                return status
            code = self.process.poll() if self.process else None
            expect(code is None, lambda: f"letterd ended with {code} while waiting: {what}")
            expect(time.monotonic() < end, lambda: f"waited in vain: {what}; {status}")
            time.sleep(0.02)

    def until_problem(self, patience=PATIENCE):
        """Waits until a problem is told, or every commit so far is answered for: the status, or None."""
        end = time.monotonic() + patience
        while True:
            if self.ask("POST", "/v1/wait", {"timeout_seconds": 0.2}, failures=True)[0] == 200:
                return None
            status = self.status()
            if status["problems"]:
                return status
            expect(time.monotonic() < end, lambda: f"neither a problem nor caught up: {status}")

    def caught_up(self):
        """Waits until every commit so far is answered for; deletions that are held are confirmed as a person would."""
        end = time.monotonic() + PATIENCE
        while True:
            status, answer = self.ask("POST", "/v1/wait", {"timeout_seconds": 5}, failures=True)
            if status == 200:
                return
            if "daemon.deletions_held" in self.problems():
                self.ask("POST", "/v1/catalog/confirm", failures=True)
            expect(time.monotonic() < end, lambda: f"never caught up: {answer}; {self.status()}")

    def publish(self):
        """Publishes the frozen tokenizer. Returns the command's exit status and what it said."""
        result = self.run_letter("generation", "publish", self.settings.model())
        return result.returncode, result.stdout + result.stderr

    def run_letter(self, *arguments):
        return subprocess.run(
            [self.settings.letter, *arguments], env={**os.environ, "LETTER_SOCKET": self.socket},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE)

    def publish_and_build(self):
        status, said = self.publish()
        expect(status == 0, lambda: f"publish: {status} {said}")
        self.caught_up()

    def kill(self, number=signal.SIGKILL):
        """Sends the daemon a signal and waits for its end. Returns how it ended, as subprocess says it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.end()

    def kill_traced(self):
        """Kills a daemon that runs under another program, and that program: all of its session."""
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.end()

    def end(self, patience=PATIENCE):
        """Waits for the daemon's own end."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise Failed("letterd does not end")

    def generation(self, number=1):
        return os.path.join(self.state, "generations", f"{number:06}")

    def index(self, number=1):
        return os.path.join(self.generation(number), "index.sqlite")

    def index_to_read(self, number=1):
        """The index where Python's SQLite can open it. It follows links, and so misses a mount of another process."""
        if not self.state.startswith("/proc/"):
            return self.index(number)
        copy = os.path.join(self.folder, "index.sqlite")
        for suffix in ("", "-wal"):
            shutil.copyfile(self.index(number) + suffix, copy + suffix)
        return copy

    def registry(self):
        return os.path.join(self.state, "letterd.sqlite")

    def log_text(self):
        with open(self.log, errors="replace") as file:
            return file.read()


def random_vectors(count, generator):
    """Directions of length one; about one in ten is near or equal to another."""
    vectors = generator.standard_normal((count, DIMENSION)).astype("<f4")
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    for row in range(1, count):
        draw = generator.random()
        if draw < 0.05:
            vectors[row] = vectors[generator.integers(row)]
        elif draw < 0.1:
            vectors[row] = vectors[generator.integers(row)] + 0.001 * vectors[row]
    return vectors


def closed(path):
    """Whether nobody listens at a socket path."""
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.connect(path)
        return False
    except OSError:
        return True
    finally:
        probe.close()
