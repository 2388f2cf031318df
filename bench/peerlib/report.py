"""Tables out of results: speed at given recalls, memory, building, filters, and our ratios.

An engine's curve is its best points: those that no other of its points beats in both recall and
speed. Between two of them the rate at a recall is interpolated, its logarithm being taken to be
linear; below the weakest the weakest's own rate stands (it reaches more than was asked for), and
beyond the strongest there is none.
"""

import math

RECALLS = (0.90, 0.95, 0.99)
OURS = "lookalike-hnsw"
ENOUGH = 0.95  # recall that engines are compared at under filters
CACHED_MB = 64  # an index that is smaller is not bounded by memory


def latest(lines, *what):
    """Lines grouped by the members named in `what`, only those of each group's latest run."""
    groups = {}
    for line in lines:
        key = tuple(line.get(name) for name in what)
        old = groups.get(key)
        if old is None or line["run"] > old[0]["run"]:
            groups[key] = [line]
        elif line["run"] == old[0]["run"]:
            old.append(line)
    return groups


def best(points):
    """The points that none beats in both recall and rate, by rising recall."""
    front, top = [], 0.0
    for point in sorted(points, key=lambda p: (-p["recall"], -p["qps"])):
        if point["qps"] > top:
            front.append(point)
            top = point["qps"]
    return front[::-1]


def at(front, recall, figure):
    """A figure of a curve at a recall, or None where the curve does not reach it."""
    if not front or front[-1]["recall"] < recall:
        return None
    above = next(i for i, point in enumerate(front) if point["recall"] >= recall)
    if above == 0:
        return front[0][figure]
    low, high = front[above - 1], front[above]
    share = (recall - low["recall"]) / (high["recall"] - low["recall"])
    return math.exp(math.log(low[figure]) * (1 - share) + math.log(high[figure]) * share)


def place(index):
    """Ours first, then the others by name."""
    return not index.startswith("lookalike"), index


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    """A Markdown table; rows are lists of text."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return out + ["| " + " | ".join(row) + " |" for row in rows]


def build_rate(build):
    """Vectors a second on all threads of a build: on an idle machine, where it is known how much
    of the processors it had."""
    seconds = build["cpu_s"] / build["threads"] if build.get("cpu_s") else build["build_s"]
    return build["rows"] / seconds


def nearness(sets, lines):
    """How near the bounds of this machine's memory we come: some sentences, or nothing."""
    limits = [line for line in lines if line["kind"] == "limits"]
    if not limits:
        return []
    best = max(limits, key=lambda line: line["ahead_gb_s"])
    out = ["Memory gives one thread here {stream_gb_s:.1f} GB/s front to back, and a row of "
           "{row_bytes} bytes anywhere every {ahead_ns:.0f} ns ({ahead_gb_s:.1f} GB/s) if it is "
           "known ahead, every {after_ns:.0f} ns if not.".format(**best)]
    for found in sets:
        rate = at(found.curves.get(OURS, []), 0.95, "qps")
        if rate and found.memory.get(OURS, {}).get("rss_mb", 0) > CACHED_MB:
            out.append(f"A query of ours on {found.name} at recall .95 takes as long as "
                       f"{1e9 / rate / best['ahead_ns']:,.0f} such rows.")
    return [" ".join(out), ""]


class Set:
    """What is known about one set of vectors: a curve, a build and a size of each engine, and how
    each does under filters."""

    def __init__(self, name, lines):
        self.name = name
        mine = [line for line in lines if line["set"] == name]
        of_kind = {kind: latest([line for line in mine if line["kind"] == kind], "index")
                   for kind in ("point", "build", "memory", "missing")}
        self.curves = {index: best(points) for (index,), points in of_kind["point"].items()}
        self.build = {index: found[-1] for (index,), found in of_kind["build"].items()}
        self.memory = {index: found[-1] for (index,), found in of_kind["memory"].items()}
        self.filters = latest([line for line in mine if line["kind"] == "filter"],
                              "index", "filter", "share")
        self.missing = {index: found[-1] for (index,), found in of_kind["missing"].items()
                        if index not in self.curves}

    def runs(self):
        """The runs that the figures here come from."""
        groups = [*self.curves.values(), *self.filters.values()]
        return {points[0]["run"] for points in groups}

    def speed(self, letters):
        """One row an engine, the fastest at recall .95 first."""
        def order(index):
            return -(at(self.curves[index], 0.95, "qps") or 0), index

        rows = []
        for index in sorted(self.curves, key=order):
            front = self.curves[index]
            build, memory = self.build.get(index, {}), self.memory.get(index, {})
            rate = build_rate(build) / build["threads"] if build else None
            p50, p99 = at(front, 0.95, "p50_us"), at(front, 0.95, "p99_us")
            rows.append([f"**{index}**" if index.startswith("lookalike") else index,
                         *[number(at(front, recall, "qps")) for recall in RECALLS],
                         "-" if p50 is None else f"{number(p50)} / {number(p99)}",
                         number(memory.get("rss_mb")), number(rate), letters[front[0]["run"]]])
        head = ["engine", *[f"queries/s at .{recall * 100:.0f}" for recall in RECALLS],
                "p50 / p99 at .95, us", "MB held", "built, vectors/s a core", "run"]
        out = table(head, rows)
        for index, line in sorted(self.missing.items()):
            out += ["", f"Left out: {index}. {line['why']}"]
        return out

    def ratio(self, index, recall):
        """How many times the rate of another engine ours is, at a recall."""
        ours = at(self.curves.get(OURS, []), recall, "qps")
        other = at(self.curves.get(index, []), recall, "qps")
        return ours / other if ours and other else None

    def chosen(self, index, kind, share):
        """What stands for an engine under a filter: recall, p50_us and run of its curve at recall
        ENOUGH, or of the point that finds most. None where it was not measured."""
        front = best(self.filters.get((index, kind, share), []))
        if not front:
            return None
        recall = min(max(ENOUGH, front[0]["recall"]), front[-1]["recall"])
        return {"recall": recall, "p50_us": at(front, recall, "p50_us"), "run": front[0]["run"]}

    def filtered(self, letters):
        """Recall and median of filtered search: a row a filter, a column an engine."""
        engines = sorted({index for index, _, _ in self.filters}, key=place)
        rows = []
        for kind, share in sorted({(kind, share) for _, kind, share in self.filters}):
            row = [kind, f"{share * 100:g} %"]
            for index in engines:
                line = self.chosen(index, kind, share)
                row.append("-" if line is None else
                           f"{line['recall']:.3f}, {number(line['p50_us'])} us, "
                           f"run {letters[line['run']]}")
            rows.append(row)
        return table(["filter", "rows let through", *[f"{i}: recall, p50" for i in engines]], rows)
