"""The real ViT-Tiny/16 of the test material: its weights in timm's network, which is its reference.

The file's weights are halves under short names; timm has them as floats, matrices the other way
round.
"""

import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper

BLOCKS = 12
# Names in a block of the file, and timm's; a matrix is turned.
OF_BLOCK = {"n1_g": "norm1.weight", "n1_b": "norm1.bias", "qkv_w": "attn.qkv.weight",
            "qkv_bias": "attn.qkv.bias", "proj_w": "attn.proj.weight",
            "proj_bias": "attn.proj.bias", "n2_g": "norm2.weight", "n2_b": "norm2.bias",
            "f1_w": "mlp.fc1.weight", "f1_bias": "mlp.fc1.bias", "f2_w": "mlp.fc2.weight",
            "f2_bias": "mlp.fc2.bias"}


def load(path):
    """The network with its head, in float32."""
    held = {t.name.removesuffix("_f16"): numpy_helper.to_array(t).astype(np.float32)
            for t in onnx.load(path).graph.initializer}
    names = {"pw": "patch_embed.proj.weight", "pb": "patch_embed.proj.bias", "cls": "cls_token",
             "pos": "pos_embed", "fin_g": "norm.weight", "fin_b": "norm.bias",
             "logits_w": "head.weight", "logits_bias": "head.bias"}
    for i in range(BLOCKS):
        names |= {f"b{i}_{k}": f"blocks.{i}.{v}" for k, v in OF_BLOCK.items()}
    state = {}
    for name, to in names.items():
        turn = name.endswith("_w") and name != "pw"
        state[to] = torch.from_numpy(held[name].T.copy() if turn else held[name])
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    network.load_state_dict(state)
    return network.eval()


def transform():
    return timm.data.create_transform(
        input_size=(3, 224, 224), interpolation="bicubic", crop_pct=0.9, mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5), is_training=False)
