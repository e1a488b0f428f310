"""Names and shapes of open_clip's weights -> those of CLIP and SigLIP in transformers.

The layers are the same. open_clip joins the weights of query, key and value, and stores its
projections transposed (open_clip/model.py and transformer.py, MIT licence, version 3.3.0).
"""

import re
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

UNUSED = ("logit_scale", "logit_bias", "attn_mask", "text.attn_mask")
"""Only the comparison of both towers uses these."""

BLOCK = r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)"

BLOCK_NAMES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}

VISION_NAMES = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
    "proj": "visual_projection.weight",
}

TEXT_NAMES = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}

CLIP_TEXT_NAMES = {key: f"text_model.{name}" for key, name in TEXT_NAMES.items()} | {
    "text_projection": "text_projection.weight"
}

SIGLIP_TEXT_NAMES = TEXT_NAMES | {
    "text_projection.weight": "head.weight",
    "text_projection.bias": "head.bias",
}

TRANSPOSED = ("proj", "text_projection")
"""Matrices that open_clip multiplies from the right."""


def read_tower(path: Path, part: str) -> dict[str, Tensor]:
    """Return the weights of one tower, image or text, under open_clip's names within the tower."""
    weights = load_file(path)
    image = {n.removeprefix("visual."): w for n, w in weights.items() if n.startswith("visual.")}
    if part == "image":
        return image
    text = {n: w for n, w in weights.items() if not n.startswith("visual.") and n not in UNUSED}
    # Models with "custom_text" keep the tower in a module of its own.
    return {name.removeprefix("text."): weight for name, weight in text.items()}


def to_transformers(weights: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """Rename the weights of a tower; `names` is one of the tables above. Others keep their names.

    So a weight that the tower does not have is found when they are loaded.
    """
    prefix = names["positional_embedding"].partition("embeddings.")[0]
    found = {}
    for name, weight in weights.items():
        if block := re.fullmatch(BLOCK, name):
            found |= _block_weights(
                f"{prefix}encoder.layers.{block[1]}", *block.groups()[1:], weight
            )
        else:
            found[names.get(name, name)] = weight.T if name in TRANSPOSED else weight
    return {name: weight.contiguous() for name, weight in found.items()}


def _block_weights(layer: str, module: str, kind: str, weight: Tensor) -> dict[str, Tensor]:
    if module == "attn.in_proj":
        parts = zip("qkv", weight.chunk(3), strict=True)
        return {f"{layer}.self_attn.{which}_proj.{kind}": part for which, part in parts}
    return {f"{layer}.{BLOCK_NAMES.get(module, module)}.{kind}": weight}
