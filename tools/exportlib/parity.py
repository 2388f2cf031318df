"""parity.json: what the training side makes of photographs and texts, from the file's bytes on."""

import hashlib
import json
from pathlib import Path

import torch
from PIL import Image, ImageOps

BATCH = 10


def is_plain(path):
    """No colour profile but sRGB's: Lookalike converts the others, training pipelines do not."""
    profile = Image.open(path).info.get("icc_profile") or b"sRGB"
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def pick_photos(root, n):
    """n photographs spread evenly over the JPEG files below root, in order of their paths."""
    found = sorted(p for p in Path(root).rglob("*")
                   if p.suffix.lower() in (".jpg", ".jpeg") and is_plain(p))
    if len(found) < n:
        raise SystemExit(f"export-model: {root} has {len(found)} photographs, {n} are wanted")
    return [found[i * len(found) // n] for i in range(n)]


def open_photo(path):
    """Upright and in RGB, as every training side has its pictures in the end."""
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def batches(items):
    for i in range(0, len(items), BATCH):
        yield items[i:i + BATCH]


@torch.no_grad()
def embed_photos(source, paths):
    rows = []
    for some in batches(paths):
        out = source.image(torch.stack([source.prepare(open_photo(p)) for p in some]))
        rows += list(source.finish(out) if source.finish else out)
    return rows


@torch.no_grad()
def embed_texts(source, texts):
    rows = []
    for some in batches(texts):
        rows += list(source.text(*source.tokenize(some)))
    return rows


def numbers(row):
    unit = torch.nn.functional.normalize(row.double(), dim=0)
    return "[" + ",".join(f"{v:.7g}" for v in unit.tolist()) + "]"


def photo_entry(root, path, row):
    name = json.dumps(str(path.relative_to(root)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'{{"path": {name}, "sha256": "{digest}", "embedding": {numbers(row)}}}'


def text_entry(text, row):
    return f'{{"text": {json.dumps(text, ensure_ascii=False)}, "embedding": {numbers(row)}}}'


def write_parity(folder, source, root, paths, texts):
    """paths below root, and texts if the model takes any, one entry a line."""
    texts = texts if source.text is not None else []
    images = [photo_entry(root, p, r)
              for p, r in zip(paths, embed_photos(source, paths), strict=True)]
    words = [text_entry(t, r) for t, r in zip(texts, embed_texts(source, texts), strict=True)]
    made_by = json.dumps(f"torch {torch.__version__}, {source.made_by}")
    (folder / "parity.json").write_text(
        f'{{"made_by": {made_by},\n"images": [\n' + ",\n".join(images)
        + '\n],\n"texts": [\n' + ",\n".join(words) + "\n]}\n", encoding="utf-8")
