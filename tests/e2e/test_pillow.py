"""Our resize against Pillow's (12: horizontal pass first, always), byte for byte, at many sizes."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
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
