"""Models as their training side has them, each with the preprocessing and tokenizer of its own.

A source is opened by FAMILY:NAME[:WEIGHTS] and says what a card must say. Preprocessing and
tokenizer are the family's own code, never ours: they are what ours is held against.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

# What the cards in the program are made of.
SHIPPED = {
    "clip-vit-b-32": "open_clip:ViT-B-32-quickgelu:openai",
    "clip-vit-b-16": "open_clip:ViT-B-16-quickgelu:openai",
    "clip-vit-l-14": "open_clip:ViT-L-14-quickgelu:openai",
    "chinese-clip-vit-b-16": "cn_clip:ViT-B-16",
    "resnet50": "torchvision:resnet50:IMAGENET1K_V1",
    "efficientnet-b0": "torchvision:efficientnet_b0:IMAGENET1K_V1",
    "vit-b-16": "transformers:google/vit-base-patch16-224-in21k",
}


@dataclass
class Source:
    """One model, ready to be exported and to be asked."""

    made_by: str
    dim: int
    image: nn.Module  # pixels [N,3,S,S] to what the file gives
    prepare: object  # a picture of Pillow to pixels [3,S,S]
    image_card: dict
    outputs: dict = field(default_factory=dict)  # name of the file's output: its axes
    finish: object = None  # what the file gives to [N,dim]; None: that already
    text: nn.Module = None  # ids (and mask, types) to [N,dim]
    tokenize: object = None  # a list of texts to the text tower's inputs, in order
    text_inputs: tuple = ()
    text_free_length: bool = False
    text_card: dict = None
    files: dict = field(default_factory=dict)  # name in the folder: bytes
    network: nn.Module = None  # what settle() is for, where it has batch normalisation


def numbers(values):
    return [round(float(v), 8) for v in values]


class Method(nn.Module):
    """One method of a model as a module, which is what the exporter takes."""

    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name
        self.eval()  # the exporter puts back what it finds, into all that is inside

    def forward(self, *inputs):
        return getattr(self.model, self.name)(*inputs)


def interpolation(value):
    """The card's word for Pillow's, torchvision's or timm's."""
    word = str(getattr(value, "value", value)).lower()
    known = {"2": "bilinear", "3": "bicubic", "1": "lanczos", "4": "box"}
    word = known.get(word, word)
    if word not in known.values():
        raise SystemExit(f"export-model: no card can say a resize by {word}")
    return word


def settle(model, pixels):
    """Give batch normalisation the statistics of a few pictures [N,3,S,S]. With the numbers that it
    starts from, a network of random weights tells no two pictures apart."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = None  # the mean of all that is seen
    model.train()
    with torch.no_grad():
        model(pixels)
    model.eval()


# ---- CLIP


def open_clip_source(name, weights, random):
    import open_clip

    torch.backends.mha.set_fastpath_enabled(False)
    model, _, prepare = open_clip.create_model_and_transforms(
        name, pretrained=None if random else weights)
    model.eval()
    config = model.visual.preprocess_cfg
    size = config["size"] if isinstance(config["size"], int) else config["size"][0]
    tokenizer = open_clip.get_tokenizer(name)
    if not isinstance(tokenizer, open_clip.tokenizer.SimpleTokenizer):
        raise SystemExit(f"export-model: {name} has another tokenizer than CLIP's")
    fits = {"shortest": "crop", "squash": "squash", "longest": "pad"}
    vocab = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    return Source(
        made_by=f"open_clip_torch {open_clip.__version__}",
        dim=model.visual.output_dim,
        image=Method(model, "encode_image"),
        prepare=prepare,
        image_card={"size": size, "resize": fits[config["resize_mode"]],
                    "resize_filter": interpolation(config["interpolation"]),
                    "mean": numbers(config["mean"]), "std": numbers(config["std"])},
        text=Method(model, "encode_text"),
        tokenize=lambda texts: (tokenizer(texts),),
        text_inputs=("input_ids",),
        text_card={"tokenizer": "bpe", "tokenizer_like": "original", "vocab": vocab.name,
                   "max_terms": tokenizer.context_length},
        files={vocab.name: vocab.read_bytes()},
    )


def cn_clip_source(name, weights, random):
    import cn_clip.clip as cn
    from cn_clip.clip.model import CLIP

    root = Path(cn.__file__).parent
    if random:
        texts = "RoBERTa-wwm-ext-base-chinese"
        config = json.loads((root / "model_configs" / f"{name}.json").read_text())
        config |= json.loads((root / "model_configs" / f"{texts}.json").read_text())
        model = CLIP(**config, tokenizer=cn._tokenizer)
        transform, size = cn.image_transform(config["image_resolution"]), config["image_resolution"]
    else:
        model, transform = cn.load_from_name(name, device="cpu", download_root=weights or ".")
        size = model.visual.input_resolution
    model.float().eval()
    mean, std = transform.transforms[-1].mean, transform.transforms[-1].std
    return Source(
        made_by="cn_clip 1.5.1",
        dim=model.text_projection.shape[1],
        image=Method(model, "encode_image"),
        prepare=transform,
        image_card={"size": size, "resize": "squash", "resize_filter": "bicubic",
                    "mean": numbers(mean), "std": numbers(std)},
        text=Method(model, "encode_text"),
        tokenize=lambda texts: (cn.tokenize(texts),),
        text_inputs=("input_ids",),
        text_card={"tokenizer": "wordpiece", "vocab": "vocab.txt", "max_terms": 52,
                   "padding": "full"},
        files={"vocab.txt": (root / "vocab.txt").read_bytes()},
    )


# ---- pictures alone


def torchvision_source(name, weights, random):
    import torchvision

    enum = torchvision.models.get_model_weights(name)
    chosen = enum[weights] if weights else enum.DEFAULT
    model = torchvision.models.get_model(name, weights=None if random else chosen).eval()
    transform = chosen.transforms()
    # The classifier stays: its file is cut before its last matrix when it is loaded.
    inputs = []
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))

    def before_last(_):
        newest = inputs[-1]
        inputs.clear()
        return newest

    return Source(
        made_by=f"torchvision {torchvision.__version__}",
        dim=last.in_features,
        image=model,
        prepare=transform,
        network=model,
        outputs={"logits": ["N", last.out_features]},
        finish=before_last,
        image_card={"size": transform.crop_size[0], "short_side": transform.resize_size[0],
                    "resize": "crop", "resize_filter": interpolation(transform.interpolation),
                    "mean": numbers(transform.mean), "std": numbers(transform.std)},
    )


def timm_source(name, weights, random):
    import timm

    model = timm.create_model(name, pretrained=not random and not weights, num_classes=0,
                              checkpoint_path="" if random else weights or "").eval()
    config = timm.data.resolve_model_data_config(model)
    size = config["input_size"][1]
    fits = {"center": "crop", "squash": "squash", "border": "pad"}
    card = {"size": size, "resize": fits[config["crop_mode"]],
            "resize_filter": interpolation(config["interpolation"]),
            "mean": numbers(config["mean"]), "std": numbers(config["std"])}
    if card["resize"] == "crop":
        card["short_side"] = math.floor(size / config["crop_pct"])
    elif config["crop_pct"] != 1:
        raise SystemExit(f"export-model: no card can say {config['crop_mode']} with a margin")
    return Source(made_by=f"timm {timm.__version__}", dim=model.num_features, image=model,
                  network=model, prepare=timm.data.create_transform(**config, is_training=False),
                  image_card=card)


class FirstOf(nn.Module):
    """The hidden rows of a vision transformer of `transformers`, as its published files give."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, pixel_values):
        return self.model(pixel_values).last_hidden_state


def transformers_source(name, _, random):
    import transformers
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    model = (ViTModel(ViTConfig(), add_pooling_layer=False) if random
             else ViTModel.from_pretrained(name, add_pooling_layer=False)).eval()
    processor = ViTImageProcessor() if random else ViTImageProcessor.from_pretrained(name)
    size = processor.size["height"]
    return Source(
        made_by=f"transformers {transformers.__version__}",
        dim=model.config.hidden_size,
        image=FirstOf(model),
        prepare=lambda im: processor(im, return_tensors="pt")["pixel_values"][0],
        outputs={"last_hidden_state": ["N", "T", model.config.hidden_size]},
        finish=lambda rows: rows[:, 0],
        image_card={"size": size, "pool": "cls", "resize": "squash",
                    "resize_filter": interpolation(int(processor.resample)),
                    "mean": numbers(processor.image_mean), "std": numbers(processor.image_std)},
    )


FAMILIES = {"open_clip": open_clip_source, "cn_clip": cn_clip_source,
            "torchvision": torchvision_source, "timm": timm_source,
            "transformers": transformers_source}


def open_source(text, random, seed):
    """The source of FAMILY:NAME[:WEIGHTS], or of a shipped card's name."""
    family, _, rest = SHIPPED.get(text, text).partition(":")
    name, _, weights = rest.partition(":")
    if family not in FAMILIES or not name:
        raise SystemExit(f"export-model: \"{text}\" is neither FAMILY:NAME with one of "
                         f"{', '.join(FAMILIES)} nor one of {', '.join(SHIPPED)}")
    torch.manual_seed(seed)
    return FAMILIES[family](name, weights, random)
