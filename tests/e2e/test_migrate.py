"""A collection moves to another model with the real program: stopped, killed, gone on with, undone,
and searched all the while where a server runs."""

import json
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest
import requests
from conftest import ROOT, Server, assert_error, picture, program_path, wait_until


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


# ---- a server moves, and answers all the while ----

class Searches:
    """Searches one after the other until the end; every answer must be a good one."""

    def __init__(self, url):
        self.url, self.n, self.bad, self.end = url, 0, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with requests.Session() as session:
            while not self.end.is_set():
                answer = session.post(f"{self.url}/v1/search", json={"text": "boat", "top_k": 5},
                                      timeout=20)
                if answer.status_code != 200 or len(answer.json()["results"]) != 5:
                    self.bad.append(answer.text[:300])
                self.n += 1

    def stop(self):
        self.end.set()
        self.thread.join()
        assert not self.bad, self.bad[:3]
        return self.n


def state(url):
    return requests.get(f"{url}/v1/migration", timeout=20).json()


def ended(url):
    assert wait_until(lambda: not state(url)["running"] and state(url)["last"], seconds=60)
    return state(url)["last"]


def stats(url):
    return requests.get(f"{url}/v1/stats", timeout=20).json()


def post(url, **body):
    return requests.post(f"{url}/v1/migration", json=body, timeout=20)


@pytest.fixture
def models(tmp_path):
    run(tmp_path, "model", "check", make_model(tmp_path / "models" / "crop", "crop"))
    return tmp_path / "models"


def test_a_server_moves_while_it_is_searched_and_added_to(start_server, data, models):
    server = start_server("--models", str(models), "--no-access-log", data=data)
    url = server.url
    assert state(url)["state"] == "none" and state(url)["last"] is None
    searches = Searches(url)
    assert post(url, to="crop", sample=40).status_code == 202
    assert_error(post(url, to="crop"), 503)  # one at a time
    added = 0
    while state(url)["running"]:
        files = {"file": (f"{added}.png", picture(1000 + added))}
        assert requests.post(f"{url}/v1/images", files=files, timeout=60).status_code == 201
        added += 1
    last = ended(url)
    assert last["switched"] and last["failed"] == 0 and last["neighbours"]["sample"] == 40, last
    now = stats(url)
    assert now["model"]["name"] == "crop"
    assert now["images"] == now["vectors"] == 100 + added and added > 0
    assert state(url)["state"] == "kept"
    assert post(url, rollback=True).status_code == 202
    assert ended(url)["switched"]
    assert stats(url)["model"]["name"] == "lookalike-mini"
    assert searches.stop() > 20
    assert requests.delete(f"{url}/v1/migration?vectors=old", timeout=20).status_code == 200
    assert state(url)["state"] == "none"
    assert any("moved to another model" in line for line in server.errors)
    assert server.stop() == 0
    assert assert_whole(data) == 100 + added


def test_a_move_is_stopped_and_gone_on_with_over_http(start_server, data, models):
    server = start_server("--models", str(models), "--no-access-log", data=data)
    url = server.url
    assert post(url, to="crop").status_code == 202
    wait_until(lambda: state(url)["other_vectors"] > 3)
    assert requests.delete(f"{url}/v1/migration", timeout=20).status_code == 200
    assert ended(url)["error"]["code"] == "canceled"
    made = state(url)["other_vectors"]
    assert 0 < made < 100 and state(url)["state"] == "unfinished"
    assert stats(url)["model"]["name"] == "lookalike-mini"
    assert server.stop() == 0
    server = start_server("--models", str(models), "--no-access-log", data=data)
    assert post(server.url).status_code == 202
    assert ended(server.url)["made"] == 100 - made
    assert stats(server.url)["model"]["name"] == "crop"


def test_a_server_killed_in_a_move_goes_on_where_it_was(data, models):
    server = Server(data, "--models", str(models), "--no-access-log")
    assert post(server.url, to="crop").status_code == 202
    wait_until(lambda: state(server.url)["other_vectors"] > 5)
    files = {"file": ("new.png", picture(7))}
    assert requests.post(f"{server.url}/v1/images", files=files, timeout=60).status_code == 201
    server.process.kill()
    server.process.wait(timeout=20)
    assert assert_whole(data) == 101
    server = Server(data, "--models", str(models), "--no-access-log")
    try:
        assert state(server.url)["state"] == "unfinished"
        assert post(server.url).status_code == 202
        last = ended(server.url)
        assert last["switched"] and last["made"] < 101, last
    finally:
        assert server.stop() == 0
    found = run_json(data, "--models", models, "verify", "--deep")
    assert found["records"] == found["vectors"] == 101 and found["faults"] == 0


def test_wrong_wishes_are_refused_over_http(start_server, data, models):
    url = start_server("--models", str(models), data=data).url
    assert_error(post(url), 400, field="to")
    assert_error(post(url, to=str(models / "crop")), 400, field="to")
    assert_error(post(url, to=".."), 400, field="to")
    assert_error(post(url, to="crop", rollback=True), 400, field="rollback")
    assert_error(post(url, sample=-1), 400, field="sample")
    assert_error(post(url, until="noon"), 400)
    assert_error(requests.delete(f"{url}/v1/migration", timeout=20), 404)
    assert_error(requests.delete(f"{url}/v1/migration?vectors=old", timeout=20), 404)
    assert_error(requests.delete(f"{url}/v1/migration?vectors=all", timeout=20), 400)
    make_model(models / "untried", "untried")
    assert post(url, to="untried").status_code == 202
    error = ended(url)["error"]
    assert error["code"] == "model" and "lookalike model check untried" in error["message"]
    assert post(url, to="nowhere").status_code == 202
    assert ended(url)["error"]["code"] == "not_found"
    assert post(url, rollback=True).status_code == 202
    assert ended(url)["error"]["code"] == "not_found"
    assert vectors_folders(data) == ["images"]


# ---- to a model that has no words ----

@pytest.fixture
def wordless(tmp_path, assets):
    """A real ImageNet model, without a text tower."""
    folder = tmp_path / "vit-tiny"
    folder.mkdir()
    shutil.copy(assets / "models" / "vit-tiny" / "vision.onnx", folder)
    shutil.copy(ROOT / "models" / "cards" / "vit-tiny.json", folder / "model.json")
    return folder


def test_a_model_without_words_is_moved_to_with_a_warning(data, wordless):
    done = run(data, "model", "migrate", "--to", wordless)
    assert "finds nothing by words" in done.stdout
    info = run_json(data, "info")
    assert info["model"] == "vit-tiny" and info["dim"] == 192 and info["vectors"] == 100
    assert "no text tower" in run(data, "search", "boat", code=4).stderr
    some = next(iter(all_ids(data)))
    assert len(run_json(data, "similar", some, "-n", "5")["results"]) == 5
    run(data, "model", "migrate", "--rollback")
    assert_whole(data)


def test_categories_that_the_new_model_cannot_make_are_a_reason_to_stay(data, wordless, model):
    run(data, "categories", "set", "--label", "boat=a boat", "--label", "dog=a dog")
    refused = run(data, "model", "migrate", "--to", wordless, code=4)
    assert "categories" in refused.stderr, refused.stderr
    assert run_json(data, "info")["model"] == "lookalike-mini"
    assert vectors_folders(data) == ["images"]
    assert run_json(data, "model", "migrate", "--to", model)["switched"]
    run(data, "categories", "apply")
    assert set(run_json(data, "info")["categories"]) <= {"boat", "dog"}
    assert_whole(data)
