"""Read the folder of a model: its files, its weights without gaps, one tower of CLIP or SigLIP."""

import contextlib
import inspect
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    Siglip2TextModel,
    SiglipTextModel,
    SiglipVisionModel,
)
from transformers.utils import ModelOutput
from transformers.utils import logging as transformers_logging

from runtime.errors import UserError, raise_if_system_error

transformers_logging.disable_progress_bar()

transformers_logging.set_verbosity_error()

TOWERS = {
    ("clip", "text"): CLIPTextModelWithProjection,
    ("clip", "vision"): CLIPVisionModelWithProjection,
    ("siglip", "text"): SiglipTextModel,
    ("siglip", "vision"): SiglipVisionModel,
    # The vision tower of SigLIP 2 NaFlex takes patches. Other SigLIP 2 models are named siglip.
    ("siglip2", "text"): Siglip2TextModel,
}
"""Model type and tower -> the class that embeds pictures or captions in the space of both."""


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


@contextlib.contextmanager
def user_error_on_failure(folder: Path, failure: str) -> Iterator[None]:
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


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object; return {} if there is no such file. Raises UserError if damaged."""
    if not path.is_file():
        return {}
    with user_error_on_failure(path.parent, f"cannot load {path.name}"):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("it is not a JSON object")
        return settings


def write_settings(path: Path, settings: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write JSON for other programs; create the folder if necessary."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def read_config(folder: Path) -> PreTrainedConfig:
    """Read the config.json of a transformers model."""
    return AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )


def find_tower(
    config: PreTrainedConfig, part: str
) -> tuple[type[PreTrainedModel], PreTrainedConfig] | None:
    """Return class and config of the tower `part`, text or vision, of CLIP or SigLIP.

    `config` is that of both towers or of this one. Returns None for other models.
    """
    kind = config.model_type.removesuffix(f"_{part}_model")
    if (kind, part) not in TOWERS:
        return None
    tower = getattr(config, f"{part}_config", config)
    if kind == "clip" and tower is not config:
        # CLIP reads this number only here. Some checkpoints have another in the tower's part.
        tower.projection_dim = config.projection_dim
    for unprojected in (CLIPTextModel, CLIPVisionModel):
        if tower is config and unprojected.__name__ in (config.architectures or []):
            return unprojected, config
    return TOWERS[kind, part], tower


def find_text_model(
    config: PreTrainedConfig,
) -> tuple[type[PreTrainedModel], PreTrainedConfig] | None:
    """Return class and config of a text encoder; of T5, that is the encoder alone.

    Returns None for decoders and for models that are not for text.
    """
    kind = type(config)
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING
    # The text models of some multimodal models count as encoders, but are decoders.
    if kind in MODEL_FOR_TEXT_ENCODING_MAPPING and (
        masked or kind not in MODEL_FOR_CAUSAL_LM_MAPPING
    ):
        found = MODEL_FOR_TEXT_ENCODING_MAPPING[kind]
    elif masked and not config.is_encoder_decoder:
        found = MODEL_MAPPING[kind]
    else:
        return None
    if getattr(config, "is_decoder", False):
        return None
    # Funnel has two models; the first returns a hidden state for each token.
    return found[0] if isinstance(found, tuple) else found, config


def load_transformers(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    folder: Path | None,
    weights: dict[str, Tensor] | None = None,
) -> PreTrainedModel:
    """Load the weights of a folder, or those given, in float32.

    Raises ValueError if a weight is missing, or if one of those given is none of the model.
    """
    # The pooler is not used, and masked language models have none.
    takes_pooler = "add_pooling_layer" in inspect.signature(model_class).parameters
    options = {"add_pooling_layer": False} if takes_pooler else {}
    with contextlib.redirect_stdout(io.StringIO()):
        model, loading = model_class.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            # By default it asks on the terminal whether to run code that config.json names.
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            state_dict=weights,
            **options,
        )
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise ValueError(f"model.safetensors lacks {', '.join(missing)}")
    if weights and (unknown := sorted(loading["unexpected_keys"])):
        raise ValueError(f"{model_class.__name__} has no weight {', '.join(unknown)}")
    return model


def pooled_output(output: ModelOutput) -> Tensor:
    """Return the embedding that a tower of CLIP or SigLIP compares with those of the other."""
    names = ("text_embeds", "image_embeds", "pooler_output")
    return next(output[name] for name in names if name in output)
