"""The routes of Roboflow's inference server for CLIP: its JSON in, its JSON out."""

import base64
import json
import re
import socket
import subprocess

import numpy as np
import pytest
import requests
from conftest import ROOT, picture


def ask(server, path, body, **params):
    return requests.post(f"{server.url}/clip/{path}", json=body, params=params, timeout=30)


def item(data):
    return {"type": "base64", "value": base64.b64encode(data).decode()}


def own(server, body):
    answer = requests.post(f"{server.url}/v1/embed", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["vector"])


def test_a_text_or_a_list_of_them_is_embedded(filled):
    one = ask(filled, "embed_text", {"text": "boat", "clip_version_id": "ViT-B-16"}, api_key="k")
    assert one.status_code == 200, one.text
    body = one.json()
    assert {"embeddings", "time", "inference_id", "frame_id"} <= set(body)
    assert body["time"] >= 0
    assert np.allclose(body["embeddings"], [own(filled, {"text": "boat"})], atol=1e-6)
    three = ask(filled, "embed_text", {"text": ["boat", "apple", "船"], "api_key": "k"}).json()
    assert np.allclose(three["embeddings"], [own(filled, {"text": t})
                                             for t in ("boat", "apple", "船")], atol=1e-6)


def test_a_picture_or_a_list_of_them_is_embedded(filled, photos):
    pictures = [p.read_bytes() for p in photos[:9]]
    wanted = [own(filled, {"image": base64.b64encode(p).decode()}) for p in pictures]
    one = ask(filled, "embed_image", {"image": item(pictures[0])})
    assert one.status_code == 200, one.text
    assert np.allclose(one.json()["embeddings"], wanted[:1], atol=1e-6)
    nine = ask(filled, "embed_image", {"image": [item(p) for p in pictures]}).json()
    assert np.allclose(nine["embeddings"], wanted, atol=1e-6)
    dressed = item(pictures[0])
    dressed["value"] = "data:image/jpeg;base64," + dressed["value"]
    again = ask(filled, "embed_image", {"image": dressed}).json()
    assert np.allclose(again["embeddings"], wanted[:1], atol=1e-6)


def test_a_comparison_gives_cosines_in_the_shape_of_the_prompt(filled, photos):
    photo = item(photos[0].read_bytes())
    subject = own(filled, {"image": photo["value"]})
    cosines = [float(subject @ own(filled, {"text": t})) for t in ("boat", "dog")]
    answer = ask(filled, "compare", {"subject": photo, "prompt": ["boat", "dog"]})
    assert answer.status_code == 200, answer.text
    assert np.allclose(answer.json()["similarity"], cosines, atol=1e-5)
    assert answer.json()["parent_id"] is None
    single = ask(filled, "compare", {"subject": photo, "prompt": "dog"}).json()["similarity"]
    assert np.allclose(single, cosines[1:], atol=1e-5)
    labels = ask(filled, "compare", {"subject": photo, "subject_type": "image",
                                     "prompt_type": "text",
                                     "prompt": {"a": "boat", "b": "dog"}}).json()["similarity"]
    assert list(labels) == ["a", "b"]
    assert np.allclose(list(labels.values()), cosines, atol=1e-5)
    other = item(photos[1].read_bytes())
    turned = ask(filled, "compare", {"subject": "boat", "subject_type": "text",
                                     "prompt": [photo, other], "prompt_type": "image"}).json()
    assert np.allclose(turned["similarity"][0], cosines[0], atol=1e-5)
    same = ask(filled, "compare", {"subject": photo, "prompt": photo, "prompt_type": "image"})
    assert np.allclose(same.json()["similarity"], [1], atol=1e-5)


GOOD = item(picture(1))


@pytest.mark.parametrize(("path", "body", "status", "field"), [
    ("embed_text", {}, 400, "text"),
    ("embed_text", {"text": []}, 400, "text"),
    ("embed_text", {"text": 5}, 400, "text"),
    ("embed_text", {"text": ["boat"] * 257}, 400, "text"),
    ("embed_text", {"text": ["boat", 5]}, 400, "text[1]"),
    ("embed_text", {"text": ["boat", "qqzzxxkk"]}, 422, "text[1]"),
    ("embed_image", {}, 400, "image"),
    ("embed_image", {"image": "AAAA"}, 400, "image"),
    ("embed_image", {"image": {"type": "numpy", "value": "gASVCg=="}}, 400, "type"),
    ("embed_image", {"image": {"type": "multipart", "value": "x"}}, 400, "type"),
    ("embed_image", {"image": {"type": "url", "value": "http://127.0.0.1:1/a.png"}}, 403, "image"),
    ("embed_image", {"image": {"type": "base64", "value": "!"}}, 400, "image"),
    ("embed_image", {"image": {"type": "base64", "value": ""}}, 400, "image"),
    ("embed_image", {"image": {"type": "base64", "value": "AAAA"}}, 415, None),
    ("embed_image", {"image": [GOOD, {"type": "base64", "value": "!"}]}, 400, "image[1]"),
    ("compare", {"subject": GOOD}, 400, "prompt"),
    ("compare", {"prompt": "boat"}, 400, "subject"),
    ("compare", {"subject": GOOD, "prompt": "boat", "prompt_type": "sound"}, 400, "prompt_type"),
    ("compare", {"subject": "boat", "prompt": "boat"}, 400, "image"),
    ("compare", {"subject": GOOD, "prompt": {str(i): "boat" for i in range(257)}}, 400, "prompt"),
    ("compare", {"subject": GOOD, "prompt": []}, 400, "prompt"),
    ("compare", {"subject": GOOD, "prompt": {}}, 400, "prompt"),
])
def test_a_fault_is_told_in_roboflows_place_and_in_ours(filled, path, body, status, field):
    answer = ask(filled, path, body)
    assert answer.status_code == status, answer.text[:300]
    told = answer.json()
    assert set(told) == {"message", "error"}
    assert told["message"] == told["error"]["message"]
    if field is not None:
        assert told["error"].get("field") == field


def test_a_picture_is_fetched_by_url_only_where_that_is_allowed(start_server, filled, photos):
    server = start_server("--image-urls")
    image = filled.ids[photos[0].name]
    url = f"{filled.url}/v1/images/{image}/original"
    answer = ask(server, "embed_image", {"image": {"type": "url", "value": url}})
    assert answer.status_code == 200, answer.text
    wanted = own(filled, {"image": base64.b64encode(photos[0].read_bytes()).decode()})
    assert np.allclose(answer.json()["embeddings"], [wanted], atol=1e-6)

    def fails(value):
        return ask(server, "embed_image", {"image": {"type": "url", "value": value}})

    missing = fails(f"{filled.url}/v1/images/none/original")
    assert missing.status_code == 400
    assert "404" in missing.json()["message"]
    assert fails("file:///etc/passwd").status_code == 400
    with socket.socket() as s:  # nobody listens here
        s.bind(("127.0.0.1", 0))
        assert fails(f"http://127.0.0.1:{s.getsockname()[1]}/").status_code == 502
    assert fails(f"{filled.url}/healthz").status_code == 415


def test_the_routes_stand_in_the_document_and_in_the_metrics(filled):
    document = requests.get(f"{filled.url}/openapi.json", timeout=20).json()
    for path in ("embed_image", "embed_text", "compare"):
        operation = document["paths"][f"/clip/{path}"]["post"]
        assert operation["operationId"] == f"clip_{path}"
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        name = answer["$ref"].rsplit("/", 1)[1]
        assert "time" in document["components"]["schemas"][name]["properties"]
    ask(filled, "embed_text", {"text": "boat"})
    text = requests.get(f"{filled.url}/metrics", timeout=20).text
    assert re.search(r'route="clip_embed_text".* [1-9]', text)
    assert "clip_compare" in json.dumps(document)


# ---- Roboflow's own client

ITS_CALLS = """
import json, sys
from inference_sdk import InferenceConfiguration, InferenceHTTPClient
client = InferenceHTTPClient(api_url=sys.argv[1], api_key="k")
client.configure(InferenceConfiguration(max_batch_size=4))
photos = sys.argv[2:]
told = None
try:
    client.get_clip_text_embeddings(text="qqzzxxkk")
except Exception as error:
    told = [error.status_code, error.api_message]
print(json.dumps({
    "text": client.get_clip_text_embeddings(text="boat", clip_version="ViT-B-16"),
    "texts": client.get_clip_text_embeddings(text=["boat", "dog"]),
    "image": client.get_clip_image_embeddings(photos[0]),
    "images": client.get_clip_image_embeddings(photos),
    "compare": client.clip_compare(photos[0], prompt=["boat", "dog"]),
    "turned": client.clip_compare("boat", prompt=photos, subject_type="text", prompt_type="image"),
    "told": told}))
"""


def test_roboflows_own_client_works_against_this_server(filled, photos):
    python = ROOT / ".deps" / "clients" / "bin" / "python"
    has = python.exists() and subprocess.run(
        [python, "-c", "import inference_sdk"], capture_output=True, check=False).returncode == 0
    if not has:
        pytest.skip("no inference-sdk; tools/setup clients installs it")
    paths = [str(p) for p in photos[:5]]
    done = subprocess.run([python, "-W", "ignore", "-c", ITS_CALLS, filled.url, *paths],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    words = [own(filled, {"text": t}) for t in ("boat", "dog")]
    assert np.allclose(got["text"]["embeddings"], words[:1], atol=1e-6)
    assert np.allclose(got["texts"]["embeddings"], words, atol=1e-6)
    # It may make a photograph smaller before it sends it, and encode it again.
    pictures = [own(filled, {"image": base64.b64encode(p.read_bytes()).decode()})
                for p in photos[:5]]
    sent = [np.array(one["embeddings"][0]) for one in got["images"]]
    assert len(sent) == 5
    assert all(a @ b > 0.98 for a, b in zip(sent, pictures, strict=True))
    assert np.allclose(got["image"]["embeddings"][0], sent[0], atol=1e-6)
    cosines = [float(sent[0] @ w) for w in words]
    assert np.allclose(got["compare"]["similarity"], cosines, atol=1e-5)
    assert np.allclose(got["turned"]["similarity"], [float(p @ words[0]) for p in sent], atol=1e-5)
    assert got["told"] == [422, 'the model knows no word of "qqzzxxkk"']
