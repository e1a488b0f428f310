"""Load the towers of CLIP and SigLIP in open_clip's layout as models of transformers or timm.

So they are embedded, fine-tuned and saved like all others. The layout is that of open_clip 3.3.0
(model.py, timm_model.py and tokenizer.py).
"""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from tokenizers import Regex, Tokenizer, normalizers
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedModel,
    SiglipTextConfig,
    SiglipTextModel,
)

from extract.towers.layouts.model_folder import load_transformers
from extract.towers.layouts.open_clip_config import (
    WEIGHTS,
    check_settings,
    common_settings,
    read_pair,
    refuse,
)
from extract.towers.layouts.open_clip_weights import (
    CLIP_TEXT_NAMES,
    SIGLIP_TEXT_NAMES,
    VISION_NAMES,
    read_tower,
    to_transformers,
)

VISION = (
    *("image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio", "act_kwargs"),
    *("norm_kwargs", "patch_dropout", "attn_pooler_queries", "attn_pooler_heads", "timm_pool"),
    *("timm_proj", "timm_model_pretrained"),
)
"""Settings of a ViT that are converted, or that do not change its embeddings. So are those below"""

TIMM_VISION = (
    *("timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias"),
    *("timm_drop", "timm_drop_path", "patch_dropout", "image_size"),
)

TEXT = (
    *("context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "act_kwargs"),
    *("norm_kwargs", "hf_tokenizer_name", "tokenizer_kwargs", "pad_id", "eos_id"),
)

SIGLIP_TEXT = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
"""What distinguishes the text tower of SigLIP from that of CLIP."""

QUOTES = [
    normalizers.Replace(Regex("[\u02bc\u2018-\u201b]"), "'"),
    normalizers.Replace(Regex("[\u201c-\u201f]"), '"'),
]
"""Straight quotes, as ftfy makes them for open_clip."""

WHITESPACE = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]

PUNCTUATION = [
    normalizers.Replace("_", " "),
    normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), ""),
]

CLEANING = {
    "whitespace": [*QUOTES, *WHITESPACE],
    "lower": [*QUOTES, *WHITESPACE, normalizers.Lowercase()],
    "canonicalize": [*QUOTES, *PUNCTUATION, normalizers.Lowercase(), *WHITESPACE],
}
"""What open_clip does to captions before it tokenises them, as normalizers of the tokenizer."""


def load_open_clip_image(folder: Path) -> tuple[nn.Module, dict[str, Any] | None]:
    """Return the image tower, and the data_config of an ImageEncoder unless the model knows it.

    Raises UserError if a file is missing or the tower cannot be converted; any exception if a file
    is damaged.
    """
    pair, preprocessing = read_pair(folder, "--image-weights")
    vision = pair["vision_cfg"]
    weights = read_tower(folder / WEIGHTS, "image")
    size = vision.get("image_size", 224)
    if not isinstance(size, int):
        refuse(folder, f"image_size = {size} in vision_cfg")
    data_config = {
        "mean": tuple(preprocessing.get("mean") or OPENAI_CLIP_MEAN),
        "std": tuple(preprocessing.get("std") or OPENAI_CLIP_STD),
        "interpolation": preprocessing.get("interpolation") or "bicubic",
        "input_size": (3, size, size),
    }
    if vision.get("timm_model_name"):
        return _timm_tower(folder, pair, data_config, weights), None
    check_settings(folder, "vision_cfg", vision, VISION)
    common = common_settings(folder, "vision_cfg", pair, 768)
    config = CLIPVisionConfig(
        **common,
        num_attention_heads=common["hidden_size"] // vision.get("head_width", 64),
        image_size=size,
        patch_size=vision.get("patch_size", 16),
        projection_dim=pair["embed_dim"],
    )
    state = to_transformers(weights, VISION_NAMES)
    backbone = load_transformers(CLIPVisionModelWithProjection, config, None, state)
    return backbone, {**data_config, "fixed_input_size": True}


def load_open_clip_text(folder: Path) -> PreTrainedModel:
    """Return the text tower. Raises as `load_open_clip_image` does."""
    pair, _ = read_pair(folder, "--text-weights")
    text = pair["text_cfg"]
    siglip = all(text.get(name) == value for name, value in SIGLIP_TEXT.items())
    check_settings(folder, "text_cfg", text, (*TEXT, *SIGLIP_TEXT) if siglip else TEXT)
    config = (SiglipTextConfig if siglip else CLIPTextConfig)(
        **common_settings(folder, "text_cfg", pair, 512),
        num_attention_heads=text.get("heads", 8),
        vocab_size=text.get("vocab_size", 49408),
        max_position_embeddings=text.get("context_length", 77),
        # open_clip's CLIP pools the largest token; in transformers, CLIP does that for this value.
        eos_token_id=2,
        bos_token_id=0,
        **{"projection_size" if siglip else "projection_dim": pair["embed_dim"]},
    )
    names = SIGLIP_TEXT_NAMES if siglip else CLIP_TEXT_NAMES
    state = to_transformers(read_tower(folder / WEIGHTS, "text"), names)
    model_class = SiglipTextModel if siglip else CLIPTextModelWithProjection
    return load_transformers(model_class, config, None, state)


def clean_captions(folder: Path, tokenizer: Tokenizer) -> None:
    """Let a tokenizer clean captions as open_clip does; only HTML and mojibake stay as they are.

    Raises UserError if the folder's pair needs captions that are cleaned or cut in another way.
    """
    text = read_pair(folder, "--text-weights")[0]["text_cfg"]
    settings = text.get("tokenizer_kwargs") or {}
    clean = settings.get("clean", "whitespace" if text.get("hf_tokenizer_name") else "lower")
    if set(settings) - {"clean"} or clean not in CLEANING:
        refuse(folder, f"tokenizer_kwargs = {settings} in text_cfg")
    own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
    tokenizer.normalizer = normalizers.Sequence([*CLEANING[clean], *own])


def _timm_tower(
    folder: Path, pair: dict[str, Any], data_config: dict[str, Any], weights: dict[str, Tensor]
) -> nn.Module:
    """Return a timm model. A projection becomes its classifier."""
    vision = pair["vision_cfg"]
    check_settings(folder, "vision_cfg", vision, TIMM_VISION)
    name, pool = vision["timm_model_name"], vision.get("timm_pool", "avg")
    projection = vision.get("timm_proj", "linear") or "classifier"
    if not timm.is_model(name) or projection not in ("none", "linear", "classifier"):
        refuse(folder, f"timm_model_name = {name} with timm_proj = {projection} in vision_cfg")
    backbone = timm.create_model(
        name,
        num_classes=0 if projection == "none" else pair["embed_dim"],
        pretrained_cfg_overlay=data_config,
        **({} if projection == "linear" else {"global_pool": pool}),
    )
    trunk = {n.removeprefix("trunk."): w for n, w in weights.items() if n.startswith("trunk.")}
    if projection == "linear":
        if pool not in ("", getattr(backbone, "global_pool", "")):
            refuse(folder, f"timm_model_name = {name} with timm_pool = {pool} in vision_cfg")
        trunk |= _as_classifier(backbone, weights)
    backbone.load_state_dict({n: weight.float() for n, weight in trunk.items()})
    return backbone


def _as_classifier(backbone: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    classifier = backbone.get_classifier()
    [layer] = [name for name, module in backbone.named_modules() if module is classifier]
    weight = weights["head.proj.weight"]
    bias = weights.get("head.proj.bias", torch.zeros(len(weight)))
    return {f"{layer}.weight": weight, f"{layer}.bias": bias}
