"""The C examples: run as they are built, and one built as a user would, from what is installed."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

CHEAP_ON_SHELF_C = sum(i % 10 == 2 and i % 97 < 50 for i in range(10000))


def run(*command, env=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_output(text):
    head, *lines = text.splitlines()
    assert head == f"of {CHEAP_ON_SHELF_C} that match:"
    hits = [re.fullmatch(r"item-(\d{5}) (-?\d\.\d{4})", line).groups() for line in lines]
    assert len(hits) == 5
    assert hits[0] == ("00042", "1.0000")
    assert all(int(item) % 10 == 2 and int(item) % 97 < 50 for item, _ in hits)
    scores = [float(score) for _, score in hits]
    assert scores == sorted(scores, reverse=True) and scores[1] < 1


def test_vectors_finds_under_a_filter_and_again_in_the_same_folder(program, tmp_path):
    example = program.parent / "examples" / "vectors"
    first = run(example, tmp_path / "data")
    check_output(first)
    assert run(example, tmp_path / "data") == first


def test_vectors_says_what_is_wrong(program, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = subprocess.run([str(program.parent / "examples" / "vectors"), str(tmp_path / "file")],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("vectors: ")


def test_find_adds_and_finds_pictures(program, photos, tmp_path):
    done = subprocess.run([str(program.parent / "examples" / "find"), *map(str, photos[:3])],
                          capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"results":[' in done.stdout


@pytest.fixture(scope="module")
def installed(program, tmp_path_factory):
    """Everything under a folder of its own, and the environment that finds it there."""
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config")
    at = tmp_path_factory.mktemp("installed")
    run("meson", "install", "-C", program.parent, "--no-rebuild", "--destdir", at)
    description, = at.rglob("lookalike_vectors.pc")
    libraries = description.parent.parent
    env = {"PKG_CONFIG_PATH": str(description.parent), "PKG_CONFIG_SYSROOT_DIR": str(at),
           "LD_LIBRARY_PATH": f"{libraries}:{libraries / 'lookalike'}"}
    # On Debian 12 a library of ours lies in a folder of its own, which the linker has to be told as
    # long as nothing is installed where it says it is.
    env["LDFLAGS"] = f"-Wl,-rpath-link,{libraries / 'lookalike'}"
    return libraries, env


def test_the_vector_library_is_used_by_its_pkg_config_file(installed, tmp_path):
    _, env = installed
    flags = run("pkg-config", "--cflags", "--libs", "lookalike_vectors", env=env).split()
    assert not [flag for flag in flags if str(ROOT) in flag]
    run("cc", "-std=c17", "-Wall", "-Wextra", "-Werror", ROOT / "examples" / "vectors.c", *flags,
        env["LDFLAGS"], "-o", tmp_path / "vectors")
    check_output(run(tmp_path / "vectors", tmp_path / "data", env=env))


def test_the_vector_library_brings_neither_pictures_nor_models_along(installed):
    libraries, env = installed
    needed = run("ldd", libraries / "liblookalike_vectors.so", env=env)
    assert "libc.so" in needed and "not found" not in needed
    for other in ("onnxruntime", "vips", "sqlite", "microhttpd", "curl", "crypto", "libz"):
        assert other not in needed


def test_the_vector_header_serves_cplusplus(installed, tmp_path):
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler")
    _, env = installed
    flags = run("pkg-config", "--cflags", "--libs", "lookalike_vectors", env=env).split()
    source = tmp_path / "version.cpp"
    source.write_text("#include <lookalike_vectors.h>\n#include <cstdio>\n"
                      "int main() { std::puts(lookalike_vectors_version()); }\n")
    run("c++", "-Wall", "-Werror", source, *flags, env["LDFLAGS"], "-o",
        tmp_path / "version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(tmp_path / "version", env=env))
