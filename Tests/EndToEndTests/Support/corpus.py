#!/usr/bin/python3
"""Catalogs of hard records and hard keys, by a seed, and what the daemon must say of them.

usage: corpus.py spoil CATALOG N --seed S     writes N records: good ones, and bad ones of every kind; prints, one JSON
                                              object, the reason that each item is quarantined with (null: it is not)
       corpus.py mend CATALOG FILE            writes the bad ones of that object again, as they should be
       corpus.py keys CATALOG N --seed S      writes N items with keys of all lengths and any bytes, some with one and the
                                              same vector, some with bad records
       corpus.py ask CATALOG SOCKET --letter PATH
                                              compares every answer about items with the catalog's keys, byte by byte
"""

import argparse
import json
import math
import random
import struct
import subprocess
import sys
import urllib.parse

from catalog_files import Catalog, encode_vector, id_bytes, id_text
from control_socket import Control
from plain_writer import direction

MAP = 1 << 30


def open_catalog(arguments):
    catalog = Catalog(arguments.catalog, write=True, map_size=MAP)
    dimension, dtype = catalog.read_format()
    return catalog, catalog.database("embeddings"), dimension, dtype


# Records -------------------------------------------------------------------------------------------------------------


def bad_records(generator, dimension):
    """(name, bytes, reason) of one bad record of every kind."""
    good = encode_vector(direction(generator, dimension), "f32")

    def with_number(number):
        values = list(struct.unpack(f"<{dimension}f", good))
        values[generator.randrange(dimension)] = number
        return struct.pack(f"<{dimension}f", *values)

    # A NaN with a payload, signalling, negative: all the patterns that are no number.
    pattern = generator.choice([0x7F800001, 0x7FC00000, 0xFFFFFFFF, 0xFF800001])
    place = 4 * generator.randrange(dimension)
    yield "nan", good[:place] + struct.pack("<I", pattern) + good[place + 4 :], "not_finite"
    yield "infinity", with_number(math.inf), "not_finite"
    yield "minus-infinity", with_number(-math.inf), "not_finite"
    yield "empty", b"", "wrong_size"
    yield "byte", b"\0", "wrong_size"
    yield "short", good[: generator.randrange(1, len(good))], "wrong_size"
    yield "narrow", good[:-4], "wrong_size"
    yield "wide", good + good[:4], "wrong_size"
    yield "twice", good + good, "wrong_size"
    yield "odd", good + b"\0", "wrong_size"
    yield "text", json.dumps(struct.unpack(f"<{dimension}f", good)).encode(), "wrong_size"
    yield "huge", generator.randbytes(generator.randrange(100_000, 3_000_000)), "wrong_size"
    # Finite as it stands, and not after the first layer.
    yield "overflow", struct.pack(f"<{dimension}f", *[3.4e38 * (-1) ** n for n in range(dimension)]), "not_encodable"


def good_records(generator, dimension):
    yield "plain", direction(generator, dimension)
    yield "zeros", [0.0] * dimension
    yield "negative-zeros", [-0.0] * dimension
    yield "denormal", [generator.choice([1e-45, -1e-40]) for _ in range(dimension)]
    yield "large", [100 * value for value in direction(generator, dimension)]


def spoil(arguments):
    catalog, embeddings, dimension, _ = open_catalog(arguments)
    generator = random.Random(arguments.seed)
    expected = {}
    with catalog.environment.begin(write=True) as transaction:
        while len(expected) < arguments.count:
            for name, vector in good_records(generator, dimension):
                key = f"{name}-{len(expected)}"
                transaction.put(key.encode(), encode_vector(vector, "f32"), db=embeddings)
                expected[key] = None
            for name, data, reason in bad_records(generator, dimension):
                key = f"{name}-{len(expected)}"
                transaction.put(key.encode(), data, db=embeddings)
                expected[key] = reason
    print(json.dumps(expected))


def mend(arguments):
    catalog, embeddings, dimension, _ = open_catalog(arguments)
    generator = random.Random(1)
    with open(arguments.file, encoding="utf-8") as file:
        bad = [key for key, reason in json.load(file).items() if reason]
    with catalog.environment.begin(write=True) as transaction:
        for key in bad:
            transaction.put(key.encode(), encode_vector(direction(generator, dimension), "f32"), db=embeddings)
    print(json.dumps({"mended": len(bad)}))


# Keys ----------------------------------------------------------------------------------------------------------------

HARD_KEYS = [
    b"\0", b"\0\0", b"a\0b", b"\xff", b"\xff" * 511, b"\0" * 511, b"a" * 511, b"base64:", b"base64:YQ==", b"base64:!",
    b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u00e9".encode(), "e\u0301".encode(), "\u2028".encode(),
    b'"', b"\\", b"/", b"//", b"..", b"../../etc/passwd", b"%00", b"%", b"?a=b", b"#", b"+", b" ", b"\n", b"\r\n", b"\t",
    b"'; DROP TABLE item; --", b"null", b"-1", b"--json", "\U0001f4da".encode() * 100, b"\xef\xbb\xbfa", b"a\xef\xbf\xbf",
]  # fmt: skip


def keys(arguments):
    catalog, embeddings, dimension, _ = open_catalog(arguments)
    generator = random.Random(arguments.seed)
    chosen = set(HARD_KEYS)
    chosen |= {generator.randbytes(length) for length in (1, 2, 3, 510, 511) for _ in range(4)}
    while len(chosen) < arguments.count:
        chosen.add(generator.randbytes(generator.randint(1, 511)))
        text = "".join(chr(generator.choice([0, 9, 10, 34, 92, 255, 0x7FF, 0xFFFD, 0x10FFFF])) for _ in range(5))
        chosen.add(text.encode())
    same = encode_vector(direction(generator, dimension), "f32")
    with catalog.environment.begin(write=True) as transaction:
        for key in sorted(chosen):
            kind = generator.randrange(3)
            vector = same if kind == 0 else encode_vector(direction(generator, dimension), "f32")
            transaction.put(key, vector[:-1] if kind == 1 else vector, db=embeddings)
    print(json.dumps({"keys": len(chosen)}))


def pages(control, target, name):
    after = None
    while True:
        query = {"limit": 50} | ({"after": after} if after is not None else {})
        page = control.ask("GET", f"{target}?{urllib.parse.urlencode(query)}")
        yield from page[name]
        if not page["more"]:
            return
        after = page[name][-1]["item"]


def ask(arguments):
    catalog, embeddings, dimension, _ = open_catalog(arguments)
    control = Control(arguments.socket)
    good, bad, vectors = [], [], {}
    with catalog.environment.begin() as transaction:
        for key, value in transaction.cursor(db=embeddings):
            (good if len(value) == 4 * dimension else bad).append(bytes(key))
            vectors[bytes(key)] = bytes(value)

    def check(what, found, expected):
        if found != expected:
            wrong = [pair for pair in zip(found, expected) if pair[0] != pair[1]][:3]
            raise SystemExit(f"{what}: {len(found)} for {len(expected)}, among them {wrong}")

    control.request("GET", "/v1/dump")
    lines = [json.loads(line) for line in control.getresponse().read().splitlines()]
    check("dump", [id_bytes(line["item"]) for line in lines], good)
    codes = {id_bytes(line["item"]): line["codes"] for line in lines}
    quarantined = list(pages(control, "/v1/quarantine", "quarantined"))
    check("quarantine", [id_bytes(row["item"]) for row in quarantined], bad)
    collisions = [id_bytes(row["item"]) for row in pages(control, "/v1/collisions", "collisions")]
    # Of those with one vector all but one collide, in key order.
    same = [key for key in good if list(vectors.values()).count(vectors[key]) > 1]
    check("collisions", [key for key in collisions if key in set(same)], sorted(set(same) & set(collisions)))
    if len(set(same) & set(collisions)) != len(same) - 1:
        raise SystemExit(f"{len(set(same) & set(collisions))} of {len(same)} items with one vector collide")
    for key in good + bad:
        answer = control.ask("GET", "/v1/items/" + urllib.parse.quote(id_text(key), safe=""))
        check("item", [id_bytes(answer["item"])], [key])
        if answer["codes"] != codes.get(key) or answer["status"] != ("quarantined" if key in set(bad) else "live"):
            raise SystemExit(f"{id_text(key)} is answered with {answer}")
    texts = [id_text(key) for key in good]
    answers = control.ask("POST", "/v1/items/lookup", {"ids": texts})["items"]
    check("lookup", [answer["item"] for answer in answers], texts)
    asked = [codes[key] for key in good]
    answers = control.ask("POST", "/v1/identifiers/lookup", {"identifiers": asked})["identifiers"]
    check("identifiers", [id_bytes(answer["items"][0]) for answer in answers], good)
    below = control.ask("GET", "/v1/trie/items?limit=1000")["identifiers"]
    check("trie", sorted(id_bytes(answer["items"][0]) for answer in below), good)
    # As arguments of the command line too, which cannot hold a zero.
    texts = [text for text in texts if "\0" not in text]
    command = [arguments.letter, "--socket", arguments.socket, "item", "--json", "--", *texts]
    answers = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    check("letter item", [answer["item"] for answer in answers], texts)
    check("letter item", [answer["codes"] for answer in answers], [codes[id_bytes(text)] for text in texts])
    print(json.dumps({"good": len(good), "bad": len(bad), "collisions": len(collisions)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, run, argument, kind in (
        ("spoil", spoil, "count", int), ("mend", mend, "file", str), ("keys", keys, "count", int), ("ask", ask, "socket", str),
    ):  # fmt: skip
        command = verbs.add_parser(name)
        command.add_argument("catalog")
        command.add_argument(argument, type=kind)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--letter", metavar="PATH", help="the command line")
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
