"""A collection moves to another model with the real program: stopped, killed, gone on with, undone,
and searched all the while where a server runs."""

import json
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import ROOT, program_path, wait_until


def run(data, *args, code=0):
    done = subprocess.run([program_path(), "--data", data, *map(str, args)],
                          capture_output=True, text=True, timeout=300, check=False)
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def run_json(data, *args, code=0):
    return json.loads(run(data, *args, "--json", code=code).stdout)


def all_ids(data):
    return {json.loads(line)["id"] for line in run(data, "list", "--json").stdout.splitlines()}


def make_model(folder, name):
    """The bundled model with another crop: another model."""
    shutil.copytree(ROOT / "models" / "mini", folder)
    (folder / "canary.json").unlink()
    card = json.loads((folder / "model.json").read_text())
    card["name"] = name
    card["image"]["resize"] = "crop"
    (folder / "model.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "crop", "crop")


@pytest.fixture(scope="module")
def hundred(photos, tmp_path_factory):
    """A data folder with a hundred photographs, to be copied."""
    data = tmp_path_factory.mktemp("migrate") / "data"
    run(data, "add", photos[0].parent)
    return data


@pytest.fixture
def data(hundred, tmp_path):
    return shutil.copytree(hundred, tmp_path / "data")


def vectors_folders(data):
    return sorted(p.name for p in (data / "collections").iterdir())


def assert_whole(data):
    """Records, vectors and pictures agree, and a search finds things."""
    found = run_json(data, "verify", "--deep")
    assert found["faults"] == 0 and found["extras"] == 0, found
    assert found["records"] == found["vectors"], found
    assert run_json(data, "search", "boat", "-n", "3")["results"]
    return found["records"]


def test_a_collection_moves_reports_and_goes_back(data, model):
    done = run_json(data, "model", "migrate", "--to", model, "--sample", "50")
    assert done["switched"] and done["made"] == done["pictures"] == 100 and done["failed"] == 0
    near = done["neighbours"]
    assert near["sample"] == 50 and near["k"] == 10 and sum(near["by_shared"]) == 50
    assert 0.3 < near["overlap"] < 1
    assert run_json(data, "info")["model"] == "crop"
    assert_whole(data)
    state = run_json(data, "model", "migrate")
    assert state["state"] == "kept" and state["other"] == "mini"
    assert run(data, "model", "migrate", "--rollback").stdout.startswith("the collection moved to ")
    assert run_json(data, "info")["model"] == "lookalike-mini"
    assert_whole(data)
    run(data, "model", "migrate", "--forget-old")
    assert vectors_folders(data) == ["images"]
    run(data, "model", "migrate", "--rollback", code=4)
    assert_whole(data)


def test_the_same_model_and_two_wishes_at_once_are_refused(data, model):
    assert "already" in run(data, "model", "migrate", "--to", "mini", code=4).stderr
    run(data, "model", "migrate", "--to", model, "--rollback", code=2)
    run(data, "model", "migrate", "--to", "no-such-model", code=4)
    assert vectors_folders(data) == ["images"]


def test_ctrl_c_stops_and_the_next_call_goes_on(data, model):
    made = 0
    for _ in range(3):
        process = subprocess.Popen(
            [program_path(), "--data", data, "model", "migrate", "--to", model, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: (data / "collections" / "images.2").is_dir())
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode in (130, 0)
        if process.returncode == 0:
            break
        state = run_json(data, "model", "migrate")
        assert state["state"] == "unfinished" and state["other_vectors"] >= made
        made = state["other_vectors"]
    if run_json(data, "model", "migrate")["state"] == "unfinished":
        done = run_json(data, "model", "migrate", "--to", model)
        assert done["made"] == 100 - made
    assert run_json(data, "info")["model"] == "crop"
    assert assert_whole(data) == 100


@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_at_any_moment_loses_nothing(data, model, photos, seed):
    """Moves, goes back and forgets, killed again and again; between the kills pictures come and
    go."""
    rng = random.Random(seed)
    ids = all_ids(data)
    spare = sorted(photos[0].parent.rglob("*.jpg"))[:5]
    kills = switches = 0
    for turn in range(12):
        state = run_json(data, "model", "migrate")
        wish = {"none": ["--to", model], "unfinished": ["--to", model],
                "kept": ["--rollback"] if turn % 2 else ["--forget-old"]}[state["state"]]
        if state["state"] == "none" and state["model"] != "mini":
            wish = ["--to", "mini"]
        elif state["state"] == "unfinished":
            wish = ["--to", state["other"]]
        process = subprocess.Popen(
            [program_path(), "--data", data, "model", "migrate", *map(str, wish), "--json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.choice([0.02, 0.1, 0.3, 0.6, 1.0, 2.0]))
            switches += process.returncode == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)
            kills += 1
        assert assert_whole(data) == len(ids)
        victim = rng.choice(sorted(ids))
        run(data, "rm", victim)
        ids.discard(victim)
        added = run_json(data, "add", rng.choice(spare), "--id", f"again{turn}")
        assert added["failed"] == 0
        ids = all_ids(data)
    print(f"{kills} kills, {switches} ended by themselves")
    assert kills >= 3
    state = run_json(data, "model", "migrate")
    if state["state"] == "unfinished":
        assert run_json(data, "model", "migrate", "--to", state["other"])["switched"]
    assert assert_whole(data) == len(ids)
    assert len(vectors_folders(data)) <= 2
