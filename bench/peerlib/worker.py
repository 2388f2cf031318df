"""One engine in a process of its own: build it into the cache, or load it and measure it.

    python -m peerlib.worker build RIVAL BASE INDEX THREADS
    python -m peerlib.worker search RIVAL BASE INDEX QUERY TRUTH QUERIES REPEATS STOP

Building and searching are two processes, so that memory is what a search needs: the resident set
after loading the stored index and sweeping over it, less the resident set just before loading,
when the interpreter, the engine's package, the queries and the truth were already there. Base
vectors are in the figure only as far as the engine keeps them in its index.

Speed is measured twice on one pinned processor. `qps` is one call with all queries, best of
REPEATS: no part of it is Python, so it is what engines are compared by. p50 and p99 are one call a
query, as a program would do it, with what Python costs on top; each query counts with the best of
its REPEATS calls, so that what else the machine does stays out of it.

The clock of `qps` is the processor's time in this process, for the same reason. With nothing else
on that processor it is the time on the wall; `share` is how much of the wall's it was, and where it
is below 1 caches and memory were shared as well.

Prints one JSON line a point; stops above recall STOP, or when the last STEPS points together
brought less than GAIN.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

WARM_UP = 200  # queries that are asked before each point is timed
STEPS, GAIN = 3, 0.002  # when more effort no longer finds more


def say(**line):
    print(json.dumps(line), flush=True)


class Clock:
    """Time since it was made: on the wall, and of the processor in this process."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self):
        """Seconds on the wall, and share of the processor (of one, however many threads)."""
        wall = time.perf_counter() - self.wall
        return wall, (time.process_time() - self.cpu) / wall


def build(rival, base, index, threads):
    from . import data, rivals

    rows = data.vectors(base)
    engine = rivals.RIVALS[rival](rows.shape[1])
    clock = Clock()
    engine.build(rows, int(threads))
    seconds, share = clock.stop()
    engine.save(Path(index))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    say(kind="build", index=rival, rows=len(rows), build_s=round(seconds, 2),
        threads=int(threads), cpu_s=round(seconds * share, 2), peak_mb=round(peak))


def batch(engine, queries, repeats):
    """Processor seconds of one call with all queries, its share, and what it found: the best."""
    done = []
    for _ in range(repeats):
        clock = Clock()
        found = engine.batch(queries)
        wall, share = clock.stop()
        done.append((wall * share, share, found))
    return min(done, key=lambda d: d[0])


def singles(engine, queries, repeats):
    """Nanoseconds of one call a query, sorted: of each query, the best."""
    best = [float("inf")] * len(queries)
    for _ in range(repeats):
        for i, query in enumerate(queries):
            start = time.perf_counter_ns()
            engine.one(query)
            best[i] = min(best[i], time.perf_counter_ns() - start)
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
    reached = []
    for point in engine.points:
        engine.set(**point)
        engine.batch(queries[:WARM_UP])
        seconds, share, found = batch(engine, queries, int(repeats))
        taken = singles(engine, queries, int(repeats))
        got = data.recall(found, wanted)
        say(kind="point", index=rival, params=point, recall=round(got, 5),
            qps=round(n / seconds, 1), share=round(share, 3), p50_us=round(taken[n // 2] / 1e3, 1),
            p99_us=round(taken[n * 99 // 100] / 1e3, 1), queries=n)
        reached.append(got)
        if got >= float(stop) or (len(reached) > STEPS and got - reached[-1 - STEPS] < GAIN):
            break
    say(kind="memory", index=rival, rss_mb=round(data.resident_mb() - before, 1),
        load_s=round(load_s, 2))


if __name__ == "__main__":
    {"build": build, "search": search}[sys.argv[1]](*sys.argv[2:])
