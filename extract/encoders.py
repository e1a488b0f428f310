"""One adapter a library: timm for pictures, transformers for captions; folders as on the hub."""

import contextlib
import copy
import io
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_data_config
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from features.errors import UserError

transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()


class ImageEncoder(nn.Module):
    """uint8 pixels (B, 3, S, S) -> pooled embedding (B, dim).

    Normalisation is part of the encoder, so that pixels travel as bytes; so is enlarging them to
    `least_size` pixels, if they are smaller.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        data_config = resolve_data_config(model=backbone)
        self.interpolation: str = data_config["interpolation"]
        self.dim: int = backbone.num_features
        self.least_size = 0
        for name in ("mean", "std"):
            value = torch.tensor(data_config[name]).view(1, 3, 1, 1) * 255
            self.register_buffer(name, value, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        normal = (pixels.float() - self.mean) / self.std
        if normal.shape[-1] < self.least_size:
            normal = interpolate(normal, size=self.least_size, mode="bicubic", antialias=True)
        return self.backbone(normal.contiguous(memory_format=torch.channels_last))


class TextEncoder(nn.Module):
    """Token ids and mask (B, L) -> pooled embedding (B, dim).

    DistilBERT has no pooler. `mean` averages the hidden states of the tokens that are not padding
    (sentence-transformers' pooling), `first` takes the [CLS] token's.
    """

    def __init__(self, backbone: PreTrainedModel, tokenizer: Tokenizer, pooling: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.dim: int = backbone.config.hidden_size
        self.max_tokens: int = backbone.config.max_position_embeddings
        self.pad_id: int = backbone.config.pad_token_id or 0

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.pooling == "first":
            return hidden[:, 0]
        weight = mask.unsqueeze(-1).float()
        return (hidden * weight).sum(1) / weight.sum(1)


def load_image_encoder(folder: Path) -> ImageEncoder:
    """Load a timm model from a folder with config.json and model.safetensors."""
    require_files(folder, "--image-weights", ("config.json", "model.safetensors"))
    try:
        # With its classifier, the weights are loaded strictly: none is left at random.
        backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
        raise UserError(f"{folder}: timm cannot load this image model: {error}") from error
    backbone.reset_classifier(0)
    return ImageEncoder(backbone)


def load_text_encoder(folder: Path, pooling: str) -> TextEncoder:
    """Load a transformers encoder from a folder with config.json, weights and tokenizer.json."""
    require_files(folder, "--text-weights", ("config.json", "model.safetensors", "tokenizer.json"))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            backbone, loading = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation="sdpa",
                dtype=torch.float32,
                output_loading_info=True,
            )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception
        raise UserError(f"{folder}: transformers cannot load this text model: {error}") from error
    # A pooler is not used, and masked language models come without one.
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise UserError(
            f"{folder}: transformers cannot load this text model: model.safetensors lacks "
            f"{', '.join(missing)}"
        )
    return TextEncoder(backbone, tokenizer, pooling)


def save_image_encoder(encoder: ImageEncoder, folder: Path) -> None:
    """Write a folder that `load_image_encoder` reads."""
    # safetensors takes no channels_last weights.
    backbone = copy.deepcopy(encoder.backbone).to(memory_format=torch.contiguous_format)
    timm.models.save_for_hf(backbone, folder, safe_serialization=True)


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write a folder that `load_text_encoder` reads."""
    encoder.backbone.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save(str(folder / "tokenizer.json"))


def require_files(folder: Path, flag: str, names: tuple[str, ...]) -> None:
    """Raise UserError if `folder` lacks one of `names`."""
    if not folder.is_dir():
        raise UserError(f"{flag}: {folder} is not a folder")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise UserError(
            f"{flag}: {folder} lacks {', '.join(missing)} (found {found}). Save the model with "
            "save_pretrained (transformers) or save_for_hf (timm), in safetensors format."
        )
