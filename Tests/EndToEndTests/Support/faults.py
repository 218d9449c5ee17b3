#!/usr/bin/python3
"""What other processes may do to a catalog that the daemon reads.

usage: faults.py follow CATALOG SOCKET [--rounds N]    writers of every mode put, update and delete; by the daemon's own
                                                       counters each commit is seen within two looks and two scans
       faults.py hold CATALOG N [--commit]             holds N snapshots until its standard input ends; says "held" once
                                                       it does, having committed an item then with --commit
       faults.py readers CATALOG                       the reader table: pid and transaction (null: no snapshot) of each
       faults.py watch CATALOG PID                     samples the reader table every millisecond until its standard
                                                       input ends: how long PID held one snapshot at most
       faults.py replace CATALOG ID                    a compacted copy with one item more is moved into place
       faults.py spin CATALOG N                        N commits of 20 overwritten items; pages that the file grew by
       faults.py other-lock CATALOG                    holds lock.mdb open as an LMDB of another lock format does
       faults.py data-version CATALOG VERSION          writes a data format number into both meta pages
       faults.py sizes CATALOG                         bytes of map and of file
"""

import argparse
import fcntl
import json
import os
import random
import select
import struct
import sys
import time

import lmdb
from catalog_files import Catalog, encode_vector
from control_socket import Control
from plain_writer import direction

MAP = 64 << 20


def say(**answer):
    print(json.dumps(answer), flush=True)


def readers(environment):
    table = []
    for line in environment.readers().splitlines()[1:]:
        pid, _, transaction = line.split()
        table.append((int(pid), None if transaction == "-" else int(transaction)))
    return table


# Writers -------------------------------------------------------------------------------------------------------------

MODES = [
    {},
    {"metasync": False},
    {"sync": False},
    {"writemap": True},
    {"writemap": True, "metasync": False},
    {"writemap": True, "sync": False},
    {"writemap": True, "sync": False, "map_async": True},
]


def follow(arguments):
    control = Control(arguments.socket)
    generator = random.Random(arguments.seed)
    worst = [0, 0]
    for number, mode in enumerate(MODES[arguments.modes]):
        catalog = Catalog(arguments.catalog, write=True, map_size=MAP, **mode)
        dimension, dtype = catalog.read_format()
        embeddings = catalog.database("embeddings")
        for round in range(arguments.rounds):
            key = f"follow-{number}-{round}".encode()
            for verb, status in (("put", "live"), ("update", None), ("delete", "deleted")):
                before = control.ask("GET", "/v1/status")
                with catalog.environment.begin(write=True) as transaction:
                    if verb == "delete":
                        transaction.delete(key, db=embeddings)
                    else:
                        transaction.put(key, encode_vector(direction(generator, dimension), dtype), db=embeddings)
                    txnid = transaction.id()
                looks = control.ask("GET", "/v1/status")["poll"]["count"]
                deadline = time.monotonic() + 60
                while True:
                    after = control.ask("GET", "/v1/status")
                    if after["catalog"].get("txnid", 0) >= txnid and after["caught_up"]:
                        break
                    if time.monotonic() > deadline:
                        raise SystemExit(f"{mode} {verb}: not answered within a minute: {after}")
                    time.sleep(0.002)
                seen = after["poll"]["last_change"] - looks
                scans = after["catalog"]["full_scans"] - before["catalog"]["full_scans"]
                worst = [max(worst[0], seen), max(worst[1], scans)]
                if seen > 2 or not 1 <= scans <= 2:
                    raise SystemExit(f"{mode} {verb}: seen {seen} looks after the commit, {scans} scans: {after}")
                item = control.ask("POST", "/v1/items/lookup", {"ids": [key.decode()]})["items"][0]
                if status is not None and item["status"] != status or (item["codes"] is None) != (verb == "delete"):
                    raise SystemExit(f"{mode} {verb}: answered with {item}")
        catalog.environment.close()
    say(modes=len(MODES[arguments.modes]), looks=worst[0], scans=worst[1])


def replace(arguments):
    catalog = Catalog(arguments.catalog)
    copy = arguments.catalog + ".copy"
    os.mkdir(copy)
    catalog.environment.copy(copy, compact=True)
    dimension, dtype = catalog.read_format()
    catalog.environment.close()
    other = Catalog(copy, write=True, map_size=MAP)
    embeddings = other.database("embeddings")
    with other.environment.begin(write=True) as transaction:
        vector = encode_vector(direction(random.Random(1), dimension), dtype)
        transaction.put(arguments.id.encode(), vector, db=embeddings)
        txnid = transaction.id()
    other.environment.close()
    os.rename(copy + "/data.mdb", arguments.catalog + "/data.mdb")
    say(txnid=txnid)


def spin(arguments):
    catalog = Catalog(arguments.catalog, write=True, map_size=1 << 30, sync=False)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    generator = random.Random(3)
    with catalog.environment.begin() as transaction:
        keys = [bytes(key) for key in transaction.cursor(db=embeddings).iternext(values=False)]
    vectors = [encode_vector(direction(generator, dimension), dtype) for _ in range(40)]
    first = catalog.environment.info()["last_pgno"]
    for _ in range(arguments.count):
        with catalog.environment.begin(write=True) as transaction:
            for key in generator.sample(keys, 20):
                transaction.put(key, generator.choice(vectors), db=embeddings)
        time.sleep(0.002)
    say(grown=catalog.environment.info()["last_pgno"] - first)


# Readers -------------------------------------------------------------------------------------------------------------


def hold(arguments):
    catalog = Catalog(arguments.catalog, write=arguments.commit, map_size=MAP, max_readers=126)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    held = []
    while len(held) < arguments.count:
        try:
            held.append(catalog.environment.begin(buffers=True))
        except lmdb.ReadersFullError:
            # Somebody reads for a moment; his place is wanted too.
            time.sleep(0.001)
    if arguments.commit:
        with catalog.environment.begin(write=True) as transaction:
            vector = encode_vector(direction(random.Random(2), dimension), dtype)
            transaction.put(b"while-held", vector, db=embeddings)
    say(held=len(held), pid=os.getpid())
    sys.stdin.read()


def list_readers(arguments):
    catalog = Catalog(arguments.catalog)
    say(readers=readers(catalog.environment))


def watch(arguments):
    environment = Catalog(arguments.catalog).environment
    say(watching=arguments.pid)
    samples = with_snapshot = 0
    longest, lag, current, since = 0.0, 0, None, 0.0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        samples += 1
        now = time.monotonic()
        held = [txn for pid, txn in readers(environment) if pid == arguments.pid and txn is not None]
        if not held:
            current = None
            continue
        with_snapshot += 1
        if held[0] != current:
            current, since = held[0], now
        longest = max(longest, now - since)
        lag = max(lag, environment.info()["last_txnid"] - held[0])
    say(samples=samples, with_snapshot=with_snapshot, longest=longest, lag=lag)


# Files ---------------------------------------------------------------------------------------------------------------


def other_lock(arguments):
    file = open(arguments.catalog + "/lock.mdb", "r+b")
    # LMDB's own way: whoever cannot have the file alone takes it as it is, and this shared lock keeps it from that.
    fcntl.lockf(file, fcntl.LOCK_SH, 1, 0)
    magic, lock_format = struct.unpack("<II", os.pread(file.fileno(), 8, 0))
    os.pwrite(file.fileno(), struct.pack("<II", magic, lock_format + 1), 0)
    say(held=1, pid=os.getpid())
    sys.stdin.read()
    os.pwrite(file.fileno(), struct.pack("<II", magic, lock_format), 0)


def data_version(arguments):
    with open(arguments.catalog + "/data.mdb", "r+b") as file:
        before = struct.unpack("<I", os.pread(file.fileno(), 4, 20))[0]
        for page in range(2):
            os.pwrite(file.fileno(), struct.pack("<I", arguments.version), page * 4096 + 20)
    say(before=before)


def sizes(arguments):
    environment = Catalog(arguments.catalog, map_size=0).environment
    say(map=environment.info()["map_size"], file=os.path.getsize(arguments.catalog + "/data.mdb"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name, run, *names, **types):
        command = verbs.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("catalog")
        for argument in names:
            command.add_argument(argument)
        for argument, kind in types.items():
            command.add_argument(argument, type=kind)
        return command

    command = verb("follow", follow, "socket")
    command.add_argument("--rounds", type=int, default=2)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--writemap", dest="modes", action="store_const", const=slice(3, 7), default=slice(0, 3))
    verb("hold", hold, count=int).add_argument("--commit", action="store_true")
    verb("readers", list_readers)
    verb("watch", watch, pid=int)
    verb("replace", replace, "id")
    verb("spin", spin, count=int)
    verb("other-lock", other_lock)
    verb("data-version", data_version, version=int)
    verb("sizes", sizes)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
