"""Vectors and truth on disk, recall, and what memory this process holds.

.fbin: u32 n, u32 dim, n rows of dim float32, unit length. .ibin: u32 n, u32 k, n rows of k u32 ids,
best first, then as many float32 scores, which are not read here.
"""

import ctypes
from pathlib import Path

import numpy as np

K = 10  # every recall here is recall@10


def header(path):
    n, width = np.fromfile(path, dtype="<u4", count=2)
    return int(n), int(width)


def vectors(path):
    """The rows of a .fbin, mapped: memory is taken only by what is touched."""
    return np.memmap(path, dtype="<f4", mode="r", offset=8, shape=header(path))


def truth(path):
    """The K nearest ids of each query, [n][K]."""
    n, k = header(path)
    if k < K:
        raise SystemExit(f"{path} holds {k} neighbours a query; {K} are needed")
    return np.fromfile(path, dtype="<u4", count=n * k, offset=8).reshape(n, k)[:, :K]


def labels(path):
    """The cluster number of each row."""
    n, _ = header(path)
    return np.fromfile(path, dtype="<i4", count=n, offset=8)


def write_ids(path, ids):
    """An .ibin without scores: they are zero."""
    n, k = ids.shape
    with Path(path).open("wb") as out:
        np.array([n, k], dtype="<u4").tofile(out)
        ids.astype("<u4").tofile(out)
        np.zeros((n, k), dtype="<f4").tofile(out)


def recall(found, wanted):
    """Share of wanted[n][K] that is in found[n][K], whatever the order."""
    found = np.asarray(found)[:, :K].astype(np.int64)
    hits = (found[:, :, None] == wanted[:, None, :].astype(np.int64)).any(axis=1)
    return float(hits.mean())


def resident_mb():
    """What this process holds in memory after giving back what the allocator kept, in MB."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/smaps_rollup has no Rss line")
