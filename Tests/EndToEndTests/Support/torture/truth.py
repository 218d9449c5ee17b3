"""What must be true, worked out from the catalog, the tokenizer's file and the index's tables without any of Letter's
code: Python's lmdb and sqlite3, numpy in double precision."""

import hashlib
import json
import os
import sqlite3
import struct

import numpy

from rig import DIMENSION, TOKENIZER, Catalog, Failed, expect, id_text

LEVELS = 4
# Codes are compared where the gap to the second-nearest code is larger than float32 arithmetic may err by.
MARGIN = 1e-4


class Tokenizer:
    """The frozen tokenizer: its safetensors file, read by its format, and its formulas."""

    def __init__(self, path=TOKENIZER):
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
            data = file.read()
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                tensors[name] = numpy.frombuffer(data[first:last], "<f4").reshape(entry["shape"]).astype(float)
        depth = sum(name.startswith("encoder.") and name.endswith(".weight") for name in tensors)
        self.layers = [(tensors[f"encoder.{n}.weight"], tensors[f"encoder.{n}.bias"]) for n in range(depth)]
        self.books = [tensors[f"codebook.{level}"] for level in range(LEVELS)]

    def natural(self, vectors):
        """Codes (n, L), and whether each row's are beyond doubt (n)."""
        rows = numpy.asarray(vectors, float)
        for number, (weight, bias) in enumerate(self.layers):
            rows = rows @ weight.T + bias
            if number + 1 < len(self.layers):
                rows = numpy.maximum(rows, 0)
        codes, certain = [], numpy.ones(len(rows), bool)
        for book in self.books:
            distances = (rows**2).sum(1)[:, None] - 2 * rows @ book.T + (book**2).sum(1)
            best = distances.argmin(1)
            codes.append(best)
            two = numpy.partition(distances, 1, axis=1)
            certain &= two[:, 1] - two[:, 0] > MARGIN
            rows = rows - book[best]
        return numpy.stack(codes, 1), certain


class Ledger:
    """Every identifier that was ever answered: once answered it is that item's, and no other's, for good."""

    def __init__(self):
        self.codes, self.owners, self.answers = {}, {}, 0

    def observe(self, dump):
        self.answers += len(dump)
        for item, codes in dump.items():
            before = self.codes.setdefault(item, codes)
            expect(before == codes, lambda: f"item {id_text(item)} had {before} and has {codes}")
            owner = self.owners.setdefault(codes, item)
            expect(owner == item, lambda: f"{codes} was {id_text(owner)}'s and is {id_text(item)}'s")


def read_catalog(path):
    """{item: vector, or None where the record cannot be encoded}."""
    catalog = Catalog(path)
    embeddings = catalog.database("embeddings")
    found = {}
    with catalog.environment.begin() as transaction:
        for key, data in transaction.cursor(db=embeddings):
            vector = numpy.frombuffer(data, "<f4") if len(data) == 4 * DIMENSION else None
            found[bytes(key)] = vector if vector is not None and numpy.isfinite(vector).all() else None
    catalog.environment.close()
    return found


def codes_of(blob):
    return struct.unpack(f">{LEVELS}H", blob)


def open_sqlite(path):
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    return connection


def index_problems(path):
    """What contradicts itself in an index, as (where, what); empty if nothing does. SQLite's own check comes first."""
    problems = []
    try:
        connection = open_sqlite(path)
        try:
            for (line,) in connection.execute("PRAGMA integrity_check"):
                if line != b"ok":
                    problems.append(line.decode(errors="replace"))
            return problems or list(contradictions(connection))
        finally:
            connection.close()
    except (sqlite3.DatabaseError, struct.error) as error:
        return problems + [f"{type(error).__name__}: {error}"]


def contradictions(connection):
    """Tables of an index against each other, each from its own definition in Schema/index.sql."""
    def rows(sql):
        return connection.execute(sql).fetchall()

    items = rows("SELECT id, codes, natural, status FROM item")
    given = {item: codes_of(codes) for item, codes, _, _ in items if codes is not None}
    identifiers = {codes_of(codes): item for codes, item in rows("SELECT codes, item FROM identifier")}
    for item, codes in given.items():
        if identifiers.get(codes) != item:
            yield f"{id_text(item)} has {codes}, which identifier gives {identifiers.get(codes)}"
    for codes, item in identifiers.items():
        if given.get(item) != codes:
            yield f"{codes} is {id_text(item)}'s, which has {given.get(item)}"
    nodes = {}
    for codes in identifiers:
        for depth in range(1, LEVELS - 1):
            nodes[codes[:depth]] = nodes.get(codes[:depth], 0) + 1
    stored = {
        struct.unpack(f">{len(prefix) // 2}H", prefix) + (code,): count
        for prefix, code, count in rows("SELECT prefix, code, items FROM trie_node")}
    if stored != nodes:
        yield f"trie_node differs from identifier at {sorted(stored.items() ^ nodes.items())[:5]}"
    tombstones = {codes_of(codes): item for codes, item in rows("SELECT codes, item FROM tombstone")}
    for codes, item in tombstones.items():
        if codes in identifiers:
            yield f"{codes} is both a tombstone and {id_text(identifiers[codes])}'s"
        if item in given:
            yield f"{id_text(item)} has an identifier and a tombstone"
    collisions = {item: (codes_of(b), codes_of(c)) for item, b, c in rows("SELECT item, bucket, codes FROM collision")}
    for item, (_, codes) in collisions.items():
        if given.get(item) != codes:
            yield f"collision says {codes} of {id_text(item)}, which has {given.get(item)}"
    quarantined = {item for (item,) in rows("SELECT item FROM quarantine")}
    marked = {item for item, _, _, status in items if status == 2}
    if quarantined != marked:
        yield f"quarantine and item differ: {[id_text(item) for item in sorted(quarantined ^ marked)[:5]]}"
    tally = {name.decode(errors="replace"): value for name, value in rows("SELECT name, value FROM tally")}
    counted = {
        "live": len(given), "stale": sum(status == 1 for *_, status in items), "quarantined": len(marked),
        "collisions": len(collisions), "tombstones": len(tombstones)}
    for name, value in counted.items():
        if tally.get(name) != value:
            yield f"tally of {name} is {tally.get(name)}; there are {value}"


def check_index(path):
    problems = index_problems(path)
    expect(not problems, lambda: f"{os.path.basename(path)}: {problems[:5]}")


def check_state(rig, dump, ledger, tokenizer, number=1):
    """A daemon that has caught up with a quiet catalog: its dump, its index and the ledger against the catalog."""
    catalog = read_catalog(rig.catalog)
    good = {item for item, vector in catalog.items() if vector is not None}
    missing, surplus = good - dump.keys(), dump.keys() - catalog.keys()
    expect(not missing, lambda: f"{len(missing)} items have no identifier: {[id_text(i) for i in sorted(missing)[:5]]}")
    expect(not surplus, lambda: f"{len(surplus)} items are not there: {[id_text(i) for i in sorted(surplus)[:5]]}")
    ledger.observe(dump)
    index = rig.index_to_read(number)
    check_index(index)
    connection = open_sqlite(index)
    try:
        natural = {
            item: (codes_of(natural), status) for item, natural, status
            in connection.execute("SELECT id, natural, status FROM item WHERE status < 2")}
        buckets = {
            item: codes_of(bucket) for item, bucket in connection.execute("SELECT item, bucket FROM collision")}
        taken = {
            codes_of(codes) for (codes,)
            in connection.execute("SELECT codes FROM identifier UNION SELECT codes FROM tombstone")}
    finally:
        connection.close()
    order = sorted(good)
    if not order:
        return 0
    codes, certain = tokenizer.natural([catalog[item] for item in order])
    compared = 0
    for item, row, sure in zip(order, codes, certain):
        expected, (stored, status) = tuple(int(code) for code in row), natural[item]
        if sure:
            compared += 1
            expect(stored == expected, lambda: f"{id_text(item)}: natural {stored}; the tokenizer gives {expected}")
        # Its identifier is its natural codes, or another has those, or its vector was another when it got it.
        bucket = buckets.get(item, dump[item])
        expect((status == 1) == (bucket != stored), lambda: f"{id_text(item)}: status {status}, {bucket}, {stored}")
        expect(bucket == dump[item] or bucket in taken, lambda: f"{id_text(item)} did not get {bucket}, which is free")
    return compared


def prove_checks(rig, dump, ledger, tokenizer):
    """The negative control: from a true dump, false ones are made and must be refused, and so must another tokenizer."""
    first, second = sorted(dump)[:2]
    swapped = {**dump, first: dump[second], second: dump[first]}
    lost = {item: codes for item, codes in dump.items() if item != first}
    doubled = {**dump, first: dump[second]}
    other = Tokenizer()
    other.books[0] = other.books[0][::-1]
    for name, false, judge in (
        ("two items swapped", swapped, tokenizer), ("an item lost", lost, tokenizer),
        ("an identifier twice", doubled, tokenizer), ("other codebooks", dump, other)):
        copy = Ledger()
        copy.codes, copy.owners = dict(ledger.codes), dict(ledger.owners)
        try:
            check_state(rig, false, copy, judge)
        except Failed:
            continue
        raise Failed(f"the checks do not see {name}: they prove nothing")


def check_generation_folders(state):
    """Every generation of the registry has its files, whole: old or new, never a mixture. Returns {number: stage}."""
    path = os.path.join(state, "letterd.sqlite")
    if not os.path.exists(path):
        return {}
    connection = open_sqlite(path)
    try:
        check = [line.decode() for (line,) in connection.execute("PRAGMA integrity_check")]
        expect(check == ["ok"], lambda: f"letterd.sqlite: {check[:5]}")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if b"generation" not in tables:
            return {}
        found = connection.execute("SELECT number, state, model FROM generation").fetchall()
    except sqlite3.DatabaseError as error:
        raise Failed(f"letterd.sqlite: {error}")
    finally:
        connection.close()
    for number, _, model in found:
        folder = os.path.join(state, "generations", f"{number:06}")
        try:
            with open(os.path.join(folder, "manifest.json"), "rb") as file:
                manifest = json.load(file)
            with open(os.path.join(folder, "tokenizer.safetensors"), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
        except (OSError, ValueError) as error:
            raise Failed(f"generation {number} is registered and incomplete: {error!r}")
        expect(digest == model.decode(), f"generation {number} is registered with other tensors than its folder has")
        expect(digest in json.dumps(manifest), f"the manifest of generation {number} names other tensors")
    return {number: stage.decode() for number, stage, _ in found}
