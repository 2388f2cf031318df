"""What it takes to build, store, load and ask each engine, as its own documentation has it.

A rival's `points` are the settings its search is swept over, weakest first. Vectors have unit
length, so that inner product is cosine. A rival answers ids that are row numbers.
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


class FaissHnsw:
    """HNSW32 (64 links at the bottom), efConstruction 200, float32."""

    points = [{"ef": ef} for ef in EF]

    def __init__(self, dim):
        import faiss

        self.faiss, self.dim, self.index = faiss, dim, None

    def empty(self):
        return self.faiss.IndexHNSWFlat(self.dim, 32, self.faiss.METRIC_INNER_PRODUCT)

    def build(self, rows, threads):
        self.faiss.omp_set_num_threads(threads)
        self.index = self.empty()
        self.index.hnsw.efConstruction = 200
        if not self.index.is_trained:
            self.index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // 100_000)]))
        for _, part in blocks(rows):
            self.index.add(part)

    def save(self, path):
        self.faiss.write_index(self.index, str(path))

    def load(self, path):
        self.faiss.omp_set_num_threads(1)
        self.index = self.faiss.read_index(str(path))

    def set(self, ef):
        self.index.hnsw.efSearch = ef

    def one(self, query):
        return self.index.search(query[None, :], K)[1]

    def batch(self, queries):
        return self.index.search(queries, K)[1]


class FaissHnswSq8(FaissHnsw):
    """The same over 8 bits a dimension, with no second look at the originals."""

    def empty(self):
        codes = self.faiss.ScalarQuantizer.QT_8bit
        return self.faiss.IndexHNSWSQ(self.dim, codes, 32, self.faiss.METRIC_INNER_PRODUCT)


class FaissIvfPq(FaissHnsw):
    """IVF4096 over 4-bit codes of every two dimensions (fast scan), re-ranked in float32.

    Sweeps the number of lists and how many times K candidates the re-ranking sees."""

    points = [{"nprobe": n, "refine": r} for n in (2, 4, 8, 16, 32, 64, 128, 256) for r in (4, 10, 25)]

    def empty(self):
        recipe = f"IVF4096,PQ{self.dim // 2}x4fs,RFlat"
        return self.faiss.index_factory(self.dim, recipe, self.faiss.METRIC_INNER_PRODUCT)

    def build(self, rows, threads):
        self.faiss.omp_set_num_threads(threads)
        self.index = self.empty()
        self.index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // 160_000)]))
        for _, part in blocks(rows):
            self.index.add(part)

    def set(self, nprobe, refine):
        self.faiss.downcast_index(self.index.base_index).nprobe = nprobe
        self.index.k_factor = refine


RIVALS = {
    "hnswlib": Hnswlib,
    "faiss-hnsw": FaissHnsw,
    "faiss-hnsw-sq8": FaissHnswSq8,
    "faiss-ivfpq": FaissIvfPq,
}
