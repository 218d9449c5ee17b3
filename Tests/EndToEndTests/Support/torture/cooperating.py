"""The writer of writer.py that keeps the change log, with Tools/python/letter_catalog.py as a site would use it."""

import os
import sys

from rig import DIMENSION
from writer import Plain

MODULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "..", "Tools", "python")
AVAILABLE = os.path.exists(os.path.join(MODULES, "letter_catalog.py"))


class Cooperating(Plain):
    """Reads as the plain writer does; commits through letter_catalog."""

    def __init__(self, path):
        sys.path.insert(0, MODULES)
        import letter_catalog

        self.letter = letter_catalog.Catalog(path, map_size=1 << 30)
        # One environment a process.
        self.catalog = self.letter
        self.embeddings = self.letter.environment.open_db(b"embeddings", create=False)

    def commit(self, puts, deletes):
        with self.letter.write() as transaction:
            for key, value in puts:
                # It refuses vectors of another width; plain writers write those.
                if len(value) == 4 * DIMENSION:
                    transaction.put(key, value)
            for key in deletes:
                transaction.delete(key)
