"""tools/run-tests must count what went wrong; a runner that cannot fail makes every test worthless."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "run-tests"


def load():
    loader = importlib.machinery.SourceFileLoader("run_tests", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("stdout", "result", "status", "counts"),
    [
        ("1..2\nok 1 - a\nok 2 - b\n", "OK", 0, (2, 0, 0)),
        ("1..2\nok 1 - a\nnot ok 2 - b\n", "FAIL", 1, (1, 1, 0)),
        ("1..2\nok 1 - a\nnot ok 2 # SKIP b\n", "OK", 0, (1, 0, 1)),
        ("1..3\nok 1 - a\n", "ERROR", -11, (1, 1, 0)),
        ("1..2\nok 1 - a\nok 2 - b\n", "ERROR", 1, (2, 1, 0)),
        ("1..2\nok 1 - a\nok 2 - b\n", "TIMEOUT", -15, (2, 1, 0)),
        ("1..1\nok 1 - a\n1..1\nok 1 - a\n", "OK", 0, (2, 0, 0)),
        ("1..1\nok 1 - a\n1..2\nok 1 - a\n", "OK", 0, (2, 1, 0)),
        ("", "OK", 0, (0, 1, 0)),
        ("no test material", "SKIP", 77, (0, 0, 1)),
    ],
)
def test_each_case_counts_once_and_a_bad_end_counts_as_a_failure(stdout, result, status, counts):
    tool = load()
    count = tool.Count()
    tool.count_tap(
        {"name": "x / a", "stdout": stdout, "result": result, "returncode": status}, count
    )
    assert (count.passed, count.failed, count.skipped) == counts


def test_the_closing_line_names_skips_only_when_there_are_some():
    tool = load()
    count = tool.Count()
    count.passed = 3
    assert count.line() == "3 passed, 0 failed"
    count.skip("somewhere")
    assert count.line() == "3 passed, 0 failed, 1 skipped"
