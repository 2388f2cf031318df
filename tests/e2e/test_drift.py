"""A server whose model no longer sees as it did says so: in the log, in /metrics, and, where it is
asked to, to those who ask whether it is well."""

import json
import re
import shutil

import pytest
import requests
from conftest import ROOT, add_files, wait_until


@pytest.fixture
def model(tmp_path):
    """The bundled model as a folder, with its canary."""
    return shutil.copytree(ROOT / "models" / "mini", tmp_path / "model")


def metric(url, name):
    """{labels: value} of one metric."""
    text = requests.get(f"{url}/metrics", timeout=20).text
    return {m[1] or "": float(m[2])
            for m in re.finditer(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", text, re.M)}


def spoil_canary(model):
    canary = json.loads((model / "canary.json").read_text())
    canary["image"] = canary["image"][1:] + canary["image"][:1]
    (model / "canary.json").write_text(json.dumps(canary))


def is_tested(server):
    return wait_until(lambda: metric(server.url, "lookalike_canary_tested_timestamp_seconds"))


def test_a_model_that_sees_as_it_did_is_well(start_server):
    server = start_server("--drift-unready")
    assert is_tested(server)
    cosines = metric(server.url, "lookalike_canary_cosine")
    assert set(cosines) == {'model="lookalike-mini",tower="image"',
                            'model="lookalike-mini",tower="text"'}
    assert all(cosine > 0.9999 for cosine in cosines.values()), cosines
    assert list(metric(server.url, "lookalike_canary_drifted").values()) == [0]
    for route in ("healthz", "readyz"):
        assert requests.get(f"{server.url}/{route}", timeout=20).status_code == 200
    assert not any("drifted" in line for line in server.errors)


@pytest.mark.parametrize("unready", [False, True])
def test_a_drift_is_logged_counted_and_where_asked_unhealthy(start_server, model, unready):
    spoil_canary(model)
    server = start_server("--model", str(model), *(["--drift-unready"] if unready else []))
    assert is_tested(server)
    assert metric(server.url, "lookalike_canary_cosine")[
        'model="lookalike-mini",tower="image"'] < 0.9
    assert list(metric(server.url, "lookalike_canary_drifted").values()) == [1]
    assert wait_until(lambda: any(" warn " in line and "drifted" in line
                                  for line in server.errors))
    for route in ("healthz", "readyz"):
        answer = requests.get(f"{server.url}/{route}", timeout=20)
        assert answer.status_code == (503 if unready else 200)
        assert (answer.json()["status"] == "drifted") == unready


def test_a_drift_in_the_running_server_is_seen_by_the_next_self_test(start_server, model):
    server = start_server("--model", str(model), "--self-test", "100ms", "--drift-unready")
    assert is_tested(server)
    assert requests.get(f"{server.url}/healthz", timeout=20).status_code == 200
    good = (model / "canary.json").read_text()
    spoil_canary(model)
    assert wait_until(
        lambda: requests.get(f"{server.url}/healthz", timeout=20).status_code == 503)
    (model / "canary.json").write_text(good)
    assert wait_until(
        lambda: requests.get(f"{server.url}/healthz", timeout=20).status_code == 200)


def test_a_threshold_may_be_lower(start_server, model):
    spoil_canary(model)
    server = start_server("--model", str(model), "--canary-min", "-1")
    assert is_tested(server)
    assert list(metric(server.url, "lookalike_canary_drifted").values()) == [0]


def test_a_model_without_a_canary_records_one_before_it_serves(start_server, model):
    (model / "canary.json").unlink()
    server = start_server("--model", str(model))
    assert (model / "canary.json").is_file()
    assert wait_until(lambda: metric(server.url, "lookalike_canary_cosine") != {})
    cosines = metric(server.url, "lookalike_canary_cosine")
    assert all(cosine > 0.9999 for cosine in cosines.values()), cosines


def test_other_pictures_than_the_first_ones_show_as_drift(start_server, photos, assets):
    server = start_server("--no-access-log")
    assert metric(server.url, "lookalike_embedding_norm") == {}
    add_files(server.url, photos)
    norms = metric(server.url, "lookalike_embedding_norm")
    assert all(0.99 < norm < 1.01 for norm in norms.values()) and len(norms) == 2, norms
    assert metric(server.url, "lookalike_embedding_reference_vectors")[""] == len(photos)
    before = list(metric(server.url, "lookalike_embedding_drift").values())[0]
    groceries = sorted((assets / "photos" / "grocery").rglob("*.jpg"))[:200]
    for path in groceries:
        answer = requests.post(f"{server.url}/v1/embed", files={"file": path.read_bytes()},
                               timeout=20)
        assert answer.status_code == 200, answer.text
    after = list(metric(server.url, "lookalike_embedding_drift").values())[0]
    print(f"drift of the same pictures {before:.4f}, of others {after:.4f}")
    assert before < 0.01 and after > 0.1, (before, after)
