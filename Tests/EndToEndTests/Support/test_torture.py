"""Tests of the judges of the torture scenarios: the model of a disk that loses power, the oracle, the parser of traces."""

import os
import random
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture"))
from power import KEEP, Disk  # noqa: E402
from rig import Failed, random_vectors  # noqa: E402
from syscalls import Calls, publication  # noqa: E402
from truth import Ledger, Tokenizer  # noqa: E402

import numpy  # noqa: E402


class DiskTests(unittest.TestCase):
    def image(self, records, mode="nothing", seed=1, **options):
        """What a power loss after these records leaves: {path: bytes}."""
        disk = Disk("/d", **options)
        for record in records:
            disk.apply(*record)
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "image")
            disk.write_image(target, random.Random(seed), KEEP[mode])
            found = {}
            for path, _, files in os.walk(target):
                for name in files:
                    with open(os.path.join(path, name), "rb") as file:
                        found[os.path.relpath(file.name, target)] = file.read()
            return found

    CREATED = [(b"c", 7, 0, b"/d/a"), (b"w", 7, 0, b"x" * 1000)]

    def test_what_was_not_synced_may_be_lost(self):
        self.assertEqual(self.image(self.CREATED), {})
        self.assertEqual(self.image(self.CREATED, "everything"), {"a": b"x" * 1000})

    def test_a_name_needs_a_sync_of_its_folder_and_bytes_one_of_their_file(self):
        name, data = (b"s", 1, 0, b"/d"), (b"s", 7, 0, b"/d/a")
        self.assertEqual(self.image(self.CREATED + [name]), {"a": b""})
        self.assertEqual(self.image(self.CREATED + [data]), {})
        self.assertEqual(self.image(self.CREATED + [data, name]), {"a": b"x" * 1000})
        self.assertEqual(self.image(self.CREATED + [data, name], folder_syncs=False), {})
        self.assertEqual(self.image(self.CREATED + [data, name], file_syncs=False), {"a": b""})

    def test_writes_tear_at_sectors(self):
        images = {self.image(self.CREATED + [(b"s", 1, 0, b"/d")], "half", seed)["a"] for seed in range(40)}
        self.assertEqual(
            images, {b"", b"x" * 512, bytes(512) + b"x" * 488, b"x" * 1000})

    def test_a_rename_happens_whole_or_not_at_all(self):
        records = self.CREATED + [
            (b"m", 0, 0, b"/d/new"), (b"s", 7, 0, b"/d/a"), (b"s", 1, 0, b"/d"), (b"r", 0, 0, b"/d/a\0/d/new/b")]
        images = {tuple(self.image(records, "half", seed)) for seed in range(20)}
        self.assertEqual(images, {("a",), ("new/b",)})
        self.assertEqual(tuple(self.image(records + [(b"s", 2, 0, b"/d/new")])), ("new/b",))

    def test_a_file_that_was_written_after_its_sync_keeps_what_was_synced(self):
        records = self.CREATED + [(b"s", 7, 0, b"/d/a"), (b"s", 1, 0, b"/d"), (b"w", 7, 0, b"y" * 4), (b"t", 7, 2, b"")]
        self.assertEqual(self.image(records), {"a": b"x" * 1000})
        self.assertEqual(self.image(records, "everything"), {"a": b"yy"})


class JudgeTests(unittest.TestCase):
    def test_an_identifier_that_was_answered_is_nobody_elses_and_stays(self):
        ledger = Ledger()
        ledger.observe({b"a": (1, 2), b"b": (3, 4)})
        ledger.observe({b"b": (3, 4)})
        self.assertRaises(Failed, ledger.observe, {b"a": (1, 3)})
        self.assertRaises(Failed, ledger.observe, {b"c": (1, 2)})

    def test_the_tokenizer_gives_nearest_codes_level_by_level(self):
        tokenizer = Tokenizer()
        vectors = random_vectors(20, numpy.random.default_rng(1))
        codes, certain = tokenizer.natural(vectors)
        self.assertTrue(certain.sum() > 15)
        rows = vectors.astype(float)
        for number, (weight, bias) in enumerate(tokenizer.layers):
            rows = rows @ weight.T + bias
            rows = rows if number + 1 == len(tokenizer.layers) else rows.clip(0)
        for row, latent in enumerate(rows):
            for book, code in zip(tokenizer.books, codes[row]):
                self.assertEqual(numpy.linalg.norm(book - latent, axis=1).argmin(), code)
                latent = latent - book[code]


class TraceTests(unittest.TestCase):
    def test_calls_that_others_interrupt_are_put_together(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('1 fsync(3</s/a> <unfinished ...>\n2 rename("/s/x", "/s/y") = 0\n1 <... fsync resumed>) = 0\n')
            file.flush()
            calls = Calls(file.name).all
        self.assertEqual([(name, arguments) for _, name, arguments, _ in calls], [
            ("rename", '"/s/x", "/s/y"'), ("fsync", "3</s/a>")])

    def test_a_publication_without_its_syncs_is_refused(self):
        self.assertRaises(Failed, publication, [
            ("1", "renameat2", 'AT_FDCWD, "/s/.t", AT_FDCWD, "/s/generations/000001"', "0")], "/s")


if __name__ == "__main__":
    unittest.main()
