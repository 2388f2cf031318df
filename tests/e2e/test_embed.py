"""Embeddings over HTTP and from the command line: what goes in, how often the model runs."""

import re
import time

import requests
from conftest import picture


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
