"""`model pull` against a hub that misbehaves: a half or wrong download never becomes a model."""

import hashlib
import json
import os
import resource
import shutil
import signal
import ssl
import subprocess
import time
from pathlib import Path

import hub as misbehave
import pytest
from hub import Hub

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("LK_BUILD", ROOT / "build")) / "lookalike"
MINI = ROOT / "models" / "mini"
FILES = {name: (MINI / name).read_bytes() for name in ("text.onnx", "vocab.txt")}
BIG = len(FILES["text.onnx"])
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CLEAN = {k: v for k, v in os.environ.items()
         if k.lower() not in PROXIES and not k.startswith("HF_")}


def sums(files):
    return {name: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
            for name, body in files.items()}


def write_card(folder, known=True, **more):
    """A card of the bundled text tower; known: with the sizes and sums of its files."""
    card = {
        "name": "words", "version": "1", "dim": 256,
        "text": {"file": "text.onnx", "tokenizer": "words", "vocab": "vocab.txt"},
        "hub": {"repository": "some/model",
                "files": [{"from": "text.onnx"}, {"from": "vocab.txt"}]},
        **({"files": sums(FILES)} if known else {}), **more,
    }
    path = folder / "card.json"
    path.write_text(json.dumps(card), encoding="utf-8")
    return path


class Home:
    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data"
        self.model = self.data / "models" / "words"
        self.env = dict(CLEAN)

    def command(self, *args):
        return [PROGRAM, "--data", str(self.data), "model", *map(str, args)]

    def start_pull(self, url, *args, card=None):
        card = card or write_card(self.folder)
        return subprocess.Popen(
            self.command("pull", "--card", card, "--hub", url, "--retry-wait", "10ms", "--stall",
                         "1s", *args),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)

    def pull(self, url, *args, card=None, code=0):
        process = self.start_pull(url, *args, card=card)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (process.returncode, out, err)
        return out + err

    def installed(self):
        done = subprocess.run(self.command("list", "--json"), capture_output=True, text=True,
                              timeout=60, check=True, env=self.env)
        return [m["name"] for m in json.loads(done.stdout)
                if m["state"] not in ("bundled", "to pull")]

    def whole(self):
        """Is the model there, byte for byte, and passes its check?"""
        assert self.installed() == ["words"]
        for name, body in FILES.items():
            assert (self.model / name).read_bytes() == body, name
        subprocess.run(self.command("check", "words"), timeout=60, check=True,
                       stdout=subprocess.DEVNULL, env=self.env)
        return True

    def nothing(self):
        assert not self.installed() and not self.model.exists()
        return True

    def half_bytes(self):
        return sum(p.stat().st_size for p in self.data.rglob("*.part"))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def hub():
    with Hub(FILES) as h:
        yield h


# ---- downloads that come through ----


def test_a_model_is_pulled_once(home, hub):
    said = home.pull(hub.url)
    assert "words is installed" in said and "pulling: " in said
    assert home.whole()
    asked = len(hub.log)
    assert "there already, whole" in home.pull(hub.url)
    assert len(hub.log) == asked == 2
    left = [p.name for p in home.model.parent.iterdir()]
    assert sorted(left) == [".lock-words", "words"]


def test_the_answer_in_json(home, hub):
    answer = json.loads(home.pull(hub.url, "--json", "--quiet", "--to", "other"))
    assert answer == {"name": "other", "where": str(home.data / "models" / "other"), "files": 2,
                      "bytes": sum(map(len, FILES.values())), "was_there": False}


def test_sums_that_only_the_hub_knows_are_taken_from_its_redirect(home, hub):
    with Hub(FILES, always=misbehave.redirect(hub)) as front:
        home.pull(front.url, card=write_card(home.folder, known=False))
        assert home.whole()
        card = json.loads((home.model / "model.json").read_text(encoding="utf-8"))
        assert card["files"] == sums(FILES)


MENDING = {
    "500, then 503": [misbehave.status(500), misbehave.status(503)],
    "429 with a pause": [misbehave.status(429, Retry_After="1")],
    "drops in the middle, thrice": [misbehave.cut_after(200_000)] * 3,
    "drops before the first byte": [misbehave.cut_after(0)],
    "stalls": [misbehave.stall_after(300_000)],
    "damaged once": [misbehave.corrupt],
    "slow": [misbehave.slowly(2)],
    "ignores the range": [misbehave.cut_after(300_000), misbehave.ignore_range],
    "416 for a range": [misbehave.cut_after(300_000), misbehave.status(416)],
    "another part than asked for": [misbehave.cut_after(300_000), misbehave.wrong_part],
}


@pytest.mark.parametrize("known", [True, False], ids=["sums known", "sums from the hub"])
@pytest.mark.parametrize("mishaps", MENDING.values(), ids=MENDING.keys())
def test_a_mishap_that_passes_does_no_harm(home, hub, mishaps, known):
    hub.mishaps["text.onnx"] = list(mishaps)
    if known:
        home.pull(hub.url)
    else:
        with Hub(FILES, always=misbehave.redirect(hub)) as front:
            home.pull(front.url, card=write_card(home.folder, known=False))
    assert not hub.mishaps["text.onnx"]  # every one was met
    assert home.whole()


def test_what_has_come_is_not_asked_for_again(home, hub):
    hub.mishaps["text.onnx"] = [misbehave.cut_after(400_000), misbehave.cut_after(400_000)]
    home.pull(hub.url)
    ranges = [h.get("Range") for h in hub.asked("text.onnx")]
    assert ranges == [None, "bytes=400000-", "bytes=800000-"]
    assert hub.sent == sum(map(len, FILES.values()))


@pytest.mark.parametrize("tag", [True, False], ids=["with a tag", "without"])
def test_a_file_that_changes_in_between_is_fetched_anew(home, tag):
    changed = FILES["vocab.txt"].replace(b"\nboat\n", b"\nbout\n")
    with Hub({**FILES, "vocab.txt": changed}) as h:

        def swap(rq, body):
            h.files["vocab.txt"] = FILES["vocab.txt"]
            misbehave.status(500)(rq, body)

        h.mishaps["vocab.txt"] = [misbehave.cut_after(100_000, tag), swap]
        home.pull(h.url, card=write_card(home.folder, known=False))
        assert home.whole()


# ---- downloads that do not ----


LASTING = {
    "404": (misbehave.status(404), "there is no text.onnx"),
    "401": (misbehave.status(401), "HF_TOKEN"),
    "500": (misbehave.status(500), "answered 500"),
    "a pause of an hour": (misbehave.status(503, Retry_After="3600"), "answered 503"),
    "always damaged": (misbehave.corrupt, "another SHA-256 than the card's"),
    "always too long": (misbehave.too_long, "not the file that the card describes"),
    "always too short": (misbehave.too_short, "text.onnx"),
    "never a byte": (misbehave.cut_after(0), "transfer closed"),
    "a circle of redirects": (misbehave.redirect(None), "redirect"),
}


@pytest.mark.parametrize("mishap, says", LASTING.values(), ids=LASTING.keys())
def test_a_mishap_that_lasts_is_told_and_leaves_no_model(home, hub, mishap, says):
    hub.always = mishap
    start = time.monotonic()
    said = home.pull(hub.url, "--retries", "2", code=4)
    assert time.monotonic() - start < 30
    assert says in said and "(hub)" in said, said
    assert home.nothing()
    hub.always = None
    home.pull(hub.url)  # and the next run starts on clean ground
    assert home.whole()


def test_a_page_in_place_of_a_file_is_no_model(home):
    page = b"<html>please log in</html>"
    with Hub({"text.onnx": page, "vocab.txt": page}) as h:
        said = home.pull(h.url, card=write_card(home.folder, known=False), code=4)
        assert "cannot be used" in said and home.nothing()
        h.files = dict(FILES)
        home.pull(h.url, card=write_card(home.folder, known=False))
        assert home.whole()


def test_a_body_without_length_or_sum_is_refused(home, hub):
    hub.always = misbehave.endless
    said = home.pull(hub.url, card=write_card(home.folder, known=False), code=4)
    assert "neither the length nor the SHA-256" in said and home.nothing()


def test_whole_files_that_do_not_run_are_no_model(home, hub):
    said = home.pull(hub.url, card=write_card(home.folder, dim=255), code=4)
    assert "255" in said and home.nothing()


BAD_FILES = {
    "../evil": "leaves the model's folder", "/tmp/evil": "leaves the model's folder",
    "a/../../evil": "leaves the model's folder", "model.json": "model.json",
    "vocab.txt": "two files",
}


@pytest.mark.parametrize("to, says", BAD_FILES.items())
def test_a_card_cannot_write_where_it_likes(home, hub, to, says):
    files = [{"from": "text.onnx", "to": to}, {"from": "vocab.txt"}]
    card = write_card(home.folder, hub={"repository": "some/model", "files": files})
    assert says in home.pull(hub.url, card=card, code=4)
    assert not hub.log and home.nothing()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc", "127.0.0.1", "http://"])
def test_a_hub_is_an_http_address(home, url):
    assert "(hub)" in home.pull(url, code=2)


def test_a_disk_that_takes_no_more_leaves_no_model(home, hub):
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    done = subprocess.run(home.command("pull", "--card", write_card(home.folder), "--hub", hub.url),
                          capture_output=True, text=True, timeout=60, check=False, env=home.env,
                          preexec_fn=small_files, restore_signals=False)
    assert done.returncode == 4 and "File too large" in done.stderr
    assert home.nothing()
    home.pull(hub.url)
    assert home.whole()


def test_an_installed_model_that_is_damaged_is_told(home, hub):
    home.pull(hub.url)
    (home.model / "vocab.txt").write_bytes(b"<pad>\n")
    said = home.pull(hub.url, code=4)
    assert "damaged" in said and "lookalike model rm words" in said
    subprocess.run(home.command("rm", "words"), check=True, capture_output=True, timeout=60)
    home.pull(hub.url)
    assert home.whole()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_a_hub_that_nobody_vouches_for_is_refused(home, hub):
    key, cert = home.folder / "key.pem", home.folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    hub.server.socket = tls.wrap_socket(hub.server.socket, server_side=True)
    said = home.pull(hub.url.replace("http:", "https:"), code=4)
    assert "certificate" in said and "trying again" not in said and not hub.log
    assert home.nothing()


# ---- stopped, and gone on ----


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("how, code", [(signal.SIGKILL, -9), (signal.SIGINT, 130)],
                         ids=["killed", "Ctrl-C"])
def test_a_stopped_pull_goes_on(home, hub, how, code):
    hub.mishaps["text.onnx"] = [misbehave.slowly(20)]
    process = home.start_pull(hub.url, "--stall", "30s")
    wait_for(lambda: home.half_bytes() > 300_000)
    process.send_signal(how)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert how != signal.SIGINT or "goes on from there" in err
    assert home.nothing()
    home.pull(hub.url)
    ranges = [h.get("Range") for h in hub.asked("text.onnx")]
    assert len(ranges) == 2 and int(ranges[1][6:-1]) > 300_000
    assert home.whole()


def test_a_mirror_goes_on_where_the_hub_broke(home, hub):
    hub.always = misbehave.status(500)
    hub.mishaps["text.onnx"] = [misbehave.cut_after(700_000)]
    home.pull(hub.url, "--retries", "0", code=4)
    with Hub(FILES) as mirror:
        home.pull(mirror.url)
        assert [h.get("Range") for h in mirror.asked("text.onnx")] == ["bytes=700000-"]
    assert home.whole()


def test_a_mirror_with_another_file_cannot_finish_a_half_one(home, hub):
    hub.always = misbehave.status(500)
    hub.mishaps["text.onnx"] = [misbehave.cut_after(700_000)]
    home.pull(hub.url, "--retries", "0", code=4)
    other = FILES["text.onnx"][:-1] + b"\0"
    with Hub({**FILES, "text.onnx": other}) as mirror:
        assert "SHA-256" in home.pull(mirror.url, "--retries", "0", code=4)
    assert home.nothing()


def test_two_at_once_make_one_model(home, hub):
    hub.mishaps["text.onnx"] = [misbehave.slowly(4)]
    first = home.start_pull(hub.url, "--stall", "30s")
    wait_for(lambda: home.half_bytes() > 0)
    said = home.pull(hub.url, code=4)
    assert "being installed or removed elsewhere" in said
    first.communicate(timeout=60)
    assert first.returncode == 0 and len(hub.asked("text.onnx")) == 1
    assert home.whole()


# ---- tokens and proxies ----


def test_a_token_stays_with_the_hub(home, hub):
    home.env["HF_TOKEN"] = "hf_secret"
    with Hub(FILES, always=misbehave.redirect(hub)) as front:
        home.pull(front.url)
        assert all(h.get("Authorization") == "Bearer hf_secret" for _, h in front.log)
        assert not any("Authorization" in h for _, h in hub.log)


def test_a_token_goes_over_no_open_line(home, hub):
    home.env.update(HF_TOKEN="hf_secret", http_proxy=hub.url)
    home.pull("http://models.invalid")
    assert hub.log and not any("Authorization" in h for _, h in hub.log)


def test_proxy_variables_are_honoured(home, hub):
    home.env["http_proxy"] = hub.url
    home.pull("http://models.invalid")
    assert [path for path, _ in hub.log][0].startswith("http://models.invalid/some/model/resolve/")
    assert home.whole()


def test_all_proxy_and_no_proxy_are_honoured(home, hub):
    home.env.update(all_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1")
    home.pull(hub.url)
    assert home.whole()


def test_https_goes_through_its_proxy_by_connect(home, hub):
    home.env["https_proxy"] = hub.url
    home.pull("https://models.invalid", "--retries", "0", code=4)
    assert [path for path, _ in hub.log] == ["CONNECT models.invalid:443"]


def test_the_hub_may_come_from_the_environment(home, hub):
    home.env["HF_ENDPOINT"] = hub.url
    done = subprocess.run(home.command("pull", "--card", write_card(home.folder)),
                          capture_output=True, text=True, timeout=60, check=False, env=home.env)
    assert done.returncode == 0, done.stderr
    assert home.whole()
