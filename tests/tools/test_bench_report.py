"""What docs/BENCH.md says of other engines is computed; these are the computations."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from peerlib import aims, ours, plot, report


def point(recall, qps, run="r1", **more):
    return {"run": run, "set": "easy1m", "kind": "point", "index": "hnswlib", "recall": recall,
            "qps": qps, "p50_us": 1e6 / qps, "p99_us": 3e6 / qps, **more}


def test_a_curve_keeps_only_points_that_none_beats():
    points = [point(0.90, 900), point(0.95, 1000), point(0.93, 990), point(0.99, 100)]
    assert [p["recall"] for p in report.best(points)] == [0.95, 0.99]


def test_a_rate_between_two_points_is_their_weighted_geometric_mean():
    front = report.best([point(0.90, 10_000), point(0.98, 100)])
    assert report.at(front, 0.94, "qps") == pytest.approx(1000)


def test_a_rate_below_the_weakest_point_is_that_points_and_beyond_the_strongest_is_none():
    front = report.best([point(0.92, 5000), point(0.96, 2000)])
    assert report.at(front, 0.90, "qps") == 5000
    assert report.at(front, 0.96, "qps") == pytest.approx(2000)
    assert report.at(front, 0.97, "qps") is None
    assert report.at([], 0.90, "qps") is None


def test_of_two_runs_of_an_engine_the_later_counts():
    lines = [point(0.95, 9000, run="r1"), point(0.95, 10, run="r0")]
    found = report.Set("easy1m", lines)
    assert [p["qps"] for p in found.curves["hnswlib"]] == [9000]
    assert found.runs() == {"r1"}


def test_an_aim_is_met_by_the_ratio_and_missed_just_below_it():
    for rate, verdict in ((4000, "yes"), (3990, "**no**")):
        lines = [point(0.95, 1000), point(0.95, rate, index="lookalike-hnsw")]
        rows = list(aims.speed({"easy1m": report.Set("easy1m", lines)}))
        assert [r[3] for r in rows] == [verdict], rate


def filtered(index, kind, share, recall, p50):
    return {"run": "r1", "set": "easy1m", "kind": "filter", "index": index, "filter": kind,
            "share": share, "recall": recall, "p50_us": p50, "qps": 1e6 / p50}


def test_a_filter_is_judged_where_the_curve_finds_enough():
    lines = [filtered("lookalike-hnsw", "random", 0.01, 0.94, 5),
             filtered("lookalike-hnsw", "random", 0.01, 0.96, 20),
             filtered("lookalike-hnsw", "random", 0.01, 0.99, 80),
             filtered("hnswlib", "random", 0.01, 0.97, 60)]
    rows = list(aims.filters(report.Set("easy1m", lines)))
    assert [r[2] for r in rows] == ["0.950", "6.0x"]


def test_a_filter_that_never_finds_enough_shows_the_most_it_found():
    lines = [filtered("lookalike-hnsw", "random", 0.01, 0.80, 5),
             filtered("lookalike-hnsw", "random", 0.01, 0.90, 9)]
    rows = list(aims.filters(report.Set("easy1m", lines)))
    assert [r[2:] for r in rows] == [["0.900", "**no**"]]


def test_our_rate_by_the_processors_time_goes_before_that_on_the_wall():
    line = {"index": "hnsw", "recall": 0.9, "qps": 1, "cpu_qps": 2, "p50_us": 2, "p99_us": 3}
    assert ours.point("lookalike-hnsw", line)["qps"] == 2


def test_the_plot_names_every_engine_that_has_a_point_in_it():
    picture = plot.svg("a & b", {"x": [(0.9, 100), (0.95, 50)], "none": [(0.2, 1)]})
    assert "a &amp; b" in picture
    assert ">x</text>" in picture
    assert ">none</text>" not in picture
