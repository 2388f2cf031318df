"""The real program from the command line, over real photographs."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("LK_BUILD", ROOT / "build")) / "lookalike"
ASSETS = (ROOT.parent / "shared" / "assets").resolve()  # as records hold it
COCO = ASSETS / "photos" / "coco-100"
GROCERY = ASSETS / "photos" / "grocery" / "test"

needs_photos = pytest.mark.skipif(not COCO.exists(), reason=f"no test material at {ASSETS}")


def run(data, *args, code=0, **kwargs):
    done = subprocess.run(
        [PROGRAM, "--data", data, *map(str, args)],
        capture_output=True, text=True, timeout=300, check=False, **kwargs,
    )
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def run_json(data, *args, code=0):
    return json.loads(run(data, *args, "--json", code=code).stdout)


def paths(answer):
    return [hit["image"]["path"] for hit in answer["results"]]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """COCO's photographs and a few groceries, added once."""
    if not COCO.exists():
        pytest.skip(f"no test material at {ASSETS}")
    data = tmp_path_factory.mktemp("cli") / "data"
    done = run_json(data, "add", COCO, "--meta", "set=coco")
    assert done["added"] == 100 and done["failed"] == 0
    assert done["skipped"] > 0  # the captions and licences beside the photographs
    done = run_json(data, "add", GROCERY / "Fruit", "--meta", "set=grocery", "--meta", "fresh=true")
    assert done["added"] > 100
    return data


# ---- search ----

BOATS = {"a boat", "boats", "ship", "sail"}


def caption_words(name):
    text = ""
    for table in ("captions_train.tsv", "captions_val.tsv"):
        for line in (COCO / table).read_text(encoding="utf-8").splitlines():
            if name in line:
                text += line.lower()
    return text


@needs_photos
@pytest.mark.parametrize("words", ["boat", "船"])
def test_a_word_finds_its_pictures_in_english_and_chinese(collection, words):
    hits = run_json(collection, "search", words, "-n", "3", "--where", 'set == "coco"')["results"]
    assert len(hits) == 3
    first = caption_words(hits[0]["image"]["filename"])
    assert any(word in first for word in ("boat", "ship", "sail", "canoe", "kayak")), first


@needs_photos
def test_a_query_without_a_known_word_says_so(collection):
    done = run(collection, "search", "qzxwvk", code=1)
    assert "knows no word" in done.stderr and done.stdout == ""
    answer = run_json(collection, "search", "qzxwvk", code=1)
    assert answer["error"]["code"] == "no_known_word"


@needs_photos
def test_a_granny_smith_finds_apples(collection):
    apple = sorted((GROCERY / "Fruit" / "Apple" / "Granny-Smith").iterdir())[0]
    found = paths(run_json(collection, "search", "--image", apple, "-n", "5"))
    assert found[0] == str(apple)
    assert sum("/Apple/" in p for p in found) >= 3, found


@needs_photos
def test_a_filter_narrows_and_a_wrong_one_points_at_its_column(collection):
    answer = run_json(
        collection, "search", "apple", "-n", "50", "--where", 'category == "food" && brightness > 0.3'
    )
    assert answer["results"]
    for hit in answer["results"]:
        assert hit["image"]["category"] == "food" and hit["image"]["brightness"] > 0.3
    wrong = run_json(collection, "search", "apple", "--where", "brightness > ", code=2)["error"]
    assert wrong["field"] == "filter" and wrong["column"] >= 12
    wrong = run_json(collection, "search", "apple", "--where", "brightnes > 1", code=2)["error"]
    assert "brightness" in wrong["message"] and wrong["column"] == 1


@needs_photos
def test_words_and_pictures_mix_and_subtract(collection):
    apple = sorted((GROCERY / "Fruit" / "Apple" / "Granny-Smith").iterdir())[0]
    mixed = run_json(collection, "search", "boat", "--text-weight", "0.7", "--image", apple,
                     "--image-weight", "0.3", "-n", "5")
    alone = run_json(collection, "search", "boat", "-n", "5")
    assert mixed["results"] and paths(mixed) != paths(alone)
    without = run_json(collection, "search", "fruit", "--without", "apple", "-n", "5")
    assert without["results"]


@needs_photos
def test_similar_leaves_the_picture_itself_out(collection):
    first = run_json(collection, "search", "boat", "-n", "1")["results"][0]["id"]
    similar = run_json(collection, "similar", first, "-n", "5")["results"]
    assert len(similar) == 5 and first not in [hit["id"] for hit in similar]
    assert run(collection, "similar", "nobody", code=1).stderr


@needs_photos
def test_scores_fall_and_pages_join(collection):
    whole = run_json(collection, "search", "food", "-n", "20")["results"]
    scores = [hit["score"] for hit in whole]
    assert scores == sorted(scores, reverse=True)
    page = run_json(collection, "search", "food", "-n", "5", "--offset", "5")["results"]
    assert [h["id"] for h in page] == [h["id"] for h in whole[5:10]]
    few = run_json(collection, "search", "food", "-n", "20", "--min-score", scores[3])["results"]
    assert 3 <= len(few) <= 4 + scores.count(scores[3])


@needs_photos
def test_boosts_and_fields(collection):
    plain = run_json(collection, "search", "street", "-n", "1")["results"][0]
    assert plain["image"]["metadata"]["set"] == "coco"
    lifted = run_json(collection, "search", "street", "-n", "1", "--boost", "fresh=2",
                      "--fields", "metadata.set", "--fields", "width")["results"][0]
    assert lifted["image"] == {"metadata.set": "grocery", "width": lifted["image"]["width"]}
    wrong = run_json(collection, "search", "street", "--fields", "nonsense", code=2)["error"]
    assert wrong["field"] == "fields" and "nonsense" in wrong["message"]
    run(collection, "search", "street", "--boost", "fresh", code=2)


# ---- records ----


@needs_photos
def test_a_record_is_shown_listed_and_removed(collection, tmp_path):
    data = tmp_path / "copy"
    shutil.copytree(collection, data)
    listed = [json.loads(line) for line in run(data, "list", "--json").stdout.splitlines()]
    info = run_json(data, "info")
    assert len(listed) == info["images"] == info["vectors"]
    one = listed[0]["id"]
    assert run_json(data, "get", one)["id"] == one
    assert run_json(data, "rm", one) == {"removed": 1, "failed": 0}
    run(data, "get", one, code=1)
    assert run(data, "rm", one, code=3).stderr
    removed = run_json(data, "rm", "--where", 'set == "coco"')["removed"]
    assert removed in (99, 100)
    assert run_json(data, "verify", "--deep")["faults"] == 0
    assert run_json(data, "info")["images"] == info["images"] - 1 - removed


# ---- add ----


@needs_photos
def test_the_same_folder_twice_adds_nothing(collection):
    again = run_json(collection, "add", COCO)
    assert again["added"] == 0 and again["duplicates"] == 100


@needs_photos
def test_odd_files_are_listed_with_their_reasons_and_the_rest_go_on(tmp_path):
    odd = ASSETS / "odd"
    done = run_json(tmp_path / "data", "add", odd, code=3)
    assert done["failed"] > 10 and done["added"] > 150
    for failure in done["failures"]:
        assert failure["message"] and failure["code"] in {
            "format", "truncated", "corrupt", "limit", "unsupported", "invalid"
        }, failure
    assert run_json(tmp_path / "data", "verify", "--deep")["faults"] == 0


@needs_photos
def test_a_single_file_has_its_id_and_typed_metadata(tmp_path):
    photo = next(COCO.glob("*.jpg"))
    run(tmp_path / "d", "add", photo, "--id", "one", "-m", "price=3.5", "-m", "new=true", "-m", "n=x")
    record = run_json(tmp_path / "d", "get", "one")
    assert record["metadata"] == {"price": 3.5, "new": True, "n": "x"}
    assert record["path"] == str(photo) and record["filename"] == photo.name
    run(tmp_path / "d", "add", COCO, "--id", "two", code=2)
    run(tmp_path / "d", "add", photo, "--meta", "novalue", code=2)


@needs_photos
def test_a_picture_from_stdin(tmp_path):
    photo = next(COCO.glob("*.jpg"))
    with photo.open("rb") as file:
        done = subprocess.run([PROGRAM, "--data", tmp_path / "d", "add", "-", "--json"], stdin=file,
                              capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["added"] == 1


def start_add(data):
    return subprocess.Popen(
        [PROGRAM, "--data", data, "add", GROCERY, "--json", "-j", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )


def wait_for_some(data, at_least=5):
    """Until a few pictures are stored; reads the objects' folder, as the lock is taken."""
    for _ in range(600):
        if sum(1 for _ in (data / "objects").rglob("*")) > 3 * at_least:
            return
        time.sleep(0.05)
    raise AssertionError("nothing was added")


@needs_photos
def test_ctrl_c_stops_cleanly_and_a_second_run_resumes(tmp_path):
    data = tmp_path / "d"
    child = start_add(data)
    wait_for_some(data)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    first = json.loads(out)
    assert first["stopped"] and first["added"] > 0
    assert not (data / "unclean").exists()
    second = run_json(data, "add", GROCERY)
    assert second["duplicates"] >= first["added"]
    assert run_json(data, "verify")["faults"] == 0


@needs_photos
def test_kill_in_the_middle_leaves_a_folder_that_opens_verifies_and_resumes(tmp_path):
    data = tmp_path / "d"
    for round_ in range(3):
        child = start_add(data)
        wait_for_some(data, 5 + 10 * round_)
        child.kill()
        child.wait(timeout=60)
        verified = run_json(data, "verify", "--deep")
        assert verified["faults"] == 0 and verified["extras"] == 0, verified
    done = run_json(data, "add", GROCERY)
    assert done["failed"] == 0 and done["duplicates"] > 0
    assert run_json(data, "verify", "--deep")["faults"] == 0


# ---- the folder and usage ----


@needs_photos
def test_a_second_process_is_told_who_owns_the_folder(tmp_path):
    data = tmp_path / "d"
    child = start_add(data)
    try:
        wait_for_some(data)
        done = run(data, "info", code=4)
        assert str(child.pid) in done.stderr
    finally:
        child.kill()
        child.wait(timeout=60)


def test_usage_errors_name_what_is_near(tmp_path):
    assert "search" in run(tmp_path, "serach", "x", code=2).stderr
    assert "--top-k" in run(tmp_path, "search", "x", "--topk", "3", code=2).stderr
    assert run(tmp_path, "search", code=2).stderr
    assert run(tmp_path, "search", "x", "-n", "0", code=2).stderr
    missing = run(tmp_path / "nowhere", "info", code=4).stderr
    assert "nowhere" in missing and "init" in missing


def test_help_is_there_for_every_command(tmp_path):
    top = run(tmp_path, "--help").stdout
    commands = [line.split()[0] for line in top.splitlines() if line.startswith("  ")]
    assert {"init", "add", "search", "similar", "get", "rm", "info", "verify", "serve"} <= set(commands)
    for command in commands:
        assert f"lookalike {command}" in run(tmp_path, command, "--help").stdout
    assert run(tmp_path, "--version").stdout.startswith("lookalike ")


def test_thousands_of_paths_fit_into_one_command(tmp_path):
    # ONNX Runtime 1.30 reads the command line by a regular expression, a frame a byte.
    paths = [f"/nowhere/{'deep/' * 10}{i}.jpg" for i in range(1500)]
    done = run(tmp_path / "d", "add", *paths, code=3)
    assert "1500 failed" in done.stdout + done.stderr


def test_the_manual_page_is_up_to_date(tmp_path):
    page = (ROOT / "docs" / "lookalike.1").read_text(encoding="utf-8")
    assert run(tmp_path, "man").stdout == page


def test_completions_are_valid_shell(tmp_path):
    script = run(tmp_path, "completions", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=20)
    run(tmp_path, "completions", "tcsh", code=2)


def test_the_demo_gallery_is_drawn_and_found(tmp_path):
    gallery, data = tmp_path / "gallery", tmp_path / "d"
    run(data, "demo", gallery)
    done = run_json(data, "add", gallery)
    assert done["added"] >= 20 and done["failed"] == 0
    picture = gallery / "red-apple.jpg"
    assert paths(run_json(data, "search", "--image", picture, "-n", "1")) == [str(picture)]


def test_a_model_is_made_int8_with_its_loss_told(tmp_path):
    done = run_json(tmp_path, "model", "quantize", "mini")
    assert done["name"] == "mini-int8" and done["int8"] >= 1
    assert done["images"]["n"] > 20 and done["images"]["min_cosine"] > 0.99
    assert done["images"]["neighbours_kept_at_10"] > 0.9
    assert done["texts"]["min_cosine"] > 0.99
    assert "256 dimensions" in run(tmp_path, "model", "check", "mini-int8").stdout
    assert "there already" in run(tmp_path, "model", "quantize", "mini", code=4).stderr


def test_init_makes_an_empty_collection(tmp_path):
    data = tmp_path / "d"
    run(data, "init")
    assert run_json(data, "info")["images"] == 0
    assert run_json(data, "search", "boat", code=1)["results"] == []
    assert run_json(data, "verify")["faults"] == 0
