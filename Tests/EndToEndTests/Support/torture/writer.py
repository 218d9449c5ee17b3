#!/usr/bin/python3
"""A writer that goes on until it is killed: adds, edits, deletes, brings back, spoils, mends and rewrites items.

usage: writer.py CATALOG --seed N --prefix P [--cooperating] [--pause FILE] [--doomed]

Its own items begin with the prefix, so that several writers do not undo each other's work; deletions are kept few, for
more than a fifth of the items at once would wait for confirmation. While FILE exists it writes nothing, and says so by
making FILE.prefix.N, where N is what FILE holds. It appends a line to FILE.count.prefix for every commit, after it.

--doomed writes items that are never committed: it fills a transaction, touches FILE.full, and waits for its death with
the transaction open. (The negative control commits it: --commit.)
"""

import argparse
import contextlib
import os
import random
import sys
import time

import numpy

from rig import DIMENSION, Catalog, random_vectors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--pause", required=True)
    parser.add_argument("--cooperating", action="store_true")
    parser.add_argument("--doomed", action="store_true")
    parser.add_argument("--commit", action="store_true")
    arguments = parser.parse_args()
    if arguments.doomed:
        return doomed(arguments)
    make = cooperating if arguments.cooperating else plain
    go_on(arguments, make(arguments.catalog))


class Plain:
    """Puts and deletes as any LMDB program does."""

    def __init__(self, path):
        self.catalog = Catalog(path, write=True, map_size=1 << 30)
        self.embeddings = self.catalog.database("embeddings")

    def keys(self, prefix):
        with self.catalog.environment.begin() as transaction:
            cursor = transaction.cursor(db=self.embeddings)
            found = []
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if not bytes(key).startswith(prefix):
                        break
                    found.append(bytes(key))
            return found

    def get(self, key):
        with self.catalog.environment.begin() as transaction:
            return transaction.get(key, db=self.embeddings)

    def commit(self, puts, deletes):
        with self.catalog.environment.begin(write=True) as transaction:
            for key, value in puts:
                transaction.put(key, value, db=self.embeddings)
            for key in deletes:
                transaction.delete(key, db=self.embeddings)


def plain(path):
    return Plain(path)


def cooperating(path):
    from cooperating import Cooperating

    return Cooperating(path)


def go_on(arguments, store):
    choose = random.Random(arguments.seed)
    generator = numpy.random.default_rng(arguments.seed)
    prefix = arguments.prefix.encode()
    gone, number = [], 0
    count = os.open(f"{arguments.pause}.count.{arguments.prefix}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    keys = store.keys(prefix)
    number = max((int(key[len(prefix):]) for key in keys), default=-1) + 1
    while os.getppid() != 1:
        if os.path.exists(arguments.pause):
            with contextlib.suppress(FileNotFoundError), open(arguments.pause) as file:
                open(f"{arguments.pause}.{arguments.prefix}.{file.read()}", "w").close()
            time.sleep(0.005)
            continue
        puts, deletes = [], []
        for _ in range(choose.randint(1, 3)):
            draw = choose.random()
            if draw < 0.35 or len(keys) < 20:
                for vector in random_vectors(choose.randint(1, 6), generator):
                    puts.append((prefix + b"%06d" % number, vector.tobytes()))
                    number += 1
            elif draw < 0.6:
                for key in choose.sample(keys, 2):
                    puts.append((key, random_vectors(1, generator).tobytes()))
            elif draw < 0.7:
                key = choose.choice(keys)
                deletes.append(key)
            elif draw < 0.8 and gone:
                puts.append((gone.pop(choose.randrange(len(gone))), random_vectors(1, generator).tobytes()))
            elif draw < 0.9:
                bad = random_vectors(1, generator)
                bad[0, choose.randrange(DIMENSION)] = choose.choice([numpy.nan, numpy.inf])
                puts.append((choose.choice(keys), choose.choice([bad.tobytes(), b"", bad.tobytes()[:-4]])))
            else:
                key = choose.choice(keys)
                value = store.get(key)
                if value is not None:
                    puts.append((key, bytes(value)))
        # A key at most once in a transaction; what comes first counts.
        deletes = list(dict.fromkeys(deletes))
        puts = [(key, value) for key, value in dict(puts).items() if key not in deletes]
        store.commit(puts, deletes)
        os.write(count, b"%d\n" % (len(puts) + len(deletes)))
        gone += deletes
        keys = sorted((set(keys) | {key for key, _ in puts}) - set(deletes))
        time.sleep(choose.choice([0, 0, 0.002, 0.01, 0.03]))


def doomed(arguments):
    store = Plain(arguments.catalog)
    generator = numpy.random.default_rng(arguments.seed)
    transaction = store.catalog.environment.begin(write=True)
    for row, vector in enumerate(random_vectors(300, generator)):
        transaction.put(f"{arguments.prefix}{row:04}".encode(), vector.tobytes(), db=store.embeddings)
    if arguments.commit:
        transaction.commit()
    open(arguments.pause + ".full", "w").close()
    while os.getppid() != 1:
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
