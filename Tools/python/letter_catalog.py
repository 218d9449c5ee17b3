#!/usr/bin/env python3
"""Writes to a Letter catalog and keeps its change log, so that letterd's work is in proportion to what changed.

One file, to be copied wherever it is needed; it requires Python 3.9 and the package `lmdb`, nothing else. Any LMDB
client may write to a catalog without it: the log then has a gap, and letterd compares the whole catalog once. The
protocol is specified in Schema/catalog.md.

    from letter_catalog import Catalog

    with Catalog("catalog") as catalog:                  # Catalog.create("catalog", dimension=384) makes one
        with catalog.write() as transaction:             # one transaction; an exception inside leaves nothing behind
            transaction.put("item-1", vector)            # numpy array, sequence of numbers, or the stored bytes
            transaction.put_item("item-1", {"title": "Kettle"})
            transaction.put_cf("item-1", cf_vector)      # f32, whatever the catalog's dtype
            transaction.delete("item-2")                 # all of the item; True if there was one

Item ids are bytes, or text that is stored as UTF-8. Every commit costs an fsync: put many items into one.

A Catalog is used by one thread at a time. A process must open an LMDB environment once only.

Command line, /usr/bin/python3 letter_catalog.py VERB DIR:

    create DIR --dimension D [--dtype f32|f16] [--embedding-model TEXT]
    put DIR       reads JSON lines {"id", "embedding"?, "item"?, "cf"?} from standard input; one transaction
    delete DIR ID…                one transaction
    info DIR      prints what the catalog and its log hold, as JSON
    check DIR     walks the whole log and exits with 1 if it is not what the specification says
"""

import argparse
import contextlib
import json
import math
import os
import secrets
import struct
import sys

import lmdb

CATALOG_FORMAT = b"letter-catalog/1"
LOG_FORMAT = b"letter-log/1"
ELEMENTS = {"f32": ("f", 4), "f16": ("e", 2)}
MAXIMUM_ID = 511

PUT, DELETE, GAP = b"P", b"D", b"G"
#: epoch (16 bytes), first, next, transaction, nonce, bytes
STATE = struct.Struct(">16sQQQQQ")
#: of an entry: its key, and what its value begins with (kind, nonce)
KEY = struct.Struct(">Q")
PREFIX = struct.Struct(">cQ")


class CatalogError(Exception):
    """Something about the catalog, or about what was to be written into it."""


class Catalog:
    """A catalog opened for writing."""

    def __init__(self, path, *, log_entries=1 << 18, log_bytes=32 << 20, map_size=1 << 36, sync=True):
        """Opens the catalog in the folder `path`.

        log_entries, log_bytes: how much of the log this writer keeps; older entries are dropped.
        map_size: bytes of address space, the bound of the file's size; it costs nothing until it is used.
        sync: False leaves out the fsync at each commit; a crash of the machine may then damage the file.
        """
        if log_entries < 1 or log_bytes < 1:
            raise ValueError("log_entries and log_bytes must be above zero")
        if not os.path.exists(os.path.join(path, "data.mdb")):
            raise CatalogError(f"there is no catalog at {path}; Catalog.create makes one")
        self.path = path
        self.log_entries = log_entries
        self.log_bytes = log_bytes
        self._databases = {}
        self.environment = lmdb.open(path, map_size=map_size, max_dbs=16, sync=sync, metasync=sync)
        try:
            with self._begin(write=False) as transaction:
                self._read_format(transaction)
        except BaseException:
            self.environment.close()
            raise

    @classmethod
    def create(cls, path, dimension, dtype="f32", embedding_model="", **options):
        """Makes an empty catalog in the folder `path` and opens it; the options are those of `Catalog`."""
        if not 1 <= dimension <= 65_536 or dtype not in ELEMENTS:
            raise CatalogError(f"a catalog cannot have the dimension {dimension} and the dtype {dtype}")
        os.makedirs(path, exist_ok=True)
        with lmdb.open(path, map_size=1 << 30, max_dbs=16) as environment:
            with environment.begin(write=True) as transaction:
                if transaction.stat()["entries"]:
                    raise CatalogError(f"there is a catalog at {path} already")
                meta = environment.open_db(b"meta", txn=transaction)
                environment.open_db(b"embeddings", txn=transaction)
                values = {
                    "dimension": str(dimension), "dtype": dtype, "embedding_model": embedding_model,
                    "format": CATALOG_FORMAT.decode(),
                }
                for key, value in values.items():
                    transaction.put(key.encode(), value.encode(), db=meta)
                log = _PendingLog(1, 1 << 20)
                log.touch()
                log.write(transaction, lambda name, create: environment.open_db(name, txn=transaction))
        return cls(path, **options)

    def close(self):
        self.environment.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @contextlib.contextmanager
    def write(self):
        """One transaction: committed when the block ends, with its part of the log; undone if the block raises."""
        with self._begin(write=True) as handle:
            transaction = Transaction(self, handle)
            yield transaction
            transaction._log.write(handle, transaction._database)
        # Handles that were opened in a transaction are good only once it is committed.
        self._databases.update(transaction._opened)

    def _begin(self, write):
        try:
            return self.environment.begin(write=write)
        except lmdb.MapResizedError:
            # Another writer has made the map larger.
            self.environment.set_mapsize(0)
            return self.environment.begin(write=write)

    def _read_format(self, transaction):
        try:
            meta = self.environment.open_db(b"meta", txn=transaction, create=False)
            self._databases[b"embeddings"] = self.environment.open_db(b"embeddings", txn=transaction, create=False)
        except (lmdb.NotFoundError, lmdb.ReadonlyError):
            raise CatalogError(f"{self.path} is an LMDB environment but no catalog") from None
        name = transaction.get(b"format", db=meta)
        if name != CATALOG_FORMAT:
            raise CatalogError(f"{self.path} has the format {name!r}, not {CATALOG_FORMAT!r}")
        self.dimension = int(transaction.get(b"dimension", db=meta))
        self.dtype = (transaction.get(b"dtype", db=meta) or b"f32").decode()
        if self.dtype not in ELEMENTS:
            raise CatalogError(f"{self.path} has the dtype {self.dtype}")
        self._databases.clear()


class Transaction:
    """A write transaction; made by `Catalog.write`."""

    def __init__(self, catalog, handle):
        self._catalog = catalog
        self._handle = handle
        self._opened = dict(catalog._databases)
        self._log = _PendingLog(catalog.log_entries, catalog.log_bytes)

    def put(self, item, vector):
        """Writes an item's embedding: a numpy array, a sequence of finite numbers, or the stored bytes."""
        key = _key(item)
        value = _encode(item, vector, self._catalog.dtype, self._catalog.dimension)
        self._handle.put(key, value, db=self._database(b"embeddings"))
        self._log.note(PUT, key)

    def put_item(self, item, value):
        """Writes what is known of an item: a dict, or a JSON object as text or bytes."""
        key = _key(item)
        if isinstance(value, dict):
            value = json.dumps(value, ensure_ascii=False)
        if isinstance(value, str):
            value = value.encode()
        self._handle.put(key, value, db=self._database(b"items"))
        self._log.touch()

    def put_cf(self, item, vector):
        """Writes an item's collaborative embedding, always f32: a numpy array, a sequence, or the stored bytes."""
        key = _key(item)
        self._handle.put(key, _encode(item, vector, "f32", None), db=self._database(b"cf"))
        self._log.touch()

    def delete(self, item):
        """Removes an item: its embedding, its JSON object and its CF embedding. Returns whether there was one."""
        key = _key(item)
        found = False
        for name in (b"embeddings", b"items", b"cf"):
            database = self._database(name, create=False)
            if database is None or not self._handle.delete(key, db=database):
                continue
            if name == b"embeddings":
                self._log.note(DELETE, key)
            else:
                self._log.touch()
            found = found or name != b"cf"
        return found

    def _database(self, name, create=True):
        if name not in self._opened:
            try:
                self._opened[name] = self._catalog.environment.open_db(name, txn=self._handle, create=create)
            except lmdb.NotFoundError:
                return None
        return self._opened[name]


class _PendingLog:
    """What a transaction adds to the change log: gathered while it runs, written just before it commits."""

    def __init__(self, entries, size):
        self._entries = entries
        self._size = size
        self._pending = []
        self._pending_size = 0
        self._touched = False
        self._too_large = False

    def touch(self):
        """Something was written that the log does not tell of."""
        self._touched = True

    def note(self, kind, key):
        """An embedding was put or deleted."""
        self._touched = True
        if self._too_large:
            return
        self._pending.append((kind, key))
        self._pending_size += KEY.size + PREFIX.size + len(key)
        if len(self._pending) > self._entries or self._pending_size > self._size:
            self._too_large = True
            self._pending = []

    def write(self, transaction, database):
        if not self._touched:
            return  # no commit comes of it
        meta = database(b"letter.meta", create=True)
        form = transaction.get(b"format", db=meta)
        if form is not None and form != LOG_FORMAT:
            return  # a later version's log; its readers see that a writer came that did not keep it
        log = database(b"letter.log", create=True)
        number = transaction.id()
        state = _read_state(transaction, meta) if form else None
        if state and _holds(transaction, log, state):
            epoch, first, next_, last, nonce, size = state
            complete = last + 1 == number and not self._too_large
        else:
            transaction.drop(log, delete=False)
            epoch, first, next_, nonce, size = secrets.token_bytes(16), 1, 1, 0, 0
            complete = False
            transaction.put(b"format", LOG_FORMAT, db=meta)
        own = next_
        # Where something before this transaction is not told, its own changes need not be either.
        entries = self._pending if complete else [(GAP, b"")]
        if entries:
            nonce = int.from_bytes(secrets.token_bytes(8), "big")
        for kind, key in entries:
            value = PREFIX.pack(kind, nonce) + key
            if not transaction.put(KEY.pack(next_), value, append=True, db=log):
                raise CatalogError(f"the change log has an entry {next_} already")
            next_ += 1
            size += KEY.size + len(value)
        while first < own and (next_ - first > self._entries or size > self._size):
            value = transaction.pop(KEY.pack(first), db=log)
            size -= min(size, KEY.size + len(value) if value is not None else 0)
            first += 1
        transaction.put(b"state", STATE.pack(epoch, first, next_, number, nonce, size), db=meta)


def _read_state(transaction, meta):
    """(epoch, first, next, transaction, nonce, bytes), or None."""
    record = transaction.get(b"state", db=meta)
    if record is None or len(record) != STATE.size:
        return None
    state = STATE.unpack(record)
    return state if state[1] < state[2] else None


def _read_entry(key, value):
    """(sequence, kind, nonce, id), or None if it is no entry."""
    if len(key) != KEY.size or len(value) < PREFIX.size:
        return None
    kind, nonce = PREFIX.unpack_from(value)
    if kind not in (PUT, DELETE, GAP) or (kind == GAP) != (len(value) == PREFIX.size):
        return None
    return KEY.unpack(key)[0], kind, nonce, value[PREFIX.size :]


def _holds(transaction, log, state):
    """Whether the log begins and ends where its state says."""
    _, first, next_, _, nonce, _ = state
    with transaction.cursor(db=log) as cursor:
        if not cursor.first():
            return False
        begin = _read_entry(*cursor.item())
        cursor.last()
        end = _read_entry(*cursor.item())
    return bool(begin and end) and begin[0] == first and end[0] == next_ - 1 and end[2] == nonce


def _key(item):
    key = item.encode() if isinstance(item, str) else bytes(item)
    if not 1 <= len(key) <= MAXIMUM_ID:
        raise CatalogError(f"an item id has 1 to {MAXIMUM_ID} bytes, not {len(key)}")
    return key


def _encode(item, vector, dtype, dimension):
    """The bytes of a vector as the catalog stores it."""
    letter, size = ELEMENTS[dtype]
    if isinstance(vector, (bytes, bytearray, memoryview)):
        data = bytes(vector)
        if len(data) % size:
            raise CatalogError(f"the vector of item {item!r} has {len(data)} bytes, not a multiple of {size}")
        count = len(data) // size
    elif hasattr(vector, "astype"):
        numpy = sys.modules["numpy"]
        with numpy.errstate(over="ignore"):
            array = numpy.ravel(vector).astype(f"<f{size}")
        if not numpy.isfinite(array).all():
            raise CatalogError(f"the vector of item {item!r} holds a NaN, an infinity or what {dtype} cannot")
        count, data = len(array), array.tobytes()
    else:
        values = list(vector)
        count = len(values)
        try:
            if not all(map(math.isfinite, values)):
                raise CatalogError(f"the vector of item {item!r} holds a NaN or an infinity")
            data = struct.pack(f"<{count}{letter}", *values)
        except (OverflowError, struct.error) as error:
            raise CatalogError(f"the vector of item {item!r} does not fit {dtype}: {error}") from None
    if dimension is not None and count != dimension:
        raise CatalogError(f"the vector of item {item!r} has {count} numbers; the catalog has {dimension}")
    return data


def info(catalog):
    """What a catalog and its log hold."""
    answer = {"path": catalog.path, "dimension": catalog.dimension, "dtype": catalog.dtype, "entries": {}, "log": None}
    with catalog.environment.begin() as transaction:
        answer["transaction"] = transaction.id()
        for name in (b"embeddings", b"items", b"interactions", b"cf"):
            with contextlib.suppress(lmdb.NotFoundError, lmdb.ReadonlyError):
                database = catalog.environment.open_db(name, txn=transaction, create=False)
                answer["entries"][name.decode()] = transaction.stat(database)["entries"]
        with contextlib.suppress(lmdb.NotFoundError, lmdb.ReadonlyError):
            meta = catalog.environment.open_db(b"letter.meta", txn=transaction, create=False)
            state = _read_state(transaction, meta)
            if state and transaction.get(b"format", db=meta) == LOG_FORMAT:
                answer["log"] = {
                    "epoch": state[0].hex(), "first": state[1], "next": state[2], "bytes": state[5],
                    "transaction": state[3], "current": state[3] == answer["transaction"],
                }
    return answer


def check(catalog):
    """What is wrong with the log of a catalog: a list of sentences, empty if nothing is."""
    problems = []
    with catalog.environment.begin() as transaction:
        try:
            meta = catalog.environment.open_db(b"letter.meta", txn=transaction, create=False)
            log = catalog.environment.open_db(b"letter.log", txn=transaction, create=False)
        except (lmdb.NotFoundError, lmdb.ReadonlyError):
            return ["there is no log"]
        if transaction.get(b"format", db=meta) != LOG_FORMAT:
            return [f"its format is {transaction.get(b'format', db=meta)!r}"]
        state = _read_state(transaction, meta)
        if not state:
            return ["its state cannot be read"]
        _, first, next_, last, nonce, size = state
        if last > transaction.id():
            problems.append(f"its last transaction is {last}, the catalog's {transaction.id()}")
        expected, total, final = first, 0, None
        for key, value in transaction.cursor(db=log):
            total += len(key) + len(value)
            final = _read_entry(key, value)
            if final is None:
                problems.append(f"the entry {key.hex()} cannot be read")
                break
            if final[0] != expected:
                problems.append(f"entry {final[0]} stands where {expected} belongs")
                break
            expected += 1
        if not problems and expected != next_:
            problems.append(f"it ends before {expected}, its state says {next_}")
        if not problems and (final is None or final[2] != nonce):
            problems.append("its last entry has another nonce than its state")
        if not problems and total != size:
            problems.append(f"its entries have {total} bytes, its state says {size}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create")
    create.add_argument("directory")
    create.add_argument("--dimension", type=int, required=True)
    create.add_argument("--dtype", choices=sorted(ELEMENTS), default="f32")
    create.add_argument("--embedding-model", default="")
    for verb in ("put", "delete", "info", "check"):
        command = verbs.add_parser(verb)
        command.add_argument("directory")
        if verb in ("put", "delete"):
            command.add_argument("--log-entries", type=int, default=1 << 18)
            command.add_argument("--log-bytes", type=int, default=32 << 20)
        if verb == "delete":
            command.add_argument("ids", nargs="+")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except (CatalogError, lmdb.Error) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def run(arguments):
    if arguments.verb == "create":
        Catalog.create(
            arguments.directory, arguments.dimension, arguments.dtype, arguments.embedding_model).close()
        return 0
    options = {}
    if arguments.verb in ("put", "delete"):
        options = {"log_entries": arguments.log_entries, "log_bytes": arguments.log_bytes}
    with Catalog(arguments.directory, **options) as catalog:
        if arguments.verb == "info":
            print(json.dumps(info(catalog)))
        elif arguments.verb == "check":
            problems = check(catalog)
            print(json.dumps({"problems": problems}))
            return 1 if problems else 0
        elif arguments.verb == "put":
            with catalog.write() as transaction:
                for line in filter(str.strip, sys.stdin):
                    record = json.loads(line)
                    if "embedding" in record:
                        transaction.put(record["id"], record["embedding"])
                    if "item" in record:
                        transaction.put_item(record["id"], record["item"])
                    if "cf" in record:
                        transaction.put_cf(record["id"], record["cf"])
        else:
            with catalog.write() as transaction:
                for item in arguments.ids:
                    if not transaction.delete(item):
                        raise CatalogError(f"there is no item {item}; nothing was deleted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
