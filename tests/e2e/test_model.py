"""The model command: models are listed, exported, added, checked, measured and removed."""

import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("LK_BUILD", ROOT / "build")) / "lookalike"


def run(data, *args, code=0):
    done = subprocess.run([PROGRAM, "--data", data, "model", *map(str, args)],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def run_json(data, *args, code=0):
    return json.loads(run(data, *args, "--json", code=code).stdout)


def listed(data):
    return {m["name"]: m for m in run_json(data, "list")}


def checks(answer, what):
    return {c["of"]: c for c in answer["checks"] if c["check"] == what}


@pytest.fixture
def exported(tmp_path):
    run(tmp_path, "export", "mini", tmp_path / "mini")
    return tmp_path / "mini"


def test_the_list_says_what_is_here_and_what_can_be_pulled(tmp_path):
    models = listed(tmp_path)
    assert models["mini"]["state"] == "bundled" and models["mini"]["dim"] == 256
    b32 = models["clip-vit-b-32"]
    assert b32["state"] == "to pull" and b32["dim"] == 512 and b32["text"] is True
    assert b32["where"] == "Xenova/clip-vit-base-patch32"
    assert models["resnet50"]["dim"] == 2048 and models["resnet50"]["text"] is False
    assert "clip-vit-l-14" in run(tmp_path, "list").stdout
    assert not (tmp_path / "models").exists()  # to look changes nothing


def test_an_export_is_added_used_and_removed(tmp_path, exported):
    added = run_json(tmp_path, "add", exported, "--to", "mine")
    assert added == {"name": "mine", "where": str(tmp_path / "models" / "mine")}
    assert listed(tmp_path)["mine"]["state"] == "installed"
    done = subprocess.run([PROGRAM, "--data", tmp_path, "embed", "boat", "--model", "mine"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.split()) == 256
    assert "there already" in run(tmp_path, "add", exported, "--to", "mine", code=4).stderr
    run(tmp_path, "rm", "mine")
    assert "mine" not in listed(tmp_path)
    assert run_json(tmp_path, "rm", "mine", code=4)["error"]["field"] == "name"
    assert "bundled" in run(tmp_path, "rm", "mini", code=2).stderr


def test_a_model_that_a_collection_needs_stays(tmp_path, exported):
    run(tmp_path, "add", exported, "--to", "mine")
    subprocess.run([PROGRAM, "--data", tmp_path, "--model", "mine", "init"], check=True,
                   capture_output=True, timeout=60)
    error = run_json(tmp_path, "rm", "mine", code=4)["error"]
    assert error["code"] == "denied" and "needs it" in error["message"]
    assert "mine" in listed(tmp_path)


def test_a_check_tells_every_fault_and_ends_with_4(tmp_path, exported):
    sound = run_json(tmp_path, "check", exported)
    assert sound["ok"] is True and sound["dim"] == 256
    assert {"card", "file", "load", "picture", "text", "canary"} == {
        c["check"] for c in sound["checks"]}
    (exported / "image.onnx").unlink()
    (exported / "vocab.txt").unlink()
    (exported / "vocab.txt").symlink_to("/etc/passwd")
    with (exported / "text.onnx").open("r+b") as f:
        f.seek(1000)
        f.write(b"\0\1\2\3")
    faulty = run_json(tmp_path, "check", exported, code=4)
    files = checks(faulty, "file")
    assert faulty["ok"] is False
    assert "No such file" in files["image.onnx"]["says"]
    assert "symbolic link" in files["vocab.txt"]["says"]
    assert "SHA-256" in files["text.onnx"]["says"]
    assert files["categories.json"]["ok"] is True
    assert "cannot be used" in run(tmp_path, "check", exported, code=4).stdout
    assert "no model \"none\"" in run(tmp_path, "check", "none", code=4).stderr


@pytest.mark.parametrize("was, now, says", [
    ('"dim": 256', '"dim": 255', "255"),
    ('"size": 112', '"size": 113', "[N,3,113,113]"),
    ('"file": "image.onnx"', '"file": "../image.onnx"', "leaves the model's folder"),
])
def test_a_wrong_card_is_refused_with_a_sentence(tmp_path, exported, was, now, says):
    card = exported / "model.json"
    card.write_text(card.read_text(encoding="utf-8").replace(was, now, 1), encoding="utf-8")
    faulty = run_json(tmp_path, "check", exported, code=4)
    assert says in " ".join(c["says"] for c in faulty["checks"] if not c["ok"])
    assert says in run(tmp_path, "add", exported, "--to", "wrong", code=4).stderr
    assert "wrong" not in listed(tmp_path)


# ---- graphs made to do harm ----


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def part(number, payload):
    """A length-delimited field of a protobuf message."""
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def count(number, value):
    return varint(number << 3) + varint(value)


def value_info(name, kind, dims):
    shape = b"".join(part(1, count(1, d) if isinstance(d, int) else part(2, d)) for d in dims)
    return part(1, name) + part(2, part(1, count(1, kind) + part(2, shape)))


def tensor(kind, raw, dims, name=""):
    return b"".join(count(1, d) for d in dims) + count(2, kind) + part(8, name) + part(9, raw)


def node(kind, inputs, output, *attributes):
    return part(1, b"".join(part(1, i) for i in inputs) + part(2, output) + part(4, kind)
                + b"".join(part(5, a) for a in attributes))


def hungry_graph(n):
    """n floats are made of nothing for each text, and their sum fills its 256 numbers."""
    def numbers(name, value):
        return part(5, tensor(7, value.to_bytes(8, "little"), [1], name))

    one = part(1, "value") + part(5, tensor(1, struct.pack("<f", 1), [1])) + count(20, 4)
    graph = (node("Shape", ["ids"], "s") + node("Gather", ["s", "zero"], "rows")
             + node("Mul", ["rows", "many"], "size") + node("ConstantOfShape", ["size"], "big", one)
             + node("ReduceSum", ["big"], "sum")
             + node("Concat", ["rows", "width"], "shape",
                    part(1, "axis") + count(3, 0) + count(20, 2))
             + node("Expand", ["sum", "shape"], "out") + part(2, "g")
             + numbers("zero", 0) + numbers("many", n) + numbers("width", 256)
             + part(11, value_info("ids", 7, ["n", "t"]))
             + part(12, value_info("out", 1, ["n", 256])))
    return count(1, 8) + part(7, graph) + part(8, count(2, 13))


def write_model(folder, graph):
    files = {"text.onnx": graph, "vocab.txt": b"<pad>\nboat\ndogs\n"}
    folder.mkdir()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / "model.json").write_text(json.dumps({
        "name": folder.name, "version": "1", "dim": 256,
        "text": {"file": "text.onnx", "tokenizer": "words", "vocab": "vocab.txt"},
        "files": {name: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
                  for name, body in files.items()}}), encoding="utf-8")
    return folder


def test_a_graph_that_eats_memory_is_stopped_before_it_hurts(tmp_path):
    modest = write_model(tmp_path / "modest", hungry_graph(1000))
    assert run_json(tmp_path, "check", modest)["ok"] is True
    hungry = write_model(tmp_path / "hungry", hungry_graph(1 << 30))  # 4 GiB
    faulty = run_json(tmp_path, "check", hungry, code=4)
    said = [c["says"] for c in faulty["checks"] if not c["ok"]]
    assert len(said) == 1 and "allocat" in said[0], said
    assert "allocat" in run(tmp_path, "add", hungry, code=4).stderr
    assert listed(tmp_path)["mini"] and "hungry" not in listed(tmp_path)
    served = subprocess.run([PROGRAM, "--data", tmp_path / "d", "--model", hungry, "serve",
                             "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert served.returncode == 4 and "allocat" in served.stderr
    assert not (hungry / "canary.json").exists() and (modest / "canary.json").exists()


def test_a_bench_has_a_line_for_each_way(tmp_path):
    answer = run_json(tmp_path, "bench", "--each", "50ms")
    ways = {(r["tower"], r["batch"], r["workers"]) for r in answer["rows"]}
    assert ways == {("image", 1, 1), ("image", 1, 2), ("image", 8, 1), ("image", 8, 2),
                    ("text", 1, 1), ("text", 1, 2)}
    for row in answer["rows"]:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["max_ms"]
        assert row["calls"] >= 1 and row["per_second"] > 0 and row["cpu_ms"] > 0
    assert "a second" in run(tmp_path, "bench", "mini", "--each", "50ms").stdout


def test_a_slip_is_a_usage_error(tmp_path):
    assert 'did you mean "check"' in run(tmp_path, "chek", code=2).stderr
    assert "usage" in run(tmp_path, "export", "mini", code=2).stderr
    assert "usage" in run(tmp_path, "pull", code=2).stderr
    near = run(tmp_path, "pull", "clip-vit-b-33", code=4).stderr
    assert 'did you mean "clip-vit-b-32"' in near
