#!/usr/bin/python3
"""Writes to a catalog with Tools/python/letter_catalog.py, which keeps the change log; and mixes that with plain writes.

usage: cooperating_writer.py transactions CATALOG          reads one transaction a line from standard input
       cooperating_writer.py add CATALOG N [--prefix new-] [--seed S] [--batch B]
       cooperating_writer.py mix CATALOG N [--plain SHARE] [--items M] [--seed S]

transactions  a line is JSON: {"plain"?: true, "entries"?: E, "bytes"?: B, "operations": […]} with the operations
              ["put", id, [numbers]], ["delete", id], ["item", id, "JSON"], ["cf", id, [numbers]]; ids are text, or
              base64:…; "plain": without the log; "entries", "bytes": the bounds of the log
add           adds N items with random vectors, B to a transaction (all in one); prints what plain_writer.py prints
mix           N random transactions on the items m0 … m(M−1), the share --plain of them without the log; prints a
              JSON object with the numbers of both that changed something
"""

import argparse
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../Tools/python"))

from catalog_files import encode_vector, id_bytes, id_text  # noqa: E402
from letter_catalog import Catalog  # noqa: E402
from plain_writer import direction  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    command = verbs.add_parser("transactions")
    command.add_argument("catalog")
    command.set_defaults(run=transactions)
    command = verbs.add_parser("add")
    command.add_argument("catalog")
    command.add_argument("count", type=int)
    command.add_argument("--prefix", default="new-")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--batch", type=int, default=1 << 30)
    command.set_defaults(run=add)
    command = verbs.add_parser("mix")
    command.add_argument("catalog")
    command.add_argument("count", type=int)
    command.add_argument("--plain", type=float, default=0.0)
    command.add_argument("--items", type=int, default=50)
    command.add_argument("--seed", type=int, default=1)
    command.set_defaults(run=mix)
    arguments = parser.parse_args()
    with Catalog(arguments.catalog) as catalog:
        arguments.run(arguments, catalog)


class PlainTransaction:
    """The same calls without the log, as any LMDB client would make them."""

    def __init__(self, catalog, handle):
        self.catalog = catalog
        self.handle = handle

    def database(self, name):
        return self.catalog.environment.open_db(name, txn=self.handle)

    def put(self, key, vector):
        self.handle.put(key, encode_vector(vector, self.catalog.dtype), db=self.database(b"embeddings"))

    def put_item(self, key, value):
        self.handle.put(key, value.encode(), db=self.database(b"items"))

    def put_cf(self, key, vector):
        self.handle.put(key, encode_vector(vector, "f32"), db=self.database(b"cf"))

    def delete(self, key):
        return [self.handle.delete(key, db=self.database(name)) for name in (b"embeddings", b"items", b"cf")][0]


def transactions(arguments, catalog):
    for line in sys.stdin:
        request = json.loads(line)
        catalog.log_entries = request.get("entries", 1 << 18)
        catalog.log_bytes = request.get("bytes", 32 << 20)
        if request.get("plain"):
            with catalog.environment.begin(write=True) as handle:
                apply(PlainTransaction(catalog, handle), request["operations"])
        else:
            with catalog.write() as transaction:
                apply(transaction, request["operations"])


def apply(transaction, operations):
    for name, item, *rest in operations:
        key = id_bytes(item)
        if name == "put":
            transaction.put(key, rest[0])
        elif name == "item":
            transaction.put_item(key, rest[0])
        elif name == "cf":
            transaction.put_cf(key, rest[0])
        elif name == "delete":
            transaction.delete(key)
        else:
            raise SystemExit(f"unknown operation {name}")


def add(arguments, catalog):
    generator = random.Random(arguments.seed)
    keys = [f"{arguments.prefix}{number}".encode() for number in range(arguments.count)]
    for start in range(0, len(keys), arguments.batch):
        with catalog.write() as transaction:
            for key in keys[start : start + arguments.batch]:
                transaction.put(key, direction(generator, catalog.dimension))
    print(json.dumps({"verb": "add", "ids": [id_text(key) for key in keys], "count": len(keys),
                      "committed_ns": time.time_ns()}), flush=True)


def mix(arguments, catalog):
    generator = random.Random(arguments.seed)
    counts = {"plain": 0, "cooperating": 0}
    for _ in range(arguments.count):
        operations = []
        for _ in range(generator.randint(1, 8)):
            item = f"m{generator.randrange(arguments.items)}"
            if generator.random() < 0.3:
                operations.append(["delete", item])
            else:
                operations.append(["put", item, direction(generator, catalog.dimension)])
        # A deletion of what is not there is no commit; this put is one.
        operations.append(["put", "m0", direction(generator, catalog.dimension)])
        if generator.random() < arguments.plain:
            counts["plain"] += 1
            with catalog.environment.begin(write=True) as handle:
                apply(PlainTransaction(catalog, handle), operations)
        else:
            counts["cooperating"] += 1
            with catalog.write() as transaction:
                apply(transaction, operations)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
