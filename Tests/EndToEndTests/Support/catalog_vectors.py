#!/usr/bin/python3
"""Writes the vectors of a catalog as a .npy file, in key order, and the ids, one a line.

usage: catalog_vectors.py CATALOG VECTORS.npy IDS.txt
"""

import struct
import sys

from catalog_files import Catalog, id_text


def main():
    path, vectors, ids = sys.argv[1:]
    catalog = Catalog(path)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    with catalog.environment.begin() as transaction:
        records = [(bytes(key), bytes(value)) for key, value in transaction.cursor(db=embeddings)]
    header = {"descr": "<f4" if dtype == "f32" else "<f2", "fortran_order": False, "shape": (len(records), dimension)}
    text = repr(header).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    with open(vectors, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
        for _, value in records:
            file.write(value)
    with open(ids, "w", encoding="utf-8") as file:
        file.writelines(id_text(key) + "\n" for key, _ in records)


if __name__ == "__main__":
    main()
