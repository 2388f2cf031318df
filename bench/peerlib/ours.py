"""Our own engine, through build/bench/ann, in the lines that the others give.

The program says one line a point, with what it took to build and to hold repeated in each:
{"index": "hnsw", "params": {"ef": 32}, "plan": .., "recall": .., "qps": .., "cpu_qps": ..,
"p50_us": .., "p99_us": .., "build_s": .., "rss_mb": ..}. cpu_qps is by the processor's time, as the
others are measured, and the rate that counts. What it builds without a filter it keeps in a file,
which it then opens for each filter.
"""

import json

from . import process

NAMES = {"lookalike-hnsw": "hnsw", "lookalike-ivf": "ivf", "lookalike-flat": "flat"}
SHARES = [0.001, 0.01, 0.05, 0.1, 0.2, 0.5]  # as peers_filter.cpp has them


def point(name, line):
    figures = {key: line[key] for key in ("params", "plan", "recall", "p50_us", "p99_us")
               if key in line}
    return {"kind": "point", "index": name, **figures, "qps": line.get("cpu_qps", line["qps"]),
            "wall_qps": line["qps"]}


class Program:
    """build/bench/ann over one set of files."""

    def __init__(self, args):
        self.args = args

    def lines(self, name, *more):
        args = self.args
        return process.lines(
            [args.ann, "--base", args.base, "--query", args.query, "--truth", args.truth,
             "--index", NAMES[name], "--threads", str(args.threads), "--queries",
             str(args.queries), "--repeats", str(args.repeats), "--cache", self.kept(name),
             "--json", *more])

    def kept(self, name):
        return self.args.cache / f"{self.args.name}.{name}"

    def measure(self, name):
        """Build, or with --keep take what is kept, and sweep; yields the results' lines."""
        note = self.kept(name).with_name(f"{self.args.name}.{name}.json")
        if not (self.args.keep and note.exists()):
            self.kept(name).unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        last = None
        for last in self.lines(name):
            yield point(name, last)
        if last is None:
            raise RuntimeError("Its program measured nothing")
        if last["build_s"]:
            with self.args.base.open("rb") as head:
                rows = int.from_bytes(head.read(4), "little")
            note.write_text(json.dumps({
                "kind": "build", "index": name, "rows": rows, "build_s": last["build_s"],
                "cpu_s": last["build_cpu_s"], "threads": self.args.threads}))
        if note.exists():
            yield json.loads(note.read_text())
        yield {"kind": "memory", "index": name, "rss_mb": last["rss_mb"]}

    def under_filters(self, name):
        for share in SHARES:
            for kind, where in (("random", f"random:{share}"),
                                ("cluster", f"cluster:{share}:{self.args.filters}")):
                for line in self.lines(name, "--where", where):
                    yield {**point(name, line), "kind": "filter", "filter": kind, "share": share}
