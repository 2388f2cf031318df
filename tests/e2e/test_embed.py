"""Embeddings over HTTP and from the command line: what goes in, how often the model runs."""

import base64
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from conftest import assert_error, picture


def embed(server, body):
    return requests.post(f"{server.url}/v1/embed", json=body, timeout=30)


def vector(server, body):
    answer = embed(server, body)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["vector"])


def unit(v):
    return v / np.linalg.norm(v)


# ---- what goes in


def test_embed_takes_words_a_picture_or_an_id(filled, photos):
    stats = requests.get(f"{filled.url}/v1/stats", timeout=20).json()
    raw = requests.post(f"{filled.url}/v1/embed", data=photos[0].read_bytes(),
                        headers={"Content-Type": "image/jpeg"}, timeout=30).json()
    own = embed(filled, {"id": filled.ids[photos[0].name]}).json()
    words = embed(filled, {"text": "boat"}).json()
    for answer in (raw, own, words):
        assert answer["dim"] == len(answer["vector"]) == stats["model"]["dim"]
        assert answer["model"] == stats["model"]["name"]
        assert abs(np.linalg.norm(answer["vector"]) - 1) < 1e-5
    assert np.dot(raw["vector"], own["vector"]) > 0.999


def test_several_prompts_are_averaged_and_then_of_unit_length(filled):
    prompts = ["boat", "a ship on the sea", "船"]
    one = [vector(filled, {"text": t}) for t in prompts]
    mean = vector(filled, {"text": prompts})
    assert np.allclose(mean, unit(sum(one)), atol=1e-5)
    # Beside another part the list counts as one.
    dog = vector(filled, {"text": "dog"})
    both = vector(filled, {"query": [{"text": prompts}, {"text": "dog", "weight": 0.5}]})
    assert np.allclose(both, unit(mean + 0.5 * dog), atol=1e-5)
    # A search for the list is a search for that vector.
    listed = requests.post(f"{filled.url}/v1/search", json={"text": prompts}, timeout=30).json()
    direct = requests.post(f"{filled.url}/v1/search", json={"vector": mean.tolist()}, timeout=30)
    assert [h["id"] for h in listed["results"]] == [h["id"] for h in direct.json()["results"]]


def test_parts_are_mixed_by_weight(filled, photos):
    picture64 = base64.b64encode(photos[2].read_bytes()).decode()
    apple, photo = vector(filled, {"text": "apple"}), vector(filled, {"image": picture64})
    stored = vector(filled, {"id": filled.ids[photos[3].name]})
    given = unit(np.arange(1, len(apple) + 1, dtype=float))
    mixed = vector(filled, {"query": [
        {"text": "apple", "weight": 0.7}, {"image": picture64, "weight": 0.3},
        {"id": filled.ids[photos[3].name], "weight": -0.5}, {"vector": given.tolist()}]})
    assert np.allclose(mixed, unit(0.7 * apple + 0.3 * photo - 0.5 * stored + given), atol=1e-5)
    form = requests.post(f"{filled.url}/v1/embed", timeout=30, files=[
        ("file", ("a.jpg", photos[2].read_bytes())), ("file", ("b.jpg", photos[3].read_bytes())),
        ("text", (None, "apple")), ("text", (None, "boat")), ("text_weight", (None, "2"))]).json()
    words = vector(filled, {"text": ["apple", "boat"]})
    assert np.allclose(form["vector"], unit(2 * words + photo + stored), atol=1e-4)


def test_inputs_are_embedded_each_by_itself(filled, photos):
    picture64 = base64.b64encode(photos[2].read_bytes()).decode()
    inputs = [{"text": "apple"}, {"image": picture64}, {"id": filled.ids[photos[3].name]},
              {"text": ["boat", "ship"]}, {"query": [{"text": "apple"}, {"image": picture64}]}]
    answer = embed(filled, {"inputs": inputs}).json()
    assert len(answer["vectors"]) == len(inputs)
    for one, v in zip(inputs, answer["vectors"], strict=True):
        assert np.allclose(v, vector(filled, one), atol=1e-6)
    assert embed(filled, {"inputs": []}).json()["vectors"] == []


@pytest.mark.parametrize(("body", "status", "field"), [
    ({}, 400, ""),
    ({"text": ""}, 400, "text"),
    ({"text": []}, 400, "text"),
    ({"text": "qqzzxxkk"}, 422, "text"),
    ({"texts": ["boat"]}, 400, "texts"),
    ({"id": "there is none"}, 404, "id"),
    ({"image": "!"}, 400, "image"),
    ({"image": "AAAA"}, 415, ""),
    ({"vector": [1, 2]}, 400, "vector"),
    ({"query": [{"text": "boat", "weight": 0}]}, 400, "query[0].weight"),
    ({"query": [{"text": "boat"}, {"text": "boat", "weight": -1}]}, 400, "query"),
    ({"inputs": {"text": "boat"}}, 400, "inputs"),
    ({"inputs": [], "text": "boat"}, 400, "inputs"),
    ({"inputs": [{"text": "boat"}] * 257}, 400, "inputs"),
    ({"inputs": [{"text": "boat"}, "boat"]}, 400, "inputs[1]"),
    ({"inputs": [{"text": "boat"}, {}]}, 400, "inputs[1]"),
    ({"inputs": [{"text": "boat"}, {"text": "qqzzxxkk"}]}, 422, "inputs[1].text"),
])
def test_a_fault_of_an_embedding_names_its_field(filled, body, status, field):
    assert_error(embed(filled, body), status, field=field)


# ---- from the command line


def run(program, *args, **kwargs):
    return subprocess.run([str(program), *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, **kwargs)


def test_the_command_gives_the_vector_that_the_server_gives(program, filled, photos):
    def command(*args):
        done = run(program, "embed", "--model", "mini", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    words = json.loads(command("boat", "--json"))
    assert words["dim"] == len(words["vector"]) == 256
    assert np.allclose(words["vector"], vector(filled, {"text": "boat"}), atol=1e-6)
    mixed = json.loads(command("--text", "boat", "--text", "ship", "--image", photos[0],
                               "--text-weight", "0.5", "--json"))
    picture64 = base64.b64encode(photos[0].read_bytes()).decode()
    assert np.allclose(mixed["vector"], vector(filled, {"query": [
        {"text": ["boat", "ship"], "weight": 0.5}, {"image": picture64}]}), atol=1e-6)
    each = command("--each", "boat", "--text", "ship", "-i", photos[0]).splitlines()
    assert len(each) == 3
    assert np.allclose([float(x) for x in each[0].split()], words["vector"], atol=1e-7)


def test_the_command_asks_the_collection_for_a_stored_picture(program, tmp_path, photos):
    data = ["--data", tmp_path / "data"]
    assert run(program, *data, "add", photos[0], "--quiet").returncode == 0
    listed = json.loads(run(program, *data, "list", "--json").stdout)
    image = listed["id"]
    done = run(program, *data, "embed", "--like", image, "--json")
    assert done.returncode == 0, done.stderr
    own = run(program, *data, "embed", "-i", photos[0], "--json")
    assert np.dot(json.loads(done.stdout)["vector"], json.loads(own.stdout)["vector"]) > 0.999
    assert run(program, *data, "embed", "--like", "none").returncode == 1
    assert run(program, *data, "embed", "qqzzxxkk").returncode == 1
    assert run(program, *data, "embed").returncode == 2
    assert run(program, "--data", tmp_path / "no", "embed", "boat").returncode == 4
    assert run(program, "embed", "boat", "--model", "no-such-model").returncode == 4


# ---- how often the model runs


def cache_of(server):
    text = requests.get(f"{server.url}/metrics", timeout=20).text
    found = re.findall(r"^lookalike_embed_cache_(\w+) (\d+)$", text, re.MULTILINE)
    return {name: int(value) for name, value in found}


def test_what_was_embedded_before_comes_out_of_the_cache(start_server):
    server = start_server()
    before = cache_of(server)
    assert before == {"hits_total": 0, "misses_total": 0, "shared_total": 0, "entries": 0,
                      "bytes": 0}
    requests.post(f"{server.url}/v1/images", files={"file": picture(1)}, timeout=20)
    for _ in range(3):
        found = requests.post(f"{server.url}/v1/search", files={"file": picture(1)}, timeout=20)
        assert found.json()["results"][0]["score"] > 0.9999
    for _ in range(2):
        requests.post(f"{server.url}/v1/search", json={"text": "apple"}, timeout=20)
    after = cache_of(server)
    assert after["misses_total"] == 2  # one picture, one text
    assert after["hits_total"] == 4
    assert after["entries"] == 2
    assert 2 * 256 * 4 <= after["bytes"] <= 2 * 256 * 4 + 512


def test_an_embedding_ends_with_its_time_and_the_cache_can_be_off(start_server):
    server = start_server("--embed-cache-ttl", "1ms")
    off = start_server("--embed-cache", "0")
    for s in (server, off):
        for _ in range(3):
            requests.post(f"{s.url}/v1/search", json={"text": "apple"}, timeout=20)
            time.sleep(0.005)
    assert cache_of(server)["misses_total"] == 3
    assert cache_of(server)["entries"] == 1
    assert cache_of(off)["misses_total"] == 3
    assert cache_of(off)["bytes"] == 0


def test_requests_that_meet_share_runs_and_get_their_own_vectors(start_server):
    server = start_server("--embed-cache", "0", "--threads", "1", "--workers", "8",
                          "--batch-wait", "100ms")
    alone = start_server("--embed-cache", "0", "--batch-wait", "0")
    pictures = [base64.b64encode(picture(n)).decode() for n in range(16)]
    want = [vector(alone, {"image": p}) for p in pictures]
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda p: vector(server, {"image": p}), pictures * 3))
    assert np.allclose(got, want * 3, atol=1e-6)
    text = requests.get(f"{server.url}/metrics", timeout=20).text
    count = dict(re.findall(r"^lookalike_model_(\w+)_total (\d+)$", text, re.MULTILINE))
    assert int(count["embeddings"]) >= 48
    assert int(count["runs"]) < int(count["embeddings"])
