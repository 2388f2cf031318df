"""Our resize against Pillow's (12: horizontal pass first, always), byte for byte: at many sizes,
and photographs as each shipped card wants them."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import ASSETS
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
HELPER = Path(os.environ.get("LK_BUILD", ROOT / "build")) / "tests" / "helpers" / "helper-resize"
FILTERS = [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS,
           Image.Resampling.BOX]
SIZES = [
    ((640, 480), (112, 112)), ((640, 480), (298, 224)), ((348, 348), (224, 224)),
    ((31, 17), (224, 224)), ((1, 1), (5, 7)), ((5, 7), (1, 1)), ((1000, 3), (10, 3)),
    ((3, 1000), (3, 10)), ((257, 129), (256, 128)), ((100, 100), (100, 37)),
    ((2000, 1500), (320, 240)), ((64, 64), (65, 63)), ((8, 4000), (4, 333)),
]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("size,to", SIZES)
def test_the_same_bytes_come_out(kind, size, to):
    rng = np.random.default_rng(42)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    pixels[: size[1] // 2] = np.where(pixels[: size[1] // 2] > 127, 255, 0)  # edges that overshoot
    want = np.asarray(Image.fromarray(pixels).resize(to, FILTERS[kind]))
    done = subprocess.run(
        [HELPER, *map(str, (*size, *to, kind))], input=pixels.tobytes(), capture_output=True,
        check=True, timeout=60,
    )
    got = np.frombuffer(done.stdout, np.uint8).reshape(to[1], to[0], 3)
    assert np.array_equal(got, want), f"{np.count_nonzero(got != want)} bytes differ"


# ---- as cards want them

HELPER_FIT = HELPER.with_name("helper-fit")
# None has a colour profile but sRGB's: we convert those, Pillow does not by itself.
PHOTOS = ["coco-100/000000005802.jpg", "coco-100/000000006818.jpg", "coco-100/000000012448.jpg",
          "grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_002.jpg",
          "grocery/iconic/Fruit/Pear/Kaiser/Kaiser_Iconic.jpg"]
KINDS = ["bicubic", "bilinear", "lanczos", "box"]


def cards():
    """fit, short side, size and filter of every card, and a card that pads."""
    found = {("pad", 224, 224, "bicubic")}
    for path in [*(ROOT / "models" / "cards").glob("*.json"), ROOT / "models/mini/model.json"]:
        image = json.loads(path.read_text(encoding="utf-8"))["image"]
        kind = image.get("resize_filter", "bicubic").split(",")[0]
        found.add((image.get("resize", "crop"), image.get("short_side", image["size"]),
                   image["size"], kind))
    return sorted(found)


def by_pillow(picture, fit, short, size, kind):
    """What torchvision's Resize and CenterCrop, and open_clip's "longest", do to a picture."""
    kind = FILTERS[KINDS.index(kind)]
    w, h = picture.size
    if fit == "squash":
        return picture.resize((size, size), kind)
    if fit == "pad":
        to = (round(w * size / max(w, h)), round(h * size / max(w, h)))
        square = Image.new("RGB", (size, size))
        square.paste(picture.resize(to, kind), ((size - to[0]) // 2, (size - to[1]) // 2))
        return square
    to = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    left, top = round((to[0] - size) / 2.0), round((to[1] - size) / 2.0)
    return picture.resize(to, kind).crop((left, top, left + size, top + size))


@pytest.mark.parametrize("card", cards(), ids=str)
def test_a_photograph_is_what_the_card_says(card):
    if not (ASSETS / "photos").is_dir():
        pytest.skip("no photographs at ../shared/assets/photos")
    for name in PHOTOS:
        path = ASSETS / "photos" / name
        fit, short, size, kind = card
        want = np.asarray(by_pillow(Image.open(path).convert("RGB"), *card))
        done = subprocess.run([HELPER_FIT, path, fit, str(short), str(size), kind],
                              capture_output=True, check=True, timeout=60)
        got = np.frombuffer(done.stdout, np.uint8).reshape(size, size, 3)
        assert np.array_equal(got, want), f"{name}: {np.count_nonzero(got != want)} bytes differ"
