"""Results as lines of JSON, which runs add to: each line says its set and the run that it is of.

A run is one call of a tool on one machine. Its first line has kind "run" and says which machine,
which commit and how busy it was; lines of other runs on the same machine can stand beside it, and
of lines about the same thing the report takes the latest run's.
"""

import json
import os
import platform
import subprocess
import time
from pathlib import Path


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    """The commit that stands here, with a + when files differ from it; "" outside a repository."""
    here = Path(__file__).parent
    done = subprocess.run(["git", "describe", "--always", "--dirty=+", "--abbrev=8"], cwd=here,
                          capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Results:
    """The results file of one run over one set."""

    def __init__(self, path, name, run=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.lines = name, []
        self.out = path.open("a", encoding="utf-8")
        self.run = run or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.add({"kind": "run", "machine": f"{os.cpu_count()} cores of {processor()}",
                  "kernel": platform.release(), "commit": commit(),
                  "load": round(os.getloadavg()[0], 2)})

    def add(self, line):
        line = {"run": self.run, "set": self.name, **line}
        self.lines.append(line)
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()


def read(paths):
    """Every line of some results files, in their order."""
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)
