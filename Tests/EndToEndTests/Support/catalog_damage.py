#!/usr/bin/python3
"""Damages a catalog's file as a bad disk, a lost write or a bad copy would, by a seed.

usage: catalog_damage.py CATALOG KIND --seed S

Prints what was done. Pages are chosen among those that the last commit uses. Kinds:
  zero      a page is zeros                       half    the second half of a page is zeros
  noise     a page is random bytes                swap    two pages change places
  header    a bit of a page's header flips        node    a bit of an entry's header (sizes, flags, child) flips
  offset    a bit of an entry's offset flips      meta    bits of the newer meta page flip
  stale     a page is another one's content, its own number kept
  truncate  the file loses its end

None of them changes bytes within a key or a value alone: LMDB has no checksums, so nobody can tell that from a write.
"""

import argparse
import json
import os
import random
import struct

PAGE = 4096


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    generator = random.Random(f"{arguments.kind} {arguments.seed}")
    with open(arguments.catalog + "/data.mdb", "r+b") as file:
        data = File(file)
        what = KINDS[arguments.kind](data, generator)
        os.fsync(file.fileno())
    print(json.dumps({"kind": arguments.kind, "seed": arguments.seed, "what": what}))


class File:
    def __init__(self, file):
        self.descriptor = file.fileno()
        metas = [self.read(page) for page in range(2)]
        self.newer = max(range(2), key=lambda page: struct.unpack_from("<Q", metas[page], 144)[0])
        meta = metas[self.newer]
        self.trees = []
        root = struct.unpack_from("<Q", meta, 88 + 40)[0]
        self.pages = []
        self.walk(root, nested=True)

    def walk(self, number, nested=False):
        """Pages of a tree; `nested`: its values may be trees."""
        self.pages.append(number)
        page = self.read(number)
        flags = struct.unpack_from("<H", page, 10)[0]
        for offset in self.offsets(page):
            low, high, node_flags, key = struct.unpack_from("<HHHH", page, offset)
            if flags & 1:
                self.walk(low | high << 16 | node_flags << 32, nested)
            elif nested and node_flags & 2:
                root = struct.unpack_from("<Q", page, offset + 8 + key + 40)[0]
                if root != (1 << 64) - 1:
                    self.walk(root)

    @staticmethod
    def offsets(page):
        lower = struct.unpack_from("<H", page, 12)[0]
        return struct.unpack_from(f"<{(lower - 16) // 2}H", page, 16)

    def read(self, number):
        return os.pread(self.descriptor, PAGE, number * PAGE)

    def write(self, number, data):
        assert len(data) == PAGE
        os.pwrite(self.descriptor, data, number * PAGE)

    def flip(self, number, start, length, generator):
        page = bytearray(self.read(number))
        bit = generator.randrange(8 * length)
        page[start + bit // 8] ^= 1 << (bit % 8)
        self.write(number, bytes(page))
        return f"page {number}, bit {bit % 8} of byte {start + bit // 8}"


def zero(file, generator):
    number = generator.choice(file.pages)
    file.write(number, bytes(PAGE))
    return f"page {number}"


def half(file, generator):
    number = generator.choice(file.pages)
    file.write(number, file.read(number)[: PAGE // 2] + bytes(PAGE // 2))
    return f"page {number}"


def noise(file, generator):
    number = generator.choice(file.pages)
    file.write(number, generator.randbytes(PAGE))
    return f"page {number}"


def swap(file, generator):
    first, second = generator.sample(file.pages, 2)
    data = file.read(first), file.read(second)
    file.write(second, data[0])
    file.write(first, data[1])
    return f"pages {first} and {second}"


def stale(file, generator):
    target, source = generator.sample(file.pages, 2)
    file.write(target, file.read(target)[:8] + file.read(source)[8:])
    return f"page {target} is page {source}"


def header(file, generator):
    # The pad (bytes 8 and 9) is nobody's, and a dirty flag is nobody's business.
    while True:
        number = generator.choice(file.pages)
        before = file.read(number)
        what = file.flip(number, *generator.choice([(0, 8), (10, 6)]), generator)
        if (before[10] ^ file.read(number)[10]) & 0x10 == 0:
            return what
        file.write(number, before)


def node(file, generator):
    number = generator.choice(file.pages)
    return file.flip(number, generator.choice(file.offsets(file.read(number))), 8, generator)


def offset(file, generator):
    number = generator.choice(file.pages)
    return file.flip(number, 16, 2 * len(file.offsets(file.read(number))), generator)


def meta(file, generator):
    # The roots and counts of the main tree, and the number of the last page.
    return file.flip(file.newer, 88, 56, generator)


def truncate(file, generator):
    size = os.fstat(file.descriptor).st_size
    kept = generator.choice([0, 100, PAGE, generator.randrange(PAGE, size)])
    os.ftruncate(file.descriptor, kept)
    return f"{kept} of {size} bytes are left"


KINDS = {
    "zero": zero,
    "half": half,
    "noise": noise,
    "swap": swap,
    "stale": stale,
    "header": header,
    "node": node,
    "offset": offset,
    "meta": meta,
    "truncate": truncate,
}

if __name__ == "__main__":
    main()
