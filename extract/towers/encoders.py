"""Load and save encoders: any timm image model, any transformers text encoder, CLIP, SigLIP.

Folders have the layout of Hugging Face hub repositories.
"""

import copy
import json
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel

from extract.frozen_sources import AUTO
from extract.towers.image_encoder import ImageEncoder
from extract.towers.model_folder import (
    find_text_model,
    find_tower,
    load_transformers,
    read_config,
    read_settings,
    require_files,
    user_error_on_failure,
)
from extract.towers.text_encoder import TextEncoder
from runtime.errors import UserError, quoted

WEIGHT_FILES = ("config.json", "model.safetensors")

PREPROCESSOR = "preprocessor_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
PROMPTS = "config_sentence_transformers.json"
POOLING = "1_Pooling/config.json"

POOLING_NAMES = {"mean": "mean", "cls": "first", "max": "max"}
"""Pooling in sentence-transformers -> pooling of TextEncoder."""

VOCABULARIES = (
    *({"vocab.txt"}, {"vocab.json", "merges.txt"}, {"spiece.model"}, {"spm.model"}),
    *({"sentencepiece.bpe.model"}, {"tokenizer.model"}),
)
"""Files from which transformers makes a tokenizer. Without any, it makes one without words."""


def load_image_encoder(folder: Path) -> ImageEncoder:
    """Load a timm model, or the vision tower of CLIP or SigLIP, from a folder.

    It has config.json and model.safetensors, for CLIP and SigLIP also preprocessor_config.json.
    Raises UserError if a file is missing or damaged, a weight is missing, or the model is of
    another kind.
    """
    require_files(folder, "--image-weights", WEIGHT_FILES)
    is_timm = "architecture" in read_settings(folder / "config.json")
    library = "timm" if is_timm else "transformers"
    with user_error_on_failure(folder, f"{library} cannot load config.json with model.safetensors"):
        encoder = _load_timm(folder) if is_timm else _load_vision_tower(folder)
        size = encoder.input_size
        encoder.eval()
        _try_out(encoder, encoder.dim, torch.zeros((1, 3, size, size), dtype=torch.uint8))
        return encoder.train()


def load_text_encoder(folder: Path, pooling: str) -> TextEncoder:
    """Load a transformers encoder, or the text tower of CLIP or SigLIP, and its tokenizer.

    The folder has config.json, model.safetensors and tokenizer.json. Others are read if present:
    tokenizer_config.json, and config_sentence_transformers.json and 1_Pooling/config.json of
    sentence-transformers. `pooling` is one of TextEncoder's, or "checkpoint": what the folder says,
    else projection for CLIP and SigLIP, mean for others; or AUTO: the same, with layers for mean.

    Raises UserError if a file is missing or damaged, a weight is missing, the model is no text
    encoder, or if it has no such pooling.
    """
    convertible = any(all((folder / name).is_file() for name in names) for names in VOCABULARIES)
    required = WEIGHT_FILES if convertible else (*WEIGHT_FILES, TOKENIZER)
    require_files(folder, "--text-weights", required)
    with user_error_on_failure(
        folder, "transformers cannot load config.json with model.safetensors"
    ):
        config = read_config(folder)
        found = find_tower(config, "text") or find_text_model(config)
        if found is None:
            raise UserError(
                f"{folder}/config.json: found model_type {quoted(config.model_type)}, which is no "
                "text encoder. Allowed are encoders such as DistilBERT, BERT, RoBERTa, XLM-R, "
                "MPNet, DeBERTa, ModernBERT and T5, and CLIP and SigLIP; decoders such as GPT and "
                "Llama are not. Choose another model."
            )
        if pooling in (AUTO, "checkpoint"):
            # Three layers gained on two data sets where a model averages one (docs/accuracy.md).
            layers = "layers" if pooling == AUTO else "mean"
            pooling = _checkpoint_pooling(folder, config)
            pooling = layers if pooling == "mean" else pooling
        encoder = TextEncoder(
            load_transformers(*found, folder),
            _load_tokenizer(folder),
            pooling,
            _read_prefix(folder),
            read_settings(folder / TOKENIZER_CONFIG),
        )
        ids = torch.zeros((1, 2), dtype=torch.int64)
        _try_out(encoder, encoder.dim, ids, torch.ones_like(ids))
        return encoder


def save_image_encoder(encoder: ImageEncoder, folder: Path) -> None:
    """Write a folder that `load_image_encoder` reads."""
    # safetensors cannot store channels_last weights.
    backbone = copy.deepcopy(encoder.backbone).to(memory_format=torch.contiguous_format)
    if not isinstance(backbone, PreTrainedModel):
        timm.models.save_for_hf(backbone, folder, safe_serialization=True)
        return
    backbone.save_pretrained(folder, safe_serialization=True)
    settings = {
        "image_mean": encoder.data_config["mean"],
        "image_std": encoder.data_config["std"],
        "resample": Image.Resampling[encoder.interpolation.upper()],
        "size": {"height": encoder.input_size, "width": encoder.input_size},
    }
    _write_settings(folder / PREPROCESSOR, settings)


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write a folder that `load_text_encoder` reads."""
    encoder.backbone.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save(str(folder / TOKENIZER))
    settings = {
        "model_max_length": encoder.max_tokens,
        "pad_token": encoder.tokenizer.id_to_token(encoder.pad_id),
    }
    _write_settings(folder / TOKENIZER_CONFIG, settings)
    if encoder.prefix:
        prompts = {"prompts": {"caption": encoder.prefix}, "default_prompt_name": "caption"}
        _write_settings(folder / PROMPTS, prompts)
    names = {ours: theirs for theirs, ours in POOLING_NAMES.items()}
    if encoder.pooling in names:
        _write_settings(folder / POOLING, {"pooling_mode": names[encoder.pooling]})


def _write_settings(path: Path, settings: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _try_out(encoder: nn.Module, dim: int, *batch: torch.Tensor) -> None:
    """Raise an exception unless the encoder embeds a batch of one as a vector."""
    with torch.no_grad():
        shape = tuple(encoder(*batch).shape)
    if shape != (1, dim):
        raise ValueError(f"one embedding has shape {shape}, allowed is (1, {dim})")


def _load_timm(folder: Path) -> ImageEncoder:
    # Created with its classifier, so that weights are loaded strictly: none stays random.
    backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
    backbone.reset_classifier(0)
    return ImageEncoder(backbone)


def _load_vision_tower(folder: Path) -> ImageEncoder:
    config = read_config(folder)
    found = find_tower(config, "vision")
    if found is None:
        raise UserError(
            f"{folder}/config.json: found model_type {quoted(config.model_type)}, which is no "
            "known image model. Allowed are timm models, whose config.json names an architecture, "
            "and CLIP and SigLIP from transformers. Choose another model."
        )
    backbone = load_transformers(*found, folder)
    return ImageEncoder(backbone, _tower_data_config(folder, backbone.config))


def _tower_data_config(folder: Path, config: PreTrainedConfig) -> dict[str, Any]:
    clip = config.model_type.startswith("clip")
    settings = read_settings(folder / PREPROCESSOR)
    resample = Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC))
    return {
        "mean": settings.get("image_mean", OPENAI_CLIP_MEAN if clip else (0.5, 0.5, 0.5)),
        "std": settings.get("image_std", OPENAI_CLIP_STD if clip else (0.5, 0.5, 0.5)),
        "interpolation": resample.name.lower(),
        # Position embeddings allow no other size, whatever the preprocessor's is.
        "input_size": (3, config.image_size, config.image_size),
        "fixed_input_size": True,
    }


def _load_tokenizer(folder: Path) -> Tokenizer:
    with user_error_on_failure(folder, f"tokenizers cannot load {TOKENIZER}"):
        if (folder / TOKENIZER).is_file():
            return Tokenizer.from_file(str(folder / TOKENIZER))
    with user_error_on_failure(folder, f"transformers cannot make {TOKENIZER} from other files"):
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        ).backend_tokenizer


def _read_prefix(folder: Path) -> str:
    settings = read_settings(folder / PROMPTS)
    name = settings.get("default_prompt_name")
    prompts = settings.get("prompts") or {}
    if name is not None and not isinstance(prompts.get(name), str):
        raise ValueError(f"{PROMPTS} has no prompt named {quoted(str(name))}")
    return prompts[name] if name is not None else ""


def _checkpoint_pooling(folder: Path, config: PreTrainedConfig) -> str:
    settings = read_settings(folder / POOLING)
    if not settings:
        return "mean" if find_tower(config, "text") is None else "projection"
    # Older versions have a flag for each: pooling_mode_mean_tokens.
    flags = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    named = settings.get("pooling_mode") or [_without_affixes(flag) for flag in flags] or "mean"
    modes = [named] if isinstance(named, str) else named
    if len(modes) != 1 or modes[0] not in POOLING_NAMES:
        raise UserError(
            f"{folder / POOLING}: found pooling {quoted(' and '.join(map(str, modes)))}, allowed "
            f"is one of {', '.join(POOLING_NAMES)}. Choose pooling mean, first or layers instead "
            "of the checkpoint's, or another model."
        )
    return POOLING_NAMES[modes[0]]


def _without_affixes(flag: str) -> str:
    """Turn pooling_mode_mean_tokens into mean."""
    return flag.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
