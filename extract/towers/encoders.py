"""Image and text encoders: timm and transformers models with pooling, loaded and saved.

Folders have the layout of Hugging Face hub repositories.
"""

import contextlib
import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import timm
import torch
from timm.data import resolve_data_config
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from runtime.errors import UserError, raise_if_system_error

transformers_logging.disable_progress_bar()

transformers_logging.set_verbosity_error()


class ImageEncoder(nn.Module):
    """uint8 pixels (B, 3, S, S) -> pooled embedding (B, dim).

    The encoder normalises pixels itself, so that they are stored and moved as bytes. It enlarges
    pictures smaller than `min_size` pixels to that size.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        data_config = resolve_data_config(model=backbone)
        self.interpolation: str = data_config["interpolation"]
        self.dim: int = backbone.num_features
        self.min_size = 0
        for name in ("mean", "std"):
            value = torch.tensor(data_config[name]).view(1, 3, 1, 1) * 255
            self.register_buffer(name, value, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Keep batch statistics as downloaded: those of 32 small pictures are poor estimates."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        normalised = (pixels.float() - self.mean) / self.std
        if normalised.shape[-1] < self.min_size:
            normalised = interpolate(normalised, size=self.min_size, mode="bicubic", antialias=True)
        return self.backbone(normalised.contiguous(memory_format=torch.channels_last))


class TextEncoder(nn.Module):
    """Token ids and mask (B, L) -> pooled embedding (B, dim).

    DistilBERT has no pooler. Pooling `mean` averages the hidden states of all tokens except
    padding, as sentence-transformers does; `first` takes the hidden state of the [CLS] token.
    `layers` joins the means of the first, middle and last layer: the first is a bag of words, in
    which words survive that the layers above do not understand.
    """

    def __init__(self, backbone: PreTrainedModel, tokenizer: Tokenizer, pooling: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.layers = pooled_layers(backbone.config.num_hidden_layers, pooling)
        self.dim: int = backbone.config.hidden_size * len(self.layers)
        self.max_tokens: int = backbone.config.max_position_embeddings
        self.pad_id: int = backbone.config.pad_token_id or 0

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.backbone(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden = torch.stack([output.hidden_states[layer].float() for layer in self.layers], dim=2)
        if self.pooling == "first":
            return hidden[:, 0].flatten(1)
        weight = mask.view(*mask.shape, 1, 1).float()
        return ((hidden * weight).sum(1) / weight.sum(1)).flatten(1)


def pooled_layers(count: int, pooling: str) -> list[int]:
    """Return the hidden states that a pooling uses: 0 is the word embeddings, `count` the last."""
    return sorted({0, count // 2, count}) if pooling == "layers" else [count]


def load_image_encoder(folder: Path) -> ImageEncoder:
    """Load a timm model from a folder with config.json and model.safetensors.

    Raises UserError if a file is missing, damaged or lacks a weight.
    """
    require_files(folder, "--image-weights", ("config.json", "model.safetensors"))
    with _user_error_on_failure(folder, "timm cannot load config.json with model.safetensors"):
        # Created with its classifier, so that weights are loaded strictly: none stays random.
        backbone = timm.create_model(f"local-dir:{folder}", pretrained=True)
        backbone.reset_classifier(0)
        return ImageEncoder(backbone)


def load_text_encoder(folder: Path, pooling: str) -> TextEncoder:
    """Load a transformers model and tokenizer.json from a folder; `pooling` is mean or first.

    Raises UserError if a file is missing, damaged or lacks a weight.
    """
    require_files(folder, "--text-weights", ("config.json", "model.safetensors", "tokenizer.json"))
    with _user_error_on_failure(
        folder, "transformers cannot load config.json with model.safetensors"
    ):
        with contextlib.redirect_stdout(io.StringIO()):
            backbone, loading = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                # By default it asks on the terminal whether to run code that config.json names.
                trust_remote_code=False,
                use_safetensors=True,
                attn_implementation="sdpa",
                dtype=torch.float32,
                output_loading_info=True,
            )
        # The pooler is not used, and masked language models have none.
        missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
        if missing:
            raise ValueError(f"model.safetensors lacks {', '.join(missing)}")
        with _user_error_on_failure(folder, "tokenizers cannot load tokenizer.json"):
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return TextEncoder(backbone, tokenizer, pooling)


def save_image_encoder(encoder: ImageEncoder, folder: Path) -> None:
    """Write a folder that `load_image_encoder` reads."""
    # safetensors cannot store channels_last weights.
    backbone = copy.deepcopy(encoder.backbone).to(memory_format=torch.contiguous_format)
    timm.models.save_for_hf(backbone, folder, safe_serialization=True)


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write a folder that `load_text_encoder` reads."""
    encoder.backbone.save_pretrained(folder, safe_serialization=True)
    encoder.tokenizer.save(str(folder / "tokenizer.json"))


@contextlib.contextmanager
def _user_error_on_failure(folder: Path, failure: str) -> Iterator[None]:
    """Turn any exception that a library raises for the files of `folder` into a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # tokenizers raises bare Exception, config.json can cause any
        raise_if_system_error(folder, error)
        raise UserError(
            f"{folder}: {failure}: {error}. Download or save that folder again. If it is in a run, "
            "delete its parent folder and run, with the same flags: python pipeline.py extract"
        ) from error


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
