"""What we want to reach beside the others, and whether we did: ratios within one machine."""

from . import report

SPEED = [
    # set, recall, engine, how many times its rate we want at least
    ("easy1m", 0.95, "hnswlib", 4.0),
    ("easy1m", 0.99, "hnswlib", 5.0),
    ("hard200k", 0.95, "hnswlib", 5.0),
    ("hard200k", 0.95, "usearch-f32", 6.0),
    ("easy200k", 0.99, "svs", 3.0),
]
TAIL = 2.0  # p99 / p50 at recall .95, at most
HELD_MB = ("easy1m", 750)
BUILT = ("easy1m", 4000)  # vectors a second, two threads
FILTER_SPEED = [("at 1 % and below", lambda share: share <= 0.01, 5.0),
                ("at 50 %", lambda share: share == 0.5, 1.5)]


def row(what, aim, got, reached):
    return [what, aim, got, "yes" if reached else "**no**"]


def speed(sets):
    for name, recall, rival, least in SPEED:
        ratio = sets[name].ratio(rival, recall) if name in sets else None
        if ratio:
            yield row(f"{name}, queries/s at recall .{recall * 100:.0f}, beside {rival}",
                      f">= {least:g}x", f"{ratio:.1f}x", ratio >= least)


def tails(sets):
    for name, found in sets.items():
        front = found.curves.get(report.OURS, [])
        p50, p99 = report.at(front, 0.95, "p50_us"), report.at(front, 0.95, "p99_us")
        if p50:
            yield row(f"{name}, p99 / p50 at recall .95", f"<= {TAIL:g}", f"{p99 / p50:.1f}",
                      p99 / p50 <= TAIL)


def sizes(sets):
    name, most = HELD_MB
    held = sets[name].memory.get(report.OURS) if name in sets else None
    if held:
        yield row(f"{name}, memory held", f"<= {most} MB", f"{held['rss_mb']:.0f} MB",
                  held["rss_mb"] <= most)
    name, least = BUILT
    build = sets[name].build.get(report.OURS) if name in sets else None
    if build:
        rate = build["rows"] / build["build_s"]
        yield row(f"{name}, built with {build['threads']} threads, time on the wall",
                  f">= {least:,} vectors/s",
                  f"{rate:,.0f} vectors/s", rate >= least)


def filters(found):
    """The weakest of our recalls, and of our ratios to hnswlib's own filter, over all filters."""
    filters = sorted({(kind, share) for index, kind, share in found.filters
                      if index == report.OURS})
    if not filters:
        return
    least = min(found.chosen(report.OURS, *which)["recall"] for which in filters)
    yield row(f"{found.name}, recall under every filter", f">= {report.ENOUGH}", f"{least:.3f}",
              least >= report.ENOUGH)
    for words, covers, aim in FILTER_SPEED:
        ratios = []
        for which in filters:
            ours, other = (found.chosen(i, *which) for i in (report.OURS, "hnswlib"))
            if covers(which[1]) and other:
                ratios.append(other["p50_us"] / ours["p50_us"])
        if ratios:
            yield row(f"{found.name}, p50 under filters {words}, beside hnswlib's",
                      f">= {aim:g}x", f"{min(ratios):.1f}x", min(ratios) >= aim)


def table(sets):
    """Each aim that these sets speak of; nothing where our engine was not measured."""
    rows = [*speed(sets), *tails(sets), *sizes(sets)]
    for found in sets.values():
        rows += filters(found)
    return report.table(["what", "aim", "measured", "reached"], rows) if rows else []
