"""Our own engine, through build/bench/ann, in the lines that the others give.

The program says one line a point, with what it took to build and to hold repeated in each:
{"index": "hnsw", "ef": 32, ..., "recall": .., "qps": .., "p50_us": .., "p99_us": .., "build_s": ..,
"rss_mb": ..}. Whatever it says beside the figures is taken for the point's settings. Where there
is a cpu_qps, by the processor's time as the others are measured, it is the rate that counts.
"""

from . import process

NAMES = {"lookalike-hnsw": "hnsw", "lookalike-ivf": "ivf", "lookalike-flat": "flat"}
FIGURES = ["recall", "qps", "p50_us", "p99_us"]
RATES = ["qps", "cpu_qps"]
ONCE = ["index", "build_s", "rss_mb", "build_mb", "rows", "params"]


def point(name, line):
    others = {key: value for key, value in line.items() if key not in FIGURES + RATES + ONCE}
    figures = {key: line[key] for key in FIGURES} | {"qps": line.get("cpu_qps", line["qps"])}
    return {"kind": "point", "index": name, "params": line.get("params", others), **figures}


def measure(binary, name, files, threads):
    """Build our index over files (base, query, truth) and sweep it; yields the results' lines."""
    base, query, truth = files
    last = None
    for last in process.lines([binary, "--base", base, "--query", query, "--truth", truth,
                               "--index", NAMES[name], "--threads", str(threads), "--json"]):
        yield point(name, last)
    if last is None:
        raise RuntimeError(f"{binary} measured nothing")
    with base.open("rb") as head:
        rows = int.from_bytes(head.read(4), "little")
    yield {"kind": "build", "index": name, "rows": rows, "build_s": last["build_s"],
           "threads": threads}
    yield {"kind": "memory", "index": name, "rss_mb": last["rss_mb"]}
