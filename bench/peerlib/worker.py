"""One engine in a process of its own: build it into the cache, or load it and measure it.

    python -m peerlib.worker build RIVAL BASE INDEX THREADS
    python -m peerlib.worker search RIVAL BASE INDEX QUERY TRUTH QUERIES REPEATS STOP

Building and searching are two processes, so that memory is what a search needs: the resident set
after loading the stored index and sweeping over it, less the resident set just before loading,
when the interpreter, the engine's package, the queries and the truth were already there. Base
vectors are in the figure only as far as the engine keeps them in its index.

`share` is how much of the measured time the processor was ours: 1 when nothing else ran on it.
A measurement that got less than QUIET of it is repeated, up to PATIENCE times more.

Speed is measured twice on one pinned processor. `qps` is one call with all queries, best of
REPEATS: no part of it is Python, so it is what engines are compared by. `qps_single`, p50 and p99
are one call a query, as a program would do it, with what Python costs on top; of REPEATS passes
the one with the least total time stands. Prints one JSON line a point; stops above recall STOP,
or when the last STEPS points together brought less than GAIN.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

WARM_UP = 200  # queries that are asked before each point is timed
QUIET = 0.97  # share of the processor from which a measurement counts as undisturbed
STEPS, GAIN = 3, 0.001  # when more effort no longer finds more
PATIENCE = 15  # more repeats that a disturbed measurement gets, a moment apart
MOMENT = 0.2  # seconds


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


def quietest(attempt, repeats):
    """The best of `repeats` attempts, and of some more while none was undisturbed.

    attempt() returns what sorts first when it is best, the share it had, and more."""
    done = []
    while len(done) < repeats or (
            len(done) < repeats + PATIENCE and max(d[1] for d in done) < QUIET):
        if len(done) >= repeats:
            time.sleep(MOMENT)
        done.append(attempt())
    return min(done, key=lambda d: d[0])


def batch(engine, queries):
    """Seconds of one call with all queries, its share of the processor, and what it found."""
    clock = Clock()
    found = engine.batch(queries)
    return *clock.stop(), found


def singles(engine, queries):
    """The same for one call a query: seconds, share, and the sorted nanoseconds of each."""
    taken = []
    clock = Clock()
    for query in queries:
        start = time.perf_counter_ns()
        engine.one(query)
        taken.append(time.perf_counter_ns() - start)
    return *clock.stop(), sorted(taken)


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
        seconds, share, found = quietest(lambda: batch(engine, queries), int(repeats))
        one_by_one, _, taken = quietest(lambda: singles(engine, queries), max(1, int(repeats) - 1))
        got = data.recall(found, wanted)
        say(kind="point", index=rival, params=point, recall=round(got, 5),
            qps=round(n / seconds, 1), qps_single=round(n / one_by_one, 1),
            p50_us=round(taken[n // 2] / 1e3, 1), p99_us=round(taken[n * 99 // 100] / 1e3, 1),
            share=round(share, 3), queries=n)
        reached.append(got)
        if got >= float(stop) or (len(reached) > STEPS and got - reached[-1 - STEPS] < GAIN):
            break
    say(kind="memory", index=rival, rss_mb=round(data.resident_mb() - before, 1),
        load_s=round(load_s, 2))


if __name__ == "__main__":
    {"build": build, "search": search}[sys.argv[1]](*sys.argv[2:])
