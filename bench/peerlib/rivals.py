"""What it takes to build, store, load and ask each engine, as its own documentation has it.

A rival's `points` are the settings its search is swept over, weakest first. Vectors have unit
length, so that inner product is cosine. A rival answers ids that are row numbers.
"""

import shutil
import tempfile
from pathlib import Path

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
    """4-bit codes of every two dimensions (fast scan) in 4,096 lists or, for few rows, one a 39
    rows; re-ranked in float32. Sweeps how many lists are read and how many times K candidates the
    re-ranking sees."""

    points = [{"nprobe": n, "refine": r}
              for n in (2, 4, 8, 16, 32, 64, 128, 256) for r in (4, 10, 25)]

    def build(self, rows, threads):
        self.faiss.omp_set_num_threads(threads)
        recipe = f"IVF{min(4096, len(rows) // 39)},PQ{self.dim // 2}x4fs,RFlat"
        self.index = self.faiss.index_factory(self.dim, recipe, self.faiss.METRIC_INNER_PRODUCT)
        self.index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // 160_000)]))
        for _, part in blocks(rows):
            self.index.add(part)

    def set(self, nprobe, refine):
        self.faiss.downcast_index(self.index.base_index).nprobe = nprobe
        self.index.k_factor = refine


class Usearch:
    """M = 16, expansion at building 200, float32. Its inner product is a little faster than its
    cosine."""

    points = [{"ef": ef} for ef in EF]
    dtype, metric = "f32", "ip"

    def __init__(self, dim):
        from usearch.index import Index

        self.index = Index(ndim=dim, metric=self.metric, dtype=self.dtype, connectivity=16,
                           expansion_add=200)

    def build(self, rows, threads):
        for ids, part in blocks(rows):
            self.index.add(ids, part, threads=threads)

    def save(self, path):
        self.index.save(str(path))

    def load(self, path):
        self.index.load(str(path))

    def set(self, ef):
        self.index.expansion_search = ef

    def one(self, query):
        return self.index.search(query, K, threads=1).keys

    def batch(self, queries):
        return self.index.search(queries, K, threads=1).keys


class UsearchI8(Usearch):
    """The same over int8, with no second look at the originals. Its cosine finds more than its
    inner product."""

    dtype, metric = "i8", "cos"


class Svs:
    """Vamana of degree 64, window 128, alpha 0.95 as its guide has it for inner product."""

    points = [{"window": w} for w in EF]

    def __init__(self, dim):
        import svs

        self.svs, self.dim, self.index = svs, dim, None

    def source(self, rows, folder):
        return np.ascontiguousarray(rows)

    def stored(self, folder):
        return self.svs.VectorDataLoader(str(folder), self.svs.DataType.float32, self.dim)

    def build(self, rows, threads):
        shape = self.svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=64, window_size=128)
        with tempfile.TemporaryDirectory() as folder:
            source = self.source(rows, Path(folder))
            self.index = self.svs.Vamana.build(shape, source, self.svs.DistanceType.MIP,
                                               num_threads=threads)

    def save(self, path):
        path.mkdir()
        self.index.save(*(str(path / part) for part in ("config", "graph", "data")))

    def load(self, path):
        self.index = self.svs.Vamana(
            str(path / "config"), self.svs.GraphLoader(str(path / "graph")),
            self.stored(path / "data"), self.svs.DistanceType.MIP, num_threads=1)

    def set(self, window):
        self.index.search_window_size = window

    def one(self, query):
        return self.index.search(query, K)[0]

    def batch(self, queries):
        return self.index.search(queries, K)[0]


class SvsLvq(Svs):
    """The same graph over LVQ, 4 bits and then 8 of the rest. It runs on Intel's processors."""

    def build(self, rows, threads):
        super().build(rows[:1000], threads)  # on another processor, this is where it ends
        super().build(rows, threads)

    def source(self, rows, folder):
        plain = folder / "rows.fvecs"
        self.svs.write_vecs(np.ascontiguousarray(rows), str(plain))
        loader = self.svs.VectorDataLoader(str(plain), self.svs.DataType.float32, self.dim)
        return self.svs.LVQLoader(loader, primary=4, residual=8)

    def stored(self, folder):
        return self.svs.LVQLoader(str(folder))


class Zvec:
    """HNSW with M = 16, efConstruction = 200, float32; stored as its collection stores it.

    It takes one query a call, and so its batch is a loop in Python."""

    points = [{"ef": ef} for ef in EF]
    codes = "UNDEFINED"
    refined = False

    def __init__(self, dim):
        import zvec

        self.zvec, self.dim, self.param = zvec, dim, None
        self.home = tempfile.TemporaryDirectory()
        self.collection = None

    def build(self, rows, threads):
        z = self.zvec
        z.init(log_level=z.LogLevel.ERROR, query_threads=threads, optimize_threads=threads)
        graph = z.HnswIndexParam(z.MetricType.IP, m=16, ef_construction=200,
                                 quantize_type=getattr(z.QuantizeType, self.codes))
        field = z.VectorSchema("v", z.DataType.VECTOR_FP32, self.dim, graph)
        schema = z.CollectionSchema(name="rows", vectors=field)
        self.collection = z.create_and_open(self.home.name + "/rows", schema)
        for start in range(0, len(rows), 1000):
            part = rows[start : start + 1000]
            self.collection.insert([z.Doc(id=str(start + i), vectors={"v": v})
                                    for i, v in enumerate(part)])
        self.collection.optimize()

    def save(self, path):
        self.collection.flush()
        self.collection = None
        shutil.copytree(self.home.name + "/rows", path)

    def load(self, path):
        self.zvec.init(log_level=self.zvec.LogLevel.ERROR, query_threads=1, optimize_threads=1)
        self.collection = self.zvec.open(str(path))

    def set(self, ef):
        self.param = self.zvec.HnswQueryParam(ef=ef, is_using_refiner=self.refined)

    def one(self, query):
        asked = self.zvec.Query(field_name="v", vector=query, param=self.param)
        found = self.collection.query(asked, topk=K, output_fields=[])
        return [int(doc.id) for doc in found]

    def batch(self, queries):
        return [self.one(query) for query in queries]


class ZvecI8(Zvec):
    """The same over int8, re-ranked with the originals."""

    codes = "INT8"
    refined = True


RIVALS = {
    "hnswlib": Hnswlib,
    "faiss-hnsw": FaissHnsw,
    "faiss-hnsw-sq8": FaissHnswSq8,
    "faiss-ivfpq": FaissIvfPq,
    "usearch-f32": Usearch,
    "usearch-i8": UsearchI8,
    "svs": Svs,
    "svs-lvq": SvsLvq,
    "zvec": Zvec,
    "zvec-i8": ZvecI8,
}
