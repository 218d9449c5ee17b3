"""Tests of the plain writer, the oracle and the Debian catalog: above all that the oracle sees what is wrong.

usage: /usr/bin/python3 -m unittest discover -s Tests/EndToEndTests/Support
"""

import importlib.machinery
import importlib.util
import http.server
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import catalog_files  # noqa: E402
import hashing_reference  # noqa: E402


class SupportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="letter-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.catalog = os.path.join(self.folder, "catalog")

    def tool(self, name, *arguments, status=0):
        result = subprocess.run(
            [sys.executable, os.path.join(HERE, name), *arguments], capture_output=True, text=True
        )
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def write(self, *arguments):
        return self.tool("plain_writer.py", *arguments)[0]

    def dump(self, name, entries):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            for item, codes in entries:
                file.write(json.dumps({"item": item, "codes": codes}) + "\n")
        return path

    def make(self, count=20):
        self.write("create", self.catalog, "--dimension", "8")
        ids = self.write("add", self.catalog, str(count), "--prefix", "item-")["ids"]
        return [(item, [number, 1, 2, 3]) for number, item in enumerate(sorted(ids))]


class WriterTests(SupportTest):
    def test_what_it_says_is_what_it_did(self):
        entries = self.make()
        before = self.read()
        edited = self.write("edit", self.catalog, "5")
        self.assertEqual({item for item in before if before[item] != self.read()[item]}, set(edited["ids"]))
        deleted = self.write("delete", self.catalog, "3")
        self.assertEqual(before.keys() - self.read().keys(), set(deleted["ids"]))
        self.assertEqual(len(entries) - 3, len(self.read()))
        self.assertGreater(deleted["txnid"], edited["txnid"])
        self.assertGreater(deleted["committed_ns"], edited["committed_ns"])

    def test_the_same_seed_writes_the_same(self):
        self.make()
        first = self.read()
        self.catalog += "-again"
        self.make()
        self.assertEqual(first, self.read())

    def test_ids_that_are_not_text_go_round(self):
        for key in (b"a", b"\xff\x00", b"base64:x", "é".encode()):
            self.assertEqual(catalog_files.id_bytes(catalog_files.id_text(key)), key)
        self.assertEqual(catalog_files.id_text(b"\xff"), "base64:/w==")

    def read(self):
        catalog = catalog_files.Catalog(self.catalog)
        embeddings = catalog.database("embeddings")
        with catalog.environment.begin() as transaction:
            items = {key.decode(): bytes(value) for key, value in transaction.cursor(db=embeddings)}
        catalog.environment.close()
        return items


class OracleTests(SupportTest):
    def check(self, entries, status, *options):
        return self.tool("oracle.py", "check", self.catalog, self.dump("dump", entries), *options, status=status)[0]

    def test_it_accepts_what_is_right(self):
        self.assertEqual(self.check(self.make(), 0)["items"], 20)

    def test_it_sees_what_is_wrong(self):
        entries = self.make()
        wrong = {
            "missing": entries[:-1],
            "foreign": entries + [("z", [99, 0, 0, 0])],
            "twice": entries[:1] + entries,
            "shared": entries[:-1] + [(entries[-1][0], entries[0][1])],
            "order": entries[1:] + entries[:1],
            "short": entries[:-1] + [(entries[-1][0], [9, 9, 9])],
            "range": entries[:-1] + [(entries[-1][0], [9, 9, 9, 256])],
        }
        for name, dump in wrong.items():
            with self.subTest(name):
                self.assertTrue(self.check(dump, 1)["problems"])

    def test_policies_differ(self):
        entries = self.make()
        longer = [(item, codes + [number]) for number, (item, codes) in enumerate(entries)]
        twins = longer[:-1] + [(longer[-1][0], longer[0][1])]
        shared = entries[:-1] + [(entries[-1][0], entries[0][1])]
        self.check(longer, 0, "--policy", "suffix")
        self.check(longer, 1)
        self.check(entries, 1, "--policy", "suffix")
        self.check(twins, 1, "--policy", "suffix")
        self.check(longer[:-1] + [(longer[-1][0], [1, 2, 3, 4, 65536])], 1, "--policy", "suffix")
        self.check(shared, 0, "--policy", "share")

    def test_bad_records_need_no_identifier(self):
        entries = self.make()
        self.write("spoil", self.catalog, "nan", "--ids", entries[0][0], "another")
        self.assertEqual(self.check(entries, 0)["unusable"], 2)
        self.assertEqual(self.check(entries[1:], 0)["unusable"], 2)
        self.check(entries[2:], 1)

    def test_it_sees_who_moved(self):
        before = [(f"i{number}", [number, 0, 0, 0]) for number in range(10)]
        changes = {"added": ["new"], "deleted": ["i9"], "edited": ["i0"]}
        ids = {name: self.ids(name, items) for name, items in changes.items()}
        options = [part for name, path in ids.items() for part in ("--" + name, path)]
        right = before[:9] + [("new", [50, 0, 0, 0])]
        moved = [("i0", [60, 0, 0, 0])] + right[1:]
        other = [right[0], ("i1", [60, 0, 0, 0])] + right[2:]
        reused = before[:9] + [("new", before[9][1])]
        self.compare(before, right, options, 0)
        self.compare(before, moved, options, 1)
        self.compare(before, moved, options + ["--reassigned"], 0)
        self.compare(before, other, options + ["--reassigned"], 1)
        self.compare(before, reused, options, 1)
        self.compare(before, reused, options + ["--policy", "share"], 0)
        left = moved[:9] + [("new", before[0][1])]
        self.compare(before, left, options + ["--reassigned"], 1)
        self.compare(before, before, options, 1)
        self.compare(before, right, [], 1)

    def test_equal(self):
        first, second = self.dump("a", [("x", [1])]), self.dump("b", [("x", [2])])
        self.tool("oracle.py", "equal", first, first)
        self.tool("oracle.py", "equal", first, second, status=1)

    def test_it_sees_wrong_answers(self):
        entries = [(f"i{number}", [number // 4, number % 4, 0]) for number in range(10)]
        dump = self.dump("dump", entries)
        with FakeDaemon(os.path.join(self.folder, "socket"), entries) as socket:
            self.assertEqual(self.tool("oracle.py", "answers", dump, socket)[0]["prefixes"], 1 + 3 + 10 + 10)
        wrong = {
            "unknown": entries[1:],
            "another": entries + [("j", [3, 0, 0])],
            "shared": entries + [("j", [0, 0, 0])],
            "moved": [("i0", [5, 0, 0])] + entries[1:],
        }
        for name, answers in wrong.items():
            with self.subTest(name), FakeDaemon(os.path.join(self.folder, "socket"), answers) as socket:
                self.tool("oracle.py", "answers", dump, socket, status=1)

    def ids(self, name, items):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            json.dump({"ids": items}, file)
        return path

    def compare(self, before, after, options, status):
        self.tool("oracle.py", "compare", self.dump("b", before), self.dump("a", after), *options, status=status)


class FakeDaemon:
    """Answers lookups from a list of (item, codes)."""

    def __init__(self, path, entries):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps({"generation": 1, **answer(entries, request)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self):
                return "local"

            def log_message(self, *arguments):
                pass

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.path = path
        self.server = Server(path, Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self.path

    def __exit__(self, *arguments):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)


def answer(entries, request):
    codes = dict(entries)
    if "ids" in request:
        return {"items": [{"item": item, "codes": codes.get(item)} for item in request["ids"]]}
    if "identifiers" in request:
        return {
            "identifiers": [
                {"codes": asked, "items": [item for item, its in entries if its == asked]}
                for asked in request["identifiers"]
            ]
        }
    answers = []
    for prefix in request["prefixes"]:
        below = [its for _, its in entries if its[: len(prefix)] == prefix]
        following = sorted({its[len(prefix)] for its in below if len(its) > len(prefix)})
        answers.append({"prefix": prefix, "next": following, "items": len(below)})
    return {"answers": answers}


class DebianCatalogTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = os.path.join(HERE, "..", "..", "..", "Tools", "debian-catalog")
        loader = importlib.machinery.SourceFileLoader("debian_catalog", path)
        cls.tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("debian_catalog", loader))
        loader.exec_module(cls.tool)

    INDEX = """Package: a
Pre-Depends: c (>= 1)
Depends: b:any (>= 2) | x, x | c, b [amd64]
Section: non-free/web
Description: first
 Long text
 in two lines.
 .
 And more.

Package: b
Depends: c
Description: second
Tag: role::shared-lib, use::testing

Package: c
Description: third
"""

    def packages(self):
        return {record["Package"]: record for record in self.tool.records(self.INDEX)}

    def test_items(self):
        packages = self.packages()
        self.assertEqual(
            self.tool.item(packages["a"], {}),
            {"id": "a", "title": "a: first", "categories": ["web"], "description": "Long text in two lines. And more."},
        )
        self.assertEqual(self.tool.item(packages["b"], {})["description"], "role shared-lib, use testing")

    def test_sequences_and_choice(self):
        packages = self.packages()
        self.assertEqual(self.tool.interactions(packages, {"a", "b", "c"}), {"a": ["c", "b"]})
        self.assertEqual(self.tool.choose(packages, 2), ["c", "b"])


class HashingTests(unittest.TestCase):
    def test_unit_length(self):
        vector = hashing_reference.embed("Übergröße, größer als 12", 64)
        self.assertAlmostEqual(sum(value * value for value in vector), 1, places=6)


if __name__ == "__main__":
    unittest.main()
