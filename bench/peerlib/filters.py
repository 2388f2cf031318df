"""hnswlib under filters, through bench/peers_filter.cpp: its filter functor has to be in C++.

Its headers come with the source package that the requirements name, out of the same registry.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

from . import process

BENCH = Path(__file__).resolve().parent.parent


def headers(home, requirement):
    """The folder of hnswlib's headers; the package is fetched and unpacked once."""
    folder = home / "hnswlib-src"
    found = sorted(folder.glob("*/hnswlib/hnswlib.h"))
    if not found:
        subprocess.run([home / "bin/python", "-m", "pip", "download", "--quiet", "--no-deps",
                        "--disable-pip-version-check", "--no-binary", "hnswlib", "--dest", folder,
                        requirement], check=True, stdout=sys.stderr)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as package:
            package.extractall(folder, filter="data")
        found = sorted(folder.glob("*/hnswlib/hnswlib.h"))
    return found[0].parent.parent


def program(home, requirement):
    source, built = BENCH / "peers_filter.cpp", home / "peers_filter"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        done = subprocess.run(["c++", "-O3", "-march=native", "-std=c++17", "-isystem",
                               headers(home, requirement), "-o", built, source],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{source.name} does not compile: {done.stderr.splitlines()[0]}")
    return built


def measure(home, requirement, files, graph, truths, queries):
    """The results' lines; files are base, query, labels; graph is hnswlib's own."""
    base, query, labels = files
    command = [program(home, requirement), base, query, labels, graph, truths, str(queries)]
    return process.lines(command, cpu=process.last_processor())
