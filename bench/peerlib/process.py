"""Running a program that prints lines of JSON, and learning why it ended where it did not."""

import json
import os
import subprocess


def last_processor():
    """The one that measurements are pinned to."""
    return max(os.sched_getaffinity(0))


def lines(command, cpu=None, env=None):
    """Yield a program's lines of JSON; where it fails, what it said last is the RuntimeError."""
    if cpu is not None:
        command = ["taskset", "--cpu-list", str(cpu), *command]
    said = []
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as child:
        for line in child.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            elif line.strip():
                said.append(line.strip())
    if child.returncode != 0:
        raise RuntimeError(said[-1] if said else f"it ended with {child.returncode}")
