"""What pictures are put into: the model's categories, labels with prompts, classes of a
classifier."""

import hashlib
import json
import subprocess
from collections import Counter

import pytest
import requests
from conftest import add_files, assert_error

ANIMALS = {"labels": {"animal": ["dog", "cat", "horse"], "street": "street", "food": "food"}}


def collection(server):
    return requests.get(f"{server.url}/v1/collections/images", timeout=30)


def change(server, categories):
    return requests.patch(f"{server.url}/v1/collections/images", json={"categories": categories},
                          timeout=60)


def relabel(server, **ask):
    return requests.post(f"{server.url}/v1/collections/images/relabel", json=ask, timeout=60)


def count(server):
    return requests.get(f"{server.url}/v1/stats", timeout=30).json()["categories"]


@pytest.fixture(scope="module")
def classifier(assets, tmp_path_factory):
    """A folder of models with a real classifier of ImageNet, whose fruits have their names."""
    vit = assets / "models" / "vit-tiny" / "vision.onnx"
    if not vit.exists():
        pytest.skip("no ../shared/assets/models/vit-tiny")
    models = tmp_path_factory.mktemp("models")
    folder = models / "vit"
    folder.mkdir()
    names = {948: "Granny Smith", 950: "orange", 951: "lemon", 954: "banana"}
    lines = [names.get(i, f"class {i}") + "\n" for i in range(1000)]
    files = {"vision.onnx": vit.read_bytes(), "classes.txt": "".join(lines).encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "model.json").write_text(json.dumps({
        "name": "vit", "version": "1", "dim": 1000, "classes": {"file": "classes.txt"},
        "image": {"file": "vision.onnx", "output": "logits", "size": 224, "short_side": 248,
                  "mean": [0.5] * 3, "std": [0.5] * 3},
        "files": {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                  for name, data in files.items()}}))
    return models


# ---- over HTTP


def test_a_collection_is_described_with_its_categories(filled):
    answer = collection(filled)
    assert answer.status_code == 200
    body = answer.json()
    assert body["name"] == "images"
    assert body["images"] == 40
    assert body["model"]["dim"] == 256
    assert body["categories"]["from"] == "model"
    assert body["categories"]["settings"] is None
    assert body["categories"]["labels"][-1] == "other"
    listed = requests.get(f"{filled.url}/v1/collections", timeout=30).json()
    assert listed == {"collections": [body]}
    assert_error(requests.get(f"{filled.url}/v1/collections/none", timeout=30), 404, "not_found",
                 "name")


def test_labels_with_prompts_are_given_to_what_comes_and_on_request_to_what_is_there(start_server,
                                                                                   photos):
    server = start_server()
    before = add_files(server.url, photos[:20])
    old = count(server)
    answer = change(server, ANIMALS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["categories"] == {
        "from": "prompts", "labels": ["animal", "street", "food"], "settings": ANIMALS}
    assert count(server) == old
    new = add_files(server.url, photos[20:30])
    for result in new:
        image = result["image"]
        assert image["category"] in ANIMALS["labels"]
        assert list(image["all_probs"]) == ["animal", "street", "food"]
        assert abs(sum(image["all_probs"].values()) - 1) < 1e-5
        assert image["confidence"] == max(image["all_probs"].values())
    seen, cursor = 0, {}
    for _ in range(5):
        step = relabel(server, limit=7, **cursor).json()
        seen += step["seen"]
        if step["next"] is None:
            break
        cursor = {"cursor": step["next"]}
    assert seen == 30
    assert sum(count(server).values()) == 30
    assert set(count(server)) <= set(ANIMALS["labels"])
    # What one of them is now told is what a new one like it would be told.
    record = requests.get(f"{server.url}/v1/images/{before[0]['id']}", timeout=30).json()
    assert set(record["all_probs"]) == set(ANIMALS["labels"])
    assert relabel(server).json() == {"seen": 30, "changed": 0, "next": None}
    found = requests.post(f"{server.url}/v1/search", timeout=30, json={
        "text": "dog", "filter": 'category == "animal"', "top_k": 30}).json()["results"]
    assert len(found) == count(server)["animal"]
    assert all(hit["image"]["category"] == "animal" for hit in found)
    back = change(server, None).json()["categories"]
    assert back["from"] == "model"
    relabel(server)
    record = requests.get(f"{server.url}/v1/images/{before[0]['id']}", timeout=30).json()
    assert record["category"] == before[0]["image"]["category"]


def test_a_classifiers_classes_add_up_to_labels(start_server, classifier, assets):
    grocery = assets / "photos" / "grocery" / "test" / "Fruit"
    apples = sorted((grocery / "Apple" / "Granny-Smith").glob("*.jpg"))[:6]
    bananas = sorted((grocery / "Banana").glob("*.jpg"))[:6]
    assert len(apples) == len(bananas) == 6
    server = start_server("--models", str(classifier))
    add_files(server.url, apples)
    fruit = {"classifier": "vit",
             "labels": {"green": "Granny Smith", "yellow": ["banana", "lemon"]}}
    answer = change(server, fruit)
    assert answer.status_code == 200, answer.text
    assert answer.json()["categories"]["from"] == "classifier"
    assert answer.json()["categories"]["labels"] == ["green", "yellow", "other"]
    added = add_files(server.url, bananas)
    assert Counter(r["image"]["category"] for r in added)["yellow"] >= 5
    assert relabel(server).json()["seen"] == 12
    assert count(server)["green"] >= 5
    # Its classes as they are: a record holds the likeliest.
    answer = change(server, {"classifier": "vit"})
    assert len(answer.json()["categories"]["labels"]) == 1000
    relabel(server)
    listed = requests.get(f"{server.url}/v1/images", timeout=30).json()["images"]
    assert all(1 <= len(i["all_probs"]) <= 10 for i in listed)
    assert sum(i["category"] == "Granny Smith" for i in listed) >= 5


@pytest.mark.parametrize(("categories", "status", "field"), [
    (5, 400, "categories"),
    ([], 400, "categories"),
    ({}, 400, "categories.labels"),
    ({"labels": {}}, 400, "categories.labels"),
    ({"labels": {"a": 5}}, 400, "categories.labels"),
    ({"labels": ["a b c d", "a b c d"]}, 400, "categories.labels"),
    ({"labels": ["qzxwvk"]}, 422, "categories.labels"),
    ({"labels": ["dog"], "templates": ["no place"]}, 400, "categories.templates"),
    ({"labels": ["dog"], "logit_scale": -1}, 400, "categories.logit_scale"),
    ({"labels": ["dog"], "label": 1}, 400, "categories.label"),
    ({"labels": [f"dog {i}" for i in range(65)]}, 400, "categories.labels"),
    ({"classifier": "mini"}, 400, "categories.classifier"),
    ({"classifier": "none-such"}, 404, "categories.model"),
    ({"classifier": "/etc"}, 403, "categories.classifier"),
    ({"classifier": "../models/x"}, 403, "categories.classifier"),
])
def test_settings_that_cannot_be_are_refused(filled, categories, status, field):
    assert_error(change(filled, categories), status, field=field)
    assert collection(filled).json()["categories"]["from"] == "model"


def test_other_faults_of_a_request_name_their_field(filled):
    url = f"{filled.url}/v1/collections/images"
    assert_error(requests.patch(url, json={}, timeout=30), 400, field="")
    assert_error(requests.patch(url, json={"category": None}, timeout=30), 400, field="category")
    assert_error(requests.patch(url + "x", json={"categories": None}, timeout=30), 404)
    assert_error(relabel(filled, limit=0), 400, field="limit")
    assert_error(relabel(filled, limit=5000), 400, field="limit")
    assert_error(relabel(filled, step=5), 400, field="step")


# ---- from the command line


def run(program, data, *args, code=0, text=None):
    done = subprocess.run([str(program), "--data", str(data), *map(str, args)], input=text,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def test_the_command_shows_sets_applies_and_resets(program, tmp_path, photos):
    data = tmp_path / "data"
    folder = tmp_path / "photos"
    folder.mkdir()
    for p in photos[:12]:
        (folder / p.name).write_bytes(p.read_bytes())
    run(program, data, "add", folder, "--quiet")
    assert json.loads(run(program, data, "categories", "--json").stdout)["from"] == "model"
    done = run(program, data, "categories", "set", "--label", "animal=dog", "--label", "animal=cat",
               "--label", "street", "--template", "a photo of a {}", "--template", "{}", "--json")
    assert json.loads(done.stdout) == {"from": "prompts", "labels": ["animal", "street"],
                                       "settings": {"labels": {"animal": ["dog", "cat"],
                                                               "street": ["street"]},
                                                    "templates": ["a photo of a {}", "{}"]}}
    done = run(program, data, "categories", "apply", "--json")
    assert json.loads(done.stdout) == {"seen": 12, "changed": 12}
    listed = [json.loads(line) for line in run(program, data, "list", "--json").stdout.splitlines()]
    assert {r["category"] for r in listed} <= {"animal", "street"}
    run(program, data, "categories", "set", "-", text=json.dumps(ANIMALS))
    assert "3 labels, from prompts" in run(program, data, "categories", "show").stdout
    done = run(program, data, "categories", "reset", "--apply", "--json")
    assert json.loads(done.stdout)["changed"] == 12
    assert "10 labels, from the model" in run(program, data, "categories").stdout


def test_the_command_takes_a_classifiers_folder(program, tmp_path, classifier, assets):
    data = tmp_path / "data"
    banana = assets / "photos" / "grocery" / "test" / "Fruit" / "Banana" / "Banana_003.jpg"
    run(program, data, "add", banana, "--quiet")
    done = subprocess.run(
        [str(program), "--data", str(data), "categories", "set", "--classifier", "./vit", "--label",
         "yellow=banana", "--label", "yellow=lemon", "--rest", "another", "--apply", "--quiet"],
        capture_output=True, text=True, timeout=120, check=False, cwd=classifier)
    assert done.returncode == 0, done.stderr
    kept = json.loads(run(program, data, "categories", "--json").stdout)
    assert kept["labels"] == ["yellow", "another"]
    assert kept["settings"]["classifier"] == str(classifier / "vit")  # wherever one stands next
    record = json.loads(run(program, data, "list", "--json").stdout)
    assert record["category"] == "yellow"


@pytest.mark.parametrize(("args", "code", "says"), [
    (["frob"], 2, "none of show, set, reset and apply"),
    (["set"], 2, "set takes a file"),
    (["set", "x.json", "--label", "dog"], 2, "set takes a file"),
    (["reset", "--label", "dog"], 2, "only set"),
    (["set", "--label", "qzxwvk"], 4, "qzxwvk"),
    (["set", "/none/such.json"], 4, "/none/such.json"),
    (["set", "--classifier", "none-such"], 4, "none-such"),
])
def test_a_wrong_use_of_the_command_is_told(program, tmp_path, args, code, says):
    data = tmp_path / "data"
    run(program, data, "init", "--quiet")
    assert says in run(program, data, "categories", *args, code=code).stderr
