"""What it takes to build, store, load and ask each engine, as its own documentation has it.

A rival's `points` are the settings its search is swept over, weakest first. Vectors have unit length,
so that inner product is cosine. A rival answers ids that are row numbers.
"""

import numpy as np

from .data import K

EF = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
BLOCK = 50_000  # rows that an engine is given at once while it is built


def blocks(rows):
    for start in range(0, len(rows), BLOCK):
        part = np.ascontiguousarray(rows[start : start + BLOCK])
        yield np.arange(start, start + len(part)), part


class Hnswlib:
    """M = 16, efConstruction = 200, float32. Its package is compiled here, for this processor."""

    points = [{"ef": ef} for ef in EF]

    def __init__(self, dim):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=dim)

    def build(self, rows, threads):
        self.index.init_index(len(rows), M=16, ef_construction=200, random_seed=100)
        self.index.set_num_threads(threads)
        for ids, part in blocks(rows):
            self.index.add_items(part, ids)

    def save(self, path):
        self.index.save_index(str(path))

    def load(self, path):
        self.index.load_index(str(path))

    def set(self, ef):
        self.index.set_ef(ef)

    def one(self, query):
        return self.index.knn_query(query, k=K, num_threads=1)[0]

    def batch(self, queries):
        return self.index.knn_query(queries, k=K, num_threads=1)[0]


RIVALS = {
    "hnswlib": Hnswlib,
}
