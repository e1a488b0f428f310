"""Load and save encoders: any timm image model, any transformers text encoder, CLIP, SigLIP.

Folders have the layout of Hugging Face hub repositories, of which `layouts` reads some parts.
"""

import copy
from collections.abc import Callable
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
from extract.towers.layouts.model_folder import (
    find_text_model,
    find_tower,
    load_transformers,
    read_config,
    read_settings,
    require_files,
    user_error_on_failure,
    write_settings,
)
from extract.towers.layouts.open_clip_config import is_open_clip
from extract.towers.layouts.open_clip_towers import (
    clean_captions,
    load_open_clip_image,
    load_open_clip_text,
)
from extract.towers.layouts.sentence_transformers_layout import (
    load_modules,
    read_pooling,
    read_prefix,
    save_layout,
)
from extract.towers.text_encoder import TextEncoder
from runtime.errors import UserError, quoted
from runtime.progress import log

WEIGHT_FILES = ("config.json", "model.safetensors")

PREPROCESSOR = "preprocessor_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

PROJECTION = "projection"
"""In config.json of a timm model: whether its classifier is a projection, part of the tower."""

VOCABULARIES = (
    *({"vocab.txt"}, {"vocab.json", "merges.txt"}, {"spiece.model"}, {"spm.model"}),
    *({"sentencepiece.bpe.model"}, {"tokenizer.model"}),
)
"""Files from which transformers makes a tokenizer. Without any, it makes one without words."""


OPEN_CLIP_FAILURE = "cannot convert open_clip_config.json with open_clip_model.safetensors"


def load_image_encoder(folder: Path, try_out: bool = True) -> ImageEncoder:
    """Load a timm model, or the vision tower of CLIP or SigLIP, from a folder.

    It has config.json and model.safetensors, for CLIP and SigLIP also preprocessor_config.json; or
    it has open_clip's layout. Raises UserError if a file is missing or damaged, a weight is
    missing, or the model is of another kind, or if it fails in `try_out`, which embeds a picture.
    """
    load, failure = _find_image_loader(folder)
    with user_error_on_failure(folder, failure):
        encoder = load(folder)
        size = encoder.input_size
        encoder.eval()
        if try_out:
            _try_out(encoder, encoder.dim, torch.zeros((1, 3, size, size), dtype=torch.uint8))
        return encoder.train()


def load_text_encoder(folder: Path, pooling: str, try_out: bool = True) -> TextEncoder:
    """Load a transformers encoder, or the text tower of CLIP or SigLIP, and its tokenizer.

    The folder has config.json and model.safetensors, or open_clip's layout, and tokenizer.json.
    tokenizer_config.json and the files of sentence-transformers are read if present. `pooling` is
    one of TextEncoder's, or "checkpoint": what the folder says, else projection for CLIP and
    SigLIP, mean for others; or AUTO: the same, with layers for mean.

    Raises UserError if a file is missing or damaged, a weight is missing, the model is no text
    encoder, if it has no such pooling, or if it fails in `try_out`, which embeds a caption.
    """
    open_clip = is_open_clip(folder)
    _require_text_files(folder, () if open_clip else WEIGHT_FILES)
    failure = "transformers cannot load config.json with model.safetensors"
    with user_error_on_failure(folder, OPEN_CLIP_FAILURE if open_clip else failure):
        backbone = load_open_clip_text(folder) if open_clip else _load_text_model(folder)
        tokenizer = _load_tokenizer(folder)
        if open_clip:
            clean_captions(folder, tokenizer)
        if pooling in (AUTO, "checkpoint"):
            pooling = _checkpoint_pooling(folder, backbone, pooling)
        encoder = TextEncoder(
            backbone,
            tokenizer,
            pooling,
            read_prefix(folder),
            read_settings(folder / TOKENIZER_CONFIG),
            load_modules(folder) if "+" in pooling else None,
        )
        ids = torch.zeros((1, 2), dtype=torch.int64)
        if try_out:
            _try_out(encoder, encoder.dim, ids, torch.ones_like(ids))
        return encoder


def save_image_encoder(encoder: ImageEncoder, folder: Path) -> None:
    """Write a folder that `load_image_encoder` reads."""
    # safetensors cannot store channels_last weights.
    backbone = copy.deepcopy(encoder.backbone).to(memory_format=torch.contiguous_format)
    if not isinstance(backbone, PreTrainedModel):
        own = {PROJECTION: True} if backbone.num_classes else {}
        timm.models.save_for_hf(backbone, folder, model_config=own, safe_serialization=True)
        return
    backbone.save_pretrained(folder, safe_serialization=True)
    settings = {
        "image_mean": encoder.data_config["mean"],
        "image_std": encoder.data_config["std"],
        "resample": Image.Resampling[encoder.interpolation.upper()],
        "size": {"height": encoder.input_size, "width": encoder.input_size},
    }
    write_settings(folder / PREPROCESSOR, settings)


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write a folder that `load_text_encoder` reads."""
    encoder.backbone.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save(str(folder / TOKENIZER))
    settings = {
        "model_max_length": encoder.max_tokens,
        "pad_token": encoder.tokenizer.id_to_token(encoder.pad_id),
    }
    write_settings(folder / TOKENIZER_CONFIG, settings)
    width = encoder.backbone.config.hidden_size
    save_layout(folder, encoder.pooling, width, encoder.mapping, encoder.prefix)


def _try_out(encoder: nn.Module, dim: int, *batch: torch.Tensor) -> None:
    """Raise an exception unless the encoder embeds a batch of one as a vector."""
    with torch.no_grad():
        shape = tuple(encoder(*batch).shape)
    if shape != (1, dim):
        raise ValueError(f"one embedding has shape {shape}, allowed is (1, {dim})")


def _find_image_loader(folder: Path) -> tuple[Callable[[Path], ImageEncoder], str]:
    """Return a function that loads the model of a folder, and a message for when it fails."""
    if is_open_clip(folder):
        return lambda path: ImageEncoder(*load_open_clip_image(path)), OPEN_CLIP_FAILURE
    require_files(folder, "--image-weights", WEIGHT_FILES)
    is_timm = "architecture" in read_settings(folder / "config.json")
    library = "timm" if is_timm else "transformers"
    failure = f"{library} cannot load config.json with model.safetensors"
    return _load_timm if is_timm else _load_vision_tower, failure


def _load_timm(folder: Path) -> ImageEncoder:
    # Created with its classifier, so that weights are loaded strictly: none stays random.
    backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
    if not read_settings(folder / "config.json").get(PROJECTION):
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


def _load_text_model(folder: Path) -> PreTrainedModel:
    config = read_config(folder)
    found = find_tower(config, "text") or find_text_model(config)
    if found is None:
        raise UserError(
            f"{folder}/config.json: found model_type {quoted(config.model_type)}, which is no "
            "text encoder. Allowed are encoders such as DistilBERT, BERT, RoBERTa, XLM-R, "
            "MPNet, DeBERTa, ModernBERT and T5, and CLIP and SigLIP; decoders such as GPT and "
            "Llama are not. Choose another model."
        )
    return load_transformers(*found, folder)


def _require_text_files(folder: Path, weight_files: tuple[str, ...]) -> None:
    convertible = any(all((folder / name).is_file() for name in names) for names in VOCABULARIES)
    tokenizer = () if convertible else (TOKENIZER,)
    require_files(folder, "--text-weights", (*weight_files, *tokenizer))


def _load_tokenizer(folder: Path) -> Tokenizer:
    with user_error_on_failure(folder, f"tokenizers cannot load {TOKENIZER}"):
        if (folder / TOKENIZER).is_file():
            return Tokenizer.from_file(str(folder / TOKENIZER))
    with user_error_on_failure(folder, f"transformers cannot make {TOKENIZER} from other files"):
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        ).backend_tokenizer


def _checkpoint_pooling(folder: Path, backbone: PreTrainedModel, wanted: str) -> str:
    tower = find_tower(backbone.config, "text")
    pooling = read_pooling(folder) or ("mean" if tower is None else "projection")
    if wanted == "checkpoint" or pooling.partition("+")[0] != "mean":
        return pooling
    # Three layers gained on two data sets where a model averages one (docs/accuracy.md).
    if "dense" in pooling:
        log(
            f"{folder}: its Dense modules map the mean of its last layer, so they are left out "
            "where three layers are averaged. With pooling=checkpoint they are used."
        )
    return "layers"
