#!/usr/bin/python3
"""Writes to a catalog as any program with an LMDB library would: no change log, nothing of Letter's.

usage: plain_writer.py VERB CATALOG …

  create CATALOG --dimension D [--dtype f32] [--from F.npy]   makes a catalog; with --from, ids are the row numbers
  add    CATALOG N [--prefix new-] [--from F.npy]             adds N items
  edit   CATALOG N | --ids ID…                                moves the vectors of N items, or of these, a little
  delete CATALOG N | --ids ID…                                deletes N items, or these
  spoil  CATALOG KIND --ids ID…                               writes bad records: short, long, empty, odd, nan, inf
  stream CATALOG N [--interval S]                             adds N items, one commit each, one line each

All of them take --seed S (1). Which items are edited or deleted, and every number written, follow from the seed and the
catalog. New vectors are rows of --from, or of the catalog itself, chosen at random and moved by --noise (0.1) of their
length in a random direction; random directions of length one in an empty catalog.

Each verb is one transaction (stream: one an item). It prints a JSON object: verb, ids, count, txnid, started_ns and
committed_ns, the latter time.time_ns() just after the commit.
"""

import argparse
import json
import math
import os
import random
import time

from catalog_files import ELEMENT_SIZES, FORMAT, Catalog, decode_vector, encode_vector, id_bytes, id_text, read_npy

KINDS = ("short", "long", "empty", "odd", "nan", "inf")


def main():
    arguments = parse_arguments()
    arguments.run(arguments, random.Random(arguments.seed))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name, run):
        command = verbs.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("catalog")
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--map-size", type=int, default=16 << 30, metavar="BYTES")
        command.add_argument("--no-sync", action="store_true", help="commit without fsync")
        return command

    command = verb("create", create)
    command.add_argument("--dimension", type=int)
    command.add_argument("--dtype", choices=sorted(ELEMENT_SIZES), default="f32")
    command.add_argument("--from", dest="source", metavar="F.npy")
    for name, run in (("add", add), ("stream", stream)):
        command = verb(name, run)
        command.add_argument("count", type=int)
        command.add_argument("--prefix", default="new-")
        command.add_argument("--from", dest="source", metavar="F.npy")
        command.add_argument("--noise", type=float, default=0.1)
        command.add_argument("--interval", type=float, default=0.0, metavar="SECONDS")
    for name, run in (("edit", edit), ("delete", delete)):
        command = verb(name, run)
        command.add_argument("count", type=int, nargs="?")
        command.add_argument("--ids", nargs="+")
        command.add_argument("--noise", type=float, default=0.5)
    command = verb("spoil", spoil)
    command.add_argument("kind", choices=KINDS)
    command.add_argument("--ids", nargs="+", required=True)
    return parser.parse_args()


# Verbs ---------------------------------------------------------------------------------------------------------------


def create(arguments, generator):
    rows, dimension, values = (0, arguments.dimension, None)
    if arguments.source:
        rows, dimension, values = read_npy(arguments.source)
    if not dimension:
        raise SystemExit("create needs --dimension or --from")
    os.makedirs(arguments.catalog, exist_ok=True)
    catalog = open_catalog(arguments, create=True)
    databases = {name: catalog.database(name, create=True) for name in ("meta", "embeddings")}

    def write(transaction):
        meta = {b"format": FORMAT, b"dimension": str(dimension).encode(), b"dtype": arguments.dtype.encode()}
        for key, value in meta.items():
            transaction.put(key, value, db=databases["meta"])
        keys = [str(row).encode() for row in range(rows)]
        for row, key in enumerate(keys):
            vector = values[row * dimension : (row + 1) * dimension]
            transaction.put(key, encode_vector(vector, arguments.dtype), db=databases["embeddings"])
        return keys

    commit(catalog, "create", write)


def add(arguments, generator):
    catalog = open_catalog(arguments)
    embeddings = catalog.database("embeddings")
    keys = new_keys(catalog, embeddings, arguments)
    vectors = new_vectors(catalog, embeddings, arguments, generator)

    def write(transaction):
        for key, vector in zip(keys, vectors):
            if not transaction.put(key, vector, overwrite=False, db=embeddings):
                raise SystemExit(f"item {id_text(key)} is there already")
        return keys

    commit(catalog, "add", write)


def stream(arguments, generator):
    catalog = open_catalog(arguments)
    embeddings = catalog.database("embeddings")
    keys = new_keys(catalog, embeddings, arguments)
    for key, vector in zip(keys, new_vectors(catalog, embeddings, arguments, generator)):

        def write(transaction):
            transaction.put(key, vector, db=embeddings)
            return [key]

        commit(catalog, "add", write)
        time.sleep(arguments.interval)


def edit(arguments, generator):
    catalog = open_catalog(arguments)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    keys = existing_keys(catalog, embeddings, arguments, generator)

    def write(transaction):
        for key in keys:
            vector = decode_vector(transaction.get(key, db=embeddings), dtype)
            if vector is None or len(vector) != dimension or not all(map(math.isfinite, vector)):
                vector = direction(generator, dimension)
            transaction.put(key, encode_vector(moved(vector, arguments.noise, generator), dtype), db=embeddings)
        return keys

    commit(catalog, "edit", write)


def delete(arguments, generator):
    catalog = open_catalog(arguments)
    databases = [database for database in map(catalog_database(catalog), ("embeddings", "items", "cf")) if database]
    keys = existing_keys(catalog, databases[0], arguments, generator)

    def write(transaction):
        for key in keys:
            for database in databases:
                transaction.delete(key, db=database)
        return keys

    commit(catalog, "delete", write)


def spoil(arguments, generator):
    catalog = open_catalog(arguments)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    keys = [id_bytes(text) for text in arguments.ids]
    good = direction(generator, dimension)
    data = {
        "short": encode_vector(good[:-1], dtype),
        "long": encode_vector(good + [0.0], dtype),
        "empty": b"",
        "odd": encode_vector(good, dtype)[:-1],
        "nan": encode_vector([math.nan] + good[1:], dtype),
        "inf": encode_vector(good[:-1] + [-math.inf], dtype),
    }[arguments.kind]

    def write(transaction):
        for key in keys:
            transaction.put(key, data, db=embeddings)
        return keys

    commit(catalog, "spoil", write)


# Parts ---------------------------------------------------------------------------------------------------------------


def open_catalog(arguments, create=False):
    return Catalog(
        arguments.catalog, write=True, create=create, map_size=arguments.map_size, sync=not arguments.no_sync
    )


def catalog_database(catalog):
    import lmdb

    def find(name):
        try:
            return catalog.database(name)
        except lmdb.NotFoundError:
            return None

    return find


def commit(catalog, verb, write):
    """Runs `write` in one transaction and says what was done."""
    started = time.time_ns()
    with catalog.environment.begin(write=True) as transaction:
        keys = write(transaction)
        number = transaction.id()
    committed = time.time_ns()
    answer = {
        "verb": verb,
        "ids": [id_text(key) for key in keys],
        "count": len(keys),
        "txnid": number,
        "started_ns": started,
        "committed_ns": committed,
    }
    print(json.dumps(answer), flush=True)


def new_keys(catalog, embeddings, arguments):
    """Names that no item has: the prefix and numbers on from the catalog's size."""
    with catalog.environment.begin() as transaction:
        keys = []
        number = 0
        while len(keys) < arguments.count:
            key = f"{arguments.prefix}{number}".encode()
            if transaction.get(key, db=embeddings) is None:
                keys.append(key)
            number += 1
    return keys


def existing_keys(catalog, embeddings, arguments, generator):
    with catalog.environment.begin() as transaction:
        keys = [bytes(key) for key in transaction.cursor(db=embeddings).iternext(values=False)]
    if arguments.ids:
        chosen = [id_bytes(text) for text in arguments.ids]
        missing = set(chosen) - set(keys)
        if missing:
            raise SystemExit(f"no such item: {', '.join(map(id_text, sorted(missing)))}")
        return chosen
    if arguments.count is None:
        raise SystemExit(f"{arguments.verb} needs a number or --ids")
    if arguments.count > len(keys):
        raise SystemExit(f"there are only {len(keys)} items")
    return sorted(generator.sample(keys, arguments.count))


def new_vectors(catalog, embeddings, arguments, generator):
    dimension, dtype = catalog.read_format()
    if arguments.source:
        rows, columns, values = read_npy(arguments.source)
        if columns != dimension:
            raise SystemExit(f"{arguments.source} is {columns} wide, the catalog {dimension}")
        chosen = generator.choices(range(rows), k=arguments.count)
        bases = [values[row * columns : (row + 1) * columns] for row in chosen]
    else:
        with catalog.environment.begin() as transaction:
            keys = list(transaction.cursor(db=embeddings).iternext(values=False))
            bases = []
            for key in generator.choices(keys, k=arguments.count) if keys else []:
                vector = decode_vector(transaction.get(key, db=embeddings), dtype)
                usable = vector is not None and len(vector) == dimension and all(map(math.isfinite, vector))
                bases.append(vector if usable else direction(generator, dimension))
    if not bases:
        return [encode_vector(direction(generator, dimension), dtype) for _ in range(arguments.count)]
    return [encode_vector(moved(base, arguments.noise, generator), dtype) for base in bases]


def direction(generator, dimension):
    """A random vector of length one."""
    values = [generator.gauss(0, 1) for _ in range(dimension)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def moved(vector, noise, generator):
    """The vector and `noise` of its length in a random direction, brought back to its length."""
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    step = direction(generator, len(vector))
    sums = [value + noise * length * part for value, part in zip(vector, step)]
    scale = length / math.sqrt(sum(value * value for value in sums))
    return [value * scale for value in sums]


if __name__ == "__main__":
    main()
