"""One engine in a process of its own: build it into the cache, or load it and measure it.

    python -m peerlib.worker build RIVAL BASE INDEX THREADS
    python -m peerlib.worker search RIVAL BASE INDEX QUERY TRUTH QUERIES REPEATS STOP

Building and searching are two processes, so that memory is what a search needs: the resident set
after loading the stored index and sweeping over it, less the resident set just before loading,
when the interpreter, the engine's package, the queries and the truth were already there. Base
vectors are in the figure only as far as the engine keeps them in its index.

Speed is measured twice on one pinned processor. `qps` is one call with all queries, best of
REPEATS: no part of it is Python, so it is what engines are compared by. `qps_single`, p50 and p99
are one call a query, as a program would do it, with what Python costs on top; of REPEATS passes
the one with the least total time stands. Prints one JSON line a point; stops above recall STOP.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

WARM_UP = 200  # queries that are asked before each point is timed


def say(**line):
    print(json.dumps(line), flush=True)


def build(rival, base, index, threads):
    from . import data, rivals

    rows = data.vectors(base)
    engine = rivals.RIVALS[rival](rows.shape[1])
    start = time.perf_counter()
    engine.build(rows, int(threads))
    seconds = time.perf_counter() - start
    engine.save(Path(index))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    say(kind="build", index=rival, rows=len(rows), build_s=round(seconds, 2),
        threads=int(threads), peak_mb=round(peak))


def batch_rate(engine, queries, repeats):
    """Queries a second of one call with all of them, and what it found."""
    best, found = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        found = engine.batch(queries)
        best = min(best, time.perf_counter() - start)
    return len(queries) / best, found


def single_times(engine, queries, repeats):
    """Nanoseconds of each call with one query, sorted: the pass with the least sum."""
    best = None
    for _ in range(repeats):
        taken = []
        for query in queries:
            start = time.perf_counter_ns()
            engine.one(query)
            taken.append(time.perf_counter_ns() - start)
        if best is None or sum(taken) < sum(best):
            best = taken
    return sorted(best)


def search(rival, base, index, query, truth, n_queries, repeats, stop):
    import numpy as np

    from . import data, rivals

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    dim = data.header(base)[1]
    wanted = data.truth(truth)
    n = min(int(n_queries), len(wanted))
    wanted, queries = wanted[:n], np.array(data.vectors(query)[:n])
    engine = rivals.RIVALS[rival](dim)
    before = data.resident_mb()
    start = time.perf_counter()
    engine.load(Path(index))
    load_s = time.perf_counter() - start
    for point in engine.points:
        engine.set(**point)
        engine.batch(queries[:WARM_UP])
        qps, found = batch_rate(engine, queries, int(repeats))
        taken = single_times(engine, queries, max(1, int(repeats) - 1))
        got = data.recall(found, wanted)
        say(kind="point", index=rival, params=point, recall=round(got, 5), qps=round(qps, 1),
            qps_single=round(n / (sum(taken) / 1e9), 1), p50_us=round(taken[n // 2] / 1e3, 1),
            p99_us=round(taken[n * 99 // 100] / 1e3, 1), queries=n)
        if got >= float(stop):
            break
    say(kind="memory", index=rival, rss_mb=round(data.resident_mb() - before, 1),
        load_s=round(load_s, 2))


if __name__ == "__main__":
    {"build": build, "search": search}[sys.argv[1]](*sys.argv[2:])
