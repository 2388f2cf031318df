"""A model that a service runs: the driver of Roboflow's API, against a small server and our own."""

import base64
import io
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from conftest import add_files, picture
from PIL import Image
from roboflow import (
    DIM,
    Peer,
    embedding_of_picture,
    embedding_of_text,
    hang_up,
    refuse,
    say,
    send_half,
)


@pytest.fixture
def peer():
    p = Peer()
    yield p
    p.stop()


@pytest.fixture
def card(tmp_path):
    """A model's folder whose card names a service that nobody serves."""
    return write_card(tmp_path / "card")


def write_card(folder, **changes):
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({
        "name": "peer", "version": "1", "driver": "roboflow", "dim": DIM,
        "image": {"size": 32, "resize": "squash", "resize_filter": "bicubic"}, "text": {},
        "remote": {"url": "http://127.0.0.1:1/", "variant": "ViT-B-16"}} | changes))
    return folder


def run(program, *args, env=None):
    return subprocess.run([str(program), *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, env=env)


def embed(program, card, url, *args, env=None):
    return run(program, "--model", card, "--remote-url", url, *args, env=env)


def unit(v):
    return np.array(v) / np.linalg.norm(v)


def numbers(done):
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])


# ---- what is asked


def test_the_request_is_roboflows_and_the_key_comes_from_the_environment(program, card, peer):
    key = "secret key+1"
    got = numbers(embed(program, card, peer.url + "/", "embed", "a boat",
                        env={"ROBOFLOW_API_KEY": key, "PATH": "/usr/bin:/bin"}))
    assert np.allclose(got[0], unit(embedding_of_text("a boat")), atol=1e-6)
    (asked,) = peer.asked
    assert asked["path"] == "/clip/embed_text"
    assert asked["query"] == {"api_key": [key]}
    assert asked["headers"]["Content-Type"] == "application/json"
    assert asked["json"] == {"clip_version_id": "ViT-B-16", "text": ["a boat"]}


def test_a_picture_travels_as_the_square_that_the_card_asks_for(program, card, peer, photos):
    got = numbers(embed(program, card, peer.url, "embed", "-i", photos[0]))
    (asked,) = peer.asked
    assert asked["path"] == "/clip/embed_image"
    assert asked["query"] == {}
    (image,) = asked["json"]["image"]
    assert image["type"] == "base64"
    sent = base64.b64decode(image["value"])
    with Image.open(io.BytesIO(sent)) as square, Image.open(photos[0]) as photo:
        assert square.size == (32, 32)
        assert square.format == "PNG"
        wanted = photo.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
        apart = np.abs(np.asarray(square.convert("RGB"), int) - np.asarray(wanted, int))
        assert apart.max() <= 2  # decoders of JPEG differ by a step
    assert np.allclose(got[0], unit(embedding_of_picture(sent)), atol=1e-6)


def test_the_cards_own_variable_holds_the_key(program, tmp_path, peer):
    folder = write_card(tmp_path / "own", remote={"url": peer.url, "key": "MY_KEY"})
    numbers(run(program, "--model", folder, "embed", "x",
                env={"MY_KEY": "k1", "ROBOFLOW_API_KEY": "k2", "PATH": "/usr/bin:/bin"}))
    assert peer.asked[0]["query"] == {"api_key": ["k1"]}
    assert "clip_version_id" not in peer.asked[0]["json"]


# ---- batches


def test_pictures_of_several_threads_gather_in_requests_of_at_most_eight(program, card, peer,
                                                                         tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.png").write_bytes(picture(i * 5))
    peer.delay = 0.1
    data = tmp_path / "data"
    started = time.monotonic()
    done = embed(program, card, peer.url, "--data", data, "-j", 24, "add", folder, "--quiet")
    took = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    sizes = peer.sizes()
    assert sum(sizes) == 40
    assert max(sizes) <= 8
    assert len(sizes) <= 16, sizes
    assert peer.most_flying <= 4
    assert took < 4, sizes  # one after the other would take four seconds for the service alone
    found = embed(program, card, peer.url, "--data", data, "search", "-i", folder / "7.png",
                  "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["results"][0]["image"]["filename"] == "7.png"


def test_one_thing_that_the_service_refuses_does_not_take_others_with_it(start_server, card, peer):
    def choosy(handler, items):
        if "bad" in items:
            handler.send(422, {"detail": "bad is bad"})
        else:
            handler.answer(items)

    peer.always = choosy
    peer.delay = 0.1
    server = start_server("--workers", "24", "--model", str(card), "--remote-url", peer.url)
    words = [f"word {i}" for i in range(19)] + ["bad"]

    def ask(word):
        return requests.post(f"{server.url}/v1/embed", timeout=30, json={"text": word})

    with ThreadPoolExecutor(len(words)) as pool:
        answers = dict(zip(words, pool.map(ask, words), strict=True))
    refused = answers.pop("bad")
    assert refused.status_code == 502
    assert "bad is bad" in refused.json()["error"]["message"]
    for word, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert np.allclose(answer.json()["vector"], unit(embedding_of_text(word)), atol=1e-6)
    batches = [a["json"].get("text", []) for a in peer.asked]
    assert any(len(b) > 1 and "bad" in b for b in batches), batches


# ---- troubles that pass


@pytest.mark.parametrize("trouble", [
    refuse(429), refuse(500), refuse(502, b"<html>"), refuse(503), refuse(504), refuse(408),
    hang_up, send_half,
], ids=["429", "500", "502", "503", "504", "408", "hung up", "half"])
def test_a_passing_trouble_is_waited_out(program, card, peer, trouble):
    peer.troubles = [trouble, trouble]
    started = time.monotonic()
    got = numbers(embed(program, card, peer.url, "embed", "boat"))
    assert np.allclose(got[0], unit(embedding_of_text("boat")), atol=1e-6)
    assert len(peer.asked) == 3
    assert time.monotonic() - started > 0.2 + 0.4  # half of 0.4 s, half of 0.8 s at the least


def test_the_service_says_when_to_come_back(program, card, peer):
    peer.troubles = [refuse(429, Retry_After="2")]
    started = time.monotonic()
    numbers(embed(program, card, peer.url, "embed", "boat"))
    assert 1.9 < time.monotonic() - started < 6


def test_a_service_that_is_away_at_the_start_is_found_when_it_comes_back(start_server, card, peer):
    peer.always = refuse(503)
    server = start_server("--model", str(card), "--remote-url", peer.url, "--remote-retries", "0")
    search = {"json": {"text": "boat"}, "timeout": 30}
    away = requests.post(f"{server.url}/v1/embed", **search)
    assert away.status_code == 502
    assert "trouble 503" in away.json()["error"]["message"]
    peer.always = None
    assert requests.post(f"{server.url}/v1/embed", **search).status_code == 200


# ---- troubles that stay


@pytest.mark.parametrize(("trouble", "tries", "sentence"), [
    (refuse(503), 3, "answers with 503: trouble 503"),
    (refuse(429), 3, "has had too many requests (429): trouble 429"),
    (refuse(400), 1, "answers with 400: trouble 400"),
    (refuse(404, {"detail": "no such thing"}), 1, "answers with 404: no such thing"),
    (refuse(401), 1, "refuses the key in ROBOFLOW_API_KEY (401): trouble 401"),
    (refuse(403, b"no JSON at all"), 1, "refuses the key in ROBOFLOW_API_KEY (403)"),
    (say(b"<html>hello</html>"), 1, "the service's answer is not JSON"),
    (say(b""), 1, "the service's answer is not JSON"),
    (say({"embeddings": []}), 1, "gives 0 embeddings for 1 things"),
    (say({"embeddings": [[1] * DIM] * 2}), 1, "gives 2 embeddings for 1 things"),
    (say({"embeddings": {"0": [1] * DIM}}), 1, "embeddings for 1 things"),
    (say([1, 2, 3]), 1, "gives 0 embeddings"),
    (say({"embeddings": [[1] * (DIM + 1)]}), 1, f"of {DIM + 1} numbers, the card of peer says"),
    (say({"embeddings": [["a"] * DIM]}), 1, "an embedding of the service holds a string"),
    (say({"embeddings": [[None] * DIM]}), 1, "an embedding of the service holds null"),
    (say({"embeddings": [[0] * DIM]}), 1, "the model knows no word"),
    (hang_up, 3, "http://127.0.0.1:"),
    (send_half, 3, "http://127.0.0.1:"),
], ids=lambda v: v if isinstance(v, str) else None)
def test_a_trouble_that_stays_is_told_and_the_key_is_not(program, card, peer, trouble, tries,
                                                         sentence):
    peer.always = trouble
    done = embed(program, card, peer.url, "--remote-retries", 2, "embed", "boat",
                 env={"ROBOFLOW_API_KEY": "SECRET", "PATH": "/usr/bin:/bin"})
    assert done.returncode != 0
    assert sentence in done.stderr, done.stderr
    assert "SECRET" not in done.stderr
    assert len(peer.asked) == tries


def test_a_slow_service_is_given_up_in_time(start_server, card, peer):
    peer.delay = 8
    server = start_server("--model", str(card), "--remote-url", peer.url,
                          "--remote-timeout", "700ms")
    started = time.monotonic()
    answer = requests.post(f"{server.url}/v1/embed", json={"text": "boat"}, timeout=30)
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timeout"
    assert time.monotonic() - started < 5


def test_a_failure_of_the_service_is_not_the_pictures(start_server, card, peer):
    server = start_server("--model", str(card), "--remote-url", peer.url, "--remote-retries", "0")
    for trouble, status in [(send_half, 502), (refuse(415), 502), (refuse(413), 502),
                            (refuse(401), 503), (refuse(429), 503)]:
        peer.always = trouble
        answer = requests.post(f"{server.url}/v1/images", files={"file": picture(3)}, timeout=30)
        assert answer.status_code == status, (answer.text, status)


def test_a_certificate_that_nobody_vouches_for_is_refused(program, card, tmp_path):
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", files[0], "-keyout", files[1]], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("no openssl command to make a certificate with")
    secure = Peer(files)
    try:
        done = embed(program, card, secure.url, "--remote-retries", 0, "embed", "boat")
        assert done.returncode != 0
        assert "certificate" in done.stderr, done.stderr
        assert secure.asked == []
    finally:
        secure.stop()


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://", "http:///x", "http://h?a=b",
                                 "http://user:word@host", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(program, card, url):
    done = embed(program, card, url, "embed", "boat")
    assert done.returncode != 0
    assert "the address of the model's service" in done.stderr


# ---- our own server as the service


def test_two_servers_one_of_which_embeds_for_the_other(start_server, tmp_path, photos):
    near = start_server("--model", "mini")
    folder = write_card(tmp_path / "far", dim=256, image={"size": 112, "resize": "squash"},
                        remote={"url": near.url})
    far = start_server("--model", str(folder))
    for server in (near, far):
        add_files(server.url, photos[:12])
    assert requests.get(f"{far.url}/v1/stats", timeout=20).json()["model"]["name"] == "peer"
    picture64 = base64.b64encode(photos[20].read_bytes()).decode()
    for query in ({"text": "boat"}, {"text": ["dog", "狗"]}, {"image": picture64},
                  {"query": [{"text": "boat"}, {"image": picture64, "weight": -0.5}]}):
        answers = [requests.post(f"{s.url}/v1/search", json=query | {"top_k": 12}, timeout=30)
                   for s in (near, far)]
        hits = [[(h["image"]["filename"], h["score"]) for h in a.json()["results"]]
                for a in answers]
        assert [name for name, _ in hits[0]] == [name for name, _ in hits[1]]
        assert np.allclose([x for _, x in hits[0]], [x for _, x in hits[1]], atol=1e-4)
    unknown = requests.post(f"{far.url}/v1/search", json={"text": "qqzzxxkk"}, timeout=30)
    assert unknown.status_code == 422
    assert unknown.json()["error"]["code"] == "no_known_word"


def test_the_card_in_the_program_is_listed_and_checked(program, peer):
    listed = run(program, "model", "list")
    assert re.search(r"^roboflow\s+bundled\s+512\s+image text$", listed.stdout, re.MULTILINE)
    peer.always = say({"embeddings": [list(range(512))]})
    done = run(program, "model", "check", "roboflow", "--remote-url", peer.url)
    assert done.returncode == 0, done.stderr
    assert "512 dimensions" in done.stdout
    assert peer.asked[0]["json"]["clip_version_id"] == "ViT-B-16"
