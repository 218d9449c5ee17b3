"""What the plain writer and the oracle share: ids as text, .npy files, opening a catalog with Python's lmdb.

Python 3 and lmdb 1.4 (Debian: python3-lmdb); no numpy. Written from Schema/catalog.md, not from Letter's sources, so
that a mistake in one is not made in both.
"""

import ast
import base64
import os
import struct
import sys
from array import array

try:
    import lmdb
except ImportError:
    raise SystemExit("lmdb is missing: install python3-lmdb and run this with /usr/bin/python3")

FORMAT = b"letter-catalog/1"
ELEMENT_SIZES = {"f32": 4, "f16": 2}


def id_text(key):
    """An item id as arguments and JSON have it."""
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None or text.startswith("base64:"):
        return "base64:" + base64.b64encode(key).decode()
    return text


def id_bytes(text):
    """The bytes of an id given as text."""
    if text.startswith("base64:"):
        return base64.b64decode(text[len("base64:") :], validate=True)
    return text.encode("utf-8")


class Catalog:
    """A catalog opened as any LMDB client would."""

    def __init__(self, path, write=False, create=False, map_size=16 << 30, **options):
        if not create and not os.path.exists(os.path.join(path, "data.mdb")):
            raise SystemExit(f"{path} has no data.mdb")
        self.environment = lmdb.open(
            path, map_size=map_size, max_dbs=16, readonly=not write, create=create, **options
        )

    def database(self, name, create=False):
        return self.environment.open_db(name.encode(), create=create)

    def read_format(self):
        """(dimension, dtype) as `meta` says."""
        meta = self.database("meta")
        with self.environment.begin() as transaction:
            name = transaction.get(b"format", db=meta)
            if name != FORMAT:
                raise SystemExit(f"not a catalog of format {FORMAT.decode()}: {name!r}")
            return int(transaction.get(b"dimension", db=meta)), transaction.get(b"dtype", db=meta).decode()


def encode_vector(values, dtype):
    """A vector's little-endian bytes."""
    return struct.pack("<%d%s" % (len(values), "f" if dtype == "f32" else "e"), *values)


def decode_vector(data, dtype):
    """The numbers of a vector, or None if its size is no multiple of the element's."""
    if len(data) % ELEMENT_SIZES[dtype]:
        return None
    return struct.unpack("<%d%s" % (len(data) // ELEMENT_SIZES[dtype], "f" if dtype == "f32" else "e"), data)


def read_npy(path):
    """(rows, columns, array of floats, row-major) of a two-dimensional little-endian float32 .npy file."""
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise SystemExit(f"{path} is no .npy file")
        major = file.read(2)[0]
        size = struct.unpack("<H", file.read(2))[0] if major == 1 else struct.unpack("<I", file.read(4))[0]
        header = ast.literal_eval(file.read(size).decode("latin-1"))
        if header["descr"] != "<f4" or header["fortran_order"] or len(header["shape"]) != 2:
            raise SystemExit(f"{path}: need two-dimensional '<f4' in C order, not {header}")
        rows, columns = header["shape"]
        values = array("f")
        values.fromfile(file, rows * columns)
    if sys.byteorder == "big":
        values.byteswap()
    return rows, columns, values
